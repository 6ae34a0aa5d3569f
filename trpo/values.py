"""State values, learned by steps of their own.

The fit lowers the mean squared error to the targets by damped Gauss-Newton steps, V regarded as the mean of a normal law of fixed
variance. So were the values of generalised advantage estimation fitted (Schulman et al. 2016, arXiv:1506.02438v6, section 5),
with a bound where this has a damping; it is made of the same Jacobian products as the policy's step. The damping matters:
one batch's targets are noisy, and steps that fit them as well as they can make worse values for the next batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trpo.linalg import Product, conjugate_gradients
from trpo.linearise import Linearised, forward, linearise, set_parameters


class ValueFunction(nn.Module):
    """V(s): a network with one output; ``forward`` maps inputs [N,...] to values [N]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Return values [N]."""
        values: Tensor = self.network(inputs)
        return values.squeeze(-1)

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Return values [N], without a graph."""
        return forward(self.network)(inputs).squeeze(-1)


@dataclass(frozen=True)
class Fit:
    """What a fit of values did."""

    explained: float  # share of the targets' variance that the values explained before the fit
    error_before: float  # mean squared error to the targets
    error: float  # the same after
    steps: int  # Gauss-Newton steps that were accepted


@torch.no_grad()
def fit_values(
    value: ValueFunction,
    inputs: Tensor,
    targets: Tensor,
    *,
    iterations: int = 2,
    damping: float = 1.0,
    fraction: float = 1.0,
    cg_iterations: int = 10,
    generator: torch.Generator | None = None,
) -> Fit:
    """Fit values to targets in place.

    Parameters
    ----------
    value
        Its parameters change.
    inputs, targets
        [N, ...] and [N], in the units of the return.
    iterations
        Gauss-Newton steps, at most. Each is halved until it lowers the error, five times at most.
    damping
        Added to J'J/N: how much one batch may change the values. It has no unit of return, so scaled rewards make scaled
        steps.
    fraction
        Share of the rows that J'J is computed on; the gradient and the error are always those of all.
    cg_iterations
        Conjugate gradients for each step.
    generator
        Draws the rows where ``fraction`` < 1.

    Raises
    ------
    ValueError
        If there are no targets, one is nan or infinite, damping is not positive or fraction outside (0, 1], or below 1 without a
        generator.
    """
    if len(targets) == 0 or not bool(torch.isfinite(targets).all()):
        raise ValueError(f"{len(targets)} value targets, with a nan or infinite one or none at all; nothing was fitted")
    if not damping > 0:
        raise ValueError(f"damping is {damping}; expected a positive number")
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; expected 0 < fraction <= 1")
    if fraction < 1 and generator is None:
        raise ValueError(f"fraction is {fraction} without a generator to draw the rows; give generator=")
    n = len(targets)
    some = max(1, round(fraction * n))
    linear = linearise(value.network, inputs)
    error = targets - linear.outputs.squeeze(-1)
    loss = before = float(error.double().square().mean())
    accepted = 0
    for done in range(iterations):
        model = linear
        if some < n:
            rows = torch.randperm(n, generator=generator)[:some].sort().values.to(inputs.device)
            model = linearise(value.network, inputs[rows])
        product = _gauss_newton(model, some, damping)
        x = conjugate_gradients(product, linear.vjp(error[:, None] / n), iterations=cg_iterations, tolerance=1e-2).x
        for halvings in range(6):
            candidate = linear.theta + 0.5**halvings * x
            rest = targets - linear.at(candidate).squeeze(-1)
            left = float(rest.double().square().mean())
            if left < loss:
                set_parameters(value.network, candidate)
                accepted, loss, error = accepted + 1, left, rest
                if done + 1 < iterations:
                    linear = linearise(value.network, inputs)
                break
        else:
            if some == n:
                break  # the next step would be the same
    spread = float(targets.double().var(unbiased=False))
    return Fit(1 - before / spread if spread > 0 else float("nan"), before, loss, accepted)


def _gauss_newton(linear: Linearised, n: int, damping: float) -> Product:
    rows = linear.times(torch.ones_like(linear.outputs))
    return lambda v: rows.vjp(rows.jvp(v).div_(n)).add_(v, alpha=damping)
