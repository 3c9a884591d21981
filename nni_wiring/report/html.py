"""Self-contained HTML pages: pictures embedded, no script, no request to anywhere.

Run folders may be foreign, so autoescape is on and a content security policy forbids everything
but inline styles and embedded pictures.
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
from nni_wiring.figures.palette import edge_label, look
from nni_wiring.files.atomic import replace_file
from nni_wiring.files.messages import reason, shown
from nni_wiring.report.analysis import RunAnalysis
from nni_wiring.report.curves import metric_title
from nni_wiring.report.patterns import findings
from nni_wiring.report.pictures import Picture, comparison_picture, run_pictures
from nni_wiring.report.summary import compare, comparison_rows
from nni_wiring.report.truth_rows import truth_rows
from nni_wiring.truth import TruthTable

_DPI = 120


class EmbeddedPicture(NamedTuple):
    """A picture of a page: its file beside the page and the same bytes as a data URI."""

    name: str
    caption: str
    uri: Markup


def write_report(run: RunAnalysis, folder: Path, table: TruthTable | None) -> Path:
    """Write `index.html` and the pictures of one run into `folder` (made if missing).

    Returns the page's path.

    Raises:
        RunError: the folder cannot be written.
    """
    pictures = save_pictures(run_pictures(run, table), folder)
    page = _template("run.html.j2").render(
        run=run,
        findings=findings(run, table),
        truth=truth_rows(run),
        pictures={picture.name: picture for picture in pictures},
        operations=_operations(run.cost),
        headline=metric_title(run.dataset, run.split),
        table=table.name if table else None,
        version=__version__,
    )
    return _write_page(folder, page)


def write_overview(
    runs: Sequence[RunAnalysis],
    pages: Mapping[Path, Path],
    folder: Path,
    table: TruthTable | None,
) -> Path:
    """Write `index.html` over several runs into `folder`: strategies, published rows, all runs.

    Args:
        runs: the runs.
        pages: folder of a run -> its page; linked relative to `folder`.
        folder: made if missing.
        table: the truth, None if there is none.

    Raises:
        RunError: the folder cannot be written.
    """
    comparisons = compare(runs, table)
    pictures = save_pictures([comparison_picture(runs, one) for one in comparisons], folder)
    page = _template("overview.html.j2").render(
        runs=runs,
        links={run: _relative(page, folder) for run, page in pages.items()},
        sections=[
            (metric_title(one.dataset, one.split), one, picture, comparison_rows(runs, one))
            for one, picture in zip(comparisons, pictures, strict=True)
        ],
        notes=list(dict.fromkeys(note for run in runs for note in run.notes if run.truth)),
        table=table.name if table else None,
        version=__version__,
    )
    return _write_page(folder, page)


def png(figure: Figure) -> bytes:
    """`figure` as PNG, without a time stamp so that equal pictures are equal files."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def save_pictures(pictures: Sequence[Picture], folder: Path) -> list[EmbeddedPicture]:
    """Write the pictures as PNG files into `folder` (made if missing) and embed them.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot write the report to {shown(folder)}: {reason(error)}; choose one with --out"
        ) from None
    saved = []
    for picture in pictures:
        content = png(picture.figure)
        _put(folder / f"{picture.name}.png", content)
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


def _operations(cost: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Operations that occur in a cost table, in the order of their first occurrence."""
    return list(dict.fromkeys(name for row in cost.values() for name in row))


def _number(value: float | None, digits: int = 2) -> str:
    """A number for a table; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:,.{digits}f}"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nni_wiring.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "edge": edge_label, "look": look}
    return environment


def _template(name: str) -> Any:  # noqa: ANN401 (jinja2's Template renders to str)
    return _environment().get_template(name)
