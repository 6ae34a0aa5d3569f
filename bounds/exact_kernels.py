"""What exact numbers answer to the compiled kernels, by the definitions of these, for one instance at a time.

Linear systems are solved by python-flint: in rationals where all entries are, in balls otherwise. Rows of probabilities are
normalised exactly wherever a kernel reads them, as the kernels for floats do up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import acb, acb_mat, arb, arb_mat, fmpq, fmpq_mat

from bounds.exact_arithmetic import divide, logarithm
from bounds.exact_entries import ONE, ZERO, Entries, Undecided, read

_READ, _DIVIDE = np.frompyfunc(read, 1, 1), np.frompyfunc(divide, 2, 1)

# -- linear systems ------------------------------------------------------------------------------------------------------------


def _matrix(entries: Entries) -> Any:
    """A matrix of flint's own, of the simplest kind that holds the entries."""
    kinds: set[Any] = {type(x) for x in entries.flat}
    kind: Any = acb_mat if acb in kinds else arb_mat if arb in kinds else fmpq_mat
    return kind(*entries.shape, list(entries.flat))


def _product(left: Any, right: Any) -> Entries:
    """``left @ right`` of two of flint's matrices as an array, rational if both are."""
    if isinstance(left, fmpq_mat) != isinstance(right, fmpq_mat):
        left, right = (arb_mat(x) if isinstance(x, fmpq_mat) else x for x in (left, right))
    product = left * right
    table = np.empty(product.nrows() * product.ncols(), object)
    table[:] = product.entries()
    return table.reshape(product.nrows(), product.ncols())


def _inverse(entries: Entries) -> Any:
    try:
        return _matrix(entries).inv()
    except ZeroDivisionError:
        raise Undecided("a linear system is singular, or not known to be regular") from None


def solve(system: Entries, right: Entries) -> Entries:
    """``system^-1 right`` for [n,n] and [n,k]; Undecided where the system may be singular."""
    return _product(_inverse(system), _matrix(right))


def _sum_of(row: Entries) -> Any:
    return np.add.reduce(row, axis=-1)


def _normalised(rows: Entries) -> Any:
    return _DIVIDE(rows, np.asarray(_sum_of(rows), dtype=object)[..., None])


# -- of mdps.elimination -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Factored:
    """``I - gamma P_pi`` with its last column replaced by ones, inverted.

    For ``V = h + V(s) 1`` with the last state s as reference, ``(I - gamma P_pi) V = r`` reads
    ``(I - gamma P_pi) h + (1 - gamma) V(s) 1 = r``, and h(s) = 0 leaves its column free for the level: one regular system for
    every gamma, 1 included. Entries of ``Resolvent.factors`` are all this one.
    """

    inverse: Any
    slack: Any  # 1 - gamma

    def column(self, reward: Entries) -> Entries:
        """h, with the level in place of its last entry."""
        return _product(self.inverse, _matrix(reward[:, None]))[:, 0]

    def row(self, source: Entries, total: Any) -> Entries:
        """x with ``x (I - gamma P_pi) = source`` and entries that sum to ``total``."""
        known = np.append(source[:-1], [total])
        return _product(_matrix(known[None, :]), self.inverse)[0]


def _eliminate(P: Entries, pi: Entries, gamma: Any) -> tuple[Entries, Entries, int]:
    states = pi.shape[0]
    rows = _normalised(_sum_of(np.moveaxis(pi[:, :, None] * P, 1, -1)))
    system = _READ(np.eye(states)) - gamma * rows
    system[:, -1] = ONE
    factored = Factored(_inverse(system), 1 - gamma)
    return np.full((states, states), factored, dtype=object), np.full(states, 1 - gamma, dtype=object), states - 1


def _relative_values(factors: Entries, time: Entries, reference: Any, reward: Entries, sign: Any) -> tuple[Entries, Any]:
    if sign > 0:  # a bound on rounding is asked for, and there is none
        return np.full(len(reward), ZERO, dtype=object), ZERO
    h = factors[0, 0].column(reward)
    level, h[-1] = h[-1], ZERO
    return h, level


def _values(factors: Entries, reference: Any, reward: Entries) -> Entries:
    h, level = _relative_values(factors, reward, reference, reward, -1)
    return h + level / factors[0, 0].slack


def _occupancy(factors: Entries, reference: Any, start: Entries) -> Entries:
    return factors[0, 0].row(start, _sum_of(start) / factors[0, 0].slack)


def _flow(factors: Entries, time: Entries, reference: Any, source: Entries, sign: Any) -> Entries:
    return np.full(len(source), ZERO, dtype=object) if sign > 0 else factors[0, 0].row(source, ZERO)


def _backup(P: Entries, R: Entries, gamma: Any, values: Entries) -> Entries:
    ahead = _product(_matrix(P.reshape(-1, len(values))), _matrix(values[:, None])).reshape(R.shape)
    return R + gamma * (ahead / _sum_of(P))


def _forward(P: Entries, weights: Entries) -> Entries:
    share = weights / _sum_of(P)
    return _product(_matrix(share.reshape(1, -1)), _matrix(P.reshape(-1, P.shape[-1])))[0]


# -- of bounds.divergences and bounds.sharper ----------------------------------------------------------------------------------


def _shift(old: Entries, new: Entries) -> Entries:
    return _normalised(new) - _normalised(old)


def _kl(p: Entries, q: Entries) -> Any:
    total: Any = ZERO
    for a, b in zip(_normalised(p), _normalised(q), strict=True):
        if a == 0 or (isinstance(a, fmpq) and isinstance(b, fmpq) and a == b):
            continue
        if b == 0:
            return arb.pos_inf()
        total = total + a * logarithm(a / b)
    return total


def _sqrt_horizon(gamma: Any) -> Any:
    return ZERO if gamma == 0 else arb(gamma).polylog(arb(-0.5))


KERNELS: dict[str, tuple[Callable[..., Any], str]] = {
    "_eliminate": (_eliminate, "OOl"),
    "_relative_values": (_relative_values, "OO"),
    "_values": (_values, "O"),
    "_occupancy": (_occupancy, "O"),
    "_flow": (_flow, "O"),
    "_backup": (_backup, "O"),
    "_forward": (_forward, "O"),
    "_shift": (_shift, "O"),
    "_kl": (_kl, "O"),
    "_sqrt_horizon": (_sqrt_horizon, "O"),
}
"""Answers to the kernels of :mod:`mdps.elimination`, :mod:`bounds.divergences` and :mod:`bounds.sharper` by their names, with the
types of what they return: O for entries, l for an index."""
