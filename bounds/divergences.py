"""Distances between action distributions, right to a few ulps however near the two distributions are.

``kl(p, q)`` is always KL(p || q), the expectation under its first argument; 0 log 0 = 0 and p log(p/0) = inf.
A row that sums to one only up to rounding is read as its exact normalisation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numpy.typing import ArrayLike

from bounds import planar_tables, tables
from mdps.kernels import chunked, inner, kernel
from mdps.mdp import Array
from mdps.numbers import Numbers
from mdps.planes import unfolded


def shift(old: ArrayLike, new: ArrayLike) -> Array:
    """``new - old`` [*B,A] with rows that sum to zero: the difference of the exactly normalised rows."""
    if isinstance(old, np.ndarray) and isinstance(new, np.ndarray) and tables.floats_in_planes(old, new):
        return planar_tables.shift(old, new)
    return _shift(old, new)


def tv(p: ArrayLike, q: ArrayLike) -> Array:
    """Total variation 1/2 sum |p - q| of distributions along the last axis, [*B,A] -> [*B]."""
    return tables.total(np.abs(shift(p, q))) / 2


def kl(p: ArrayLike, q: ArrayLike, logs: tuple[Array, Array] | None = None) -> Array:
    """Kullback-Leibler divergence KL(p || q) = sum p log(p/q) along the last axis, [*B,A] -> [*B]; may be inf.

    With x = q/p - 1 it is sum p (x - log(1+x)), plus the mass of q where p = 0: every term is nonnegative, so
    nothing cancels when p and q are close, where the textbook sum has lost all digits at ``|p-q| = 1e-8``.
    ``logs`` are those of p and q, where they are known already.
    """
    if isinstance(p, Numbers) or isinstance(q, Numbers):
        return _kl(p, q)
    log_p, log_q = logarithms(p, q) if logs is None else logs
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # what is worked out of a zero is not used
        if isinstance(p, np.ndarray) and isinstance(q, np.ndarray) and tables.in_planes(p, q):
            return _planar_kl(p, q, log_p, log_q)
        return _kl_of_logs(p, q, log_p, log_q)


def both_ways(p: Array, q: Array) -> Array:
    """``KL(p || q) + KL(q || p)`` [*B] for distributions [*B,A]: the logarithms are taken once."""
    if isinstance(p, Numbers) or isinstance(q, Numbers):
        return kl(p, q) + kl(q, p)
    log_p, log_q = logarithms(p, q)
    return kl(p, q, (log_p, log_q)) + kl(q, p, (log_q, log_p))


def logarithms(p: ArrayLike, q: ArrayLike) -> tuple[Array, Array]:
    """Logarithms of floats, -inf of 0; numpy's own takes many numbers at once."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(p), np.log(q)


def _planar_kl(*given: Array) -> Array:
    """The divergence of p from q, with their logarithms, all [N,...,A] in planes."""
    count, *core, actions = given[0].shape
    out = np.empty((math.prod(core), count))
    _kl_in_planes(*(x.transpose(*range(1, x.ndim), 0).reshape(-1, actions, count) for x in given), out)
    return unfolded(out, tuple(core))


def mean(weights: Array, values: Array) -> Array:
    """``sum_s weights(s) values(s)`` with 0 * inf = 0, [*B,S] -> [*B]."""
    if tables.floats_in_planes(weights, values):
        return planar_tables.mean(weights, values)
    with np.errstate(invalid="ignore"):
        return tables.total(np.where(weights == 0, 0.0, weights * values))


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


@inner("f8(f8,f8,f8,f8,f8)")
def _term(p, q, log_p, log_q, total):
    """What an action adds to the divergence: near p from log(1+x) = 2 atanh(s), s = x/(2+x), whose first term cancels exactly."""
    difference = (q - p) - p * total
    near = abs(difference) <= 0.5 * p
    x = difference / p if near else 0.0
    s = x / (2.0 + x)
    z = s * s
    tail = 0.0
    for k in range(17, 0, -1):
        tail = tail * z + 1.0 / (2 * k + 1)
    small = p * (x * s - 2.0 * s * z * tail)
    large = difference - p * (log_q - log_p)
    return difference if p == 0.0 else np.inf if q == 0.0 else small if near else large


@kernel("(f8[:],f8[:],f8[:],f8[:],f8[:])", "(a),(a),(a),(a)->()")
def _kl_of_logs(p, q, log_p, log_q, out):
    total = 0.0
    for a in range(p.shape[0]):
        total += q[a] - p[a]
    result = 0.0
    for a in range(p.shape[0]):
        result += _term(p[a], q[a], log_p[a], log_q[a], total)
    out[0] = result


@kernel("(f8[:],f8[:],f8[:])", "(a),(a)->()")
def _kl(p, q, out):
    total = 0.0
    for a in range(p.shape[0]):
        total += q[a] - p[a]
    result = 0.0
    for a in range(p.shape[0]):
        result += _term(p[a], q[a], np.log(p[a]), np.log(q[a]), total)
    out[0] = result


_GIVEN = types.Array(types.float64, 3, "C", readonly=True)


@chunked(types.void(*[_GIVEN] * 4, types.float64[:, ::1]))
def _kl_in_planes(p: Any, q: Any, log_p: Any, log_q: Any, out: Any) -> None:
    total = np.empty(p.shape[2])
    for s in range(p.shape[0]):
        result = out[s]
        total[:] = 0.0
        result[:] = 0.0
        for a in range(p.shape[1]):
            first, second = p[s, a], q[s, a]
            for i in range(p.shape[2]):
                total[i] += second[i] - first[i]
        for a in range(p.shape[1]):
            first, second, log_first, log_second = p[s, a], q[s, a], log_p[s, a], log_q[s, a]
            for i in range(p.shape[2]):
                result[i] += _term(first[i], second[i], log_first[i], log_second[i], total[i])
