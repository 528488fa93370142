"""Networks as data: where they come from, what they compute, how they are kept."""
