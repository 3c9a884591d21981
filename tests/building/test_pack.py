"""A complete build in one small file; the oracle is the rows that the test wrote itself."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_truths import NINE, TRAINING, images, listed, options

from nni_wiring.building import finish as finishing
from nni_wiring.building.finish import check_name, finish
from nni_wiring.building.folder import BuildFolder, build_path
from nni_wiring.building.options import make_build_options
from nni_wiring.building.pack import pack
from nni_wiring.building.plan import Unit
from nni_wiring.building.rows import Row
from nni_wiring.commands import main
from nni_wiring.errors import BenchmarkError, RunError
from nni_wiring.files.json_files import to_json
from nni_wiring.search.config import make_config
from nni_wiring.truth import archive
from nni_wiring.truth.benchmarks import BENCHMARKS
from nni_wiring.truth.built import header_of
from nni_wiring.truth.catalogue import forget, load_table, table_names
from nni_wiring.truth.metrics import MetricKey
from nni_wiring.truth.sources import bundled
from nni_wiring.truth.storage import read_table
from search_spaces.cell_codes import NASBENCH201
from search_spaces.uniqueness import exact_class

IMAGES = 2000
CLUTTER = {"space": "nasbench201", "data": "clutter", "protocol": "clutter", "kernels": True}


@pytest.fixture(scope="module")
def bundled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled table's cache file, which takes a second to make."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNI_WIRING_CACHE", str(folder))
        bundled.load()
    return folder / "bundled.npz"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled_file: Path) -> Iterator[Path]:
    """A cache of its own, and a package in which nothing ships yet."""
    (tmp_path / "cache").mkdir()
    shutil.copy(bundled_file, tmp_path / "cache")
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))
    shipped = tmp_path / "shipped"
    monkeypatch.setattr(archive, "SHIPPED", shipped)
    monkeypatch.setattr(finishing, "SHIPPED", shipped)
    forget()
    yield shipped
    forget()


def whole_build(folder: Path, seeds: str) -> tuple[BuildFolder, dict[Unit, Row]]:
    """A build of all 5,260 classes, with drawn accuracies; its rows lie compressed."""
    build = BuildFolder.at(folder, "clutter201", make_build_options({**CLUTTER, "seeds": seeds}))
    draw, rows = np.random.default_rng(7), {}
    lengths = build.options.epochs
    for unit in build.plan.units():
        counts = draw.integers(0, IMAGES + 1, (len(lengths), 2)).tolist()
        accuracy = {
            epochs: {"valid": 100 * a / IMAGES, "test": 100 * b / IMAGES}
            for epochs, (a, b) in zip(lengths, counts, strict=True)
        }
        cpu = float(draw.uniform(1, 4))
        rows[unit] = Row(build.plan.arch(unit.code), unit.seed, accuracy, None, cpu, 8000)
    write(build, rows)
    return build, rows


def write(build: BuildFolder, rows: dict[Unit, Row]) -> bytes:
    lines = [to_json({"code": unit.code, **row.to_json()}) for unit, row in rows.items()]
    content = "".join(f"{line}\n" for line in lines).encode()
    build.rows_path.with_name("rows.jsonl.gz").write_bytes(gzip.compress(content, 1))
    return content


def test_the_whole_space_ships_in_one_small_file(tmp_path: Path, folders: Path) -> None:
    build, rows = whole_build(tmp_path / "kept", "1,2")
    assert len(build.plan.classes) == 5260 and len(build.options.epochs) == 3
    with pytest.raises(BenchmarkError, match="no table 'clutter201'"):
        load_table("clutter201")
    path = pack("clutter201", tmp_path / "kept", folders)
    assert path == folders / "clutter201.npz" and path.stat().st_size < 300_000
    forget()
    table = load_table("clutter201")
    assert "clutter201" in table_names() and table.benchmark is BENCHMARKS.lookup("clutter201")

    # every one of the 15,625 cells has the values of the first of its class, seed by seed
    classes = exact_class(NASBENCH201.cells)
    first = {number: code for code, number in reversed([*enumerate(classes.tolist())])}
    own = [first[number] for number in classes[table.codes].tolist()]
    assert len(own) == 15625 and len(set(own)) == 5260
    for epochs in build.options.epochs:
        for part in ("valid", "test"):
            for seed in (1, 2):
                expected = [rows[Unit(code, seed)].accuracy[epochs][part] for code in own]
                found = table.values("clutter", part, epochs, seed=seed)
                assert np.allclose(found, expected, atol=1e-5)  # multiples of .05: nothing is lost
    seconds = [np.mean([rows[Unit(code, seed)].cpu for seed in (1, 2)]) for code in own]
    assert np.abs(table.seconds("clutter") - seconds).max() < 4 * 6 / 65534
    assert make_config({"benchmark": "clutter201"}).benchmark == "clutter201"


def nine(folder: Path, **changes: Any) -> tuple[BuildFolder, dict[Unit, Row]]:
    """Nine cells with odd figures, one of them diverged, as the build "mine"."""
    build = BuildFolder.at(build_path("mine"), "mine", options(folder, **changes))
    rows = {}
    for number, unit in enumerate(build.plan.units()):
        lengths = (1,) if number == 4 else (1, 2, 3)
        accuracy = {e: {"valid": 100 * (number + e) / 37, "test": e / 3} for e in lengths}
        diverged = 2 if number == 4 else None
        arch = build.plan.arch(unit.code)
        rows[unit] = Row(arch, unit.seed, accuracy, diverged, 1.0 + number, 24)
    write(build, rows)
    return build, rows


def test_a_part_of_the_space_keeps_what_a_table_has(tmp_path: Path) -> None:
    build, _ = nine(tmp_path)
    plain, packed = finish(build, "mine"), read_table(pack("mine", build.run.path, tmp_path))
    assert set(plain.metrics) == set(packed.metrics)
    for key, metric in plain.metrics.items():
        other = packed.metrics[key]
        assert np.allclose(metric.trials, other.trials, rtol=0, atol=0.00501, equal_nan=True)
        assert np.array_equal(metric.seeds, other.seeds)
        assert np.allclose(metric.mean, other.mean, rtol=0, atol=0.00501, equal_nan=True)
    for cost, column in plain.costs.items():
        assert np.allclose(column, packed.costs[cost], atol=20 / 65534, equal_nan=True)
    assert header_of(packed.benchmark) == header_of(plain.benchmark)
    assert packed.info["diverged"] == plain.info["diverged"] != {}


def test_it_says_how_it_came_about(tmp_path: Path) -> None:
    build, rows = nine(tmp_path, lr=0.05)
    done = CliRunner().invoke(
        main, ["benchmark", "pack", "mine", "--to", str(tmp_path / "out"), "--json"]
    )
    assert done.exit_code == 0, done.output
    answer = json.loads(done.output)
    assert answer["bytes"] == (tmp_path / "out/mine.npz").stat().st_size
    assert answer["rows_sha256"] == hashlib.sha256(write(build, rows)).hexdigest()
    assert (
        f"benchmark build --space nasbench201 --data {images(tmp_path)} --protocol short "
        "--name mine --seeds 1,2 --cells FILE --set "
    ) in answer["command"]
    assert "--set lr=0.05" in answer["command"] and "--set eval_epochs=[1,2]" in answer["command"]
    info = read_table(tmp_path / "out/mine.npz").info
    assert info["versions"] == build.run.info["versions"]
    words = answer["command"].split(" --set ")
    changed = dict(word.split("=", 1) for word in words[1:])
    given = {key: json.loads(value) for key, value in changed.items()}
    base = {"space": "nasbench201", "data": images(tmp_path), "seeds": "1,2"}
    again = make_build_options({**base, "cell_list": listed(tmp_path, NINE), **given})
    assert again.digest == build.options.digest
    assert set(given) == {*TRAINING, "lr"}


def test_whole_seeds_of_a_half_built_one_are_packed(tmp_path: Path) -> None:
    build, rows = nine(tmp_path)
    del rows[max(rows, key=lambda unit: unit.seed)]
    content = write(build, rows)
    path = pack("mine", build.run.path, tmp_path / "out", "1")
    own = [line for line in content.splitlines(keepends=True) if json.loads(line)["seed"] == 1]
    found = read_table(path)
    assert found.info["rows_sha256"] == hashlib.sha256(b"".join(own)).hexdigest()
    assert " --seeds 1 " in found.info["command"] and found.info["trainings"] == len(own) == 9
    [dataset] = found.benchmark.dataset_names
    last = build.options.epochs[-1]
    values = found.metrics[MetricKey(dataset, "test", last)].trials
    assert values is not None and len(values) == 1
    for unit, row in rows.items():
        if unit.seed == 1:
            expected = row.accuracy[last]["test"] if last in row.accuracy else np.nan
            place = list(found.codes).index(unit.code)
            assert values[0][place] == pytest.approx(expected, abs=0.0051, nan_ok=True)
    for wrong, line in {
        "1,2": "1 of 18 trainings are missing",
        "3": "seeds: 3 is none of the build's; allowed: 1, 2",
        "x": "seeds: 'x'",
    }.items():
        with pytest.raises(BenchmarkError, match=line):
            pack("mine", build.run.path, tmp_path / "no", wrong)
    assert not (tmp_path / "no").exists()


def test_a_half_built_one_is_refused(tmp_path: Path) -> None:
    build, rows = nine(tmp_path)
    del rows[next(iter(rows))]
    write(build, rows)
    with pytest.raises(BenchmarkError) as caught:
        pack("mine", build.run.path, tmp_path)
    assert str(caught.value) == (
        "table 'mine' is not complete: 1 of 18 trainings are missing, of 1 cells "
        f"({NINE[0]}); only a whole table is packed"
    )
    assert not (tmp_path / "mine.npz").exists()


def test_a_name_that_ships_is_taken(tmp_path: Path, folders: Path) -> None:
    build, _ = nine(tmp_path)
    pack("mine", build.run.path, folders)
    check_name("mine", build.options)  # the build that it came from
    with pytest.raises(BenchmarkError, match="is taken by .*choose another --name$"):
        check_name("mine", options(tmp_path, lr=0.01))


def test_rows_that_lie_compressed_go_on(tmp_path: Path) -> None:
    build, rows = nine(tmp_path)
    last = [*rows][-1]
    kept = {unit: row for unit, row in rows.items() if unit != last}
    write(build, kept)
    assert build.missing() == [last]
    build.add([(last, rows[last])])
    assert build.rows() == rows
    build.rows_path.unlink()
    build.rows_path.with_name("rows.jsonl.gz").write_bytes(gzip.compress(b"x" * 4000)[:30])
    with pytest.raises(RunError, match="rows.jsonl.gz cannot be unpacked"):
        build.rows()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"payload_sha256": "0" * 64}, "its checksum is wrong"),
        ({"classes": 8}, "has not the"),
        ({"classes": 2**30}, "would be too large"),
        ({"classes": -1}, "would be too large"),
        ({"seeds": [1]}, "has not the"),
        ({"step": "x"}, "not a readable table file"),
        ({"metrics": [["grey", "valid"]]}, "not a readable table file"),
        ({"cost_units": []}, "not a readable table file"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, change: dict[str, Any], line: str) -> None:
    build, _ = nine(tmp_path)
    path = pack("mine", build.run.path, tmp_path)
    with np.load(path) as content:
        header = json.loads(content["header"].tobytes())
        payload = content["payload"]
    archive.save_arrays(path, header | change, {"payload": payload})
    with pytest.raises(BenchmarkError, match=line) as caught:
        read_table(path)
    assert "mine.npz" in str(caught.value) and "\n" not in str(caught.value)
