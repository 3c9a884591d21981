"""`--set KEY=VALUE` read as options; no torch, so that a mistyped one is told at once."""

from __future__ import annotations

from typing import Any

from nni_wiring.errors import ConfigError

_LONGEST_ASSIGNMENT = 20_000  # characters; YAML takes minutes for a deep value of 100,000


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, Any]:
    """``("channels=8", "clip=null")`` -> options; values are read as YAML.

    Raises ConfigError for an assignment without "=" or with a value that is no YAML.
    """
    import yaml

    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {assignment!r:.200}: expected key=value")
        if len(assignment) > _LONGEST_ASSIGNMENT:
            raise ConfigError(
                f"--set {key:.60}: {len(text)} characters, at most {_LONGEST_ASSIGNMENT} are read"
            )
        try:
            values[key.strip()] = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError, ValueError):
            raise ConfigError(f"--set {key}: {text!r:.60} is no YAML value") from None
    return values
