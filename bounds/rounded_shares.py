"""Shares of a sum of nonnegative pairs ``mid +- rad``, instances side by side.

The plain quotient while radii are small. Else ``w_i / (w_i + rest)`` lies between what the ends of w_i and of the rest give, each
of which costs n + 2 roundings, and between 0 and 1: where a policy has been improved a few times little is known of its weights,
and a quotient that forgets that a weight is in the sum would say nothing. :func:`bounds.rounded_functions.shares` does the same
case by case, for weights that may be negative or are too small to divide by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds import rounded_functions as functions
from bounds.rounded import column, divide, summed
from bounds.rounding import GROW, TINY, U, between, nonnegative
from mdps.kernels import chunked, inner
from mdps.lane_masks import MASK, choose, fetch, keep, largest, smallest, some, start
from mdps.lanes import LANES, TABLE, WIDTH, lanes

NARROW = 2.0**-20
"""A share that the quotient gives to within this part of itself is left at that."""

LEAST = TINY * 2.0**60
"""A sum that may be divided by."""

SURE = 2.0**-40
"""Where a sum is above, what its quotients lose by underflow is less than :data:`TINY`."""

_INDEX = types.Array(types.int64, 2, "C", readonly=True)
_OUT = types.float64[:, ::1]
_SIZE = types.int64


@inner(types.UniTuple(LANES, 2)(LANES, LANES, TABLE, TABLE, _INDEX, _SIZE, _SIZE, _SIZE, _SIZE))
def _by_ends(mid: Any, rad: Any, w: Any, rw: Any, rows: Any, first: Any, stop: Any, own: Any, at: Any) -> Any:
    """The share of the weight in row ``own``, which a quotient gives as mid +- rad, by the ends of all weights."""
    part, off = fetch(w, rows[0, own], at), fetch(rw, rows[1, own], at)
    bottom, top = part - off, part + off
    least, most = lanes(0.0), lanes(0.0)
    for k in range(first, stop):
        if k != own:
            x, r = fetch(w, rows[0, k], at), fetch(rw, rows[1, k], at)
            least += x - r
            most += x + r
    slack = 2 * (stop - first + 4) * U
    low = choose(bottom > 0.0, largest(bottom / (bottom + most) * (1 - slack) - TINY, lanes(0.0)), 0.0)
    whole, small = top + least, ~(top > LEAST)  # which may overflow
    high = choose(small & (least > 0.0), smallest(lanes(LEAST * 2.0) / least + TINY, lanes(1.0)), 1.0)
    high = choose(~small & (whole < np.inf), smallest(top / whole * (1 + slack) + TINY, lanes(1.0)), high)
    better = ~(rad <= NARROW * mid) & ~(2.0 * rad <= high - low)
    middle, half = between(low, high)
    return choose(better, middle, mid), choose(better, half, rad)


@inner(types.UniTuple(LANES, 2)(*[LANES] * 4, TABLE, TABLE, _INDEX, *[_SIZE] * 4))
def _carefully(
    part: Any, off: Any, whole: Any, radius: Any, w: Any, rw: Any, rows: Any, first: Any, stop: Any, own: Any, at: Any
) -> Any:
    """The share of the weight in row ``own``, part +- off, where a quotient may know little of it."""
    mid, rad, strange = divide(part, off, whole, radius)
    if some(strange):
        known = (radius < whole) & (rad < np.inf)
        mid, rad = nonnegative(choose(known, mid, 0.0), choose(known, rad, np.inf))
    if some(~(rad <= NARROW * mid)):
        mid, rad = _by_ends(mid, rad, w, rw, rows, first, stop, own, at)
    return mid, rad


@inner(types.void(MASK, TABLE, TABLE, _INDEX, _SIZE, _SIZE, _SIZE, _OUT, _OUT), allocates=True)
def _one_by_one(odd: Any, w: Any, rw: Any, rows: Any, first: Any, stop: Any, at: Any, m: Any, r: Any) -> None:
    """The shares of those instances that are odd, case by case."""
    n = stop - first
    x, rx, y, ry = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    again = np.empty((1, WIDTH), np.bool_)
    keep(odd, again, 0, 0)
    for i in range(at, at + WIDTH):
        if again[0, i - at]:
            column(w, rw, rows, first, i, x, rx)
            functions.shares(x, rx, y, ry)
            for j in range(n):
                m[first + j, i], r[first + j, i] = y[j], ry[j]


@chunked(types.void(_SIZE, TABLE, TABLE, _INDEX, _OUT, _OUT))
def shares(n: Any, w: Any, rw: Any, rows: Any, m: Any, r: Any) -> None:
    """``w / sum w`` of rows of n nonnegative pairs."""
    count = m.shape[1]
    for first in range(0, m.shape[0], n):
        stop = first + n
        for block in range((count + WIDTH - 1) // WIDTH):
            at = start(block, count)
            whole, radius, odd = summed(w, rw, rows, first, stop, at)
            plain = (whole > SURE) & (radius > 0.0) & (radius < whole)
            inverse = (1.0 + 4 * U) / ((whole - radius) * (1 - 4 * U))
            odd |= ~(whole > LEAST * 2.0)
            for k in range(first, stop):
                part, off = fetch(w, rows[0, k], at), fetch(rw, rows[1, k], at)
                odd |= ~(off <= part)
                mid = part / whole  # as rounded.divide does, with one division less
                rad = (U * mid + (off + mid * (1 + 2 * U) * radius) * inverse) * GROW + TINY
                rad = choose((part == 0.0) & (off == 0.0), 0.0, rad)  # as below, but quickly
                wide = ~(plain & (rad <= NARROW * mid))
                if some(wide):
                    middle, half = _carefully(part, off, whole, radius, w, rw, rows, first, stop, k, at)
                    mid, rad = choose(wide, middle, mid), choose(wide, half, rad)
                keep(mid, m, k, at)
                keep(rad, r, k, at)
            if some(odd):
                _one_by_one(odd, w, rw, rows, first, stop, at, m, r)
