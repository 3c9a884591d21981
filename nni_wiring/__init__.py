"""Wiring evolution in differentiable architecture search, as an extension of NNI."""

__version__ = "0.1.0"
