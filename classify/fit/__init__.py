"""Rows to a fitted and evaluated classifier. `classify.fit.flow` is the way from split to
result, `choose` and `cross_validate` decide head and C.
"""
