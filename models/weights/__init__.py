"""Weight files of every format, read as data. Start at `models.weights.reading.read_weights`."""
