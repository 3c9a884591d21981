"""One-shot strategies: one file per method, one training loop (search_module.py)."""
