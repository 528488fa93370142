"""What all three stages stand on: errors, progress, files that appear whole, the terminal, names."""
