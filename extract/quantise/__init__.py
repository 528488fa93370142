"""A network in 8-bit integers, made of one in the network store. Start at `extract.quantise.network`."""
