"""Measurements during a search: local costs, topology, truth, patterns."""
