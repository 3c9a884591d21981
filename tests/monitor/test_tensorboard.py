"""What a run's event files hold, read back by TensorBoard itself; and searches of odd shapes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tiny_runs import run

from nni_wiring.errors import WiringError
from nni_wiring.explain import explain
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth import load_table, published_rows
from search_spaces.cell_graph import NB201, OPERATIONS
from search_spaces.errors import SpaceError

EPOCHS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run(tmp_path_factory.mktemp("tensorboard") / "run", epochs=EPOCHS)


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()


@pytest.fixture(scope="module")
def events(folder: RunFolder) -> EventAccumulator:
    return read(folder.tensorboard)


def test_the_tags_of_the_design_are_there(events: EventAccumulator) -> None:
    expected = {f"truth/cifar10/{name}" for name in ("valid", "regret", "percentile")}
    expected |= {"truth_expected/cifar10/valid"}
    names = ("width", "depth", "conv_depth", "live_edges", "none_edges", "intermediate_alive")
    expected |= {f"topology/{name}" for name in names}
    expected |= {f"topology_expected/{name}" for name in ("width", "depth", "conv_depth")}
    expected |= {"pattern/growing_index"}
    expected |= {f"{name}/{part}" for name in ("loss", "entropy") for part in ("train", "search")}
    for edge in NB201.edge_names:
        expected |= {f"alpha/{edge}/{name}" for name in OPERATIONS}
        expected |= {f"cost/{edge}/{name}" for name in OPERATIONS if name != "none"}
    assert expected <= set(events.Tags()["scalars"])


def test_every_epoch_is_there_in_full(events: EventAccumulator) -> None:
    tables = [tag for tag in events.Tags()["scalars"] if tag.startswith(("alpha/", "cost/"))]
    assert len(tables) == 6 * 5 + 6 * 4
    for tag in tables:
        assert [event.step for event in events.Scalars(tag)] == list(range(EPOCHS))


def test_the_layout_has_the_truth_first_and_a_chart_per_edge(events: EventAccumulator) -> None:
    [event] = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["truth", "alpha", "local cost"]
    tags = events.Tags()["scalars"]
    charts = {
        (category.title, chart.title): sorted(
            tag for line in chart.multiline.tag for tag in tags if re.match(line, tag)
        )
        for category in layout.category
        for chart in category.chart
    }
    for edge in NB201.edge_names:
        assert charts["alpha", edge] == sorted(f"alpha/{edge}/{name}" for name in OPERATIONS)
        costs = [f"cost/{edge}/{name}" for name in OPERATIONS if name != "none"]
        assert charts["local cost", edge] == sorted(costs)
    truth = {tag for (title, _), own in charts.items() if title == "truth" for tag in own}
    assert truth == {tag for tag in tags if tag.startswith(("truth/", "truth_expected/"))}


def test_scalars_are_those_of_the_epochs(events: EventAccumulator, folder: RunFolder) -> None:
    table = load_table()
    for record in folder.epochs():
        step = record["epoch"]
        values = {
            tag: next(e.value for e in events.Scalars(tag) if e.step == step)
            for tag in events.Tags()["scalars"]
            if any(e.step == step for e in events.Scalars(tag))
        }
        truth = table.query(record["arch"])
        for name in ("accuracy", "regret", "percentile"):
            tag = f"truth/cifar10/{'valid' if name == 'accuracy' else name}"
            assert values[tag] == pytest.approx(truth[name]["cifar10"]["valid"], rel=1e-5, abs=1e-5)
        assert values["topology/width"] == pytest.approx(truth["topology"]["width"])
        assert values["loss/search"] == pytest.approx(record["loss"]["search"], rel=1e-5)
        for edge in NB201.edge_names:
            for name in OPERATIONS:
                if f"alpha/{edge}/{name}" in values:
                    value = values[f"alpha/{edge}/{name}"]
                    assert value == pytest.approx(record["alpha"][edge][name], rel=1e-5)
                if f"cost/{edge}/{name}" in values:
                    value = values[f"cost/{edge}/{name}"]
                    expected = record["cost"]["alpha"]["mean"][edge][name]
                    assert value == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_the_tab_is_told_of_every_epoch_and_of_the_end(
    events: EventAccumulator, folder: RunFolder
) -> None:
    def told(tag: str) -> list[Any]:
        return [json.loads(e.tensor_proto.string_val[0]) for e in events.Tensors(tag)]

    records = folder.records()
    for one, record in zip(told("wiring/epoch"), records, strict=True):
        assert one["epoch"] == record.epoch and one["arch"] == record.arch
        assert one["chosen"] == record.cells["cell"].operations
        assert record.truth is not None
        score = record.truth.at("cifar10", "valid")
        assert one["truth"]["valid"]["rank"] == score.rank
        assert one["truth"]["valid"]["accuracy"] == pytest.approx(score.accuracy, rel=1e-5)
    [about] = told("wiring/run")
    assert (about["run_id"], about["strategy"]) == (folder.run_id, folder.config["strategy"])
    [ending] = told("wiring/explanation")
    expected = explain(folder, load_table(), "cifar10", "valid")  # with the result in its folder
    assert ending["notes"] == list(expected.notes) and ending["arch"] == expected.arch
    assert [edge["decision"]["verdict"] for edge in ending["edges"]] == [
        edge.decision.verdict for edge in expected.edges if edge.decision
    ]
    assert ending["regret"] == pytest.approx(expected.regret, rel=1e-5)


def test_pictures_text_and_hyperparameters(events: EventAccumulator) -> None:
    images = events.Tags()["images"]
    assert {"cell/derived", "cost/cells", "truth/histogram"} <= set(images)
    for tag in images:
        assert [event.step for event in events.Images(tag)][-1] == EPOCHS - 1
        assert events.Images(tag)[-1].encoded_image_string[:8] == b"\x89PNG\r\n\x1a\n"
        assert events.Images(tag)[-1].width >= 200
    tags = set(events.Tags()["tensors"])
    assert "benchmark/text_summary" in tags and "config/text_summary" in tags
    (text,) = events.Tensors("benchmark/text_summary")
    table = text.tensor_proto.string_val[0].decode()
    for row in published_rows("cifar10"):
        assert row.method in table
    assert "this run" in table and "optimum" in table and "random" in table
    plugins = set(events.summary_metadata) | set(events.PluginAssets("hparams") or [])
    assert any("hparams" in name for name in plugins)


def test_reference_curves_are_constants_in_the_same_charts(folder: RunFolder) -> None:
    table = load_table()
    values = table.values("cifar10", "valid")
    found: dict[str, dict[str, Any]] = {}
    for path in (folder.tensorboard / "reference").iterdir():
        curve = read(path)
        found[path.name] = {
            tag: [(e.step, e.value) for e in curve.Scalars(tag)] for tag in curve.Tags()["scalars"]
        }
    tag = "truth/cifar10/valid"
    for tags in found.values():
        assert set(tags) <= {tag, "truth/cifar10/test"}
        for points in tags.values():
            assert [step for step, _ in points] == [0, EPOCHS - 1]
            assert len({value for _, value in points}) == 1
    heights = {name: tags[tag][0][1] for name, tags in found.items() if tag in tags}
    (optimum,) = [height for name, height in heights.items() if "optimum" in name]
    (mean,) = [height for name, height in heights.items() if "random_cell" in name]
    assert optimum == pytest.approx(float(values.max()), rel=1e-6)
    assert mean == pytest.approx(float(values.astype(np.float64).mean()), rel=1e-6)
    published = [row.mean for row in published_rows("cifar10") if row.split == "valid"]
    for value in published:
        assert any(height == pytest.approx(value, rel=1e-6) for height in heights.values())


# --- what a new user would try ---


def images(path: Path, size: int, classes: int, count: int = 60) -> str:
    draw = np.random.default_rng(0)
    labels = np.arange(count) % classes
    np.savez(
        path,
        train_x=draw.integers(0, 256, (count, size, size, 3), dtype=np.uint8),
        train_y=labels,
        test_x=draw.integers(0, 256, (classes * 2, size, size, 3), dtype=np.uint8),
        test_y=np.arange(classes * 2) % classes,
    )
    return f"npz:{path}"


@pytest.mark.parametrize("size", [8, 12])
def test_two_classes_of_small_images_for_one_epoch(size: int, tmp_path: Path) -> None:
    data = images(tmp_path / "tiny.npz", size, classes=2)
    found = run(tmp_path / "run", data=data, epochs=1, max_steps=None)
    (record,) = found.epochs()
    assert record["steps"] == 3 and found.status == "finished"  # 30 images in batches of 8
    tags = set(read(found.tensorboard).Tags()["scalars"])
    assert {"truth/cifar10/valid", "alpha/0-1/none"} <= tags
    assert (found.tensorboard / "reference").is_dir()


@pytest.mark.parametrize(("size", "batch"), [(15, 8), (8, 31)])
def test_images_and_batches_that_do_not_fit_end_in_one_line(
    size: int, batch: int, tmp_path: Path
) -> None:
    data = images(tmp_path / "tiny.npz", size, classes=2)
    with pytest.raises((WiringError, SpaceError)) as caught:
        run(tmp_path / "run", data=data, epochs=1, batch_size=batch)
    assert "\n" not in str(caught.value) and str(15 if size == 15 else 31) in str(caught.value)
    failed = RunFolder.open(tmp_path / "run")
    assert failed.status == "failed" and failed.info["error"] == str(caught.value)


def test_the_minimal_space_keeps_its_fixed_edges(tmp_path: Path) -> None:
    found = run(tmp_path / "run", space="nasbench201_minimal", epochs=2)
    for record in found.epochs():
        assert record["arch"].endswith("|none~0|skip_connect~1|skip_connect~2|")
        assert record["z"]["0-3"] == {"none": 1.0}
        assert set(record["cost"]["alpha"]["mean"]["1-3"]) == {"skip_connect"}
        truth = load_table().query(record["arch"])
        assert record["truth"]["accuracy"] == truth["accuracy"]
    tags = read(found.tensorboard).Tags()["scalars"]
    assert "alpha/0-3/none" in tags and "alpha/0-3/skip_connect" not in tags


@pytest.mark.parametrize(
    "options", [{"space": "nasbench201_s4"}, {"operations": {"0-1": ["noise", "none"]}}]
)
def test_a_space_without_truth_says_so(options: dict[str, Any], tmp_path: Path) -> None:
    found = run(tmp_path / "run", epochs=2, **options)
    result = found.result()
    assert result is not None and result["truth"] is None
    assert result["default"] == found.epochs()[-1]["accuracy"]["search"]
    tags = read(found.tensorboard).Tags()
    assert not [tag for tag in tags["scalars"] if tag.startswith("truth")]
    assert "cost/cells" in tags["images"] and not (found.tensorboard / "reference").exists()


def test_one_operation_everywhere(tmp_path: Path) -> None:
    found = run(tmp_path / "run", epochs=2, operations={"*": ["none"]}, order=2)
    record = found.epochs()[-1]
    assert record["topology"]["live_edges"] == 0 and not record["topology"]["connected"]
    assert record["topology_expected"]["disconnected"] == 1.0
    assert all(
        torch.isfinite(torch.tensor(list(row.values()))).all() for row in record["alpha"].values()
    )
