"""Make ``import torchvision``, and with it ``nni.nas``, work beside a CPU build of torch.

The torchvision wheels of some registries are CUDA builds. Beside a CPU torch their compiled
operators do not load, and ``import torchvision`` stops with ``operator torchvision::nms does not
exist``; ``nni.nas`` then fails too, since torchmetrics imports torchvision. Declaring the missing
operator schemas is enough for everything that is used here (data sets and transforms). Import this
module before pytorch_lightning, nni.nas or torchvision; where torchvision imports by itself, or is
absent, nothing is declared.

It also silences one harmless warning of NNI on a newer torch ("... is found to be not a
nn.Module"): NNI raises it while it is imported, so this is the last place where that can be done.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings

_SCHEMAS = ("nms", "qnms")
_library: object | None = None  # torch drops the operators when this object dies


def _declare_missing_operators() -> None:
    global _library
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _SCHEMAS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library = library


def ensure_torchvision() -> bool:
    """Import torchvision, with stand-in operator schemas where its own cannot load.

    Returns whether torchvision can be imported. Errors of other kinds than the missing operators
    leave it False: the code that needs torchvision then raises its own, more telling, ImportError.
    """
    if "torchvision" in sys.modules:
        return True
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        importlib.import_module("torchvision")
        return True
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            return False
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    _declare_missing_operators()
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):
        return False
    return True


ensure_torchvision()
warnings.filterwarnings(
    "ignore", message=".*is found to be not a nn.Module", category=RuntimeWarning
)
