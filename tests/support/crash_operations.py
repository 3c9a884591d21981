"""The operations that the crash points are those of; each is small, and made of the real parts."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from crash_points import Operation

from nni_wiring.files.atomic import replacing_folder
from nni_wiring.monitor.tensorboard import TensorBoardSink
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from nni_wiring.search.selecting import select_again
from nni_wiring.train.config import make_train_config
from nni_wiring.train.run import run_train
from nni_wiring.truth import load_table
from nni_wiring.truth.catalogue import forget
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.sources import bundled

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
TINY = {"channels": 4, "cells": 1, "epochs": 2, "max_steps": 2, "batch_size": 8, "threads": 1}
PERTURBATION = {"tune_epochs": 6, "max_steps": 1, "batches": 1}
#: Values of the two sources that are imported one after the other.
OLD, NEW = 20.0, 40.0


@contextmanager
def prepare_process(cache: Path) -> Iterator[None]:
    """What all children need, once: the bundled table read, a cache folder, no pictures."""
    with (
        mock.patch.dict(os.environ, {"NNI_WIRING_CACHE": str(cache)}),
        mock.patch.object(TensorBoardSink, "_pictures", lambda self, record: {}),
    ):
        load_table("bundled")
        yield


# --- runs ---


def exact(value: Any) -> Any:
    """A value with its tensors as kind, shape and hash, so that == is bit for bit."""
    if isinstance(value, torch.Tensor):
        content = value.contiguous().numpy().tobytes()
        return str(value.dtype), tuple(value.shape), hashlib.sha256(content).hexdigest()
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(item) for item in value]
    return repr(value)


def run_state(folder: Path) -> dict[str, Any]:
    """All that a run leaves but times, versions and TensorBoard's files."""
    run = RunFolder.open(folder)
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in run.epochs()]
    state: dict[str, Any] = {"records": records, "result": run.result(), "status": run.status}
    state["error"], state["config"] = run.info["error"], run.config
    for path in (run.checkpoint, run.earlier_checkpoint):
        content = torch.load(path, weights_only=True)
        del content["stamp"]["records"]  # the seconds of the epochs are in it
        state |= {f"{path.name} {part}": exact(value) for part, value in content.items()}
    left = (".owner.json", ".room")  # by a kill after the status said "finished"
    state["files"] = sorted(path.name for path in folder.iterdir() if path.name not in left)
    for path in folder.glob("selections/*/*"):  # a temporary file that was left too
        tensors = path.suffix == ".pt"
        same = torch.load(path, weights_only=True) if tensors else path.read_bytes()
        state[f"selection {path.name}"] = exact(same)
    return state


def search(folder: Path, **options: Any) -> None:
    """Search, or go on, as the command does."""
    if not (folder / "run.json").exists():
        run = RunFolder.create(folder, "run", make_config({**TINY, **options}).flat())
        run_search(make_config(run.config), run)
        return
    run = RunFolder.open(folder)
    if run.status != "finished":
        run_search(make_config(run.config), run, resume=True)


def search_and_perturb(folder: Path) -> None:
    """A search that ends with a selection of several steps, each of which is kept."""
    search(folder, selection="perturbation", selection_settings=PERTURBATION)


def select(folder: Path) -> None:
    """Select on a finished search."""
    select_again(RunFolder.open(folder), "perturbation", PERTURBATION)


def train(folder: Path) -> None:
    """Train a cell, or go on."""
    if not (folder / "run.json").exists():
        options = make_train_config({**TINY, "arch": ARCH}).flat()
        run_train(make_train_config(options), RunFolder.create(folder, "run", options))
        return
    run = RunFolder.open(folder)
    if run.status != "finished":
        run_train(make_train_config(run.config), run, resume=True)


# --- tables ---


def _source(path: Path, value: float) -> Path:
    """An official file of one cell, with the curves of one training."""
    curve = {epoch: value + epoch for epoch in range(12)}
    evaluated = {f"x-valid@{epoch}": number for epoch, number in curve.items()}
    training = {f"train_{name}": curve for name in ("acc1es", "losses", "times")}
    training |= {f"eval_{name}": evaluated for name in ("acc1es", "losses", "times")}
    arch = load_table("bundled").arch(0)
    results = {("cifar10-valid", 777): training | {"epochs": 12, "latency": [0.01]}}
    record = {"arch_index": 0, "arch_str": arch, "all_results": results}
    content = {
        "meta_archs": [arch],
        "arch2infos": {0: {"less": record, "full": {}}},
        "evaluated_indexes": {0},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(content, 2))
    path.write_bytes(buffer.getvalue())
    return path


@contextmanager
def _tables_in(folder: Path) -> Iterator[None]:
    with mock.patch.dict(os.environ, {"NNI_WIRING_CACHE": str(folder / "cache")}):
        forget()
        yield
    forget()


def _import(folder: Path, source: str) -> None:
    bundle = load_table("bundled")
    with _tables_in(folder), mock.patch.object(bundled, "load", lambda: bundle.data):
        import_table(folder / source, "mine", partial=True)


def import_old(folder: Path) -> None:
    """Two sources, of which the first is imported."""
    _source(folder / "old.pth", OLD)
    _source(folder / "new.pth", NEW)
    _import(folder, "old.pth")


def import_new(folder: Path) -> None:
    """The second in the place of the first."""
    _import(folder, "new.pth")


def table_is_old_or_new(folder: Path) -> None:
    """A kill leaves a whole table with its own curves."""
    with _tables_in(folder):
        table = load_table("mine")
        start = float(table.curve(0, "cifar10", "valid", 12)[0])
        assert start in (OLD, NEW)
        assert table.values("cifar10", "valid", 12)[0] == start + 11


def table_state(folder: Path) -> dict[str, Any]:
    """The members of all table files, and the bytes of the others, less what has a hidden name."""
    state: dict[str, Any] = {}
    for path in sorted((folder / "cache").rglob("[!.]*")):
        if path.is_dir() or path.parent.name[0] == ".":
            continue
        state[path.name] = path.read_bytes()
        if zipfile.is_zipfile(path):  # the archive says when it was written
            with zipfile.ZipFile(path) as archive:
                state[path.name] = {name: archive.read(name) for name in archive.namelist()}
    return state


def build_bundled(folder: Path) -> None:
    """The cache file of the table that is always there."""
    whole = load_table("bundled").data
    with (
        _tables_in(folder),
        mock.patch.object(bundled, "read_source", lambda source: whole),
    ):
        bundled.load()


# --- folders ---


def old_folder(folder: Path) -> None:
    """An export that is replaced."""
    (folder / "model").mkdir()
    (folder / "model" / "file").write_text("old")


def replace_folder(folder: Path) -> None:
    """Put another in its place."""
    with replacing_folder(folder / "model") as made:
        (made / "file").write_text("new")
        (made / "other").write_text("new")


def folder_is_somewhere(folder: Path) -> None:
    """Old or new, whole; between the two renames under a temporary name only."""
    places = [folder / "model", *folder.glob(".model.*.tmp")]
    contents = [
        sorted(p.read_text() for p in place.iterdir()) for place in places if place.exists()
    ]
    assert ["old"] in contents or ["new", "new"] in contents


def folder_state(folder: Path) -> dict[str, Any]:
    """The files of the export."""
    return {path.name: path.read_bytes() for path in (folder / "model").iterdir()}


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("search", search, run_state),
        Operation("search with a selection", search_and_perturb, run_state),
        Operation("select", select, run_state, prepare=search),
        Operation("train", train, run_state),
        Operation("import", import_new, table_state, import_old, table_is_old_or_new),
        Operation("build", build_bundled, table_state),
        Operation(
            "replace a folder", replace_folder, folder_state, old_folder, folder_is_somewhere
        ),
    )
}
