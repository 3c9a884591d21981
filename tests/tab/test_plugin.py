"""The tab's server side against the records of the runs, through TensorBoard's own loaders."""

from __future__ import annotations

import ast
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from board import client, get, opened, sink_of, write_tab
from synthetic_runs import record as row_of
from synthetic_runs import write_run
from tensorboard.compat.proto import summary_pb2
from torch.utils.tensorboard import SummaryWriter

from nni_wiring.explain import explain
from nni_wiring.monitor.view import View
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.tab.summary import EPOCH, PLUGIN, json_summary, shortened
from nni_wiring.truth import load_table

REPO = Path(__file__).resolve().parents[2]
ROWS = "cccccc sccccc c1cccc ccacca ...... s.c.s. cc.css cccscc ssssss 1c1c1c aaaaaa c.c.cc c.c.cs"
EPOCHS = len(ROWS.split())  # more than the ten that TensorBoard keeps of an unknown plugin


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = write_run(tmp_path_factory.mktemp("runs") / "r1", ROWS, strategy="gdas", seed=7)
    write_tab(run, View(load_table(), "cifar10"))
    return run


def same(found: Any, expected: Any) -> None:
    """Equal up to the six digits that a summary keeps."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            same(found[name], value)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-5)
    else:
        assert found == expected


@pytest.mark.parametrize("fast", [False, True])
def test_every_epoch_is_what_the_run_recorded(run: RunFolder, fast: bool) -> None:
    if fast:
        pytest.importorskip("tensorboard_data_server")
    with opened(run.path.parent, fast=fast) as tab:
        assert tab.is_active()
        [(name, listed)] = get(tab, "/runs").items()
        assert name == "r1/tensorboard" and listed["last"] == EPOCHS - 1
        found = get(tab, "/run", name=name)
    table = load_table()
    assert [one["epoch"] for one in found["epochs"]] == list(range(EPOCHS))
    for one, record in zip(found["epochs"], run.records(), strict=True):
        same(one["alpha"], record.alpha)
        same(one["z"], record.z)
        same(one["cost"], record.cost["alpha"].mean)
        assert one["arch"] == record.arch and one["loss"] == {"train": 2.0, "search": 2.1}
        operations = table.operations[table.index_of(record.arch or "")]
        names = table.benchmark.operations
        assert list(one["chosen"].values()) == [names[place] for place in operations]
    assert found["info"]["strategy"] == "gdas" and found["info"]["seed"] == 7
    assert found["info"]["run_id"] == "r1" and found["info"]["edges"] == list(record.alpha)


def test_truth_and_reasons_are_those_of_explain(run: RunFolder) -> None:
    table = load_table()
    with opened(run.path.parent) as tab:
        found = get(tab, "/run", name="r1/tensorboard")
    for one in found["epochs"]:
        expected = explain(one["arch"], table, "cifar10", "valid")
        for edge in expected.edges:
            told = one["why"]["edges"][edge.edge]
            same(told, {"best": edge.best_operation, "share": edge.shapley} | {
                "choices": dict(edge.choices)
            })  # fmt: skip
    ending = found["explanation"]
    expected = explain(run, table, "cifar10", "valid")
    assert ending["regret"] == pytest.approx(expected.regret, rel=1e-5)
    assert {e["edge"]: e["decision"]["since"] for e in ending["edges"]} == {
        e.edge: e.decision.since for e in expected.edges if e.decision
    }
    assert ending["repairs"][0]["accuracy"] == pytest.approx(expected.repairs[0].accuracy)


def test_references_and_histogram_are_the_tables(run: RunFolder) -> None:
    table = load_table()
    with opened(run.path.parent) as tab:
        truth = get(tab, "/run", name="r1/tensorboard")["info"]["truth"]
    assert (truth["dataset"], truth["split"]) == ("cifar10", "valid")
    assert set(truth["splits"]) == {s for s in ("valid", "test") if table.has("cifar10", s)}
    for split, told in truth["splits"].items():
        values = table.values("cifar10", split)
        kinds = {mark["kind"]: mark["value"] for mark in told["references"]}
        assert kinds["optimum"] == pytest.approx(float(values.max()), rel=1e-5)
        assert kinds["random"] == pytest.approx(float(values.mean(dtype=float)), rel=1e-5)
        bars = told["histogram"]
        assert sum(bars["counts"]) == told["cells"] == len(table) == 15625
        width = (bars["high"] - bars["low"]) / len(bars["counts"])
        above = sum(float(value) > bars["high"] - width for value in values)
        assert abs(bars["counts"][-1] - above) <= 1


def test_only_what_is_newer_is_sent_and_a_resumed_epoch_replaces_its_first_try(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path / "r1", "cccccc ssssss")
    write_tab(run, View(None, "cifar10"))
    with opened(tmp_path) as tab:
        before = get(tab, "/runs")["r1/tensorboard"]["written"]
    again = EpochRecord.from_json(row_of("aaaaaa", 1))
    sink_of(run, View(None, "cifar10"))(again)  # another event file, as after a crash
    with opened(tmp_path) as tab:
        [newer] = get(tab, "/run", name="r1/tensorboard", since=before)["epochs"]
        assert newer["epoch"] == 1 and newer["alpha"]["0-1"]["avg_pool_3x3"] > 0
        both = get(tab, "/run", name="r1/tensorboard")["epochs"]
        assert [one["epoch"] for one in both] == [0, 1] and both[1] == newer
        assert newer["why"] is None and newer["truth"] == {}


def test_a_user_may_ask_for_fewer_steps(run: RunFolder) -> None:
    with opened(run.path.parent, "--samples_per_plugin", f"{PLUGIN}=5") as tab:
        assert len(get(tab, "/run", name="r1/tensorboard")["epochs"]) == 5


def test_logs_without_summaries_have_no_tab(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", 1.0, 0)
    with opened(tmp_path) as tab:
        assert not tab.is_active()
        assert get(tab, "/runs") == {}
        for query, status in ({"name": "."}, 404), ({"name": ".", "since": "now"}, 400):
            answer = client(tab, "/run").get("/", query_string=query)
            assert answer.status_code == status and "error" in answer.json


def test_foreign_summaries_are_passed_over(tmp_path: Path) -> None:
    good = json_summary(EPOCH, {"epoch": 3, "alpha": {"0-1": {"none": float("nan")}}})
    with SummaryWriter(str(tmp_path)) as writer:
        for step, text in enumerate((b"{", b"[]", b"\xff", b"[" * 100_000)):
            summary = summary_pb2.Summary()
            summary.CopyFrom(good)
            summary.value[0].tensor.string_val[0] = text
            writer._get_file_writer().add_summary(summary, step)
        writer._get_file_writer().add_summary(good, 9)
    with opened(tmp_path) as tab:
        found = get(tab, "/run", name=".")
    assert found["epochs"] == [{"epoch": 3, "alpha": {"0-1": {"none": None}}}]
    assert found["info"] is None and found["explanation"] is None


def test_the_page_is_one_module_that_loads_nothing_from_elsewhere(run: RunFolder) -> None:
    with opened(run.path.parent) as tab:
        path = tab.frontend_metadata().es_module_path
        answer = client(tab, path).get("/", headers={"Accept-Encoding": "gzip"})
    assert answer.content_type.startswith("text/javascript")
    page = gzip.decompress(answer.data).decode()
    assert "export async function render" in page
    addresses = page.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert "http" not in addresses and not [
        line for line in page.splitlines() if line.startswith("import ")
    ]


def test_the_plugin_imports_the_standard_library_and_tensorboard_only() -> None:
    seen: set[str] = set()
    left = ["nni_wiring.tab.plugin"]
    while left:
        module = left.pop()
        seen.add(module)
        path = REPO / module.replace(".", "/")
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.parse(source.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                root = name.partition(".")[0]
                allowed = {"tensorboard", "nni_wiring"} | sys.stdlib_module_names
                assert root in allowed, f"{module} imports {name}"
                left += [name] if root == "nni_wiring" and name not in seen else []
        parent = module.rpartition(".")[0]
        left += [parent] if parent and parent not in seen else []
    assert seen == {"nni_wiring", "nni_wiring.tab", "nni_wiring.tab.plugin"} | {
        "nni_wiring.tab.summary"
    }


def test_numbers_keep_six_digits_and_stay_json() -> None:
    value = {"a": [0.123456789, float("inf"), -float("inf"), float("nan")], "b": (1234567, "x")}
    assert shortened(value) == {"a": [0.123457, None, None, None], "b": [1234567, "x"]}
    text = json_summary(EPOCH, value).value[0].tensor.string_val[0]
    assert json.loads(text) == shortened(value)
