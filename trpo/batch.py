"""What an update is computed from: states with weights, and actions with estimated advantages.

Every sampler makes one and every step reads one, so the surrogate is written once. With w the weights of states, which sum to
1, q the probability that an action was drawn with and A its advantage, the mean surrogate gain of a policy pi' is

    sum_n w_n sum_m pi'(a_nm | s_n) / q_nm  A_nm                                       (TRPO, arXiv:1502.05477v5, eq. 14)

In the units of (1 - gamma) L where w follows d. An exact batch lists all states, weighted by d, and all actions with q = 1;
single-path one action a state, drawn from the old policy; vine M actions a state, for which q is M times the probability of
one draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trpo.distributions import Distribution


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch. Build it with a sampler (:mod:`trpo.samplers`), or by hand.

    Raises
    ------
    ValueError
        If it is empty, shapes do not fit, a number is nan or infinite, or the weights are negative or do not sum to 1.
    """

    inputs: Tensor  # [N, ...] what the network is fed: encoded observations
    actions: Tensor  # [N, M, D]
    log_q: Tensor  # [N, M] log of q; of a density for reals
    advantages: Tensor  # [N, M]
    weights: Tensor  # [N] of states, sum to 1
    self_normalised: bool = False
    """Divide a state's estimate by the sum of its importance weights (TRPO, eq. 16): biased, consistent, less variance."""

    def __post_init__(self) -> None:
        """Check shapes and numbers."""
        n = len(self.inputs)
        if n == 0 or self.actions.ndim != 3 or self.actions.shape[0] != n or self.actions.shape[1] == 0:
            raise ValueError(
                f"batch of {n} inputs and actions {tuple(self.actions.shape)}; expected at least one state and [N, M, D] actions"
            )
        for name, shape in {"log_q": self.actions.shape[:2], "advantages": self.actions.shape[:2], "weights": (n,)}.items():
            value: Tensor = getattr(self, name)
            if tuple(value.shape) != tuple(shape):
                raise ValueError(f"batch {name} has shape {tuple(value.shape)}; expected {tuple(shape)}")
        for name in ("inputs", "actions", "log_q", "advantages", "weights"):
            value = getattr(self, name)
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                row = int((~torch.isfinite(value)).nonzero()[0, 0])
                raise ValueError(f"batch {name} has a nan or infinite entry, first at state {row}; nothing was updated")
        total = float(self.weights.double().sum())
        if bool((self.weights < 0).any()) or abs(total - 1) > 1e-4:
            raise ValueError(f"batch weights sum to {total:g}, least {float(self.weights.min()):g}; expected >= 0 and a sum of 1")

    def __len__(self) -> int:
        """Number of states."""
        return len(self.inputs)

    def rows(self, index: Tensor) -> Batch:
        """Return some of the states, with their weights scaled to sum to 1.

        Raises
        ------
        ValueError
            If all of them have the weight 0.
        """
        weights = self.weights[index]
        if not float(weights.sum()) > 0:
            raise ValueError(f"the {len(weights)} rows chosen have no weight; expected at least one state of positive weight")
        return Batch(
            self.inputs[index],
            self.actions[index],
            self.log_q[index],
            self.advantages[index],
            weights / weights.sum(),
            self.self_normalised,
        )

    def gain(self, family: Distribution, z: Tensor) -> float:
        """Return the estimated surrogate of the laws z [N,K]: the sum in the module's docstring, in double precision."""
        log_ratio = (family.log_prob(z, self.actions) - self.log_q).double()
        ratio = torch.softmax(log_ratio, 1) if self.self_normalised else torch.exp(log_ratio)
        return self.mean((ratio * self.advantages).sum(1))

    def gradient(self, family: Distribution, z: Tensor) -> Tensor:
        """Return the gradient of ``gain`` in z, [N,K]."""
        log_ratio = family.log_prob(z, self.actions) - self.log_q
        ratio = torch.softmax(log_ratio, 1) if self.self_normalised else torch.exp(log_ratio)
        factor = ratio * self.advantages
        if self.self_normalised:
            factor = factor - ratio * factor.sum(1, keepdim=True)
        return (self.weights[:, None] * (factor.unsqueeze(-1) * family.score(z, self.actions)).sum(1)).to(z.dtype)

    def mean(self, each: Tensor) -> float:
        """Return the weighted mean over states of [N], in double precision. A state of weight 0 adds 0, even to inf."""
        return float(torch.where(self.weights > 0, self.weights.double() * each.double(), 0.0).sum())

    def largest(self, each: Tensor) -> float:
        """Return the largest of [N] over the states of positive weight."""
        return float(each[self.weights > 0].max())
