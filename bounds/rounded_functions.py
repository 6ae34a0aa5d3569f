"""Functions of one pair ``mid +- rad`` and of a row of them, case by case; see :mod:`bounds.rounding` for what a pair is.

:mod:`bounds.rounded` does the ordinary cases of many instances at once and leaves the others to these.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bounds.rounding import (
    GROW,
    LIBRARY,
    TINY,
    U,
    above,
    below,
    between,
    known,
    nonnegative,
    plus,
    product,
    quotient,
    two_sum,
)
from mdps.kernels import inner

SINGLE, DOUBLE, ROW = "UniTuple(f8,2)(f8,f8)", "UniTuple(f8,2)(f8,f8,f8,f8)", "UniTuple(f8,2)(f8[::1],f8[::1])"


@inner(DOUBLE)
def larger(a: Any, ra: Any, b: Any, rb: Any) -> Any:
    """Maximum of two: one of them where that is certain, the hull otherwise."""
    if below(a, ra) >= above(b, rb):
        return a, ra
    if below(b, rb) >= above(a, ra):
        return b, rb
    return between(max(below(a, ra), below(b, rb)), max(above(a, ra), above(b, rb)))


@inner(SINGLE)
def absolute(a: Any, ra: Any) -> Any:
    """Absolute value."""
    return (abs(a), ra) if ra <= abs(a) else nonnegative(abs(a), ra)


@inner(SINGLE)
def square_root(a: Any, ra: Any) -> Any:
    """Square root; unknown where the number may be negative. ``|sqrt x - sqrt a| <= r / sqrt a``."""
    if a == 0.0 and ra == 0.0:
        return 0.0, 0.0
    if not ra <= a:
        return 0.0, np.inf
    if ra > 0.5 * a:
        return between(0.0, np.sqrt(above(a, ra)) * GROW)
    m = np.sqrt(a)
    return m, 0.0 if a == np.inf else (U * m + ra / m) * GROW + TINY


@inner(SINGLE)
def exponential(a: Any, ra: Any) -> Any:
    """Exponential: ``|e^x - e^a| <= e^a (e^r - 1)``, or from end to end where r is no small number."""
    if ra == 0.0 and (a == 0.0 or abs(a) == np.inf):
        return np.exp(a), 0.0
    if ra < 0.01:
        value = np.exp(a)
        m, r = known(value, (LIBRARY * value + (1 + 2 * LIBRARY) * value * np.expm1(ra)) * GROW + TINY)
    else:
        low, high = np.exp(below(a, ra)) * (1 - 2 * LIBRARY), np.exp(above(a, ra)) * (1 + 2 * LIBRARY) + TINY
        m, r = between(max(low - TINY, 0.0), high) if high < np.inf else (0.0, np.inf)
    return (0.0, np.inf) if m == np.inf else (m, r)


@inner(SINGLE)
def exponential_less_one(a: Any, ra: Any) -> Any:
    """``e^x - 1``."""
    value = np.expm1(a)
    if ra == 0.0 and (a == 0.0 or abs(a) == np.inf):
        return value, 0.0
    m, r = known(value, (LIBRARY * abs(value) + (1 + 2 * LIBRARY) * np.exp(a) * np.expm1(ra)) * GROW + TINY)
    return (0.0, np.inf) if m == np.inf else (m, r)


@inner("UniTuple(f8,2)(f8,f8,f8,f8,f8)")
def _logged(a: Any, ra: Any, origin: Any, least: Any, value: Any) -> Any:
    """What a logarithm with a root at ``origin`` is, whose argument is at least ``least``: ``|log x - log a| <= r / least``."""
    if ra == 0.0 and (a == origin or a == np.inf):
        return value, 0.0
    if not least > 0.0 or not ra < np.inf:
        return 0.0, np.inf
    return known(value, (LIBRARY * abs(value) + ra / least) * GROW + TINY)


@inner(SINGLE)
def logarithm(a: Any, ra: Any) -> Any:
    """Natural logarithm; unknown where the number may be zero or negative."""
    return _logged(a, ra, 1.0, below(a, ra), np.log(a) if a > 0.0 else 0.0)


@inner(SINGLE)
def logarithm_of_one_more(a: Any, ra: Any) -> Any:
    """``log(1 + x)``; unknown where x may be -1 or less."""
    return _logged(a, ra, 0.0, (1.0 + below(a, ra)) * (1 - 4 * U), np.log1p(a) if a > -1.0 else 0.0)


@inner("UniTuple(f8,2)(f8,f8,f8)")
def power(a: Any, ra: Any, exponent: Any) -> Any:
    """Power with an exact exponent; unknown where the base may be negative and the exponent is no small integer."""
    if exponent == 0.0:
        return 1.0, 0.0
    if exponent == 1.0:
        return a, ra
    if exponent == 2.0:
        m, r = product(a, ra, a, ra)
        return nonnegative(m, r)
    if exponent > 0.0 and a == 0.0 and ra == 0.0:
        return 0.0, 0.0
    if not ra < a:
        return 0.0, np.inf
    value = a**exponent
    spread = np.expm1(abs(exponent) * (ra / ((a - ra) * (1 - 4 * U))) * GROW)  # the quotient first: the product may underflow
    m, r = known(value, ((LIBRARY + (1 + 2 * LIBRARY) * spread) * value) * GROW + TINY)
    return (0.0, np.inf) if m == np.inf else (m, r)


@inner(ROW)
def total(a: Any, ra: Any) -> Any:
    """Sum of a row; what each addition rounds away is known exactly and adds to the radius."""
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
        return known(s, radius)
    m, r = known(s, radius * (GROW + 4 * U * a.shape[0]))
    return nonnegative(m, r) if positive else (m, r)


@inner(ROW)
def most(a: Any, ra: Any) -> Any:
    """Maximum of a row: it lies above the largest mid less its radius, and below every ``mid + rad`` at once."""
    top, radius = -np.inf, 0.0
    for i in range(a.shape[0]):
        top, radius = max(top, a[i]), radius if a[i] == a[i] else np.inf
    for i in range(a.shape[0]):
        if top == np.inf and a[i] < np.inf and ra[i] < np.inf:
            continue
        radius = max(radius, ra[i] if a[i] == top else (ra[i] - (top - a[i]) * (1 - 4 * U)) * GROW)
    return known(top, radius)


@inner(ROW)
def span(a: Any, ra: Any) -> Any:
    """Maximum less minimum of a row: never negative, and zero for a single number."""
    top, bottom, up, down = -np.inf, np.inf, 0.0, 0.0
    for i in range(a.shape[0]):
        top, bottom, up = max(top, a[i]), min(bottom, a[i]), up if a[i] == a[i] else np.inf
    for i in range(a.shape[0]):
        up = max(up, ra[i] if a[i] == top else (ra[i] - (top - a[i]) * (1 - 4 * U)) * GROW)
        down = max(down, ra[i] if a[i] == bottom else (ra[i] - (a[i] - bottom) * (1 - 4 * U)) * GROW)
    if a.shape[0] == 1 and ra[0] < np.inf:
        return 0.0, 0.0
    m, r = plus(top, up, -bottom, down)
    return nonnegative(m, r)


@inner("void(f8[::1],f8[::1],f8[::1],f8[::1])")
def shares(w: Any, rw: Any, m: Any, r: Any) -> None:
    """``w / sum w`` of a row of nonnegative numbers; unknown if one of them may be negative.

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
            high = min(top / (top + least) * (1 + slack) + TINY, 1.0) if top + least < np.inf else 1.0
        elif least > 0.0:
            high = min(TINY * 2.0**61 / least + TINY, 1.0)
        if not 2 * r[i] <= high - low:
            m[i], r[i] = between(low, high)
