"""Tables of a batch in planes: the instances of each entry side by side, as compiled code and numpy's own loops want them.

A table [N, ...] *in planes* is an ordinary array whose first axis is the one that is contiguous in memory. What numpy computes
from such tables is in planes again, and its loops run along thousands of instances where they would run along three actions.
Kernels see the same memory as a matrix [K, N], a row for each entry. N is a multiple of :data:`mdps.lanes.WIDTH`.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import types

from mdps.batches import Array, Index
from mdps.kernels import chunked
from mdps.lane_rows import gather
from mdps.lanes import TABLE, WIDTH, room, store
from mdps.numbers import Numbers


def stored(table: Any, core: int) -> bool:
    """Whether a table [N, ...] of floats or decisions with ``core`` axes of its own is in planes."""
    if not isinstance(table, np.ndarray) or not table.ndim == core + 1 > 0:
        return False
    strides = _strides(table.shape, table.itemsize)
    if table.strides == strides:
        return True  # an axis of length one may have any
    return strides is not None and 1 in table.shape and table.transpose(*range(1, core + 1), 0).flags.c_contiguous


@functools.lru_cache(maxsize=1024)
def _strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...] | None:
    """Strides of a table [N, ...] in planes; None where a table of this shape cannot be."""
    count, *core = shape
    if count % WIDTH or 0 in shape:
        return None
    steps = itemsize * count * np.cumprod([1, *core[:0:-1]])[::-1] if core else ()
    return (itemsize, *(int(step) for step in steps))


def planes(table: Any, core: int) -> Array | None:
    """The memory of a float table [N, ...] with ``core`` axes of its own, as a matrix [K, N]; None where it is not in planes."""
    if not stored(table, core) or table.dtype != np.float64:
        return None
    return table.transpose(*range(1, core + 1), 0).reshape(-1, len(table)) if core else table[None]


def widened(table: Any, core: tuple[int, ...], count: int) -> Array | None:
    """The matrix [K, count] of a float table that broadcasts to [count, *core], copied where it is not in planes.

    None where it is no such table.
    """
    shape, lead = np.shape(table), np.ndim(table) - len(core)
    if isinstance(table, Numbers) or lead < 0 or shape[lead:] != core or shape[:lead] not in ((), (1,), (count,)):
        return None
    found = planes(table, len(core)) if lead else None
    if found is not None and found.shape[1] == count:
        return found
    wide = np.broadcast_to(np.asarray(table, dtype=float), (count, *core))
    return np.ascontiguousarray(wide.transpose(*range(1, len(core) + 1), 0)).reshape(-1, count)


def unfolded(matrix: Array, core: tuple[int, ...]) -> Array:
    """A matrix [K, N] as the table [N, *core] in planes that it is the memory of."""
    return matrix.reshape(*core, -1).transpose(len(core), *range(len(core)))


def cut(table: Array, which: Index, core: tuple[int, ...], start: int, stop: int) -> Array:
    """Instances from ``start`` to ``stop`` as a table [n, *core] in planes; n is rounded up by repeating the last one.

    Parameters
    ----------
    table, which
        Rows [M, K] and which of them each instance reads, as :func:`mdps.batches.rows` gives them.
    core
        Axes of an instance's own table, of K entries.
    start, stop
        A part of the batch that is not empty.
    """
    count = -(-(stop - start) // WIDTH) * WIDTH
    matrix = np.empty((math.prod(core), count))
    _cut(table, which, start, stop, matrix)
    return unfolded(matrix, core)


@chunked(types.void(TABLE, types.Array(types.int64, 1, "A", readonly=True), types.int64, types.int64, types.float64[:, ::1]))
def _cut(table: Any, which: Any, start: Any, stop: Any, matrix: Any) -> None:
    size = table.shape[1]
    rows = np.empty(WIDTH, np.int64)
    tile = room(WIDTH * size).reshape(size, WIDTH)
    for first in range(0, matrix.shape[1], WIDTH):
        for lane in range(WIDTH):
            rows[lane] = which[min(start + first + lane, stop - 1)]
        gather(table, rows, 0, size, tile)
        store(tile, matrix, first)
