"""Anything that can be given as images, turned into one listing. Start at `extract.inputs.listing`."""
