"""Predictions and finds to look at: one HTML page (`sheet`), images sorted into folders (`copies`)."""
