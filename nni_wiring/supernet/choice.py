"""ChoiceCell: the supernet of a LayerChoice outside any cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from nni_wiring.errors import ConfigError
from nni_wiring.supernet.cell import SupernetCell, is_zero
from nni_wiring.supernet.edge_group import Draw
from search_spaces.nni_api import LayerChoice


class ChoiceCell(SupernetCell):
    """y = sum_k Z[0, k] O_k(...), for any arguments that the candidates take.

    What they give may be a tensor, or tuples, lists and dicts of such, all alike; the sum is taken
    part by part.
    """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The mixture of the active candidates."""
        return self._mixed(self.current_draw(), args, kwargs)

    def unified(self, inputs: Sequence[Any], draw: Draw) -> Any:
        """The same for a draw that is given."""
        return self._mixed(draw, inputs, {})

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        """The chosen candidate itself, with the supernet's weights: as NNI freezes the choice."""
        [choice] = self.edges.values()
        return cast(LayerChoice, choice).freeze(sample)

    def _mixed(self, draw: Draw, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        weights = draw.z.unbind()[0].unbind()
        outputs, their = [], []
        for k in draw.active[0]:
            operation = self.operation(0, k)
            if not is_zero(operation):
                outputs.append(operation(*args, **kwargs))
                their.append(weights[k])
        if outputs:
            return self._sum(outputs, their)
        # nothing but ``none``, or a choice that was dropped
        k = next(iter(draw.active[0]), self.group.allowed[0][0])
        zero = torch.zeros((), dtype=draw.z.dtype, device=draw.z.device)
        return self._sum([self.operation(0, k)(*args, **kwargs)], [zero])

    def _sum(self, outputs: Sequence[Any], weights: Sequence[torch.Tensor]) -> Any:
        first = outputs[0]
        if isinstance(first, (torch.Tensor, float, int)):
            total = weights[0] * first
            for weight, output in zip(weights[1:], outputs[1:], strict=True):
                total = total + weight * output
            return total
        if first is None and all(output is None for output in outputs):
            return None
        self._check_alike(outputs)
        if isinstance(first, Mapping):
            return {key: self._sum([o[key] for o in outputs], weights) for key in first}
        parts = [self._sum(column, weights) for column in zip(*outputs, strict=True)]
        if isinstance(first, list):
            return parts
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)

    def _check_alike(self, outputs: Sequence[Any]) -> None:
        forms = {_form(output) for output in outputs}
        if len(forms) > 1 or None in forms:
            kinds = " and ".join(sorted({type(output).__name__ for output in outputs}))
            raise ConfigError(
                f"LayerChoice {self.group.name!r}: the outputs of its candidates ({kinds}) cannot "
                "be summed; allowed: tensors, or tuples, lists and dicts of them, of one form for "
                "all candidates"
            )


def _form(output: Any) -> tuple[str, Any] | None:
    """Equal for outputs that are summed part by part; None for what has no parts."""
    if isinstance(output, Mapping):
        return "dict", frozenset(output)
    if isinstance(output, (list, tuple)):
        return type(output).__name__, len(output)
    return None
