"""All there is to know of one policy in one large process, and how far off it can be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mdps.evaluate import Evaluation, weighted
from mdps.mdp import Array, as_policy
from mdps.rows import UNIT
from mdps.sparse import SparseMDP
from mdps.sparse_resolvent import FULL, PRODUCTS, Relative, SparseResolvent


@dataclass(frozen=True, eq=False)
class SparseEvaluation(Evaluation):
    """An evaluation whose numbers carry certified errors. Build it with :func:`evaluate_sparse`.

    Values and visits are two solves. That for rho, d, eta and their errors is made when one of these is first read.

    Raises
    ------
    ArithmeticError
        Then, if it spends its products before its residual is small.
    """

    mdp: SparseMDP  # type: ignore[assignment]
    resolvent: SparseResolvent  # type: ignore[assignment]
    rho: Array = field(init=False)
    d: Array = field(init=False)
    eta: Array = field(init=False)
    relative: Relative  # values up to a constant, V = h + level / (1-gamma), and what they leave of their equation
    begin: Array  # [S]: where the solve for d starts
    V_error: float
    """The largest error of V, of any state."""
    A_error: float
    """The largest error of A, of any state and action."""
    rho_error: float = field(init=False)
    """The sum of the errors of rho over the states."""
    eta_error: float = field(init=False)
    """The largest error of eta."""
    regret: float
    """The most that the best policy gains over this one, from any state.

    Values v with ``max_a (R + gamma P v) - v <= delta`` are short of the best by at most ``delta / (1-gamma)`` (Puterman 1994,
    Markov Decision Processes, theorem 6.2.2), and this policy is short of them by at most its own residual over 1-gamma.
    """

    @property
    def h(self) -> Array:
        """Values up to a constant [S]."""
        return self.relative.h

    @property
    def level(self) -> float:
        """What V exceeds h by, times 1-gamma."""
        return self.relative.level

    def __getattr__(self, name: str) -> Any:
        if name not in ("rho", "d", "eta", "rho_error", "eta_error"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.__dict__.update(_visits(self))
        return self.__dict__[name]


def evaluate_sparse(
    mdp: SparseMDP,
    pi: ArrayLike,
    *,
    tolerance: float = FULL,
    start: SparseEvaluation | None = None,
    values: Array | None = None,
    products: int = PRODUCTS,
    name: str = "pi",
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
        The evaluation of a policy nearby, from which to start: from its visits, if these have been solved for.
    values
        Where to start from for V alone, up to a constant, [S].
    products
        How many products with the chain each of the two solves may take.
    name
        What messages call the policy.

    Raises
    ------
    ValueError
        If ``pi`` does not fit the process or one of its rows is not a distribution, or ``tolerance`` is not positive.
    ArithmeticError
        If the solve for V spends its products before its residual is small; nothing unconverged is returned.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance!r}; expected a positive number, such as 1e-10")
    policy = as_policy(mdp, pi, name)  # type: ignore[arg-type]  # it reads S, A and batch
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
    seen = mdp.rho0 if start is None else start.__dict__.get("d", start.begin)  # not worth a solve of its own
    return SparseEvaluation(
        mdp=mdp,
        pi=policy,
        V=V,
        Q=V[:, None] + A,
        A=A,
        resolvent=resolvent,
        relative=found,
        begin=seen / seen.sum() * mdp.rho0.sum(),
        V_error=found.radius + 4 * UNIT * float(np.abs(V).max()),
        A_error=A_error,
        regret=(max(float(A.max()), 0.0) + rounding) / (1 - gamma) + 2 * found.radius,
    )


def _visits(e: SparseEvaluation) -> dict[str, Any]:
    """What takes the second solve: the visits, and the return, whose error they make one of second order."""
    mdp, found, gamma = e.mdp, e.relative, float(e.mdp.gamma)
    seen = e.resolvent.visits(mdp.rho0, e.begin, nonnegative=True)
    rho = seen.x / (1 - gamma)
    rho_error = seen.radius / (1 - gamma) + 4 * UNIT / (1 - gamma)
    eta = float((mdp.rho0 * found.h).sum() + found.level / (1 - gamma) + (rho * found.residual).sum())
    eta_error = (
        rho_error * float(np.abs(found.residual).max())
        + float((rho * found.rounding).sum())
        + (mdp.looseness + 100 * UNIT)
        * float((mdp.rho0 * np.abs(found.h)).sum() + (rho * np.abs(found.residual)).sum() + abs(found.level) / (1 - gamma))
    )
    return {"rho": rho, "d": seen.x, "eta": np.asarray(eta), "rho_error": rho_error, "eta_error": eta_error}
