"""The evaluation of a policy whose tables are floats, all of it in doubled precision: each number is the float nearest the truth.

The steps are those of :func:`mdps.evaluate.evaluate`, elimination included, in one kernel: the process is read once, and nothing
is rounded between them. A radius is half an ulp, what :mod:`bounds.enclosed_elimination` says of the solves, and w = 2^-102 for
each other operation, of what it adds up. An advantage is a difference of relative values: its own size does not enter.

Some advantages are zero by definition, and then exactly so: if every action that the policy may take in a state has the same
reward and, where gamma > 0, the same row of P, all of these are worth the same, and their mean is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds import doubled
from bounds.doubled import DOUBLED, SMALL
from bounds.enclosed_accuracy import PLACES, RELATIVE, SOLVE, accuracy
from bounds.enclosed_elimination import eliminated, lesser
from bounds.enclosed_factors import Factors, put_factors, space
from bounds.enclosed_planes import INDEX, MATRIX, OUT, VECTOR, Shape, empty, expanded, load, matrix, table
from bounds.enclosed_radii import checked, lost, source
from bounds.enclosed_substitution import (
    ascend,
    ascend_relative,
    ascend_relative_size,
    ascend_size,
    descend,
    descend_size,
    sweep,
    sweep_back,
)
from bounds.rounding import GROW, U, nonnegative, two_sum
from mdps import tiles
from mdps.kernels import chunked, inner
from mdps.lane_masks import MASK, choose, fetch, keep, smallest, some, start
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, put, room
from mdps.mdp import MDP, Array

Pair = tuple[Array, Array]


def evaluate(mdp: MDP, pi: Array) -> tuple[Factors, tuple[Pair, ...]]:
    """The elimination of float tables, then V, Q, A, rho, d and eta with radii."""
    batch, given = _given(mdp, pi)
    cores = ((mdp.S,), (mdp.S, mdp.A), (mdp.S, mdp.A), (mdp.S,), (mdp.S,), ())
    factors, results = space(batch, mdp.S, True), _results(batch, cores)
    _evaluate(*given, True, *factors, *results)
    return factors.factors(batch, mdp.S, True), _pairs(batch, cores, results)


def worth(mdp: MDP, pi: Array) -> tuple[Pair, ...]:
    """V and A alone, with radii: nothing else is written to memory."""
    batch, given = _given(mdp, pi)
    cores = ((mdp.S,), (mdp.S, mdp.A))
    rV, rA = _results(batch, cores[:1]), _results(batch, cores[1:])
    left_out = [np.empty((1, 1))] * 6
    _evaluate(*given, False, *space((), 1, True), *rV, *left_out[:2], *rA, *left_out)
    return _pairs(batch, cores, [*rV, *rA])


def visits(mdp: MDP, pi: Array) -> Pair:
    """rho alone, with radii."""
    batch, given = _given(mdp, pi)
    P, law, _, rho0, gamma = given
    results = _results(batch, ((mdp.S,),))
    _visits(P, law, rho0, gamma, *results)
    return _pairs(batch, ((mdp.S,),), results)[0]


def _given(mdp: MDP, pi: Array) -> tuple[Shape, list[Array]]:
    """The batch; P, pi, R, rho0 and gamma as kernels read them."""
    batch = np.broadcast_shapes(mdp.batch, pi.shape[:-2])
    P, *rest = (matrix(x, batch, core) for x, core in ((mdp.P, 3), (pi, 2), (mdp.R, 2), (mdp.rho0, 1), (mdp.gamma, 0)))
    return batch, [expanded(P, mdp.S * mdp.A * mdp.S), *rest]


def _results(batch: Shape, cores: tuple[Shape, ...]) -> list[Array]:
    return [empty(batch, core) for core in cores for _ in range(2)]


def _pairs(batch: Shape, cores: tuple[Shape, ...], results: list[Array]) -> tuple[Pair, ...]:
    found = [table(x, batch, cores[i // 2]) for i, x in enumerate(results)]
    return tuple(zip(found[::2], found[1::2], strict=True))


@inner(types.UniTuple(LANES, 3)(VECTOR, VECTOR, VECTOR, types.int64, types.int64))
def mean(weights: Any, x: Any, low: Any, first: Any, n: Any) -> Any:
    """``sum w x / sum w`` in two floats, and the same of abs(x): n + 1 operations for each sum, one for the quotient.

    The weights are those from ``first`` on.
    """
    total, rest, mass, mass_low, size = lanes(0.0), lanes(0.0), lanes(0.0), lanes(0.0), lanes(0.0)
    for i in range(n):
        w = get(weights, (first + i,))
        mass, mass_low = doubled.add(mass, mass_low, w, lanes(0.0))
        p, pl = doubled.multiply(w, lanes(0.0), get(x, (i,)), get(low, (i,)))
        total, rest = doubled.add(total, rest, p, pl)
        size += abs(p) + choose((w != 0.0) & (get(x, (i,)) != 0.0), SMALL, 0.0)  # the product may have vanished
    total, rest = doubled.divide(total, rest, mass, mass_low)
    return total, rest, size / mass


@inner(MASK(VECTOR, VECTOR, VECTOR, LANES, types.int64, types.int64, types.int64, types.int64))
def as_all(P: Any, R: Any, pi: Any, gamma: Any, n: Any, first: Any, a: Any, stop: Any) -> Any:
    """Where action ``first + a`` has the reward and, where it matters, the row of every action that may be taken instead."""
    own = get(R, (first + a,))
    same = own == own
    for b in range(first, stop):
        if b != first + a:
            same &= (get(pi, (b,)) == 0.0) | (get(R, (b,)) == own)
    if some(same):
        for b in range(first, stop):
            if b != first + a:
                free = (get(pi, (b,)) == 0.0) | (gamma == 0.0)
                for j in range(n):
                    same &= free | (get(P, ((first + a) * n + j,)) == get(P, (b * n + j,)))
    return same


@inner(types.void(LANES, LANES, OUT, OUT, types.int64, types.int64))
def put_down(x: Any, r: Any, mid: Any, rad: Any, k: Any, at: Any) -> None:
    """Write a pair."""
    keep(x, mid, k, at)
    keep(r, rad, k, at)


@inner(types.UniTuple(LANES, 3)(VECTOR, VECTOR, VECTOR))
def started(begin: Any, x: Any, xl: Any) -> Any:
    """Write the start, exactly normalised, in two floats; its mass, and the least product."""
    mass, mass_low, least = lanes(0.0), lanes(0.0), lanes(1.0)
    for s in range(begin.shape[0]):
        mass, mass_low = doubled.add(mass, mass_low, get(begin, (s,)), lanes(0.0))
    for s in range(begin.shape[0]):
        first = get(begin, (s,))
        y, yl = doubled.divide(first, lanes(0.0), mass, mass_low)
        least = lesser(least, y, first != 0.0)
        put(x, (s,), y)
        put(xl, (s,), yl)
    return mass, mass_low, least


@inner(types.UniTuple(LANES, 2)(MATRIX, MATRIX, INDEX, VECTOR, *[LANES] * 3, types.float64, VECTOR, VECTOR))
def visited(m: Any, ml: Any, chosen: Any, known_to: Any, mass: Any, mass_low: Any, least: Any, few: Any, x: Any, xl: Any) -> Any:
    """Visits in the place of a start that :func:`started` wrote; what they are off by, of themselves and besides."""
    tiles.exchange(x, chosen)
    tiles.exchange(xl, chosen)
    least = smallest(least, sweep(m, ml, x, xl, x.shape[0]))
    least = smallest(least, sweep_back(m, ml, x, xl))
    relative = get(known_to, (SOLVE,))
    loss = lost(least, lanes(1.0), choose(relative < np.inf, 1.0, np.inf), known_to)
    tiles.exchange(x, chosen)
    tiles.exchange(xl, chosen)
    inexact = (mass != 1.0) | (mass_low != 0.0)
    return (relative + choose(inexact, few, 0.0)) * (1.0 + 4.0 * relative), loss


@chunked(types.void(*[TABLE] * 4, OUT, OUT))
def _visits(P: Any, pi: Any, rho0: Any, gamma: Any, rho: Any, rrho: Any) -> None:
    n, pairs = rho.shape[0], P.shape[0] // rho.shape[0]
    actions = pairs // n
    tile = room(WIDTH * (pairs * n + pairs + 2 * actions + 2 * n * n + 6 * n + PLACES)).reshape(-1, WIDTH)
    p, tile = tile[: pairs * n], tile[pairs * n :]
    law, tile = tile[:pairs], tile[pairs:]
    weight, tile = tile[:actions], tile[actions:]
    weight_low, tile = tile[:actions], tile[actions:]
    m, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    ml, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    elapsed, tile = tile[:n], tile[n:]
    elapsed_low, tile = tile[:n], tile[n:]
    begin, tile = tile[:n], tile[n:]
    size, tile = tile[:n], tile[n:]
    x, tile = tile[:n], tile[n:]
    xl, known_to = tile[:n], tile[n:]
    chosen = np.empty(WIDTH, np.int64)
    few = (2 * (n + actions) + 8) * DOUBLED
    for block in range((rho.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, rho.shape[1])
        load(P, at, p)
        load(pi, at, law)
        load(rho0, at, begin)
        discount = fetch(gamma, 0, at)
        least = eliminated(p, law, discount, True, m, ml, elapsed, elapsed_low, weight, weight_low, size, chosen)
        accuracy(lanes(0.0), lanes(0.0), discount, least, n, actions, True, known_to)
        mass, mass_low, product = started(begin, x, xl)
        relative, loss = visited(m, ml, chosen, known_to, mass, mass_low, product, few, x, xl)
        for s in range(n):
            there, there_low = get(x, (s,)), get(xl, (s,))
            mid, rad = checked(there, (abs(there_low) + (relative * there + loss)) * GROW)
            mid, rad = nonnegative(mid, rad)
            put_down(mid, rad, rho, rrho, s, at)


@chunked(types.void(*[TABLE] * 5, types.boolean, *[OUT] * 4, types.int64[::1], *[OUT] * 13))
def _evaluate(
    P: Any,
    pi: Any,
    R: Any,
    rho0: Any,
    gamma: Any,
    whole: Any,
    high: Any,
    low: Any,
    time: Any,
    time_low: Any,
    reference: Any,
    error: Any,
    V: Any,
    rV: Any,
    Q: Any,
    rQ: Any,
    A: Any,
    rA: Any,
    rho: Any,
    rrho: Any,
    d: Any,
    rd: Any,
    eta: Any,
    reta: Any,
) -> None:
    n, pairs = V.shape[0], P.shape[0] // V.shape[0]
    actions = pairs // n
    tile = room(WIDTH * (pairs * n + 2 * pairs + 3 * actions + 2 * n * n + 14 * n + PLACES)).reshape(-1, WIDTH)
    p, tile = tile[: pairs * n], tile[pairs * n :]
    law, tile = tile[:pairs], tile[pairs:]
    reward, tile = tile[:pairs], tile[pairs:]
    none, tile = tile[:actions], tile[actions:]
    weight, tile = tile[:actions], tile[actions:]
    weight_low, tile = tile[:actions], tile[actions:]
    m, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    ml, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    elapsed, tile = tile[:n], tile[n:]
    elapsed_low, tile = tile[:n], tile[n:]
    begin, tile = tile[:n], tile[n:]
    expected, tile = tile[:n], tile[n:]
    expected_low, tile = tile[:n], tile[n:]
    slip, tile = tile[:n], tile[n:]
    v, tile = tile[:n], tile[n:]
    vl, tile = tile[:n], tile[n:]
    v_size, tile = tile[:n], tile[n:]
    h, tile = tile[:n], tile[n:]
    hl, tile = tile[:n], tile[n:]
    h_size, tile = tile[:n], tile[n:]
    x, tile = tile[:n], tile[n:]
    xl, known_to = tile[:n], tile[n:]
    chosen = np.empty(WIDTH, np.int64)
    few = (2 * (n + actions) + 8) * DOUBLED  # roundings of a sum over actions or states, with what is done to it
    grow = GROW + 8 * n * U
    for a in range(actions):
        put(none, (a,), lanes(0.0))
    for block in range((V.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, V.shape[1])
        load(P, at, p)
        load(pi, at, law)
        load(R, at, reward)
        discount = fetch(gamma, 0, at)
        least = eliminated(p, law, discount, True, m, ml, elapsed, elapsed_low, weight, weight_low, v_size, chosen)
        accuracy(lanes(0.0), lanes(0.0), discount, least, n, actions, True, known_to)
        if whole:
            put_factors(m, ml, elapsed, elapsed_low, chosen, known_to, True, high, low, time, time_low, reference, error, at)

        for s in range(n):
            y, yl, size = mean(law, reward[s * actions : (s + 1) * actions], none, s * actions, actions)
            put(expected, (s,), y)
            put(expected_low, (s,), yl)
            put(slip, (s,), choose(size > 0.0, few * size + SMALL, 0.0))  # a product may underflow
            put(v, (s,), y)
            put(vl, (s,), yl)
        least, total = source(v, slip, get(known_to, (SOLVE,)), known_to, v_size)
        tiles.exchange(v, chosen)
        tiles.exchange(vl, chosen)
        tiles.exchange(v_size, chosen)
        least = smallest(least, descend(m, ml, v, vl))
        level, level_low = doubled.divide(get(v, (n - 1,)), get(vl, (n - 1,)), get(elapsed, (n - 1,)), get(elapsed_low, (n - 1,)))
        least = smallest(least, ascend(m, ml, v, vl, n))
        narrow = descend_size(m, v_size)
        narrow = smallest(narrow, ascend_size(m, v_size, n))
        v_lost = lost(least, narrow, total, known_to)
        tiles.exchange(v, chosen)
        tiles.exchange(vl, chosen)
        tiles.exchange(v_size, chosen)

        # relative values: the level is taken out first, and whatever is taken out comes back with the rest
        for s in range(n):
            y, yl = doubled.add(get(expected, (s,)), get(expected_low, (s,)), -level, -level_low)
            put(h, (s,), y)
            put(hl, (s,), yl)
            put(slip, (s,), get(slip, (s,)) + few * (abs(get(expected, (s,))) + abs(level)))
        least, total = source(h, slip, get(known_to, (RELATIVE,)), known_to, h_size)
        tiles.exchange(h, chosen)
        tiles.exchange(hl, chosen)
        tiles.exchange(h_size, chosen)
        least = smallest(least, descend(m, ml, h, hl))
        rest, rest_low, product = ascend_relative(m, ml, elapsed, elapsed_low, h, hl, -1.0)
        narrow = descend_size(m, h_size)
        spread, product_size = ascend_relative_size(m, elapsed, h_size, 1.0)
        h_lost = lost(smallest(least, product), smallest(narrow, product_size), total, known_to)
        slack = few * (abs(level) + abs(rest))
        level, level_low = doubled.add(level, level_low, rest, rest_low)
        slack += spread + h_lost
        for s in range(n - 1):  # the reference is known: its own value is zero
            put(h_size, (s,), get(h_size, (s,)) + h_lost)
        put(h_size, (n - 1,), lanes(0.0))
        tiles.exchange(h, chosen)
        tiles.exchange(hl, chosen)
        tiles.exchange(h_size, chosen)

        for s in range(n):
            here, here_low = get(v, (s,)), get(vl, (s,))
            mid_v, rad_v = checked(here, (abs(here_low) + get(v_size, (s,)) + v_lost) * GROW)
            put_down(mid_v, rad_v, V, rV, s, at)
            for a in range(actions):
                i = s * actions + a
                ahead, behind, scale = mean(p, h, hl, i * n, n)
                off, mass = lanes(0.0), lanes(0.0)
                for j in range(n):
                    off += get(p, (i * n + j,)) * get(h_size, (j,))
                    mass += get(p, (i * n + j,))
                ahead, behind = doubled.multiply(discount, lanes(0.0), ahead, behind)
                y, yl = doubled.add(ahead, behind, get(reward, (i,)), lanes(0.0))
                y, yl = doubled.add(y, yl, -get(h, (s,)), -get(hl, (s,)))
                y, yl = doubled.add(y, yl, -level, -level_low)
                r = few * (abs(get(reward, (i,))) + discount * scale + abs(get(h, (s,))) + abs(level))
                r += discount * off / mass * grow + get(h_size, (s,)) + slack
                r += choose(r != 0.0, SMALL, 0.0)
                mid, rad = checked(y, (abs(yl) + r) * GROW)
                nothing = as_all(p, reward, law, discount, n, s * actions, a, (s + 1) * actions)
                put_down(choose(nothing, 0.0, mid), choose(nothing, 0.0, rad), A, rA, i, at)
                if whole:
                    q, ql = doubled.add(y, yl, here, here_low)
                    r += get(v_size, (s,)) + v_lost + few * (abs(y) + abs(here))
                    mid, rad = checked(q, (abs(ql) + r) * GROW)
                    put_down(choose(nothing, mid_v, mid), choose(nothing, rad_v, rad), Q, rQ, i, at)
        if not whole:
            continue

        load(rho0, at, begin)
        mass, mass_low, least = started(begin, x, xl)
        value, value_low, value_size = lanes(0.0), lanes(0.0), lanes(0.0)
        for s in range(n):
            first, y = get(begin, (s,)), get(x, (s,))
            q, ql = doubled.multiply(y, get(xl, (s,)), get(v, (s,)), get(vl, (s,)))
            value, value_low = doubled.add(value, value_low, q, ql)
            size = get(v_size, (s,)) + v_lost
            moved = (first != 0.0) & ((get(v, (s,)) != 0.0) | (size > 0.0))
            value_size += choose(moved, y * (few * abs(get(v, (s,))) + size) + SMALL, 0.0)
        mid, rad = checked(value, (abs(value_low) + value_size) * grow)
        put_down(mid, rad, eta, reta, 0, at)
        relative, loss = visited(m, ml, chosen, known_to, mass, mass_low, least, few, x, xl)
        one, one_low = two_sum(lanes(1.0), -discount)
        for s in range(n):
            there, there_low = get(x, (s,)), get(xl, (s,))
            off = relative * there + loss
            mid, rad = checked(there, (abs(there_low) + off) * GROW)
            mid, rad = nonnegative(mid, rad)
            put_down(mid, rad, rho, rrho, s, at)
            y, yl = doubled.multiply(one, one_low, there, there_low)
            off = one * off + DOUBLED * y + choose((there != 0.0) & (y < SMALL), SMALL, 0.0)
            mid, rad = checked(y, (abs(yl) + off) * GROW)
            mid, rad = nonnegative(mid, rad)
            put_down(mid, rad, d, rd, s, at)
