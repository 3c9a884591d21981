"""The one training loop that all strategies run on."""
