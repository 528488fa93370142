"""A folder that is watched: what arrives in it is classified."""
