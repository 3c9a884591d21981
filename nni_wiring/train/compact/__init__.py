"""Small fixed networks trained by kernels of their own, for networks too narrow for torch's."""
