"""Tables of a batch as compiled solves on enclosures read them: matrices with the instances side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from bounds.arranged import padded
from mdps.kernels import inner
from mdps.lane_masks import fetch
from mdps.lanes import TABLE, WIDTH, ahead, put
from mdps.mdp import Array

Shape = tuple[int, ...]
VECTOR, MATRIX, INDEX = types.float64[:, ::1], types.float64[:, :, ::1], types.int64[::1]
OUT, SIZE = types.float64[:, ::1], types.int64
REFERENCES = types.Array(types.int64, 1, "C", readonly=True)


def matrix(table: Any, batch: Shape, core: int) -> Array:
    """A table [*batch, ...] with ``core`` axes of its own as a matrix [K, N]; [K, 1] where all instances share it.

    Where it is in planes its memory is handed over as it is.
    """
    table = np.asarray(table, dtype=float)
    lead = table.ndim - core
    if not any(table.strides[a] for a in range(lead) if table.shape[a] != 1):
        own = table[(0,) * lead] if lead else table
        if core and not any(own.strides) and own.size:
            own = own[(slice(0, 1),) * core]
        return np.ascontiguousarray(own).reshape(-1, 1)
    axes = table.shape[lead:]
    if table.shape[:lead] != batch:
        table = np.broadcast_to(table, (*batch, *axes))
    if len(batch) != 1:
        table = table.reshape(math.prod(batch), *axes)
    if core and not any(table.strides[1:]):
        table = table[:, *(slice(0, 1),) * core]
    turned = table.transpose(*range(1, core + 1), 0)
    return padded(np.ascontiguousarray(turned).reshape(-1, table.shape[0]))


def expanded(matrix: Array, rows: int) -> Array:
    """A matrix with as many rows; one that all entries share is repeated."""
    return matrix if len(matrix) == rows else np.repeat(matrix, rows, 0)


def references(table: Any, batch: Shape) -> NDArray[np.int64]:
    """References [*batch] in a row, as many as a matrix has columns."""
    row = np.ascontiguousarray(np.broadcast_to(table, batch)).reshape(-1)
    return row if len(row) >= WIDTH else np.concatenate([row, np.repeat(row[-1:], WIDTH - len(row))])


def empty(batch: Shape, core: Shape) -> Array:
    """A matrix for results [*batch, *core]."""
    return np.empty((math.prod(core), max(math.prod(batch), WIDTH)))


def table(matrix: Array, batch: Shape, core: Shape) -> Array:
    """A matrix of results as the table [*batch, *core]; in planes where there is one batch axis."""
    count = math.prod(batch)
    if len(batch) == 1:
        return matrix[:, :count].reshape(*core, count).transpose(len(core), *range(len(core)))
    return matrix[:, :count].T.reshape((*batch, *core))


@inner(types.void(TABLE, SIZE, VECTOR))
def load(matrix: Any, at: Any, tile: Any) -> None:
    """Read a block of columns into a tile; the last row again where the matrix has fewer. The next block is asked for."""
    last = matrix.shape[0] - 1
    for k in range(tile.shape[0]):
        if matrix.shape[1] > 1:
            ahead(matrix, min(k, last), at + WIDTH, WIDTH)
        put(tile, (k,), fetch(matrix, min(k, last), at))
