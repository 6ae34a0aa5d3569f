"""What enclosures of both sides of ``lhs <= rhs`` say of each instance, and ends of the usage: a pass over memory each.

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
from mdps.kernels import chunked, inner
from mdps.lane_masks import choose, fetch, keep, largest, start
from mdps.lanes import LANES, TABLE, WIDTH, lanes
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


def told(lhs: Any, rhs: Any, batch: tuple[int, ...]) -> Told:
    """Compare two sides [*B, ...] of one shape, enclosures or floats."""
    count = math.prod(batch)
    results = [np.empty((1, max(count, WIDTH)), kind) for kind in (bool, bool, float)]
    _told(*_sides(lhs, rhs, batch), *results)
    return Told(*(found[0, :count].reshape(batch) for found in results))


def upper_usage(lhs: Any, rhs: Any, batch: tuple[int, ...]) -> Array:
    """Upper end of the usage [*B] of two such sides, the largest of an instance."""
    count = math.prod(batch)
    most = np.empty((1, max(count, WIDTH)))
    _upper_usage(*_sides(lhs, rhs, batch), most)
    return most[0, :count].reshape(batch)


def _sides(lhs: Any, rhs: Any, batch: tuple[int, ...]) -> list[Array]:
    """Mids and radii of both sides as matrices."""
    count = math.prod(batch)
    return [_matrix(x, np.shape(side), len(batch), count) for side in (lhs, rhs) for x in pair(side)]


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


@inner(types.UniTuple(LANES, 4)(*[TABLE] * 4, types.int64, types.int64))
def _ends(a: Any, ra: Any, b: Any, rb: Any, k: Any, at: Any) -> Any:
    """The ends of the left side and of the right one, of number k of each instance."""
    x, rx = fetch(a, min(k, a.shape[0] - 1), at), fetch(ra, min(k, ra.shape[0] - 1), at)
    y, ry = fetch(b, min(k, b.shape[0] - 1), at), fetch(rb, min(k, rb.shape[0] - 1), at)
    return below(x, rx), above(x, rx), below(y, ry), above(y, ry)


@chunked(types.void(*[TABLE] * 4, _DECISIONS, _DECISIONS, _NUMBERS))
def _told(a: Any, ra: Any, b: Any, rb: Any, holds: Any, violated: Any, least: Any) -> None:
    count = holds.shape[1]
    for block in range((count + WIDTH - 1) // WIDTH):
        at = start(block, count)
        least_yet = lanes(0.0)
        broken = least_yet != least_yet
        kept = ~broken
        for k in range(max(a.shape[0], ra.shape[0], b.shape[0], rb.shape[0])):
            left, left_most, right, right_most = _ends(a, ra, b, rb, k, at)
            kept &= left_most <= right
            broken |= left > right_most
            low = largest(lanes(0.0), (left / right_most) * _LESS - _LEAST)
            low = choose((low < np.inf) | (left == np.inf), low, _LARGEST)
            low = choose(right_most > 0.0, low, np.inf)
            least_yet = largest(least_yet, choose(left <= 0.0, 0.0, low))  # inf / inf is nan, which is passed over
        keep(kept, holds, 0, at)
        keep(broken, violated, 0, at)
        keep(least_yet, least, 0, at)


@chunked(types.void(*[TABLE] * 4, _NUMBERS))
def _upper_usage(a: Any, ra: Any, b: Any, rb: Any, most: Any) -> None:
    for block in range((most.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, most.shape[1])
        most_yet = lanes(0.0)
        for k in range(max(a.shape[0], ra.shape[0], b.shape[0], rb.shape[0])):
            _, left_most, right, _ = _ends(a, ra, b, rb, k, at)
            high = choose(right > 0.0, (left_most / right) * _MORE + _LEAST, np.inf)  # the right may be 0 where its end is below
            most_yet = largest(most_yet, choose((left_most <= 0.0) | (right == np.inf), 0.0, high))
        keep(most_yet, most, 0, at)
