"""Old rows and finished work become one new file. Start at `extract.cache.commit.write`."""
