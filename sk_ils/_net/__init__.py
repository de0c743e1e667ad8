"""One network: its parameters, the data of one fit, the training loop, its teachers."""
