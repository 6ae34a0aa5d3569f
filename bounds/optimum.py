"""What an optimal policy is worth, and what natural-gradient steps reach: both evaluate one policy after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bounds import enclosed_steps
from bounds.comparison import Comparison, once
from bounds.steps import worth
from bounds.tables import centred, normalised, stacked
from mdps import repeated
from mdps.mdp import MDP, Array
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


def natural_values(mdp: MDP, *steps: Array) -> list[list[Array]]:
    """``V_T`` [*B,S] for T = 1, 2, 3 and 4 updates ``theta += step A`` of softmax parameters from 0, for each step [*B]."""
    if not any(isinstance(step, Numbers) for step in steps):
        found = repeated.natural_values(mdp, stacked(*steps))
        return [[found[..., k, t, :] for t in range(repeated.STEPS)] for k in range(len(steps))]
    start = worth(mdp, np.broadcast_to(1.0 / mdp.A, mdp.R.shape))[1]
    at_once = enclosed_steps.natural_values(mdp, start, *steps)
    if at_once is not None:
        return [[at_once[..., k, t, :] for t in range(repeated.STEPS)] for k in range(len(steps))]
    return [list(_followed(mdp, start, step[..., None, None])) for step in steps]


def _followed(mdp: MDP, A: Array, step: Array) -> Iterator[Array]:
    theta = np.zeros_like(mdp.R)
    for _ in range(repeated.STEPS):
        theta = theta + step * A
        V, A = worth(mdp, normalised(np.exp(centred(theta))))
        yield V
