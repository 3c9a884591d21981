"""CITATION.cff and SECURITY.md say what the package says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from nni_wiring import __version__

ROOT = Path(__file__).resolve().parents[1]


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    # the keys that Citation File Format 1.2.0 requires
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert str(citation["version"]) == __version__
    licence, _, holder = (ROOT / "LICENSE").read_text().split("\n")[:3]
    assert licence == f"{citation['license']} License"
    assert holder.endswith(citation["authors"][0]["name"])


def test_security_links_to_pages_that_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "SECURITY.md").read_text())
    assert links and [link for link in links if not (ROOT / link).exists()] == []
