"""What an optimal policy is worth, and what natural-gradient steps reach: both evaluate one policy after the other."""

from __future__ import annotations

import numpy as np

from bounds.comparison import Comparison, once
from bounds.tables import centred, normalised
from mdps import repeated
from mdps.evaluate import values_and_advantages
from mdps.mdp import MDP, Array, uniform_policy
from mdps.numbers import Numbers
from mdps.optimal import optimal_policy


@once
def optimal_values(c: Comparison) -> Array:
    """``V*`` [*B,S] by Howard's (1960) policy iteration from the greedy policy of old.

    Other numbers than floats are left to :func:`mdps.optimal_policy`.
    """
    if isinstance(c.old.A, Numbers):
        return optimal_policy(c.mdp)[1].V
    return repeated.optimal_values(c.mdp, c.old.A)


def natural_values(mdp: MDP, step: Array) -> list[Array]:
    """``V_T`` [*B,S] for T = 0, ..., 4 steps ``theta += step A`` of the softmax parameters from theta = 0, for step [*B]."""
    if not isinstance(step, Numbers):
        return list(np.moveaxis(repeated.natural_values(mdp, step), -2, 0))
    theta = np.zeros_like(mdp.R)
    V, A = values_and_advantages(mdp, uniform_policy(mdp))
    found = [V]
    for _ in range(repeated.STEPS):
        theta = theta + step[..., None, None] * A
        V, A = values_and_advantages(mdp, normalised(np.exp(centred(theta))))
        found.append(V)
    return found
