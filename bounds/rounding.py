"""Arithmetic on ``mid +- rad`` with every rounding counted: what single numbers do behind :mod:`bounds.enclosure`.

A pair (m, r) of floats stands for a number x with ``|x - m| <= r``. A radius of inf says that nothing is known, and is
written (0, inf). The mid may itself be inf, with radius 0: then x is inf. A radius of 0 says that x is the float m.

The standard model is used throughout: ``+ - * /`` and the square root are the exact results rounded to nearest, so each is
off by at most ``u |result|`` with u = 2^-53, and by at most the smallest normal number where the result is subnormal. What an
addition rounds away is found exactly (Knuth's TwoSum). Exponentials, logarithms and powers are taken to be right to 4 ulp, which
is what is said of the vectorised ones behind numpy, and a test here measures; subnormal ones to well within :data:`TINY`. Radii
are added up in ordinary arithmetic and then multiplied by :data:`GROW`, which outweighs the few roundings made on the way.

Functions without a branch serve single floats and lanes (:mod:`mdps.lane_masks`) alike; :mod:`bounds.rounded` has the rest of the
operations for lanes, and leaves the cases that are out of the ordinary to those here.
"""

from __future__ import annotations

import numpy as np
from numba import types

from mdps.kernels import inner
from mdps.lane_masks import choose, fused, largest, some
from mdps.lanes import LANES

U = 2.0**-53
"""Unit roundoff of a float64."""

TINY = 2.0**-1022
"""The smallest normal number: more than any loss by underflow."""

STEP = 2.0**-1074
"""The smallest float: more than a product loses by underflow. Before a division by a small number that may be much."""

LITTLE = TINY * 2.0**60
"""A radius above is hardly larger by :data:`TINY`."""

GROW = 1 + 2.0**-48
"""Outweighs 30 roundings of a nonnegative number."""

LIBRARY = 2.0**-50
"""Relative error of exp, expm1, log, log1p and pow: 4 ulp."""


_ONE, _BOTH = types.float64, types.UniTuple(types.float64, 2)
_LANES = types.UniTuple(LANES, 2)


@inner([_BOTH(_ONE, _ONE), _LANES(LANES, LANES)])
def two_sum(a, b):
    """``a + b`` rounded, and what the rounding took away, exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@inner([_ONE(_ONE, _ONE), LANES(LANES, LANES)])
def above(m, r):
    """A float that is at least ``m + r``, and equal to it where that is a float."""
    s, error = two_sum(m, r)
    return choose(error > 0.0, s + abs(s) * 2.0**-52, s)


@inner([_ONE(_ONE, _ONE), LANES(LANES, LANES)])
def below(m, r):
    """A float that is at most ``m - r``, and equal to it where that is a float."""
    return -above(-m, r)


@inner([_BOTH(_ONE, _ONE), _LANES(LANES, LANES)])
def known(m, r):
    """The pair itself; nothing known where a nan or an overflow has come in."""
    right = (r < np.inf) & (m == m)
    return choose(right, m, 0.0), choose(right, r, np.inf)


@inner([_BOTH(_ONE, _ONE), _LANES(LANES, LANES)])
def between(low, high):
    """The interval [low, high] as a pair; its lower end stays at or above zero where it was exactly that."""
    m = 0.5 * low + 0.5 * high
    m, r = known(m, largest(above(high, -m), above(m, -low)))
    return choose(low == high, low, m), choose(low == high, 0.0, r)


@inner([_BOTH(_ONE, _ONE), _LANES(LANES, LANES)])
def nonnegative(m, r):
    """The pair of a number that cannot be negative: what lies below zero is cut off, so that its root can be taken."""
    cut = (r > m) & (r < np.inf)
    if some(cut):
        middle, half = between(choose(cut, 0.0, 0.0), above(m, r))
        m, r = choose(cut, middle, m), choose(cut, half, r)
    return m, r


@inner("UniTuple(f8,2)(f8,f8,f8,f8)")
def plus(a, ra, b, rb):
    """Sum of two pairs."""
    s, error = two_sum(a, b)
    if abs(s) == np.inf:
        infinite = abs(a) == np.inf or abs(b) == np.inf
        return known(s, 0.0 if infinite and ra < np.inf and rb < np.inf else np.inf)
    m, r = known(s, (ra + rb + abs(error)) * GROW)
    return nonnegative(m, r) if ra <= a and rb <= b else (m, r)


@inner("b1(f8)")
def doubles(x):
    """Whether a product with x is exact: x is +-1, +-2 or +-4."""
    return abs(x) == 1.0 or abs(x) == 2.0 or abs(x) == 4.0


@inner("UniTuple(f8,2)(f8,f8,f8,f8)")
def product(a, ra, b, rb):
    """Product of two pairs; exactly zero where a factor is and the other is finite."""
    p = a * b
    if abs(p) == np.inf:
        infinite = (abs(a) == np.inf and rb < abs(b)) or (abs(b) == np.inf and ra < abs(a))
        return known(p, 0.0 if infinite else np.inf)
    if (ra == 0.0 and a == 0.0) or (rb == 0.0 and b == 0.0):
        return known(p, 0.0 if ra < np.inf and rb < np.inf else np.inf)
    off = abs(fused(a, b, -p)) + (abs(a) * rb + ra * (abs(b) + rb))  # what the product rounds away, and what it carries
    m, r = known(p, off * GROW + TINY)
    beyond = ra <= a and rb <= b and r > m
    exact = (rb == 0.0 and doubles(b)) or (ra == 0.0 and doubles(a))
    if exact and (beyond or off < LITTLE):
        return p, off
    return nonnegative(m, r) if beyond else (m, r)


@inner("UniTuple(f8,2)(f8,f8,f8,f8)")
def quotient(a, ra, b, rb):
    """Quotient of two pairs: ``|x/y - a/b| <= (ra + |a/b| rb) / (|b| - rb)``; infinite where the divisor is exactly zero."""
    if b == 0.0 and rb == 0.0 and ra < abs(a) and ra < np.inf:
        return np.copysign(np.inf, a), 0.0
    if not rb < abs(b) or not ra < np.inf:
        return 0.0, np.inf
    q = a / b
    if (a == 0.0 and ra == 0.0) or (abs(b) == np.inf and abs(a) < np.inf):
        return q, 0.0
    if abs(q) == np.inf:
        return known(q, 0.0 if abs(a) == np.inf else np.inf)
    if rb == 0.0 and (abs(b) == 1.0 or (doubles(b) and (ra == 0.0 or ra > TINY * 8) and abs(q) > TINY)):
        return q, ra / abs(b)
    least = (abs(b) - rb) * (1 - 4 * U)
    carried = 0.0 if rb == 0.0 else abs(q) * (1 + 2 * U) * rb + STEP
    m, r = known(q, (U * abs(q) + (ra + carried) / least) * GROW + TINY)
    return nonnegative(m, r) if ra <= a and rb <= b else (m, r)
