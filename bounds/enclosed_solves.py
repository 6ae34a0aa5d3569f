"""Solves with a factored ``I - gamma P_pi`` (:mod:`bounds.enclosed_elimination`), with radii that contain the truth.

Every solve is carried out twice in a kernel (:mod:`bounds.enclosed_substitution`): on the right-hand side in the precision of the
factors, and in plain floats on what its entries may be off by, which gives the radius (:mod:`bounds.enclosed_radii`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds.enclosed_accuracy import HORIZON, PLACES, RELATIVE, SOLVE
from bounds.enclosed_elimination import Factors
from bounds.enclosed_planes import OUT, REFERENCES, empty, load, matrix, references, table
from bounds.enclosed_radii import checked, confine_relative_values, confine_values, lost, settle, source
from bounds.enclosed_substitution import solve_flow, solve_occupancy, solve_relative_values, solve_values
from bounds.rounding import GROW, nonnegative
from mdps import tiles
from mdps.kernels import chunked
from mdps.lane_masks import keep, smallest, start
from mdps.lanes import TABLE, WIDTH, get, lanes, put, room
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
    given = [matrix(x, batch, core) for x, core in ((f.high, 2), (f.low, 2), (f.time, 1), (f.time_low, 1), (f.error, 1))]
    right = matrix(mid, batch, 1), matrix(rad, batch, 1)
    v, r, level, share = (empty(batch, core) for core in ((n,), (n,), (), ()))
    _solve(kind, f.twice, *given, references(f.reference, batch), *right, sign, v, r, level, share)
    return table(v, batch, (n,)), table(r, batch, (n,)), table(level, batch, ()), table(share, batch, ())


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
            product, narrow = solve_flow(twice, factors, factors_low, elapsed, elapsed_low, x, xl, size, sign)
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
            c, off = checked(c, (abs(cl) + spread + loss) * GROW)
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
