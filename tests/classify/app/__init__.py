"""The app: its server, its guard, its page."""
