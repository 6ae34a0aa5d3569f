"""V of a softmax policy after natural-gradient steps, known to within radii, in one kernel: each tile follows all its policies.

The steps are those of :func:`mdps.repeated.natural_values` on enclosures: the process is read once for all of them, and of the
last policy only V is worked out. Exponentials are of numbers that are at most 0, as the largest in a row is taken out. By
:func:`mdps.lane_logs.exp` they are off by less than 3 u of themselves, u = 2^-53: a quarter of u for the argument, which is less
than 1/2 once multiples of log 2 are out, half of u for the series, both over ``e^(-log(2)/2)``, and u for the last addition. That
is well within :data:`bounds.rounding.LIBRARY`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds.enclosed_accuracy import PLACES
from bounds.enclosed_elimination import normalise
from bounds.enclosed_laws import Law
from bounds.enclosed_planes import OUT, VECTOR, empty, expanded, load, matrix, table
from bounds.enclosed_worth import factored, gained, parts, valued
from bounds.enclosure import Enclosure, pair
from bounds.rounded import SMALL_RADIUS, add, times
from bounds.rounded_shares import shares
from bounds.rounding import GROW, LIBRARY, TINY, U, above, below, between, known, nonnegative
from mdps.kernels import chunked, inner
from mdps.lane_logs import exp
from mdps.lane_masks import choose, fetch, keep, largest, smallest, some, start
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, put, room
from mdps.mdp import MDP, Array
from mdps.repeated import STEPS

_INDEX = types.Array(types.int64, 2, "C", readonly=True)

LEAST = -700.0
"""Exponentials of numbers below are between 0 and that of this one."""


def natural_values(mdp: MDP, A: Array, *sizes: Array) -> Array | None:
    """V [*B,K,4,S] of the softmax policies after 1, 2, 3 and 4 steps ``theta += size A`` from theta = 0, for K sizes [*B].

    ``A`` [*B,S,A] is that of the policy at theta = 0. None where the process is no float table whose exact normalisation is
    meant, with exact rewards and discounts.
    """
    whole: Any = (mdp.P, mdp.R, mdp.gamma)
    P, (R, rR), (gamma, rgamma) = whole[0], pair(whole[1]), pair(whole[2])
    if not isinstance(P, Law) or np.any(rR) or np.any(rgamma):
        return None
    pairs, steps = mdp.S * mdp.A, np.stack(sizes, -1)
    batch, core = np.broadcast_shapes(mdp.batch, steps.shape[:-1]), (len(sizes), STEPS, mdp.S)
    given = [expanded(matrix(P.table, batch, 3), pairs * mdp.S), matrix(R, batch, 2), matrix(gamma, batch, 0)]
    gain = (matrix(x, batch, 2) for x in pair(A))
    size = (expanded(matrix(x, batch, 1), len(sizes)) for x in pair(steps))
    V, off = empty(batch, core), empty(batch, core)
    rows = np.stack([np.arange(pairs)] * 2)  # of a tile, to be read one after the other
    _natural(*given, *gain, *size, rows, mdp.A, V, off)
    return Enclosure(table(V, batch, core), table(off, batch, core))  # type: ignore[return-value]


@inner(types.UniTuple(LANES, 2)(LANES, LANES))
def falling_exponential(a: Any, ra: Any) -> Any:
    """Exponential of a number that is not positive, as :mod:`bounds.rounded` says; from end to end where r is no small number."""
    value = exp(a)
    r = (LIBRARY * value + (1 + 2 * LIBRARY) * value * (ra * (1.0 + ra))) * GROW + TINY
    r = choose((a == 0.0) & (ra == 0.0), 0.0, r)
    wide = ~(ra < SMALL_RADIUS) | ~(a > LEAST)
    if some(wide):
        bottom, top = below(a, ra), smallest(above(a, ra), lanes(0.0))
        low = choose(bottom > LEAST, exp(bottom) * (1 - 2 * LIBRARY), 0.0)
        middle, half = between(low, smallest(exp(top) * (1 + 2 * LIBRARY) + TINY, lanes(1.0)))
        value, r = choose(wide, middle, value), choose(wide, half, r)
    return value, r


@inner(types.void(*[VECTOR] * 4, types.int64))
def _weighed(theta: Any, off: Any, weight: Any, radius: Any, n: Any) -> None:
    """``exp(theta - max theta)`` of rows of n."""
    for first in range(0, theta.shape[0], n):
        top, most = get(theta, (first,)), lanes(0.0)
        for k in range(first + 1, first + n):
            top = largest(top, get(theta, (k,)))
        for k in range(first, first + n):
            x, r = get(theta, (k,)), get(off, (k,))
            most = largest(most, choose(x == top, r, (r - (top - x) * (1 - 4 * U)) * GROW))
        for k in range(first, first + n):
            x, r, _ = add(-get(theta, (k,)), get(off, (k,)), top, most)
            x, r = known(x, r)
            x, r = nonnegative(x, r)
            x, r = falling_exponential(-x, r)
            put(weight, (k,), x)
            put(radius, (k,), r)


@chunked(types.void(*[TABLE] * 7, _INDEX, types.int64, OUT, OUT))
def _natural(
    P: Any, R: Any, gamma: Any, A: Any, rA: Any, steps: Any, rsteps: Any, rows: Any, actions: Any, values: Any, radii: Any
) -> None:
    sizes, pairs = steps.shape[0], rows.shape[1]
    n = pairs // actions
    tile = room(WIDTH * (pairs * n + 12 * pairs + n * n + 6 * n + PLACES)).reshape(-1, WIDTH)
    p, tile = tile[: pairs * n], tile[pairs * n :]
    law, tile = tile[:pairs], tile[pairs:]
    law_off, tile = tile[:pairs], tile[pairs:]
    reward, tile = tile[:pairs], tile[pairs:]
    none, tile = tile[:pairs], tile[pairs:]
    first, tile = tile[:pairs], tile[pairs:]
    first_off, tile = tile[:pairs], tile[pairs:]
    gain, tile = tile[:pairs], tile[pairs:]
    gain_off, tile = tile[:pairs], tile[pairs:]
    theta, tile = tile[:pairs], tile[pairs:]
    theta_off, tile = tile[:pairs], tile[pairs:]
    weight, tile = tile[:pairs], tile[pairs:]
    weight_off, tile = tile[:pairs], tile[pairs:]
    m, time, given, around, size, x, radius, known_to = parts(tile, n)
    chosen = np.empty(WIDTH, np.int64)
    none[:] = 0.0
    for block in range((values.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, values.shape[1])
        load(P, at, p)
        normalise(p, n)
        load(R, at, reward)
        load(A, at, first)
        load(rA, at, first_off)
        discount = fetch(gamma, 0, at)
        for k in range(sizes):
            step, step_off = fetch(steps, k, at), fetch(rsteps, k, at)
            gain[:], gain_off[:] = first, first_off
            theta[:], theta_off[:] = 0.0, 0.0
            for t in range(STEPS):
                for i in range(pairs):
                    y, r = times(step, step_off, get(gain, (i,)), get(gain_off, (i,)))
                    y, r, _ = add(get(theta, (i,)), get(theta_off, (i,)), y, r)
                    y, r = known(y, r)
                    put(theta, (i,), y)
                    put(theta_off, (i,), r)
                _weighed(theta, theta_off, weight, weight_off, actions)
                shares(actions, weight, weight_off, rows, law, law_off)
                factored(p, law, law_off, discount, m, time, x, chosen, known_to)
                valued(law, law_off, reward, m, known_to, chosen, none, given, around, size, x, radius)
                for s in range(n):
                    keep(get(x, (s,)), values, (k * STEPS + t) * n + s, at)
                    keep(get(radius, (s,)), radii, (k * STEPS + t) * n + s, at)
                if t < STEPS - 1:
                    gained(
                        p, law, law_off, reward, discount, m, time, known_to, chosen, none, given, around, size, x, radius,
                        gain, gain_off,
                    )  # fmt: skip
