"""Tables of any shape as the matrices that compiled operations on enclosures read, and back.

A table [N, ...] in planes (:mod:`mdps.planes`) is handed over as it lies in memory, and so is the result; what broadcasts to
it is not written out: a matrix has a row for each entry of its own table, and an index says which row an entry of the result
reads. A table that is not in planes is one long row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdps.lanes import WIDTH
from mdps.mdp import Array

Shape = tuple[int, ...]
Rows = NDArray[np.int64]


class Arranged(NamedTuple):
    """Tables for an operation, entry by entry."""

    matrices: list[Array]
    rows: Rows  # [tables, K] the row of each matrix that an entry reads
    core: Shape  # of the result, K entries in all
    columns: int  # N
    shape: Shape  # of the result

    def room(self, kind: Any = np.float64) -> Array:
        """A matrix for a result."""
        return np.empty((self.rows.shape[1], max(self.columns, WIDTH)), kind)

    def table(self, matrix: Array) -> Array:
        """A result in the shape it has."""
        if self.columns < WIDTH:
            matrix = matrix[:, : self.columns]
        if not self.core:
            return matrix.reshape(self.shape)
        return matrix.reshape(*self.core, self.columns).transpose(len(self.core), *range(len(self.core)))


def in_planes(table: Any) -> bool:
    """Whether the first axis of a table is the one that is contiguous in memory."""
    return table.ndim > 1 and table.strides[0] == table.itemsize and table.shape[0] > 1


def arrange(tables: Sequence[Any]) -> Arranged:
    """Arrange tables of floats that broadcast."""
    arrays = [x if type(x) is np.ndarray and x.dtype == np.float64 else np.asarray(x, dtype=float) for x in tables]
    shape = max([x.shape for x in arrays], key=len)
    depth = len(shape)
    if depth == 1:  # a number of each instance, as most claims add and multiply: what follows does the same at greater length
        quick = [_quick(x, shape) for x in arrays]
        if not any(x is None for x in quick):
            return Arranged(quick, _ROWS[len(quick)], (), shape[0], shape)  # type: ignore[arg-type]
    if any(x.shape != shape for x in arrays):
        shape = np.broadcast_shapes(*(x.shape for x in arrays))
    if not any(in_planes(x) and x.ndim == depth and x.shape[0] == shape[0] for x in arrays):
        size = math.prod(shape)
        flat = [_flat(x, shape, size) for x in arrays]
        return Arranged(flat, _rows((((),) * len(flat)), ()), (), size, shape)
    core, parts, cores = shape[1:], [], []
    for x in arrays:
        matrix, own = _matrix(x, depth)
        parts.append(matrix)
        cores.append(own)
    return Arranged(parts, _rows(tuple(cores), core), core, shape[0], shape)


_ROWS = [np.zeros((tables, 1), dtype=np.int64) for tables in range(8)]


def _quick(x: Array, shape: Shape) -> Array | None:
    """A contiguous row, or a single number, as a matrix; None if it is neither."""
    if x.shape == shape and x.strides == (8,) and shape[0] >= WIDTH:
        return x[None]
    return x.reshape(1, 1) if x.ndim == 0 else x[:1, None] if x.strides == (0,) and x.shape == shape != (0,) else None


def _flat(x: Array, shape: Shape, size: int) -> Array:
    if x.size == 1 or (x.size and not any(x.strides)):
        return x[(slice(0, 1),) * x.ndim].reshape(1, 1)
    return padded(np.ascontiguousarray(x if x.shape == shape else np.broadcast_to(x, shape)).reshape(1, size))


def padded(matrix: Array) -> Array:
    """A matrix [K, N] of at least WIDTH columns, or one: the last of them is repeated where there are fewer."""
    if matrix.shape[1] >= WIDTH or matrix.shape[1] == 1:
        return matrix
    if not matrix.shape[1]:  # of no instances: a block is worked through all the same, and thrown away
        return np.zeros((len(matrix), 1))
    return np.concatenate([matrix, np.repeat(matrix[:, -1:], WIDTH - matrix.shape[1], 1)], 1)


def _matrix(x: Array, depth: int) -> tuple[Array, Shape]:
    """A table as a matrix [K, N] or [K, 1], with the core axes it has itself."""
    if x.ndim < depth:
        x = x.reshape((1,) * (depth - x.ndim) + x.shape)
    if 0 in x.strides:
        x = x[tuple(slice(None) if stride else slice(0, 1) for stride in x.strides)]
    turned = x.transpose(*range(1, depth), 0)
    return padded(np.ascontiguousarray(turned).reshape(-1, x.shape[0])), x.shape[1:]


@lru_cache(maxsize=4096)
def _rows(cores: tuple[Shape, ...], core: Shape) -> Rows:
    """For each table the row of its matrix that an entry of the result reads."""
    each = [np.broadcast_to(np.arange(math.prod(own)).reshape(own), core).reshape(-1) for own in cores]
    rows = np.ascontiguousarray(np.stack(each), dtype=np.int64)
    rows.flags.writeable = False
    return rows


def arrange_rows(mid: Array, rad: Array, axes: Shape) -> tuple[list[Array], Rows, int, Callable[[Array], Array]]:
    """Arrange a table and its radii for a reduction along some axes.

    Returns the matrices, which rows of each make up the n entries of every result, the number N of results side by side, and how
    a matrix of results becomes the table that is left when the axes are gone.
    """
    kept = tuple(a for a in range(mid.ndim) if a not in axes)
    left = tuple(mid.shape[a] for a in kept)
    if in_planes(mid) and 0 not in axes:
        order, count = (*kept[1:], *axes, 0), mid.shape[0]
        core = tuple(mid.shape[a] for a in order[:-1])

        def table(matrix: Array) -> Array:
            return matrix[:, :count].reshape(*left[1:], count).transpose(len(left) - 1, *range(len(left) - 1))

    else:
        order, count = (*axes, *kept), math.prod(left)
        core = tuple(mid.shape[a] for a in axes)

        def table(matrix: Array) -> Array:
            return matrix[:, :count].reshape(left)

    matrices, cores = [], []
    for x in (mid, rad):
        own = x
        if 0 in x.strides and x.size:
            own = x[tuple(slice(None) if stride else slice(0, 1) for stride in x.strides)]
        turned = own.transpose(order)
        shape = turned.shape[: len(core)]
        if own is not x and math.prod(turned.shape[len(core) :]) not in (1, count):
            turned, shape = x.transpose(order), core
        cores.append(shape)
        matrices.append(padded(np.ascontiguousarray(turned).reshape(math.prod(shape), -1)))
    return matrices, _rows(tuple(cores), core), count, table


def arrange_sums(tables: Sequence[Array], shape: Shape, axes: Shape) -> tuple[list[Array], Rows, int, Callable[[Array], Array]]:
    """Arrange tables that broadcast to a shape, for a sum along some axes of what is formed of their entries.

    Returns what :func:`arrange_rows` does. A table in planes is handed over as it lies in memory whatever the order of its axes.
    """
    depth = len(shape)
    kept = tuple(a for a in range(depth) if a not in axes)
    left = tuple(shape[a] for a in kept)
    if 0 not in axes and any(in_planes(x) and x.ndim == depth and x.shape[0] == shape[0] for x in tables):
        laid = [_laid(x, depth) for x in tables]
        order = tuple(a - 1 for a in (*kept[1:], *axes))
        rows = _turned_rows(tuple((own, turn) for _, own, turn in laid), shape[1:], order)

        def table(matrix: Array) -> Array:
            return matrix[:, : shape[0]].reshape(*left[1:], shape[0]).transpose(len(left) - 1, *range(len(left) - 1))

        return [matrix for matrix, _, _ in laid], rows, shape[0], table
    count, matrices, n = math.prod(left), [], math.prod(shape[a] for a in axes)
    for x in tables:
        if x.size and not any(x.strides):
            matrices.append(x[(slice(0, 1),) * x.ndim].reshape(1, 1))
        else:
            turned = np.ascontiguousarray(np.broadcast_to(x, shape).transpose(*axes, *kept))
            matrices.append(padded(turned.reshape(n, count)))
    rows = _rows(tuple((1,) if len(matrix) == 1 else (n,) for matrix in matrices), (n,))
    return matrices, rows, count, lambda matrix: matrix[:, :count].reshape(left)


def _laid(x: Array, depth: int) -> tuple[Array, Shape, Shape]:
    """A table as a matrix [K, N] or [K, 1], its own core axes and the order they have in memory."""
    if x.ndim < depth:
        x = x.reshape((1,) * (depth - x.ndim) + x.shape)
    if 0 in x.strides:
        x = x[tuple(slice(None) if stride else slice(0, 1) for stride in x.strides)]
    own = x.shape[1:]
    turn = tuple(sorted(range(len(own)), key=lambda a: -abs(x.strides[a + 1])))
    turned = x.transpose(*(a + 1 for a in turn), 0)
    return padded(np.ascontiguousarray(turned).reshape(-1, x.shape[0])), own, turn


@lru_cache(maxsize=4096)
def _turned_rows(tables: tuple[tuple[Shape, Shape], ...], core: Shape, order: Shape) -> Rows:
    """For each table the row of its matrix that an entry reads, the core axes of the entries in another order."""
    each = []
    for own, turn in tables:
        index = np.arange(math.prod(own)).reshape([own[a] for a in turn])
        back = index.transpose([turn.index(a) for a in range(len(turn))])
        each.append(np.broadcast_to(back, core).transpose(order).reshape(-1))
    rows = np.ascontiguousarray(np.stack(each), dtype=np.int64)
    rows.flags.writeable = False
    return rows
