"""Import NNI's NAS in the order that works; import this before anything of ``nni.nas``.

Two traps: torchvision's registry build beside a CPU torch (see ``torchvision_guard``), and a
circular import: if ``nni.nas.oneshot`` is imported before ``nni.nas.strategy``, the latter silently
replaces DARTS, RandomOneShot and all others by stand-ins that fail when they are used.
"""

from __future__ import annotations

from search_spaces import torchvision_guard  # noqa: F401

# isort: split
import nni.nas.strategy  # noqa: F401
