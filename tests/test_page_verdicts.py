"""What the papers' pages say of a verdict: its n, its p, its null, and where it comes from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("s[1-4]_*.md"))
VERDICT = re.compile(r"\*\*[^*]*\b(holds( in part)?|does not hold|cannot be said)\b[^*]*\*\*")
#: A paragraph with a verdict has one of each; an exact statement has no null and no p.
NAMED = {
    "n": r"\bn = \d|\bn of \w|\bseeds\b|\d pairs\b|blocks\b",
    "p": r"\bp = |\bp < |\(p |\bp \.\d|\| p \||\bp of | p are |\bexact\b",
    "null": r"\b[Nn]ull\b|\bexact\b",
}


def paragraphs(page: str) -> list[str]:
    """Of a page; a table and what stands below it are one."""
    found: list[str] = []
    for part in re.split(r"\n\s*\n", (DOCS / page).read_text()):
        if found and found[-1].splitlines()[-1].startswith("|"):
            found[-1] += "\n" + part
        else:
            found.append(part)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_verdict_names_n_p_and_null(page: str) -> None:
    judged = [text for text in paragraphs(page) if VERDICT.search(text)]
    assert len(judged) >= 4
    lacking = [
        (missing, text[:200])
        for text in judged
        for missing, pattern in NAMED.items()
        if not re.search(pattern, text)
    ]
    assert not lacking


@pytest.mark.parametrize("page", PAGES)
def test_every_verdict_can_be_judged_again(page: str) -> None:
    """Its section, or the one that its section points to, names the kept rows."""
    sections = re.split(r"\n(?=## )", (DOCS / page).read_text())
    judged = [text for text in sections if VERDICT.search(text)]
    assert judged
    lacking = [text.splitlines()[0] for text in judged if "--from docs/results/" not in text]
    assert not lacking
    names = {name for text in judged for name in re.findall(r"docs/results/[\w/.-]*\w", text)}
    for name in names:
        assert (DOCS.parent / name).exists(), name


def test_a_verdict_without_its_p_is_seen() -> None:
    text = "**It holds** (n = 8 seeds; null: symmetric about 0)."
    assert VERDICT.search(text) and not re.search(NAMED["p"], text)
    assert re.search(NAMED["p"], text.replace("; null", ", p = .004; null"))
