"""Rows to a fitted and evaluated classifier. Start at `classify.fit.fit`."""
