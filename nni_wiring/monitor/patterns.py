"""The patterns of a wiring's history, which live in ``search_spaces.patterns``."""

from search_spaces.patterns import NONE, Patterns, argmax_operations, patterns

__all__ = ["NONE", "Patterns", "argmax_operations", "patterns"]
