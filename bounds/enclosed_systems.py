"""Systems of linear equations between enclosures: what numpy's ``solve`` says of them.

An inverse C of the mids is found in floats, by any means, and x = C right. With ``E = I - C system`` and ``e = ||E||_inf < 1``
the error of x is ``(I - E)^-1 C residual``, so no entry of a column is off by more than
``|C residual| + e/(1-e) max |C residual|`` (Rump 2010, sec. 10).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds.enclosed_planes import MATRIX, OUT, SIZE, empty, expanded, load, matrix, table
from bounds.enclosure import Enclosure, pair
from bounds.rounded import multiply
from bounds.rounding import GROW, U, two_sum
from mdps.kernels import chunked, inner
from mdps.lane_masks import choose, keep, largest, start
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, put, room
from mdps.mdp import Array


def solved(system: Any, right: Any) -> Enclosure:
    """``system^-1 right`` for [*B,n,n] and [*B,n,k]; nothing is known of an instance whose system may be singular.

    Elimination without exchanges finds the inverse, which does for the systems of this package. What it does not do for is left
    to numpy.

    Raises
    ------
    numpy.linalg.LinAlgError
        If numpy has to be asked, and finds a matrix of mids singular.
    """
    found = _solved(system, right, None)
    if not np.isinf(found.rad).any():
        return found
    again = _solved(system, right, np.linalg.inv(pair(system)[0]))
    open_ = np.isinf(found.rad).any((-2, -1), keepdims=True)
    return Enclosure(np.where(open_, again.mid, found.mid), np.where(open_, again.rad, found.rad))


def _solved(system: Any, right: Any, inverse: Array | None) -> Enclosure:
    (a, ra), (b, rb) = ((np.asarray(m, dtype=float), np.broadcast_to(r, np.shape(m))) for m, r in map(pair, (system, right)))
    if b.ndim < 2:
        raise TypeError("the right-hand side of a system of enclosures needs two axes; give it a last one of length 1")
    n, columns = b.shape[-2:]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    given = ((a, n * n), (ra, n * n), (b, n * columns), (rb, n * columns), (a if inverse is None else inverse, n * n))
    mid, rad = empty(batch, (n, columns)), empty(batch, (n, columns))
    _solve(*(expanded(matrix(x, batch, 2), rows) for x, rows in given), inverse is None, n, mid, rad)
    return Enclosure(table(mid, batch, (n, columns)), table(rad, batch, (n, columns)))


@inner(types.void(MATRIX))
def _invert(c: Any) -> None:
    """Put the inverse of a matrix in its place: Gauss and Jordan, without exchanges."""
    n = c.shape[0]
    for k in range(n):
        pivot = lanes(1.0) / get(c, (k, k))
        put(c, (k, k), lanes(1.0))
        for j in range(n):
            put(c, (k, j), get(c, (k, j)) * pivot)
        for i in range(n):
            if i != k:
                f = get(c, (i, k))
                put(c, (i, k), lanes(0.0))
                for j in range(n):
                    put(c, (i, j), get(c, (i, j)) - f * get(c, (k, j)))


@inner(types.UniTuple(LANES, 2)(*[LANES] * 6))
def _less_product(s: Any, r: Any, a: Any, ra: Any, b: Any, rb: Any) -> Any:
    """``s - a b``, and what that adds to a radius whose own roundings are not counted yet."""
    p, off, _ = multiply(a, ra, b, rb)
    s, error = two_sum(s, -p)
    known = (ra < np.inf) & (rb < np.inf)  # what is not may be infinite, and is not nothing times zero
    return s, choose(known, r + (off + abs(error)), np.inf)


@chunked(types.void(*[TABLE] * 5, types.boolean, SIZE, OUT, OUT))
def _solve(a: Any, ra: Any, b: Any, rb: Any, inverse: Any, invert: Any, n: Any, m: Any, r: Any) -> None:
    columns = b.shape[0] // n
    tile = room(WIDTH * (3 * n * n + 2 * n * columns + 4 * n)).reshape(-1, WIDTH)
    system, tile = tile[: n * n], tile[n * n :]
    around, tile = tile[: n * n], tile[n * n :]
    flat, tile = tile[: n * n], tile[n * n :]
    c = flat.reshape(n, n, WIDTH)
    right, tile = tile[: n * columns], tile[n * columns :]
    slip, tile = tile[: n * columns], tile[n * columns :]
    x, tile = tile[:n], tile[n:]
    rest, tile = tile[:n], tile[n:]
    off, error = tile[:n], tile[n:]
    nothing, grow = lanes(0.0), GROW + 8 * (n + 2) * U
    for block in range((m.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, m.shape[1])
        load(a, at, system)
        load(ra, at, around)
        load(b, at, right)
        load(rb, at, slip)
        load(inverse, at, flat)
        if invert:
            _invert(c)
        e = lanes(0.0)
        for i in range(n):
            row = lanes(0.0)
            for j in range(n):
                s, radius = lanes(1.0 if i == j else 0.0), lanes(0.0)
                for k in range(n):
                    s, radius = _less_product(
                        s, radius, get(c, (i, k)), nothing, get(system, (k * n + j,)), get(around, (k * n + j,))
                    )
                row += abs(s) + radius
            e = largest(e, choose(row == row, row, np.inf))
        e = e * grow
        reach = choose(e < 0.5, e / (1.0 - e) * GROW, np.inf)
        for col in range(columns):
            for i in range(n):
                y = lanes(0.0)
                for k in range(n):
                    y += get(c, (i, k)) * get(right, (k * columns + col,))
                put(x, (i,), y)
            for i in range(n):
                s, radius = get(right, (i * columns + col,)), get(slip, (i * columns + col,))
                for k in range(n):
                    s, radius = _less_product(
                        s, radius, get(system, (i * n + k,)), get(around, (i * n + k,)), get(x, (k,)), nothing
                    )
                put(rest, (i,), s)
                put(off, (i,), radius * grow)
            most = lanes(0.0)
            for i in range(n):
                s, radius = lanes(0.0), lanes(0.0)
                for k in range(n):
                    s, radius = _less_product(s, radius, get(c, (i, k)), nothing, get(rest, (k,)), get(off, (k,)))
                size = (abs(s) + radius) * grow
                most = largest(most, choose(size == size, size, np.inf))
                put(error, (i,), size)
            for i in range(n):
                place = i * columns + col
                y, size = get(x, (i,)), (get(error, (i,)) + reach * most) * GROW
                sound = (size < np.inf) & (abs(y) < np.inf)
                keep(choose(sound, y, 0.0), m, place, at)
                keep(choose(sound, size, np.inf), r, place, at)
