"""Large processes: what a table of nonzeros has to be, checked once."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from mdps.mdp import (
    ROW_SUM_TOLERANCE,
    SINGLE_PRECISION_TOLERANCE,
    Array,
    _frozen,
    _stochastic,
    _table,
)
from mdps.rows import UNIT, Indices, Rows, rows

SAMPLE = 1000
"""States whose successors are compared to find out how much actions share."""


class Transitions(sparse.csr_array):
    """``P`` [S*A, S] as a scipy matrix that also answers the kernels of :mod:`mdps.elimination` as a table [S,A,S] would."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc.__name__ == "_backup" and method == "__call__":
            _, R, gamma, values = inputs
            return self.backup(np.asarray(R, dtype=float), float(gamma), np.asarray(values, dtype=float))
        if ufunc.__name__ == "_forward" and method == "__call__":
            return self.forward(np.asarray(inputs[1], dtype=float))
        operation = {"matmul": "matmul", "multiply": "mul", "add": "add", "subtract": "sub"}.get(ufunc.__name__)
        if operation is None or method != "__call__" or len(inputs) != 2:
            raise TypeError(needs_table(f"numpy.{ufunc.__name__}"))
        return getattr(operator, operation)(*(sparse.csr_array(x) if isinstance(x, Transitions) else x for x in inputs))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(needs_table(f"numpy.{function.__name__}"))

    @cached_property
    def rows(self) -> Rows:
        """The same numbers, for the kernels that use all cores."""
        return rows(self)

    @property
    def actions(self) -> int:
        """Number of actions."""
        return self.shape[0] // self.shape[1]

    @cached_property
    def columns(self) -> Rows:
        """The transpose [S, S*A]."""
        return rows(sparse.csr_array(self).T.tocsr())

    @cached_property
    def origins(self) -> Indices:
        """The state of each entry of :attr:`columns`, which names a state and an action."""
        return self.columns.columns // np.uint32(self.actions)

    @cached_property
    def apart(self) -> float:
        """Share of entries left if those of one state and successor were merged; of the first :data:`SAMPLE` states."""
        ends = self.indptr[: SAMPLE * self.actions + 1 : self.actions]
        state = np.searchsorted(ends, np.arange(ends[-1]), side="right")
        return len(np.unique(state * self.shape[1] + self.indices[: ends[-1]])) / max(int(ends[-1]), 1)

    def backup(self, R: Array, gamma: float, values: Array) -> Array:
        """``R + gamma P v`` [S,A] for v [S]."""
        return self.rows.affine(R.ravel(), gamma, values).reshape(R.shape)

    def forward(self, weights: Array) -> Array:
        """``sum_{s,a} w(s,a) P(s'|s,a)`` [S] for w [S,A]."""
        return sparse.csr_array(self).T @ weights.ravel()


def needs_table(what: str) -> str:
    """What to say where something asks for all S x S numbers."""
    return (
        f"{what} needs a table of S x S numbers, which a SparseMDP never makes; give a small process as an MDP, or leave "
        "out what needs the table"
    )


@dataclass(frozen=True, eq=False)
class SparseMDP:
    """A finite discounted Markov decision process of many states, each with few successors. One instance, no batch.

    Parameters
    ----------
    P
        scipy sparse matrix or array [S*A, S], any format; row ``s*A + a`` holds Pr(next state | s, a).
    R, rho0, gamma
        Tables as in :mod:`mdps.mdp`: [S,A], [S] and a number.

    Raises
    ------
    TypeError
        If P is no sparse matrix.
    ValueError
        If a shape does not fit, an entry is nan or infinite, a probability is negative, a row does not sum to one within
        ``ROW_SUM_TOLERANCE``, gamma lies outside [0, 1), or there are 2^31 nonzeros or more. The message names the first
        offending row.
    """

    P: Transitions  # [S * A, S]
    R: Array  # [S, A]
    rho0: Array  # [S]
    gamma: Array  # []

    def __init__(self, P: Any, R: ArrayLike, rho0: ArrayLike, gamma: ArrayLike) -> None:
        if not sparse.issparse(P):
            raise TypeError(f"P is {type(P).__name__}; expected a scipy sparse matrix [S*A, S] (a dense table makes an MDP)")
        r, start, discount = _table("R", R), _table("rho0", rho0), _table("gamma", gamma)
        if r.ndim != 2 or 0 in r.shape:
            raise ValueError(f"R has shape {r.shape}; expected [S, A] with at least one state and one action")
        states, actions = r.shape
        matrix = sparse.csr_array(cast(Any, P))
        if matrix.shape != (states * actions, states):
            raise ValueError(
                f"P has shape {matrix.shape}; expected [S*A, S] = ({states * actions}, {states}) to match R, row s*A + a"
            )
        if start.shape != (states,):
            raise ValueError(f"rho0 has shape {start.shape}; expected [S] = ({states},) to match R")
        if discount.shape != () or not 0 <= discount < 1:
            raise ValueError(f"gamma is {discount.tolist()!r}; expected one number, 0 <= gamma < 1")
        with np.errstate(over="ignore"):
            largest = np.abs(r).max() / (1 - discount)
        if not np.isfinite(largest):
            raise ValueError(f"values of up to {np.abs(r).max():g} / (1 - gamma) overflow; rescale R, which scales eta alike")
        tables: dict[str, Any] = {
            "P": _transitions(matrix, actions),
            "R": r,
            "rho0": _stochastic("rho0", start, rho0),
            "gamma": discount,
        }
        for name, table in tables.items():
            object.__setattr__(self, name, table if name == "P" else _frozen(table))

    @property
    def S(self) -> int:
        """Number of states."""
        return self.R.shape[0]

    @property
    def A(self) -> int:
        """Number of actions."""
        return self.R.shape[1]

    @property
    def batch(self) -> tuple[int, ...]:
        """``()``: a sparse process is one process."""
        return ()

    def __repr__(self) -> str:
        return f"SparseMDP(S={self.S}, A={self.A}, gamma={float(self.gamma):g}, nonzeros={self.P.nnz})"

    @cached_property
    def looseness(self) -> float:
        """How far an entry of P or of a chain made of it can be from that of the exact row-normalisation, relatively.

        Rows sum to one within 8 roundings (checked in as many roundings as they have entries), so do those of a policy; a chain
        adds up one product for each entry it merges.
        """
        return (2 * self.A * self.P.rows.widest + 2 * self.A + 40) * UNIT


def _transitions(matrix: sparse.csr_array, actions: int) -> Transitions:
    """Check the rows and return a frozen copy, with the deviation that is larger than rounding divided out."""
    if np.iscomplexobj(matrix.data):
        raise ValueError("P is complex; expected real probabilities")
    if matrix.nnz >= 2**31 or matrix.shape[0] >= 2**31:
        raise ValueError(f"P has {matrix.nnz} nonzeros in {matrix.shape[0]} rows; fewer than 2^31 of both are supported")
    data = np.array(matrix.data, dtype=float)
    bad = ~(np.isfinite(data) & (data >= 0))
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(matrix.indptr, place, side="right")) - 1
        raise ValueError(
            f"P[{row}, {matrix.indices[place]}] (state {row // actions}, action {row % actions}) is {data[place]!r}; "
            "a probability has to be finite and not negative"
        )
    table = Transitions((data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)), shape=matrix.shape)
    total = table.rows.affine(np.zeros(matrix.shape[0]), 1.0, np.ones(matrix.shape[1]))
    deviation = np.abs(total - 1)
    single = matrix.dtype == np.float32
    off = deviation > (SINGLE_PRECISION_TOLERANCE if single else ROW_SUM_TOLERANCE)
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise ValueError(
            f"P[{row}] (state {row // actions}, action {row % actions}) sums to {float(total[row])!r}, not to 1; "
            "divide each row by its sum if that is what is meant"
        )
    loose = deviation > 8 * UNIT
    if loose.any():
        data /= np.repeat(np.where(loose, total, 1.0), np.diff(table.indptr))
    for array in (table.data, table.indices, table.indptr):
        array.flags.writeable = False
    return table
