"""Several seeds at once: each is the run that it is alone, bit for bit, and none harms another."""

from __future__ import annotations

import logging
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import (
    TINY,
    checkpoint,
    differences,
    epochs_without_time,
    new_run,
    resume,
    run,
)

from nni_wiring.errors import ConfigError, RunError
from nni_wiring.monitor.tensorboard import TensorBoardSink
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.search import seeds as module
from nni_wiring.search.config import make_config, make_configs
from nni_wiring.search.process import SearchStopped, StopWhenAsked, cpu_threads, quiet
from nni_wiring.search.run import run_search
from nni_wiring.search.seeds import Seed, new_seeds, run_seeds, share_of_cores
from nni_wiring.search.task import ClassificationTask

QUICK: dict[str, Any] = {"epochs": 2, "max_steps": 2, "threads": 1}
PERTURBATION = {
    "selection": "perturbation",
    "selection_settings": {"tune_epochs": 1, "max_steps": 1, "batches": 1},
}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time, and nothing of the search depends on them."""
    monkeypatch.setattr(TensorBoardSink, "_pictures", lambda self, record: {})


@pytest.fixture
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cores", lambda: 3)


def prepared(path: Path, seeds: tuple[int, ...], **options: Any) -> list[Seed]:
    options = {**QUICK, **options}
    folders = [new_run(path / f"s{seed}", seed=seed, **options) for seed in seeds]
    return [Seed(make_config(folder.config), folder) for folder in folders]


def assert_same(one: RunFolder, other: RunFolder) -> None:
    assert one.status == other.status == "finished"
    assert epochs_without_time(one) == epochs_without_time(other)
    a, b = checkpoint(one), checkpoint(other)
    for part in ("state_dict", "alphas", "optimizer_states", "lr_schedulers", "draws"):
        assert differences(a[part], b[part], part) == []
    left, right = one.result(), other.result()
    assert left is not None and right is not None
    assert {**left, "run_id": ""} == {**right, "run_id": ""}
    assert {**one.config} == {**other.config}


def meet_in_the_first_step(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Nobody passes the first forward pass until ``count`` searches are there."""
    step, barrier, seen = ClassificationTask.training_step, threading.Barrier(count), set()

    def training_step(self: ClassificationTask, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.config.seed not in seen:
            seen.add(self.config.seed)
            barrier.wait(60)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ClassificationTask, "training_step", training_step)


@pytest.mark.parametrize(
    "options",
    [
        {"supernet": "fused"},
        {"strategy": "drnas"},
        {"strategy": "gdas", "track_stats": True},
        PERTURBATION,
    ],
    ids=lambda options: next(iter(options.values())),
)
def test_each_seed_is_the_run_that_it_is_alone(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, three_cores: None
) -> None:
    def spoil(folder: RunFolder, record: EpochRecord) -> None:
        torch.manual_seed(record.epoch)  # as a search that builds now would

    seeds = prepared(tmp_path, (1, 2, 7), **options)
    with monkeypatch.context() as patch:
        meet_in_the_first_step(patch, 3)
        outcomes = run_seeds(seeds, spoil)
    assert [(outcome.seed, outcome.error) for outcome in outcomes] == [(s, None) for s in (1, 2, 7)]
    for outcome in outcomes:
        assert outcome.result == outcome.folder.search_result()
        alone = run(tmp_path / f"alone{outcome.seed}", **QUICK, **options, seed=outcome.seed)
        assert_same(RunFolder.open(outcome.folder.path), alone)
    first, second = (epochs_without_time(outcome.folder) for outcome in outcomes[:2])
    assert first != second


def test_searches_that_draw_from_the_process_take_turns(tmp_path: Path, three_cores: None) -> None:
    seeds = prepared(tmp_path, (1, 2), space="nasbench201_s4")
    assert share_of_cores(seeds[0].config, 2) == (1, 1)
    run_seeds(seeds)
    alone = run(tmp_path / "alone", **QUICK, space="nasbench201_s4", seed=2)
    assert_same(RunFolder.open(seeds[1].folder.path), alone)


def test_a_seed_that_fails_does_not_harm_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, three_cores: None
) -> None:
    alone = run(tmp_path / "alone", **QUICK, seed=3)
    step, passes = ClassificationTask.training_step, [0]

    def training_step(self: ClassificationTask, batch: Any, batch_idx: int) -> torch.Tensor:
        passes[0] += self.config.seed == 2
        if self.config.seed == 2 and passes[0] == 6:  # in the second epoch
            raise RunError("the search diverged")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ClassificationTask, "training_step", training_step)
    one, two, three = run_seeds(prepared(tmp_path, (1, 2, 3)))
    assert two.result is None and str(two.error) == "the search diverged"
    assert RunFolder.open(two.folder.path).status == "failed" and len(two.folder.epochs()) == 1
    assert one.error is None and one.folder.status == "finished"
    assert_same(RunFolder.open(three.folder.path), alone)


def test_ctrl_c_stops_all_and_each_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_cores", lambda: 2)  # the third seed waits for its turn

    def interrupt(folder: RunFolder, record: EpochRecord) -> None:
        if record.epoch == 1:
            raise KeyboardInterrupt

    seeds = prepared(tmp_path, (1, 2, 3), epochs=3)
    with pytest.raises(KeyboardInterrupt):
        run_seeds(seeds, interrupt)
    folders = [RunFolder.open(folder.path) for _, folder in seeds]
    assert [folder.status for folder in folders] == ["interrupted"] * 3
    assert not folders[2].epochs() and any(folder.checkpoint.exists() for folder in folders[:2])
    for folder, seed in zip(folders, (1, 2, 3), strict=True):
        resume(str(folder.path))
        alone = run(tmp_path / f"alone{seed}", **{**QUICK, "epochs": 3}, seed=seed)
        assert_same(RunFolder.open(folder.path), alone)


def test_a_selection_is_stopped_too_and_goes_on_after_it(tmp_path: Path) -> None:
    asked, folder = threading.Event(), new_run(tmp_path / "run", **QUICK, **PERTURBATION)
    config = make_config(folder.config)

    def ask(record: EpochRecord) -> None:
        if record.epoch == 1:
            asked.set()

    with pytest.raises(SearchStopped):
        run_search(config, folder, on_epoch=ask, probes=[StopWhenAsked(asked)])
    again = RunFolder.open(folder.path)
    assert again.status == "interrupted" and len(again.epochs()) == 2
    assert (folder.path / "perturbation.pt").exists()
    resume(str(folder.path))
    assert_same(RunFolder.open(folder.path), run(tmp_path / "whole", **QUICK, **PERTURBATION))


# --- threads of the CPU ---


def in_a_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def test_the_process_keeps_its_number_of_threads(tmp_path: Path, three_cores: None) -> None:
    before, inside = torch.get_num_threads(), []

    def note(record: Any) -> None:
        inside.append(torch.get_num_threads())

    with cpu_threads(2):
        run_seeds(prepared(tmp_path, (1, 2), epochs=1, threads=3), lambda folder, r: note(r))
        assert torch.get_num_threads() == in_a_new_thread() == 2
    folder = new_run(tmp_path / "run", **{**QUICK, "threads": 4}, data="npz:absent.npz")
    with pytest.raises(Exception, match="absent"):
        run_search(make_config(folder.config), folder)
    four = new_run(tmp_path / "four", epochs=1, max_steps=1, threads=4)
    run_search(make_config(four.config), four, on_epoch=note)
    assert inside == [3, 3, 4]
    assert torch.get_num_threads() == in_a_new_thread() == before


def test_a_run_keeps_the_number_that_it_used(tmp_path: Path) -> None:
    with cpu_threads(2):
        folder = run(tmp_path / "run", epochs=1, max_steps=1)
        assert RunFolder.open(folder.path).info["threads"] == 2
    assert folder.config["threads"] is None
    inside: list[int] = []
    started = new_run(tmp_path / "started", epochs=1, max_steps=1)
    started.info = started.info | {"threads": 3}
    started.set_status("interrupted")
    run_search(
        make_config(started.config),
        RunFolder.open(started.path),
        resume=True,
        on_epoch=lambda record: inside.append(torch.get_num_threads()),
    )
    assert inside == [3]


@pytest.mark.parametrize(
    ("cores", "torchs", "count", "options", "expected"),
    [
        (8, 8, 4, {}, (4, 2)),
        (8, 8, 3, {}, (3, 2)),
        (2, 2, 4, {}, (2, 1)),
        (8, 1, 4, {}, (4, 1)),  # OMP_NUM_THREADS=1
        (8, 8, 1, {}, (1, 8)),
        (8, 8, 4, {"threads": 4}, (2, 4)),
        (2, 2, 4, {"threads": 3}, (1, 3)),
        (8, 8, 4, {"operations": {"*": ["noise", "skip_connect"]}}, (1, 8)),
    ],
)
def test_shares_of_the_cores(
    cores: int,
    torchs: int,
    count: int,
    options: dict[str, Any],
    expected: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: torchs)
    assert share_of_cores(make_config({"device": "cpu", **options}), count) == expected


def test_on_cuda_all_run_at_once_unless_they_record_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cores", lambda: 2)
    monkeypatch.setattr(module, "choose_device", lambda name: torch.device("cuda"))
    config = make_config({"device": "cuda", "threads": 2})
    assert share_of_cores(config, 8) == (8, 2)
    graphs = make_config({"device": "cuda", "threads": 2, "cuda_graphs": True})
    assert share_of_cores(graphs, 8) == (1, 2)


def test_notices_are_kept_back_until_the_last_search_has_left() -> None:
    logger = logging.getLogger("pytorch_lightning")
    filters, level = list(warnings.filters), logger.level
    first, second = quiet(), quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert logger.level == logging.ERROR and warnings.filters != filters
    second.__exit__(None, None, None)
    assert (warnings.filters, logger.level) == (filters, level)


# --- the option ---


def test_one_config_for_every_seed() -> None:
    for seeds in ([3, 1], (3, 1), "3,1", " 3, 1 "):
        configs = make_configs({**TINY, "seeds": seeds})
        assert configs == [make_config({**TINY, "seed": seed}) for seed in (3, 1)]
    assert "seeds" not in configs[0].flat()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": []}, ["seeds", "not empty"]),
        ({"seeds": ""}, ["seeds", "''", "whole number"]),
        ({"seeds": 4}, ["seeds", "list", "4"]),
        ({"seeds": {"a": 1}}, ["seeds", "list"]),
        ({"seeds": [1, 2, 1]}, ["seeds", "1 is given twice"]),
        ({"seeds": [1, 2.5]}, ["seeds", "2.5", "whole number"]),
        ({"seeds": [True]}, ["seeds", "True"]),
        ({"seeds": "1,x"}, ["seeds", "'x'"]),
        ({"seeds": "1,,2"}, ["seeds", "''"]),
        ({"seeds": [-1]}, ["seeds", "-1", "from 0"]),
        ({"seeds": [2**31]}, ["seeds", "2147483648", "2147483647"]),
        ({"seeds": [1], "seed": 1}, ["seed and seeds"]),
        ({"seeds": [1], "threads": 0}, ["threads", "greater than or equal to 1"]),
        ({"seeds": [1], "chanels": 1}, ["did you mean 'channels'", "seeds"]),
    ],
)
def test_bad_seeds_are_named_in_one_line(
    options: dict[str, Any], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    with pytest.raises(ConfigError) as caught:
        new_seeds(options)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message
    assert not (tmp_path / "runs").exists()


def test_one_search_takes_no_seeds_but_knows_them() -> None:
    with pytest.raises(ConfigError, match="give seed instead"):
        make_config({"seeds": [1, 2]})
    with pytest.raises(ConfigError, match="did you mean 'seeds'"):
        make_config({"seedss": [1, 2]})
    assert make_config({"seeds": None}) == make_config({})


def test_folders_of_which_one_cannot_be_made_are_all_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path))
    monkeypatch.setattr(module, "new_run_id", lambda strategy, seed: f"{strategy}{seed // 2}")
    with pytest.raises(RunError, match="already holds a run"):
        new_seeds({**TINY, "seeds": [1, 2, 3]})  # 2 and 3 would share a folder
    assert not list(tmp_path.iterdir())
