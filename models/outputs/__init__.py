"""The one guard between what a call writes and what stands there. Start at `models.outputs.outputs`."""
