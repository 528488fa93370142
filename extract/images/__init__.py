"""Encoded bytes to the RGB crops that a network takes. Start at `extract.images.decode`."""
