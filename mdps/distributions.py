"""Tables of distributions that are plainly right: copied and checked in one pass, on all cores.

What is wrong with a table that is not, and where, :mod:`mdps.mdp` says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from mdps import slabs
from mdps.batches import share
from mdps.kernels import chunked, inner
from mdps.lanes import TABLE
from mdps.planes import planes, unfolded

ROUNDING = 4 * float(np.finfo(float).eps)
"""A sum of one that is not further off than this is left alone; as much again for every 32 numbers added up."""


@inner("f8(i8)")
def allowance(size: Any) -> Any:
    """How far a sum of ``size`` numbers may be from one and still be left alone."""
    return ROUNDING * (1.0 + size / 32.0)


def distributions(table: Any, tolerance: float) -> NDArray[np.float64] | None:
    """Return a copy of a float64 array [..., K] of distributions, stored alike; rows off by more than rounding are normalised.

    None if it is something else: if an entry is negative or not finite, or a row's sum is further from one than ``tolerance``.
    """
    if not isinstance(table, np.ndarray) or table.dtype != np.float64 or not table.ndim or not table.size:
        return None
    matrix = planes(table, table.ndim - 1)
    if matrix is not None and table.ndim > 1:
        kept = np.empty((matrix.shape[0] // table.shape[-1], table.shape[-1], matrix.shape[1]))
        plain = _copy_planes(matrix.reshape(kept.shape), kept, tolerance)
        return unfolded(kept.reshape(matrix.shape), table.shape[1:]) if plain else None
    given = np.ascontiguousarray(table).reshape(-1, table.shape[-1])
    copy = slabs.empty(given.shape)
    wrong: list[int] = []

    def run(start: int, stop: int) -> None:
        if not _copy(given, copy, tolerance, start, stop):
            wrong.append(start)

    share(run, len(given), 1, 2 * given.shape[1] + 4)
    return None if wrong else copy.reshape(table.shape)


@chunked(types.boolean(TABLE, types.float64[:, ::1], types.float64, types.int64, types.int64))
def _copy(given: Any, copy: Any, tolerance: Any, start: Any, stop: Any) -> bool:
    size = given.shape[1]
    rounding = allowance(size)
    right = True
    for i in range(start, stop):
        total, least = 0.0, 0.0
        for k in range(size):
            x = given[i, k]
            copy[i, k] = x
            total += x
            least = min(least, x)
        deviation = abs(total - 1.0)
        right = right and least >= 0.0 and deviation <= tolerance  # nan and infinity are in the sum
        if deviation > rounding:
            for k in range(size):
                copy[i, k] /= total
    return right


@chunked(types.boolean(types.Array(types.float64, 3, "C", readonly=True), types.float64[:, :, ::1], types.float64))
def _copy_planes(given: Any, copy: Any, tolerance: Any) -> bool:
    size, count = given.shape[1], given.shape[2]
    rounding = allowance(size)
    total = np.empty(count)
    right = True
    for row in range(given.shape[0]):
        total[:] = 0.0
        least = 0.0
        for k in range(size):
            for i in range(count):
                x = given[row, k, i]
                copy[row, k, i] = x
                total[i] += x
                least = x if x < least else least
        worst = 0.0
        for i in range(count):
            deviation = abs(total[i] - 1.0)
            right = right and deviation <= tolerance  # nan and infinity are in the sum
            worst = deviation if deviation > worst else worst
        right = right and least >= 0.0
        if worst > rounding:
            for i in range(count):
                if abs(total[i] - 1.0) > rounding:
                    for k in range(size):
                        copy[row, k, i] /= total[i]
    return right
