"""What the commands print and write of their results."""
