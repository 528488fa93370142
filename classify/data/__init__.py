"""Labelled rows, and which of them train and which test. Start at `classify.data.prepare`."""
