"""Images that are one picture. Start at `classify.duplicates.find`."""
