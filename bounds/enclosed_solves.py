"""Solves with a factored ``I - gamma P_pi`` (:mod:`bounds.enclosed_elimination`), with radii that contain the truth.

Every solve runs twice in a kernel: on the right-hand side in the precision of the factors, and in plain floats on what its
entries may be off by, which gives the radius. Each run keeps the least product of two numbers that are not zero: if that might
have underflown, the radius grows by what was lost.
"""

from __future__ import annotations

import numpy as np

from bounds import doubled
from bounds.doubled import SMALL
from bounds.enclosed_elimination import COARSE, DRIFT, HORIZON, LEAST, LOST, RELATIVE, SOLVE, TWICE, Factors
from bounds.rounding import GROW, TINY, above, below, between, nonnegative
from mdps.kernels import inner, kernel
from mdps.mdp import Array

SLACK = 2.0**-45
"""More than what is rounded where an end is formed from the horizon."""


def values(f: Factors, mid: Array, rad: Array) -> tuple[Array, Array]:
    """Values of the reward ``mid +- rad``, [*B,S] each."""
    v, r = _values(f.high, f.low, f.reference, f.error, mid, rad)
    return v, r


def occupancy(f: Factors, mid: Array, rad: Array) -> tuple[Array, Array]:
    """Visits of the nonnegative start ``mid +- rad``, [*B,S] each."""
    x, r = _occupancy(f.high, f.low, f.reference, f.error, mid, rad)
    return x, r


def relative_values(f: Factors, mid: Array, rad: Array, sign: float) -> tuple[Array, Array, Array, Array]:
    """Relative values and level of the reward ``mid +- rad``: [*B,S] twice and [*B] twice."""
    h, r, level, share = _relative_values(f.high, f.low, f.time, f.time_low, f.reference, f.error, mid, rad, sign)
    return h, r, level, share


def flow(f: Factors, mid: Array, rad: Array, sign: float) -> tuple[Array, Array]:
    """Flow of the source ``mid +- rad``, [*B,S] each; the source itself sums to zero though its mid need not."""
    x, r = _flow(f.high, f.low, f.time, f.time_low, f.reference, f.error, mid, rad, sign)
    return x, r


@inner("void(f8[:],i8)")
def swap(x: Array, reference: int) -> None:
    """Exchange the reference with the last state."""
    last = x.shape[0] - 1
    x[reference], x[last] = x[last], x[reference]


# -- in two floats -----------------------------------------------------------------------------------------------------------


@inner("f8(f8[:],f8[:],f8[:],f8[:],i8,i8,i8,f8)")
def gather(row: Array, row_low: Array, x: Array, xl: Array, k: int, start: int, stop: int, least: float) -> float:
    """``x[k] += sum_j row[j] x[j]`` over start <= j < stop; the least product, or ``least``."""
    for j in range(start, stop):
        if row[j] != 0.0 and x[j] != 0.0:
            p, pl = doubled.multiply(row[j], row_low[j], x[j], xl[j])
            least = min(least, abs(p))
            x[k], xl[k] = doubled.add(x[k], xl[k], p, pl)
    return least


@inner("f8(f8[:,:],f8[:,:],f8[:],f8[:])")
def descend(m: Array, ml: Array, x: Array, xl: Array) -> float:
    """Take a reward through the stages."""
    least = np.inf
    for k in range(1, x.shape[0]):
        least = gather(m[k], ml[k], x, xl, k, 0, k, least)
    return least


@inner("f8(f8[:,:],f8[:,:],f8[:],f8[:],i8)")
def ascend(m: Array, ml: Array, x: Array, xl: Array, stop: int) -> float:
    """Solve for the states before ``stop``, from those that were eliminated last."""
    least = np.inf
    for k in range(stop - 1, -1, -1):
        least = gather(m[k], ml[k], x, xl, k, k + 1, stop, least)
        x[k], xl[k] = doubled.divide(x[k], xl[k], m[k, k], ml[k, k])
    return least


@inner("UniTuple(f8,3)(f8[:,:],f8[:,:],f8[:],f8[:],f8[:],f8[:],f8)")
def ascend_relative(m: Array, ml: Array, time: Array, tl: Array, x: Array, xl: Array, sign: float) -> tuple[float, float, float]:
    """Solve for relative values; the level in two floats, and the least product."""
    last = x.shape[0] - 1
    c, cl = doubled.divide(x[last], xl[last], time[last], tl[last])
    x[last], xl[last] = 0.0, 0.0
    least = abs(c) if c != 0.0 else np.inf
    if c != 0.0:
        for k in range(last):
            p, pl = doubled.multiply(sign * c, sign * cl, time[k], tl[k])
            x[k], xl[k] = doubled.add(x[k], xl[k], p, pl)
    return c, cl, min(least, ascend(m, ml, x, xl, last))


@inner("f8(f8[:,:],f8[:,:],f8[:],f8[:],i8)")
def sweep(m: Array, ml: Array, x: Array, xl: Array, stop: int) -> float:
    """Take a source through the stages, and divide it by the pivots of the states before ``stop``."""
    least = np.inf
    for k in range(stop):
        least = gather(m[:, k], ml[:, k], x, xl, k, 0, k, least)
        x[k], xl[k] = doubled.divide(x[k], xl[k], m[k, k], ml[k, k])
    return least


@inner("f8(f8[:,:],f8[:,:],f8[:],f8[:])")
def sweep_back(m: Array, ml: Array, x: Array, xl: Array) -> float:
    """Add to each state the visits on the way between those that were eliminated after it."""
    least = np.inf
    for k in range(x.shape[0] - 2, -1, -1):
        least = gather(m[:, k], ml[:, k], x, xl, k, k + 1, x.shape[0], least)
    return least


# -- in one: where tables have radii, and for sizes --------------------------------------------------------------------------


@inner("f8(f8[:],f8[:],i8,i8,i8,f8)")
def gather_size(row: Array, x: Array, k: int, start: int, stop: int, least: float) -> float:
    """``gather`` in floats."""
    for j in range(start, stop):
        if row[j] != 0.0 and x[j] != 0.0:
            p = row[j] * x[j]
            least = min(least, abs(p))
            x[k] += p
    return least


@inner("f8(f8[:,:],f8[:])")
def descend_size(m: Array, x: Array) -> float:
    """``descend`` in floats."""
    least = np.inf
    for k in range(1, x.shape[0]):
        least = gather_size(m[k], x, k, 0, k, least)
    return least


@inner("f8(f8[:,:],f8[:],i8)")
def ascend_size(m: Array, x: Array, stop: int) -> float:
    """``ascend`` in floats."""
    least = np.inf
    for k in range(stop - 1, -1, -1):
        least = gather_size(m[k], x, k, k + 1, stop, least)
        x[k] /= m[k, k]
    return least


@inner("UniTuple(f8,2)(f8[:,:],f8[:],f8[:],f8)")
def ascend_relative_size(m: Array, time: Array, x: Array, sign: float) -> tuple[float, float]:
    """``ascend_relative`` in floats."""
    last = x.shape[0] - 1
    c = x[last] / time[last]
    least = abs(c) if x[last] != 0.0 else np.inf
    x[last] = 0.0
    for k in range(last):
        x[k] += sign * c * time[k]
    return c, min(least, ascend_size(m, x, last))


@inner("f8(f8[:,:],f8[:],i8)")
def sweep_size(m: Array, x: Array, stop: int) -> float:
    """``sweep`` in floats."""
    least = np.inf
    for k in range(stop):
        least = gather_size(m[:, k], x, k, 0, k, least)
        x[k] /= m[k, k]
    return least


@inner("f8(f8[:,:],f8[:])")
def sweep_back_size(m: Array, x: Array) -> float:
    """``sweep_back`` in floats."""
    least = np.inf
    for k in range(x.shape[0] - 2, -1, -1):
        least = gather_size(m[:, k], x, k, k + 1, x.shape[0], least)
    return least


# -- radii -------------------------------------------------------------------------------------------------------------------


@inner("UniTuple(f8,2)(f8[:],f8[:],f8,f8[:],f8[:])")
def source(mid: Array, rad: Array, relative: float, error: Array, out: Array) -> tuple[float, float]:
    """What a right-hand side contributes to the radius of a solve, into ``out``; its least entry, and what it adds up to."""
    least, total = np.inf, 0.0
    for i in range(mid.shape[0]):
        out[i] = 0.0
        if mid[i] != 0.0 or rad[i] != 0.0:
            out[i] = (relative * abs(mid[i]) + rad[i]) * (1 + 4 * relative) * (1 + 4 * error[COARSE]) * GROW
            total += abs(mid[i]) + rad[i]
            if mid[i] != 0.0:
                least = min(least, abs(mid[i]))
            if out[i] < TINY and (rad[i] != 0.0 or relative != 0.0):
                least = 0.0
    if not (relative < np.inf and error[COARSE] < np.inf):
        total = np.inf
    return least, total


@inner("f8(f8,f8,f8,f8[:])")
def lost(least: float, size: float, total: float, error: Array) -> float:
    """What an entry may be off by besides: by drift and by underflow; inf if nothing is known of the solve."""
    if not total < np.inf:
        return np.inf
    drift = error[DRIFT] * total if total > 0.0 else 0.0
    if min(least, error[LEAST]) >= SMALL and size >= TINY:
        return drift * GROW
    return (drift + error[LOST] * (1.0 + total)) * GROW


@inner("void(f8[:],f8[:],f8[:],f8,f8[:],f8[:])")
def settle(x: Array, xl: Array, size: Array, loss: float, m: Array, r: Array) -> None:
    """The float nearest to each result, and its radius."""
    for i in range(x.shape[0]):
        m[i], r[i] = x[i], (abs(xl[i]) + size[i] + loss) * GROW
        if not (r[i] < np.inf and abs(m[i]) < np.inf):
            m[i], r[i] = 0.0, np.inf


@inner("UniTuple(f8,2)(f8[:],f8[:])")
def extent(mid: Array, rad: Array) -> tuple[float, float]:
    """Between what the entries lie."""
    low, high = np.inf, -np.inf
    for i in range(mid.shape[0]):
        low, high = min(low, below(mid[i], rad[i])), max(high, above(mid[i], rad[i]))
    return low, high


@inner("void(f8[:],f8[:],f8,f8)")
def confine(m: Array, r: Array, low: float, high: float) -> None:
    """Numbers that are known to lie in [low, high] too."""
    if not (-np.inf < low and high < np.inf):
        return
    for i in range(m.shape[0]):
        if r[i] > 0.5 * (high - low):
            m[i], r[i] = between(max(low, below(m[i], r[i])), min(high, above(m[i], r[i])))


@kernel("void(f8[:,:],f8[:,:],i8,f8[:],f8[:],f8[:],f8[:],f8[:])", "(s,s),(s,s),(),(e),(s),(s)->(s),(s)")
def _values(m: Array, ml: Array, reference: int, error: Array, mid: Array, rad: Array, v: Array, r: Array) -> None:
    n = mid.shape[0]
    x, xl, size = mid.copy(), np.zeros(n), np.empty(n)
    least, total = source(mid, rad, error[SOLVE], error, size)
    swap(x, reference)
    swap(size, reference)
    if error[TWICE] != 0.0:
        least = min(least, descend(m, ml, x, xl), ascend(m, ml, x, xl, n))
    else:
        least = min(least, descend_size(m, x), ascend_size(m, x, n))
    smallest = min(descend_size(m, size), ascend_size(m, size, n))
    settle(x, xl, size, lost(least, smallest, total, error), v, r)
    low, high = extent(mid, rad)  # values lie between those of rewards that are the same everywhere
    confine(
        v, r, low * error[HORIZON] - abs(low) * SLACK * error[HORIZON], high * error[HORIZON] + abs(high) * SLACK * error[HORIZON]
    )
    swap(v, reference)
    swap(r, reference)


@kernel("void(f8[:,:],f8[:,:],i8,f8[:],f8[:],f8[:],f8[:],f8[:])", "(s,s),(s,s),(),(e),(s),(s)->(s),(s)")
def _occupancy(m: Array, ml: Array, reference: int, error: Array, mid: Array, rad: Array, v: Array, r: Array) -> None:
    n = mid.shape[0]
    x, xl, size = mid.copy(), np.zeros(n), np.empty(n)
    least, total = source(mid, rad, error[SOLVE], error, size)
    swap(x, reference)
    swap(size, reference)
    if error[TWICE] != 0.0:
        least = min(least, sweep(m, ml, x, xl, n), sweep_back(m, ml, x, xl))
    else:
        least = min(least, sweep_size(m, x, n), sweep_back_size(m, x))
    smallest = min(sweep_size(m, size, n), sweep_back_size(m, size))
    settle(x, xl, size, lost(least, smallest, total, error), v, r)
    for i in range(n):
        v[i], r[i] = nonnegative(v[i], r[i])
    swap(v, reference)
    swap(r, reference)


@kernel(
    "void(f8[:,:],f8[:,:],f8[:],f8[:],i8,f8[:],f8[:],f8[:],f8,f8[:],f8[:],f8[:],f8[:])",
    "(s,s),(s,s),(s),(s),(),(e),(s),(s),()->(s),(s),(),()",
)
def _relative_values(
    m: Array,
    ml: Array,
    time: Array,
    tl: Array,
    reference: int,
    error: Array,
    mid: Array,
    rad: Array,
    sign: float,
    v: Array,
    r: Array,
    level: Array,
    share: Array,
) -> None:
    n = mid.shape[0]
    x, xl, size = mid.copy(), np.zeros(n), np.empty(n)
    least, total = source(mid, rad, error[RELATIVE], error, size)
    swap(x, reference)
    swap(size, reference)
    if error[TWICE] != 0.0:
        least = min(least, descend(m, ml, x, xl))
        c, cl, product = ascend_relative(m, ml, time, tl, x, xl, sign)
    else:
        least = min(least, descend_size(m, x))
        c, product = ascend_relative_size(m, time, x, sign)
        cl = 0.0
    smallest = descend_size(m, size)
    spread, product_size = ascend_relative_size(m, time, size, 1.0)
    loss = lost(min(least, product), min(smallest, product_size), total, error)
    level[0], share[0] = c, (abs(cl) + spread + loss) * GROW
    if not (share[0] < np.inf and abs(c) < np.inf):
        level[0], share[0] = 0.0, np.inf
    settle(x, xl, size, loss, v, r)
    if sign < 0.0:
        low, high = extent(mid, rad)
        span = (high - low) * (error[HORIZON] * (1 + SLACK)) + TINY
        confine(v, r, -span, span)
        if not share[0] <= 0.5 * (high - low) and high < np.inf and -np.inf < low:
            level[0], share[0] = between(low, high)
    v[n - 1], r[n - 1] = 0.0, 0.0  # the reference itself
    swap(v, reference)
    swap(r, reference)


@kernel(
    "void(f8[:,:],f8[:,:],f8[:],f8[:],i8,f8[:],f8[:],f8[:],f8,f8[:],f8[:])",
    "(s,s),(s,s),(s),(s),(),(e),(s),(s),()->(s),(s)",
)
def _flow(
    m: Array,
    ml: Array,
    time: Array,
    tl: Array,
    reference: int,
    error: Array,
    mid: Array,
    rad: Array,
    sign: float,
    v: Array,
    r: Array,
) -> None:
    n = mid.shape[0]
    last = n - 1
    x, xl, size = mid.copy(), np.zeros(n), np.empty(n)
    least, total = source(mid, rad, error[RELATIVE], error, size)
    swap(x, reference)
    swap(size, reference)
    twice = error[TWICE] != 0.0
    least = min(least, sweep(m, ml, x, xl, last) if twice else sweep_size(m, x, last))
    smallest = sweep_size(m, size, last)
    balance, low, whole = 0.0, 0.0, 0.0
    for k in range(last):
        if twice:
            p, pl = doubled.multiply(x[k], xl[k], time[k], tl[k])
            balance, low = doubled.add(balance, low, p, pl)
        else:
            balance += x[k] * time[k]
        whole += size[k] * time[k]
    if twice:
        x[last], xl[last] = doubled.divide(sign * balance, sign * low, time[last], tl[last])
    else:
        x[last] = sign * balance / time[last]
    size[last] = whole / time[last]
    if x[last] != 0.0:
        least = min(least, abs(x[last]))
    if whole != 0.0:
        smallest = min(smallest, size[last])
    least = min(least, sweep_back(m, ml, x, xl) if twice else sweep_back_size(m, x))
    smallest = min(smallest, sweep_back_size(m, size))
    settle(x, xl, size, lost(least, smallest, total, error), v, r)
    swap(v, reference)
    swap(r, reference)
