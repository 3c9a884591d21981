"""Garbage collection while torch is imported."""

import gc
import subprocess
import sys

import pytest

from nni_wiring.imports import large_imports

#: What a fresh process says of the collector: inside, afterwards, and of what it looks at.
_FRESH = """
import gc
from nni_wiring.imports import large_imports

with large_imports():
    inside = gc.isenabled()
    import torch
print(inside, gc.isenabled(), gc.get_freeze_count() > 100_000, len(gc.get_objects()) < 10_000)
"""
_REFUSED = """
import gc
from nni_wiring.imports import large_imports

try:
    with large_imports():
        raise ImportError
except ImportError:
    print(gc.isenabled())
"""


def _said(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_nothing_is_collected_during_the_first_import_and_its_objects_never_are() -> None:
    assert _said(_FRESH) == ["False", "True", "True", "True"]


def test_it_is_switched_on_again_where_an_import_fails() -> None:
    assert _said(_REFUSED) == ["True"]


def test_nothing_changes_where_torch_is_there_already() -> None:
    pytest.importorskip("torch")
    frozen = gc.get_freeze_count()
    with large_imports():
        assert gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() == frozen


def test_a_collector_that_the_user_switched_off_stays_off() -> None:
    gc.disable()
    try:
        with large_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
