"""Optimal policies of large processes: modified policy iteration, with a certificate for when to stop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mdps.krylov import bicgstab, less_mean
from mdps.mdp import Array
from mdps.rows import rows
from mdps.sparse import SparseMDP
from mdps.sparse_evaluate import SparseEvaluation, evaluate_sparse
from mdps.sparse_resolvent import FLOOR, FULL

EPSILON = 1e-6
"""Default of how much a better policy may still gain, in units of return."""

RETRIES = 6
"""How often the residual is brought down further where the policy's own evaluation does not certify epsilon."""

ROUNDS = 10_000
"""Default limit on improvements of the policy."""

STEPS, CHECK, ENOUGH = 40, 4, 0.1
"""Steps of a policy's own chain in a round; fewer where every so many show that they move h by this share of the first only."""

REFINEMENT, ITERATIONS = 1e-3, 100
"""By how much a policy that has come twice has its residual reduced, and the Krylov iterations that may take."""


def optimal_policy_sparse(
    mdp: SparseMDP, *, epsilon: float = EPSILON, start: Array | None = None, rounds: int = ROUNDS
) -> tuple[Array, SparseEvaluation]:
    """Find a deterministic policy that no other beats by more than ``epsilon`` from any state, and its evaluation.

    Modified policy iteration (Puterman and Shin 1978, Management Science 24(11)): each round takes the greedy policy of h, values
    up to a constant, and some steps of that policy's own chain; once the policy has settled, Krylov iterations on its chain
    (Gargiani and others 2024, arXiv:2404.06136). A round ends by the span of the Bellman residual; the last word is the
    certificate of an evaluation.

    Parameters
    ----------
    mdp
        The process.
    epsilon
        The most that the policy may fall short of the best, in units of return.
    start
        Values [S] near the best ones, such as those of a similar process.
    rounds
        Limit on improvements.

    Returns
    -------
    pi
        One-hot policy table [S,A].
    evaluation
        Its evaluation; ``evaluation.regret`` is a certified bound on what it falls short of, rounding included.

    Raises
    ------
    ValueError
        If epsilon is not positive.
    ArithmeticError
        If the rounds are spent, or rounding hides an epsilon as small as this.
    """
    if not epsilon > 0:
        raise ValueError(
            f"epsilon is {epsilon!r}; expected a positive number: what the policy may fall short of, in units of return"
        )
    gamma, largest = float(mdp.gamma), float(np.abs(mdp.R).max())
    h = np.zeros(mdp.S) if start is None else np.array(start, dtype=float)
    goal = epsilon * (1 - gamma) / 2
    for _ in range(RETRIES):
        h, action = _improve(mdp, h, goal, rounds)
        pi = np.zeros(mdp.R.shape)
        pi[np.arange(mdp.S), action] = 1
        evaluation = evaluate_sparse(mdp, pi, tolerance=np.clip(goal / max(4 * largest, goal), FULL, None), values=h)
        if evaluation.regret <= epsilon:
            return pi, evaluation
        h, goal = evaluation.h, goal / 8
    raise ArithmeticError(
        f"the best policy found may fall short by {evaluation.regret:.3g}, epsilon is {epsilon:.3g}: rounding hides less where "
        f"values up to a constant are {np.abs(h).max():.3g} and gamma is {gamma!r}; ask for a larger epsilon"
    )


def _improve(mdp: SparseMDP, h: Array, goal: float, rounds: int) -> tuple[Array, NDArray[np.int64]]:
    """Values up to a constant [S] whose Bellman residual has a span below goal, or rounding's, and the greedy policy [S]."""
    best, action, span = _bellman(mdp, h)
    before = None
    for _ in range(rounds):
        if span <= max(goal, 16 * FLOOR * float(np.abs(h).max() + np.abs(best).max())):
            return h, action
        settled = before is not None and np.array_equal(action, before)
        h, before = _evaluated(mdp, action, best, settled), action
        best, action, span = _bellman(mdp, h)
    raise ArithmeticError(
        f"{rounds} rounds left a Bellman residual of span {span:.3g} where {goal:.3g} was asked for; allow more"
    )


def _bellman(mdp: SparseMDP, h: Array) -> tuple[Array, NDArray[np.int64], float]:
    """``max_a (R + gamma P h)`` [S], the action that attains it [S], and the span of what it changes h by."""
    best, action = mdp.P.rows.best(mdp.R, float(mdp.gamma), h)
    return best, action, float(np.ptp(best - h))


def _evaluated(mdp: SparseMDP, action: NDArray[np.int64], best: Array, settled: bool) -> Array:
    """What is nearer to the values of the policy that takes ``action`` [S], up to a constant, than ``best`` [S], its first step.

    A policy that still changes gets some steps of its own chain, which never lead astray; one that has come twice is worth
    Krylov iterations on what the last step left, kept if they leave less than the steps do.
    """
    gamma = float(mdp.gamma)
    chosen = rows(sparse.csr_array(mdp.P)[np.arange(mdp.S) * mdp.A + action])
    reward = np.take_along_axis(mdp.R, action[:, None], 1)[:, 0]

    def apply(x: Array) -> Array:
        y = chosen.affine(x, -gamma, x)
        less_mean(y)
        return y

    h, spare, first = best, np.empty_like(best), 0.0
    for k in range(STEPS):
        h, spare = chosen.affine(reward, gamma, h, spare), h
        if k % CHECK == 0:
            moved = float(np.ptp(h - spare))
            first = max(first, moved)
            if moved <= ENOUGH * first:
                break
    if settled:
        left = chosen.affine(reward - h, gamma, h)
        guess = h + bicgstab(apply, left - left.mean(), REFINEMENT, ITERATIONS)[0]
        if np.ptp(chosen.affine(reward - guess, gamma, guess)) < np.ptp(left):
            h = guess
    return h - (h.max() + h.min()) / 2
