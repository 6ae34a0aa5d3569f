"""What the solves with a factored ``I - gamma P_pi`` are known to; :mod:`bounds.enclosed_elimination` says why."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds.doubled import DOUBLED
from bounds.enclosed_planes import SIZE, VECTOR
from bounds.rounding import GROW, U
from mdps.kernels import inner
from mdps.lane_masks import choose, fetch, largest, smallest
from mdps.lanes import LANES, TABLE, lanes, put

SOLVE, RELATIVE, COARSE, LEAST, LOST, DRIFT, HORIZON = range(7)
PLACES = 7
"""Places in ``Factors.error``: relative error of a nonnegative solve; of relative values and flows, in units of what they add up;
of either in plain floats; the least product of the elimination; what underflow may take, in units of 1 + the right-hand side;
what tiny probabilities may move, in units of the right-hand side; 1/(1-gamma)."""

TINY_PROBABILITY, TINY_SHARE = 2.0**-30, 2.0**-30
"""Probabilities below the one that are uncertain by more than the other of themselves are tiny: they count as drift."""


@inner(types.UniTuple(LANES, 2)(TABLE, TABLE, SIZE, SIZE))
def deviation(p: Any, rp: Any, n: Any, at: Any) -> Any:
    """How far rows of n probabilities may be from their mids: relatively where that is little, and what the tiny rest adds up to.

    At most one of the two is more than zero for an entry.
    """
    off, drift = lanes(0.0), lanes(0.0)
    for row in range(0, p.shape[0], n):
        moved = lanes(0.0)
        for k in range(row, row + n):
            x, r = fetch(p, k, at), fetch(rp, min(k, rp.shape[0] - 1), at)
            tiny = (r > TINY_SHARE * x) & (x + r < TINY_PROBABILITY)
            moved += choose(tiny, r * (1 + 8 * U), 0.0)
            share = choose(x > r, r / (x - r) * (1 + 8 * U), np.inf)
            off = largest(off, choose(tiny | (r == 0.0), 0.0, share))
        drift = largest(drift, moved)
    return off, drift


@inner(types.float64(SIZE))
def _solve_cost(n: Any) -> Any:
    cost = 0.0
    for m in range(1, n + 1):
        cost += 2 * (m - 1) * (m + 3) + 2 * m + 1
    return cost


@inner(types.float64(SIZE))
def _relative_cost(n: Any) -> Any:
    cost = 2.0
    for m in range(2, n + 1):
        cost += (4 * m - 6) * (m + 3) + 2 * m + 2
    return cost


@inner(LANES(types.float64, types.float64, types.float64, LANES))
def _relative_error(cost: Any, degree: Any, unit: Any, chain: Any) -> Any:
    """Of what a factor that costs so much is applied to, where the tables are off by ``chain``."""
    exponent = 1.01 * (cost * unit + degree * chain)
    return choose(exponent < 0.1, exponent / (1.0 - smallest(exponent, lanes(0.5))) * GROW, np.inf)


@inner(types.void(LANES, LANES, LANES, LANES, SIZE, SIZE, types.boolean, VECTOR))
def accuracy(off: Any, drift: Any, gamma: Any, least: Any, n: Any, actions: Any, twice: Any, out: Any) -> None:
    """Write what solves are known to, for tables that are off by so much and drift so far; ``twice`` if in two floats."""
    begin, unit = 2 * actions + 3 * n + 3, DOUBLED if twice else U
    off = off * 1.01
    chain = choose(off < 0.01, 2.1 * off, np.inf)
    nothing = gamma == 0.0  # to eliminate
    solve = _relative_error(_solve_cost(n) + (2 * n - 1) * begin, 2.0 * n - 1, unit, chain)
    relative = _relative_error(_relative_cost(n) + (4 * n - 3) * begin, 4.0 * n - 3, unit, chain)
    put(out, (SOLVE,), choose(nothing, 0.0 if twice else 4 * U, solve))
    put(out, (RELATIVE,), choose(nothing, 0.0 if twice else 4 * U, relative))
    coarse = 2.0 * (_relative_cost(n) + 4 * n * begin) * U
    put(out, (COARSE,), lanes(coarse if coarse < 0.01 else np.inf))
    put(out, (LEAST,), least)
    horizon = 1.0 / (1.0 - gamma)
    put(out, (LOST,), choose(gamma < 1.0, 2.0**-900 * horizon * horizon * horizon * GROW, np.inf))
    moved = choose(drift < 0.1, 4.5 * drift * horizon * horizon, np.inf)
    put(out, (DRIFT,), choose(drift > 0.0, moved, 0.0))
    put(out, (HORIZON,), horizon)
