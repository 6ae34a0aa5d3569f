"""Elimination without subtraction on tiles: the algorithm of :mod:`mdps.elimination` for many instances at once.

A tile's last axis counts instances (:mod:`mdps.lanes`); below it is left out of shapes. Names: ``P`` [S A S], ``pi`` [S A],
``m`` [S,S] the factors, ``inverse`` [S] of their pivots, ``time`` [S], and vectors [S] in the order of the states. Each instance
has its own reference, which :func:`exchange` swaps with the last state before a solve and back behind it; the solves themselves
work in the order of elimination and overwrite their right-hand side.
"""

from __future__ import annotations

from typing import Any

from numba import types

from mdps.kernels import inner
from mdps.lane_masks import choose as choice
from mdps.lane_masks import fused, some
from mdps.lane_rows import gather
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, load, positive, put, room

VECTOR = types.float64[:, ::1]
MATRIX = types.float64[:, :, ::1]
INDEX = types.int64[::1]
INDICES = types.int64[:, ::1]

NEAR = 512
"""Numbers of an instance whose tile fits into the nearest cache, with room to spare."""


@inner(types.void(VECTOR, INDEX), inlined=True)
def exchange(x: Any, reference: Any) -> None:
    """Swap the entries of the reference and of the last state, which mostly are the same."""
    last = x.shape[0] - 1
    moved = False
    for lane in range(WIDTH):
        moved |= reference[lane] != last
    if moved:
        for lane in range(WIDTH):
            r = reference[lane]
            x[r, lane], x[last, lane] = x[last, lane], x[r, lane]


CLOSE = 2.0**-27
"""Of a sum to one; the square of it is half a unit in the last place."""


@inner([LANES(LANES, LANES), types.float64(types.float64, types.float64)], inlined=True)
def over(x: Any, mass: Any) -> Any:
    """``x / mass``: without a division for a mass close to one, as that of every row of a checked table is."""
    missing = 1.0 - mass
    found = fused(x, missing, x)
    far = abs(missing) > CLOSE
    if some(far):
        found = choice(far, x / mass, found)
    return found


@inner([LANES(LANES, LANES, LANES), types.float64(types.float64, types.float64, types.float64)], inlined=True)
def quotient(x: Any, y: Any, inverse: Any) -> Any:
    """``x / y`` for a y whose inverse is known: what is missing of the product is found exactly, and added (Markstein 1990)."""
    first = x * inverse
    return fused(fused(-first, y, x), inverse, first)


@inner(types.void(VECTOR, VECTOR, LANES, types.int64, types.int64, MATRIX), inlined=True)
def chain(P: Any, pi: Any, gamma: Any, first: Any, stop: Any, m: Any) -> None:
    """Write the rows of ``gamma P_pi`` from state ``first`` to ``stop``, exactly normalised."""
    n = m.shape[0]
    actions = pi.shape[0] // n
    for s in range(first, stop):
        pair = s * actions
        total = lanes(0.0)
        j = 0
        while j + 4 <= n:  # four sums side by side: each waits for its last addition
            p, at = get(pi, (pair,)), pair * n + j
            x, y, z, w = p * get(P, (at,)), p * get(P, (at + 1,)), p * get(P, (at + 2,)), p * get(P, (at + 3,))
            for a in range(1, actions):
                p, at = get(pi, (pair + a,)), at + n
                x += p * get(P, (at,))
                y += p * get(P, (at + 1,))
                z += p * get(P, (at + 2,))
                w += p * get(P, (at + 3,))
            put(m, (s, j), x)
            put(m, (s, j + 1), y)
            put(m, (s, j + 2), z)
            put(m, (s, j + 3), w)
            total = total + x + y + z + w
            j += 4
        while j < n:
            x = get(pi, (pair,)) * get(P, (pair * n + j,))
            for a in range(1, actions):
                x += get(pi, (pair + a,)) * get(P, ((pair + a) * n + j,))
            put(m, (s, j), x)
            total += x
            j += 1
        scale = over(gamma, total)
        for j in range(n):
            put(m, (s, j), get(m, (s, j)) * scale)


@inner(types.void(MATRIX, VECTOR, VECTOR, LANES), inlined=True)
def factor(m: Any, time: Any, inverse: Any, slack: Any) -> None:
    """Eliminate, ``slack = 1 - gamma``; four pivots at a time: the rest of the matrix is read and written a quarter as often."""
    n = time.shape[0]
    for i in range(n):
        put(time, (i,), lanes(1.0))
    for k in range(0, n, 4):
        end = min(k + 4, n)
        for i in range(k, end):
            elapsed = get(time, (i,))
            for q in range(k, i):
                a = quotient(get(m, (i, q)), get(m, (q, q)), get(inverse, (q,)))
                put(m, (i, q), a)
                elapsed += a * get(time, (q,))
                for j in range(q + 1, n):
                    put(m, (i, j), get(m, (i, j)) + a * get(m, (q, j)))
            put(time, (i,), elapsed)
            pivot = slack * elapsed
            for j in range(i + 1, n):
                pivot += get(m, (i, j))
            put(m, (i, i), pivot)
            put(inverse, (i,), lanes(1.0) / pivot)
        for i in range(end, n):
            a = quotient(get(m, (i, k)), get(m, (k, k)), get(inverse, (k,)))
            b = get(m, (i, k + 1)) + a * get(m, (k, k + 1))
            b = quotient(b, get(m, (k + 1, k + 1)), get(inverse, (k + 1,)))
            c = get(m, (i, k + 2)) + a * get(m, (k, k + 2)) + b * get(m, (k + 1, k + 2))
            c = quotient(c, get(m, (k + 2, k + 2)), get(inverse, (k + 2,)))
            d = get(m, (i, k + 3)) + a * get(m, (k, k + 3)) + b * get(m, (k + 1, k + 3)) + c * get(m, (k + 2, k + 3))
            put(m, (i, k), a)
            put(m, (i, k + 1), b)
            put(m, (i, k + 2), c)
            put(m, (i, k + 3), quotient(d, get(m, (k + 3, k + 3)), get(inverse, (k + 3,))))
        for i in range(end, n):
            a, b, c, d = get(m, (i, k)), get(m, (i, k + 1)), get(m, (i, k + 2)), get(m, (i, k + 3))
            elapsed = get(time, (i,)) + a * get(time, (k,)) + b * get(time, (k + 1,))
            put(time, (i,), elapsed + c * get(time, (k + 2,)) + d * get(time, (k + 3,)))
            for j in range(end, n):
                x = get(m, (i, j)) + a * get(m, (k, j)) + b * get(m, (k + 1, j))
                put(m, (i, j), x + c * get(m, (k + 2, j)) + d * get(m, (k + 3, j)))


@inner(types.void(MATRIX, VECTOR))
def invert(m: Any, inverse: Any) -> None:
    """Write the inverses of the pivots that factors have on their diagonal."""
    for k in range(inverse.shape[0]):
        put(inverse, (k,), lanes(1.0) / get(m, (k, k)))


@inner(types.void(MATRIX, VECTOR, VECTOR), inlined=True)
def solve_transposed(m: Any, inverse: Any, x: Any) -> None:
    """Overwrite a nonnegative source by ``x M^-1``."""
    n = x.shape[0]
    for k in range(n):
        total = get(x, (k,))
        for i in range(k):
            total += get(x, (i,)) * get(m, (i, k))
        pivot = get(m, (k, k))  # gamma = 1 leaves a last pivot of zero: any multiple of the stationary law will do
        put(x, (k,), positive(pivot, quotient(total, pivot, get(inverse, (k,))), total))
    for k in range(n - 2, -1, -1):
        total = get(x, (k,))
        for i in range(k + 1, n):
            total += get(x, (i,)) * get(m, (i, k))
        put(x, (k,), total)


@inner(types.void(MATRIX, VECTOR), inlined=True)
def descend(m: Any, x: Any) -> None:
    """Carry a reward to the states that are left when each state is eliminated: the first half of a solve for values."""
    for i in range(1, x.shape[0]):
        total = get(x, (i,))
        for k in range(i):
            total += get(m, (i, k)) * get(x, (k,))
        put(x, (i,), total)


@inner(types.void(MATRIX, VECTOR, VECTOR), inlined=True)
def ascend(m: Any, inverse: Any, x: Any) -> None:
    """From the carried rewards to values."""
    n = x.shape[0]
    for k in range(n - 1, -1, -1):
        total = get(x, (k,))
        for j in range(k + 1, n):
            total += get(m, (k, j)) * get(x, (j,))
        put(x, (k,), quotient(total, get(m, (k, k)), get(inverse, (k,))))


@inner(LANES(MATRIX, VECTOR, VECTOR, VECTOR, LANES), inlined=True)
def ascend_relative(m: Any, inverse: Any, time: Any, x: Any, sign: Any) -> Any:
    """From the carried rewards to values relative to the reference; returns the level."""
    last = time.shape[0] - 1
    level = get(x, (last,)) / get(time, (last,))
    put(x, (last,), lanes(0.0))
    taken = sign * level
    for k in range(last - 1, -1, -1):
        total = get(x, (k,)) + taken * get(time, (k,))
        for j in range(k + 1, last):
            total += get(m, (k, j)) * get(x, (j,))
        put(x, (k,), quotient(total, get(m, (k, k)), get(inverse, (k,))))
    return level


@inner(LANES(MATRIX, VECTOR, VECTOR, INDEX, VECTOR, VECTOR), inlined=True)
def relative(m: Any, inverse: Any, time: Any, reference: Any, reward: Any, x: Any) -> Any:
    """Write the values of a reward relative to the reference into x, and return the level, which is found first."""
    n = time.shape[0]
    for s in range(n):
        put(x, (s,), get(reward, (s,)))
    exchange(x, reference)
    descend(m, x)
    level = get(x, (n - 1,)) / get(time, (n - 1,))
    for s in range(n):
        put(x, (s,), get(reward, (s,)) - level)
    exchange(x, reference)
    descend(m, x)
    rest = ascend_relative(m, inverse, time, x, lanes(-1.0))
    exchange(x, reference)
    return level + rest


@inner(types.void(MATRIX, VECTOR, VECTOR, VECTOR, LANES), inlined=True)
def flow(m: Any, inverse: Any, time: Any, x: Any, sign: Any) -> None:
    """Overwrite a source that sums to zero by ``x M^-1``; with ``sign`` 1, what that adds up in absolute value."""
    n = x.shape[0]
    balance = lanes(0.0)
    for k in range(n - 1):
        total = get(x, (k,))
        for i in range(k):
            total += get(x, (i,)) * get(m, (i, k))
        total = quotient(total, get(m, (k, k)), get(inverse, (k,)))
        put(x, (k,), total)
        balance += total * get(time, (k,))
    put(x, (n - 1,), sign * balance / get(time, (n - 1,)))
    for k in range(n - 2, -1, -1):
        total = get(x, (k,))
        for i in range(k + 1, n):
            total += get(x, (i,)) * get(m, (i, k))
        put(x, (k,), total)


@inner(types.boolean(VECTOR), inlined=True)
def rare(time: Any) -> bool:
    """Whether the last state is visited rarely in some instance, and a better reference has to be found."""
    n = time.shape[0]
    return some(get(time, (n - 1,)) > 4.0 * n)


@inner(types.void(MATRIX, VECTOR, VECTOR, INDEX), allocates=True)
def choose(m: Any, time: Any, visits: Any, reference: Any) -> None:
    """Choose the references. The factors are those of the last state as reference; ``visits`` is room to work in.

    ``time`` of the last state is the expected discounted time between two visits to it. Some state is visited at least once in n
    steps; if the reference is much rarer, relative values would be small differences of long excursions.
    """
    n = time.shape[0]
    inverse = room(WIDTH * n).reshape(n, WIDTH)
    invert(m, inverse)
    for i in range(n):
        put(visits, (i,), lanes(1.0))
    solve_transposed(m, inverse, visits)
    for lane in range(WIDTH):
        if time[n - 1, lane] > 4.0 * n:
            most = 0
            for i in range(n):
                if visits[i, lane] > visits[most, lane]:
                    most = i
            reference[lane] = most


@inner(types.void(MATRIX, INDEX))
def exchange_states(m: Any, reference: Any) -> None:
    """Swap rows and columns of the reference and of the last state."""
    n = m.shape[0]
    last = n - 1
    for lane in range(WIDTH):
        r = reference[lane]
        if r != last:
            for j in range(n):
                m[r, j, lane], m[last, j, lane] = m[last, j, lane], m[r, j, lane]
            for i in range(n):
                m[i, r, lane], m[i, last, lane] = m[i, last, lane], m[i, r, lane]


@inner(types.void(VECTOR, VECTOR, LANES, MATRIX, VECTOR, VECTOR, VECTOR, INDEX))
def _factor_again(P: Any, pi: Any, gamma: Any, m: Any, inverse: Any, time: Any, visits: Any, reference: Any) -> None:
    """Factor once more, with better references: a part of no kernel, for it is seldom called."""
    choose(m, time, visits, reference)
    chain(P, pi, gamma, 0, time.shape[0], m)
    exchange_states(m, reference)
    factor(m, time, inverse, lanes(1.0) - gamma)


@inner(types.void(VECTOR, VECTOR, LANES, MATRIX, VECTOR, VECTOR, VECTOR, INDEX), inlined=True)
def _complete(P: Any, pi: Any, gamma: Any, m: Any, inverse: Any, time: Any, visits: Any, reference: Any) -> None:
    """Factor the chain that m holds; once more where the last states are visited rarely."""
    factor(m, time, inverse, lanes(1.0) - gamma)
    if rare(time):
        _factor_again(P, pi, gamma, m, inverse, time, visits, reference)


@inner(types.void(VECTOR, VECTOR, LANES, MATRIX, VECTOR, VECTOR, VECTOR, INDEX), inlined=True)
def eliminate_again(P: Any, pi: Any, gamma: Any, m: Any, inverse: Any, time: Any, visits: Any, reference: Any) -> None:
    """Do as :func:`eliminate` for a P that was read before, and another policy."""
    reference[:] = time.shape[0] - 1
    chain(P, pi, gamma, 0, time.shape[0], m)
    _complete(P, pi, gamma, m, inverse, time, visits, reference)


@inner(types.void(TABLE, types.boolean, INDEX, VECTOR, VECTOR, LANES, MATRIX, VECTOR, VECTOR, VECTOR, INDEX), inlined=True)
def eliminate(
    table: Any,
    planar: Any,
    rows: Any,
    P: Any,
    pi: Any,
    gamma: Any,
    m: Any,
    inverse: Any,
    time: Any,
    visits: Any,
    reference: Any,
) -> None:
    """Read P from some rows of a table [N, S A S], factor ``I - gamma P_pi``, choose each reference.

    Where the table is in planes, [S A S, N], the instances are those from ``rows[0]`` on.
    """
    n = time.shape[0]
    reference[:] = n - 1
    size = pi.shape[0]
    step = max(NEAR // size, 1)
    for first in range(0, n, step):  # a few states' P at a time: it is still near when their rows of the chain are formed
        stop = min(first + step, n)
        if planar:
            load(table, rows[0], first * size, stop * size, P)
        else:
            gather(table, rows, first * size, stop * size, P)
        chain(P, pi, gamma, first, stop, m)
    _complete(P, pi, gamma, m, inverse, time, visits, reference)


@inner(types.void(VECTOR, VECTOR, VECTOR), inlined=True)
def expect(P: Any, values: Any, q: Any) -> None:
    """Write ``P v`` [S A] with exactly normalised rows."""
    n = values.shape[0]
    for i in range(q.shape[0]):
        total = lanes(0.0)
        mass = lanes(0.0)
        for j in range(n):
            p = get(P, (i * n + j,))
            total += p * get(values, (j,))
            mass += p
        put(q, (i,), over(total, mass))


@inner(types.void(VECTOR, VECTOR, VECTOR), inlined=True)
def spread(P: Any, weights: Any, x: Any) -> None:
    """Write ``w P`` [S], where the mass w [S A] goes, with exactly normalised rows."""
    n = x.shape[0]
    for j in range(n):
        put(x, (j,), lanes(0.0))
    for i in range(weights.shape[0]):
        mass = lanes(0.0)
        for j in range(n):
            mass += get(P, (i * n + j,))
        weight = over(get(weights, (i,)), mass)
        for j in range(n):
            put(x, (j,), get(x, (j,)) + weight * get(P, (i * n + j,)))
