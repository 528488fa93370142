"""Which class, group and split an image has, by folders, names and manifests."""
