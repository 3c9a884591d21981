"""A cell's network as a folder that needs neither NNI nor this package."""
