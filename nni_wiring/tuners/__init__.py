"""Multi-trial search over cells: samplers, and the NNI tuners made of them. Imports no torch."""
