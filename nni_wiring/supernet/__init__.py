"""The unified view (S1): a supernet cell computes x_j = sum_i sum_k Z[e, k] O_k(x_i)."""
