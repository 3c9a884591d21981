"""``kernels.c`` compiled on this machine, once per version of the source, and kept."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

from nni_wiring.truth import cache_dir

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernels.c")
_REAL = {torch.float32: "float", torch.float64: "double"}
_FLAGS = ("-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fPIC", "-shared")
_COMPILE_SECONDS = 120


class State(ctypes.Structure):
    """``state`` in kernels.c: pointers to the arrays of a network, and the results of a run."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("params", "grads", "stats", "acts")),
        *((name, ctypes.c_void_p) for name in ("act_grads", "saved", "scratch", "labels")),
        ("images", ctypes.c_int64),
        *((name, ctypes.c_double) for name in ("momentum", "epsilon", "loss", "right")),
    )


@cache
def kernels(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled kernels on float32 or float64; None, and one warning, without a C compiler."""
    try:
        library = ctypes.CDLL(str(_compiled(_REAL[dtype])))
    except (OSError, subprocess.SubprocessError) as error:
        problem = (str(error).strip() or type(error).__name__).splitlines()[0]
        log.warning("no working C compiler, so cells train by torch's kernels (%.120s)", problem)
        return None
    library.run.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
    library.run.restype = None
    return library


def _compiled(real: str) -> Path:
    """The library's file, made unless a compiler has made it from this source on this machine."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("no cc or gcc on the path")
    command = [*shlex.split(compiler), *_FLAGS, f"-DREAL={real}"]
    # -march=native compiles for this processor, whose name belongs to the file's
    key = (SOURCE.read_text(encoding="utf-8"), *command, platform.machine(), _processor())
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
    path = cache_dir() / "kernels" / f"{real}-{digest}.so"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        subprocess.run(
            [*command, str(SOURCE), "-o", str(made), "-lm"],
            check=True,
            capture_output=True,
            timeout=_COMPILE_SECONDS,
        )
        made.replace(path)
    return path


def _processor() -> str:
    """The description that tells this processor from others whose machines share the folder."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))
