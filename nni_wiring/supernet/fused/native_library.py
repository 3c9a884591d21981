"""native.cpp, compiled for one width and type of number, once a machine and user."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch

from nni_wiring.files.native import shared_library
from nni_wiring.truth import cache_dir

SOURCE = Path(__file__).with_name("native.cpp")
HEADERS = tuple(SOURCE.with_name(f"{name}.hpp") for name in ("vectors", "convolutions", "branches"))
NUMBERS = {torch.float32: "float", torch.float64: "double"}
FLAGS = ("-std=c++20", "-ffp-contract=fast")

_I, _P = ctypes.c_int64, ctypes.c_void_p


class Given(ctypes.Structure):
    """``Given`` in native.cpp."""

    _fields_ = [
        *((name, _P) for name in ("plan", "z", "inputs", "parameters", "counts")),
        *((name, _I) for name in ("n", "h", "w")),
        *((name, _P) for name in ("kept", "scratch")),
    ]


#: Arguments of the functions of native.cpp.
_ARGUMENTS: dict[str, tuple[Any, ...]] = {"forward": (_P,), "backward": (_P,) * 5}


@cache
def library(channels: int, dtype: torch.dtype) -> Any:
    """The functions of native.cpp for rows of ``channels`` numbers.

    From the cache folder (``$NNI_WIRING_CACHE/native``, else below ~/.cache/nni-wiring), where the
    first use puts it. Raises OSError or subprocess.SubprocessError where it cannot be had.
    """
    definitions = (f"-DCHANNELS={channels}", f"-DNUMBER={NUMBERS[dtype]}")
    flags = (*FLAGS, *definitions)
    path = shared_library(SOURCE, cache_dir() / "native", *flags, headers=HEADERS)
    loaded = ctypes.CDLL(str(path))
    for name, types in _ARGUMENTS.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = types, None
    return loaded
