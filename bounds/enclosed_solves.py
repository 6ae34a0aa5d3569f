"""Solves with a factored ``I - gamma P_pi`` (:mod:`bounds.enclosed_elimination`), with radii that contain the truth.

Every solve runs twice in a kernel: on the right-hand side in the precision of the factors, and in plain floats on what its
entries may be off by, which gives the radius. Each run keeps the least product of two numbers that are not zero: if that might
have underflown, the radius grows by what was lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds import doubled
from bounds.doubled import SMALL
from bounds.enclosed_accuracy import COARSE, DRIFT, HORIZON, LEAST, LOST, PLACES, RELATIVE, SOLVE
from bounds.enclosed_elimination import Factors, lesser
from bounds.enclosed_planes import MATRIX, OUT, REFERENCES, VECTOR, empty, load, matrix, references, table
from bounds.rounding import GROW, TINY, above, below, between, nonnegative
from mdps import tiles
from mdps.kernels import chunked, inner
from mdps.lane_masks import choose, keep, largest, smallest, start
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, put, room
from mdps.mdp import Array

SLACK = 2.0**-45
"""More than what is rounded where an end is formed from the horizon."""

VALUES, OCCUPANCY, RELATIVE_VALUES, FLOW = range(4)
"""What :func:`_solve` solves for."""


def values(f: Factors, mid: Array, rad: Array) -> tuple[Array, Array]:
    """Values of the reward ``mid +- rad``, [*B,S] each."""
    return _solved(VALUES, f, mid, rad, 1.0)[:2]


def occupancy(f: Factors, mid: Array, rad: Array) -> tuple[Array, Array]:
    """Visits of the nonnegative start ``mid +- rad``, [*B,S] each."""
    return _solved(OCCUPANCY, f, mid, rad, 1.0)[:2]


def relative_values(f: Factors, mid: Array, rad: Array, sign: float) -> tuple[Array, Array, Array, Array]:
    """Relative values and level of the reward ``mid +- rad``: [*B,S] twice and [*B] twice."""
    return _solved(RELATIVE_VALUES, f, mid, rad, sign)


def flow(f: Factors, mid: Array, rad: Array, sign: float) -> tuple[Array, Array]:
    """Flow of the source ``mid +- rad``, [*B,S] each; the source itself sums to zero though its mid need not."""
    return _solved(FLOW, f, mid, rad, sign)[:2]


def _solved(kind: int, f: Factors, mid: Array, rad: Array, sign: float) -> tuple[Array, Array, Array, Array]:
    n = f.time.shape[-1]
    batch = np.broadcast_shapes(f.time.shape[:-1], np.shape(mid)[:-1])
    given = [matrix(x, batch, core) for x, core in ((f.high, 2), (f.low, 2), (f.time, 1), (f.time_low, 1), (f.error, 1))]
    right = matrix(mid, batch, 1), matrix(rad, batch, 1)
    v, r, level, share = (empty(batch, core) for core in ((n,), (n,), (), ()))
    _solve(kind, f.twice, *given, references(f.reference, batch), *right, sign, v, r, level, share)
    return table(v, batch, (n,)), table(r, batch, (n,)), table(level, batch, ()), table(share, batch, ())


# -- in two floats -----------------------------------------------------------------------------------------------------------


@inner(LANES(MATRIX, MATRIX, VECTOR, VECTOR))
def descend(m: Any, ml: Any, x: Any, xl: Any) -> Any:
    """Take a reward through the stages; the least product."""
    least = lanes(np.inf)
    for k in range(1, x.shape[0]):
        total, rest = get(x, (k,)), get(xl, (k,))
        for j in range(k):
            a, b = get(m, (k, j)), get(x, (j,))
            p, pl = doubled.multiply(a, get(ml, (k, j)), b, get(xl, (j,)))
            least = lesser(least, p, (a != 0.0) & (b != 0.0))
            total, rest = doubled.add(total, rest, p, pl)
        put(x, (k,), total)
        put(xl, (k,), rest)
    return least


@inner(LANES(MATRIX, MATRIX, VECTOR, VECTOR, types.int64))
def ascend(m: Any, ml: Any, x: Any, xl: Any, stop: Any) -> Any:
    """Solve for the states before ``stop``, from those that were eliminated last; the least product."""
    least = lanes(np.inf)
    for k in range(stop - 1, -1, -1):
        total, rest = get(x, (k,)), get(xl, (k,))
        for j in range(k + 1, stop):
            a, b = get(m, (k, j)), get(x, (j,))
            p, pl = doubled.multiply(a, get(ml, (k, j)), b, get(xl, (j,)))
            least = lesser(least, p, (a != 0.0) & (b != 0.0))
            total, rest = doubled.add(total, rest, p, pl)
        total, rest = doubled.divide(total, rest, get(m, (k, k)), get(ml, (k, k)))
        put(x, (k,), total)
        put(xl, (k,), rest)
    return least


@inner(types.UniTuple(LANES, 3)(MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, types.float64))
def ascend_relative(m: Any, ml: Any, time: Any, tl: Any, x: Any, xl: Any, sign: Any) -> Any:
    """Solve for relative values; the level in two floats, and the least product."""
    last = x.shape[0] - 1
    c, cl = doubled.divide(get(x, (last,)), get(xl, (last,)), get(time, (last,)), get(tl, (last,)))
    put(x, (last,), lanes(0.0))
    put(xl, (last,), lanes(0.0))
    least = lesser(lanes(np.inf), c, c != 0.0)
    for k in range(last):
        p, pl = doubled.multiply(sign * c, sign * cl, get(time, (k,)), get(tl, (k,)))
        y, yl = doubled.add(get(x, (k,)), get(xl, (k,)), p, pl)
        put(x, (k,), y)
        put(xl, (k,), yl)
    return c, cl, smallest(least, ascend(m, ml, x, xl, last))


@inner(LANES(MATRIX, MATRIX, VECTOR, VECTOR, types.int64))
def sweep(m: Any, ml: Any, x: Any, xl: Any, stop: Any) -> Any:
    """Take a source through the stages, and divide it by the pivots of the states before ``stop``; the least product."""
    least = lanes(np.inf)
    for k in range(stop):
        total, rest = get(x, (k,)), get(xl, (k,))
        for j in range(k):
            a, b = get(m, (j, k)), get(x, (j,))
            p, pl = doubled.multiply(a, get(ml, (j, k)), b, get(xl, (j,)))
            least = lesser(least, p, (a != 0.0) & (b != 0.0))
            total, rest = doubled.add(total, rest, p, pl)
        total, rest = doubled.divide(total, rest, get(m, (k, k)), get(ml, (k, k)))
        put(x, (k,), total)
        put(xl, (k,), rest)
    return least


@inner(LANES(MATRIX, MATRIX, VECTOR, VECTOR))
def sweep_back(m: Any, ml: Any, x: Any, xl: Any) -> Any:
    """Add to each state the visits on the way between those that were eliminated after it; the least product."""
    least = lanes(np.inf)
    for k in range(x.shape[0] - 2, -1, -1):
        total, rest = get(x, (k,)), get(xl, (k,))
        for j in range(k + 1, x.shape[0]):
            a, b = get(m, (j, k)), get(x, (j,))
            p, pl = doubled.multiply(a, get(ml, (j, k)), b, get(xl, (j,)))
            least = lesser(least, p, (a != 0.0) & (b != 0.0))
            total, rest = doubled.add(total, rest, p, pl)
        put(x, (k,), total)
        put(xl, (k,), rest)
    return least


# -- in one: where tables have radii, and for sizes --------------------------------------------------------------------------


@inner(LANES(MATRIX, VECTOR))
def descend_size(m: Any, x: Any) -> Any:
    """``descend`` in floats."""
    least = lanes(np.inf)
    for k in range(1, x.shape[0]):
        total = get(x, (k,))
        for j in range(k):
            a, b = get(m, (k, j)), get(x, (j,))
            p = a * b
            least = lesser(least, p, (a != 0.0) & (b != 0.0))
            total += p
        put(x, (k,), total)
    return least


@inner(LANES(MATRIX, VECTOR, types.int64))
def ascend_size(m: Any, x: Any, stop: Any) -> Any:
    """``ascend`` in floats."""
    least = lanes(np.inf)
    for k in range(stop - 1, -1, -1):
        total = get(x, (k,))
        for j in range(k + 1, stop):
            a, b = get(m, (k, j)), get(x, (j,))
            p = a * b
            least = lesser(least, p, (a != 0.0) & (b != 0.0))
            total += p
        put(x, (k,), total / get(m, (k, k)))
    return least


@inner(types.UniTuple(LANES, 2)(MATRIX, VECTOR, VECTOR, types.float64))
def ascend_relative_size(m: Any, time: Any, x: Any, sign: Any) -> Any:
    """``ascend_relative`` in floats."""
    last = x.shape[0] - 1
    whole = get(x, (last,))
    c = whole / get(time, (last,))
    least = lesser(lanes(np.inf), c, whole != 0.0)
    put(x, (last,), lanes(0.0))
    for k in range(last):
        put(x, (k,), get(x, (k,)) + sign * c * get(time, (k,)))
    return c, smallest(least, ascend_size(m, x, last))


@inner(LANES(MATRIX, VECTOR, types.int64))
def sweep_size(m: Any, x: Any, stop: Any) -> Any:
    """``sweep`` in floats."""
    least = lanes(np.inf)
    for k in range(stop):
        total = get(x, (k,))
        for j in range(k):
            a, b = get(m, (j, k)), get(x, (j,))
            p = a * b
            least = lesser(least, p, (a != 0.0) & (b != 0.0))
            total += p
        put(x, (k,), total / get(m, (k, k)))
    return least


@inner(LANES(MATRIX, VECTOR))
def sweep_back_size(m: Any, x: Any) -> Any:
    """``sweep_back`` in floats."""
    least = lanes(np.inf)
    for k in range(x.shape[0] - 2, -1, -1):
        total = get(x, (k,))
        for j in range(k + 1, x.shape[0]):
            a, b = get(m, (j, k)), get(x, (j,))
            p = a * b
            least = lesser(least, p, (a != 0.0) & (b != 0.0))
            total += p
        put(x, (k,), total)
    return least


# -- radii -------------------------------------------------------------------------------------------------------------------


@inner(types.UniTuple(LANES, 2)(VECTOR, VECTOR, LANES, VECTOR, VECTOR))
def source(mid: Any, rad: Any, relative: Any, error: Any, out: Any) -> Any:
    """What a right-hand side contributes to the radius of a solve, into ``out``; its least entry, and what it adds up to."""
    least, total = lanes(np.inf), lanes(0.0)
    grow = (1.0 + 4.0 * relative) * (1.0 + 4.0 * get(error, (COARSE,))) * GROW
    for i in range(mid.shape[0]):
        x, r = get(mid, (i,)), get(rad, (i,))
        none = (x == 0.0) & (r == 0.0)
        part = choose(none, 0.0, (relative * abs(x) + r) * grow)
        put(out, (i,), part)
        total += abs(x) + r
        least = lesser(least, x, x != 0.0)
        vanishing = (part < TINY) & ((r != 0.0) | ((x != 0.0) & (relative != 0.0)))
        least = choose(vanishing, 0.0, least)
    return least, choose((relative < np.inf) & (get(error, (COARSE,)) < np.inf), total, np.inf)


@inner(LANES(LANES, LANES, LANES, VECTOR))
def lost(least: Any, size: Any, total: Any, error: Any) -> Any:
    """What an entry may be off by besides: by drift and by underflow; inf if nothing is known of the solve."""
    drift = choose(total > 0.0, get(error, (DRIFT,)) * total, 0.0)
    safe = (smallest(least, get(error, (LEAST,))) >= SMALL) & (size >= TINY)
    loss = choose(safe, drift, drift + get(error, (LOST,)) * (1.0 + total)) * GROW
    return choose(total < np.inf, loss, np.inf)


@inner(types.void(VECTOR, VECTOR, VECTOR, LANES, VECTOR))
def settle(x: Any, xl: Any, size: Any, loss: Any, r: Any) -> None:
    """The float nearest to each result, in the place of x, and its radius."""
    for i in range(x.shape[0]):
        m, off = get(x, (i,)), (abs(get(xl, (i,))) + get(size, (i,)) + loss) * GROW
        right = (off < np.inf) & (abs(m) < np.inf)
        put(x, (i,), choose(right, m, 0.0))
        put(r, (i,), choose(right, off, np.inf))


@inner(types.UniTuple(LANES, 2)(VECTOR, VECTOR))
def extent(mid: Any, rad: Any) -> Any:
    """Between what the entries lie."""
    low, high = lanes(np.inf), lanes(-np.inf)
    for i in range(mid.shape[0]):
        low, high = smallest(low, below(get(mid, (i,)), get(rad, (i,)))), largest(high, above(get(mid, (i,)), get(rad, (i,))))
    return low, high


@inner(types.void(VECTOR, VECTOR, LANES, LANES))
def confine(m: Any, r: Any, low: Any, high: Any) -> None:
    """Numbers that are known to lie in [low, high] too."""
    finite = (-np.inf < low) & (high < np.inf)
    for i in range(m.shape[0]):
        x, off = get(m, (i,)), get(r, (i,))
        wide = finite & (off > 0.5 * (high - low))
        middle, half = between(largest(low, below(x, off)), smallest(high, above(x, off)))
        put(m, (i,), choose(wide, middle, x))
        put(r, (i,), choose(wide, half, off))


@inner(LANES(LANES, LANES))
def _slack(end: Any, horizon: Any) -> Any:
    """More than ``end * horizon`` is off by; nothing of a reward that is nothing."""
    return choose(end == 0.0, 0.0, (abs(end) * SLACK + TINY) * horizon)


@inner(types.void(VECTOR, VECTOR, VECTOR, VECTOR, LANES))
def confine_values(x: Any, radius: Any, given: Any, around: Any, horizon: Any) -> None:
    """Values lie between those of rewards that are the same everywhere, the least and the largest there is."""
    bottom, top = extent(given, around)
    confine(x, radius, bottom * horizon - _slack(bottom, horizon), top * horizon + _slack(top, horizon))


@inner(types.UniTuple(LANES, 2)(LANES, LANES))
def settle_level(c: Any, off: Any) -> Any:
    """A level with its radius; nothing known where either has overflown."""
    right = (off < np.inf) & (abs(c) < np.inf)
    return choose(right, c, 0.0), choose(right, off, np.inf)


@inner(types.UniTuple(LANES, 2)(VECTOR, VECTOR, LANES, LANES, VECTOR, VECTOR, LANES))
def confine_relative_values(x: Any, radius: Any, c: Any, off: Any, given: Any, around: Any, horizon: Any) -> Any:
    """Relative values differ by no more than a horizon of rewards does, and the level is a mean of rewards; the level."""
    bottom, top = extent(given, around)
    width = (top - bottom) * (horizon * (1 + SLACK)) + TINY
    confine(x, radius, -width, width)
    wide = (off > 0.5 * (top - bottom)) & (top < np.inf) & (-np.inf < bottom)
    middle, half = between(bottom, top)
    return choose(wide, middle, c), choose(wide, half, off)


@inner(types.UniTuple(LANES, 2)(types.boolean, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR))
def solve_values(twice: Any, m: Any, ml: Any, x: Any, xl: Any, size: Any) -> Any:
    """Values in the place of a reward, and of what it may be off by; the least product of either run."""
    n = x.shape[0]
    if twice:
        least = descend(m, ml, x, xl)
        least = smallest(least, ascend(m, ml, x, xl, n))
    else:
        least = descend_size(m, x)
        least = smallest(least, ascend_size(m, x, n))
    narrow = descend_size(m, size)
    return least, smallest(narrow, ascend_size(m, size, n))


@inner(types.UniTuple(LANES, 2)(types.boolean, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR))
def solve_occupancy(twice: Any, m: Any, ml: Any, x: Any, xl: Any, size: Any) -> Any:
    """Visits in the place of a start, and of what it may be off by; the least product of either run."""
    n = x.shape[0]
    if twice:
        least = sweep(m, ml, x, xl, n)
        least = smallest(least, sweep_back(m, ml, x, xl))
    else:
        least = sweep_size(m, x, n)
        least = smallest(least, sweep_back_size(m, x))
    narrow = sweep_size(m, size, n)
    return least, smallest(narrow, sweep_back_size(m, size))


@inner(types.UniTuple(LANES, 5)(types.boolean, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, types.float64))
def solve_relative_values(twice: Any, m: Any, ml: Any, time: Any, tl: Any, x: Any, xl: Any, size: Any, sign: Any) -> Any:
    """The same for relative values; the level in two floats and what it may be off by besides."""
    if twice:
        least = descend(m, ml, x, xl)
        c, cl, product = ascend_relative(m, ml, time, tl, x, xl, sign)
    else:
        least = descend_size(m, x)
        c, product = ascend_relative_size(m, time, x, sign)
        cl = lanes(0.0)
    narrow = descend_size(m, size)
    spread, product_size = ascend_relative_size(m, time, size, 1.0)
    return smallest(least, product), smallest(narrow, product_size), c, cl, spread


@inner(types.UniTuple(LANES, 2)(types.boolean, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, types.float64))
def _flow(twice: Any, m: Any, ml: Any, time: Any, tl: Any, x: Any, xl: Any, size: Any, sign: Any) -> Any:
    last = x.shape[0] - 1
    least = sweep(m, ml, x, xl, last) if twice else sweep_size(m, x, last)
    narrow = sweep_size(m, size, last)
    balance, low, whole = lanes(0.0), lanes(0.0), lanes(0.0)
    for k in range(last):
        if twice:
            p, pl = doubled.multiply(get(x, (k,)), get(xl, (k,)), get(time, (k,)), get(tl, (k,)))
            balance, low = doubled.add(balance, low, p, pl)
        else:
            balance += get(x, (k,)) * get(time, (k,))
        whole += get(size, (k,)) * get(time, (k,))
    if twice:
        balance, low = doubled.divide(sign * balance, sign * low, get(time, (last,)), get(tl, (last,)))
    else:
        balance = sign * balance / get(time, (last,))
    put(x, (last,), balance)
    put(xl, (last,), low)
    put(size, (last,), whole / get(time, (last,)))
    least = lesser(least, balance, balance != 0.0)
    narrow = lesser(narrow, get(size, (last,)), whole != 0.0)
    least = smallest(least, sweep_back(m, ml, x, xl) if twice else sweep_back_size(m, x))
    return least, smallest(narrow, sweep_back_size(m, size))


_FACTORS = (TABLE, TABLE, TABLE, TABLE, TABLE, REFERENCES)


@chunked(types.void(types.int64, types.boolean, *_FACTORS, TABLE, TABLE, types.float64, OUT, OUT, OUT, OUT))
def _solve(
    kind: Any,
    twice: Any,
    high: Any,
    low: Any,
    time: Any,
    time_low: Any,
    error: Any,
    reference: Any,
    mid: Any,
    rad: Any,
    sign: Any,
    v: Any,
    r: Any,
    level: Any,
    share: Any,
) -> None:
    n = time.shape[0]
    tile = room(WIDTH * (2 * n * n + 8 * n + PLACES)).reshape(-1, WIDTH)
    m, tile = tile[: n * n], tile[n * n :]
    ml, tile = tile[: n * n], tile[n * n :]
    elapsed, tile = tile[:n], tile[n:]
    elapsed_low, tile = tile[:n], tile[n:]
    given, tile = tile[:n], tile[n:]
    around, tile = tile[:n], tile[n:]
    x, tile = tile[:n], tile[n:]
    xl, tile = tile[:n], tile[n:]
    size, tile = tile[:n], tile[n:]
    radius, known_to = tile[:n], tile[n:]
    factors, factors_low = m.reshape(n, n, WIDTH), ml.reshape(n, n, WIDTH)
    chosen = np.empty(WIDTH, np.int64)
    for block in range((v.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, v.shape[1])
        load(high, at, m)
        load(time, at, elapsed)
        if twice:
            load(low, at, ml)
            load(time_low, at, elapsed_low)
        load(mid, at, given)
        load(rad, at, around)
        load(error, at, known_to)
        chosen[:] = reference[at : at + WIDTH]
        for i in range(n):
            put(x, (i,), get(given, (i,)))
            put(xl, (i,), lanes(0.0))
        relative = get(known_to, (SOLVE,)) if kind <= OCCUPANCY else get(known_to, (RELATIVE,))
        least, total = source(given, around, relative, known_to, size)
        tiles.exchange(x, chosen)
        tiles.exchange(size, chosen)
        c, cl, spread = lanes(0.0), lanes(0.0), lanes(0.0)
        if kind == VALUES:
            product, narrow = solve_values(twice, factors, factors_low, x, xl, size)
        elif kind == OCCUPANCY:
            product, narrow = solve_occupancy(twice, factors, factors_low, x, xl, size)
        elif kind == RELATIVE_VALUES:
            product, narrow, c, cl, spread = solve_relative_values(
                twice, factors, factors_low, elapsed, elapsed_low, x, xl, size, sign
            )
        else:
            product, narrow = _flow(twice, factors, factors_low, elapsed, elapsed_low, x, xl, size, sign)
        loss = lost(smallest(least, product), narrow, total, known_to)
        settle(x, xl, size, loss, radius)
        horizon = get(known_to, (HORIZON,))
        if kind == VALUES:
            confine_values(x, radius, given, around, horizon)
        elif kind == OCCUPANCY:
            for i in range(n):
                middle, half = nonnegative(get(x, (i,)), get(radius, (i,)))
                put(x, (i,), middle)
                put(radius, (i,), half)
        elif kind == RELATIVE_VALUES:
            c, off = settle_level(c, (abs(cl) + spread + loss) * GROW)
            if sign < 0.0:
                c, off = confine_relative_values(x, radius, c, off, given, around, horizon)
            put(x, (n - 1,), lanes(0.0))  # the reference itself
            put(radius, (n - 1,), lanes(0.0))
            keep(c, level, 0, at)
            keep(off, share, 0, at)
        tiles.exchange(x, chosen)
        tiles.exchange(radius, chosen)
        for i in range(n):
            keep(get(x, (i,)), v, i, at)
            keep(get(radius, (i,)), r, i, at)
