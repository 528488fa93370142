"""The drawn image set, and pictures that fc7 writes itself."""
