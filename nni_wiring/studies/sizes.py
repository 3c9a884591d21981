"""The size of a network: what small ones show is printed, not judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nni_wiring.studies.statistics import EXACT, Verdict

#: Channels of the reference searches.
REFERENCE_CHANNELS = 8
#: Channels of NAS-Bench-201's own network, to which trained cells are compared.
TABULATED_CHANNELS = 16


def smallness(config: Mapping[str, Any]) -> str | None:
    """In which way a search is smaller than the reference searches: its channels, or its epochs,
    which are cut; None where it is not.

    config: its flat options.
    """
    channels, steps = config.get("channels"), config.get("max_steps")
    found = []
    if not channels:
        found.append("an unknown number of channels")
    elif channels < REFERENCE_CHANNELS:
        found.append(f"{channels} channels")
    if steps is not None:
        found.append(f"{steps} steps an epoch")
    return ", ".join(found) or None


def withheld(verdicts: Iterable[Verdict], small: str | None) -> list[Verdict]:
    """The verdicts as they are, or as no verdicts where the networks behind them are small; an
    identity holds at any size.

    small: in which way they are; None where they are not.
    """
    return [
        verdict
        if small is None or verdict.null == EXACT
        else verdict._replace(
            verdict="cannot be said",
            evidence=f"no verdict: small, {small} (the rule says: {verdict.verdict}); "
            f"{verdict.evidence}",
        )
        for verdict in verdicts
    ]
