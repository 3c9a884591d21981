"""Errors that a user can cause; the CLI prints each as one line and exits 1."""

from __future__ import annotations

from search_spaces.errors import SpaceError, WiringError

__all__ = [
    "BenchmarkError",
    "ConfigError",
    "DataError",
    "OwnedError",
    "RunError",
    "SpaceError",
    "UnsafePickleError",
    "WiringError",
]


class ConfigError(WiringError):
    """A setting is unknown, mistyped or out of its range."""


class RunError(WiringError):
    """A run folder, run id or checkpoint is missing, truncated or foreign."""


class OwnedError(RunError):
    """A run folder is being written by another process."""


class DataError(WiringError):
    """A data set is missing or is not in the expected layout."""


class BenchmarkError(WiringError):
    """A truth table, one of its metrics or a look-up in it is missing or malformed."""


class UnsafePickleError(WiringError):
    """A pickle is corrupt or names a global that is not on the allow list."""
