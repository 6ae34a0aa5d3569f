"""What enclosures of both sides of ``lhs <= rhs`` say of each instance, and ends of the usage: one pass over memory.

The usage is that of :meth:`bounds.catalogue.Claim.usage`: 0 where both sides are 0 or the right one is infinite.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from bounds.enclosure import pair
from bounds.rounding import above, below
from mdps.kernels import chunked
from mdps.lanes import TABLE
from mdps.mdp import Array

_LESS, _MORE, _LEAST = 1 - 2.0**-52, 1 + 2.0**-52, 2.0**-1074
"""To multiply by and to add, for an end of a quotient that is rounded outwards."""

_LARGEST = float(np.finfo(float).max)
"""What a quotient of floats that overflows is at least."""


class Told(NamedTuple):
    """What two sides say, the further axes of an instance taken together."""

    holds: NDArray[np.bool_]  # [*B] everywhere the upper end of the left is at most the lower end of the right
    violated: NDArray[np.bool_]  # [*B] somewhere the lower end of the left lies above the upper end of the right
    least: Array  # [*B] lower end of the usage, the largest of an instance
    most: Array  # [*B] its upper end


def told(lhs: Any, rhs: Any, batch: tuple[int, ...]) -> Told:
    """Compare two sides [*B, ...] of one shape, enclosures or floats."""
    count = math.prod(batch)
    holds, violated = np.ones(count, np.bool_), np.zeros(count, np.bool_)
    least, most = np.zeros(count), np.zeros(count)
    tables = [_matrix(x, np.shape(side), len(batch), count) for side in (lhs, rhs) for x in pair(side)]
    _told(*tables, holds, violated, least, most)
    return Told(holds.reshape(batch), violated.reshape(batch), least.reshape(batch), most.reshape(batch))


def _matrix(table: Any, shape: tuple[int, ...], axes: int, count: int) -> Array:
    """A table of that shape as a matrix [K, N], a row for each number of an instance; one row where they are all the same."""
    table = np.asarray(table, dtype=float)
    if table.shape != shape:
        table = np.broadcast_to(table, shape)
    if axes == len(shape) == 1:
        return np.ascontiguousarray(table)[None]
    if not any(table.strides[axes:]):
        table = table.reshape(*shape[:axes], -1)[..., :1]
    return np.ascontiguousarray(table.reshape(count, -1).T)


_DECISIONS = types.boolean[::1]


@chunked(types.void(*[TABLE] * 4, _DECISIONS, _DECISIONS, types.float64[::1], types.float64[::1]))
def _told(a: Any, ra: Any, b: Any, rb: Any, holds: Any, violated: Any, least: Any, most: Any) -> None:
    for k in range(max(a.shape[0], ra.shape[0], b.shape[0], rb.shape[0])):
        x, rx = a[min(k, a.shape[0] - 1)], ra[min(k, ra.shape[0] - 1)]
        y, ry = b[min(k, b.shape[0] - 1)], rb[min(k, rb.shape[0] - 1)]
        for i in range(holds.shape[0]):
            left, left_most = below(x[i], rx[i]), above(x[i], rx[i])
            right, right_most = below(y[i], ry[i]), above(y[i], ry[i])
            holds[i] &= left_most <= right
            violated[i] |= left > right_most
            low = max((left / right_most) * _LESS - _LEAST, 0.0)
            low = low if low < np.inf or left == np.inf else _LARGEST
            low = low if right_most > 0.0 else np.inf
            low = 0.0 if (left <= 0.0) | (right_most == np.inf) else low
            high = (left_most / right) * _MORE + _LEAST
            high = high if right > 0.0 else np.inf  # the right may be 0 where its end is below
            high = 0.0 if (left_most <= 0.0) | (right == np.inf) else high
            least[i] = low if low > least[i] else least[i]
            most[i] = high if high > most[i] else most[i]
