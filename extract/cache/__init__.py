"""The feature cache: one HDF5 file that is always whole, and segments of work on the way to it.

::

    identity                     which network, layers and preprocessing
    header                       the file's names and attributes, and how to change the format
    checksums, sealed_writer,    datasets in which every byte is checked
      sealed_reader
    columns                      records to columns of texts and numbers, and back
    files                        rename, fsync, and messages for failing disks
    process, lock                is that process alive; one writer at a time
    segments, pending            finished work in small files, of this run and earlier ones
    index, join                  path -> where its features lie, over all those files
    sources, locate,             where each row of the listing has its features
      row_locations
    write                        old rows + segments -> one new file
    committed, writer            what is there already; all of the above behind one class
    reader, info, verify,        features out; what is in it; is it whole; two into one;
      merge, npz                   for those who have no HDF5

`writer.CacheWriter` and `reader.load_features` are the two doors.
"""
