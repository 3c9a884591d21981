"""The content of run.json: its format, its fields, and the check that both are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from nni_wiring.errors import RunError
from nni_wiring.files.messages import shown

FORMAT = 1
STATUSES = ("running", "finished", "failed", "interrupted")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ID_FIELDS: dict[str, tuple[type, ...]] = {
    "experiment_id": (str,),
    "trial_id": (str,),
    "parameter_id": (int,),
}


def checked(info: dict[str, Any], path: Path) -> dict[str, Any]:
    """`info` with every field of run.json present and of its type.

    Raises:
        RunError: a field that the program relies on is missing or of another type.
    """
    run_id, version = info.get("run_id"), info.get("format")
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise RunError(
            f"{shown(path)}: run_id {run_id!r:.80} is not made of 1 to 128 of A-Z a-z 0-9 . _ -"
        )
    if version != FORMAT:
        raise RunError(
            f"{shown(path)}: format {version!r:.40} is not the one this program reads ({FORMAT})"
        )
    if info.get("status") not in STATUSES:
        raise RunError(
            f"{shown(path)}: status {info.get('status')!r:.40} is none of {', '.join(STATUSES)}"
        )
    if not isinstance(info.get("config"), dict) or not isinstance(info.get("versions", {}), dict):
        raise RunError(f"{shown(path)}: config and versions must be objects of names and values")
    optional: dict[str, tuple[type, ...]] = {
        "error": (str,),
        "created": (str,),
        "git_commit": (str,),
    } | ID_FIELDS
    for name, kinds in optional.items():
        value = info.get(name)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise RunError(f"{shown(path)}: {name} {value!r:.40} is not a {kinds[0].__name__}")
    return {"versions": {}} | dict.fromkeys(optional) | info
