"""TIFF, read by its tags: what of it can be read, by whom, and how."""
