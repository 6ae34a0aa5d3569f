"""A resolvent of a batch in planes: the solves of :class:`mdps.elimination.Resolvent`, a tile of instances at a time.

Same algorithm, same order of operations and so the same bits as the generalised ufuncs of :mod:`mdps.elimination`, at several
times their speed where matrices are small. Matrices [K, N] are those of :mod:`mdps.planes`. What is asked of tables that are not
in planes, or do not broadcast to those that are, is answered by None.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from mdps import tiles
from mdps.batches import Array
from mdps.kernels import chunked
from mdps.lanes import TABLE, WIDTH, get, lanes, load, put, room, store, write
from mdps.planes import planes, unfolded, widened

_OUT = types.float64[:, ::1]
_INDEX = types.Array(types.int64, 1, "C", readonly=True)


Solved = Array | None
"""A table [N, ...] in planes, or None."""


def factored(P: Any, pi: Any, gamma: Any) -> tuple[Array, Array, NDArray[np.int64]] | None:
    """Factors [N,S,S], times [N,S] and references [N] for P [N,S,A,S] in planes, and pi and gamma that broadcast to it."""
    table = planes(P, 3)
    if table is None:
        return None
    count, n, actions = P.shape[:3]
    law, discount = widened(pi, (n, actions), count), widened(gamma, (), count)
    if law is None or discount is None:
        return None
    m, time, reference = np.empty((n * n, count)), np.empty((n, count)), np.empty(count, np.int64)
    _factor(table, law, discount, m, time, reference)
    return unfolded(m, (n, n)), unfolded(time, (n,)), reference


def values(factors: Any, time: Any, reference: Any, reward: Any) -> Solved:
    """See :meth:`mdps.elimination.Resolvent.values`."""
    return _solved(_values, factors, time, reference, reward)


def occupancy(factors: Any, time: Any, reference: Any, start: Any) -> Solved:
    """See :meth:`mdps.elimination.Resolvent.occupancy`."""
    return _solved(_occupancy, factors, time, reference, start)


def flow(factors: Any, time: Any, reference: Any, source: Any, sign: float) -> Solved:
    """See :meth:`mdps.elimination.Resolvent.flow`, sign -1, and ``flow_magnitude``, sign 1."""
    return _solved(_flow, factors, time, reference, source, sign)


def relative_magnitude(factors: Any, time: Any, reference: Any, size: Any) -> Solved:
    """See :meth:`mdps.elimination.Resolvent.relative_magnitude`."""
    return _solved(_relative_magnitude, factors, time, reference, size)


def relative_values(factors: Any, time: Any, reference: Any, reward: Any) -> tuple[Array, Array] | None:
    """See :meth:`mdps.elimination.Resolvent.relative_values`."""
    level = np.empty(np.shape(reference))
    h = _solved(_relative_values, factors, time, reference, reward, level)
    return None if h is None else (h, level)


def unit_values(factors: Any, time: Any, reference: Any) -> Solved:
    """Relative values of the rewards 1{s=k}, a column [N,S] of [N,S,S] for each k: the factors are read once for all of them."""
    m, elapsed = planes(factors, 2), planes(time, 1)
    if m is None or elapsed is None:
        return None
    n, count = elapsed.shape
    h = np.empty((n * n, count))
    _unit_values(m, elapsed, reference, h)
    return unfolded(h, (n, n))


def visits(P: Any, pi: Any, gamma: Any, start: Any) -> Solved:
    """``start (I - gamma P_pi)^-1`` of a policy of which nothing else is asked: its factors are not kept."""
    table = planes(P, 3)
    if table is None:
        return None
    count, n, actions = P.shape[:3]
    law, discount, first = widened(pi, (n, actions), count), widened(gamma, (), count), widened(start, (n,), count)
    if law is None or discount is None or first is None:
        return None
    rho = np.empty((n, count))
    _visits(table, law, discount, first, rho)
    return unfolded(rho, (n,))


def _solved(kernel: Any, factors: Any, time: Any, reference: Any, given: Any, *more: Any) -> Solved:
    m, elapsed = planes(factors, 2), planes(time, 1)
    if m is None or elapsed is None:
        return None
    n, count = elapsed.shape
    right = widened(given, (n,), count)
    if right is None:
        return None
    x = np.empty((n, count))
    kernel(m, elapsed, reference, right, *more, x)
    return unfolded(x, (n,))


def backup(P: Any, R: Any, gamma: Any, values: Any) -> Solved:
    """See :func:`mdps.elimination.backup`."""
    table = planes(P, 3)
    if table is None:
        return None
    count, n, actions = P.shape[:3]
    reward, discount, v = widened(R, (n, actions), count), widened(gamma, (), count), widened(values, (n,), count)
    if reward is None or discount is None or v is None:
        return None
    q = np.empty((n * actions, count))
    _backup(table, reward, discount, v, q)
    return unfolded(q, (n, actions))


def forward(P: Any, weights: Any) -> Solved:
    """See :func:`mdps.elimination.forward`."""
    table = planes(P, 3)
    if table is None:
        return None
    count, n, actions = P.shape[:3]
    mass = widened(weights, (n, actions), count)
    if mass is None:
        return None
    x = np.empty((n, count))
    _forward(table, mass, x)
    return unfolded(x, (n,))


@chunked(types.void(TABLE, TABLE, TABLE, _OUT, _OUT, types.int64[::1]))
def _factor(P: Any, pi: Any, gamma: Any, m: Any, time: Any, reference: Any) -> None:
    n, pairs = time.shape[0], pi.shape[0]
    block = room(WIDTH * (pairs * n + pairs + n * n + 3 * n + 1)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    law, block = block[:pairs], block[pairs:]
    factors, block = block[: n * n], block[n * n :]
    inverse, block = block[:n], block[n:]
    elapsed, block = block[:n], block[n:]
    visits, discount = block[:n], block[n:]
    rows, chosen = np.empty(WIDTH, np.int64), np.empty(WIDTH, np.int64)
    for at in range(0, P.shape[1], WIDTH):
        rows[0] = at
        load(pi, at, 0, pairs, law)
        load(gamma, at, 0, 1, discount)
        gamma_, matrix = get(discount, (0,)), factors.reshape(n, n, WIDTH)
        tiles.eliminate(P, True, rows, p, law, gamma_, matrix, inverse, elapsed, visits, chosen)
        store(factors, m, at)
        store(elapsed, time, at)
        for lane in range(WIDTH):
            reference[at + lane] = chosen[lane]


@chunked(types.void(TABLE, TABLE, _INDEX, TABLE, _OUT))
def _values(m: Any, time: Any, reference: Any, reward: Any, v: Any) -> None:
    n = time.shape[0]
    block = room(WIDTH * (n * n + 2 * n)).reshape(-1, WIDTH)
    factors, block = block[: n * n], block[n * n :]
    inverse, x, chosen = block[:n], block[n:], np.empty(WIDTH, np.int64)
    for at in range(0, m.shape[1], WIDTH):
        chosen[:] = reference[at : at + WIDTH]
        load(m, at, 0, n * n, factors)
        tiles.invert(factors.reshape(n, n, WIDTH), inverse)
        load(reward, at, 0, n, x)
        tiles.exchange(x, chosen)
        tiles.descend(factors.reshape(n, n, WIDTH), x)
        tiles.ascend(factors.reshape(n, n, WIDTH), inverse, x)
        tiles.exchange(x, chosen)
        store(x, v, at)


@chunked(types.void(TABLE, TABLE, _INDEX, _OUT))
def _unit_values(m: Any, time: Any, reference: Any, h: Any) -> None:
    n = time.shape[0]
    block = room(WIDTH * (n * n + 4 * n)).reshape(-1, WIDTH)
    factors, block = block[: n * n], block[n * n :]
    inverse, block = block[:n], block[n:]
    elapsed, block = block[:n], block[n:]
    unit, x, chosen = block[:n], block[n:], np.empty(WIDTH, np.int64)
    unit[:] = 0.0
    for at in range(0, m.shape[1], WIDTH):
        chosen[:] = reference[at : at + WIDTH]
        load(m, at, 0, n * n, factors)
        tiles.invert(factors.reshape(n, n, WIDTH), inverse)
        load(time, at, 0, n, elapsed)
        for k in range(n):
            put(unit, (k,), lanes(1.0))
            tiles.relative(factors.reshape(n, n, WIDTH), inverse, elapsed, chosen, unit, x)
            put(unit, (k,), lanes(0.0))
            for s in range(n):
                write(h, s * n + k, at, get(x, (s,)))


@chunked(types.void(TABLE, TABLE, _INDEX, TABLE, types.float64[::1], _OUT))
def _relative_values(m: Any, time: Any, reference: Any, reward: Any, level: Any, h: Any) -> None:
    n = time.shape[0]
    block = room(WIDTH * (n * n + 4 * n + 1)).reshape(-1, WIDTH)
    factors, block = block[: n * n], block[n * n :]
    inverse, block = block[:n], block[n:]
    elapsed, block = block[:n], block[n:]
    given, block = block[:n], block[n:]
    x, found, chosen = block[:n], block[n:], np.empty(WIDTH, np.int64)
    for at in range(0, m.shape[1], WIDTH):
        chosen[:] = reference[at : at + WIDTH]
        load(m, at, 0, n * n, factors)
        tiles.invert(factors.reshape(n, n, WIDTH), inverse)
        load(time, at, 0, n, elapsed)
        load(reward, at, 0, n, given)
        put(found, (0,), tiles.relative(factors.reshape(n, n, WIDTH), inverse, elapsed, chosen, given, x))
        store(x, h, at)
        for lane in range(WIDTH):
            level[at + lane] = found[0, lane]


@chunked(types.void(TABLE, TABLE, _INDEX, TABLE, _OUT))
def _relative_magnitude(m: Any, time: Any, reference: Any, size: Any, h: Any) -> None:
    n = time.shape[0]
    block = room(WIDTH * (n * n + 3 * n)).reshape(-1, WIDTH)
    factors, block = block[: n * n], block[n * n :]
    inverse, block = block[:n], block[n:]
    elapsed, x, chosen = block[:n], block[n:], np.empty(WIDTH, np.int64)
    for at in range(0, m.shape[1], WIDTH):
        chosen[:] = reference[at : at + WIDTH]
        load(m, at, 0, n * n, factors)
        tiles.invert(factors.reshape(n, n, WIDTH), inverse)
        load(time, at, 0, n, elapsed)
        load(size, at, 0, n, x)
        tiles.exchange(x, chosen)
        tiles.descend(factors.reshape(n, n, WIDTH), x)
        tiles.ascend_relative(factors.reshape(n, n, WIDTH), inverse, elapsed, x, lanes(1.0))
        tiles.exchange(x, chosen)
        store(x, h, at)


@chunked(types.void(TABLE, TABLE, TABLE, TABLE, _OUT))
def _visits(P: Any, pi: Any, gamma: Any, start: Any, rho: Any) -> None:
    n, pairs = rho.shape[0], pi.shape[0]
    block = room(WIDTH * (pairs * n + pairs + n * n + 4 * n + 1)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    law, block = block[:pairs], block[pairs:]
    factors, block = block[: n * n].reshape(n, n, WIDTH), block[n * n :]
    inverse, block = block[:n], block[n:]
    elapsed, block = block[:n], block[n:]
    used, block = block[:n], block[n:]
    x, discount = block[:n], block[n:]
    rows, chosen = np.empty(WIDTH, np.int64), np.empty(WIDTH, np.int64)
    for at in range(0, P.shape[1], WIDTH):
        rows[0] = at
        load(pi, at, 0, pairs, law)
        load(gamma, at, 0, 1, discount)
        load(start, at, 0, n, x)
        tiles.eliminate(P, True, rows, p, law, get(discount, (0,)), factors, inverse, elapsed, used, chosen)
        tiles.exchange(x, chosen)
        tiles.solve_transposed(factors, inverse, x)
        tiles.exchange(x, chosen)
        store(x, rho, at)


@chunked(types.void(TABLE, TABLE, _INDEX, TABLE, _OUT))
def _occupancy(m: Any, time: Any, reference: Any, start: Any, rho: Any) -> None:
    n = time.shape[0]
    block = room(WIDTH * (n * n + 2 * n)).reshape(-1, WIDTH)
    factors, block = block[: n * n], block[n * n :]
    inverse, x, chosen = block[:n], block[n:], np.empty(WIDTH, np.int64)
    for at in range(0, m.shape[1], WIDTH):
        chosen[:] = reference[at : at + WIDTH]
        load(m, at, 0, n * n, factors)
        tiles.invert(factors.reshape(n, n, WIDTH), inverse)
        load(start, at, 0, n, x)
        tiles.exchange(x, chosen)
        tiles.solve_transposed(factors.reshape(n, n, WIDTH), inverse, x)
        tiles.exchange(x, chosen)
        store(x, rho, at)


@chunked(types.void(TABLE, TABLE, _INDEX, TABLE, types.float64, _OUT))
def _flow(m: Any, time: Any, reference: Any, source: Any, sign: Any, moved: Any) -> None:
    n = time.shape[0]
    block = room(WIDTH * (n * n + 3 * n)).reshape(-1, WIDTH)
    factors, block = block[: n * n], block[n * n :]
    inverse, block = block[:n], block[n:]
    elapsed, x, chosen = block[:n], block[n:], np.empty(WIDTH, np.int64)
    for at in range(0, m.shape[1], WIDTH):
        chosen[:] = reference[at : at + WIDTH]
        load(m, at, 0, n * n, factors)
        tiles.invert(factors.reshape(n, n, WIDTH), inverse)
        load(time, at, 0, n, elapsed)
        load(source, at, 0, n, x)
        tiles.exchange(x, chosen)
        tiles.flow(factors.reshape(n, n, WIDTH), inverse, elapsed, x, lanes(sign))
        tiles.exchange(x, chosen)
        store(x, moved, at)


@chunked(types.void(TABLE, TABLE, TABLE, TABLE, _OUT))
def _backup(P: Any, R: Any, gamma: Any, values: Any, q: Any) -> None:
    n, pairs = values.shape[0], R.shape[0]
    block = room(WIDTH * (pairs * n + 2 * pairs + n + 1)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    reward, block = block[:pairs], block[pairs:]
    expected, block = block[:pairs], block[pairs:]
    v, discount = block[:n], block[n:]
    for at in range(0, P.shape[1], WIDTH):
        load(P, at, 0, pairs * n, p)
        load(R, at, 0, pairs, reward)
        load(gamma, at, 0, 1, discount)
        load(values, at, 0, n, v)
        tiles.expect(p, v, expected)
        for k in range(pairs):
            put(expected, (k,), get(reward, (k,)) + get(discount, (0,)) * get(expected, (k,)))
        store(expected, q, at)


@chunked(types.void(TABLE, TABLE, _OUT))
def _forward(P: Any, weights: Any, x: Any) -> None:
    n, pairs = x.shape[0], weights.shape[0]
    block = room(WIDTH * (pairs * n + pairs + n)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    mass, there = block[:pairs], block[pairs:]
    for at in range(0, P.shape[1], WIDTH):
        load(P, at, 0, pairs * n, p)
        load(weights, at, 0, pairs, mass)
        tiles.spread(p, mass, there)
        store(there, x, at)
