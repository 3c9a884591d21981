"""The pictures of the tab WIRING and of a report in README and docs/explain.md.

    python docs/images/screenshots.py [FOLDER]

Draws report.png, tab.png and tab_dark.png from the searches kept in docs/results/reference, in a
headless Chromium; FOLDER is where they go, by default beside this file.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from tensorboard import default, program

from nni_wiring.commands.tensorboard import write_tabs
from nni_wiring.report.analysis import analyse_run, recorded_table
from nni_wiring.report.html import write_report
from nni_wiring.runs.store import RunFolder
from nni_wiring.tab.plugin import WiringLoader

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "support"), str(HERE.parent / "results")]
from browser import Browser  # noqa: E402
from unpack import unpack  # noqa: E402

LABELS = ("darts-s2", "darts-s3", "gdas-s1")
FRAME = "document.querySelector('iframe')?.contentDocument"
MOVE = f"""((slider) => {{ slider.value = 12; slider.dispatchEvent(new Event('input')) }})(
    {FRAME}.querySelector('.bar input'))"""
# the middle of edge 0-2 in the first run's cell, in the window's pixels
EDGE = f"""((frame, edge) => [frame.x + edge.x + edge.width / 2, frame.y + edge.y + 2])(
    document.querySelector('iframe').getBoundingClientRect(),
    {FRAME}.querySelector('.cell [data-edge="0-2"] .edge').getBoundingClientRect())"""


def keep(browser: Browser, path: Path) -> None:
    """The window as a PNG of its 256 most frequent colours: the others soften letters."""
    browser.screenshot(path)
    picture = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
    counted = sorted(picture.getcolors(1 << 24) or [], reverse=True)[:256]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in counted for part in colour])  # type: ignore[misc]
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


def report(run: RunFolder, folder: Path, out: Path) -> None:
    """The top of a run's report: the interactive part and the verdicts below it."""
    page = write_report(analyse_run(run, recorded_table(run)), folder / "report")
    browser = Browser(folder / "profile", (1200, 1490))
    try:
        browser.open(page.resolve().as_uri())
        browser.until("document.querySelectorAll('#wiring .cell .edge').length == 6")
        keep(browser, out / "report.png")
        assert browser.trouble == [], browser.trouble
    finally:
        browser.close()


def tabs(runs: list[RunFolder], folder: Path, out: Path) -> None:
    """The tab with all runs, and in dark mode at epoch 12."""
    write_tabs(folder / "logs", runs)
    board = program.TensorBoard([*default.get_static_plugins(), WiringLoader])
    board.configure(
        ["tensorboard", "--logdir", str(folder / "logs"), "--port", "0", "--load_fast", "false"]
    )
    browser = Browser(folder / "tabs", (1400, 1600))
    try:
        browser.open(f"{board.launch()}#wiring")
        browser.until(f"{FRAME}?.querySelectorAll('.card .cell').length == {len(runs)}", 120)
        keep(browser, out / "tab.png")
        browser.ask("document.body.classList.add('dark-mode')")
        browser.until(f"{FRAME}.querySelector('.wiring.dark') !== null")
        browser.ask(MOVE)
        x, y = browser.ask(EDGE)
        browser.call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
        browser.until(f"{FRAME}.querySelector('.linked') !== null")
        keep(browser, out / "tab_dark.png")
    finally:
        browser.close()


def main() -> None:
    """Draw all three."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [RunFolder.open(unpack(label, folder / "runs")) for label in LABELS]
        report(runs[0], folder, out)
        tabs(runs, folder, out)


if __name__ == "__main__":
    main()
