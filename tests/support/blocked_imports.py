"""Programs in which some packages cannot be imported: what runs there does not need them."""

from __future__ import annotations

TORCH_AND_NNI = ("torch", "nni", "pytorch_lightning")


def blocking(*packages: str) -> str:
    """Python source, to stand before a program's own, that makes importing ``packages`` fail."""
    return f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {packages!r}:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Blocked())
"""
