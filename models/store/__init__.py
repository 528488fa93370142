"""Networks on this machine: kept, fetched, imported, checked, measured. Start at `models.store.store`."""
