"""A features.h5 on the disk: its datasets, its checksums, its lock."""
