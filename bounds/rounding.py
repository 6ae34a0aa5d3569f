"""Arithmetic on ``mid +- rad`` with every rounding counted: the compiled operations behind :mod:`bounds.enclosure`.

A pair (m, r) of floats stands for a number x with ``|x - m| <= r``. A radius of inf says that nothing is known, and is
written (0, inf). The mid may itself be inf, with radius 0: then x is inf. A radius of 0 says that x is the float m.

The standard model is used throughout: ``+ - * /`` and the square root are the exact results rounded to nearest, so each is
off by at most ``u |result|`` with u = 2^-53, and by at most the smallest normal number where the result is subnormal. What an
addition rounds away is found exactly (Knuth's TwoSum). Exponentials, logarithms and powers are taken to be right to 4 ulp, as
the libraries behind numpy and numba promise. Radii are added up in ordinary arithmetic and then multiplied by :data:`GROW`,
which outweighs the few roundings made on the way.
"""

from __future__ import annotations

import numpy as np

from mdps.kernels import inner, kernel

U = 2.0**-53
"""Unit roundoff of a float64."""

TINY = 2.0**-1022
"""The smallest normal number: more than any loss by underflow."""

GROW = 1 + 2.0**-48
"""Outweighs 30 roundings of a nonnegative number."""

LIBRARY = 2.0**-50
"""Relative error of exp, expm1, log, log1p and pow: 4 ulp."""

PAIRS = "void(f8[:],f8[:],f8[:],f8[:],f8[:],f8[:])"
DECISION = "void(f8[:],f8[:],f8[:],f8[:],b1[:],b1[:])"
BINARY = "(n),(n),(n),(n)->(n),(n)"
SINGLE = "void(f8[:],f8[:],f8[:],f8[:])"
UNARY = "(n),(n)->(n),(n)"


@inner("UniTuple(f8,2)(f8,f8)")
def two_sum(a, b):
    """``a + b`` rounded, and what the rounding took away, exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@inner("f8(f8,f8)")
def above(m, r):
    """A float that is at least ``m + r``, and equal to it where that is a float."""
    s, error = two_sum(m, r)
    if error > 0.0:
        s += abs(s) * 2.0**-52
    return s


@inner("f8(f8,f8)")
def below(m, r):
    """A float that is at most ``m - r``, and equal to it where that is a float."""
    return -above(-m, r)


@inner("UniTuple(f8,2)(f8,f8)")
def known(m, r):
    """The pair itself; nothing known where a nan or an overflow has come in."""
    if r < np.inf and m == m:
        return m, r
    return 0.0, np.inf


@inner("UniTuple(f8,2)(f8,f8)")
def between(low, high):
    """The interval [low, high] as a pair; its lower end stays at or above zero where it was exactly that."""
    if low == high:
        return low, 0.0
    m = 0.5 * low + 0.5 * high
    return known(m, max(above(high, -m), above(m, -low)))


@inner("UniTuple(f8,2)(f8,f8)")
def nonnegative(m, r):
    """The pair of a number that cannot be negative: what lies below zero is cut off, so that its root can be taken."""
    if r <= m or not r < np.inf:
        return m, r
    return between(0.0, above(m, r))


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
    if (rb == 0.0 and doubles(b)) or (ra == 0.0 and doubles(a)):
        return p, ra * abs(b) + rb * abs(a)
    m, r = known(p, (U * abs(p) + abs(a) * rb + ra * (abs(b) + rb)) * GROW + TINY)
    return nonnegative(m, r) if ra <= a and rb <= b else (m, r)


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
    m, r = known(q, (U * abs(q) + (ra + abs(q) * (1 + 2 * U) * rb) / least) * GROW + TINY)
    return nonnegative(m, r) if ra <= a and rb <= b else (m, r)


@kernel(PAIRS, BINARY)
def add(a, ra, b, rb, m, r):
    """Elementwise sum."""
    for i in range(a.shape[0]):
        m[i], r[i] = plus(a[i], ra[i], b[i], rb[i])


@kernel(PAIRS, BINARY)
def subtract(a, ra, b, rb, m, r):
    """Elementwise difference."""
    for i in range(a.shape[0]):
        m[i], r[i] = plus(a[i], ra[i], -b[i], rb[i])


@kernel(PAIRS, BINARY)
def multiply(a, ra, b, rb, m, r):
    """Elementwise product."""
    for i in range(a.shape[0]):
        m[i], r[i] = product(a[i], ra[i], b[i], rb[i])


@kernel(PAIRS, BINARY)
def divide(a, ra, b, rb, m, r):
    """Elementwise quotient; unknown where the divisor may be zero."""
    for i in range(a.shape[0]):
        m[i], r[i] = quotient(a[i], ra[i], b[i], rb[i])


@kernel(PAIRS, BINARY)
def maximum(a, ra, b, rb, m, r):
    """Elementwise maximum: one of the two where that is certain, the hull otherwise."""
    for i in range(a.shape[0]):
        if below(a[i], ra[i]) >= above(b[i], rb[i]):
            m[i], r[i] = a[i], ra[i]
        elif below(b[i], rb[i]) >= above(a[i], ra[i]):
            m[i], r[i] = b[i], rb[i]
        else:
            m[i], r[i] = between(max(below(a[i], ra[i]), below(b[i], rb[i])), max(above(a[i], ra[i]), above(b[i], rb[i])))


@kernel(SINGLE, UNARY)
def absolute(a, ra, m, r):
    """Elementwise absolute value."""
    for i in range(a.shape[0]):
        m[i], r[i] = (abs(a[i]), ra[i]) if ra[i] <= abs(a[i]) else nonnegative(abs(a[i]), ra[i])


@kernel(SINGLE, UNARY)
def square_root(a, ra, m, r):
    """Elementwise square root; unknown where the number may be negative. ``|sqrt x - sqrt a| <= r / sqrt a``."""
    for i in range(a.shape[0]):
        if a[i] == 0.0 and ra[i] == 0.0:
            m[i], r[i] = 0.0, 0.0
        elif not ra[i] <= a[i]:
            m[i], r[i] = 0.0, np.inf
        elif ra[i] > 0.5 * a[i]:
            m[i], r[i] = between(0.0, np.sqrt(above(a[i], ra[i])) * GROW)
        else:
            m[i] = np.sqrt(a[i])
            r[i] = 0.0 if a[i] == np.inf else (U * m[i] + ra[i] / m[i]) * GROW + TINY


@kernel(SINGLE, UNARY)
def exponential(a, ra, m, r):
    """Elementwise exponential: ``|e^x - e^a| <= e^a (e^r - 1)``, or from end to end where r is no small number."""
    for i in range(a.shape[0]):
        if ra[i] == 0.0 and (a[i] == 0.0 or abs(a[i]) == np.inf):
            m[i], r[i] = np.exp(a[i]), 0.0
        elif ra[i] < 0.01:
            value = np.exp(a[i])
            m[i], r[i] = known(value, (LIBRARY * value + (1 + 2 * LIBRARY) * value * np.expm1(ra[i])) * GROW + TINY)
        else:
            low, high = np.exp(below(a[i], ra[i])) * (1 - 2 * LIBRARY), np.exp(above(a[i], ra[i])) * (1 + 2 * LIBRARY) + TINY
            m[i], r[i] = between(max(low - TINY, 0.0), high) if high < np.inf else (0.0, np.inf)
        if m[i] == np.inf and a[i] < np.inf:
            m[i], r[i] = 0.0, np.inf


@kernel(SINGLE, UNARY)
def exponential_less_one(a, ra, m, r):
    """Elementwise ``e^x - 1``."""
    for i in range(a.shape[0]):
        m[i] = np.expm1(a[i])
        if ra[i] == 0.0 and (a[i] == 0.0 or abs(a[i]) == np.inf):
            r[i] = 0.0
        else:
            m[i], r[i] = known(m[i], (LIBRARY * abs(m[i]) + (1 + 2 * LIBRARY) * np.exp(a[i]) * np.expm1(ra[i])) * GROW + TINY)
            if m[i] == np.inf:
                m[i], r[i] = 0.0, np.inf


@inner("UniTuple(f8,2)(f8,f8,f8,f8,f8)")
def _logged(a, ra, origin, least, value):
    """What a logarithm with a root at ``origin`` is, whose argument is at least ``least``: ``|log x - log a| <= r / least``."""
    if ra == 0.0 and (a == origin or a == np.inf):
        return value, 0.0
    if not least > 0.0 or not ra < np.inf:
        return 0.0, np.inf
    return known(value, (LIBRARY * abs(value) + ra / least) * GROW + TINY)


@kernel(SINGLE, UNARY)
def logarithm(a, ra, m, r):
    """Elementwise natural logarithm; unknown where the number may be zero or negative."""
    for i in range(a.shape[0]):
        m[i], r[i] = _logged(a[i], ra[i], 1.0, below(a[i], ra[i]), np.log(a[i]) if a[i] > 0.0 else 0.0)


@kernel(SINGLE, UNARY)
def logarithm_of_one_more(a, ra, m, r):
    """Elementwise ``log(1 + x)``; unknown where x may be -1 or less."""
    for i in range(a.shape[0]):
        m[i], r[i] = _logged(a[i], ra[i], 0.0, (1.0 + below(a[i], ra[i])) * (1 - 4 * U), np.log1p(a[i]) if a[i] > -1.0 else 0.0)


@kernel("void(f8[:],f8[:],f8[:],f8[:],f8[:])", "(n),(n),(n)->(n),(n)")
def power(a, ra, exponent, m, r):
    """Elementwise power with an exact exponent; unknown where the base may be negative and the exponent is no small integer."""
    for i in range(a.shape[0]):
        if exponent[i] == 0.0:
            m[i], r[i] = 1.0, 0.0
        elif exponent[i] == 1.0:
            m[i], r[i] = a[i], ra[i]
        elif exponent[i] == 2.0:
            m[i], r[i] = nonnegative(*product(a[i], ra[i], a[i], ra[i]))
        elif exponent[i] > 0.0 and a[i] == 0.0 and ra[i] == 0.0:
            m[i], r[i] = 0.0, 0.0
        elif not ra[i] < a[i]:
            m[i], r[i] = 0.0, np.inf
        else:
            value = a[i] ** exponent[i]
            spread = np.expm1(abs(exponent[i]) * ra[i] / ((a[i] - ra[i]) * (1 - 4 * U)) * GROW)
            m[i], r[i] = known(value, ((LIBRARY + (1 + 2 * LIBRARY) * spread) * value) * GROW + TINY)
            if m[i] == np.inf:
                m[i], r[i] = 0.0, np.inf


@kernel(DECISION, BINARY)
def less_equal(a, ra, b, rb, possibly, certainly):
    """Whether ``x <= y`` may be, and whether it must be."""
    for i in range(a.shape[0]):
        possibly[i] = below(a[i], ra[i]) <= above(b[i], rb[i])
        certainly[i] = ra[i] < np.inf and rb[i] < np.inf and above(a[i], ra[i]) <= below(b[i], rb[i])


@kernel(DECISION, BINARY)
def less(a, ra, b, rb, possibly, certainly):
    """Whether ``x < y`` may be, and whether it must be."""
    for i in range(a.shape[0]):
        possibly[i] = below(a[i], ra[i]) < above(b[i], rb[i])
        certainly[i] = ra[i] < np.inf and rb[i] < np.inf and above(a[i], ra[i]) < below(b[i], rb[i])


@kernel(DECISION, BINARY)
def equal(a, ra, b, rb, possibly, certainly):
    """Whether ``x == y`` may be, and whether it must be: only two exact numbers must."""
    for i in range(a.shape[0]):
        possibly[i] = below(a[i], ra[i]) <= above(b[i], rb[i]) and below(b[i], rb[i]) <= above(a[i], ra[i])
        certainly[i] = ra[i] == 0.0 and rb[i] == 0.0 and a[i] == b[i]


@kernel("void(b1[:],b1[:],f8[:],f8[:],f8[:],f8[:],f8[:],f8[:])", "(n),(n),(n),(n),(n),(n)->(n),(n)")
def select(possibly, certainly, a, ra, b, rb, m, r):
    """One of two pairs by a decision; their hull where it is open."""
    for i in range(possibly.shape[0]):
        if certainly[i]:
            m[i], r[i] = a[i], ra[i]
        elif not possibly[i]:
            m[i], r[i] = b[i], rb[i]
        elif ra[i] == rb[i] and a[i] == b[i]:
            m[i], r[i] = a[i], ra[i]
        else:
            m[i], r[i] = between(min(below(a[i], ra[i]), below(b[i], rb[i])), max(above(a[i], ra[i]), above(b[i], rb[i])))


@kernel(SINGLE, UNARY)
def ends(a, ra, low, high):
    """The interval of a pair, rounded outwards."""
    for i in range(a.shape[0]):
        low[i], high[i] = below(a[i], ra[i]), above(a[i], ra[i])


@kernel(SINGLE, "(n),(n)->(),()")
def total(a, ra, m, r):
    """Sum along an axis; what each addition rounds away is known exactly and adds to the radius."""
    s, radius = 0.0, 0.0
    infinite, positive = False, True
    for i in range(a.shape[0]):
        infinite |= abs(a[i]) == np.inf
        positive &= ra[i] <= a[i]
        s, error = two_sum(s, a[i])
        radius += ra[i] + abs(error)
    if abs(s) == np.inf or infinite:
        radius = 0.0 if infinite else np.inf
        for i in range(a.shape[0]):
            radius += ra[i] if ra[i] == np.inf else 0.0
        m[0], r[0] = known(s, radius)
    else:
        m[0], r[0] = known(s, radius * (GROW + 4 * U * a.shape[0]))
        if positive:
            m[0], r[0] = nonnegative(m[0], r[0])


@kernel(SINGLE, "(n),(n)->(),()")
def largest(a, ra, m, r):
    """Maximum along an axis: it lies above the largest mid less its radius, and below every ``mid + rad`` at once."""
    top = -np.inf
    for i in range(a.shape[0]):
        top = max(top, a[i])
    radius = 0.0
    for i in range(a.shape[0]):
        if top == np.inf and a[i] < np.inf and ra[i] < np.inf:
            continue
        radius = max(radius, ra[i] if a[i] == top else (ra[i] - (top - a[i]) * (1 - 4 * U)) * GROW)
    m[0], r[0] = known(top, radius)


@kernel(SINGLE, "(n),(n)->(),()")
def span(a, ra, m, r):
    """Maximum less minimum along an axis: never negative, and zero for a single number."""
    top, bottom = -np.inf, np.inf
    for i in range(a.shape[0]):
        top, bottom = max(top, a[i]), min(bottom, a[i])
    up, down = 0.0, 0.0
    for i in range(a.shape[0]):
        up = max(up, ra[i] if a[i] == top else (ra[i] - (top - a[i]) * (1 - 4 * U)) * GROW)
        down = max(down, ra[i] if a[i] == bottom else (ra[i] - (a[i] - bottom) * (1 - 4 * U)) * GROW)
    if a.shape[0] == 1 and ra[0] < np.inf:
        m[0], r[0] = 0.0, 0.0
    else:
        m[0], r[0] = nonnegative(*plus(top, up, -bottom, down))


@kernel(SINGLE, UNARY)
def shares(w, rw, m, r):
    """``w / sum w`` of nonnegative numbers along an axis; unknown if one of them may be negative.

    The plain quotient while radii are small. Else ``w_i / (w_i + rest)`` lies between what the ends of w_i and of the rest give,
    each of which costs n+2 roundings, and between 0 and 1.
    """
    n = w.shape[0]
    s, rs, most = 0.0, 0.0, 0.0
    for i in range(n):
        s, rs = plus(s, rs, w[i], rw[i])
        most = max(most, w[i] + rw[i])
    certain = most < np.inf and most > TINY * 2.0**60
    for i in range(n):
        certain &= rw[i] <= w[i]
    for i in range(n):
        m[i], r[i] = quotient(w[i], rw[i], s, rs) if certain else (0.0, np.inf)
        if r[i] <= 2.0**-20 * m[i] or not certain:
            continue
        bottom, top, least, largest = w[i] - rw[i], w[i] + rw[i], 0.0, 0.0
        for j in range(n):
            if j != i:
                least, largest = least + (w[j] - rw[j]), largest + (w[j] + rw[j])
        slack = 2 * (n + 4) * U
        low = max(bottom / (bottom + largest) * (1 - slack) - TINY, 0.0) if bottom > 0.0 else 0.0
        high = 1.0
        if top > TINY * 2.0**60:
            high = min(top / (top + least) * (1 + slack) + TINY, 1.0)
        elif least > 0.0:
            high = min(TINY * 2.0**61 / least, 1.0)
        if not 2 * r[i] <= high - low:
            m[i], r[i] = between(low, high)


@kernel("void(f8[:],f8[:],f8[:],f8[:],f8[:],f8[:])", BINARY)
def confine(a, ra, low, high, m, r):
    """Numbers that are known to lie in [low, high] too."""
    for i in range(a.shape[0]):
        m[i], r[i] = a[i], ra[i]
        if ra[i] > 0.5 * (high[i] - low[i]):
            m[i], r[i] = between(max(low[i], below(a[i], ra[i])), min(high[i], above(a[i], ra[i])))
