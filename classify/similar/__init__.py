"""Images that look alike to the network: the nearest rows of a feature cache."""
