"""The papers' pages give no verdict from small networks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from nni_wiring.search.assignments import parse_assignments
from nni_wiring.studies.registry import study
from nni_wiring.studies.sizes import reference_training, smallness

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("s1_wiring_evolution", "s2_selection", "s3_architectures", "s4_controller")
_COMMAND = re.compile(r"python cli\.py study ([\w-]+)((?:\\\n|[^`\n])*)")
_BOLD = re.compile(r"\*\*(.+?)\*\*(, exactly)?", re.DOTALL)
_OUTCOME = re.compile(r"(?:[^:]*: )?(?:holds|does not hold|cannot be said)\b", re.IGNORECASE)
_NONE = re.compile(r"\*\*no verdict: small", re.IGNORECASE)


def is_small(name: str, arguments: str) -> bool:
    """True where the command's networks are small."""
    words = shlex.split(arguments.replace("\\\n", " "), comments=True)
    if "--from" in words:
        return False
    found = study(name)
    given = dict(zip(words, words[1:], strict=False))
    texts = tuple(words[i + 1] for i, word in enumerate(words) if word == "--set")
    options = {**found.at(given.get("--size", "small"), given.get("--data"))}
    if "--epochs" in given:
        options["epochs"] = int(given["--epochs"])
    options |= parse_assignments(texts)
    judged = found.sized or found.reference_size is reference_training
    return judged and smallness(options, found.reference_size) is not None


def sections(page: str) -> list[str]:
    """The parts of a page between its headings."""
    return re.split(r"^#{2,3} ", (DOCS / f"{page}.md").read_text(), flags=re.MULTILINE)


def misjudged(section: str) -> list[str]:
    """Outcomes that stand in a section whose commands' networks are all small."""
    commands = [(m[1], m[2]) for m in _COMMAND.finditer(section)]
    if not commands or not all(is_small(*command) for command in commands):
        return []
    bold = [m[1] for m in _BOLD.finditer(section) if m[2] is None]
    return [text for text in bold if _OUTCOME.match(text)]


@pytest.mark.parametrize("page", PAGES)
def test_no_small_network_is_judged(page: str) -> None:
    parts = sections(page)
    assert [wrong for part in parts for wrong in misjudged(part)] == []
    assert all(_NONE.search(part) for part in small_sections(page))


def small_sections(page: str) -> list[str]:
    """The sections with a command whose networks are small, and with words in bold."""
    return [
        part
        for part in sections(page)
        if any(is_small(m[1], m[2]) for m in _COMMAND.finditer(part)) and "**" in part
    ]


@pytest.mark.parametrize("page", ["s3_architectures", "s4_controller"])
def test_these_pages_show_small_networks(page: str) -> None:
    """(so that the test above looks at something; the other two have none)"""
    assert small_sections(page)


def test_the_guard_sees_a_verdict() -> None:
    command = "    python cli.py study growing --data $DATA --epochs 40\n\n"
    assert misjudged(f"{command}**Verdict: holds.** So it is.") == ["Verdict: holds."]
    assert misjudged(f"{command}**P1 holds, both halves**") == []  # no form of a verdict
    assert misjudged(f"{command}**Verdict: cannot be said.** n = 2") != []
    assert misjudged(f"{command}**Verdict: holds**, exactly. So it is.") == []
    assert misjudged(f"{command}**No verdict: small.** The rule says: holds.") == []
    large = command.replace("study growing", "study growing --from docs/results/reference")
    assert misjudged(f"{large}**Verdict: holds.** So it is.") == []
