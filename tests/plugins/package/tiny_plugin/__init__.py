"""A package outside of nni-wiring that brings one thing of each kind."""
