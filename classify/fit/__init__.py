"""Rows to a fitted and judged classifier. Start at `classify.fit.fit`."""
