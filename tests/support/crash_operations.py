"""The operations that the crash points are those of; each is small, and made of the real parts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from crash_builds import (
    a_table_is_whole,
    build,
    build_and_pack,
    build_in_slices,
    build_state,
    build_two_slices,
    images_and_cells,
    keep_a_slice_compressed,
    merge,
    pack,
    packed_is_whole,
)
from crash_points import Operation
from crash_tables import (
    cache_bundled,
    import_new,
    import_old,
    table_is_old_or_new,
    table_state,
)

from nni_wiring.files.atomic import replacing_folder
from nni_wiring.monitor.tensorboard import TensorBoardSink
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.search.run import run_search
from nni_wiring.search.selecting import select_again
from nni_wiring.train.config import make_train_config
from nni_wiring.train.run import run_train
from nni_wiring.truth import load_table

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
TINY = {"channels": 4, "cells": 1, "epochs": 2, "max_steps": 2, "batch_size": 8, "threads": 1}
PERTURBATION = {"tune_epochs": 6, "max_steps": 1, "batches": 1}


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
        Operation("cache of the bundled table", cache_bundled, table_state),
        Operation("benchmark build", build, build_state, images_and_cells, a_table_is_whole),
        Operation(
            "benchmark build in slices",
            build_in_slices,
            build_state,
            images_and_cells,
            a_table_is_whole,
        ),
        Operation(
            "benchmark build on compressed rows",
            build,
            build_state,
            keep_a_slice_compressed,
            a_table_is_whole,
        ),
        Operation("benchmark merge", merge, build_state, build_two_slices, a_table_is_whole),
        Operation("benchmark pack", pack, build_state, build_and_pack, packed_is_whole),
        Operation(
            "replace a folder", replace_folder, folder_state, old_folder, folder_is_somewhere
        ),
    )
}
