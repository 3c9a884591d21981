"""Builds of one name at once: one begins, the other is told who; no row under other options."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from owners import contents, held_elsewhere
from tiny_truths import NINE, images, listed, options

from nni_wiring.building import folder as folder_module
from nni_wiring.building import work
from nni_wiring.building.folder import BuildFolder, build_path
from nni_wiring.building.merge import merge
from nni_wiring.commands import main
from nni_wiring.errors import BenchmarkError, OwnedError, WiringError
from nni_wiring.runs.store import RunFolder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path / "cache"))


def elsewhere(act: Callable[[], object]) -> WiringError | None:
    """Do it as somebody else; the refusal."""
    raised: list[WiringError] = []

    def run() -> None:
        try:
            act()
        except WiringError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_of_two_that_begin_at_once_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = options(tmp_path), options(tmp_path, lr=0.3)
    create, refused = RunFolder.create, []

    def late(*given: Any, **more: Any) -> RunFolder:
        monkeypatch.setattr(RunFolder, "create", create)
        refused.append(elsewhere(lambda: BuildFolder.at(tmp_path / "b", "b", other)))
        return create(*given, **more)

    monkeypatch.setattr(RunFolder, "create", late)
    build = BuildFolder.at(tmp_path / "b", "b", mine)
    assert isinstance(refused[0], OwnedError) and "run b is being written by" in str(refused[0])
    assert BuildFolder.open(build.run.path).options == mine
    with pytest.raises(BenchmarkError, match=r"other options: lr 0.1 instead of 0.3"):
        BuildFolder.at(tmp_path / "b", "b", other)


def test_a_build_that_was_killed_while_it_began_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folder_module.BuildFolder, "begun", die)
        with pytest.raises(KeyboardInterrupt):
            BuildFolder.at(tmp_path / "b", "b", options(tmp_path))
    assert set(contents(tmp_path / "b")) == {"run.json", ".owner.lock"}
    BuildFolder.at(tmp_path / "b", "b", options(tmp_path))
    assert BuildFolder.open(tmp_path / "b").options == options(tmp_path)


def test_a_merge_that_was_killed_while_it_began_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    part = BuildFolder.at(tmp_path / "part", "part", options(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(folder_module.BuildFolder, "begun", die)
        with pytest.raises(KeyboardInterrupt):
            merge("mine", [part.run.path])
    assert set(contents(build_path("mine"))) == {"run.json", ".owner.lock"}
    assert merge("mine", [part.run.path]).build.options == part.options
    assert BuildFolder.open(build_path("mine")).options == part.options
    RunFolder.create(build_path("other"), "other", {"arch": "x"})  # a run of something else
    with pytest.raises(BenchmarkError, match="other holds a run, but no build of a table"):
        merge("other", [part.run.path])


def test_who_comes_while_a_bad_build_is_cleared_away_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []

    def bad(build: BuildFolder, *given: Any) -> int:
        again = options(tmp_path)
        answers.append(elsewhere(lambda: BuildFolder.at(build_path("mine"), "mine", again)))
        raise BenchmarkError("bad input")

    monkeypatch.setattr(work, "run_build", bad)
    given = ["--space", "nasbench201", "--data", images(tmp_path), "--name", "mine"]
    done = CliRunner().invoke(
        main, ["benchmark", "build", *given, "--cells", listed(tmp_path, NINE)]
    )
    assert done.exit_code == 1 and "error: bad input" in done.output
    assert isinstance(answers[0], OwnedError)  # and has no build that would be gone now
    assert not build_path("mine").exists()


def test_a_merge_into_a_build_of_another_process_is_refused(tmp_path: Path) -> None:
    build = BuildFolder.at(build_path("mine"), "mine", options(tmp_path))
    with held_elsewhere(build.run.path) as owner:
        before = contents(build.run.path)
        with pytest.raises(OwnedError, match=f"by process {owner.pid} "):
            merge("mine", [])
        assert contents(build.run.path) == before
