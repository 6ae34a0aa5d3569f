"""The law that gains most within a KL ball, for one state, and the ways in which states share a ball.

At one state with old law q and advantages A, every problem of this module has an answer of one shape (stationarity of
``sum_a p_a A_a - beta KL(q||p)``; the Lagrangian of the TRPO paper's eq. 11, arXiv:1502.05477v5, solved exactly):

    p_a = beta q_a / (nu - A_a)   where q_a > 0,      nu >= max_a A_a,

with any mass left over on a best action. beta is the *price* of KL, the gain that one more nat would buy; nu makes the
mass one. The max-KL ball gives every state a radius, the mean-KL ball one price to all states.

Numerically. Let c_a be the best *supported* action's advantage minus A_a, and y = nu minus it, so p_a ~ q_a w_a with
w_a = 1/(y + c_a). Write <f> for the mean of f under the law proportional to q w. Then

    x_a  = p_a/q_a - 1 = (<c> - c_a) w_a         (no difference of numbers near one),
    KL   = sum_a q_a (x_a - log(1 + x_a))        (a sum of nonnegative terms),
    beta = y + <c>,
    chi  = sum_a q_a x_a^2,    dKL/dy = -chi/beta,    dbeta/dy = 1 + chi,    dKL/dlog beta = -chi/(1 + chi).

y ranges over [gap, inf), where gap is how much better the best action of all is than the best supported one. At
y = gap > 0 the best action may take mass from the others in proportion: ``p = share (q w) + (1 - share) [best]``, and
-log(share) is added to KL.

Radii and prices so extreme that a probability would underflow are answered with that probability at ``TINY``, or at
q_a if that is smaller still: the distance stays finite and within the radius, the gain lost is below ``TINY``.
A mean KL is met to 1e-13 of the radius or to 1e-15, whichever is more, from inside.

Names in the kernels: ``q`` old law, ``regret`` max A - A over all actions, ``c`` and ``gap`` as above in units of a
``scale``, ``low`` the least admissible y.
"""

from __future__ import annotations

import math

import numpy as np

from mdps.kernels import inner, kernel

TINY = 1e-300
"""No action the old law takes gets a smaller probability than this (or its old one)."""

LEAST_RADIUS = 1e-200
"""Smaller radii are read as 0."""


@inner("f8(f8)")
def _excess(x):
    """``x - log(1 + x)`` to full relative precision, x > -1."""
    if abs(x) > 0.2:
        return x - math.log1p(x)
    s = x / (2.0 + x)  # log(1 + x) = 2 atanh(s) = 2 (s + s^3/3 + s^5/5 + ...)
    r = s * s
    tail = 1 / 3 + r * (1 / 5 + r * (1 / 7 + r * (1 / 9 + r * (1 / 11 + r * (1 / 13 + r * (1 / 15 + r * (1 / 17 + r / 19)))))))
    return s * (x - 2.0 * r * tail)


@inner("f8(f8[:],f8[:],f8,f8[:])")
def _shift(q, regret, scale, c):
    """Fill c in units of scale and return the gap in the same units."""
    gap = np.inf
    for a in range(q.shape[0]):
        if q[a] > 0.0 and regret[a] < gap:
            gap = regret[a]
    for a in range(q.shape[0]):
        c[a] = (regret[a] - gap) / scale
    return gap / scale


@inner("f8(f8[:],f8[:])")
def _reach(q, regret):
    """Largest regret of a supported action; 0 where nothing can be gained."""
    reach = 0.0
    for a in range(q.shape[0]):
        if q[a] > 0.0 and regret[a] > reach:
            reach = regret[a]
    return reach


@inner("UniTuple(f8,3)(f8[:],f8[:],f8)")
def _tilt(q, c, y):
    """KL, chi and price of the law proportional to q/(y + c)."""
    z = 0.0
    m = 0.0
    for a in range(q.shape[0]):
        if q[a] > 0.0:
            w = q[a] / (y + c[a])
            z += w
            m += w * c[a]
    mean = m / z
    kl = 0.0
    chi = 0.0
    for a in range(q.shape[0]):
        if q[a] > 0.0:
            x = (mean - c[a]) / (y + c[a])
            kl += q[a] * (_excess(x) if x > -0.5 else x + math.log((y + c[a]) * z))
            chi += q[a] * x * x
    return kl, chi, y + mean


@inner("f8(f8,f8,f8,f8,f8,f8,i8)")
def _next(y, value, slope, target, low, high, turn):
    """Next trial in (low, high) for ``value = target``, value decreasing in y > 0 with derivative slope in log y.

    Newton's rule for log(exp(value) - 1) as a function of log y, which is nearly straight both where value ~ y^-2 and
    where value ~ -log y; bisection of log y where that leaves the bracket, and every second turn once there were many.
    """
    if value > 0.0 and slope < 0.0 and (turn < 12 or turn % 2 == 0):
        rise = target + math.log(-math.expm1(-target)) - value - math.log(-math.expm1(-value))
        step = rise * -math.expm1(-value) / slope
        trial = y * math.exp(min(max(step, -50.0), 50.0))
        if low < trial < high:
            return trial
    return 1e4 * y if high == np.inf else math.sqrt(low) * math.sqrt(high)


@inner("f8(f8[:],f8[:],f8,f8,f8)")
def _at_radius(q, c, low, radius, y):
    """Least y >= low whose law is within the radius, to 1e-13 of it from inside. y > 0 is a first guess, 0 for none."""
    if _tilt(q, c, low)[0] <= radius:
        return low
    if y <= low:
        mean = 0.0
        best = 0.0
        for a in range(q.shape[0]):
            if q[a] > 0.0:
                mean += q[a] * c[a]
                best += q[a] if c[a] == 0.0 else 0.0
        variance = 0.0
        for a in range(q.shape[0]):
            if q[a] > 0.0:
                variance += q[a] * (c[a] - mean) ** 2
        price = math.sqrt(variance / (2.0 * radius))  # right for small radii, where KL = variance / (2 price^2)
        y = max(price - mean, best * price, 2.0 * low)
    target = radius * (1.0 - 5e-14)
    high = np.inf
    for turn in range(200):
        kl, chi, price = _tilt(q, c, y)
        if abs(kl - target) <= 4e-14 * radius:
            return y
        if kl > target:
            low = y
        else:
            high = y
        if high <= low * (1.0 + 1e-15):
            break
        y = _next(y, kl, -y * chi / price, target, low, high, turn)
    return high


@inner("f8(f8[:],f8[:],f8,f8,f8)")
def _at_price(q, c, low, price, y):
    """The y >= low whose law has this price, which is at least the price at low. y > 0 is a first guess."""
    best = 0.0
    reach = 0.0
    for a in range(q.shape[0]):
        if q[a] > 0.0:
            reach = max(reach, c[a])
            best += q[a] if c[a] == 0.0 else 0.0
    high = price * (1.0 + 1e-12)  # y <= price <= y + reach, and price <= y / best
    low = max(low, best * price * (1.0 - 1e-12), (price - reach) * (1.0 - 1e-12))
    if not low < y < high:
        y = low
    for turn in range(100):
        z = 0.0
        m = 0.0
        z2 = 0.0
        for a in range(q.shape[0]):
            if q[a] > 0.0:
                w = y / (y + c[a])
                z += q[a] * w
                m += q[a] * w * c[a]
                z2 += q[a] * w * w
        step = (price - y - m / z) * ((z / z2) * z)  # the price is concave in y with slope z2/z^2 >= 1
        if abs(step) <= 1e-15 * y or high <= low * (1.0 + 1e-15):
            break
        if step > 0.0:
            low = max(low, y)
        else:
            high = min(high, y)
        y = y + step if low < y + step < high and (turn < 12 or turn % 2 == 0) else math.sqrt(low) * math.sqrt(high)
    return y


@inner("void(f8[:],f8[:],f8[:],f8,f8,f8[:])")
def _respond(q, c, regret, y, log_share, p):
    """Write the law at y, with 1 - share of its mass moved to the best actions."""
    z = 0.0
    m = 0.0
    best = 0.0
    first = 0
    for a in range(q.shape[0] - 1, -1, -1):
        if regret[a] == 0.0:
            first = a
            best += q[a]
        if q[a] > 0.0:
            z += q[a] / (y + c[a])
            m += q[a] / (y + c[a]) * c[a]
    share = math.exp(log_share)
    rest = -math.expm1(log_share)
    for a in range(q.shape[0]):
        p[a] = 0.0
        if q[a] > 0.0:
            x = (m / z - c[a]) / (y + c[a])
            law = q[a] + q[a] * x if x > -0.5 else q[a] / ((y + c[a]) * z)
            p[a] = max(share * law, min(q[a], TINY))
            if regret[a] == 0.0:
                p[a] += rest * (q[a] / best)
    if best == 0.0:
        p[first] += rest


@kernel("(f8[:],f8[:],f8,f8[:])", "(a),(a),()->(a)")
def max_kl_law(q, regret, radius, p):
    """The best law with KL(q||p) <= radius (finite) at one state; q where nothing can be gained."""
    reach = _reach(q, regret)
    if not (reach > 0.0 and radius > LEAST_RADIUS):
        p[:] = q
        return
    c = np.empty(q.shape[0])
    gap = _shift(q, regret, reach, c)
    low = max(gap, TINY)
    y = _at_radius(q, c, low, radius, 0.0)
    left = radius * (1.0 - 1e-14) - _tilt(q, c, low)[0] if y == low else 0.0
    _respond(q, c, regret, y, -max(left, 0.0), p)


@inner("f8(f8[:,:],f8[:,:],f8[:],f8[:,:],f8[:],f8[:],f8[:])")
def _start(q, regret, weight, c, low, least_price, most_kl):
    """Fill the tables of the states that can move and return the scale, 0 if none can. low is 0 at the others."""
    scale = 0.0
    for s in range(q.shape[0]):
        low[s] = 0.0
        if weight[s] > 0.0:
            scale = max(scale, _reach(q[s], regret[s]))
    for s in range(q.shape[0]):
        if weight[s] > 0.0 and _reach(q[s], regret[s]) > 0.0:
            low[s] = max(_shift(q[s], regret[s], scale, c[s]), TINY)
            most_kl[s], _, least_price[s] = _tilt(q[s], c[s], low[s])
    return scale


@inner("UniTuple(f8,2)(f8[:,:],f8[:,:],f8[:],f8[:],f8[:],f8[:],f8,f8[:],f8[:])")
def _mean_kl(q, c, weight, low, least_price, most_kl, price, y, log_share):
    """Mean KL and its derivative in log(price), with every state at this price; y and log_share are set."""
    value = 0.0
    slope = 0.0
    for s in range(q.shape[0]):
        if low[s] > 0.0:
            if price <= least_price[s]:
                y[s] = low[s]
                log_share[s] = math.log(price / least_price[s])
                value += weight[s] * (most_kl[s] - log_share[s])
                slope -= weight[s]
            else:
                y[s] = _at_price(q[s], c[s], low[s], price, y[s])
                log_share[s] = 0.0
                kl, chi, _ = _tilt(q[s], c[s], y[s])
                value += weight[s] * kl
                slope -= weight[s] * chi / (1.0 + chi)
    return value, slope


@kernel("(f8[:,:],f8[:,:],f8[:],f8,f8[:,:])", "(s,a),(s,a),(s),()->(s,a)")
def mean_kl_law(q, regret, weight, radius, p):
    """The best laws with sum_s weight KL(q||p) <= radius (finite)."""
    n, actions = q.shape
    c = np.empty((n, actions))
    low, least_price, most_kl, y, log_share = np.empty(n), np.empty(n), np.empty(n), np.zeros(n), np.zeros(n)
    scale = _start(q, regret, weight, c, low, least_price, most_kl)
    p[:] = q
    if scale == 0.0 or not radius > LEAST_RADIUS:
        return
    least = 10.0 * TINY
    if _mean_kl(q, c, weight, low, least_price, most_kl, least, y, log_share)[0] > radius:
        target = radius * (1.0 - 5e-14)
        bottom = least
        high = np.inf
        price = max(1.0 / math.sqrt(8.0 * radius), 1e-3)  # no law on [0, scale] has a larger variance than scale^2 / 4
        y[:] = 0.0
        for turn in range(200):
            value, slope = _mean_kl(q, c, weight, low, least_price, most_kl, price, y, log_share)
            if abs(value - target) <= 4e-14 * radius:
                break
            if value > target:
                bottom = price
            else:
                high = price
            if high <= bottom * (1.0 + 1e-15):
                _mean_kl(q, c, weight, low, least_price, most_kl, high, y, log_share)
                break
            price = _next(price, value, slope, target, bottom, high, turn)
    for s in range(n):
        if low[s] > 0.0:
            _respond(q[s], c[s], regret[s], y[s], log_share[s], p[s])


@kernel("(f8[:,:],f8[:,:],f8[:],f8,f8[:,:])", "(s,a),(s,a),(s),()->(s,a)")
def priced_law(q, regret, weight, price, p):
    """The laws that maximise gain - price KL(q||p), 0 < price < inf, at every state of positive weight."""
    n, actions = q.shape
    c = np.empty((n, actions))
    low, least_price, most_kl, y, log_share = np.empty(n), np.empty(n), np.empty(n), np.zeros(n), np.zeros(n)
    scale = _start(q, regret, weight, c, low, least_price, most_kl)
    p[:] = q
    ratio = math.log(price) - math.log(scale) if scale > 0.0 else np.inf
    if ratio > -0.5 * math.log(LEAST_RADIUS):
        return
    price = math.exp(max(ratio, math.log(TINY)))
    _mean_kl(q, c, weight, low, least_price, most_kl, price, y, log_share)
    for s in range(n):
        if low[s] > 0.0:
            _respond(q[s], c[s], regret[s], y[s], log_share[s], p[s])


@inner("UniTuple(f8,2)(f8[:,:],f8[:,:],f8[:],f8[:],f8[:],f8[:],f8,f8[:],f8[:])")
def _total_price(q, c, weight, low, least_price, most_kl, radius, y, log_share):
    """Weighted sum of the states' prices and its derivative in log(radius), the radius shared; y and log_share are set."""
    value = 0.0
    slope = 0.0
    for s in range(q.shape[0]):
        if low[s] > 0.0:
            y[s] = _at_radius(q[s], c[s], low[s], radius, y[s])
            if y[s] == low[s]:
                log_share[s] = most_kl[s] - radius
                price = least_price[s] * math.exp(log_share[s])
                slope -= weight[s] * price * radius
            else:
                log_share[s] = 0.0
                _, chi, price = _tilt(q[s], c[s], y[s])
                slope -= weight[s] * price * (1.0 + chi) * (radius / chi if chi > 0.0 else 0.5)
            value += weight[s] * price
    return value, slope


@kernel("(f8[:,:],f8[:,:],f8[:],f8,f8[:,:])", "(s,a),(s,a),(s),()->(s,a)")
def max_penalised_law(q, regret, weight, price, p):
    """The laws that maximise sum_s weight gain - price max_s KL(q||p), 0 < price < inf, over states of positive weight.

    With all states in balls of radius r this is concave in r, and best where the states' prices sum to ``price``.
    """
    n, actions = q.shape
    c = np.empty((n, actions))
    low, least_price, most_kl, y, log_share = np.empty(n), np.empty(n), np.empty(n), np.zeros(n), np.zeros(n)
    scale = _start(q, regret, weight, c, low, least_price, most_kl)
    p[:] = q
    if scale == 0.0:
        return
    target = math.log(price) - math.log(scale)
    least, most = LEAST_RADIUS, 650.0
    radius = 0.1
    for turn in range(200):
        value, slope = _total_price(q, c, weight, low, least_price, most_kl, radius, y, log_share)
        miss = target - math.log(value) if value > 0.0 else np.inf
        if abs(miss) <= 1e-11:
            break
        if miss > 0.0:
            most = radius
        else:
            least = radius
        if most <= least * (1.0 + 1e-15):
            break
        # Newton's rule for log(value) against log(exp(radius) - 1), in which it is nearly straight at both ends
        trial = 0.0
        if slope < 0.0 and (turn < 12 or turn % 2 == 0):
            slack = -math.expm1(-radius)
            u = radius + math.log(slack) + miss * value / slope * (radius / slack)
            trial = u + math.log1p(math.exp(-u)) if u > 0.0 else math.log1p(math.exp(u))
        radius = trial if least < trial < most else math.sqrt(least) * math.sqrt(most)
    if radius <= 2.0 * LEAST_RADIUS:
        return
    for s in range(n):
        if low[s] > 0.0:
            _respond(q[s], c[s], regret[s], y[s], log_share[s], p[s])
