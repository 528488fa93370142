"""The linear heads and what minimises their losses."""
