"""Numbers as unevaluated sums of two floats, some 102 bits: what the compiled enclosures compute in where 53 are too few.

A pair (h, l) stands for h + l with ``|l| <= u |h|``, u = 2^-53. Each operation below is off by at most :data:`DOUBLED` of its
result, an addition by that share of ``|x| + |y|`` where the signs differ (Dekker 1971; Joldes, Muller and Popescu 2017, of whose
constants 3, 8 and 15 u^2 ours is 16). What a product rounds away is found exactly by a fused multiply-add, as long as the product
is not below :data:`SMALL`; below it, and in a quotient of a number below it, the loss is at most ``SMALL``, over the divisor.
The operations serve single floats and lanes (:mod:`mdps.lane_masks`).
"""

from __future__ import annotations

from typing import Any

from numba import types

from bounds.rounding import two_sum
from mdps.kernels import inner
from mdps.lane_masks import fused
from mdps.lanes import LANES

DOUBLED = 2.0**-102
"""Relative error of one operation: 16 u^2."""

SMALL = 2.0**-960
"""A product of at least this size is exact in two floats: its last bit is worth 2^-1066 or more."""

_ONE, _BOTH = types.float64, types.UniTuple(types.float64, 2)
_OPERATION = [_BOTH(*[_ONE] * 4), types.UniTuple(LANES, 2)(*[LANES] * 4)]


@inner(_OPERATION)
def add(a: Any, x: Any, b: Any, y: Any) -> Any:
    """``(a + x) + (b + y)``. Roundings of x + y, of what follows, and none in the two exact sums: 3 u^2 (|a| + |b|)."""
    s, e = two_sum(a, b)
    return two_sum(s, e + (x + y))


@inner(_OPERATION)
def multiply(a: Any, x: Any, b: Any, y: Any) -> Any:
    """``(a + x)(b + y)``. Left out is x y, u^2; the four roundings of terms below 3 u are 7 u^2 more."""
    p = a * b
    e = fused(a, b, -p) + (a * y + x * b)
    h = p + e
    return h, e - (h - p)


@inner(_OPERATION)
def divide(a: Any, x: Any, b: Any, y: Any) -> Any:
    """``(a + x) / (b + y)``. The remainder of the rounded quotient, at most 3 u |a|, is formed to 6 u^2 and divided to 6 more."""
    q = a / b
    r = fused(-q, b, a) + (x - q * y)
    e = r / b
    h = q + e
    return h, e - (h - q)
