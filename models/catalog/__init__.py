"""The networks the field uses, as data. Start at `models.catalog.catalog`."""
