"""Labelled rows, and which of them train and which judge. Start at `classify.data.prepare`."""
