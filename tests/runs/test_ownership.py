"""One writer a run: a second process is refused, a dead one's run is taken over."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from owners import contents, held_elsewhere

from nni_wiring.errors import OwnedError, RunError
from nni_wiring.runs.ownership import owned
from nni_wiring.runs.store import RunFolder
from nni_wiring.service.resolve import resolve

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "r1", "r1", {"strategy": "darts"})


def test_the_second_process_is_told_the_owner_and_a_dead_ones_run_is_taken_over(
    run: RunFolder,
) -> None:
    with held_elsewhere(run.path) as process:
        before = contents(run.path)
        with pytest.raises(OwnedError) as caught, owned(run):
            pass
        text = str(caught.value)
        assert f"process {process.pid} " in text and "r1" in text and "\n" not in text
        assert contents(run.path) == before
        process.kill()  # SIGKILL: it says no good-bye, and its note stays
        process.wait()
        assert contents(run.path) == before
        with owned(run):
            run.set_status("interrupted")
    assert RunFolder.open(run.path).status == "interrupted"
    assert set(contents(run.path)) == {"run.json", ".owner.lock"}


def test_nested_in_one_thread_but_not_in_two(run: RunFolder) -> None:
    with owned(run):
        with owned(RunFolder.open(run.path)):
            pass
        with pytest.raises(OwnedError):
            _in_a_thread(run)  # the inner block gave nothing away
    _in_a_thread(run)  # the outer block did


def test_two_runs_are_owned_apart(run: RunFolder, tmp_path: Path) -> None:
    other = RunFolder.create(tmp_path / "r2", "r2", {})
    with held_elsewhere(run.path), owned(other):
        other.set_status("failed", "x")
    assert other.status == "failed"


def test_an_owner_reads_what_the_owner_before_wrote(run: RunFolder) -> None:
    RunFolder.open(run.path).set_status("finished")
    assert run.status == "running"
    with owned(run):
        assert run.status == "finished"


def test_an_error_in_the_block_gives_the_run_back(run: RunFolder) -> None:
    with pytest.raises(KeyboardInterrupt), owned(run):
        raise KeyboardInterrupt
    with owned(run):
        pass


def test_a_lock_that_leads_elsewhere_is_refused(run: RunFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    (run.path / ".owner.lock").symlink_to(outside)
    with pytest.raises(RunError, match="regular file"), owned(run):
        pass
    assert outside.read_text() == "kept"


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"pid": "x", "host": 3}'])
def test_a_damaged_note_of_the_owner_is_no_obstacle(run: RunFolder, note: bytes) -> None:
    with owned(run):
        (run.path / ".owner.json").write_bytes(note)
        with pytest.raises(OwnedError, match="another process"):
            _in_a_thread(run)


def test_control_characters_of_a_note_are_escaped(run: RunFolder) -> None:
    with owned(run):
        (run.path / ".owner.json").write_text('{"pid": 7, "command": "a\\u001b[31m\\nb"}')
        with pytest.raises(OwnedError) as caught:
            _in_a_thread(run)
    assert "process 7" in str(caught.value) and str(caught.value).isprintable()


def _in_a_thread(run: RunFolder) -> None:
    """Ask for the run as somebody else, and raise here what came of it."""
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            with owned(RunFolder.open(run.path)):
                pass
        except RunError as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    for error in raised:
        raise error


KILLED_IN_A_WRITE = """
import os, signal, sys
from nni_wiring.runs.store import RunFolder
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "create":
    RunFolder.create(sys.argv[1], "r1", {})
else:
    RunFolder.open(sys.argv[1]).set_status("failed", "x")
"""


def _killed_in_a_write(path: Path, action: str) -> None:
    program = [sys.executable, "-c", KILLED_IN_A_WRITE, str(path), action]
    assert subprocess.run(program, cwd=REPO).returncode == -signal.SIGKILL


def test_the_next_owner_sweeps_what_a_killed_write_left_and_nothing_else(run: RunFolder) -> None:
    before = contents(run.path)
    _killed_in_a_write(run.path, "set_status")
    (stray,) = set(contents(run.path)) - set(before)
    assert stray.startswith(".run.json.")
    others = {".hidden": b"1", "x.tmp": b"2", ".editor.tmp": b"3", f"report/{stray}": b"4"}
    (run.path / "report").mkdir()
    for name, content in others.items():
        (run.path / name).write_bytes(content)
    with owned(run):
        assert not (run.path / stray).exists()
    assert contents(run.path) == before | others | {".owner.lock": b""}


def test_a_half_created_run_is_passed_over_and_can_be_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path))
    whole = RunFolder.create(tmp_path / "r0", "r0", {})
    half = tmp_path / "r1"
    _killed_in_a_write(half, "create")
    assert [name.startswith(".run.json.") for name in contents(half)] == [True]
    assert [run.run_id for run in resolve("latest")] == [whole.run_id]
    with pytest.raises(RunError, match=r"r1 holds no run: run\.json is missing"):
        resolve("r1")
    with owned(RunFolder.create(half, "r1", {})):
        pass
    assert set(contents(half)) == {"run.json", ".owner.lock"}
