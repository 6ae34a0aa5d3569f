"""How far apart the rows of a matrix are, and how far they overlap: :mod:`bounds.tables` for floats, one pass for enclosures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from bounds import tables
from bounds.enclosed_planes import OUT, SIZE, VECTOR, empty, expanded, load, matrix, table
from bounds.enclosure import Enclosure
from bounds.rounded import divide, larger
from bounds.rounding import GROW, U, known, nonnegative, two_sum
from mdps.kernels import chunked, inner
from mdps.lane_masks import choose, keep, largest, start
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, put, room
from mdps.mdp import Array


def spread(rows: Array) -> Array:
    """``max_ij 1/2 ||row i - row j||_1`` of matrices [*B,S,S] -> [*B]; see :func:`bounds.tables.spread`."""
    return _enclosed(_spread, rows) if isinstance(rows, Enclosure) else tables.spread(rows)


def overlap(rows: Array) -> Array:
    """``min_ij sum_k min(row i, row j)`` of matrices [*B,S,S] -> [*B]; see :func:`bounds.tables.overlap`."""
    return _enclosed(_overlap, rows) if isinstance(rows, Enclosure) else tables.overlap(rows)


def _enclosed(kernel: Callable[..., None], rows: Any) -> Any:
    *batch, n, columns = rows.shape
    given = (expanded(matrix(x, tuple(batch), 2), n * columns) for x in (rows.mid, rows.rad))
    mid, rad = empty(tuple(batch), ()), empty(tuple(batch), ())
    kernel(*given, n, mid, rad)
    return Enclosure(table(mid, tuple(batch), ()), table(rad, tuple(batch), ()))


@inner(types.UniTuple(LANES, 2)(VECTOR, VECTOR, SIZE, SIZE))
def _top(x: Any, r: Any, count: Any, sign: Any) -> Any:
    """The largest of the first numbers times ``sign``, +1 or -1, and by how much a radius takes one beyond it."""
    top = 1.0 * sign * get(x, (0,))
    for k in range(1, count):
        top = largest(top, 1.0 * sign * get(x, (k,)))
    radius = lanes(0.0)
    for k in range(count):
        y, off = 1.0 * sign * get(x, (k,)), get(r, (k,))
        off = choose(y == top, off, (off - (top - y) * (1 - 4 * U)) * GROW)
        radius = choose((off > radius) | (off != off), off, radius)  # what is nan stays
    return known(top, radius)


@chunked(types.void(TABLE, TABLE, SIZE, OUT, OUT))
def _spread(rows: Any, off: Any, n: Any, m: Any, r: Any) -> None:
    columns, pairs = rows.shape[0] // n, n * (n - 1) // 2 + 1
    tile = room(WIDTH * 2 * (n * columns + pairs)).reshape(-1, WIDTH)
    x, tile = tile[: n * columns], tile[n * columns :]
    rx, tile = tile[: n * columns], tile[n * columns :]
    size, radius = tile[:pairs], tile[pairs:]
    for block in range((m.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, m.shape[1])
        load(rows, at, x)
        load(off, at, rx)
        put(size, (0,), lanes(0.0))  # of a row and itself
        put(radius, (0,), lanes(0.0))
        found = 1
        for i in range(n):
            for j in range(i):
                total, slip = lanes(0.0), lanes(0.0)
                for k in range(columns):
                    a, b = i * columns + k, j * columns + k
                    d, error = two_sum(get(x, (a,)), -get(x, (b,)))
                    total, rest = two_sum(total, abs(d))
                    slip += get(rx, (a,)) + get(rx, (b,)) + (abs(error) + abs(rest))
                put(size, (found,), total)
                put(radius, (found,), slip * (GROW + 8 * columns * U))
                found += 1
        mid, rad = _top(size, radius, pairs, 1)
        mid, rad, _ = divide(mid, rad, lanes(2.0), lanes(0.0))  # half of the smallest float is none
        mid, rad = nonnegative(mid, rad)
        keep(mid, m, 0, at)
        keep(rad, r, 0, at)


@chunked(types.void(TABLE, TABLE, SIZE, OUT, OUT))
def _overlap(rows: Any, off: Any, n: Any, m: Any, r: Any) -> None:
    columns, pairs = rows.shape[0] // n, n * (n + 1) // 2
    tile = room(WIDTH * 2 * (n * columns + pairs)).reshape(-1, WIDTH)
    x, tile = tile[: n * columns], tile[n * columns :]
    rx, tile = tile[: n * columns], tile[n * columns :]
    size, radius = tile[:pairs], tile[pairs:]
    for block in range((m.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, m.shape[1])
        load(rows, at, x)
        load(off, at, rx)
        found = 0
        for i in range(n):
            for j in range(i + 1):
                total, slip = lanes(0.0), lanes(0.0)
                for k in range(columns):
                    a, b = i * columns + k, j * columns + k
                    y, ry = get(x, (a,)), get(rx, (a,))
                    if i != j:
                        y, ry, _ = larger(-y, ry, -get(x, (b,)), get(rx, (b,)))
                        y = -y
                    total, rest = two_sum(total, y)
                    slip += ry + abs(rest)
                put(size, (found,), total)
                put(radius, (found,), slip * (GROW + 8 * columns * U))
                found += 1
        mid, rad = _top(size, radius, pairs, -1)
        keep(-mid, m, 0, at)
        keep(rad, r, 0, at)
