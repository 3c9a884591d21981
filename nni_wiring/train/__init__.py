"""A fixed cell from scratch: its protocol, its training as a run, and the model to take away."""
