"""Operations on tables of pairs ``mid +- rad``, instances side by side: the compiled operations behind :mod:`bounds.enclosure`.

Tables are matrices [K, N], or [K, 1] where an entry is the same for all N; an operation reads its k-th entry from the row of each
matrix that an index [tables, K] names. A block of instances goes through the formulas of :mod:`bounds.rounding` without a branch,
which finds out which of them are out of the ordinary: a number that is infinite or unknown, a radius that reaches below zero.
Those alone are done again, one by one, as :mod:`bounds.rounding` and :mod:`bounds.rounded_functions` say: no number depends on
its neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds import rounded_functions as functions
from bounds.rounding import (
    GROW,
    LIBRARY,
    LITTLE,
    STEP,
    TINY,
    U,
    above,
    below,
    between,
    nonnegative,
    plus,
    product,
    quotient,
    two_sum,
)
from mdps.kernels import chunked, inner
from mdps.lane_masks import MASK, choose, fetch, fused, keep, largest, root, some, start
from mdps.lanes import LANES, TABLE, WIDTH, lanes

ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, MINIMUM, FALL, DISTANCE = range(8)
"""What :func:`combine` does; a fall is a difference that is known not to be positive, a distance the size of one."""

LESS, LESS_EQUAL, EQUAL = range(3)
"""What :func:`compare` asks."""

ABSOLUTE, ROOT, EXP, EXPM1, LOG, LOG1P, SQUARE = range(7)
"""What :func:`apply` does."""

TOTAL, MOST, SPAN = range(3)
"""What :func:`reduce` finds along rows."""

SMALL_RADIUS = 0.01
"""Up to here ``e^r - 1 <= r (1 + r)``, with room for the roundings."""

_PAIR = types.Tuple((LANES, LANES, MASK))
_FOUR = _PAIR(LANES, LANES, LANES, LANES)
_INDEX = types.Array(types.int64, 2, "C", readonly=True)
_OUT = types.float64[:, ::1]
_DECISIONS = types.boolean[:, ::1]
_BOTH = types.UniTuple(types.float64, 2)
_SIZE = types.int64


@inner(_FOUR)
def add(a: Any, ra: Any, b: Any, rb: Any) -> Any:
    """Sum of two pairs, and where :func:`bounds.rounding.plus` has to say what it is."""
    s, error = two_sum(a, b)
    r = (ra + rb + abs(error)) * GROW
    odd = ~(r <= abs(s))
    if some(odd):
        odd = ~(r < np.inf) | ((ra <= a) & (rb <= b) & (r > s))
    return s, r, odd


@inner(MASK(LANES))
def _doubles(x: Any) -> Any:
    size = abs(x)
    return (size == 1.0) | (size == 2.0) | (size == 4.0)


@inner(types.UniTuple(LANES, 2)(LANES, LANES, LANES, LANES))
def times(a: Any, ra: Any, b: Any, rb: Any) -> Any:
    """Product of two pairs; :func:`bounds.rounding.product` has to say what it is only where the radius is not below the mid.

    What the product rounds away is found by a fused multiply-add: exactly, or to within :data:`bounds.rounding.STEP`. So it is 0
    where a factor is 0, 1, 2 or 4. If that factor has no radius either, nothing of what is carried is rounded.
    """
    p = a * b
    off = abs(fused(a, b, -p)) + (abs(a) * rb + ra * (abs(b) + rb))
    r = off * GROW + TINY
    little = off < LITTLE
    if some(little):
        exact = ((ra == 0.0) & ((a == 0.0) | _doubles(a))) | ((rb == 0.0) & ((b == 0.0) | _doubles(b)))
        r = choose(little & exact, off, r)
    return p, r


@inner(_FOUR)
def multiply(a: Any, ra: Any, b: Any, rb: Any) -> Any:
    """Product of two pairs, and where :func:`bounds.rounding.product` has to say what it is."""
    p, r = times(a, ra, b, rb)
    odd = ~(r < np.inf)
    if some(~(r < abs(p))):
        odd |= (ra <= a) & (rb <= b) & (r > p)
    return p, r, odd


@inner(_FOUR)
def divide(a: Any, ra: Any, b: Any, rb: Any) -> Any:
    """Quotient of two pairs, and where :func:`bounds.rounding.quotient` has to say what it is."""
    q, wide = a / b, abs(b)
    exact = (rb == 0.0) & (
        (wide == 1.0) | (_doubles(b) & ((ra == 0.0) | (ra > TINY * 8)) & (abs(q) > TINY))
    )  # to halve or quarter rounds nothing
    least = choose(exact, wide, (wide - rb) * (1 - 4 * U))
    carried = (ra + choose(rb == 0.0, 0.0, abs(q) * (1 + 2 * U) * rb + STEP)) / least
    r = (U * abs(q) + carried) * GROW + TINY
    odd = ~(rb < wide) | ~(r < np.inf) | ~(wide < np.inf)
    r = choose(exact, carried, r)
    r = choose((a == 0.0) & (ra == 0.0), 0.0, r)
    return q, r, odd | ((ra <= a) & (rb <= b) & (r > q))


@inner(_FOUR)
def larger(a: Any, ra: Any, b: Any, rb: Any) -> Any:
    """Maximum of two pairs, and where :func:`bounds.rounded_functions.larger` has to say what it is."""
    low_a, high_a, low_b, high_b = below(a, ra), above(a, ra), below(b, rb), above(b, rb)
    first, second = low_a >= high_b, low_b >= high_a
    m, r = choose(first, a, b), choose(first, ra, rb)
    if some(~(first | second)):
        middle, half = between(largest(low_a, low_b), largest(high_a, high_b))
        m, r = choose(first | second, m, middle), choose(first | second, r, half)
    return m, r, ~(r < np.inf)


@inner(_BOTH(_SIZE, types.float64, types.float64, types.float64, types.float64))
def _combined(operation: Any, a: Any, ra: Any, b: Any, rb: Any) -> Any:
    if operation == ADD:
        return plus(a, ra, b, rb)
    if operation == SUBTRACT:
        return plus(a, ra, -b, rb)
    if operation == MULTIPLY:
        return product(a, ra, b, rb)
    if operation == DIVIDE:
        return quotient(a, ra, b, rb)
    if operation == FALL:
        m, r = plus(a, ra, -b, rb)
        m, r = nonnegative(-m, r)
        return -m, r
    if operation == DISTANCE:
        m, r = plus(a, ra, -b, rb)
        return functions.absolute(m, r)
    if operation == MAXIMUM:
        return functions.larger(a, ra, b, rb)
    m, r = functions.larger(-a, ra, -b, rb)
    return -m, r


@inner(types.float64(TABLE, _SIZE, _SIZE))
def single(matrix: Any, k: Any, i: Any) -> Any:
    """A number of row k of a matrix, that of the i-th instance."""
    return matrix[k, 0] if matrix.shape[1] == 1 else matrix[k, i]


@chunked(types.void(_SIZE, *[TABLE] * 4, _INDEX, _OUT, _OUT))
def combine(operation: Any, a: Any, ra: Any, b: Any, rb: Any, rows: Any, m: Any, r: Any) -> None:
    """Two pairs to one: :data:`ADD` and what follows it."""
    count, again = m.shape[1], np.empty((1, WIDTH), np.bool_)
    for k in range(m.shape[0]):
        ka, kra, kb, krb = rows[0, k], rows[1, k], rows[2, k], rows[3, k]
        for block in range((count + WIDTH - 1) // WIDTH):
            at = start(block, count)
            x, rx = fetch(a, ka, at), fetch(ra, kra, at)
            y, ry = fetch(b, kb, at), fetch(rb, krb, at)
            if operation == ADD:
                mid, rad, odd = add(x, rx, y, ry)
            elif operation == SUBTRACT:
                mid, rad, odd = add(x, rx, -y, ry)
            elif operation == MULTIPLY:
                mid, rad, odd = multiply(x, rx, y, ry)
            elif operation == DIVIDE:
                mid, rad, odd = divide(x, rx, y, ry)
            elif operation == FALL:
                mid, rad, odd = add(x, rx, -y, ry)
                mid, rad = nonnegative(-mid, rad)
                mid = -mid
            elif operation == DISTANCE:
                mid, rad, odd = add(x, rx, -y, ry)
                mid, rad = nonnegative(abs(mid), rad)
            elif operation == MAXIMUM:
                mid, rad, odd = larger(x, rx, y, ry)
            else:
                mid, rad, odd = larger(-x, rx, -y, ry)
                mid = -mid
            keep(mid, m, k, at)
            keep(rad, r, k, at)
            if some(odd):
                keep(odd, again, 0, 0)
                for i in range(at, at + WIDTH):
                    if again[0, i - at]:
                        m[k, i], r[k, i] = _combined(
                            operation, single(a, ka, i), single(ra, kra, i), single(b, kb, i), single(rb, krb, i)
                        )


@chunked(types.void(_SIZE, *[TABLE] * 4, _INDEX, _DECISIONS, _DECISIONS))
def compare(question: Any, a: Any, ra: Any, b: Any, rb: Any, rows: Any, possibly: Any, certainly: Any) -> None:
    """Whether ``x < y``, or as :data:`LESS` and what follows it say, may be and must be; two numbers must be equal if exact."""
    count = possibly.shape[1]
    for k in range(possibly.shape[0]):
        for block in range((count + WIDTH - 1) // WIDTH):
            at = start(block, count)
            x, rx = fetch(a, rows[0, k], at), fetch(ra, rows[1, k], at)
            y, ry = fetch(b, rows[2, k], at), fetch(rb, rows[3, k], at)
            low_x, high_x, low_y, high_y = below(x, rx), above(x, rx), below(y, ry), above(y, ry)
            sure = (rx < np.inf) & (ry < np.inf)
            if question == LESS:
                may, must = low_x < high_y, sure & (high_x < low_y)
            elif question == LESS_EQUAL:
                may, must = low_x <= high_y, sure & (high_x <= low_y)
            else:
                may, must = (low_x <= high_y) & (low_y <= high_x), (rx == 0.0) & (ry == 0.0) & (x == y)
            keep(may, possibly, k, at)
            keep(must, certainly, k, at)


@chunked(types.void(TABLE, TABLE, _INDEX, _OUT, _OUT))
def ends(a: Any, ra: Any, rows: Any, low: Any, high: Any) -> None:
    """The interval of a pair, rounded outwards."""
    for k in range(low.shape[0]):
        for block in range((low.shape[1] + WIDTH - 1) // WIDTH):
            at = start(block, low.shape[1])
            x, rx = fetch(a, rows[0, k], at), fetch(ra, rows[1, k], at)
            keep(below(x, rx), low, k, at)
            keep(above(x, rx), high, k, at)


@inner(_PAIR(LANES, LANES, LANES, LANES))
def _logged(a: Any, ra: Any, least: Any, value: Any) -> Any:
    r = (LIBRARY * abs(value) + ra / least) * GROW + TINY
    return value, r, ~(least > 0.0) | ~(r < np.inf) | ~(a < np.inf)


@inner(_BOTH(_SIZE, types.float64, types.float64))
def _applied(operation: Any, a: Any, ra: Any) -> Any:
    if operation == ABSOLUTE:
        return functions.absolute(a, ra)
    if operation == ROOT:
        return functions.square_root(a, ra)
    if operation == EXP:
        return functions.exponential(a, ra)
    if operation == EXPM1:
        return functions.exponential_less_one(a, ra)
    if operation == LOG:
        return functions.logarithm(a, ra)
    if operation == LOG1P:
        return functions.logarithm_of_one_more(a, ra)
    return functions.power(a, ra, 2.0)


@inner(_PAIR(_SIZE, LANES, LANES, LANES))
def _apply(operation: Any, a: Any, ra: Any, value: Any) -> Any:
    if operation == ABSOLUTE:
        m, r = nonnegative(abs(a), ra)
        return m, r, a != a
    if operation == ROOT:
        m = root(a)
        nothing = (a == 0.0) & (ra == 0.0)
        r = choose(nothing, 0.0, (U * m + ra / m) * GROW + TINY)
        return choose(nothing, 0.0, m), r, ~(ra <= 0.5 * a) | ~(a < np.inf)
    if operation == EXP:
        r = (LIBRARY * value + (1 + 2 * LIBRARY) * value * (ra * (1.0 + ra))) * GROW + TINY
        odd = ~(ra < SMALL_RADIUS) | ~(r < np.inf) | ~(abs(a) < np.inf)
        return value, choose((a == 0.0) & (ra == 0.0), 0.0, r), odd
    if operation == EXPM1:
        size = (value + 1.0) + (4 * LIBRARY * abs(value) + 4 * U)  # no less than e^a
        r = (LIBRARY * abs(value) + (1 + 2 * LIBRARY) * size * (ra * (1.0 + ra))) * GROW + TINY
        odd = ~(ra < SMALL_RADIUS) | ~(r < np.inf) | ~(abs(a) < np.inf)
        return value, choose((a == 0.0) & (ra == 0.0), 0.0, r), odd
    if operation == LOG:
        m, r, odd = _logged(a, ra, below(a, ra), value)
        return m, choose((a == 1.0) & (ra == 0.0), 0.0, r), odd
    if operation == LOG1P:
        m, r, odd = _logged(a, ra, (1.0 + below(a, ra)) * (1 - 4 * U), value)
        return m, choose((a == 0.0) & (ra == 0.0), 0.0, r), odd
    m, r, odd = multiply(a, ra, a, ra)
    return m, r, odd | (r > m)


@chunked(types.void(_SIZE, *[TABLE] * 3, _INDEX, _OUT, _OUT))
def apply(operation: Any, a: Any, ra: Any, value: Any, rows: Any, m: Any, r: Any) -> None:
    """A function of a pair: :data:`ABSOLUTE` and what follows it; ``value`` is that of the mid where a library is asked."""
    count, again = m.shape[1], np.empty((1, WIDTH), np.bool_)
    for k in range(m.shape[0]):
        for block in range((count + WIDTH - 1) // WIDTH):
            at = start(block, count)
            x, rx = fetch(a, rows[0, k], at), fetch(ra, rows[1, k], at)
            mid, rad, odd = _apply(operation, x, rx, fetch(value, rows[2, k], at))
            keep(mid, m, k, at)
            keep(rad, r, k, at)
            if some(odd):
                keep(odd, again, 0, 0)
                for i in range(at, at + WIDTH):
                    if again[0, i - at]:
                        m[k, i], r[k, i] = _applied(operation, single(a, rows[0, k], i), single(ra, rows[1, k], i))


@chunked(types.void(*[TABLE] * 4, _INDEX, _OUT, _OUT))
def power(a: Any, ra: Any, exponent: Any, value: Any, rows: Any, m: Any, r: Any) -> None:
    """``x^e`` for an exact e, where ``value`` is that of the mid."""
    count, again = m.shape[1], np.empty((1, WIDTH), np.bool_)
    for k in range(m.shape[0]):
        for block in range((count + WIDTH - 1) // WIDTH):
            at = start(block, count)
            x, rx = fetch(a, rows[0, k], at), fetch(ra, rows[1, k], at)
            e, found = fetch(exponent, rows[2, k], at), fetch(value, rows[3, k], at)
            moved = abs(e) * (rx / ((x - rx) * (1 - 4 * U))) * GROW  # the quotient first: the product may underflow
            rad = (LIBRARY + (1 + 2 * LIBRARY) * (moved * (1.0 + moved))) * found * GROW + TINY
            keep(found, m, k, at)
            keep(rad, r, k, at)
            odd = (e == 0.0) | (e == 1.0) | (e == 2.0)
            odd |= ~(rx < x) | ~(moved < SMALL_RADIUS) | ~(rad < np.inf)
            if some(odd):
                keep(odd, again, 0, 0)
                for i in range(at, at + WIDTH):
                    if again[0, i - at]:
                        m[k, i], r[k, i] = functions.power(
                            single(a, rows[0, k], i), single(ra, rows[1, k], i), single(exponent, rows[2, k], i)
                        )


@inner(_PAIR(TABLE, TABLE, _INDEX, _SIZE, _SIZE, _SIZE))
def summed(a: Any, ra: Any, rows: Any, first: Any, stop: Any, at: Any) -> Any:
    """Sum of a row, and where :func:`bounds.rounded_functions.total` has to say what it is."""
    s, radius = fetch(a, rows[0, first], at), fetch(ra, rows[1, first], at)
    positive = radius <= s
    for k in range(first + 1, stop):
        x, rx = fetch(a, rows[0, k], at), fetch(ra, rows[1, k], at)
        positive &= rx <= x
        s, error = two_sum(s, x)
        radius += rx + abs(error)
    r = radius * (GROW + 4 * U * (stop - first))
    return s, r, ~(r < np.inf) | ~(abs(s) < np.inf) | (positive & (r > s))


@inner(types.UniTuple(LANES, 2)(TABLE, TABLE, _INDEX, _SIZE, _SIZE, _SIZE, types.float64))
def _top(a: Any, ra: Any, rows: Any, first: Any, stop: Any, at: Any, sign: Any) -> Any:
    """The largest number of a row times ``sign``, and by how much a radius takes one beyond it."""
    top = sign * fetch(a, rows[0, first], at)
    for k in range(first + 1, stop):
        top = largest(top, sign * fetch(a, rows[0, k], at))
    radius = lanes(0.0)
    for k in range(first, stop):
        x, rx = sign * fetch(a, rows[0, k], at), fetch(ra, rows[1, k], at)
        off = choose(x == top, rx, (rx - (top - x) * (1 - 4 * U)) * GROW)
        radius = choose((off > radius) | (off != off), off, radius)  # what is nan stays
    return top, radius


@inner(_BOTH(_SIZE, types.float64[::1], types.float64[::1]))
def _reduced(question: Any, a: Any, ra: Any) -> Any:
    if question == TOTAL:
        return functions.total(a, ra)
    if question == MOST:
        return functions.most(a, ra)
    return functions.span(a, ra)


@inner(types.void(TABLE, TABLE, _INDEX, _SIZE, _SIZE, types.float64[::1], types.float64[::1]))
def column(a: Any, ra: Any, rows: Any, first: Any, i: Any, x: Any, rx: Any) -> None:
    """Write a row of the i-th instance, from ``first`` on, into x and rx."""
    for j in range(x.shape[0]):
        x[j], rx[j] = single(a, rows[0, first + j], i), single(ra, rows[1, first + j], i)


@chunked(types.void(_SIZE, TABLE, TABLE, _INDEX, _OUT, _OUT))
def reduce(question: Any, a: Any, ra: Any, rows: Any, m: Any, r: Any) -> None:
    """What rows of n pairs come to, :data:`TOTAL` and what follows it: entries [K n, N] to [K, N]."""
    count = m.shape[1]
    n = rows.shape[1] // m.shape[0]
    x, rx, again = np.empty(n), np.empty(n), np.empty((1, WIDTH), np.bool_)
    for k in range(m.shape[0]):
        first, stop = k * n, (k + 1) * n
        for block in range((count + WIDTH - 1) // WIDTH):
            at = start(block, count)
            if question == TOTAL:
                mid, rad, odd = summed(a, ra, rows, first, stop, at)
            else:
                mid, rad = _top(a, ra, rows, first, stop, at, 1.0)
                if question == SPAN:
                    bottom, down = _top(a, ra, rows, first, stop, at, -1.0)
                    mid, rad, odd = add(mid, rad, bottom, down)
                    odd |= rad > mid
                else:
                    odd = ~(rad < np.inf) | ~(abs(mid) < np.inf)
            keep(mid, m, k, at)
            keep(rad, r, k, at)
            if some(odd):
                keep(odd, again, 0, 0)
                for i in range(at, at + WIDTH):
                    if again[0, i - at]:
                        column(a, ra, rows, first, i, x, rx)
                        m[k, i], r[k, i] = _reduced(question, x, rx)


@chunked(types.void(TABLE, TABLE, _INDEX, _OUT, _OUT))
def middle(low: Any, high: Any, rows: Any, m: Any, r: Any) -> None:
    """Intervals as pairs."""
    for k in range(m.shape[0]):
        for block in range((m.shape[1] + WIDTH - 1) // WIDTH):
            at = start(block, m.shape[1])
            mid, rad = between(fetch(low, rows[0, k], at), fetch(high, rows[1, k], at))
            keep(mid, m, k, at)
            keep(rad, r, k, at)
