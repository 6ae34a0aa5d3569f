"""What an optimal policy is worth, for a batch in which most instances are done after two steps."""

from __future__ import annotations

import math

import numpy as np

from bounds.comparison import Comparison, once
from bounds.tables import first_largest, largest, one_hot, total
from mdps.evaluate import values_and_advantages
from mdps.mdp import MDP, Array, stack, trusted
from mdps.numbers import Numbers
from mdps.optimal import optimal_policy
from mdps.planes import padded, planes, selected


@once
def optimal_values(c: Comparison) -> Array:
    """``V*`` [*B,S] by Howard's (1960) policy iteration from the greedy policy of old, on what is left of the batch.

    An instance is done when no action is better than its own, or when the better ones do not raise its values: they rise until
    nothing is left but rounding. Other numbers than floats are left to :func:`mdps.optimal_policy`.
    """
    if isinstance(c.old.A, Numbers):
        return optimal_policy(c.mdp)[1].V
    mdp = _flat(c.mdp)
    V, left = np.full_like(mdp.rho0, -np.inf), np.arange(mdp.batch[0])
    action = first_largest(c.old.A.reshape(mdp.R.shape))
    while True:
        value, A = values_and_advantages(mdp, one_hot(action, mdp.A))
        risen = total(value) > total(V[left])
        V[left[risen]] = value[risen]
        unfinished = risen & (largest(A, 2) > 0)
        if not unfinished.any():
            return V.reshape(c.old.V.shape)
        which = np.flatnonzero(unfinished)
        which = which if planes(mdp.P, 3) is None else padded(which)
        mdp = trusted(*(selected(x, which) for x in (mdp.P, mdp.R, mdp.rho0, mdp.gamma)))
        left, action = left[which], first_largest(selected(A, which))


def _flat(mdp: MDP) -> MDP:
    """The same processes along one batch axis."""
    if len(mdp.batch) == 1:
        return mdp
    return mdp[np.unravel_index(np.arange(math.prod(mdp.batch)), mdp.batch)] if mdp.batch else stack([mdp])
