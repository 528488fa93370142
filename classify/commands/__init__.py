"""The commands of stage two: each parses, makes one call and prints."""
