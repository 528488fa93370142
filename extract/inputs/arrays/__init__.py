"""Images in NumPy, pickle and HDF5 files."""
