"""One search: its options, its assembly, its run, and what is done with it afterwards.

The room can be called, since the public function has its name: ``nni_wiring.search(epochs=3)``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nni_wiring.runs.store import RunFolder


class _Room(ModuleType):
    def __call__(self, folder: Path | str | None = None, **options: Any) -> RunFolder:
        """See :func:`nni_wiring.search.start.search`."""
        from nni_wiring.search.start import search

        return search(folder, **options)


sys.modules[__name__].__class__ = _Room
