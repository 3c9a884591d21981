"""Searches on several processes (Lightning's strategies for several devices).

Gradients that a backward pass leaves are averaged over them, alpha's too, by Lightning's
``ddp_find_unused_parameters_true`` (plain ``ddp`` wants every parameter in every pass). Batch norm
and SDARTS-ADV's attack stay each process's own. A monitor wants one process.
"""

from __future__ import annotations

from nni_wiring.errors import ConfigError
from nni_wiring.strategies.engine.method import Method


def check_processes(method: Method, processes: int) -> None:
    """Raise ConfigError where every process would go on with an alpha of its own."""
    update = method.parts.alpha
    if processes > 1 and update.one_process:
        raise ConfigError(
            f"strategy {method.name}: this way of moving alpha ({type(update).__name__}) averages "
            f"nothing over processes, so alphas would differ; got {processes} processes, allowed: 1"
        )
