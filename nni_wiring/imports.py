"""Import torch, NNI and Lightning without looking through what they make."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def large_imports() -> Iterator[None]:
    """Collect no garbage while torch is imported, with what builds on it.

    Their modules make a million objects that stay. Looked through again and again they take a
    third of the import's CPU seconds, and as long once more when the process ends; so they are
    left out of later collections, too. Where torch is there already, nothing changes.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
