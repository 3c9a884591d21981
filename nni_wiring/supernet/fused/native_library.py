"""native.cpp, compiled for one width and type of number, once a machine and user."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch

from nni_wiring.files.atomic import replacing
from nni_wiring.truth.storage import cache_dir

SOURCE = Path(__file__).with_name("native.cpp")
NUMBERS = {torch.float32: "float", torch.float64: "double"}
FLAGS = ("-std=c++20", "-O3", "-march=native", "-fno-math-errno", "-ffp-contract=fast")

_I, _P, _D = ctypes.c_int64, ctypes.c_void_p, ctypes.c_double
#: Arguments of the functions of native.cpp.
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "convolution": (_P, _I, _I, _I, _P, _I, _P),
    "convolution_backward": (_P, _P, _I, _I, _I, _P, _I, _P, _P),
    "rectified": (_P, _I, _P, _P, _P),
    "moments": (_P, _I, _I, _D, _P, _P, _P),
    "pointwise_moments": (_P, _I, _P, _P, _D, _P, _P, _P),
    "node": (_I, _P, _P, _I, _I, _I, _P, _P),
    "node_gradient": (_P, _I, _I, _I, _P, _P, _P),
    "linear": (_P, _P, _I, _P),
    "stacked_backward": (_I, _P, _P, _P, _P, _I, _P, _P, _P),
    "pointwise_backward": (_I, *(_P,) * 4, _I, *(_P,) * 9),
    "source_gradient": (_P, _P, _I, _P),
}


@cache
def library(channels: int, dtype: torch.dtype) -> Any:
    """The functions of native.cpp for rows of ``channels`` numbers.

    From the cache folder (``$NNI_WIRING_CACHE/native``, else below ~/.cache/nni-wiring), where the
    first use puts it. Raises OSError or subprocess.SubprocessError where it cannot be had.
    """
    compiler = _compiler()
    definitions = (f"-DCHANNELS={channels}", f"-DNUMBER={NUMBERS[dtype]}")
    command = (*FLAGS, *definitions, "-shared", "-fPIC", str(SOURCE))
    path = cache_dir() / "native" / f"{_fingerprint(compiler, definitions)}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            _run(compiler, *command, "-o", str(temporary))
    loaded = ctypes.CDLL(str(path))
    for name, types in _ARGUMENTS.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = types, None
    return loaded


def _compiler() -> str:
    found = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if not found:
        raise FileNotFoundError("no C++ compiler: neither $CXX nor c++ nor g++ is there")
    return found


def _run(*command: str) -> str:
    """The output of a command; SubprocessError, with its first complaint, on failure."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        complaint = (done.stderr.strip() or "-").splitlines()[0]
        raise subprocess.SubprocessError(f"{command[0]}: {complaint:.200}")
    return done.stdout


@cache
def _machine(compiler: str) -> str:
    """The compiler's version and what the processor can do: ``-march=native`` depends on both."""
    processor = [platform.machine(), platform.processor()]
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        lines = facts.read_text(errors="replace").splitlines()
        processor += sorted({x for x in lines if x.startswith(("model name", "flags", "Features"))})
    return "\n".join([_run(compiler, "--version"), *processor])


def _fingerprint(compiler: str, definitions: tuple[str, ...]) -> str:
    parts = (SOURCE.read_text(), *FLAGS, *definitions, compiler, _machine(compiler))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
