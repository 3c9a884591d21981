"""Self-contained HTML pages: pictures embedded, at most one script, no request to anywhere.

Run folders may be foreign, so autoescape is on and a content security policy forbids everything
but inline styles, embedded pictures and, on a run's page, the one script that its hash names.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from nni_wiring import __version__
from nni_wiring.errors import RunError
from nni_wiring.files.atomic import replace_file
from nni_wiring.files.messages import reason, shown
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.comparison import (
    Comparison,
    compare,
    comparison_picture,
    comparison_rows,
)
from nni_wiring.report.edge_shares import edge_shares
from nni_wiring.report.interactive import interactive
from nni_wiring.report.paired import paired_tests, ranks_picture
from nni_wiring.report.sections import Picture, Section, run_sections
from nni_wiring.report.sections.notes import notes_of
from nni_wiring.report.verdict import collapse
from nni_wiring.report.words import number

_DPI = 120


class EmbeddedPicture(NamedTuple):
    """A picture of a page: its file beside the page and the same bytes as a data URI."""

    name: str
    caption: str
    uri: Markup


def write_report(run: RunAnalysis, folder: Path, *, pdf: bool = False) -> Path:
    """Write `index.html` and the pictures of one run into `folder` (made if missing).

    pdf: whether the pictures are written as PDF, too. Returns the page's path.

    Raises:
        RunError: the folder cannot be written.
    """
    make_folder(folder)
    sections = [(s, save_pictures(section_pictures(s), folder, pdf=pdf)) for s in run_sections(run)]
    page = _template("run.html.j2").render(
        facts=run.facts,
        live=interactive(run),
        epochs=len(run.records),
        sections=sections,
        table=run.table.name if run.table else None,
        version=__version__,
    )
    return _write_page(folder, page)


def section_pictures(section: Section) -> list[Picture]:
    """The pictures of a section, drawn now."""
    return section.pictures()


def write_overview(
    runs: Sequence[RunAnalysis],
    pages: Mapping[Path, Path],
    folder: Path,
) -> Path:
    """Write `index.html` over several runs into `folder`: strategies, published rows, all runs.

    Args:
        runs: the runs.
        pages: folder of a run -> its page; linked relative to `folder`.
        folder: made if missing.

    Raises:
        RunError: the folder cannot be written.
    """
    make_folder(folder)
    comparisons = compare(runs)
    pictures = [save_pictures(_pictures(runs, one), folder) for one in comparisons]
    page = _template("overview.html.j2").render(
        live=None,
        runs=[(run, collapse(run.chosen) or "no" if run.chosen else None) for run in runs],
        links={run: _relative(page, folder) for run, page in pages.items()},
        sections=[
            (one.title, saved, comparison_rows(runs, one))
            for one, saved in zip(comparisons, pictures, strict=True)
        ],
        edge_shares=edge_shares(runs),
        notes=list(dict.fromkeys(note for run in runs if run.truth for note in notes_of(run))),
        table=", ".join(dict.fromkeys(run.table.name for run in runs if run.table)) or None,
        version=__version__,
    )
    return _write_page(folder, page)


def _pictures(runs: Sequence[RunAnalysis], one: Comparison) -> list[Picture]:
    """The comparison in one metric, and the diagram of mean ranks where there are any."""
    paired = paired_tests(runs, one.dataset, one.split)
    ranks = ranks_picture(paired, f"ranks_{one.dataset}_{one.split}", one.title)
    return [comparison_picture(runs, one), *([] if ranks is None else [ranks])]


def png(figure: Figure) -> bytes:
    """`figure` as PNG, without a time stamp so that equal pictures are equal files."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def as_pdf(figure: Figure) -> bytes:
    """`figure` as PDF, without a time stamp, for papers."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return buffer.getvalue()


def make_folder(folder: Path) -> None:
    """Make the folder of a report, if it is missing.

    Raises:
        RunError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot write the report to {shown(folder)}: {reason(error)}; choose one with --out"
        ) from None


def save_pictures(
    pictures: Sequence[Picture], folder: Path, *, pdf: bool = False
) -> list[EmbeddedPicture]:
    """Write the pictures as PNG files (and as PDF) into `folder`, which exists, and embed them.

    Raises:
        RunError: a file cannot be written.
    """
    saved = []
    for picture in pictures:
        content = png(picture.figure)
        _put(folder / f"{picture.name}.png", content)
        if pdf:
            _put(folder / f"{picture.name}.pdf", as_pdf(picture.figure))
        uri = Markup("data:image/png;base64,") + base64.b64encode(content).decode("ascii")
        saved.append(EmbeddedPicture(picture.name, picture.caption, uri))
    return saved


def _write_page(folder: Path, page: str) -> Path:
    path = folder / "index.html"
    _put(path, page.encode())
    return path


def _put(path: Path, content: bytes) -> None:
    replace_file(path, content)


def _relative(page: Path, folder: Path) -> str:
    return Path(os.path.relpath(page.resolve(), folder.resolve())).as_posix()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nni_wiring.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number}
    return environment


def _template(name: str) -> Any:  # noqa: ANN401 (jinja2's Template renders to str)
    return _environment().get_template(name)
