"""Wiring evolution in differentiable architecture search, as an extension of NNI.

    import nni_wiring

    run = nni_wiring.search(strategy="gdas", epochs=3, channels=4, cells=1)
    run.result()["arch"], run.to_frame()["truth/cifar10/valid"]

Every name is imported when it is first used, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nni_wiring.data.registry import register as register_data
    from nni_wiring.errors import WiringError
    from nni_wiring.monitor.callback import WiringMonitor
    from nni_wiring.runs.store import RunFolder
    from nni_wiring.search.start import search
    from nni_wiring.selection.registry import register_selection
    from nni_wiring.service.resolve import load_run
    from nni_wiring.strategies.registry import register as register_strategy
    from nni_wiring.strategies.registry import strategy_class
    from nni_wiring.supernet.relaxations import register_relaxation
    from nni_wiring.truth.catalogue import load_table
    from search_spaces.registry import build_space, register_space

__version__ = "0.1.0"

__all__ = [
    "RunFolder",
    "WiringError",
    "WiringMonitor",
    "__version__",
    "build_space",
    "load_run",
    "load_table",
    "register_data",
    "register_relaxation",
    "register_selection",
    "register_space",
    "register_strategy",
    "search",
    "strategy_class",
]

#: name -> its module, "module:its name there", or "module:" for a module
_HOMES = {
    "RunFolder": "nni_wiring.runs.store",
    "WiringError": "nni_wiring.errors",
    "WiringMonitor": "nni_wiring.monitor.callback",
    "build_space": "search_spaces.registry",
    "load_run": "nni_wiring.service.resolve",
    "load_table": "nni_wiring.truth.catalogue",
    "register_data": "nni_wiring.data.registry:register",
    "register_relaxation": "nni_wiring.supernet.relaxations",
    "register_selection": "nni_wiring.selection.registry",
    "register_space": "search_spaces.registry",
    "register_strategy": "nni_wiring.strategies.registry:register",
    "search": "nni_wiring.search:",  # the room itself, which can be called
    "strategy_class": "nni_wiring.strategies.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, renamed, attribute = _HOMES[name].partition(":")
    found = import_module(module)
    return found if renamed and not attribute else getattr(found, attribute or name)


def __dir__() -> list[str]:
    return list(__all__)
