"""All there is to know of one policy in one large process, and how far off it can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mdps.evaluate import Evaluation, weighted
from mdps.mdp import Array, as_policy
from mdps.rows import UNIT
from mdps.sparse import SparseMDP
from mdps.sparse_resolvent import FULL, PRODUCTS, SparseResolvent


@dataclass(frozen=True, eq=False)
class SparseEvaluation(Evaluation):
    """An evaluation whose numbers carry certified errors. Build it with :func:`evaluate_sparse`."""

    mdp: SparseMDP  # type: ignore[assignment]
    resolvent: SparseResolvent  # type: ignore[assignment]
    h: Array  # [S]: values up to a constant, V = h + level / (1-gamma)
    level: float
    V_error: float
    """The largest error of V, of any state."""
    A_error: float
    """The largest error of A, of any state and action."""
    rho_error: float
    """The sum of the errors of rho over the states."""
    eta_error: float
    """The largest error of eta."""

    regret: float
    """The most that the best policy gains over this one, from any state.

    Values v with ``max_a (R + gamma P v) - v <= delta`` are short of the best by at most ``delta / (1-gamma)`` (Puterman 1994,
    Markov Decision Processes, theorem 6.2.2), and this policy is short of them by at most its own residual over 1-gamma.
    """


def evaluate_sparse(
    mdp: SparseMDP,
    pi: ArrayLike,
    *,
    tolerance: float = FULL,
    start: SparseEvaluation | None = None,
    values: Array | None = None,
    products: int = PRODUCTS,
) -> SparseEvaluation:
    """Evaluate a policy in a large process by Krylov methods, with a certified error.

    Parameters
    ----------
    mdp
        The process.
    pi
        Policy table [S,A].
    tolerance
        Relative residual at which solving stops: the largest one over the largest reward for V, their sum over that of
        (1-gamma) rho0 for d. By default as far as floats go.
    start
        The evaluation of a policy nearby, from which to start.
    values
        Where to start from for V alone, up to a constant, [S].
    products
        How many products with the chain each of the two solves may take.

    Raises
    ------
    ValueError
        If ``pi`` does not fit the process or one of its rows is not a distribution, or ``tolerance`` is not positive.
    ArithmeticError
        If a solve spends its products before its residual is small; nothing unconverged is returned.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance!r}; expected a positive number, such as 1e-10")
    policy = as_policy(mdp, pi)  # type: ignore[arg-type]  # it reads S, A and batch
    if policy.ndim != 2:
        raise ValueError(f"pi has shape {policy.shape}; expected [S, A]: a sparse process takes one policy at a time")
    gamma = float(mdp.gamma)
    resolvent = SparseResolvent(mdp, policy, tolerance, products)
    largest = float(np.abs(mdp.R).max())
    slack = (2 * mdp.A + 40) * UNIT * largest
    guess = start.h if values is None and start is not None else values
    found = resolvent.relative(weighted(policy, mdp.R), guess, slack)
    V = found.h + found.level / (1 - gamma)
    A = mdp.P.backup(mdp.R, gamma, found.h)
    A -= found.h[:, None]
    A -= found.level
    A -= weighted(policy, A)[:, None]  # the residual: what it leaves, every action is credited with alike
    rounding = mdp.looseness * 4 * (largest + 2 * float(np.abs(found.h).max()) + abs(found.level))
    A_error = (1 + gamma) * found.radius + float((np.abs(found.residual) + found.rounding).max()) + rounding
    begin = mdp.rho0 if start is None else start.d / start.d.sum() * mdp.rho0.sum()
    seen = resolvent.visits(mdp.rho0, begin, nonnegative=True)
    rho = seen.x / (1 - gamma)
    rho_error = seen.radius / (1 - gamma) + 4 * UNIT / (1 - gamma)
    eta = float((mdp.rho0 * found.h).sum() + found.level / (1 - gamma) + (rho * found.residual).sum())
    eta_error = (
        rho_error * float(np.abs(found.residual).max())
        + float((rho * found.rounding).sum())
        + (mdp.looseness + 100 * UNIT)
        * float((mdp.rho0 * np.abs(found.h)).sum() + (rho * np.abs(found.residual)).sum() + abs(found.level) / (1 - gamma))
    )
    return SparseEvaluation(
        mdp=mdp,
        pi=policy,
        V=V,
        Q=V[:, None] + A,
        A=A,
        rho=rho,
        d=seen.x,
        eta=np.asarray(eta),
        resolvent=resolvent,
        h=found.h,
        level=found.level,
        V_error=found.radius + 4 * UNIT * float(np.abs(V).max()),
        A_error=A_error,
        rho_error=rho_error,
        eta_error=eta_error,
        regret=(max(float(A.max()), 0.0) + rounding) / (1 - gamma) + 2 * found.radius,
    )
