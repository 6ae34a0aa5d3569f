"""Two policies in one MDP, evaluated and put side by side: where every comparison begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bounds.comparison import Comparison
from bounds.sparse_comparison import compare_sparse
from mdps.evaluate import Evaluation, broadcast_mdp, evaluate
from mdps.mdp import MDP
from mdps.sparse import SparseMDP


def compare(mdp: MDP | SparseMDP, old: Evaluation | ArrayLike, new: Evaluation | ArrayLike) -> Comparison:
    """Compare two policies in one MDP (or in each of a batch).

    Parameters
    ----------
    mdp
        The process or batch ``*B``; or a sparse one, see :func:`bounds.sparse_comparison.compare_sparse`.
    old, new
        Policy tables [*B,S,A], or evaluations of them in this very ``mdp``, which are then not computed again.

    Raises
    ------
    ValueError
        If a policy does not fit the MDP, or an evaluation belongs to another one.
    """
    if isinstance(mdp, SparseMDP):
        return compare_sparse(mdp, old, new)  # type: ignore[arg-type]  # an evaluation of another process is refused there
    evaluations: list[Evaluation] = []
    for name, policy in (("old", old), ("new", new)):
        if isinstance(policy, Evaluation):
            if policy.mdp is not mdp:
                raise ValueError(
                    f"{name} was evaluated in another MDP object ({policy.mdp}); give its own .mdp, or its table .pi"
                )
            evaluations.append(policy)
        else:
            evaluations.append(evaluate(mdp, policy, name=name))
    wide = broadcast_mdp(mdp, np.broadcast_shapes(*(e.eta.shape for e in evaluations)))
    return Comparison(*(e.broadcast(wide) for e in evaluations))
