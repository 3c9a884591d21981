"""Alpha stays as it is."""

from __future__ import annotations

from typing import ClassVar

from nni_wiring.strategies.parts.base import AlphaUpdate


class Fixed(AlphaUpdate):
    """Only theta is trained."""

    trained: ClassVar[bool] = False
    in_steps: ClassVar[bool] = False
