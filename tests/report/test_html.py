"""The page: well-formed, self-contained, safe with hostile runs, and fine in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import Browser, chromium
from synthetic_runs import cell_of, record, softmax, write_run

from nni_wiring.errors import RunError
from nni_wiring.records import Score
from nni_wiring.report.analysis import analyse_run
from nni_wiring.report.html import write_overview, write_report
from nni_wiring.report.sections.truth import TruthSection
from nni_wiring.truth import load_table

PICTURES = {
    "alphas", "cell", "cost_heat_map", "costs", "regret", "truth_histogram", "wiring_timeline",
}  # fmt: skip
VOID = {"meta", "link", "img", "br", "hr"}
HOSTILE = "<script>alert(1)</script>\"'><img src=http://example.org onerror=f()>{{ 7 * 191 }}"


class Page(HTMLParser):
    """Collects tags, attributes and text; fails on a tag that is closed out of order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, *names: str) -> list[str]:
        return [value for _, name, value in self.attributes if name in names]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with everything in it; drawing takes long enough to do it once."""
    folder = tmp_path_factory.mktemp("report")
    run = write_run(folder / "r1", "cccccc ...... c...s. cc.css")
    found = write_report(analyse_run(run, load_table()), folder / "out")
    assert found == folder / "out" / "index.html"
    return found


def test_page_is_well_formed_and_self_contained(path: Path) -> None:
    page = Page(path.read_text())
    assert page.tags.count("script") == 2  # the module, and its data
    assert all(value.startswith("data:") for value in page.values("src", "href"))
    used = path.read_text().replace("http://www.w3.org/2000/svg", "")  # the name of SVG
    assert not re.search(r"[^_]url\(|@import|https?://", used)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    for word in ("r1", "growing index", "1-2 never recovered", "missing", "CIFAR-10 validation"):
        assert word in page.text


def test_pictures_lie_beside_the_page_and_in_it(path: Path) -> None:
    files = {file.stem: file.read_bytes() for file in path.parent.glob("*.png")}
    assert set(files) == PICTURES
    assert all(content.startswith(b"\x89PNG\r\n") for content in files.values())
    embedded = re.findall(r'src="data:image/png;base64,([^"]+)"', path.read_text())
    assert {base64.b64decode(text) for text in embedded} == set(files.values())


def test_hostile_run_is_escaped(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "r1", "cccccc", status="failed", error=HOSTILE, space=HOSTILE, note=HOSTILE
    )
    found = analyse_run(run, load_table())
    hostile = replace(found, facts=replace(found.facts, run_id=HOSTILE, strategy=HOSTILE))
    for path in (
        write_report(hostile, tmp_path / "one"),
        write_overview([hostile, hostile], {}, tmp_path / "all"),
    ):
        page = Page(path.read_text())
        assert page.tags.count("script") in (0, 2)  # none is the run's
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]
        assert not [value for value in page.values("src", "href") if "example.org" in value]
        assert HOSTILE in page.text and str(7 * 191) not in page.text


def test_hostile_records_do_not_break_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "r1", "cccccc")
    truth = {"accuracy": {"cifar10": {"valid": 50.0}}, "rank": {"cifar10": {"valid": "<b>"}}}
    run.append_epoch(
        {"epoch": 1, "arch": HOSTILE, "alpha": {HOSTILE: 1}, "cost": [HOSTILE], "truth": truth}
    )
    found = analyse_run(run, load_table())
    assert Page(write_report(found, tmp_path).read_text()).tags.count("script") == 2
    monkeypatch.setattr("nni_wiring.report.html.section_pictures", lambda section: [])
    run.write_result({"arch": "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "truth": truth})
    found = analyse_run(run, None)
    section = TruthSection.of(found)
    assert section is not None and section.rows[0].score == Score(accuracy=50.0)
    assert Page(write_report(found, tmp_path).read_text()).tags.count("script") == 2


def test_run_without_truth_or_costs_has_a_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r1")
    run.append_epoch({"epoch": 0})
    path = write_report(analyse_run(run, None), tmp_path / "out")
    page = Page(path.read_text())
    assert page.tags.count("img") == 0 and "r1" in page.text
    assert not list((tmp_path / "out").glob("*.png"))


def test_overview_links_to_the_pages(tmp_path: Path) -> None:
    table = load_table()
    runs = [
        analyse_run(write_run(tmp_path / f"r{k}", "cccccc cc.css", seed=k), table) for k in (1, 2)
    ]
    pages = {run.facts.folder: write_report(run, run.facts.folder / "report") for run in runs}
    path = write_overview(runs, pages, tmp_path / "report")
    page = Page(path.read_text())
    links = [value for value in page.values("href") if not value.startswith("data:")]
    assert links == ["../r1/report/index.html", "../r2/report/index.html"]
    assert all((path.parent / link).is_file() for link in links)
    assert "DrNAS" in page.text and "mean random cell" in page.text
    assert (tmp_path / "report" / "compare_cifar10_valid.png").is_file()


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    empty = analyse_run(write_run(tmp_path / "r1"), None)
    with pytest.raises(RunError) as caught:
        write_report(empty, tmp_path / "file" / "out")
    assert "--out" in str(caught.value) and "\n" not in str(caught.value)


# --- in a real browser -----------------------------------------------------------------------


def visit(page: Path, profile: Path) -> tuple[str, list[str]]:
    """Open `page`; returns the document after its load and the lines of the console."""
    command = [
        chromium(),
        *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
        *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
        *["--disable-dev-shm-usage", "--enable-logging=stderr", "--virtual-time-budget=10000"],
        f"--user-data-dir={profile}",
        "--dump-dom",
        page.resolve().as_uri(),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return answer.stdout, [line for line in answer.stderr.splitlines() if ":CONSOLE" in line]


def test_browser_shows_every_picture_without_a_console_error(path: Path, tmp_path: Path) -> None:
    document, console = visit(path, tmp_path / "profile")
    assert console == []
    assert document.count("<img") == len(PICTURES)
    # The same page with a probe: its own policy forbids scripts, so the copy allows inline ones.
    probe = (
        "<script>addEventListener('load', () => { document.body.dataset.widths = JSON.stringify("
        "[...document.images].map(i => i.complete ? i.naturalWidth : 0)) })</script></body>"
    )
    text = re.sub(r"script-src [^;]+", "script-src 'unsafe-inline'", path.read_text())
    (tmp_path / "probe.html").write_text(text.replace("</body>", probe))
    document, console = visit(tmp_path / "probe.html", tmp_path / "profile")
    found = re.search(r'data-widths="([^"]+)"', document)
    assert console == [] and found is not None
    widths = json.loads(found[1].replace("&quot;", '"'))
    assert len(widths) == len(PICTURES) and min(widths) > 500


def test_browser_check_would_notice_trouble(tmp_path: Path) -> None:
    """The console is really read: a page that breaks the report's policy is reported."""
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    (tmp_path / "bad.html").write_text(f"<html><head>{policy}</head><img src='x.png'></html>")
    _, console = visit(tmp_path / "bad.html", tmp_path / "profile")
    assert console


def drawn(browser: Browser) -> dict[str, tuple[str, float]]:
    """The operation and the width of every edge of the cell as it stands now."""
    found = browser.ask("""[...document.querySelectorAll('#wiring .cell .edge')].map((node) => [
        node.closest('[data-edge]').dataset.edge, node.dataset.operation,
        Number(node.getAttribute('stroke-width'))])""")
    return {edge: (operation, width) for edge, operation, width in found}


def expected(row: str, epoch: int) -> dict[str, tuple[str, float]]:
    """The same from the record: 1 + 9 Z pixels."""
    alpha = record(row, epoch)["alpha"]
    return {
        edge: (name, pytest.approx(1 + 9 * softmax(alpha[edge])[name], abs=0.01))
        for edge, name in cell_of(row).items()
    }


def test_the_slider_moves_the_picture_and_the_numbers_are_the_runs(
    path: Path, tmp_path: Path
) -> None:
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(path.resolve().as_uri())
        browser.until("document.querySelectorAll('#wiring .cell .edge').length == 6")
        assert drawn(browser) == expected("cc.css", 3)
        cut_off = browser.ask("""[...document.querySelectorAll('#wiring .card svg')].filter((one) =>
            one.getBoundingClientRect().right > one.closest('.card').getBoundingClientRect().right
        ).length""")
        assert cut_off == 0
        browser.ask("""((slider) => {
            slider.value = 0;
            slider.dispatchEvent(new Event('input'));
        })(document.querySelector('#wiring input'))""")
        assert drawn(browser) == expected("cccccc", 0)
        fetched = browser.ask("""performance.getEntriesByType('resource').map((one) => one.name)
            .filter((name) => !name.startsWith('data:'))""")
        assert fetched == [] and browser.trouble == []
        # scripts off: the text and the pictures stay, the empty frame is not shown
        browser.call("Emulation.setScriptExecutionDisabled", {"value": True})
        browser.call("Page.reload")
        text = browser.until("document.readyState == 'complete' && document.body.innerText")
        assert browser.ask("document.querySelector('#wiring').children.length") == 0
        assert "|nor_conv_3x3~0|" in text and "CIFAR-10 validation" in text
        assert "Epoch by epoch" not in text
        assert browser.ask("document.images.length") == len(PICTURES)
    finally:
        browser.close()


def test_the_policy_allows_the_one_script_by_its_hash(path: Path) -> None:
    text = path.read_text()
    [script] = re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1] and "unsafe-eval" not in policy[1]


def test_pictures_for_papers_are_pdf_beside_png(tmp_path: Path) -> None:
    run = analyse_run(write_run(tmp_path / "r1", "cccccc"), load_table())
    write_report(run, tmp_path / "out", pdf=True)
    names = {file.stem for file in (tmp_path / "out").glob("*.png")}
    pdfs = list((tmp_path / "out").glob("*.pdf"))
    assert {file.stem for file in pdfs} == names and names
    assert all(file.read_bytes().startswith(b"%PDF-") for file in pdfs)
