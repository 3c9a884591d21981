"""The conformance suite, for strategies of this project and of others."""

from nni_wiring.testing.conformance import StrategyConformance

__all__ = ["StrategyConformance"]
