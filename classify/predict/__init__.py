"""Images or cached rows to predictions, evaluated and compared."""
