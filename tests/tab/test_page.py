"""The page in TensorBoard, in a real browser: what a user sees and does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from board import sink_of, write_tab
from browser import Browser
from synthetic_runs import cell_of, record, softmax, write_run
from tensorboard import default, program
from torch.utils.tensorboard import SummaryWriter

from nni_wiring.monitor.tab import TabSink, run_summary
from nni_wiring.monitor.view import View
from nni_wiring.records import EpochRecord
from nni_wiring.tab.plugin import WiringLoader
from nni_wiring.tab.summary import EPOCH, EXPLANATION, RUN, json_summary
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>"
FRAME = "document.querySelector('iframe')?.contentDocument"
ROWS = {"a": "cccccc ...... sc.c1a", "b": "ssssss aaaaaa"}


OTHER = "cccccc"


def judged(row: str, epoch: int) -> EpochRecord:
    """A record with the truth of its cell, and the cells of two selections, the run's and OTHER."""
    one = record(row, epoch)
    archs = {"magnitude": one["arch"], "magnitude_without_none": record(OTHER, epoch)["arch"]}
    one["statistics"] = {"selections": archs}
    truth = load_table().truth(one["arch"])
    assert truth is not None
    return EpochRecord.from_json(one | {"truth": truth.to_json()})


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TabSink]:
    """Two runs, and the sink of the first, which goes on."""
    folder = tmp_path_factory.mktemp("runs")
    sinks = []
    for name, strategy, seed in (("b", HOSTILE, 2), ("a", "darts", 1)):
        run = write_run(folder / name, strategy=strategy, seed=seed)
        sinks.append(sink_of(run, View(load_table(), "cifar10")))
        records = [judged(row, epoch) for epoch, row in enumerate(ROWS[name].split())]
        for one in records:
            sinks[-1](one)
    return folder, sinks[-1]


@pytest.fixture(scope="module")
def browser(
    growing: tuple[Path, TabSink], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """The tab, once it has drawn both runs."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    board = program.TensorBoard([*default.get_static_plugins(), WiringLoader])
    speed = ["--load_fast", "false", "--reload_interval", "1", "--port", "0"]
    board.configure(["tensorboard", "--logdir", str(growing[0]), "--host", "127.0.0.1", *speed])
    try:
        browser.open(f"{board.launch()}#wiring")
        browser.until(f"{FRAME}?.querySelectorAll('.card .cell').length == 2")
        yield browser
    finally:
        browser.close()


def find(browser: Browser, selector: str, take: str) -> list[Any]:
    """`take` (of a node) for all nodes of the frame that a selector names."""
    nodes = f"[...{FRAME}.querySelectorAll({json.dumps(selector)})]"
    found: list[Any] = browser.ask(f"{nodes}.map((node) => {take})")
    return found


def drawn(browser: Browser, run: str) -> dict[str, tuple[str, float]]:
    """The operation and the width of every edge in a run's picture."""
    take = "[node.closest('[data-edge]').dataset.edge, node.dataset.operation, "
    take += "Number(node.getAttribute('stroke-width'))]"
    found = find(browser, f"[data-run={json.dumps(run)}] .cell .edge", take)
    return {edge: (operation, width) for edge, operation, width in found}


def expected(row: str, epoch: int) -> dict[str, tuple[str, float]]:
    """The same from the record: 1 + 9 Z pixels."""
    one = record(row, epoch)
    return {
        edge: (name, pytest.approx(1 + 9 * softmax(one["alpha"][edge])[name], abs=0.01))
        for edge, name in cell_of(row).items()
    }


def slide(browser: Browser, epoch: int) -> None:
    browser.ask(f"""((slider) => {{
        slider.value = {epoch};
        slider.dispatchEvent(new Event('input'));
    }})({FRAME}.querySelector('.bar input'))""")


def test_the_tab_is_there_and_draws_each_runs_last_cell(browser: Browser) -> None:
    tabs = browser.ask("[...document.querySelectorAll('.mdc-tab')].map((t) => t.innerText)")
    assert "WIRING" in tabs
    assert drawn(browser, "a/tensorboard") == expected("sc.c1a", 2)
    assert drawn(browser, "b/tensorboard") == expected("aaaaaa", 1)
    assert browser.trouble == []


def test_the_slider_and_the_keys_move_the_pictures(browser: Browser) -> None:
    slide(browser, 0)
    assert drawn(browser, "a/tensorboard") == expected("cccccc", 0)
    assert drawn(browser, "b/tensorboard") == expected("ssssss", 0)
    browser.ask(f"{FRAME}.querySelector('.wiring').focus()")
    for key, epoch, row in (
        ("ArrowRight", 1, "......"),
        ("End", 2, "sc.c1a"),
        ("Home", 0, "cccccc"),
    ):
        browser.press(key)
        assert drawn(browser, "a/tensorboard") == expected(row, epoch)
    assert find(browser, ".now", "node.textContent") == ["epoch 0 of 2"]


def test_the_heat_map_shows_the_costs_and_frames_the_chosen_one(browser: Browser) -> None:
    slide(browser, 1)
    texts = find(browser, "[data-run='a/tensorboard'] .heat [data-edge]", """
        [node.dataset.edge, [...node.querySelectorAll('text')].slice(1).map((t) => t.textContent)]
    """)  # fmt: skip
    costs = record("......", 1)["cost"]["alpha"]["mean"]
    power = 1  # the largest is 5 places x 3 columns x 0.01 x 2 epochs: 0.30, in units of 0.1
    for edge, row in texts:
        shown = [None if t == "·" else float(t.replace("−", "-")) for t in row]
        assert shown == [
            None if v is None else pytest.approx(v * 10**power, abs=0.006)
            for v in costs[edge].values()
        ]
    frames = find(browser, "[data-run='a/tensorboard'] .heat .frame", """
        [...node.parentNode.children].filter((n) => n.tagName == 'text')
            .findIndex((t) => t == node.previousSibling) - 1
    """)  # fmt: skip
    assert frames == [0] * len(NB201.edge_names)  # none is the first column


def test_ranks_and_regret_are_the_tables(browser: Browser) -> None:
    table = load_table()
    slide(browser, 2)
    ranks = dict(find(browser, ".mark", "[node.dataset.run, Number(node.dataset.rank)]"))
    facts = find(browser, "[data-run='a/tensorboard'] .facts", "node.textContent")
    for run, row in (("a", "sc.c1a"), ("b", "aaaaaa")):
        truth = table.truth(record(row, 0)["arch"])
        assert truth is not None
        assert ranks[f"{run}/tensorboard"] == truth.at("cifar10", "valid").rank
    score = table.truth(record("sc.c1a", 0)["arch"]).at("cifar10", "valid")
    assert f"{score.accuracy:.2f} % valid · rank {score.rank} of 15625" in facts[0]
    assert f"regret {score.regret:.2f}" in facts[0]


def test_another_selection_is_named_where_its_cell_is_another(browser: Browser) -> None:
    table = load_table()
    own, other = (
        table.truth(record(row, 0)["arch"]).at("cifar10", "valid").accuracy
        for row in ("......", OTHER)
    )
    selector = "[data-run='a/tensorboard'] .selections"
    slide(browser, 1)
    [line] = find(browser, selector, "node.textContent")
    assert f"magnitude_without_none: {record(OTHER, 0)['arch']}, {other:.2f}" in line
    assert f"(+{other - own:.2f})" in line
    assert "magnitude:" not in line
    slide(browser, 0)  # whose own cell it is
    assert find(browser, selector, "node.textContent") == [""]
    slide(browser, 2)


def test_filters_leave_the_runs_that_fit(browser: Browser) -> None:
    choose = f"""(name, value) => {{
        const select = {FRAME}.querySelector(`select[aria-label=${{name}}]`);
        select.value = value;
        select.dispatchEvent(new Event('change'));
    }}"""
    browser.ask(f"({choose})('seed', '2')")
    assert find(browser, ".card", "node.dataset.run") == ["b/tensorboard"]
    assert find(browser, ".now", "node.textContent") == ["epoch 1 of 1"]
    browser.ask(f"({choose})('seed', '')")
    assert len(find(browser, ".card", "node.dataset.run")) == 2


def test_an_edge_lights_up_in_all_pictures_with_its_numbers(browser: Browser) -> None:
    browser.ask(f"""{FRAME}.querySelector('[data-edge="0-3"] .hit')
        .dispatchEvent(new MouseEvent('mouseover', {{bubbles: true}}))""")
    lit = find(browser, ".lit", "node.dataset.edge")
    # of two runs: graph, heat map, reasons, timeline and chart
    assert lit == ["0-3"] * 10
    [tip] = find(browser, ".tip", "node.hidden ? '' : node.textContent")
    assert "0-3: " in tip and "Z 0." in tip and "alpha " in tip and "cost " in tip


def test_a_foreign_name_is_text(browser: Browser) -> None:
    assert [n for n in find(browser, "h2", "node.textContent") if HOSTILE in n]
    assert find(browser, "img", "node.src") == []


def test_dark_with_tensorboard(browser: Browser) -> None:
    dark = f"{FRAME}.querySelector('.wiring.dark') !== null"
    assert browser.ask(dark) is False
    browser.ask("document.body.classList.add('dark-mode')")
    browser.until(dark)
    browser.ask("document.body.classList.remove('dark-mode')")


def test_a_run_that_grows_appears(browser: Browser, growing: tuple[Path, TabSink]) -> None:
    folder, sink = growing
    browser.ask(f"{FRAME}.querySelector('.wiring').focus()")
    browser.press("End")
    sink(judged("c1c1c1", 3))
    write_tab(write_run(folder / "new", "ssssss", seed=5), View(None, "cifar10"))
    browser.until(f"{FRAME}.querySelector('.now').textContent == 'epoch 3 of 3'")
    assert drawn(browser, "a/tensorboard") == expected("c1c1c1", 3)
    browser.until(f"{FRAME}.querySelectorAll('.card').length == 3")
    assert browser.trouble == []


def test_foreign_summaries_do_not_stop_the_page(
    browser: Browser, growing: tuple[Path, TabSink]
) -> None:
    splits = {"valid": {"references": [None], "histogram": {"counts": "a"}}, "test": 3}
    told: list[tuple[str, Any]] = [
        (RUN, {"edges": [3, {}], "operations": {"x": 5}, "truth": {"splits": splits}}),
        (EPOCH, {"epoch": 0, "alpha": "x", "cost": {"0-1": 7}, "truth": {"valid": 3}}),
        (EPOCH, {"epoch": 1, "why": {"edges": {"0-1": None}, "repairs": [3, {}]}, "chosen": [1]}),
        (EPOCH, {"epoch": 2, "alpha": {"0-1": {"none": "1"}}, "z": [], "loss": {"train": {}}}),
        (EXPLANATION, {"edges": [None, {"edge": "0-1", "decision": {"verdict": "toString"}}]}),
    ]
    with SummaryWriter(str(growing[0] / "foreign")) as writer:
        for step, (tag, value) in enumerate(told):
            writer._get_file_writer().add_summary(json_summary(tag, value), step)
    cards = len(find(browser, ".card", "node.dataset.run"))
    browser.until(f"{FRAME}.querySelectorAll('.card').length == {cards + 1}")
    for epoch in range(3):
        slide(browser, epoch)
    assert find(browser, "[data-run=foreign] .facts", "node.textContent") == ["epoch 2"]
    assert browser.trouble == []


def test_any_page_can_draw_runs(browser: Browser) -> None:
    """As a report would: `draw` alone, in a page that is not TensorBoard's frame."""
    found = browser.ask("""(async () => {
        const base = document.baseURI.split('#')[0] + 'data/plugin/wiring/';
        const told = await (await fetch(base + 'run?name=b/tensorboard')).json();
        const root = document.body.appendChild(document.createElement('div'));
        const page = (await import(base + 'wiring.js')).draw(root, {runs: [{name: 'b', ...told}]});
        page.show(0);
        const edges = [...root.querySelectorAll('.cell .edge')].map((n) => n.dataset.operation);
        const colour = getComputedStyle(root.querySelector('.card')).backgroundColor;
        root.remove();
        return [edges, colour];
    })()""")
    assert found == [list(cell_of("ssssss").values()), "rgb(250, 250, 250)"]
    assert browser.trouble == []


def test_the_browser_check_would_notice_trouble(browser: Browser) -> None:
    browser.ask("setTimeout(() => { throw new Error('seen') })")
    browser.ask("new Promise((done) => setTimeout(done, 100))")
    [line] = browser.trouble
    assert "seen" in line
    browser.trouble.clear()


def test_runs_of_one_name_are_told_apart_by_their_settings(browser: Browser) -> None:
    one = EpochRecord.from_json(record("cccccc", 0))
    configs = [
        {"strategy": "darts", "seed": 1, "order": order, "channels": 4, "threads": order}
        for order in (1, 2)
    ] + [{"strategy": "darts", "seed": 2, "order": 2, "channels": 8}]
    infos = [run_summary("r", config, one, View(None, "")) for config in configs]
    runs = [{"name": f"r{k}", "info": info, "epochs": []} for k, info in enumerate(infos)]
    titles, filters = browser.ask(f"""(async () => {{
        const root = document.createElement('div');
        const base = document.baseURI.split('#')[0] + 'data/plugin/wiring/';
        (await import(base + 'wiring.js')).draw(root, {{runs: {json.dumps(runs)}}});
        return [[...root.querySelectorAll('h2')].map((node) => node.textContent),
            [...root.querySelectorAll('select')].filter((node) => !node.hidden)
                .map((node) => node.getAttribute('aria-label'))];
    }})()""")
    assert titles == ["darts seed 1, order 1", "darts seed 1, order 2", "darts seed 2"]
    assert "strategy" not in filters and "seed" in filters  # one strategy: nothing to choose
