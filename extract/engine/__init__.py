"""A network on a device. Start at `extract.engine.session`."""
