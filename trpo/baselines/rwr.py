"""Reward-weighted regression (Peters and Schaal 2007, ICML): fit the policy to its own actions, the better ones weighted more.

One update is one step of expectation-maximisation on the mean of u(A), u positive and rising. With u = exp(A/temperature), the
new policy maximises

    sum_n w_n sum_m pi(a_nm|s_n)/q_nm  u(A_nm)  log pi'(a_nm|s_n),    pi the old policy,

where the ratio is 1 (or 1/M of M actions) for actions that the old policy drew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trpo.batch import Batch
from trpo.curvature import matrix
from trpo.linalg import conjugate_gradients
from trpo.linearise import linearise, set_parameters
from trpo.policies import Policy


@dataclass(frozen=True)
class Regression:
    """What an update did."""

    likelihood: float  # weighted mean log-likelihood of the batch's actions after the update
    likelihood_before: float
    kl_mean: float  # KL(old || new) in nats, mean by the batch's weights
    effective: float  # effective number of actions, (sum u)^2 / sum u^2
    iterations: int  # Fisher scoring steps that were taken


@torch.no_grad()
def reward_weighted_regression(
    policy: Policy,
    batch: Batch,
    *,
    temperature: float = 1.0,
    iterations: int = 10,
    damping: float = 1e-6,
    cg_iterations: int = 20,
) -> Regression:
    """Update a policy in place, by Fisher scoring: for a linear Gaussian policy its first step is weighted least squares.

    Parameters
    ----------
    policy
        Any, of laws with a score; its parameters change.
    batch
        States, actions and advantages, or returns.
    temperature
        In the units of the advantages: small follows the best actions alone, large follows all alike.
    iterations
        Fisher scoring steps at most. It ends where none raises the likelihood.
    damping
        Added to the Fisher matrix.
    cg_iterations
        Conjugate gradients a step.

    Raises
    ------
    ValueError
        If the temperature is not positive, or ``iterations`` is below 1.
    """
    if not temperature > 0 or iterations < 1:
        raise ValueError(f"temperature is {temperature}, iterations {iterations}; expected > 0 and >= 1")
    family = policy.family
    linear = linearise(policy, batch.inputs)
    old = linear.outputs
    log_u = (
        batch.weights.double().log()[:, None] + family.log_prob(old, batch.actions) - batch.log_q + batch.advantages / temperature
    )
    u = torch.softmax(log_u.flatten(), 0).view_as(log_u)
    states = u.sum(1)

    def likelihood(z: Tensor) -> float:
        return float((u * family.log_prob(z, batch.actions).double()).sum())

    before = now = likelihood(old)
    done = 0
    for _ in range(iterations):
        slope = linear.vjp((u[..., None] * family.score(linear.outputs, batch.actions)).sum(1).to(old.dtype))
        product = matrix("fisher", linear, family, batch, damping, states)
        x = conjugate_gradients(product, slope, iterations=cg_iterations).x
        for halvings in range(10):
            candidate = linear.theta + 0.5**halvings * x
            reached = likelihood(linear.at(candidate))
            if math.isfinite(reached) and reached > now:
                break
        else:
            break
        set_parameters(policy, candidate)
        gained, now = reached - now, reached
        linear = linearise(policy, batch.inputs)
        done += 1
        if gained <= 1e-9 * max(1.0, abs(now)):
            break
    return Regression(now, before, batch.mean(family.kl(old, linear.outputs)), float(1 / (u * u).sum()), done)
