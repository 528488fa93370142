"""Images in zips and tars, read where they lie."""
