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
NUMBERS = {torch.float32: "float", torch.float64: "double"}
FLAGS = ("-std=c++20", "-ffp-contract=fast")

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
    definitions = (f"-DCHANNELS={channels}", f"-DNUMBER={NUMBERS[dtype]}")
    path = shared_library(SOURCE, cache_dir() / "native", *FLAGS, *definitions)
    loaded = ctypes.CDLL(str(path))
    for name, types in _ARGUMENTS.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = types, None
    loaded.widest.argtypes, loaded.widest.restype = (), _I
    return loaded
