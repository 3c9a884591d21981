"""``kernels.c`` compiled on this machine, once per version of the source, and kept."""

from __future__ import annotations

import ctypes
import logging
import subprocess
from functools import cache
from pathlib import Path

import torch

from nni_wiring.files.native import shared_library
from nni_wiring.truth import cache_dir

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("kernels.c")
_REAL = {torch.float32: "float", torch.float64: "double"}


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
        folder = cache_dir() / "native"
        path = shared_library(SOURCE, folder, "-std=gnu11", f"-DREAL={_REAL[dtype]}")
        library = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        problem = (str(error).strip() or type(error).__name__).splitlines()[0]
        log.warning("no working C compiler, so cells train by torch's kernels (%.120s)", problem)
        return None
    library.run.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
    library.run.restype = None
    return library
