"""Kept searches: what a run's folder says, packed and read back, and files that are not such."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from nni_wiring.errors import RunError
from nni_wiring.files.gzipped import MAX_UNPACKED_BYTES
from nni_wiring.runs.kept import kept_runs
from nni_wiring.runs.store import RunFolder

ARCH = "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|"
REFERENCE = Path(__file__).parents[2] / "docs" / "results" / "reference"


def finished(path: Path) -> RunFolder:
    folder = RunFolder.create(path, "one", {"strategy": "darts", "seed": 7, "space": "nasbench201"})
    for epoch in range(3):
        folder.append_epoch({"epoch": epoch, "arch": ARCH, "z": {"0-1": {"none": epoch / 4}}})
    folder.write_result({"arch": ARCH, "selection": "magnitude"})
    (path / "selections" / "perturbation").mkdir(parents=True)
    (path / "selections" / "perturbation" / "result.json").write_text(json.dumps({"arch": "x"}))
    folder.set_status("finished")
    return folder


def packed(folder: RunFolder, path: Path) -> Path:
    value = {"run": folder.info, "result": folder.result(), "epochs": folder.epochs()}
    value["selections"] = {"perturbation": {"arch": "x"}}
    path.write_bytes(gzip.compress(json.dumps(value).encode()))
    return path


def test_a_run_reads_the_same_from_its_folder_its_id_and_its_kept_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished(tmp_path / "runs" / "one")
    file = packed(folder, tmp_path / "one.json.gz")
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    first, second, third, fourth = kept_runs([folder.path, "one", file, tmp_path])
    assert first == second == third == fourth
    assert (first.label, first.method, first.seed, first.arch) == ("one", "darts", 7, ARCH)
    assert first.result.selection == "magnitude" and first.selections == {"perturbation": "x"}
    assert [record.z["0-1"]["none"] for record in first.records] == [0.0, 0.25, 0.5]


def test_every_reference_search_is_read() -> None:
    found = kept_runs([REFERENCE])
    assert len(found) == len(list(REFERENCE.glob("*.json.gz"))) >= 20
    for kept in found:
        value = json.loads(gzip.decompress((REFERENCE / f"{kept.label}.json.gz").read_bytes()))
        assert len(kept.records) == len(value["epochs"]) == kept.config["epochs"]
        assert kept.arch == value["result"]["arch"]
        assert kept.method.startswith(value["run"]["config"]["strategy"])


def test_what_is_not_a_kept_search_is_refused_in_one_line(tmp_path: Path) -> None:
    cases = {
        "text.json.gz": b"no gzip",
        "list.json.gz": gzip.compress(b"[1]"),
        "other.json.gz": gzip.compress(b'{"a": 1}'),
        "cut.json.gz": gzip.compress(b'{"run": {}, "epochs": []')[:-9],
        "bomb.json.gz": gzip.compress(b" " * (MAX_UNPACKED_BYTES + 1)),
        "epochs.json.gz": gzip.compress(b'{"run": {}, "epochs": [{"loss": 1}]}'),
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RunError, match=name.split(".")[0]) as caught:
            kept_runs([tmp_path / name])
        assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "empty", tmp_path / "nowhere", tmp_path / "no.json.gz"):
        with pytest.raises(RunError, match="no kept rows|no file"):
            kept_runs([missing])
    folder = RunFolder.create(tmp_path / "going", "going", {"strategy": "darts"})
    with pytest.raises(RunError, match="is running; a finished one"):
        kept_runs([folder.path])
