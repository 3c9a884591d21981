"""The error that a malformed cell, arch string or space raises."""

from __future__ import annotations


class SpaceError(ValueError):
    """One line that names the input, what is wrong with it and what is allowed."""
