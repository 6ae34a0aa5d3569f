"""Distances between action distributions, right to a few ulps however near the two distributions are.

``kl(p, q)`` is always KL(p || q), the expectation under its first argument; 0 log 0 = 0 and p log(p/0) = inf.
A row that sums to one only up to rounding is read as its exact normalisation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mdps.kernels import inner, kernel
from mdps.mdp import Array


def shift(old: ArrayLike, new: ArrayLike) -> Array:
    """``new - old`` [*B,A] with rows that sum to zero: the difference of the exactly normalised rows."""
    return _shift(old, new)


def tv(p: ArrayLike, q: ArrayLike) -> Array:
    """Total variation 1/2 sum |p - q| of distributions along the last axis, [*B,A] -> [*B]."""
    return np.abs(shift(p, q)).sum(-1) / 2


def kl(p: ArrayLike, q: ArrayLike) -> Array:
    """Kullback-Leibler divergence KL(p || q) = sum p log(p/q) along the last axis, [*B,A] -> [*B]; may be inf.

    With x = q/p - 1 it is sum p (x - log(1+x)), plus the mass of q where p = 0: every term is nonnegative, so
    nothing cancels when p and q are close, where the textbook sum has lost all digits at ``|p-q| = 1e-8``.
    """
    return _kl(p, q)


def mean(weights: Array, values: Array) -> Array:
    """``sum_s weights(s) values(s)`` with 0 * inf = 0, [*B,S] -> [*B]."""
    with np.errstate(invalid="ignore"):
        return np.where(weights == 0, 0.0, weights * values).sum(-1)


def times(coefficient: Array, divergence: Array) -> Array:
    """``coefficient * divergence`` with 0 * inf = 0: nothing is charged where nothing can be lost."""
    with np.errstate(invalid="ignore"):
        return np.where(np.equal(coefficient, 0), 0.0, np.multiply(coefficient, divergence))


@kernel("(f8[:],f8[:],f8[:])", "(a),(a)->(a)")
def _shift(old, new, out):
    total = 0.0
    for a in range(old.shape[0]):
        out[a] = new[a] - old[a]
        total += out[a]
    for a in range(old.shape[0]):
        out[a] -= old[a] * total


@inner("f8(f8)")
def _x_minus_log1p(x):
    """``x - log(1+x)`` for x > -1; near zero from log(1+x) = 2 atanh(s), s = x/(2+x), whose first term cancels exactly."""
    if abs(x) > 0.3:
        return x - np.log1p(x)
    s = x / (2.0 + x)
    z = s * s
    tail = 0.0
    for k in range(12, 0, -1):
        tail = tail * z + 1.0 / (2 * k + 1)
    return x * s - 2.0 * s * z * tail


@kernel("(f8[:],f8[:],f8[:])", "(a),(a)->()")
def _kl(p, q, out):
    total = 0.0
    for a in range(p.shape[0]):
        total += q[a] - p[a]
    result = 0.0
    for a in range(p.shape[0]):
        difference = (q[a] - p[a]) - p[a] * total
        if p[a] == 0.0:
            result += difference
        elif q[a] == 0.0:
            result = np.inf
        elif abs(difference) <= 0.5 * p[a]:
            result += p[a] * _x_minus_log1p(difference / p[a])
        else:
            result += difference - p[a] * (np.log(q[a]) - np.log(p[a]))
    out[0] = result
