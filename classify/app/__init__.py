"""The app of `fc7 app`: a page on this machine over the public functions, and the server under it."""
