"""Where along its laws a state is: at a radius, or at a price of KL; for many states side by side (:mod:`trpo.tilt`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from mdps.kernels import inner
from mdps.lane_logs import exp, log
from mdps.lane_masks import MASK, choose, largest, root, smallest, some
from mdps.lanes import LANES, get, lanes
from trpo.tilt import VECTOR, moments, small_price, tilt

SURE = 6
"""Turns of a search in which Newton's rule is trusted, of about four that it needs."""


@inner(LANES(*[LANES] * 9, types.boolean))
def following(
    y: Any, before: Any, value: Any, slope: Any, bend: Any, target: Any, bottom: Any, high: Any, floor: Any, trusted: Any
) -> Any:
    """Next trial after ``before`` and y, in (bottom, high) and at least floor, for ``value = target``; value falls with y > 0.

    ``slope`` and ``bend`` are the first and second derivatives of value in log y. Halley's rule for log(value) + value as a
    function of log y, which is nearly straight both where value ~ y^-2 and where value ~ -log y; the middle of the bracket
    in log y where that leaves it. Steps that are not trusted have to be at most half as long as the one before: where value has
    a bend as sharp as a corner, they would go round in a circle about it.
    """
    inverse = 1.0 / value
    rate = slope * (inverse + 1.0)
    turn = bend * (inverse + 1.0) - (slope * inverse) * (slope * inverse)
    step = (log(largest(target * inverse, lanes(1e-300))) + (target - value)) / rate
    damped = 1.0 + 0.5 * step * (turn / rate)
    step /= choose(abs(damped) < np.inf, largest(smallest(damped, lanes(2.0)), lanes(0.5)), 1.0)
    trial = y * exp(step)
    good = (bottom < trial) & (trial < high)
    if not trusted:
        good &= abs(step) <= 0.5 * abs(log(y / before))
    trial = choose(good, trial, choose(high == np.inf, 1e4 * y, root(largest(bottom, floor)) * root(high)))
    trial = largest(trial, floor)
    return choose(trial < high, trial, floor)


@inner(LANES(VECTOR, VECTOR, LANES, LANES, LANES, MASK, VECTOR))
def at_radius(q: Any, c: Any, low: Any, radius: Any, y: Any, open_: Any, w: Any) -> Any:
    """Least y >= low whose law is within the radius, to 1e-13 of it from inside, where ``open_``; else ``low``.

    y > 0 is a first guess, 0 for none; w is room for one law.
    """
    mean, variance, third, best = moments(q, c)
    price = small_price(variance, third, radius)
    guess = largest(smallest(price, price - mean + variance / price), best * price)
    y = largest(choose(y > low, y, guess), low)
    target = radius * (1.0 - 5e-14)
    near = 4e-14 * radius
    answer, before, bottom, high = low, y, lanes(-1.0), lanes(np.inf)
    for turn in range(200):
        kl, chi, bend, price = tilt(q, c, y, w)
        over = kl > target
        found = open_ & ((abs(kl - target) <= near) | ((y <= low) & (kl <= radius)))
        bottom = choose(over, y, bottom)
        high = choose(over, high, y)
        answer = choose(found, y, choose(open_, high, answer))
        open_ &= ~found & ~(high <= bottom * (1.0 + 1e-15))
        if not some(open_):
            break
        steep = y * chi / price
        curve = 2.0 * y * (y * bend) / price + steep * (y * (1.0 + chi) / price - 1.0)
        trial = following(y, before, kl, -steep, curve, target, bottom, high, low, turn < SURE)
        before, y = y, trial
    return answer


@inner(LANES(VECTOR, VECTOR, LANES, LANES, LANES, MASK))
def at_price(q: Any, c: Any, low: Any, price: Any, y: Any, open_: Any) -> Any:
    """The y >= low whose law has this price, at least the price at low, where ``open_``; else ``low``. y is a first guess."""
    best, most = lanes(0.0), lanes(0.0)
    for a in range(q.shape[0]):
        taken = get(q, (a,)) > 0.0
        most = largest(most, choose(taken, get(c, (a,)), 0.0))
        best += choose(get(c, (a,)) == 0.0, get(q, (a,)), 0.0)
    high = price * (1.0 + 1e-12)  # y <= price <= y + most, and price <= y / best
    answer = low
    low = largest(largest(low, best * price * (1.0 - 1e-12)), (price - most) * (1.0 - 1e-12))
    y = choose((low < y) & (y < high), y, low)
    for turn in range(100):
        total, mean, square = lanes(0.0), lanes(0.0), lanes(0.0)
        for a in range(q.shape[0]):
            weight = y / (y + get(c, (a,)))
            part = get(q, (a,)) * weight
            total += part
            mean += part * get(c, (a,))
            square += part * weight
        miss = price - y - mean / total
        step = miss * (total / square * total)  # the price is concave in y with slope square/total^2 >= 1
        low = choose(step > 0.0, largest(low, y), low)
        high = choose(step > 0.0, high, smallest(high, y))
        trial = y + step
        good = (low < trial) & (trial < high)
        # after a step so small Newton's rule is right to the last bit: the slope's logarithm changes by at most 2 |step|/y
        found = (abs(miss) <= 4e-16 * price) | (good & (abs(step) <= 1e-8 * y)) | (high <= low * (1.0 + 1e-15))
        middle = root(low) * root(high)
        if turn < 2 * SURE or turn % 2 == 0:
            middle = choose(good, trial, middle)
        y = choose(open_, choose(found, choose(good, trial, y), middle), y)
        answer = choose(open_, y, answer)
        open_ &= ~found
        if not some(open_):
            break
    return answer
