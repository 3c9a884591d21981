"""Runs on disk: the folder of one search, its configuration and how a run id is resolved."""
