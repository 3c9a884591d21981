"""The pictures of the pages are drawn from what is kept, not by hand."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script that draws them."""
    monkeypatch.syspath_prepend(str(DOCS / "results"))
    yield import_module("pictures")


def test_every_picture_of_a_study_says_what_it_is_drawn_from(pictures: Any) -> None:
    drawn = {**pictures.KEPT_PICTURES, **pictures.SEARCHED_PICTURES}
    there = {path.stem.removeprefix("study_") for path in (DOCS / "images").glob("study_*.png")}
    assert there == {*drawn, *pictures.NOT_KEPT}
    shown = "".join(page.read_text() for page in DOCS.rglob("*.md"))
    assert not [name for name in there if f"images/study_{name}.png" not in shown]
    for label, _ in pictures.KEPT_PICTURES.values():
        assert (DOCS / "results" / "studies" / f"{label}.json.gz").exists(), label


@pytest.mark.parametrize("name", ["block_norms_clutter", "bilevel_edges_clutter"])
def test_a_picture_drawn_again_is_that_of_the_page(
    name: str, pictures: Any, tmp_path: Path
) -> None:
    """(fonts may differ a little from one machine to another)"""
    ours = imread(DOCS / "images" / f"study_{name}.png")
    [drawn] = pictures.draw([name], tmp_path)
    again = imread(drawn)
    assert abs(ours.shape[0] - again.shape[0]) < 20 and abs(ours.shape[1] - again.shape[1]) < 20
    height, width = np.minimum(ours.shape[:2], again.shape[:2])
    apart = np.abs(ours[:height, :width, :3] - again[:height, :width, :3]).mean()
    blank = np.abs(1 - ours[..., :3]).mean()
    assert apart < blank / 2
