"""Sums over actions and states of tables in planes (:mod:`mdps.planes`): each in one pass, a tile of instances at a time.

What :mod:`bounds.tables` and :mod:`bounds.divergences` hand over. The order of operations is theirs, and so are the bits. Tables
are [N, ..., A] floats of one shape, in planes; kernels see them as matrices, in which an instance's A numbers follow each other.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from mdps.kernels import chunked, inner
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, positive, put, read, room, write
from mdps.mdp import Array
from mdps.planes import unfolded


def dot(x: Array, y: Array) -> Array:
    """See :func:`bounds.tables.dot`."""
    return _reduced(_dot, x, y)


def weighted(pi: Array, f: Array) -> Array:
    """See :func:`bounds.tables.weighted`."""
    return _reduced(_weighted, pi, f)


def mean(weights: Array, values: Array) -> Array:
    """See :func:`bounds.divergences.mean`."""
    return _reduced(_mean, weights, values)


def normalised(weights: Array) -> Array:
    """See :func:`bounds.tables.normalised`."""
    return _kept(_normalised, weights)


def shift(old: Array, new: Array) -> Array:
    """See :func:`bounds.divergences.shift`."""
    return _kept(_shift, old, new)


def gain(old: Array, pi: Array, A: Array) -> Array:
    """See :func:`bounds.steps.gain`: a shift that is not kept, and what it gains."""
    return _reduced(_gain, old, pi, A)


def spread(rows: Array) -> Array:
    """See :func:`bounds.tables.spread`."""
    return _compared(_spread, rows)


def overlap(rows: Array) -> Array:
    """See :func:`bounds.tables.overlap`."""
    return _compared(_overlap, rows)


def chain(P: Array, pi: Array) -> Array:
    """See :func:`bounds.tables.chain`; [N,S,A,S] and [N,S,A]."""
    count, n, _ = pi.shape
    out = np.empty((n * n, count))
    _chain(_matrix(P), _matrix(pi), out)
    return unfolded(out, (n, n))


def step(law: Array, chain: Array) -> Array:
    """See :func:`bounds.tables.step`; [N,S] and [N,S,S]."""
    out = np.empty(law.shape[::-1])
    _step(_matrix(law), _matrix(chain), out)
    return unfolded(out, law.shape[1:])


def solved(system: Array, right: Array) -> Array:
    """See :func:`bounds.tables.solved`; [N,S,S] and [N,S,K]."""
    count, n, columns = right.shape
    out = np.empty((n * columns, count))
    _solved(_matrix(system), _matrix(right), out)
    return unfolded(out, (n, columns))


def _matrix(table: Array) -> Array:
    return table.transpose(*range(1, table.ndim), 0).reshape(-1, len(table))


def _reduced(kernel: Any, *given: Array) -> Array:
    """What a kernel makes of the last axis: [N, ..., A] -> [N, ...]."""
    count, *core, size = given[0].shape
    out = np.empty((math.prod(core), count))
    kernel(*(_matrix(table) for table in given), size, out)
    return unfolded(out, tuple(core))


def _kept(kernel: Any, *given: Array) -> Array:
    """What a kernel makes of a table along its last axis, in its shape."""
    count, *core = given[0].shape
    out = np.empty((math.prod(core), count))
    kernel(*(_matrix(table) for table in given), core[-1], out)
    return unfolded(out, tuple(core))


def _compared(kernel: Any, rows: Array) -> Array:
    """What a kernel makes of matrices, [N,S,S] -> [N]."""
    count, size, _ = rows.shape
    out = np.empty((1, count))
    kernel(_matrix(rows), size, out)
    return out[0]


_OUT = types.float64[:, ::1]


@chunked(types.void(TABLE, TABLE, types.int64, _OUT))
def _dot(x: Any, y: Any, size: Any, out: Any) -> None:
    for s in range(out.shape[0]):
        for at in range(0, out.shape[1], WIDTH):
            total = lanes(0.0)
            for k in range(s * size, (s + 1) * size):
                total += read(x, k, at) * read(y, k, at)
            write(out, s, at, total)


@chunked(types.void(TABLE, TABLE, types.int64, _OUT))
def _weighted(pi: Any, f: Any, size: Any, out: Any) -> None:
    for s in range(out.shape[0]):
        for at in range(0, out.shape[1], WIDTH):
            total, mass = lanes(0.0), lanes(0.0)
            for k in range(s * size, (s + 1) * size):
                total += read(pi, k, at) * read(f, k, at)
                mass += read(pi, k, at)
            write(out, s, at, total / mass)


@chunked(types.void(TABLE, TABLE, types.int64, _OUT))
def _mean(weights: Any, values: Any, size: Any, out: Any) -> None:
    out[:] = 0.0
    for s in range(out.shape[0]):
        total = out[s]
        for k in range(s * size, (s + 1) * size):
            weight, value = weights[k], values[k]
            for i in range(out.shape[1]):
                total[i] += 0.0 if weight[i] == 0.0 else weight[i] * value[i]


@chunked(types.void(TABLE, types.int64, _OUT))
def _normalised(weights: Any, size: Any, out: Any) -> None:
    for first in range(0, out.shape[0], size):
        for at in range(0, out.shape[1], WIDTH):
            mass = lanes(0.0)
            for k in range(first, first + size):
                mass += read(weights, k, at)
            for k in range(first, first + size):
                write(out, k, at, read(weights, k, at) / mass)


@chunked(types.void(TABLE, TABLE, types.int64, _OUT))
def _shift(old: Any, new: Any, size: Any, out: Any) -> None:
    for first in range(0, out.shape[0], size):
        for at in range(0, out.shape[1], WIDTH):
            total = lanes(0.0)
            for k in range(first, first + size):
                total += read(new, k, at) - read(old, k, at)
            for k in range(first, first + size):
                p = read(old, k, at)
                write(out, k, at, (read(new, k, at) - p) - p * total)


@chunked(types.void(TABLE, TABLE, TABLE, types.int64, _OUT))
def _gain(old: Any, pi: Any, A: Any, size: Any, out: Any) -> None:
    for s in range(out.shape[0]):
        for at in range(0, out.shape[1], WIDTH):
            change, gained = lanes(0.0), lanes(0.0)
            for k in range(s * size, (s + 1) * size):
                change += read(pi, k, at) - read(old, k, at)
            for k in range(s * size, (s + 1) * size):
                p = read(old, k, at)
                gained += ((read(pi, k, at) - p) - p * change) * read(A, k, at)
            write(out, s, at, gained)


@inner(LANES(LANES))
def _size(x: Any) -> Any:
    return positive(x, x, lanes(0.0) - x)


@inner(LANES(LANES, LANES))
def _more(x: Any, y: Any) -> Any:
    return positive(x - y, x, y)


@inner(LANES(LANES, LANES))
def _less(x: Any, y: Any) -> Any:
    return positive(x - y, y, x)


@chunked(types.void(TABLE, types.int64, _OUT))
def _spread(rows: Any, n: Any, out: Any) -> None:
    tile = room(WIDTH * n * n).reshape(-1, WIDTH)
    for at in range(0, out.shape[1], WIDTH):
        for k in range(n * n):
            put(tile, (k,), read(rows, k, at))
        widest = lanes(0.0)
        for i in range(n):
            for j in range(i):
                total = lanes(0.0)
                for k in range(n):
                    total += _size(get(tile, (i * n + k,)) - get(tile, (j * n + k,)))
                widest = _more(total, widest)
        write(out, 0, at, widest / lanes(2.0))


@chunked(types.void(TABLE, types.int64, _OUT))
def _overlap(rows: Any, n: Any, out: Any) -> None:
    tile = room(WIDTH * n * n).reshape(-1, WIDTH)
    for at in range(0, out.shape[1], WIDTH):
        for k in range(n * n):
            put(tile, (k,), read(rows, k, at))
        least = lanes(np.inf)
        for i in range(n):
            for j in range(i + 1):
                total = lanes(0.0)
                for k in range(n):
                    total += _less(get(tile, (i * n + k,)), get(tile, (j * n + k,)))
                least = _less(total, least)
        write(out, 0, at, least)


@chunked(types.void(TABLE, TABLE, _OUT))
def _chain(P: Any, pi: Any, out: Any) -> None:
    n, actions = P.shape[0] // pi.shape[0], pi.shape[0] * pi.shape[0] // P.shape[0]
    for at in range(0, out.shape[1], WIDTH):
        for s in range(n):
            for j in range(n):
                total = lanes(0.0)
                for k in range(s * actions, (s + 1) * actions):
                    total += read(pi, k, at) * read(P, k * n + j, at)
                write(out, s * n + j, at, total)


@chunked(types.void(TABLE, TABLE, _OUT))
def _step(law: Any, chain: Any, out: Any) -> None:
    n = law.shape[0]
    for at in range(0, out.shape[1], WIDTH):
        for j in range(n):
            total = lanes(0.0)
            for s in range(n):
                total += read(law, s, at) * read(chain, s * n + j, at)
            write(out, j, at, total)


@chunked(types.void(TABLE, TABLE, _OUT))
def _solved(system: Any, right: Any, out: Any) -> None:
    n = 0
    while n * n < system.shape[0]:
        n += 1
    columns = right.shape[0] // n
    m, x = room(WIDTH * n * n).reshape(n, n, WIDTH), room(WIDTH * n * columns).reshape(n, columns, WIDTH)
    for at in range(0, out.shape[1], WIDTH):
        for i in range(n):
            for j in range(n):
                put(m, (i, j), read(system, i * n + j, at))
            for j in range(columns):
                put(x, (i, j), read(right, i * columns + j, at))
        for k in range(n):
            pivot = get(m, (k, k))
            for j in range(k + 1, n):
                put(m, (k, j), get(m, (k, j)) / pivot)
            for j in range(columns):
                put(x, (k, j), get(x, (k, j)) / pivot)
            for i in range(n):
                if i != k:
                    factor = get(m, (i, k))
                    for j in range(k + 1, n):
                        put(m, (i, j), get(m, (i, j)) - factor * get(m, (k, j)))
                    for j in range(columns):
                        put(x, (i, j), get(x, (i, j)) - factor * get(x, (k, j)))
        for i in range(n):
            for j in range(columns):
                write(out, i * columns + j, at, get(x, (i, j)))
