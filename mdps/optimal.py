"""Optimal policies by Howard's policy iteration."""

from __future__ import annotations

import numpy as np

from mdps.elimination import backup
from mdps.evaluate import Evaluation, evaluate, weighted
from mdps.mdp import MDP, Array
from mdps.numbers import Numbers
from mdps.sparse import SparseMDP


def optimal_policy(mdp: MDP | SparseMDP) -> tuple[Array, Evaluation]:
    """Find a deterministic policy that is optimal from every state, and its evaluation.

    Howard (1960) policy iteration on the whole batch at once: start from the greedy policy of one step, evaluate
    it exactly, and in every state where some action has a positive advantage switch to the best one. Only an advantage
    above its own rounding error counts as positive. A switch is then a true improvement, no policy comes twice,
    and the iteration ends. A tie keeps the current action; among the first actions, the lowest index.

    Parameters
    ----------
    mdp
        One process or a batch ``*B``. Any gamma in [0, 1), 0 and 1 - 1e-10 included. For a sparse one see
        :func:`mdps.sparse_optimal.optimal_policy_sparse`.

    Returns
    -------
    pi
        One-hot policy table [*B, S, A].
    evaluation
        ``evaluate(mdp, pi)``. No advantage in it is positive by more than rounding, which is about 1e-14 of the rewards, or
        1e-15/(1-gamma) in states that cannot reach the recurrent class of the reference: there V itself has no more digits.

    Raises
    ------
    TypeError
        If ``mdp`` is no MDP.
    """
    if isinstance(mdp, SparseMDP):
        from mdps.sparse_optimal import optimal_policy_sparse  # which is made of what is here

        return optimal_policy_sparse(mdp)
    if not isinstance(mdp, MDP):
        raise TypeError(f"optimal_policy got {type(mdp).__name__} as its mdp; expected an MDP")
    action = mdp.R.argmax(-1)
    while True:
        evaluation = evaluate(mdp, np.eye(mdp.A)[action])
        best = evaluation.A.argmax(-1)
        gain = np.take_along_axis(evaluation.A - _rounding(evaluation), best[..., None], -1)[..., 0]
        switch = np.where(best != action, gain, 0.0) > 0
        if not switch.any():
            return evaluation.pi, evaluation
        action = np.where(switch, best, action)


def _rounding(e: Evaluation) -> Array:
    """A bound on the rounding error in e.A, [*B,S,A]: unit roundoff times the size of the terms that A is a sum of.

    The relative value h(s) is a sum of r - level over the states met before the reference. Each term is off by a rounding of
    |r| + |level|, however small the difference, so ``size``, the sum of those, bounds h and its error. It is computed as
    relative values are: N x = h(x) + level(x) N 1, where N sums up to the reference, and N 1 follows from x = 1 at the
    reference, where N x = 0.
    """
    if isinstance(e.A, Numbers):
        return np.zeros(())  # these know their own
    mdp, resolvent = e.mdp, e.resolvent
    reward = weighted(e.pi, mdp.R)
    level = np.abs(resolvent.relative_values(reward)[1])[..., None]
    at_reference = np.eye(mdp.S)[resolvent.reference]
    h, visits = resolvent.relative_values(at_reference)
    time = -h / visits[..., None]
    h, rate = resolvent.relative_values((np.abs(reward) + level) * (1 - at_reference))
    size = np.maximum(h + rate[..., None] * time, 0)
    terms = backup(mdp.P, np.abs(mdp.R), mdp.gamma, size) + (size + level)[..., None]
    return (16 + mdp.S) * np.finfo(float).eps * terms
