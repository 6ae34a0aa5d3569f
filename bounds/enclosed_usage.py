"""What enclosures of both sides of ``lhs <= rhs`` say of each instance, and ends of the usage: one pass over memory.

The usage is that of :meth:`bounds.catalogue.Claim.usage`: 0 where both sides are 0 or the right one is infinite.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from bounds.arranged import padded
from bounds.enclosure import pair
from bounds.rounding import above, below
from mdps.kernels import chunked
from mdps.lane_masks import choose, fetch, keep, largest, start
from mdps.lanes import TABLE, WIDTH, lanes
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
    holds, violated, least, most = (np.empty((1, max(count, WIDTH)), kind) for kind in (bool, bool, float, float))
    tables = [_matrix(x, np.shape(side), len(batch), count) for side in (lhs, rhs) for x in pair(side)]
    _told(*tables, holds, violated, least, most)
    return Told(*(found[0, :count].reshape(batch) for found in (holds, violated, least, most)))


def _matrix(table: Any, shape: tuple[int, ...], axes: int, count: int) -> Array:
    """A table of that shape as a matrix [K, N], a row for each number of an instance; one row where they are all the same."""
    table = np.asarray(table, dtype=float)
    if table.shape != shape:
        table = np.broadcast_to(table, shape)
    if axes == len(shape) == 1:
        return padded(np.ascontiguousarray(table)[None])
    if not any(table.strides[axes:]):
        table = table.reshape(*shape[:axes], -1)[..., :1]
    return padded(np.ascontiguousarray(table.reshape(count, -1).T))


_DECISIONS, _NUMBERS = types.boolean[:, ::1], types.float64[:, ::1]


@chunked(types.void(*[TABLE] * 4, _DECISIONS, _DECISIONS, _NUMBERS, _NUMBERS))
def _told(a: Any, ra: Any, b: Any, rb: Any, holds: Any, violated: Any, least: Any, most: Any) -> None:
    count = holds.shape[1]
    for block in range((count + WIDTH - 1) // WIDTH):
        at = start(block, count)
        least_yet, most_yet = lanes(0.0), lanes(0.0)
        broken = least_yet != most_yet
        kept = ~broken
        for k in range(max(a.shape[0], ra.shape[0], b.shape[0], rb.shape[0])):
            x, rx = fetch(a, min(k, a.shape[0] - 1), at), fetch(ra, min(k, ra.shape[0] - 1), at)
            y, ry = fetch(b, min(k, b.shape[0] - 1), at), fetch(rb, min(k, rb.shape[0] - 1), at)
            left, left_most, right, right_most = below(x, rx), above(x, rx), below(y, ry), above(y, ry)
            kept &= left_most <= right
            broken |= left > right_most
            low = largest(lanes(0.0), (left / right_most) * _LESS - _LEAST)
            low = choose((low < np.inf) | (left == np.inf), low, _LARGEST)
            low = choose(right_most > 0.0, low, np.inf)
            least_yet = largest(least_yet, choose(left <= 0.0, 0.0, low))  # inf / inf is nan, which is passed over
            high = choose(right > 0.0, (left_most / right) * _MORE + _LEAST, np.inf)  # the right may be 0 where its end is below
            most_yet = largest(most_yet, choose((left_most <= 0.0) | (right == np.inf), 0.0, high))
        keep(kept, holds, 0, at)
        keep(broken, violated, 0, at)
        keep(least_yet, least, 0, at)
        keep(most_yet, most, 0, at)
