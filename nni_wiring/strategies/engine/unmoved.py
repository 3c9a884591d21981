"""Its home is :mod:`nni_wiring.supernet.restoring`; the name stays importable from here."""

from __future__ import annotations

from nni_wiring.supernet.restoring import unmoved

__all__ = ["unmoved"]
