"""Epochs in which only theta moves."""

from __future__ import annotations

from nni_wiring.strategies.parts.base import Part


class WarmUp(Part):
    """Alpha waits for a number of epochs, or for a share of them (rounded), whichever is longer."""

    def __init__(self, epochs: int = 0, *, share: float = 0.0) -> None:
        self.epochs, self.share = epochs, share
        self._first = epochs

    def on_epoch_start(self, epoch: int, epochs: int) -> None:
        """Fix when the warm-up ends."""
        self._first = max(self.epochs, round(self.share * epochs))

    def alpha_moves(self, epoch: int) -> bool:
        """After the warm-up."""
        return epoch >= self._first
