"""The commands of stage one: each parses, makes one call and prints."""
