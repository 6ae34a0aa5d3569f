"""Solves with a factored ``I - gamma P_pi`` (:mod:`bounds.enclosed_elimination`), with radii that contain the truth.

Every solve is carried out twice in a kernel (:mod:`bounds.enclosed_substitution`): on the right-hand side in the precision of the
factors, and in plain floats on what its entries may be off by, which gives the radius (:mod:`bounds.enclosed_radii`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds.enclosed_accuracy import HORIZON, PLACES, RELATIVE, SOLVE
from bounds.enclosed_factors import READ, Factors, get_factors, matrices
from bounds.enclosed_planes import INDEX, MATRIX, OUT, VECTOR, empty, load, matrix, table
from bounds.enclosed_radii import checked, confine_relative_values, confine_values, lost, settle, source
from bounds.enclosed_substitution import solve_flow, solve_occupancy, solve_relative_values, solve_values
from bounds.rounding import GROW, nonnegative
from mdps import tiles
from mdps.kernels import chunked, inner
from mdps.lane_masks import keep, smallest, start
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, put, room
from mdps.mdp import Array

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
    right = matrix(mid, batch, 1), matrix(rad, batch, 1)
    v, r, level, share = (empty(batch, core) for core in ((n,), (n,), (), ()))
    _solve(kind, f.twice, *matrices(f, batch), *right, sign, v, r, level, share)
    return table(v, batch, (n,)), table(r, batch, (n,)), table(level, batch, ()), table(share, batch, ())


def unit_values(factors: Any) -> tuple[Array, Array] | None:
    """Relative values of the rewards 1{s=k} [*B,S,S], a column for each k; None where the factors are not of this kind."""
    found = _units(factors, True)
    return None if found is None else found[:2]


def unit_levels(factors: Any) -> tuple[Array, Array] | None:
    """Levels of the rewards 1{s=k} [*B,S]; None where the factors are not of this kind."""
    found = _units(factors, False)
    return None if found is None else found[2:]


def _units(factors: Any, whole: bool) -> tuple[Array, Array, Array, Array] | None:
    f = getattr(factors, "known", None)
    if not isinstance(f, Factors):
        return None
    batch, n = f.time.shape[:-1], f.time.shape[-1]
    v, r = (empty(batch, (n, n)) if whole else np.empty((1, 1)) for _ in range(2))
    level, share = (empty(batch, (n,)) for _ in range(2))
    _solve_units(whole, f.twice, *matrices(f, batch), v, r, level, share)
    if not whole:
        return v, r, table(level, batch, (n,)), table(share, batch, (n,))
    return table(v, batch, (n, n)), table(r, batch, (n, n)), table(level, batch, (n,)), table(share, batch, (n,))


@inner(types.UniTuple(LANES, 2)(types.boolean, MATRIX, MATRIX, *[VECTOR] * 3, INDEX, types.float64, *[VECTOR] * 6))
def _relative(
    twice: Any,
    m: Any,
    ml: Any,
    elapsed: Any,
    elapsed_low: Any,
    known_to: Any,
    chosen: Any,
    sign: Any,
    given: Any,
    around: Any,
    x: Any,
    xl: Any,
    size: Any,
    radius: Any,
) -> Any:
    """Relative values of a reward, into x and radius with the reference in the last place; the level and its radius."""
    n = x.shape[0]
    for i in range(n):
        put(x, (i,), get(given, (i,)))
        put(xl, (i,), lanes(0.0))
    least, total = source(given, around, get(known_to, (RELATIVE,)), known_to, size)
    tiles.exchange(x, chosen)
    tiles.exchange(size, chosen)
    product, narrow, c, cl, spread = solve_relative_values(twice, m, ml, elapsed, elapsed_low, x, xl, size, sign)
    loss = lost(smallest(least, product), narrow, total, known_to)
    settle(x, xl, size, loss, radius)
    c, off = checked(c, (abs(cl) + spread + loss) * GROW)
    if sign < 0.0:
        c, off = confine_relative_values(x, radius, c, off, given, around, get(known_to, (HORIZON,)))
    put(x, (n - 1,), lanes(0.0))  # the reference itself
    put(radius, (n - 1,), lanes(0.0))
    return c, off


@chunked(types.void(types.int64, types.boolean, *READ, TABLE, TABLE, types.float64, OUT, OUT, OUT, OUT))
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
    m, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    ml, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    elapsed, tile = tile[:n], tile[n:]
    elapsed_low, tile = tile[:n], tile[n:]
    given, tile = tile[:n], tile[n:]
    around, tile = tile[:n], tile[n:]
    x, tile = tile[:n], tile[n:]
    xl, tile = tile[:n], tile[n:]
    size, tile = tile[:n], tile[n:]
    radius, known_to = tile[:n], tile[n:]
    chosen = np.empty(WIDTH, np.int64)
    for block in range((v.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, v.shape[1])
        get_factors(twice, high, low, time, time_low, error, reference, at, m, ml, elapsed, elapsed_low, known_to, chosen)
        load(mid, at, given)
        load(rad, at, around)
        if kind == RELATIVE_VALUES:
            c, off = _relative(twice, m, ml, elapsed, elapsed_low, known_to, chosen, sign, given, around, x, xl, size, radius)
            keep(c, level, 0, at)
            keep(off, share, 0, at)
        else:
            for i in range(n):
                put(x, (i,), get(given, (i,)))
                put(xl, (i,), lanes(0.0))
            relative = get(known_to, (SOLVE,)) if kind <= OCCUPANCY else get(known_to, (RELATIVE,))
            least, total = source(given, around, relative, known_to, size)
            tiles.exchange(x, chosen)
            tiles.exchange(size, chosen)
            if kind == VALUES:
                product, narrow = solve_values(twice, m, ml, x, xl, size)
            elif kind == OCCUPANCY:
                product, narrow = solve_occupancy(twice, m, ml, x, xl, size)
            else:
                product, narrow = solve_flow(twice, m, ml, elapsed, elapsed_low, x, xl, size, sign)
            settle(x, xl, size, lost(smallest(least, product), narrow, total, known_to), radius)
            if kind == VALUES:
                confine_values(x, radius, given, around, get(known_to, (HORIZON,)))
            elif kind == OCCUPANCY:
                for i in range(n):
                    middle, half = nonnegative(get(x, (i,)), get(radius, (i,)))
                    put(x, (i,), middle)
                    put(radius, (i,), half)
        tiles.exchange(x, chosen)
        tiles.exchange(radius, chosen)
        for i in range(n):
            keep(get(x, (i,)), v, i, at)
            keep(get(radius, (i,)), r, i, at)


@chunked(types.void(types.boolean, types.boolean, *READ, OUT, OUT, OUT, OUT))
def _solve_units(
    whole: Any,
    twice: Any,
    high: Any,
    low: Any,
    time: Any,
    time_low: Any,
    error: Any,
    reference: Any,
    v: Any,
    r: Any,
    level: Any,
    share: Any,
) -> None:
    """Relative values and levels of all unit rewards: the factors are read once."""
    n = time.shape[0]
    tile = room(WIDTH * (2 * n * n + 8 * n + PLACES)).reshape(-1, WIDTH)
    m, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    ml, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    elapsed, tile = tile[:n], tile[n:]
    elapsed_low, tile = tile[:n], tile[n:]
    unit, tile = tile[:n], tile[n:]
    none, tile = tile[:n], tile[n:]
    x, tile = tile[:n], tile[n:]
    xl, tile = tile[:n], tile[n:]
    size, tile = tile[:n], tile[n:]
    radius, known_to = tile[:n], tile[n:]
    chosen = np.empty(WIDTH, np.int64)
    unit[:], none[:] = 0.0, 0.0
    for block in range((level.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, level.shape[1])
        get_factors(twice, high, low, time, time_low, error, reference, at, m, ml, elapsed, elapsed_low, known_to, chosen)
        for k in range(n):
            put(unit, (k,), lanes(1.0))
            c, off = _relative(twice, m, ml, elapsed, elapsed_low, known_to, chosen, -1.0, unit, none, x, xl, size, radius)
            put(unit, (k,), lanes(0.0))
            keep(c, level, k, at)
            keep(off, share, k, at)
            if whole:
                tiles.exchange(x, chosen)
                tiles.exchange(radius, chosen)
                for i in range(n):
                    keep(get(x, (i,)), v, i * n + k, at)
                    keep(get(radius, (i,)), r, i * n + k, at)
