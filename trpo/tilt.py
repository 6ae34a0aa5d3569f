"""The laws among which a gain is best bought with KL divergence, many states side by side.

At one state with old law q and advantages A, the law that maximises ``sum_a p_a A_a - beta KL(q||p)`` is (stationarity; the
Lagrangian of the TRPO paper's eq. 11, arXiv:1502.05477v5, solved exactly)

    p_a = beta q_a / (nu - A_a)   where q_a > 0,      nu >= max_a A_a,

with any mass left over on a best action. beta is the *price* of KL, the gain that one more nat would buy; nu makes the
mass one.

Numerically. Let c_a be the best *supported* action's advantage minus A_a, and y = nu minus it, so p_a ~ q_a w_a with
w_a = 1/(y + c_a). Write <f> for the mean of f under the law proportional to q w. Then

    x_a  = p_a/q_a - 1 = (<c> - c_a) w_a         (no difference of numbers near one),
    KL   = sum_a q_a (x_a - log(1 + x_a))        (a sum of nonnegative terms),
    beta = y + <c>,
    chi  = sum_a q_a x_a^2,    dKL/dy = -chi/beta,    dbeta/dy = 1 + chi,
    bend = (chi + sum_a q_a x_a^3 - chi^2) sum_a q_a w_a,    dchi/dy = -2 bend.

y ranges over [gap, inf), where gap is how much better the best action of all is than the best supported one. At
y = gap > 0 the best action may take mass from the others in proportion: ``p = share (q w) + (1 - share) [best]``, and
-log(share) is added to KL.

In the code a number is one of each state of a tile (:mod:`mdps.lanes`), and a law a tile [A]. ``q`` is the old law, ``regret``
max A - A over all actions, ``c`` and ``gap`` are as above in units of a ``scale``, ``low`` is the least admissible y. c is 1 for
actions that the old law does not take: with their q of 0 they add nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from mdps.kernels import inner
from mdps.lane_logs import excess, exp, grown
from mdps.lane_masks import choose, fused, largest, root, smallest, some
from mdps.lanes import LANES, get, lanes, put

TINY = 1e-300
"""No action the old law takes gets a smaller probability than this (or its old one)."""

VECTOR = types.float64[:, ::1]


@inner(LANES(VECTOR, VECTOR))
def reach(q: Any, regret: Any) -> Any:
    """Largest regret of a supported action; 0 where nothing can be gained."""
    most = lanes(0.0)
    for a in range(q.shape[0]):
        most = largest(most, choose(get(q, (a,)) > 0.0, get(regret, (a,)), 0.0))
    return most


@inner(LANES(VECTOR, VECTOR, LANES, VECTOR))
def shift(q: Any, regret: Any, scale: Any, c: Any) -> Any:
    """Fill c in units of scale and return the least admissible y: the gap, or TINY."""
    gap = lanes(np.inf)
    for a in range(q.shape[0]):
        gap = smallest(gap, choose(get(q, (a,)) > 0.0, get(regret, (a,)), np.inf))
    for a in range(q.shape[0]):
        put(c, (a,), choose(get(q, (a,)) > 0.0, (get(regret, (a,)) - gap) / scale, 1.0))
    return largest(gap / scale, lanes(TINY))


@inner(types.UniTuple(LANES, 4)(VECTOR, VECTOR, LANES, VECTOR))
def tilt(q: Any, c: Any, y: Any, w: Any) -> Any:
    """KL, chi, bend and price of the law proportional to q w; w [A] is filled."""
    total, mean = lanes(0.0), lanes(0.0)
    for a in range(q.shape[0]):
        weight = 1.0 / (y + get(c, (a,)))
        put(w, (a,), weight)
        weight *= get(q, (a,))
        total += weight
        mean = fused(weight, get(c, (a,)), mean)
    rest = 1.0 / total
    mean *= rest
    kl, chi, skew = lanes(0.0), lanes(0.0), lanes(0.0)
    for a in range(q.shape[0]):
        x = (mean - get(c, (a,))) * get(w, (a,))
        u = choose(x > -0.5, 1.0 + x, get(w, (a,)) * rest)
        square = (get(q, (a,)) * x) * x  # x alone may be so large that its square is not a float
        kl = fused(get(q, (a,)), excess(x, u), kl)
        chi += square
        skew = fused(square, x, skew)
    return kl, chi, (chi + skew - chi * chi) * total, y + mean


@inner(types.UniTuple(LANES, 4)(VECTOR, VECTOR))
def moments(q: Any, c: Any) -> Any:
    """Mean of c under the old law, its variance and third central moment, and the law's mass on c = 0."""
    mean, best = lanes(0.0), lanes(0.0)
    for a in range(q.shape[0]):
        mean = fused(get(q, (a,)), get(c, (a,)), mean)
        best += choose(get(c, (a,)) == 0.0, get(q, (a,)), 0.0)
    variance, third = lanes(0.0), lanes(0.0)
    for a in range(q.shape[0]):
        away = get(c, (a,)) - mean
        square = get(q, (a,)) * (away * away)
        variance += square
        third = fused(square, away, third)
    return mean, variance, third, best


@inner(LANES(LANES, LANES, LANES))
def small_price(variance: Any, third: Any, radius: Any) -> Any:
    """The price at which ``KL = radius`` to two orders of its root: KL = variance/(2 price^2) - 2 third/(3 price^3) + ..."""
    price = root(variance / (2.0 * radius))
    shrink = third / variance * (2.0 / 3.0) / price
    return price / (1.0 + smallest(largest(lanes(-0.5), shrink), lanes(1.0)))  # which is a number even where shrink is none


@inner(types.void(VECTOR, VECTOR, VECTOR, LANES, LANES, VECTOR))
def respond(q: Any, c: Any, regret: Any, y: Any, log_share: Any, p: Any) -> None:
    """Write the law at y, with 1 - share of its mass moved to the best actions."""
    total, mean, best = lanes(0.0), lanes(0.0), lanes(0.0)
    for a in range(q.shape[0]):
        weight = get(q, (a,)) / (y + get(c, (a,)))
        total += weight
        mean = fused(weight, get(c, (a,)), mean)
        best += choose(get(regret, (a,)) == 0.0, get(q, (a,)), 0.0)
    mean /= total
    share, moved = lanes(1.0), lanes(0.0)
    if some(log_share < 0.0):
        share, moved = exp(log_share), -grown(log_share)
    left = choose(best > 0.0, 0.0, moved)  # no best action is taken yet: the first gets it all
    best = choose(best > 0.0, best, 1.0)
    for a in range(q.shape[0]):
        old, sum_ = get(q, (a,)), y + get(c, (a,))
        x = (mean - get(c, (a,))) / sum_
        law = choose(x > -0.5, fused(old, x, old), old / (sum_ * total))
        law = largest(share * law, smallest(old, lanes(TINY)))
        law = choose(old > 0.0, law, 0.0)
        here = get(regret, (a,)) == 0.0
        put(p, (a,), law + choose(here, moved * (old / best) + left, 0.0))
        left = choose(here, 0.0, left)
