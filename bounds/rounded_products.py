"""Sums of products of pairs ``mid +- rad``, instances side by side: no product is written to memory.

The formulas are those of :mod:`bounds.rounded` for a product and for a sum, in the same order, so that the pair is the one that
the products would add up to. Where one factor is probabilities the sum is a mean, and lies between the ends of the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds import rounded_functions as functions
from bounds.rounded import multiply, single, times
from bounds.rounding import GROW, U, above, below, between, product, two_sum
from mdps.kernels import chunked, inner
from mdps.lane_masks import MASK, choose, fetch, keep, largest, smallest, some, start
from mdps.lanes import LANES, TABLE, WIDTH, lanes

PLAIN, FIRST, SECOND = range(3)
"""Whether a sum is a mean, and which of the factors is the probabilities then."""

WIDE = 0.01
"""A mean that is known to within this part of itself is not held against the ends of what it is of."""

_INDEX = types.Array(types.int64, 2, "C", readonly=True)
_OUT = types.float64[:, ::1]
_SIZE = types.int64
_ONE = types.float64


@inner([types.UniTuple(_ONE, 2)(*[_ONE] * 4), types.UniTuple(LANES, 2)(*[LANES] * 4)])
def within(m: Any, r: Any, low: Any, high: Any) -> Any:
    """A number that is known to lie in [low, high] too, where those are finite and the pair is not much narrower."""
    wide = (r > WIDE * abs(m)) & (r > 0.5 * (high - low)) & (-np.inf < low) & (high < np.inf)
    middle, half = between(largest(low, below(m, r)), smallest(high, above(m, r)))
    return choose(wide, middle, m), choose(wide, half, r)


@inner(types.Tuple((LANES, LANES, MASK))(*[TABLE] * 4, _INDEX, _SIZE, _SIZE, _SIZE))
def _dot(a: Any, ra: Any, b: Any, rb: Any, rows: Any, first: Any, stop: Any, at: Any) -> Any:
    """The sum of the products, and where it may have to be formed again: where a radius reaches beyond zero, or is unknown."""
    x, rx = fetch(a, rows[0, first], at), fetch(ra, rows[1, first], at)
    y, ry = fetch(b, rows[2, first], at), fetch(rb, rows[3, first], at)
    s, radius = times(x, rx, y, ry)
    beyond = radius - abs(s)
    for k in range(first + 1, stop):
        x, rx = fetch(a, rows[0, k], at), fetch(ra, rows[1, k], at)
        y, ry = fetch(b, rows[2, k], at), fetch(rb, rows[3, k], at)
        p, off = times(x, rx, y, ry)
        beyond = largest(beyond, off - abs(p))  # what is nan here is nan in the sum
        s, error = two_sum(s, p)
        radius += off + abs(error)
    r = radius * (GROW + 4 * U * (stop - first))
    return s, r, (beyond > 0.0) | ~(r <= abs(s)) | ~(r < np.inf)  # of a single product that overflows, all are infinite


@inner(MASK(*[TABLE] * 4, _INDEX, _SIZE, _SIZE, _SIZE))
def _odd(a: Any, ra: Any, b: Any, rb: Any, rows: Any, first: Any, stop: Any, at: Any) -> Any:
    """Where the sum of the products has to be formed again case by case."""
    s, radius, odd = lanes(0.0), lanes(0.0), lanes(0.0) != 0.0
    positive = ~odd
    for k in range(first, stop):
        x, rx = fetch(a, rows[0, k], at), fetch(ra, rows[1, k], at)
        y, ry = fetch(b, rows[2, k], at), fetch(rb, rows[3, k], at)
        p, off, strange = multiply(x, rx, y, ry)
        odd |= strange
        positive &= off <= p
        s, error = two_sum(s, p)
        radius += off + abs(error)
    r = radius * (GROW + 4 * U * (stop - first))
    return odd | ~(r < np.inf) | ~(abs(s) < np.inf) | (positive & (r > s))


@inner([types.UniTuple(_ONE, 2)(*[_ONE] * 4), types.UniTuple(LANES, 2)(*[LANES] * 4)])
def extent(m: Any, r: Any, low: Any, high: Any) -> Any:
    """The interval [low, high], widened to contain a pair."""
    return smallest(low, below(m, r)), largest(high, above(m, r))


@inner(types.UniTuple(LANES, 2)(TABLE, TABLE, _INDEX, _SIZE, _SIZE, _SIZE, _SIZE))
def _extent(values: Any, radii: Any, rows: Any, place: Any, first: Any, stop: Any, at: Any) -> Any:
    """Between what the entries of a row lie."""
    low, high = lanes(np.inf), lanes(-np.inf)
    for k in range(first, stop):
        low, high = extent(fetch(values, rows[place, k], at), fetch(radii, rows[place + 1, k], at), low, high)
    return low, high


@inner(types.UniTuple(_ONE, 2)(_SIZE, *[TABLE] * 4, _INDEX, _SIZE, _SIZE, _SIZE), allocates=True)
def _once(kind: Any, a: Any, ra: Any, b: Any, rb: Any, rows: Any, first: Any, stop: Any, i: Any) -> Any:
    """The same of one instance, case by case."""
    m, r = np.empty(stop - first), np.empty(stop - first)
    low, high = np.inf, -np.inf
    for j in range(stop - first):
        k = first + j
        x, rx, y, ry = single(a, rows[0, k], i), single(ra, rows[1, k], i), single(b, rows[2, k], i), single(rb, rows[3, k], i)
        m[j], r[j] = product(x, rx, y, ry)
        value, off = (y, ry) if kind == FIRST else (x, rx)
        low, high = extent(value, off, low, high)
    mid, rad = functions.total(m, r)
    return within(mid, rad, low, high) if kind != PLAIN else (mid, rad)


@chunked(types.void(_SIZE, *[TABLE] * 4, _INDEX, _OUT, _OUT))
def dot(kind: Any, a: Any, ra: Any, b: Any, rb: Any, rows: Any, m: Any, r: Any) -> None:
    """What products of n pairs add up to, :data:`PLAIN` and what follows it: entries [K n, N] to [K, N]."""
    count = m.shape[1]
    n = rows.shape[1] // m.shape[0]
    again = np.empty((1, WIDTH), np.bool_)
    for k in range(m.shape[0]):
        first, stop = k * n, (k + 1) * n
        for block in range((count + WIDTH - 1) // WIDTH):
            at = start(block, count)
            mid, rad, strange = _dot(a, ra, b, rb, rows, first, stop, at)
            if kind != PLAIN and some(rad > WIDE * abs(mid)):
                if kind == FIRST:
                    low, high = _extent(b, rb, rows, 2, first, stop, at)
                else:
                    low, high = _extent(a, ra, rows, 0, first, stop, at)
                mid, rad = within(mid, rad, low, high)
            keep(mid, m, k, at)
            keep(rad, r, k, at)
            if some(strange):
                keep(_odd(a, ra, b, rb, rows, first, stop, at), again, 0, 0)
                for i in range(at, at + WIDTH):
                    if again[0, i - at]:
                        m[k, i], r[k, i] = _once(kind, a, ra, b, rb, rows, first, stop, i)
