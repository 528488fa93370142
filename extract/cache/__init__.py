"""The feature cache: one HDF5 file that is always whole, and segments of work on the way to it.

::

    lock      one writer at a time                      process   is that other process alive?
    identity  which network, layers and preprocessing   header    the file's attributes
    sealed    datasets with a checksum for every byte   files     rename, fsync, messages
    segments  finished work, one small file each        index     path -> where its features lie
    commit    old rows + segments -> one new file       writer    all of it behind one class
    reader    features out                              verify, info, merge, npz

`writer.CacheWriter` and `reader.load_features` are the two doors. `header` states the format and
the procedure for changing it.
"""
