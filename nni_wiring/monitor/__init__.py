"""What is measured during a search: local costs, topology, truth, patterns."""
