"""Tables of any shape as the matrices that compiled operations on enclosures read, and back.

A table [N, ...] in planes (:mod:`mdps.planes`) is handed over as it lies in memory, whatever the order of its axes there, and so
is the result; what broadcasts to it is not written out: a matrix has a row for each entry of its own table, and an index says
which row an entry of the result reads. A table that is not in planes is one long row.

How that is done follows from shapes and strides alone. It is worked out once for tables that are laid out alike: a claim is a
thousand small operations, and to work it out takes longer than many of them.
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
Layout = tuple[Shape, Shape]
"""Shape and strides of a table."""

Rows = NDArray[np.int64]
Way = Callable[[Array], Array]
"""From a table to its matrix."""


class Arranged(NamedTuple):
    """Tables for an operation, entry by entry."""

    matrices: list[Array]
    rows: Rows  # [tables, K] the row of each matrix that an entry reads
    core: Shape  # of the result, K entries in all
    columns: int  # N
    shape: Shape  # of the result

    def room(self, kind: Any = np.float64) -> tuple[Array, Array]:
        """Matrices for the two results of an operation."""
        return _room(self.rows.shape[1], self.columns, kind)

    def table(self, matrix: Array) -> Array:
        """A result in the shape it has."""
        return _table(matrix, self.core, self.columns, self.shape)


class Summed(NamedTuple):
    """Tables for a sum, a maximum or the like along some axes."""

    matrices: list[Array]
    rows: Rows  # [tables, K n] the rows that the n entries of each result read, one result after another
    terms: int  # n
    core: Shape  # of the result, K entries in all
    columns: int  # N
    shape: Shape  # of the result

    def room(self) -> tuple[Array, Array]:
        """Matrices for the mids and the radii of the results."""
        return _room(self.rows.shape[1] // self.terms, self.columns, np.float64)

    def table(self, matrix: Array) -> Array:
        """A result in the shape it has."""
        return _table(matrix, self.core, self.columns, self.shape)


def _room(rows: int, columns: int, kind: Any) -> tuple[Array, Array]:
    shape = (rows, columns if columns > WIDTH else WIDTH)
    return np.empty(shape, kind), np.empty(shape, kind)


def _table(matrix: Array, core: Shape, columns: int, shape: Shape) -> Array:
    if columns < WIDTH:
        matrix = matrix[:, :columns]
    if not core:
        return matrix[0] if len(shape) == 1 else matrix.reshape(shape)
    return matrix.reshape(*core, columns).transpose(len(core), *range(len(core)))


def in_planes(table: Any) -> bool:
    """Whether the first axis of a table is the one that is contiguous in memory."""
    return _planar((table.shape, table.strides))


def arrange(tables: Sequence[Any]) -> Arranged:
    """Arrange tables of floats that broadcast."""
    arrays = [np.asarray(x, dtype=float) for x in tables]
    ways, rows, core, columns, shape = _entries(tuple([(x.shape, x.strides) for x in arrays]))
    return Arranged([way(x) for way, x in zip(ways, arrays, strict=True)], rows, core, columns, shape)


def arrange_sums(tables: Sequence[Array], shape: Shape, axes: Shape) -> Summed:
    """Arrange tables of floats that broadcast to a shape, for a sum along some axes of what is formed of their entries."""
    ways, rows, core, columns, left = _sums(tuple([(x.shape, x.strides) for x in tables]), shape, axes)
    terms = math.prod([shape[a] for a in axes])
    return Summed([way(x) for way, x in zip(ways, tables, strict=True)], rows, terms, core, columns, left)


def padded(matrix: Array) -> Array:
    """A matrix [K, N] of at least WIDTH columns, or one: the last of them is repeated where there are fewer."""
    if matrix.shape[1] >= WIDTH or matrix.shape[1] == 1:
        return matrix
    if not matrix.shape[1]:  # of no instances: a block is worked through all the same, and thrown away
        return np.zeros((len(matrix), 1))
    return np.concatenate([matrix, np.repeat(matrix[:, -1:], WIDTH - matrix.shape[1], 1)], 1)


def _planar(layout: Layout) -> bool:
    shape, strides = layout
    return len(shape) > 1 and strides[0] == 8 and shape[0] > 1


def _side_by_side(layouts: tuple[Layout, ...], shape: Shape) -> bool:
    """Whether a result of that shape is to be in planes: some table has all of its instances, and is."""
    return any(_planar(each) and len(each[0]) == len(shape) and each[0][0] == shape[0] for each in layouts)


Plan = tuple[tuple[Way, ...], Rows, Shape, int, Shape]
"""How tables become matrices, then the rest of :class:`Arranged`."""


@lru_cache(maxsize=16384)
def _entries(layouts: tuple[Layout, ...]) -> Plan:
    shape = np.broadcast_shapes(*(own for own, _ in layouts))
    if not _side_by_side(layouts, shape):
        size = math.prod(shape)
        ways = tuple(_long(each, shape, tuple(range(len(shape))), 1) for each in layouts)
        return ways, _index([np.zeros(1)] * len(layouts)), (), size, shape
    found = [_matrix(each, len(shape)) for each in layouts]
    rows = [np.broadcast_to(entries, shape[1:]).reshape(-1) for _, entries in found]
    return tuple(way for way, _ in found), _index(rows), shape[1:], shape[0], shape


@lru_cache(maxsize=16384)
def _sums(layouts: tuple[Layout, ...], shape: Shape, axes: Shape) -> Plan:
    kept = tuple(a for a in range(len(shape)) if a not in axes)
    left = tuple(shape[a] for a in kept)
    if 0 in axes or not _side_by_side(layouts, shape):
        terms = math.prod([shape[a] for a in axes])
        ways = tuple(_long(each, shape, (*axes, *kept), terms) for each in layouts)
        alike = [not any(strides) for _, strides in layouts]
        return ways, _index([np.zeros(terms) if same else np.arange(terms) for same in alike]), (), math.prod(left), left
    found = [_matrix(each, len(shape)) for each in layouts]
    order = tuple(a - 1 for a in (*kept[1:], *axes))
    rows = [np.broadcast_to(entries, shape[1:]).transpose(order).reshape(-1) for _, entries in found]
    return tuple(way for way, _ in found), _index(rows), left[1:], shape[0], left


def _index(rows: Sequence[NDArray[Any]]) -> Rows:
    index = np.ascontiguousarray(np.stack(rows), dtype=np.int64)
    index.flags.writeable = False
    return index


def _long(layout: Layout, shape: Shape, order: Shape, terms: int) -> Way:
    """How a table becomes a matrix [terms, N] of all that there is, its axes in that order; [1, 1] if it is a single number."""
    own, strides = layout
    size = math.prod(shape)
    entries = math.prod(own)
    if (terms == 1 and entries == 1) or (entries and not any(strides)):
        first = (slice(0, 1),) * len(own)
        return lambda x: x[first].reshape(1, 1)
    columns = size // max(terms, 1)
    if terms == 1 and own == shape and len(own) == 1 and _contiguous(own, strides) and size >= WIDTH:
        return lambda x: x[None]
    if own == shape and order == tuple(range(len(shape))) and _contiguous(own, strides) and columns >= WIDTH:
        return lambda x: x.reshape(terms, columns)
    return lambda x: padded(np.ascontiguousarray(np.broadcast_to(x, shape).transpose(order)).reshape(terms, columns))


def _matrix(layout: Layout, depth: int) -> tuple[Way, NDArray[np.intp]]:
    """How a table becomes a matrix [K, N] or [K, 1], and the row of each of its own entries, an array of its own core axes."""
    wide = (1,) * (depth - len(layout[0])) + layout[0]
    strides = (0,) * (depth - len(layout[0])) + layout[1]
    own = tuple(n if stride else min(n, 1) for n, stride in zip(wide, strides, strict=True))
    turn = tuple(sorted(range(1, depth), key=lambda a: -abs(strides[a])))
    size, count = math.prod(own[1:]), own[0]
    rows = np.arange(size).reshape([own[a] for a in turn])
    entries = rows.transpose([turn.index(a) for a in range(1, depth)])
    turned, lying = (*turn, 0), tuple(strides[a] for a in (*turn, 0))
    if own == layout[0] and count >= WIDTH and _contiguous(tuple(own[a] for a in turned), lying):
        return lambda x: x.transpose(turned).reshape(size, count), entries
    parts = tuple(slice(None) if stride else slice(0, 1) for stride in strides)
    return lambda x: padded(np.ascontiguousarray(x.reshape(wide)[parts].transpose(turned)).reshape(size, count)), entries


def _contiguous(shape: Shape, strides: Shape) -> bool:
    """Whether entries follow each other in memory, the last axis fastest."""
    step = 8
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != step:
            return False
        step *= n
    return True
