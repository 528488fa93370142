"""Networks other than AlexNets whose graph we build from a state dict. Start at `models.backbones.known`."""
