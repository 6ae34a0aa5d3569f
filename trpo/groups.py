"""State aggregation: states that have to share one law of action, and what they look like together.

With the law p_G shared by the states of a group G, the surrogate advantage is

    sum_s d(s) sum_a p_{G(s)}(a) A(s,a)  =  sum_G w_G sum_a p_G(a) A_G(a),
    w_G = sum_{s in G} d(s),   A_G(a) = sum_{s in G} d(s) A(s,a) / w_G,

and a mean or a maximum over visited states of a distance between laws becomes the same over groups. So every update
of tied states is the update of an untied problem with these weights and advantages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdps.evaluate import Evaluation
from mdps.kernels import kernel
from mdps.mdp import Array, unmasked

SAME_LAW_TOLERANCE = 1e-12
"""Laws of one group further apart than this are taken for a mistake, nearer ones for rounding."""

ROUNDING = 16 * float(np.finfo(float).eps)
"""Advantages nearer to each other than this, in units of the largest reward and span of V, are ties: see :class:`Tied`."""


@dataclass(frozen=True, eq=False)
class Tied:
    """What an update needs to know, per group of states. Build it with :func:`tie`."""

    label: NDArray[np.intp]  # [S]: the group of each state, 0..G-1
    pi: Array  # [*B, G, A]: the old law of each group
    weight: Array  # [*B, G]: sum of d over the group
    regret: Array  # [*B, G, A]: max_a A_G - A_G over all actions, supported or not; see below

    # Regrets below the rounding error of A are 0: two actions of equal value are a tie, whatever the last bits say, and a
    # group all of whose actions are equal stays where it is. So are those of a group of weight 0, where nothing can be gained.

    def spread(self, law: Array) -> Array:
        """Give every state the law of its group: [*B,G,A] -> [*B,S,A], a new array."""
        return np.take(law, self.label, axis=-2)


def tie(old: Evaluation, groups: ArrayLike | None = None) -> Tied:
    """Aggregate an evaluation over groups of states.

    Parameters
    ----------
    old
        The old policy's evaluation, batch axes ``*B``.
    groups
        One integer label per state, [S]; states with equal labels share one law. Any integers will do. None leaves
        every state on its own.

    Raises
    ------
    TypeError
        If ``old`` is no evaluation.
    ValueError
        If the labels are not S integers, or the old law differs within a group by more than ``SAME_LAW_TOLERANCE``.
    """
    if not isinstance(old, Evaluation):
        raise TypeError(f"old is of type {type(old).__name__}; expected an Evaluation: evaluate(mdp, pi)")
    states = old.pi.shape[-2]
    if groups is None:
        return Tied(np.arange(states), old.pi, old.d, _regret(old.A, old.d, old.V, old.mdp.R))
    given = np.asarray(unmasked("groups", groups))
    if given.shape != (states,) or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(
            f"groups has shape {given.shape} and type {given.dtype}; expected {states} integers, one label per state"
        )
    _, first, label = np.unique(given, return_index=True, return_inverse=True)
    pi = old.pi[..., first, :]
    apart = np.abs(old.pi - pi[..., label, :]).max(-1) > SAME_LAW_TOLERANCE
    if apart.any():
        where = tuple(int(i) for i in np.argwhere(apart)[0])
        raise ValueError(
            f"states {first[label[where[-1]]]} and {where[-1]} share the label {given[where[-1]]} but the old policy differs "
            f"between them (first at old.pi[{', '.join(map(str, where))}]); start from a policy that is constant on each group"
        )
    member = label == np.arange(first.size)[:, None]  # [G, S]
    weight = np.where(member, old.d[..., None, :], 0.0).sum(-1)  # [*B, G]
    share = np.where(member, old.d[..., None, :], 0.0) / np.where(weight > 0, weight, 1.0)[..., None]  # [*B, G, S]
    return Tied(label, pi, weight, _regret(share @ old.A, weight, old.V, old.mdp.R))


@kernel("(f8[:,:],f8[:],f8[:],f8[:,:],f8[:,:])", "(g,a),(g),(s),(s,a)->(g,a)")
def _regret(A: Any, weight: Any, V: Any, R: Any, regret: Any) -> None:
    """:attr:`Tied.regret` of the groups' advantages; V and R are those of the states."""
    low, high, reward = V[0], V[0], 0.0
    for s in range(V.shape[0]):
        low, high = min(low, V[s]), max(high, V[s])
        for a in range(R.shape[1]):
            reward = max(reward, abs(R[s, a]))
    noise = ROUNDING * (reward + (high - low))
    for g in range(A.shape[0]):
        best = A[g, 0]
        for a in range(1, A.shape[1]):
            best = max(best, A[g, a])
        for a in range(A.shape[1]):
            lost = best - A[g, a]
            regret[g, a] = lost if weight[g] > 0.0 and lost > noise else 0.0
