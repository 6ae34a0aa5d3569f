"""How the states of an instance share a ball or a penalty: a search in the one number that they have in common.

For many instances side by side (:mod:`mdps.lanes`). In tiles: ``q`` and ``c`` [S,A] as in :mod:`trpo.tilt`, in units of one
scale; ``share`` [S], the weight of a state that can move and 0 elsewhere; ``low`` [S], and ``least_price`` [S] at it; to be
found, ``y`` and ``log_share`` [S]. ``w`` is room for one law. What is marked ``open_`` is worked on, the rest keeps its numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from mdps.kernels import inner
from mdps.lane_logs import excess, exp, grown, log
from mdps.lane_masks import MASK, choose, largest, root, smallest, some
from mdps.lanes import LANES, get, lanes, put
from trpo.searches import SURE, at_price, at_radius, following
from trpo.tilt import TINY, VECTOR, moments, reach, shift, small_price, tilt

LEAST_RADIUS = 1e-200
"""Smaller radii are read as 0."""

TABLES = types.float64[:, :, ::1]


@inner(LANES(TABLES, TABLES, VECTOR, TABLES, VECTOR, VECTOR, VECTOR))
def prepare(q: Any, regret: Any, weight: Any, c: Any, low: Any, least_price: Any, share: Any) -> Any:
    """Fill the tables and return the scale: the largest regret of an action taken in a state that can move, 0 if none can."""
    scale = lanes(0.0)
    for s in range(q.shape[0]):
        most = reach(q[s], regret[s])
        moves = (get(weight, (s,)) > 0.0) & (most > 0.0)
        put(share, (s,), choose(moves, get(weight, (s,)), 0.0))
        scale = largest(scale, choose(moves, most, 0.0))
    unit = choose(scale > 0.0, scale, 1.0)
    for s in range(q.shape[0]):
        moves = get(share, (s,)) > 0.0
        least = choose(moves, shift(q[s], regret[s], unit, c[s]), 1.0)
        total, mean = lanes(0.0), lanes(0.0)
        for a in range(q.shape[1]):
            cost = choose(moves, get(c, (s, a)), 0.0)  # with equal costs a state stays where it is, at no KL
            put(c, (s, a), cost)
            part = get(q, (s, a)) * (least / (least + cost))
            total += part
            mean += part * cost
        put(low, (s,), least)
        put(least_price, (s,), choose(moves, least + mean / total, 0.0))
    return scale


@inner(types.UniTuple(LANES, 3)(TABLES, TABLES, *[VECTOR] * 3, LANES, MASK, *[VECTOR] * 3))
def at_common_price(
    q: Any, c: Any, share: Any, low: Any, least_price: Any, price: Any, open_: Any, y: Any, log_share: Any, w: Any
) -> Any:
    """Put every state at this price; return the mean KL and its first two derivatives in log(price)."""
    value, slope, curve = lanes(0.0), lanes(0.0), lanes(0.0)
    for s in range(q.shape[0]):
        weight, least = get(share, (s,)), get(least_price, (s,))
        at_end = price <= least
        place = at_price(q[s], c[s], get(low, (s,)), price, get(y, (s,)), open_ & (weight > 0.0) & ~at_end)
        moved = lanes(0.0)
        if some(at_end):
            moved = choose(at_end, log(price / choose(at_end, least, price)), 0.0)
        put(y, (s,), choose(open_, place, get(y, (s,))))
        put(log_share, (s,), choose(open_, moved, get(log_share, (s,))))
        kl, chi, bend, beta = tilt(q[s], c[s], place, w)
        rest = 1.0 / (1.0 + chi)
        value += weight * (kl - moved)
        slope -= weight * choose(at_end, 1.0, chi * rest)
        curve += weight * choose(at_end, 0.0, 2.0 * (bend * beta) * (rest * rest * rest))
    return value, slope, curve


@inner(types.void(TABLES, TABLES, *[VECTOR] * 3, LANES, MASK, *[VECTOR] * 3))
def at_mean_radius(
    q: Any, c: Any, share: Any, low: Any, least_price: Any, radius: Any, open_: Any, y: Any, log_share: Any, w: Any
) -> None:
    """Put the states at the one price at which their mean KL is the radius."""
    variance, third = lanes(0.0), lanes(0.0)
    for s in range(q.shape[0]):
        _, v, t, _ = moments(q[s], c[s])
        variance += get(share, (s,)) * v
        third += get(share, (s,)) * t
    least = lanes(10.0 * TINY)
    price = small_price(variance, third, radius)
    price = choose(price > 1e-3, price, 1e-3)
    for s in range(q.shape[0]):
        mean, v, _, _ = moments(q[s], c[s])
        put(y, (s,), smallest(price, price - mean + v / price))
    target = radius * (1.0 - 5e-14)
    near = 4e-14 * radius
    before, bottom, high = price, lanes(-1.0), lanes(np.inf)
    for turn in range(200):
        value, slope, curve = at_common_price(q, c, share, low, least_price, price, open_, y, log_share, w)
        over = value > target
        bottom = choose(over, price, bottom)
        high = choose(over, high, price)
        open_ &= ~((abs(value - target) <= near) | ((price <= least) & (value <= radius)))
        closed = open_ & (high <= bottom * (1.0 + 1e-15))
        if some(closed):
            at_common_price(q, c, share, low, least_price, high, closed, y, log_share, w)
            open_ &= ~closed
        if not some(open_):
            break
        trial = following(price, before, value, slope, curve, target, bottom, high, least, turn < SURE)
        before, price = price, trial


@inner(types.UniTuple(LANES, 2)(TABLES, TABLES, VECTOR, VECTOR, LANES, MASK, *[VECTOR] * 3))
def at_common_radius(q: Any, c: Any, share: Any, low: Any, radius: Any, open_: Any, y: Any, log_share: Any, w: Any) -> Any:
    """Put every state at this radius; return the weighted sum of their prices and its derivative in log(radius)."""
    value, slope = lanes(0.0), lanes(0.0)
    for s in range(q.shape[0]):
        weight = get(share, (s,))
        place = at_radius(q[s], c[s], get(low, (s,)), radius, get(y, (s,)), open_ & (weight > 0.0), w)
        kl, chi, _, price = tilt(q[s], c[s], place, w)
        at_end = place <= get(low, (s,))
        moved = choose(at_end, smallest(kl - radius, lanes(0.0)), 0.0)
        if some(moved < 0.0):
            price *= exp(moved)
        value += weight * price
        slope -= weight * price * choose(at_end, radius, (1.0 + chi) * choose(chi > 0.0, radius / chi, 0.5))
        put(y, (s,), choose(open_, place, get(y, (s,))))
        put(log_share, (s,), choose(open_, moved, get(log_share, (s,))))
    return value, slope


@inner(MASK(TABLES, TABLES, VECTOR, VECTOR, LANES, MASK, *[VECTOR] * 3))
def at_total_price(q: Any, c: Any, share: Any, low: Any, price: Any, open_: Any, y: Any, log_share: Any, w: Any) -> Any:
    """Put the states at the one radius at which their prices add up to ``price``; where that is more than ``LEAST_RADIUS``."""
    spread = lanes(0.0)
    for s in range(q.shape[0]):
        _, variance, _, _ = moments(q[s], c[s])
        spread += get(share, (s,)) * root(variance)
        put(y, (s,), lanes(0.0))
    least, most = lanes(LEAST_RADIUS), lanes(650.0)
    radius = (
        0.5 * (spread / price) * (spread / price)
    )  # right for small radii, where a state's price is its root of variance/(2r)
    radius = largest(2.0 * least, smallest(lanes(0.5), radius))
    for turn in range(200):
        value, slope = at_common_radius(q, c, share, low, radius, open_, y, log_share, w)
        miss = choose(value > 0.0, log(price / choose(value > 0.0, value, price)), np.inf)
        most = choose(miss > 0.0, radius, most)
        least = choose(miss > 0.0, least, radius)
        open_ &= ~((abs(miss) <= 1e-11) | (most <= least * (1.0 + 1e-15)))
        if not some(open_):
            break
        trial = lanes(0.0)
        if turn < 2 * SURE or turn % 2 == 0:
            # Newton's rule for log(value) against log(exp(radius) - 1), in which it is nearly straight at both ends
            slack = -grown(-radius)
            factor = exp(miss * value / slope * (radius / slack))
            small = grown(smallest(radius, lanes(1.0))) * factor
            trial = choose(radius > 1.0, radius + log(exp(-radius) + slack * factor), small - excess(small, 1.0 + small))
        trial = choose((least < trial) & (trial < most), trial, root(least) * root(most))
        radius = choose(open_, trial, radius)
    return radius > 2.0 * LEAST_RADIUS
