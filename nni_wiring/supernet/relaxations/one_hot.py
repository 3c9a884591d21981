"""Relaxations whose Z is one-hot by construction and drawn as a leaf: DSNAS and ProxylessNAS."""

from __future__ import annotations

from typing import ClassVar

import torch

from nni_wiring.supernet.edge_group import Draw, EdgeGroup
from nni_wiring.supernet.relaxations.base import Relaxation
from nni_wiring.supernet.relaxations.gumbel import chosen_only, gumbel_noise, one_hot


class OneHotScore(Relaxation):
    """DSNAS: Z ~ one-hot of softmax(alpha); alpha moves by the score, with the local cost as reward
    (Hu et al., CVPR 2020, eq. 10; theory page, section 1). Only the chosen operation runs.

    The estimate (Z - p) C_s, C_s = dL/dZ of the chosen operation, is unbiased for the expectation
    E[grad log p(Z_e) C(Z_e)] that defines DSNAS. That is the gradient of E[L] where L is linear in
    each edge's Z (no batch norm, no nonlinearity after it), and a first-order approximation else.

    clamp: limit on the size of C_s, after summing over the cells that share Z; None for none. A
    clamped estimate is biased.
    """

    name: ClassVar[str] = "one_hot_score"
    pathwise = False

    def __init__(self, clamp: float | None = None) -> None:
        self.clamp = clamp

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """One sample by the Gumbel-max trick; a leaf tensor."""
        logits = group.logits().detach()
        choice = (logits + gumbel_noise(logits, generator)).argmax(dim=-1)
        z = one_hot(choice, logits.shape[-1], logits.dtype)
        return Draw(z.requires_grad_(), chosen_only(choice))

    def alpha_gradient(self, group: EdgeGroup, draw: Draw, cost: torch.Tensor) -> torch.Tensor:
        """(Z_k - p_k) C_s on every edge."""
        z = draw.z.detach()
        reward = (z * cost).sum(dim=-1, keepdim=True)
        if self.clamp is not None:
            reward = reward.clamp(-self.clamp, self.clamp)
        return (z - self.probabilities(group)) * reward


class BinaryGates(Relaxation):
    """ProxylessNAS: binary gates g ~ one-hot of softmax(alpha) (Cai et al., ICLR 2019, section
    3.2).

    A weight step runs the one path that is sampled. An alpha step samples two paths an edge by
    their probabilities, without replacement, opens one of the two gates by their renormalised
    probabilities q, and runs both, so that both have a cost; the gates' gradient stands for that of
    q: dL/dalpha_i = sum over both paths j of C_j q_j ([i = j] - q_i) (eq. 4). An edge with one
    operation has one path. A biased estimator, as its authors say: gates are not probabilities.
    """

    name: ClassVar[str] = "binary_gates"
    pathwise = False

    def draw(self, group: EdgeGroup, phase: str, generator: torch.Generator) -> Draw:
        """One open gate an edge, a leaf tensor; in phases "alpha" and "joint" a second, closed gate
        runs beside it.

        The two largest alpha + G are a draw of two without replacement; the second draw of noise
        opens one of them.
        """
        logits = group.logits().detach()
        keys = logits + gumbel_noise(logits, generator)
        if phase == "weights":
            choice = keys.argmax(dim=-1)
            active = chosen_only(choice)
        else:
            pair = keys.topk(min(2, keys.shape[-1]), dim=-1).indices
            theirs = logits.gather(-1, pair)
            first = (theirs + gumbel_noise(theirs, generator)).argmax(dim=-1, keepdim=True)
            choice = pair.gather(-1, first).squeeze(-1)
            active = tuple(
                tuple(sorted(set(row) & set(allowed)))
                for row, allowed in zip(pair.tolist(), group.allowed, strict=True)
            )
        z = one_hot(choice, logits.shape[-1], logits.dtype)
        return Draw(z.requires_grad_(), active)

    def running_logits(self, group: EdgeGroup, draw: Draw) -> torch.Tensor:
        """alpha, with -inf where the draw runs nothing; (edges, operations)."""
        rows = [[k in active for k in range(group.alpha.shape[1])] for active in draw.active]
        mask = torch.tensor(rows).to(group.alpha.device, non_blocking=True)
        return group.alpha.detach().masked_fill(~mask, -torch.inf)

    def alpha_gradient(self, group: EdgeGroup, draw: Draw, cost: torch.Tensor) -> torch.Tensor:
        """q_i (C_i - sum_j q_j C_j): the gates' gradient rule over the paths that ran."""
        q = torch.softmax(self.running_logits(group, draw), dim=-1)
        return q * (cost - (q * cost).sum(dim=-1, keepdim=True))
