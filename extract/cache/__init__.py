"""The feature cache: one HDF5 file that is always whole, and segments of work on the way to it.

::

    format/                      what lies on the disk
      identity                   which network, layers and preprocessing
      header                     the file's names and attributes, and how to change the format
      checksums, sealed_writer,  datasets in which every byte is checked
        sealed_reader
      columns, storable          records to columns of texts and numbers, and back; what can be kept of them
      files, hdf5                rename, fsync, and messages for failing disks; the border to HDF5
      process, lock              is that process alive; one writer at a time
      sources                    the files that rows come from
    commit/                      how the file changes
      segments, pending          finished work in small files, of this run and earlier ones
      index, join                path -> where its features lie, over all those files
      locate, row_locations      where each row of the listing has its features
      write                      old rows + segments -> one new file
      committed                  what is there already
    writer                       all of the above behind one class
    reader, info, verify, merge, features out; what is in it; is it whole; two into one;
      npz, parquet                 for those who have no HDF5

`extract.cache.writer.CacheWriter` and `extract.cache.reader.load_features` are the two doors. Start at
`extract.cache.writer`.
"""
