"""The chain that a policy makes of a large process, for products with it and with its transpose.

A state's row is those of P for its actions, one after the other, each times the action's probability. Where a policy takes every
action and actions seldom share a successor, it is used like that: both matrices are then weighted copies of what the process has
already, whose transpose serves every policy. Elsewhere entries of one successor are merged, which leaves fewer of them.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from mdps.mdp import Array
from mdps.rows import Rows, arranged, rows
from mdps.sparse import SparseMDP

WORTH_MERGING = 0.9
"""Share of the entries that may be left for it to pay to merge them: products with a chain cost in proportion to its entries."""


def merged(mdp: SparseMDP, pi: Array) -> sparse.csr_array:
    """``P_pi`` [S,S] of a policy [S,A], entries of the same successor merged where it takes several actions."""
    taken = pi > 0
    pairs = np.flatnonzero(taken).astype(np.int32)
    if len(pairs) == mdp.S and (pi.ravel()[pairs] == 1).all():
        return sparse.csr_array(mdp.P)[pairs]
    ends = np.concatenate([[0], np.cumsum(taken.sum(-1))]).astype(np.int32)
    choice = sparse.csr_array((pi[taken], pairs, ends), shape=(mdp.S, mdp.S * mdp.A))
    return choice @ sparse.csr_array(mdp.P)


def side_by_side(mdp: SparseMDP, pi: Array) -> tuple[Rows, Rows] | None:
    """``P_pi`` and its transpose, nothing merged; None where merging is worth it."""
    if not (pi > 0).all() or mdp.P.apart < WORTH_MERGING:
        return None
    ahead, back, weights = mdp.P.rows, mdp.P.columns, pi.ravel()
    starts = np.ascontiguousarray(ahead.starts[:: mdp.A])
    from_states = arranged(starts, ahead.columns, ahead.entries * np.repeat(weights, np.diff(ahead.starts)))
    return from_states, arranged(back.starts, mdp.P.origins, back.entries * weights[back.columns])


def sides(mdp: SparseMDP, pi: Array) -> tuple[Rows, Rows]:
    """``P_pi`` and its transpose, whichever way costs less."""
    found = side_by_side(mdp, pi)
    if found is not None:
        return found
    chain = merged(mdp, pi)
    return rows(chain), rows(chain.T.tocsr())
