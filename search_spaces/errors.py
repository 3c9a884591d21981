"""The root of all errors that a user can cause, and the error of cells and spaces."""

from __future__ import annotations


class WiringError(Exception):
    """One line that names the input, what is wrong with it and what is allowed."""


class SpaceError(WiringError, ValueError):
    """A cell, arch string or space is malformed."""
