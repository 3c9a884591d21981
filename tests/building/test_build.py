"""Builds of nine cells on tiny images against nine single trainings, killed, sliced and merged."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from owners import held_elsewhere
from tiny_truths import NINE, TRAINING, images, options

from nni_wiring.building import rows as rows_module
from nni_wiring.building.finish import check_name, finish
from nni_wiring.building.folder import BuildFolder
from nni_wiring.building.merge import merge
from nni_wiring.building.options import make_build_options
from nni_wiring.building.plan import Slice, Unit
from nni_wiring.building.rows import Row
from nni_wiring.building.status import info
from nni_wiring.building.trainer import train_cells
from nni_wiring.building.work import groups_of, run_build
from nni_wiring.errors import BenchmarkError, OwnedError, RunError
from nni_wiring.runs.store import RunFolder
from nni_wiring.train.config import make_train_config
from nni_wiring.train.run import run_train
from nni_wiring.truth import load_table, table_for
from nni_wiring.truth.catalogue import benchmark_for, forget, table_path
from nni_wiring.truth.provenance import provenance_of
from nni_wiring.tuners.simulate import make_task


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    forget()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    """Nine cells, two seeds, built without a break."""
    folder = tmp_path_factory.mktemp("built")
    build = BuildFolder.at(folder / "mine", "mine", options(folder))
    assert run_build(build) == 18 and build.run.status == "finished"
    return build


def told(rows: Mapping[Unit, Row]) -> dict[Unit, tuple[Any, ...]]:
    """The rows without their times."""
    return {u: (r.arch, r.accuracy, r.diverged, r.images) for u, r in rows.items()}


def fake(given: Mapping[str, Any], archs: Sequence[str], seed: int) -> list[Row]:
    """A trainer that computes nothing: accuracies from the text of the cell."""
    return [
        Row(a, seed, {e: {"valid": len(a) % 97 + e / 10 + seed} for e in (1, 2, 3)}, None, 1.0, 24)
        for a in archs
    ]


def test_the_kernels_train_what_torch_does_and_tell_their_tables_apart(tmp_path: Path) -> None:
    """A step on 32 images: rounding alone tells the two apart."""
    found = {}
    for kernels in (True, False):
        given = {**TRAINING, "data": "clutter", "max_steps": 1, "batch_size": 32, "epochs": 1}
        values = {**given, "space": "nasbench201", "channels": 4, "seeds": [1], "cells": 1}
        values |= {"eval_epochs": [1], "lr": 1e-4, "kernels": kernels}
        cells = tmp_path / "cells.txt"
        cells.write_text("\n".join(NINE))
        made = make_build_options({**values, "cell_list": cells})
        build = BuildFolder.at(tmp_path / str(kernels), "k", made)
        assert run_build(build) == len(build.plan.units())
        found[kernels] = {unit: row.accuracy[1]["valid"] for unit, row in build.rows().items()}
        options_of = made
    np.testing.assert_allclose(list(found[True].values()), list(found[False].values()), atol=0.3)
    assert "kernels" in options_of.differences(make_build_options({**made.flat(), "kernels": True}))
    with pytest.raises(BenchmarkError, match="kernels: 1; allowed: true, false"):
        make_build_options({**made.flat(), "kernels": 1})
    refused = make_build_options({**made.flat(), "kernels": True, "batch_size": 24})
    with pytest.raises(BenchmarkError, match="kernels=true: batch_size"):
        run_build(BuildFolder.at(tmp_path / "no", "no", refused))


def test_nine_cells_are_nine_single_trainings(built: BuildFolder, tmp_path: Path) -> None:
    rows = built.rows()
    assert {row.arch for row in rows.values()} == set(NINE)
    data = images(tmp_path)
    for number, arch in enumerate(NINE):
        seed = 1 + number % 2
        config = make_train_config({**TRAINING, "arch": arch, "data": data, "seed": seed})
        run = RunFolder.create(tmp_path / str(number), f"t{number}", config.flat())
        single = run_train(config, run)
        (row,) = [r for r in rows.values() if (r.arch, r.seed) == (arch, seed)]
        parts = {
            epochs: {part: value for part, value in found.items() if part != "train"}
            for epochs, found in single.accuracy_at.items()
        }
        assert row.accuracy == parts and set(parts) == {1, 2, 3}
        assert row.diverged is None and row.images == 12
    assert len({str(row.accuracy) for row in rows.values()}) > 9  # trainings differ


def _killed_in_training(path: str, after: int) -> None:
    trained = [0]

    def trainer(given: Mapping[str, Any], archs: Sequence[str], seed: int) -> list[Row]:
        if trained[0] == after:
            os.kill(os.getpid(), signal.SIGKILL)
        trained[0] += 1
        return train_cells(given, archs, seed)

    run_build(BuildFolder.open(Path(path)), trainer=trainer)


def test_killed_and_resumed_equals_uninterrupted(built: BuildFolder, tmp_path: Path) -> None:
    build = BuildFolder.at(tmp_path / "killed", "killed", options(tmp_path))
    child = multiprocessing.get_context("fork").Process(
        target=_killed_in_training, args=(str(tmp_path / "killed"), 11)
    )
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL and len(build.rows()) == 11
    with open(build.rows_path, "ab") as file:  # a line that was cut off
        file.write(b'{"code": 50, "arch": "|no')
    again = BuildFolder.at(tmp_path / "killed", "killed", options(tmp_path))
    calls: list[tuple[int, int]] = []
    assert run_build(again, progress=lambda done, total: calls.append((done, total))) == 7
    assert calls[0] == (11, 18) and calls[-1] == (18, 18)
    assert told(again.rows()) == told(built.rows())
    assert run_build(again) == 0


@pytest.mark.slow
def test_two_processes_make_the_rows_of_one(built: BuildFolder, tmp_path: Path) -> None:
    build = BuildFolder.at(tmp_path / "two", "two", options(tmp_path))
    assert run_build(build, Slice(2, 4), jobs=2) == 4
    expected = told(built.rows())
    assert told(build.rows()) == {u: expected[u] for u in built.plan.units(Slice(2, 4))}


def test_the_table_says_what_the_rows_say(built: BuildFolder) -> None:
    finish(built, "mine")
    forget()
    table, rows = load_table("mine"), built.rows()
    assert table.benchmark.dataset_names == ("grey",) and table.info["cells"] == 9
    for arch in NINE:
        for epochs in (1, 2, 3):
            for split in ("valid", "test"):
                own = [r.accuracy[epochs][split] for r in rows.values() if r.arch == arch]
                index = table.index_of(arch)
                assert table.values("grey", split, epochs)[index] == np.float32(np.mean(own))
                for row in (r for r in rows.values() if r.arch == arch):
                    single = table.values("grey", split, epochs, seed=row.seed)[index]
                    assert single == np.float32(row.accuracy[epochs][split])
    assert np.isfinite(table.values("grey", "test")).sum() == 9
    # the same index as NAS-Bench-201's own tables, so that tables can be held together
    assert table.index_of(NINE[5]) == load_table("bundled").index_of(NINE[5])
    protocol = table.benchmark.dataset("grey").protocol
    assert protocol.epochs == (1, 2, 3) and protocol.one_curve
    assert protocol.images == {"valid": 12, "test": 12}
    assert (table.seconds("grey")[table.index_of(NINE[5])]) > 0


def test_the_table_stands_for_its_space_where_it_is_named(
    built: BuildFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(built, "mine")
    forget()
    assert table_for("nasbench201", "mine") is load_table("mine")
    named = benchmark_for("nasbench201", "mine")
    assert named.name == "mine" and named.shown_dataset(None, "cifar10") == "grey"
    assert benchmark_for("nasbench201").name == "nasbench201"
    monkeypatch.setenv("NNI_WIRING_BENCHMARK", "mine")
    assert benchmark_for("nasbench201").name == "mine"
    with pytest.raises(BenchmarkError, match="'mine' is of mine, the searched cells are those of"):
        table_for("transnas101_micro", "mine")
    p = np.zeros((6, 5))
    p[np.arange(6), load_table("mine").operations[load_table("mine").index_of(NINE[5])]] = 1.0
    known = load_table("mine").truth(NINE[5]).at("grey", "test").accuracy
    assert load_table("mine").expected_truth(p).at("grey", "test").accuracy == pytest.approx(known)
    uniform = load_table("mine").expected_truth(np.full((6, 5), 0.2))
    assert uniform.at("grey", "test").accuracy is None  # cells that can be drawn are missing


def test_the_table_of_a_space_is_whole_to_its_searches(tmp_path: Path) -> None:
    given = options(tmp_path, space="nasbench201_minimal", cell_list=None, seeds="1")
    build = BuildFolder.at(tmp_path / "minimal", "minimal", given)
    assert run_build(build, trainer=fake) == 83
    finish(build, "minimal")
    table = load_table("minimal")
    by_arch = {row.arch: row.accuracy[3]["valid"] for row in build.rows().values()}
    of_classes = dict(zip(build.plan.codes.tolist(), build.plan.trained.tolist(), strict=True))
    expected = {c: np.float32(by_arch[build.plan.arch(t)]) for c, t in of_classes.items()}
    values = table.values("grey", "valid")
    assert np.isfinite(values).sum() == 125 == len(expected)
    assert all(values[table.index_of(build.plan.arch(c))] == v for c, v in expected.items())
    p = np.zeros((6, 5))
    p[:3], p[3, 0], p[4:, 1] = 0.2, 1.0, 1.0  # uniform over the space's edges 0-1, 0-2, 1-2
    mean = np.mean(list(expected.values()), dtype=np.float64)
    assert table.expectation(p, "grey", "valid") == pytest.approx(mean)
    space = {"data": given.training["data"], "channels": 2, "cells": 1}
    config = {**space, "space": "nasbench201_minimal", "head": given.training["head"]}
    assert provenance_of(config, table.benchmark, "grey").comparable
    other = provenance_of({**config, "space": "nasbench201_s2"}, table.benchmark, "grey")
    assert other.note == "only a part of the cells was searched (nasbench201_s2)"
    task = make_task(table, "grey")
    assert [len(names) for names in task.choices] == [5, 5, 5, 1, 1, 1]
    assert task.best == max(expected.values()) and task.signal_epochs == 1


def test_missing_cells_are_refused_as_complete(tmp_path: Path) -> None:
    build = BuildFolder.at(tmp_path / "half", "half", options(tmp_path))
    assert run_build(build, Slice(1, 2), trainer=fake) == 10
    lacking = sorted({unit.code for unit in build.missing()})
    first = build.plan.arch(lacking[0])
    with pytest.raises(BenchmarkError, match="'half' is not complete: 8 of 18 trainings") as caught:
        finish(build, "half")
    assert first in str(caught.value) and not table_path("half").exists()
    data = finish(build, "half", partial=True)
    assert data.info["cells"] == 5
    table = load_table("half")
    have = np.isfinite(table.values("grey", "valid"))
    assert {table.arch(i) for i in np.flatnonzero(have)} == set(NINE) - {
        build.plan.arch(code) for code in lacking
    }


def test_a_half_built_table_says_which_cells_it_has(cache: Path, tmp_path: Path) -> None:
    build = BuildFolder.at(cache / "builds" / "half", "half", options(tmp_path))
    run_build(build, Slice(1, 3), trainer=fake)
    build.rows_path.write_text("".join(build.rows_path.open().readlines()[:4]))
    found = info("half")["build"]
    assert found["trainings"] == {"1": {"done": 3, "all": 9}, "2": {"done": 1, "all": 9}}
    whole = {row.arch for row in build.rows().values() if row.seed == 2}
    assert set(found["has"]) == whole and set(found["missing"]) == set(NINE) - whole
    assert info("half")["table"] is None
    with pytest.raises(BenchmarkError, match="no table and no build 'none'"):
        info("none")


def test_a_diverging_cell_is_kept_as_such(tmp_path: Path) -> None:
    def trainer(given: Mapping[str, Any], archs: Sequence[str], seed: int) -> list[Row]:
        rows = fake(given, archs, seed)
        if archs[0] == NINE[6] and seed == 2:
            rows[0] = Row(archs[0], seed, {1: {"valid": 7.0}}, 2, 1.0, 24)
        if archs[0] == NINE[7]:
            rows[0] = Row(archs[0], seed, {}, 1, 1.0, 24)
        return rows

    build = BuildFolder.at(tmp_path / "nan", "nan", options(tmp_path))
    run_build(build, trainer=trainer)
    finish(build, "nan")  # it is complete
    table = load_table("nan")
    one, both = table.index_of(NINE[6]), table.index_of(NINE[7])
    assert np.isnan(table.values("grey", "valid", seed=2)[one])
    single = table.values("grey", "valid", seed=1)[one]
    assert table.values("grey", "valid")[one] == single  # the mean of those that did not
    assert table.values("grey", "valid", epochs=1)[one] == np.float32((7 + 0.1 + single - 0.3) / 2)
    assert np.isnan(table.values("grey", "valid")[both])
    assert table.truth(NINE[7]).at("grey", "valid").rank is None
    codes = {seed: len(found) for seed, found in table.info["diverged"].items()}
    assert codes == {"1": 1, "2": 2} and table.info["cells"] == 9


@pytest.mark.parametrize("lr", [1e30])
def test_a_training_that_runs_away_is_a_diverged_row(tmp_path: Path, lr: float) -> None:
    (row,) = train_cells(options(tmp_path, lr=lr).training, [NINE[6]], 1)
    assert row.diverged == 1 and row.accuracy == {}


def test_slices_of_two_machines_are_merged(built: BuildFolder, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    paths = []
    for part, folder in ((Slice(1, 2), tmp_path), (Slice(2, 2), tmp_path / "b")):
        paths.append(folder / f"trials/{part.number}")
        build = BuildFolder.at(paths[-1], f"part{part.number}", options(folder))
        run_build(build, part, trainer=fake)
    with pytest.raises(BenchmarkError, match="not complete: 8 of 18"):
        finish(merge("both", [paths[0]]).build, "both")
    merged = merge("both", [tmp_path / "b"])  # a folder with the slice below it
    assert (merged.added, merged.repeated, merged.unequal) == (8, 0, 0)
    data = finish(merged.build, "both")
    assert data.info["trainings"] == 18 and data.info["cells"] == 9
    again = merge("both", paths)
    assert (again.added, again.repeated, again.unequal) == (0, 18, 0)
    differing = merge("both", [built.run.path])
    assert (differing.added, differing.unequal) == (0, 18)
    assert told(differing.build.rows()) == told(merged.build.rows())  # the first ones stay


def test_slices_with_other_options_are_refused(tmp_path: Path) -> None:
    for name, changes in (("one", {}), ("two", {"lr": 0.2})):
        build = BuildFolder.at(tmp_path / name, name, options(tmp_path, **changes))
        run_build(build, Slice(1, 9), trainer=fake)
    merge("m", [tmp_path / "one"])
    with pytest.raises(BenchmarkError, match=r"two has other options: lr 0.2 instead of 0.1$"):
        merge("m", [tmp_path / "two"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchmarkError, match="no build of a table is there, nor below"):
        merge("m", [tmp_path / "empty"])
    with pytest.raises(BenchmarkError, match="'new' has no build to merge"):
        merge("new", [])


def test_an_interrupted_build_with_other_options_is_refused(tmp_path: Path) -> None:
    build = BuildFolder.at(tmp_path / "mine", "mine", options(tmp_path))
    run_build(build, Slice(1, 9), trainer=fake)
    before = build.rows_path.read_bytes()
    changed = options(tmp_path, epochs=4)
    with pytest.raises(BenchmarkError, match="mine: its build has other options: epochs 3 instead"):
        BuildFolder.at(tmp_path / "mine", "mine", changed)
    images_file = tmp_path / "grey.npz"
    images_file.write_bytes(images_file.read_bytes() + b"\0")  # the same name, other images
    given = {k: v for k, v in build.options.flat().items() if k != "data_sha256"}
    with pytest.raises(BenchmarkError, match="other options: data_sha256 "):
        BuildFolder.at(tmp_path / "mine", "mine", make_build_options(given))
    assert build.rows_path.read_bytes() == before


def test_a_name_that_is_taken_is_refused(built: BuildFolder, tmp_path: Path) -> None:
    finish(built, "mine")
    check_name("mine", built.options)  # its own
    other = options(tmp_path, lr=0.2)
    with pytest.raises(BenchmarkError, match="table name 'mine' is taken by .*mine.npz; choose"):
        check_name("mine", other)
    for name in ("bundled", "nasbench201"):
        with pytest.raises(BenchmarkError, match=f"'{name}' is taken: a benchmark of that name"):
            check_name(name, other)
    with pytest.raises(BenchmarkError, match="use letters, digits"):
        check_name("../x", other)


def test_a_full_disk_is_one_line_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = BuildFolder.at(tmp_path / "full", "full", options(tmp_path))
    written = [0]
    append = rows_module.append_line

    def full(path: Path, line: str) -> None:
        if written[0] == 5:
            raise RunError(f"cannot write {path}: No space left on device")
        written[0] += 1
        append(path, line)

    monkeypatch.setattr(rows_module, "append_line", full)
    with pytest.raises(RunError, match=r"cannot write .*rows.jsonl: No space left on device"):
        run_build(build, trainer=fake)
    assert RunFolder.open(build.run.path).status == "failed" and len(build.rows()) == 5
    monkeypatch.setattr(rows_module, "append_line", append)
    assert run_build(build, trainer=fake) == 13 and len(build.rows()) == 18


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    build = BuildFolder.at(tmp_path / "held", "held", options(tmp_path))
    with held_elsewhere(build.run.path), pytest.raises(OwnedError, match="is being written by"):
        run_build(build, trainer=fake)
    assert build.rows() == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "line 1 is not a training's row"),
        ("[1]", "line 1 is not a training's row"),
        ('{"code": 1e99}', "line 1 is not a training's row"),
        (
            '{"code": 3, "arch": "x", "seed": 1, "accuracy": {"1": {"valid": 101}}, "cpu": 1, '
            '"images": 3}',
            "line 1 is not a training's row",
        ),
        (
            '{"code": 3, "arch": "x", "seed": 1, "accuracy": {}, "cpu": 1, "images": 3}',
            "cell 3 with seed 1 is no training of this build",
        ),
    ],
)
def test_a_foreign_row_is_one_line(tmp_path: Path, line: str, message: str) -> None:
    build = BuildFolder.at(tmp_path / "rows", "rows", options(tmp_path))
    build.rows_path.write_text(line + "\n")
    with pytest.raises((RunError, BenchmarkError), match=message):
        build.rows()


def test_groups_have_one_seed(tmp_path: Path) -> None:
    build = BuildFolder.at(tmp_path / "groups", "groups", options(tmp_path))
    groups = groups_of(build, build.plan.units(), size=4)
    assert [len(group.units) for group in groups] == [4, 4, 1, 4, 4, 1]
    assert [unit for group in groups for unit in group.units] == build.plan.units()
    assert all(len({unit.seed for unit in group.units}) == 1 for group in groups)
