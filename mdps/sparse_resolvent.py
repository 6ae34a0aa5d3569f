"""The resolvent ``(I - gamma P_pi)^-1`` of a large process, applied by products, with an error that is certified.

Its norm is 1/(1-gamma), that of the largest row sum, so what a vector leaves of an equation says how far it is from the
solution, whoever found it: values are known to within the largest residual over 1-gamma, visits to within the sum of the
residuals over 1-gamma. The residual's own rounding is added to it, and so is the difference of a float table from its exact
row-normalisation, the process every result is about.

A constant is an eigenvector of P. It is left out of both equations, so that neither gets worse as gamma -> 1: values are
``h + level / (1-gamma)`` and what is solved for is h, up to a constant; visits start with the right sum, which
every product keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mdps.krylov import Left, less_mean, solve
from mdps.mdp import Array
from mdps.rows import UNIT, Rows, depth_first, rows
from mdps.sparse import SparseMDP
from mdps.sparse_chain import merged, sides

FULL = 1e-15
"""Default relative residual: what rounding leaves, so as far as floats go. A larger one saves products."""

PRODUCTS = 100_000
"""Default limit on the products of one solve."""

FLOOR = 4 * UNIT
"""The residual that rounding a solution leaves, in units of the terms it adds up."""


@dataclass(frozen=True, eq=False)
class Relative:
    """Values ``h + level / (1-gamma)`` of a reward, and what they leave of their equation."""

    h: Array  # [S]
    level: float
    residual: Array  # [S]: of h and level
    rounding: Array  # [S]: by how much the residual may be wrong
    radius: float  # the largest error of the values


@dataclass(frozen=True, eq=False)
class Visits:
    """``x = source (I - gamma P_pi)^-1`` times 1-gamma, and the sum of its errors."""

    x: Array  # [S]
    radius: float


@dataclass(frozen=True, eq=False)
class SparseResolvent:
    """What :class:`~mdps.elimination.Resolvent` is to a dense process. Nothing is factored: each use is a solve.

    Raises
    ------
    ArithmeticError
        From every method, if its products are spent before its residual is small: see :func:`mdps.krylov.solve`.
    """

    mdp: SparseMDP
    pi: Array  # [S, A]
    tolerance: float = FULL
    products: int = PRODUCTS

    @property
    def gamma(self) -> float:
        """Discount factor."""
        return float(self.mdp.gamma)

    @cached_property
    def chain(self) -> sparse.csr_array:
        """``P_pi`` [S,S]: the chain the policy makes, entries of the same successor merged where it takes several actions."""
        return merged(self.mdp, self.pi)

    def step(self, law: Array) -> Array:
        """Where a law [S] is after one step."""
        return self._sides[True].affine(np.zeros_like(law), 1.0, law)

    def relative(self, reward: Array, start: Array | None = None, slack: float = 0.0) -> Relative:
        """Values of a reward [S] that is itself known to within ``slack``, from a first guess at them [S]."""
        system = _Values(self, reward, transposed=False)
        tolerance = self.tolerance * float(np.abs(reward).max())
        found = solve(system, np.zeros_like(reward) if start is None else start, tolerance, self.products)
        h, (residual, size, level) = found.x, found.left.of
        off = float(residual.max() + residual.min()) / 2
        residual, level = residual - off, level + off
        size += abs(level)
        rounding = (self.mdp.looseness + 8 * UNIT) * size + slack
        return Relative(
            h, level, residual, rounding, float((np.abs(residual) + rounding).max()) / (1 - self.gamma) * (1 + 8 * UNIT)
        )

    def visits(self, source: Array, start: Array, nonnegative: bool = False) -> Visits:
        """(1-gamma) times the visits that a source [S] sets off, from a first guess of the same sum [S]."""
        b = (1 - self.gamma) * source
        system = _Visits(self, b, transposed=True)
        x = solve(system, start, self.tolerance * float(np.abs(b).sum()), self.products).x
        if nonnegative:  # nearer to the truth, which is not below the first step
            x = np.maximum(x, b)
            x *= source.sum() / x.sum()
        residual, size = system.forward.residual(b, self.gamma, x)
        rounding = (self.mdp.looseness + 100 * UNIT) * float(size.sum())
        return Visits(x, (float(np.abs(residual).sum()) + rounding) / (1 - self.gamma) * (1 + 100 * UNIT))

    def values(self, reward: Array) -> Array:
        """``(I - gamma P_pi)^-1 r`` [S] for a reward r [S]."""
        found = self.relative(reward)
        return found.h + found.level / (1 - self.gamma)

    def relative_values(self, reward: Array) -> tuple[Array, NDArray[np.float64]]:
        """``h`` [S], the same up to a constant, and ``level`` [] with ``values = h + level / (1-gamma)``."""
        found = self.relative(reward)
        return found.h, np.asarray(found.level)

    def occupancy(self, start: Array) -> Array:
        """``start (I - gamma P_pi)^-1`` [S] for a nonnegative start [S]."""
        return self.visits(start, start, nonnegative=True).x / (1 - self.gamma)

    def flow(self, source: Array) -> Array:
        """``source (I - gamma P_pi)^-1`` [S] for a source [S] that sums to zero; then so does the flow."""
        return self.visits(source, np.zeros_like(source)).x / (1 - self.gamma)

    def relative_magnitude(self, size: Array) -> Array:
        """What times eps bounds the error of ``relative_values`` for ``|reward| <= size`` [S]: one number, repeated [S]."""
        return np.full(size.shape, self._magnitude * float(size.max()))

    def flow_magnitude(self, size: Array) -> Array:
        """What times eps bounds the sum of errors of ``flow`` for ``|source| <= size`` [S], spread over the states [S]."""
        return np.full(size.shape, self._magnitude * float(size.sum()) / len(size))

    @property
    def _magnitude(self) -> float:
        per_residual = 1 / (1 - self.gamma)
        return (self.tolerance + (FLOOR + self.mdp.looseness + 100 * UNIT) * 2 * per_residual) / (2 * UNIT) * per_residual

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return depth_first(self.chain)

    @cached_property
    def _sides(self) -> tuple[Rows, Rows]:
        return sides(self.mdp, self.pi)

    @cached_property
    def _swept(self) -> tuple[Rows, Rows]:
        ordered = self.chain[self._order][:, self._order]
        return rows(ordered), rows(ordered.T.tocsr())


@dataclass(frozen=True, eq=False)
class _Side:
    """One of the two equations, ``x - gamma M x = b`` with M the chain or its transpose."""

    resolvent: SparseResolvent
    b: Array  # [S]
    transposed: bool

    @cached_property
    def forward(self) -> Rows:
        return self.resolvent._sides[self.transposed]

    def plain(self, x: Array) -> Array:
        return self.forward.affine(x, -self.resolvent.gamma, x)

    def sweep(self, x: Array) -> Array:
        order, result = self.resolvent._order, np.empty_like(x)
        result[order] = self.resolvent._swept[self.transposed].sweep(self.resolvent.gamma, x[order])
        return result


class _Values(_Side):
    """Up to a constant: the largest residual left once its mean is taken out."""

    def apply(self, x: Array) -> Array:
        y = self.plain(x)
        less_mean(y)
        return y

    def tidy(self, x: Array) -> Array:
        return x - (x.max() + x.min()) / 2

    def residual(self, x: Array) -> Left:
        """Beside a level: taken out first, it hides no digits of the rest. ``of`` is what is left, its size and the level."""
        level = float(self.forward.affine(self.b - x, self.resolvent.gamma, x).mean())
        left, size = self.forward.residual(self.b, self.resolvent.gamma, x, level)
        r = left - left.mean()
        return Left(r, float(np.abs(r).max()), FLOOR * float(size.max()), (left, size, level))


class _Visits(_Side):
    """The sum of the residuals, for a guess whose sum is right already."""

    def apply(self, x: Array) -> Array:
        return self.plain(x)

    def tidy(self, x: Array) -> Array:
        return x

    def residual(self, x: Array) -> Left:
        r, size = self.forward.residual(self.b, self.resolvent.gamma, x)
        return Left(r, float(np.abs(r).sum()), FLOOR * float(size.sum()), (r, size))
