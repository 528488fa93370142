"""What to try next: read off a fit, its feature cache and the networks that are here."""
