"""What the papers' pages say of a verdict: its n, its p, its null, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("s[1-4]_*.md"))
VERDICT = re.compile(
    r"\*\*[^*]*\b(?:holds?(?:\s+in\s+part)?|do(?:es)?\s+not\s+hold|cannot\s+be\s+said)\b[^*]*\*\*",
    re.IGNORECASE,
)
#: Each verdict names both, from the last sentence before it to the next verdict. The p of a rule
#: (p < .05) is none of a verdict.
NAMED = {"n": r"\bn = \d", "p": r"\bp = [\d.]|\bp < \.0001"}
#: An exact statement has neither null nor p.
EXACT = re.compile(r"\bexact, without null and p\b")
NULL = re.compile(r"\bnull\b", re.IGNORECASE)


def paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text) if part and part[0] not in "#|"]


def stated(paragraph: str) -> Iterator[str]:
    """Every verdict of a paragraph with what is said of it."""
    found = list(VERDICT.finditer(paragraph))
    ends = [*(match.start() for match in found), len(paragraph)][1:]
    before = 0
    for match, end in zip(found, ends, strict=True):
        sentence = re.split(r"\.\s", paragraph[before : match.start()])[-1]
        yield sentence + paragraph[match.start() : end]
        before = match.end()


def lacking(text: str) -> list[tuple[str, str]]:
    """What verdicts of a page lack, with their beginnings."""
    found = []
    for paragraph in paragraphs(text):
        if EXACT.search(paragraph):
            continue
        verdicts = list(stated(paragraph))
        if verdicts and not NULL.search(paragraph):
            found.append(("null", paragraph[:150]))
        found += [
            (name, verdict[:150])
            for verdict in verdicts
            for name, pattern in NAMED.items()
            if not re.search(pattern, verdict)
        ]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_verdict_names_n_p_and_null(page: str) -> None:
    text = (DOCS / page).read_text()
    assert len([v for paragraph in paragraphs(text) for v in stated(paragraph)]) >= 10
    assert not lacking(text)


@pytest.mark.parametrize("page", PAGES)
def test_tables_with_verdicts_have_seeds_and_p(page: str) -> None:
    """By their columns, or in the sentence below; exact ones below."""
    parts = re.split(r"\n\s*\n", (DOCS / page).read_text())
    for table, below in zip(parts, parts[1:], strict=False):
        if table.startswith("|") and VERDICT.search(table):
            columns = {cell.strip() for cell in table.splitlines()[0].split("|")}
            assert EXACT.search(below) or {"seeds", "p"} <= columns, table[:150]
            assert EXACT.search(below) or NULL.search(below), table[:150]


@pytest.mark.parametrize("page", PAGES)
def test_a_section_with_verdicts_names_the_rows_that_they_come_from(page: str) -> None:
    _, *sections = re.split(r"\n(?=## )", (DOCS / page).read_text())
    judged = [text for text in sections if VERDICT.search(text)]
    assert judged
    assert not [text.splitlines()[0] for text in judged if "--from docs/results/" not in text]
    names = {name for text in judged for name in re.findall(r"docs/results/[\w/.-]*\w", text)}
    assert names and all((DOCS.parent / name).exists() for name in names)


def test_verdicts_that_lack_something_are_seen() -> None:
    good = "Reference size. **It holds** (n = 8 seeds, p = .004; null: symmetric about 0)."
    assert not lacking(good)
    for clause, missing in (("n = 8 seeds, ", "n"), ("p = .004; ", "p"), ("null: s", "null")):
        assert [name for name, _ in lacking(good.replace(clause, ""))] == [missing]
    rule = "Rule: p < .05 by exact flips over seeds, null: symmetric. **Does\nnot hold** (n = 8)."
    assert [name for name, _ in lacking(rule)] == ["p"]
    two = "**A holds** (n = 8, p = .004; null: none). **B does not hold**, all twelve."
    assert [name for name, _ in lacking(two)] == ["n", "p"]
    assert [name for name, _ in lacking("all twelve **do not hold**")] == ["null", "n", "p"]
