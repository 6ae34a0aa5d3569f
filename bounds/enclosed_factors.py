"""The factors of ``I - gamma P_pi`` in memory: what a kernel that eliminates writes, and those that solve with it read.

How they are found, and what solves with them are known to, is in :mod:`bounds.enclosed_elimination`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from bounds.enclosed_accuracy import PLACES
from bounds.enclosed_planes import INDEX, MATRIX, OUT, REFERENCES, SIZE, VECTOR, Shape, empty, load, matrix, references, table
from mdps.kernels import inner
from mdps.lane_masks import keep
from mdps.lanes import TABLE, WIDTH, get
from mdps.mdp import Array


@dataclass(frozen=True, eq=False)
class Factors:
    """A factored ``I - gamma P_pi`` [*B], in two floats an entry, and what its solves are known to."""

    high: Array  # [*B,S,S] multipliers below the diagonal, weights above, pivots on it
    low: Array  # [*B,S,S]
    time: Array  # [*B,S] row slack in units of 1 - gamma
    time_low: Array  # [*B,S]
    reference: NDArray[np.int64]  # [*B]
    error: Array  # [*B,7], at the places below
    twice: bool  # whether there are two floats; if not, ``low`` has no meaning

    def broadcast(self, batch: tuple[int, ...]) -> Factors:
        """The same factors repeated, as views."""
        parts: tuple[Any, ...] = (self.high, self.low, self.time, self.time_low, self.reference, self.error)
        core = (2, 2, 1, 1, 0, 1)
        high, low, time, time_low, reference, error = (
            np.broadcast_to(x, batch + x.shape[x.ndim - k :]) for x, k in zip(parts, core, strict=True)
        )
        return Factors(high, low, time, time_low, reference, error, self.twice)


class Space(NamedTuple):
    """Matrices that a kernel writes factors to."""

    high: Array
    low: Array
    time: Array
    time_low: Array
    reference: NDArray[np.int64]
    error: Array

    def factors(self, batch: Shape, n: int, twice: bool) -> Factors:
        """What was written."""
        factors = table(self.high, batch, (n, n)), table(self.low, batch, (n, n) if twice else (1, 1))
        times = table(self.time, batch, (n,)), table(self.time_low, batch, (n,))
        reference = self.reference[: math.prod(batch)].reshape(batch)
        return Factors(*factors, *times, reference, table(self.error, batch, (PLACES,)), twice)


def space(batch: Shape, n: int, twice: bool) -> Space:
    """Room for the factors of a batch with n states."""
    high, low, time, time_low, error = (empty(batch, (k,)) for k in (n * n, n * n if twice else 1, n, n, PLACES))
    return Space(high, low, time, time_low, np.empty(time.shape[1], np.int64), error)


def matrices(f: Factors, batch: Shape) -> tuple[Any, ...]:
    """Factors as kernels read them."""
    given = [matrix(x, batch, core) for x, core in ((f.high, 2), (f.low, 2), (f.time, 1), (f.time_low, 1), (f.error, 1))]
    return *given, references(f.reference, batch)


@inner(types.void(MATRIX, MATRIX, VECTOR, VECTOR, INDEX, VECTOR, types.boolean, *[OUT] * 4, types.int64[::1], OUT, SIZE))
def put_factors(
    m: Any,
    ml: Any,
    elapsed: Any,
    elapsed_low: Any,
    chosen: Any,
    known_to: Any,
    twice: Any,
    high: Any,
    low: Any,
    time: Any,
    time_low: Any,
    reference: Any,
    error: Any,
    at: Any,
) -> None:
    """Write the factors of a tile."""
    n = elapsed.shape[0]
    for place in range(PLACES):
        keep(get(known_to, (place,)), error, place, at)
    for i in range(n):
        keep(get(elapsed, (i,)), time, i, at)
        keep(get(elapsed_low, (i,)), time_low, i, at)
        for j in range(n):
            keep(get(m, (i, j)), high, i * n + j, at)
            if twice:
                keep(get(ml, (i, j)), low, i * n + j, at)
    for lane in range(WIDTH):
        reference[at + lane] = chosen[lane]


READ = (TABLE, TABLE, TABLE, TABLE, TABLE, REFERENCES)
"""Types of what :func:`matrices` returns."""


@inner(types.void(types.boolean, *READ, SIZE, MATRIX, MATRIX, *[VECTOR] * 3, INDEX), allocates=True)
def get_factors(
    twice: Any,
    high: Any,
    low: Any,
    time: Any,
    time_low: Any,
    error: Any,
    reference: Any,
    at: Any,
    m: Any,
    ml: Any,
    elapsed: Any,
    elapsed_low: Any,
    known_to: Any,
    chosen: Any,
) -> None:
    """Read the factors of a tile, their lower halves where there are any."""
    n = elapsed.shape[0]
    load(high, at, m.reshape(n * n, WIDTH))
    load(time, at, elapsed)
    if twice:
        load(low, at, ml.reshape(n * n, WIDTH))
        load(time_low, at, elapsed_low)
    load(error, at, known_to)
    chosen[:] = reference[at : at + WIDTH]
