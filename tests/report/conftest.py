"""Helpers that the tests of reports and of their commands share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer pixels: drawing at full size takes most of these tests' time."""
    monkeypatch.setattr("nni_wiring.report.html._DPI", 45)
