"""What a network is: its specification, the plans of AlexNets, its canonical weights."""
