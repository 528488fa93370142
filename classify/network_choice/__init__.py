"""Several networks on the same images, in one table. Start at `classify.network_choice.choose_network`."""
