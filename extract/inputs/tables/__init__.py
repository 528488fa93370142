"""Texts that name images: lists and manifests, parsed."""
