"""Solving ``(I - gamma P) x = b`` by products with P, and saying what was reached.

Methods are tried in turn, from the fastest to the one that cannot fail: each starts from the true residual of the last, and
the next takes over when one no longer halves it.

========================= =============================================================================================
method                    good for
========================= =============================================================================================
BiCGSTAB                  chains that mix: a few dozen products
BiCGSTAB on a sweep       long ways, cycles, plateaus: preconditioned by a symmetric Gauss-Seidel pass in depth-first order
Gauss-Seidel passes       anything, by a factor of gamma a pass or better
========================= =============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from mdps.kernels import inner
from mdps.mdp import Array

Apply = Callable[[Array], Array]

CYCLE = 400
"""Iterations after which BiCGSTAB starts again from the true residual, which its own has drifted away from."""

PASSES = 100
"""Gauss-Seidel passes between two looks at the true residual."""


class Left(NamedTuple):
    """What a vector leaves of a system."""

    r: Array  # [S] the residual
    norm: float
    floor: float  # the norm that rounding alone may leave
    of: Any  # what else the system found out


class System(Protocol):
    """What is solved. The solution may be sought up to a part that ``apply`` and ``residual`` both leave out."""

    def apply(self, x: Array) -> Array:
        """The matrix times x, for a correction x [S]."""

    def sweep(self, x: Array) -> Array:
        """An approximate inverse times x [S]: a symmetric Gauss-Seidel pass."""

    def plain(self, x: Array) -> Array:
        """The matrix times x with nothing left out, for which passes of ``sweep`` converge."""

    def tidy(self, x: Array) -> Array:
        """The same solution with as little as may be of what is left out: it would hide the digits of the rest."""

    def residual(self, x: Array) -> Left:
        """``b - M x``."""


@dataclass(frozen=True)
class Solution:
    """What a solve ended with."""

    x: Array  # [S]
    left: Left  # what x truly leaves
    products: int  # with the matrix, those of sweeps and of true residuals included


def solve(system: System, start: Array, tolerance: float, products: int) -> Solution:
    """Solve from ``start`` [S] until the norm of the true residual is below ``tolerance``, or is rounding.

    Parameters
    ----------
    system
        The matrix and the right side.
    start
        First guess; a near one saves products.
    tolerance
        What the norm of the residual has to come below. Below what rounding leaves, that counts.
    products
        How many products with the matrix may be spent.

    Raises
    ------
    ArithmeticError
        If they are spent and the residual is still larger: nothing unconverged is ever returned.
    """
    x, spent = system.tidy(start), 1
    left = system.residual(x)
    for method in (_krylov, _swept_krylov, _passes):
        while left.norm > (goal := max(tolerance, left.floor)):
            if spent >= products:
                raise ArithmeticError(
                    f"{spent} products left a residual of {left.norm:.3g} where {goal:.3g} was asked for; "
                    "allow more of them (products=...) or a larger tolerance"
                )
            correction, used = method(system, left.r, 0.5 * goal / left.norm, products - spent)
            better = system.tidy(x + correction)
            now = system.residual(better)
            spent += used + 1
            stalled = not now.norm < left.norm / 2
            if now.norm < left.norm:
                x, left = better, now
            if stalled and method is not _passes:
                break
    return Solution(x, left, spent)


def _krylov(system: System, r: Array, ratio: float, products: int) -> tuple[Array, int]:
    return bicgstab(system.apply, r, ratio, min(CYCLE, products // 2 + 1))


def _swept_krylov(system: System, r: Array, ratio: float, products: int) -> tuple[Array, int]:
    y, used = bicgstab(lambda x: system.apply(system.sweep(x)), r, ratio, min(CYCLE, products // 6 + 1))
    return system.sweep(y), 3 * used


def _passes(system: System, r: Array, ratio: float, products: int) -> tuple[Array, int]:
    x = np.zeros_like(r)
    passes = min(PASSES, products // 3 + 1)
    for _ in range(passes):
        x += system.sweep(r - system.plain(x))
    return x, 3 * passes


def bicgstab(apply: Apply, b: Array, ratio: float, iterations: int) -> tuple[Array, int]:
    """Reduce the residual of ``M x = b`` from x = 0 by ``ratio`` in the Euclidean norm; return x [S] and products spent.

    Van der Vorst (1992), SIAM J. Sci. Stat. Comput. 13(2), with the first residual as its shadow. It ends early, with what it
    has, where it breaks down (a scalar product vanishes), where the residual grows a thousandfold, or after 100 iterations
    without a new least residual: the caller looks at the true residual anyway.
    """
    x, r, shadow = np.zeros_like(b), b.copy(), b
    p, v = np.zeros_like(b), np.zeros_like(b)
    rho = alpha = omega = 1.0
    first = least = _products(r, r)[0]
    goal, since, used = first * ratio * ratio, 0, 0
    square, following = first, first
    for iteration in range(iterations):
        if square <= goal or square == 0 or since >= 100 or not square <= 1e6 * first:
            break
        if rho == 0 or omega == 0:
            break
        beta = (following / rho) * (alpha / omega) if iteration else 0.0
        rho = following
        _direct(p, r, v, beta, omega)
        v = apply(p)
        used += 1
        along, vv = _products(shadow, v)
        if abs(along) <= 1e-14 * np.sqrt(first * vv):
            break
        alpha = rho / along
        _reduce(r, v, alpha)
        t = apply(r)
        used += 1
        rt, tt = _products(r, t)
        omega = rt / tt if tt > 0 else 0.0
        square, following = _advance(x, r, p, t, shadow, alpha, omega)
        since = since + 1 if square >= least else 0
        least = min(least, square)
        if abs(following) <= 1e-14 * np.sqrt(first * square):
            break
    return x, used


@inner("void(f8[::1],f8[::1],f8[::1],f8,f8)")
def _direct(p: Array, r: Array, v: Array, beta: float, omega: float) -> None:
    for i in range(p.shape[0]):
        p[i] = r[i] + beta * (p[i] - omega * v[i])


@inner("void(f8[::1],f8[::1],f8)")
def _reduce(r: Array, v: Array, alpha: float) -> None:
    for i in range(r.shape[0]):
        r[i] -= alpha * v[i]


@inner("UniTuple(f8,2)(f8[::1],f8[::1],f8[::1],f8[::1],f8[::1],f8,f8)")
def _advance(x: Array, r: Array, p: Array, t: Array, shadow: Array, alpha: float, omega: float) -> tuple[float, float]:
    """One step of x and r; ``r.r`` and ``r.shadow``, in the same pass."""
    square, along = 0.0, 0.0
    for i in range(x.shape[0]):
        x[i] += alpha * p[i] + omega * r[i]
        r[i] -= omega * t[i]
        square += r[i] * r[i]
        along += r[i] * shadow[i]
    return square, along


@inner("UniTuple(f8,2)(f8[::1],f8[::1])")
def _products(a: Array, b: Array) -> tuple[float, float]:
    """``a.b`` and ``b.b``, on one core: BLAS takes two for vectors of this size, and waits for them where they are busy."""
    along, square = 0.0, 0.0
    for i in range(a.shape[0]):
        along += a[i] * b[i]
        square += b[i] * b[i]
    return along, square


@inner("void(f8[::1])")
def less_mean(x: Array) -> None:
    """Take its mean out of x, in place."""
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i]
    mean = total / x.shape[0]
    for i in range(x.shape[0]):
        x[i] -= mean
