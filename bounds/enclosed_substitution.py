"""A right-hand side through the stages of an elimination and back: substitution with its factors, in the right-hand side's place.

Values descend through the stages and ascend again; visits are swept the other way, through the transposed factors. Each function
works in two floats, and its twin named ``_size`` in one: where tables have radii, and on what entries may be off by. All return
the least product of two numbers that are not zero: by it :mod:`bounds.enclosed_radii` tells whether one may have underflown.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds import doubled
from bounds.enclosed_elimination import lesser
from bounds.enclosed_planes import MATRIX, VECTOR
from mdps.kernels import inner
from mdps.lane_masks import smallest
from mdps.lanes import LANES, get, lanes, put

# -- in two floats -----------------------------------------------------------------------------------------------------------


@inner(types.UniTuple(LANES, 3)(*[LANES] * 7))
def _plus(total: Any, rest: Any, a: Any, al: Any, b: Any, bl: Any, least: Any) -> Any:
    """A sum with one more product, and the least of its products that are of no zero."""
    p, pl = doubled.multiply(a, al, b, bl)
    total, rest = doubled.add(total, rest, p, pl)
    return total, rest, lesser(least, p, (a != 0.0) & (b != 0.0))


@inner(LANES(MATRIX, MATRIX, VECTOR, VECTOR))
def descend(m: Any, ml: Any, x: Any, xl: Any) -> Any:
    """Take a reward through the stages; the least product."""
    least = lanes(np.inf)
    for k in range(1, x.shape[0]):
        total, rest = get(x, (k,)), get(xl, (k,))
        for j in range(k):
            total, rest, least = _plus(total, rest, get(m, (k, j)), get(ml, (k, j)), get(x, (j,)), get(xl, (j,)), least)
        put(x, (k,), total)
        put(xl, (k,), rest)
    return least


@inner(LANES(MATRIX, MATRIX, VECTOR, VECTOR, types.int64))
def ascend(m: Any, ml: Any, x: Any, xl: Any, stop: Any) -> Any:
    """Solve for the states before ``stop``, from those that were eliminated last; the least product."""
    least = lanes(np.inf)
    for k in range(stop - 1, -1, -1):
        total, rest = get(x, (k,)), get(xl, (k,))
        for j in range(k + 1, stop):
            total, rest, least = _plus(total, rest, get(m, (k, j)), get(ml, (k, j)), get(x, (j,)), get(xl, (j,)), least)
        total, rest = doubled.divide(total, rest, get(m, (k, k)), get(ml, (k, k)))
        put(x, (k,), total)
        put(xl, (k,), rest)
    return least


@inner(types.UniTuple(LANES, 3)(MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, types.float64))
def ascend_relative(m: Any, ml: Any, time: Any, tl: Any, x: Any, xl: Any, sign: Any) -> Any:
    """Solve for relative values; the level in two floats, and the least product."""
    last = x.shape[0] - 1
    c, cl = doubled.divide(get(x, (last,)), get(xl, (last,)), get(time, (last,)), get(tl, (last,)))
    put(x, (last,), lanes(0.0))
    put(xl, (last,), lanes(0.0))
    least = lesser(lanes(np.inf), c, c != 0.0)
    for k in range(last):
        p, pl = doubled.multiply(sign * c, sign * cl, get(time, (k,)), get(tl, (k,)))
        y, yl = doubled.add(get(x, (k,)), get(xl, (k,)), p, pl)
        put(x, (k,), y)
        put(xl, (k,), yl)
    return c, cl, smallest(least, ascend(m, ml, x, xl, last))


@inner(LANES(MATRIX, MATRIX, VECTOR, VECTOR, types.int64))
def sweep(m: Any, ml: Any, x: Any, xl: Any, stop: Any) -> Any:
    """Take a source through the stages, and divide it by the pivots of the states before ``stop``; the least product."""
    least = lanes(np.inf)
    for k in range(stop):
        total, rest = get(x, (k,)), get(xl, (k,))
        for j in range(k):
            total, rest, least = _plus(total, rest, get(m, (j, k)), get(ml, (j, k)), get(x, (j,)), get(xl, (j,)), least)
        total, rest = doubled.divide(total, rest, get(m, (k, k)), get(ml, (k, k)))
        put(x, (k,), total)
        put(xl, (k,), rest)
    return least


@inner(LANES(MATRIX, MATRIX, VECTOR, VECTOR))
def sweep_back(m: Any, ml: Any, x: Any, xl: Any) -> Any:
    """Add to each state the visits on the way between those that were eliminated after it; the least product."""
    least = lanes(np.inf)
    for k in range(x.shape[0] - 2, -1, -1):
        total, rest = get(x, (k,)), get(xl, (k,))
        for j in range(k + 1, x.shape[0]):
            total, rest, least = _plus(total, rest, get(m, (j, k)), get(ml, (j, k)), get(x, (j,)), get(xl, (j,)), least)
        put(x, (k,), total)
        put(xl, (k,), rest)
    return least


# -- in one ------------------------------------------------------------------------------------------------------------------


@inner(types.UniTuple(LANES, 2)(LANES, LANES, LANES, LANES))
def _plus_size(total: Any, a: Any, b: Any, least: Any) -> Any:
    """``_plus`` in floats."""
    p = a * b
    return total + p, lesser(least, p, (a != 0.0) & (b != 0.0))


@inner(LANES(MATRIX, VECTOR))
def descend_size(m: Any, x: Any) -> Any:
    """``descend`` in floats."""
    least = lanes(np.inf)
    for k in range(1, x.shape[0]):
        total = get(x, (k,))
        for j in range(k):
            total, least = _plus_size(total, get(m, (k, j)), get(x, (j,)), least)
        put(x, (k,), total)
    return least


@inner(LANES(MATRIX, VECTOR, types.int64))
def ascend_size(m: Any, x: Any, stop: Any) -> Any:
    """``ascend`` in floats."""
    least = lanes(np.inf)
    for k in range(stop - 1, -1, -1):
        total = get(x, (k,))
        for j in range(k + 1, stop):
            total, least = _plus_size(total, get(m, (k, j)), get(x, (j,)), least)
        put(x, (k,), total / get(m, (k, k)))
    return least


@inner(types.UniTuple(LANES, 2)(MATRIX, VECTOR, VECTOR, types.float64))
def ascend_relative_size(m: Any, time: Any, x: Any, sign: Any) -> Any:
    """``ascend_relative`` in floats."""
    last = x.shape[0] - 1
    whole = get(x, (last,))
    c = whole / get(time, (last,))
    least = lesser(lanes(np.inf), c, whole != 0.0)
    put(x, (last,), lanes(0.0))
    for k in range(last):
        put(x, (k,), get(x, (k,)) + sign * c * get(time, (k,)))
    return c, smallest(least, ascend_size(m, x, last))


@inner(LANES(MATRIX, VECTOR, types.int64))
def sweep_size(m: Any, x: Any, stop: Any) -> Any:
    """``sweep`` in floats."""
    least = lanes(np.inf)
    for k in range(stop):
        total = get(x, (k,))
        for j in range(k):
            total, least = _plus_size(total, get(m, (j, k)), get(x, (j,)), least)
        put(x, (k,), total / get(m, (k, k)))
    return least


@inner(LANES(MATRIX, VECTOR))
def sweep_back_size(m: Any, x: Any) -> Any:
    """``sweep_back`` in floats."""
    least = lanes(np.inf)
    for k in range(x.shape[0] - 2, -1, -1):
        total = get(x, (k,))
        for j in range(k + 1, x.shape[0]):
            total, least = _plus_size(total, get(m, (j, k)), get(x, (j,)), least)
        put(x, (k,), total)
    return least


# -- a right-hand side, and what it may be off by ----------------------------------------------------------------------------


@inner(types.UniTuple(LANES, 2)(types.boolean, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR))
def solve_values(twice: Any, m: Any, ml: Any, x: Any, xl: Any, size: Any) -> Any:
    """Values in the place of a reward, and of what it may be off by; the least product of either run."""
    n = x.shape[0]
    if twice:
        least = descend(m, ml, x, xl)
        least = smallest(least, ascend(m, ml, x, xl, n))
    else:
        least = descend_size(m, x)
        least = smallest(least, ascend_size(m, x, n))
    narrow = descend_size(m, size)
    return least, smallest(narrow, ascend_size(m, size, n))


@inner(types.UniTuple(LANES, 2)(types.boolean, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR))
def solve_occupancy(twice: Any, m: Any, ml: Any, x: Any, xl: Any, size: Any) -> Any:
    """Visits in the place of a start, and of what it may be off by; the least product of either run."""
    n = x.shape[0]
    if twice:
        least = sweep(m, ml, x, xl, n)
        least = smallest(least, sweep_back(m, ml, x, xl))
    else:
        least = sweep_size(m, x, n)
        least = smallest(least, sweep_back_size(m, x))
    narrow = sweep_size(m, size, n)
    return least, smallest(narrow, sweep_back_size(m, size))


@inner(types.UniTuple(LANES, 5)(types.boolean, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, types.float64))
def solve_relative_values(twice: Any, m: Any, ml: Any, time: Any, tl: Any, x: Any, xl: Any, size: Any, sign: Any) -> Any:
    """The same for relative values; the level in two floats and what it may be off by besides."""
    if twice:
        least = descend(m, ml, x, xl)
        c, cl, product = ascend_relative(m, ml, time, tl, x, xl, sign)
    else:
        least = descend_size(m, x)
        c, product = ascend_relative_size(m, time, x, sign)
        cl = lanes(0.0)
    narrow = descend_size(m, size)
    spread, product_size = ascend_relative_size(m, time, size, 1.0)
    return smallest(least, product), smallest(narrow, product_size), c, cl, spread


@inner(types.UniTuple(LANES, 2)(types.boolean, MATRIX, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, VECTOR, types.float64))
def solve_flow(twice: Any, m: Any, ml: Any, time: Any, tl: Any, x: Any, xl: Any, size: Any, sign: Any) -> Any:
    """A flow in the place of a source, and of what it may be off by; the least product of either run."""
    last = x.shape[0] - 1
    least = sweep(m, ml, x, xl, last) if twice else sweep_size(m, x, last)
    narrow = sweep_size(m, size, last)
    balance, low, whole = lanes(0.0), lanes(0.0), lanes(0.0)
    for k in range(last):
        if twice:
            p, pl = doubled.multiply(get(x, (k,)), get(xl, (k,)), get(time, (k,)), get(tl, (k,)))
            balance, low = doubled.add(balance, low, p, pl)
        else:
            balance += get(x, (k,)) * get(time, (k,))
        whole += get(size, (k,)) * get(time, (k,))
    if twice:
        balance, low = doubled.divide(sign * balance, sign * low, get(time, (last,)), get(tl, (last,)))
    else:
        balance = sign * balance / get(time, (last,))
    put(x, (last,), balance)
    put(xl, (last,), low)
    put(size, (last,), whole / get(time, (last,)))
    least = lesser(least, balance, balance != 0.0)
    narrow = lesser(narrow, get(size, (last,)), whole != 0.0)
    least = smallest(least, sweep_back(m, ml, x, xl) if twice else sweep_back_size(m, x))
    return least, smallest(narrow, sweep_back_size(m, size))
