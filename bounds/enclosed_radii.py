"""The radius of a solve: what of its right-hand side and of its rounding is left in it, and what is known of the result anyway.

Values lie between those of the least and the largest reward, whatever the solve has lost, and a level is a mean of rewards: a
radius need not reach beyond.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds.doubled import SMALL
from bounds.enclosed_accuracy import COARSE, DRIFT, LEAST, LOST
from bounds.enclosed_elimination import lesser
from bounds.enclosed_planes import VECTOR
from bounds.rounding import GROW, TINY, above, below, between
from mdps.kernels import inner
from mdps.lane_masks import choose, largest, smallest, some
from mdps.lanes import LANES, get, lanes, put

SLACK = 2.0**-45
"""More than what is rounded where an end is formed from the horizon."""


@inner(types.UniTuple(LANES, 2)(VECTOR, VECTOR, LANES, VECTOR, VECTOR))
def source(mid: Any, rad: Any, relative: Any, error: Any, out: Any) -> Any:
    """What a right-hand side contributes to the radius of a solve, into ``out``; its least entry, and what it adds up to."""
    least, total = lanes(np.inf), lanes(0.0)
    grow = (1.0 + 4.0 * relative) * (1.0 + 4.0 * get(error, (COARSE,))) * GROW
    for i in range(mid.shape[0]):
        x, r = get(mid, (i,)), get(rad, (i,))
        none = (x == 0.0) & (r == 0.0)
        part = choose(none, 0.0, (relative * abs(x) + r) * grow)
        put(out, (i,), part)
        total += abs(x) + r
        least = lesser(least, x, x != 0.0)
        vanishing = (part < TINY) & ((r != 0.0) | ((x != 0.0) & (relative != 0.0)))
        least = choose(vanishing, 0.0, least)
    return least, choose((relative < np.inf) & (get(error, (COARSE,)) < np.inf), total, np.inf)


@inner(LANES(LANES, LANES, LANES, VECTOR))
def lost(least: Any, size: Any, total: Any, error: Any) -> Any:
    """What an entry may be off by besides: by drift and by underflow; inf if nothing is known of the solve."""
    drift = choose(total > 0.0, get(error, (DRIFT,)) * total, 0.0)
    safe = (smallest(least, get(error, (LEAST,))) >= SMALL) & (size >= TINY)
    loss = choose(safe, drift, drift + get(error, (LOST,)) * (1.0 + total)) * GROW
    return choose(total < np.inf, loss, np.inf)


@inner(types.UniTuple(LANES, 2)(LANES, LANES))
def checked(x: Any, r: Any) -> Any:
    """A number with its radius; nothing known where either has overflown."""
    right = (r < np.inf) & (abs(x) < np.inf)
    return choose(right, x, 0.0), choose(right, r, np.inf)


@inner(types.void(VECTOR, VECTOR, VECTOR, LANES, VECTOR))
def settle(x: Any, xl: Any, size: Any, loss: Any, r: Any) -> None:
    """The float nearest to each result, in the place of x, and its radius."""
    for i in range(x.shape[0]):
        m, off = checked(get(x, (i,)), (abs(get(xl, (i,))) + get(size, (i,)) + loss) * GROW)
        put(x, (i,), m)
        put(r, (i,), off)


@inner(types.UniTuple(LANES, 2)(VECTOR, VECTOR))
def _extent(mid: Any, rad: Any) -> Any:
    """Between what the entries lie."""
    low, high = lanes(np.inf), lanes(-np.inf)
    for i in range(mid.shape[0]):
        low, high = smallest(low, below(get(mid, (i,)), get(rad, (i,)))), largest(high, above(get(mid, (i,)), get(rad, (i,))))
    return low, high


@inner(types.void(VECTOR, VECTOR, LANES, LANES))
def _confine(m: Any, r: Any, low: Any, high: Any) -> None:
    """Numbers that are known to lie in [low, high] too."""
    finite = (-np.inf < low) & (high < np.inf)
    for i in range(m.shape[0]):
        x, off = get(m, (i,)), get(r, (i,))
        wide = finite & (off > 0.5 * (high - low))
        if some(wide):
            middle, half = between(largest(low, below(x, off)), smallest(high, above(x, off)))
            put(m, (i,), choose(wide, middle, x))
            put(r, (i,), choose(wide, half, off))


@inner(LANES(LANES, LANES))
def _slack(end: Any, horizon: Any) -> Any:
    """More than ``end * horizon`` is off by; nothing of a reward that is nothing."""
    return choose(end == 0.0, 0.0, (abs(end) * SLACK + TINY) * horizon)


@inner(types.void(VECTOR, VECTOR, VECTOR, VECTOR, LANES))
def confine_values(x: Any, radius: Any, given: Any, around: Any, horizon: Any) -> None:
    """Values lie between those of rewards that are the same everywhere, the least and the largest there is."""
    bottom, top = _extent(given, around)
    _confine(x, radius, bottom * horizon - _slack(bottom, horizon), top * horizon + _slack(top, horizon))


@inner(types.UniTuple(LANES, 2)(VECTOR, VECTOR, LANES, LANES, VECTOR, VECTOR, LANES))
def confine_relative_values(x: Any, radius: Any, c: Any, off: Any, given: Any, around: Any, horizon: Any) -> Any:
    """Relative values differ by no more than a horizon of rewards does, and the level is a mean of rewards; the level."""
    bottom, top = _extent(given, around)
    width = (top - bottom) * (horizon * (1 + SLACK)) + TINY
    _confine(x, radius, -width, width)
    wide = (off > 0.5 * (top - bottom)) & (top < np.inf) & (-np.inf < bottom)
    middle, half = between(bottom, top)
    return choose(wide, middle, c), choose(wide, half, off)
