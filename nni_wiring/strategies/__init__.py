"""One-shot strategies: one file a method, one training loop (search_module.py)."""
