"""What an optimal policy is worth, for a batch in which most instances are done after two steps."""

from __future__ import annotations

import math

import numpy as np

from bounds.comparison import Comparison, once
from bounds.tables import largest
from mdps.evaluate import evaluate
from mdps.mdp import MDP, Array, stack
from mdps.numbers import Numbers
from mdps.optimal import optimal_policy


@once
def optimal_values(c: Comparison) -> Array:
    """``V*`` [*B,S] by Howard's (1960) policy iteration from the greedy policy of old, on what is left of the batch.

    An instance is done when no action is better than its own, or when the better ones do not raise its values: they rise until
    nothing is left but rounding. Other numbers than floats are left to :func:`mdps.optimal_policy`.
    """
    if isinstance(c.old.A, Numbers):
        return optimal_policy(c.mdp)[1].V
    mdp = _flat(c.mdp)
    V, left = np.full((*mdp.batch, mdp.S), -np.inf), np.arange(mdp.batch[0])
    action = c.old.A.reshape(-1, mdp.S, mdp.A).argmax(-1)
    while True:
        e = evaluate(mdp, np.eye(mdp.A)[action])
        risen = e.V.sum(-1) > V[left].sum(-1)
        V[left[risen]] = e.V[risen]
        unfinished = risen & (largest(e.A, 2) > 0)
        if not unfinished.any():
            return V.reshape(c.old.V.shape)
        mdp, left, action = mdp[unfinished], left[unfinished], e.A[unfinished].argmax(-1)


def _flat(mdp: MDP) -> MDP:
    """The same processes along one batch axis."""
    if len(mdp.batch) == 1:
        return mdp
    return mdp[np.unravel_index(np.arange(math.prod(mdp.batch)), mdp.batch)] if mdp.batch else stack([mdp])
