"""What a network in integers costs and brings. Start at `classify.quantise.quantise_network`."""
