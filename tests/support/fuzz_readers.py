"""Every reader of files from elsewhere, each with small valid files to begin with."""

from __future__ import annotations

import bz2
import gzip
import json
import pickle
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from synthetic_runs import write_run

from nni_wiring.commands.benchmark import _read_columns
from nni_wiring.data import imagenet16, load_data
from nni_wiring.files.gzipped import write_gzipped
from nni_wiring.files.tensors import tensors_of
from nni_wiring.report.analysis import analyse_run
from nni_wiring.report.sections import run_json, run_sections
from nni_wiring.runs.kept import kept_runs
from nni_wiring.runs.stamp import Stamp
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.kept import parts_of, read_kept
from nni_wiring.service.experiment import read_experiment
from nni_wiring.service.resolve import run_of
from nni_wiring.studies.kept_studies import judged_again, keep_study, read_study
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.standing import STATES
from nni_wiring.train.arch import parse_cell
from nni_wiring.train.run import training_epochs
from nni_wiring.truth import load_table, table_for
from nni_wiring.truth.catalogue import table_path
from nni_wiring.truth.curves import CurveFile
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.storage import read_table
from nni_wiring.tuners.journal import Journal
from search_spaces.registry import SPACES
from tests.data.test_npz import _arrays, _jpeg, _packed, _smooth
from tests.truth.test_hostile_files import COLUMNS, legacy, pth, record, table


@dataclass(frozen=True)
class Reader:
    """A reader and what it reads.

    Attributes:
        name: of the kind of file.
        make: write small valid files of the kind into an empty folder.
        read: read them as a command does; WiringError where that is refused.
        share: of the inputs that the others get; a slow one gets fewer.
    """

    name: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    share: float = 1.0


def _written(name: str, content: Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content())


def _imported(name: str, **options: Any) -> Callable[[Path], object]:
    return lambda folder: import_table(
        folder / name, "fuzzed", partial=True, make_default=False, **options
    )


def _csv() -> bytes:
    cells = [load_table("bundled").arch(index) for index in range(4)]
    return (
        "arch,acc\n" + "".join(f"{arch},{50 + i / 4}\n" for i, arch in enumerate(cells))
    ).encode()


def _parquet(folder: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    cells = [load_table("bundled").arch(index) for index in range(4)]
    content = pyarrow.table({"arch": cells, "acc": [50.0, 51.0, 52.0, 53.0]})
    pyarrow.parquet.write_table(content, folder / "a.parquet")


def _columns(folder: Path) -> None:
    (folder / "a.csv").write_bytes(_csv())
    (folder / "columns.yml").write_text("".join(f"{k}: {v}\n" for k, v in COLUMNS.items()))


def _with_columns(folder: Path) -> object:
    columns = _read_columns(folder / "columns.yml")
    return _imported("a.csv", columns=columns)(folder)


def _table(folder: Path) -> None:
    (folder / "a.pth").write_bytes(pth(table()))
    _imported("a.pth")(folder)
    shutil.copy(table_path("fuzzed"), folder / "t.npz")
    (curves,) = table_path("fuzzed").parent.glob("fuzzed-*.curves")
    shutil.copy(curves, folder / "t.curves")
    (folder / "a.pth").unlink()


def _read_curves(folder: Path) -> None:
    curves = CurveFile(folder / "t.curves")
    for key in curves.keys:
        for seed in curves.seeds(0, key):
            curves.get(0, key, seed)
        curves.points(0, key, 3)


def _images(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(folder / "own.npz", **arrays)


def _batch() -> bytes:
    data = np.arange(3 * 768, dtype=np.uint8).reshape(3, 768)
    return pickle.dumps({"data": data, "labels": [1, 120, 1000], "mean": data.mean(0)}, 4)


def _run(folder: Path) -> None:
    result = {"arch": load_table("bundled").arch(3), "epochs": 2, "seconds": 3.0}
    write_run(folder / "r", "cccccc sssscc", result=result)


def _explained(folder: Path) -> None:
    run = RunFolder.open(folder / "r")
    make_config(run.config)
    run.to_frame()
    analysis = analyse_run(run, table_for("nasbench201"))
    for section in run_sections(analysis):
        list(section.lines())
    json.dumps(run_json(analysis, None))


def _checkpoint(folder: Path) -> None:
    _run(folder)
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state: dict[str, Any] = {"epochs": 2, "network": network.state_dict()}
    state |= {"optimizer": optimizer.state_dict(), "random": {"torch": torch.get_rng_state()[:64]}}
    run = RunFolder.open(folder / "r")
    state["stamp"] = Stamp.of(run, run.config, 2, parts_of(state)).to_plain()
    torch.save(state, run.checkpoint)


def _resumed(folder: Path) -> None:
    run = RunFolder.open(folder / "r")
    read_kept(run.checkpoint, training_epochs).check(run, run.config)
    with tensors_of(run.checkpoint) as state:
        network = torch.nn.Sequential(torch.nn.Linear(2, 2))
        network.load_state_dict(state["network"])


def _kept(folder: Path) -> None:
    _run(folder)
    run = RunFolder.open(folder / "r")
    selections = {"magnitude": {"arch": run.result()["arch"]}}  # type: ignore[index]
    value = {"run": run.info, "epochs": run.epochs(), "result": run.result()}
    text = json.dumps(value | {"selections": selections}).encode()
    (folder / "s1.json.gz").write_bytes(gzip.compress(text))
    shutil.rmtree(folder / "r")


def _kept_study(folder: Path) -> None:
    rows = [
        {"layer": 0, "edge": edge, "kernel": kernel, "largest": 1.5, "typical": 0.5}
        for edge, kernel in (("0-1", 3), ("0-3", 1))
    ]
    labels = [f"pair1-{cell}-s1-{state}" for cell in ("wide", "deep") for state in STATES]
    options = study("block-norms").options({"data": "digits", "pairs": 1, "max_steps": 1})
    value = {"study": "block-norms", "options": options, "parts": dict.fromkeys(labels, rows)}
    write_gzipped(folder / "s.json.gz", value)


def _kept_pairs(folder: Path) -> None:
    found = study("rewired-pairs")
    options = found.options({"benchmark": "clutter201"})
    run_study(found, options, folder / "study")
    keep_study(found, options, folder / "study", folder / "p.json.gz")
    shutil.rmtree(folder / "study")


def _experiment(folder: Path) -> None:
    (folder / "e1" / "db").mkdir(parents=True)
    (folder / "e1" / "trials" / "t1").mkdir(parents=True)
    (folder / "e1" / "trials" / "t1" / "trial.stderr").write_text("Traceback\nerror: no data\n")
    profile = {
        "experimentName": "a",
        "maxTrialNumber": 2,
        "searchSpace": {"a": {"_type": "choice"}},
    }
    with closing(sqlite3.connect(folder / "e1" / "db" / "nni.sqlite")) as database, database:
        database.execute("pragma page_size = 512")
        database.executescript(
            "create table ExperimentProfile(params text, revision integer);"
            "create table TrialJobEvent(trialJobId text, event text, data text, sequenceId,"
            " timestamp integer);"
            "create table MetricData(trialJobId text, parameterId, type text, sequence, data);"
        )
        database.execute("insert into ExperimentProfile values(?, 1)", (json.dumps(profile),))
        parameters = json.dumps({"parameter_id": 0, "parameters": {"a": 1}})
        for event in ("WAITING", "RUNNING", "FAILED"):
            row = ("t1", event, parameters, 0, 1)
            database.execute("insert into TrialJobEvent values(?, ?, ?, ?, ?)", row)
        final = json.dumps(json.dumps({"default": 1.5, "arch": "x"}))
        database.execute("insert into MetricData values('t1', '0', 'FINAL', 0, ?)", (final,))


def _read_experiment(folder: Path) -> None:
    experiment = read_experiment(folder / "e1")
    for trial in experiment.trials:
        run_of(trial, experiment)


_CALLS = b'{"cell": [0, 1], "value": null}\n{"cell": [0, 1], "value": 0.5}\n'
_OPTIONS = b'{"strategy": "gdas", "channels": 8, "epochs": 3, "lr": 0.1, "seed": 1}'


def _cells() -> bytes:
    pairs = "0-1=none;0-2=none;0-3=none;1-2=none;1-3=none;2-3=none"
    return f"{load_table('bundled').arch(7)}\n{pairs}\n".encode()


def _parsed_cells(folder: Path) -> None:
    for line in (folder / "cells.txt").read_bytes().decode(errors="replace").splitlines():
        parse_cell(SPACES["nasbench201"], line)


READERS = (
    Reader("official table", _written("a.pth", lambda: pth(table())), _imported("a.pth")),
    Reader("legacy table", _written("a.pth", lambda: legacy(table())), _imported("a.pth")),
    Reader(
        "NATS-Bench",
        _written("000000.pickle.pbz2", lambda: bz2.compress(pickle.dumps({"12": record()}, 4))),
        lambda folder: _imported(".")(folder),
    ),
    Reader("csv", _written("a.csv", _csv), _imported("a.csv", columns=COLUMNS)),
    Reader(
        "csv.gz",
        _written("a.csv.gz", lambda: gzip.compress(_csv())),
        _imported("a.csv.gz", columns=COLUMNS),
    ),
    Reader("parquet", _parquet, _imported("a.parquet", columns=COLUMNS), 0.02),
    Reader("column map", _columns, _with_columns),
    Reader("table file", _table, lambda folder: read_table(folder / "t.npz")),
    Reader("curve file", _table, _read_curves),
    Reader(
        "npz arrays",
        lambda folder: _images(folder, _arrays()),
        lambda folder: load_data(f"npz:{folder}/own.npz"),
    ),
    Reader(
        "npz jpeg",
        lambda folder: _images(folder, _packed([_jpeg(_smooth(i)) for i in range(6)], 4)),
        lambda folder: load_data(f"npz:{folder}/own.npz"),
    ),
    Reader(
        "ImageNet16",
        _written("train_data_batch_1", _batch),
        lambda folder: imagenet16._read_batch("imagenet16", folder / "train_data_batch_1"),
    ),
    Reader("run folder", _run, _explained, 0.5),
    Reader("checkpoint", _checkpoint, _resumed),
    Reader("kept rows", _kept, lambda folder: kept_runs([folder / "s1.json.gz"])),
    Reader(
        "kept study",
        _kept_study,
        lambda folder: judged_again(read_study(folder / "s.json.gz"), folder / "study"),
    ),
    Reader(
        "kept pairs",
        _kept_pairs,
        lambda folder: judged_again(read_study(folder / "p.json.gz"), folder / "study"),
        0.5,
    ),
    Reader("NNI experiment", _experiment, _read_experiment),
    Reader(
        "tuner journal",
        _written("wiring-tuner.jsonl", lambda: _CALLS),
        lambda folder: Journal(folder).read(),
    ),
    Reader("cells", _written("cells.txt", _cells), _parsed_cells),
    Reader(
        "options",
        _written("run.json", lambda: _OPTIONS),
        lambda folder: make_config(_object(folder / "run.json")),
    ),
)


def _object(path: Path) -> dict[str, Any]:
    from nni_wiring.files.json_files import read_object

    return read_object(path) or {}
