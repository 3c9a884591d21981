"""The run folder: what was written can be read, foreign content is refused in one clear line."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from nni_wiring.errors import RunError
from nni_wiring.files.atomic import replace_file
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder, new_run_id, runs_root

VALID = {"run_id": "r1", "format": 1, "status": "running", "error": None, "config": {}}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(
        tmp_path / "r1", "r1", {"strategy": "darts", "seed": 1}, trial_id="Tx", parameter_id=4
    )


def assert_one_line(caught: pytest.ExceptionInfo[RunError], *words: str) -> None:
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500
    for word in words:
        assert word in text


def test_created_run_reads_back(run: RunFolder) -> None:
    again = RunFolder.open(run.path)
    assert again.run_id == "r1" and again.status == "running"
    assert again.config == {"strategy": "darts", "seed": 1}
    assert (again.info["trial_id"], again.info["parameter_id"], again.info["experiment_id"]) == (
        "Tx",
        4,
        None,
    )
    assert again.info["versions"]["python"].startswith("3.")
    assert again.epochs() == [] and again.result() is None
    assert (again.tensorboard, again.checkpoint, again.report) == tuple(
        run.path / name for name in ("tensorboard", "checkpoint.pt", "report")
    )


def test_create_leaves_other_files_alone_and_refuses_a_second_run(tmp_path: Path) -> None:
    (tmp_path / "trial.log").write_text("log")
    RunFolder.create(tmp_path, "a", {})
    assert (tmp_path / "trial.log").read_text() == "log"
    with pytest.raises(RunError) as caught:
        RunFolder.create(tmp_path, "b", {})
    assert_one_line(caught, "already holds a run")
    assert RunFolder.open(tmp_path).run_id == "a"


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", ".hidden", "a\nb", "x" * 200, "<b>"])
def test_run_id_must_be_a_file_name(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(RunError) as caught:
        RunFolder.create(tmp_path / "r", run_id, {})
    assert_one_line(caught, "run_id")


def test_epochs_are_appended_as_plain_strict_json(run: RunFolder) -> None:
    run.append_epoch({"epoch": 0, "loss": np.float32(0.5), "z": np.eye(2), "steps": np.int64(3)})
    run.append_epoch({"epoch": 1, "loss": float("nan"), "regret": [float("inf"), 1.0]})
    assert run.epochs() == [
        {"epoch": 0, "loss": 0.5, "z": [[1.0, 0.0], [0.0, 1.0]], "steps": 3},
        {"epoch": 1, "loss": None, "regret": [None, 1.0]},
    ]
    lines = (run.path / "epochs.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail)["epoch"] for line in lines] == [0, 1]


@pytest.mark.parametrize("tail", ['{"epoch": 2, "al', '{"epoch": 2}', "\x00\x00", "é"])
def test_cut_off_last_line_is_dropped_and_overwritten(run: RunFolder, tail: str) -> None:
    run.append_epoch({"epoch": 0})
    run.append_epoch({"epoch": 1})
    with (run.path / "epochs.jsonl").open("ab") as stream:
        stream.write(tail.encode()[:-1] if tail == "é" else tail.encode())
    assert [record["epoch"] for record in run.epochs()] == [0, 1]
    run.append_epoch({"epoch": 2, "whole": True})
    assert run.epochs() == [{"epoch": 0}, {"epoch": 1}, {"epoch": 2, "whole": True}]


def test_keep_epochs_drops_what_a_resume_runs_again(run: RunFolder) -> None:
    for epoch in range(5):
        run.append_epoch({"epoch": epoch})
    run.keep_epochs(3)
    assert [record["epoch"] for record in run.epochs()] == [0, 1, 2]
    run.append_epoch({"epoch": 3})
    run.keep_epochs(0)
    assert run.epochs() == []


@pytest.mark.parametrize(
    "record", [{}, {"epoch": -1}, {"epoch": "0"}, {"epoch": True}, {"epoch": 1.0}]
)
def test_record_without_an_epoch_number_is_refused(
    run: RunFolder, record: dict[str, object]
) -> None:
    with pytest.raises(RunError) as caught:
        run.append_epoch(record)
    assert_one_line(caught, "epoch")
    assert run.epochs() == []


def test_a_typed_record_and_a_plain_one_leave_the_same_line(run: RunFolder) -> None:
    plain = {"epoch": 0, "seconds": 1.5, "steps": 3, "loss": {"train": 2.0}, "arch": "|none~0|"}
    run.append_epoch(plain)
    run.append_epoch(EpochRecord.from_json({**plain, "epoch": 1}))
    lines = [json.loads(line) for line in (run.path / "epochs.jsonl").read_text().splitlines()]
    assert lines == [plain, {**plain, "epoch": 1}]
    assert run.records() == [EpochRecord.from_json(line) for line in lines]


def test_status_and_result(run: RunFolder) -> None:
    run.set_status("failed", "DataError: no images\nTraceback ...")
    again = RunFolder.open(run.path)
    assert (again.status, again.info["error"]) == ("failed", "DataError: no images")
    run.set_status("running")
    assert RunFolder.open(run.path).info["error"] is None
    run.write_result({"arch": "|none~0|", "default": 12.5})
    assert again.result() == {"arch": "|none~0|", "default": 12.5}
    with pytest.raises(ValueError, match="allowed: running, finished, failed, interrupted"):
        run.set_status("done")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b'{"run_id": "r1", "for', "truncated or not JSON"),
        (b"[" * 100_000, "truncated or not JSON"),
        (b'{"x": ' + b"9" * 10_000 + b"}", "truncated or not JSON"),
        (b"\xff\xfe\x00", "truncated or not JSON"),
        (b"[1, 2]", "holds a list"),
        (json.dumps(VALID | {"run_id": 7}).encode(), "run_id"),
        (json.dumps(VALID | {"run_id": "../../etc"}).encode(), "run_id"),
        (json.dumps(VALID | {"format": 2}).encode(), "format 2"),
        (json.dumps(VALID | {"status": "<script>"}).encode(), "status"),
        (json.dumps(VALID | {"config": [1]}).encode(), "config"),
        (json.dumps(VALID | {"versions": "x"}).encode(), "versions"),
        (json.dumps(VALID | {"error": {"a": 1}}).encode(), "error"),
        (json.dumps(VALID | {"parameter_id": True}).encode(), "parameter_id"),
    ],
)
def test_foreign_run_json_is_one_line(tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunError) as caught:
        RunFolder.open(tmp_path)
    assert_one_line(caught, "run.json", word)


def test_missing_folder_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        RunFolder.open(tmp_path / "nothing\nhere")
    assert_one_line(caught, "no run folder")
    with pytest.raises(RunError) as caught:
        RunFolder.open(tmp_path)
    assert_one_line(caught, "run.json is missing")


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n",
        b"[0]\n",
        b'{"epoch": 1}\n{"epoch": 0}\n',
        b'{"epoch": 0}\n\xff\n',
        b'{"epoch": "0"}\n',
        b'{"epoch": 0}\n\n',
    ],
)
def test_foreign_epochs_are_one_line(run: RunFolder, content: bytes) -> None:
    (run.path / "epochs.jsonl").write_bytes(content)
    with pytest.raises(RunError) as caught:
        run.epochs()
    assert_one_line(caught, "epochs.jsonl line")


@pytest.mark.parametrize("name", ["run.json", "epochs.jsonl", "result.json"])
def test_links_out_of_the_folder_are_not_followed(
    run: RunFolder, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text(json.dumps(VALID))
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).symlink_to(outside)
    with pytest.raises(RunError) as caught:
        {
            "run.json": lambda: RunFolder.open(run.path),
            "epochs.jsonl": run.epochs,
            "result.json": run.result,
        }[name]()
    assert_one_line(caught, name, "link")
    if name == "epochs.jsonl":
        with pytest.raises(RunError):
            run.append_epoch({"epoch": 0})
    assert outside.read_text() == json.dumps(VALID)


@pytest.mark.parametrize("name", ["tensorboard", "checkpoint", "report"])
def test_linked_entries_are_refused(run: RunFolder, tmp_path: Path, name: str) -> None:
    entry = getattr(run, name)
    entry.symlink_to(tmp_path)
    with pytest.raises(RunError) as caught:
        getattr(run, name)
    assert_one_line(caught, "link")


def test_pipe_and_huge_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "run.json")
    with pytest.raises(RunError) as caught:
        RunFolder.open(tmp_path / "a")
    assert_one_line(caught, "not a regular file")
    with (tmp_path / "run.json").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(RunError) as caught:
        RunFolder.open(tmp_path)
    assert_one_line(caught, "at most")


def test_full_disk_is_one_line_and_keeps_what_was_written(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.append_epoch({"epoch": 0})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for action in (
            lambda: run.append_epoch({"epoch": 1}),
            lambda: run.set_status("finished"),
            lambda: run.keep_epochs(0),
        ):
            with pytest.raises(RunError) as caught:
                action()
            assert_one_line(caught, "disk is full")
        with pytest.raises(RunError):
            replace_file(run.checkpoint, lambda stream: stream.write(b"x"))
    assert run.epochs() == [{"epoch": 0}]
    assert RunFolder.open(run.path).status == "running"
    assert sorted(entry.name for entry in run.path.iterdir()) == ["epochs.jsonl", "run.json"]


def test_write_that_stops_half_way_leaves_whole_lines(run: RunFolder) -> None:
    """The kernel takes a part of the second record (a size limit stands in for the disk's end)."""
    run.append_epoch({"epoch": 0, "pad": "x" * 1000})
    size = (run.path / "epochs.jsonl").stat().st_size
    before, handler = (
        resource.getrlimit(resource.RLIMIT_FSIZE),
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
    try:
        with pytest.raises(RunError) as caught:
            run.append_epoch({"epoch": 1, "pad": "y" * 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert_one_line(caught, "epochs.jsonl")
    assert (run.path / "epochs.jsonl").stat().st_size == size
    run.append_epoch({"epoch": 1})
    assert [record["epoch"] for record in run.epochs()] == [0, 1]


def test_killed_writer_leaves_a_readable_folder(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from nni_wiring.runs.store import RunFolder
        run = RunFolder.create(sys.argv[1], "killed", {})
        for epoch in range(10**6):
            run.append_epoch({"epoch": epoch, "pad": "x" * 5000})
            run.write_result({"epoch": epoch})
            print(epoch, flush=True)
        """
    )
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "r")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    assert process.stdout is not None
    reported = [int(process.stdout.readline()) for _ in range(20)][-1]
    process.kill()
    reported = max([reported, *(int(line) for line in process.stdout.read().split())])
    process.wait()
    run = RunFolder.open(tmp_path / "r")
    epochs = [record["epoch"] for record in run.epochs()]
    assert epochs == list(range(len(epochs))) and len(epochs) > reported
    result = run.result()
    assert result is not None and result["epoch"] >= reported


def test_run_ids_and_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ids = {new_run_id("darts-v2/../x", 3) for _ in range(20)}
    assert len(ids) == 20 and all(run_id.startswith("darts_v2_x-s3-") for run_id in ids)
    RunFolder.create(tmp_path / "ok", ids.pop(), {})
    monkeypatch.delenv("NNI_WIRING_RUNS", raising=False)
    assert runs_root() == Path("runs")
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path))
    assert runs_root() == tmp_path
