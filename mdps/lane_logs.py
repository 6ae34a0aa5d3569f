"""Logarithms and exponentials instance by instance, by arithmetic alone: LLVM would call the C library for each lane.

``log`` and ``excess`` write a number as ``m 2^e`` with m from 1/sqrt(2) to sqrt(2), and with ``s = (m - 1)/(m + 1)`` use
``log m = 2 atanh s = 2 s + 2 s^3 (1/3 + s^2/5 + s^4/7 + ...)``, |s| <= 0.172. ``exp`` and ``grown`` write it as
``n log 2 + r`` with |r| <= log(2)/2 and sum the exponential series of r.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from mdps.kernels import inner
from mdps.lane_masks import choose, fused, largest, smallest
from mdps.lanes import DOUBLES, LANES, WIDTH, inlined, lanes

_INTEGERS = ir.VectorType(ir.IntType(64), WIDTH)
_ROOT_HALF = 0x3FE6A09E667F3BCD  # the bits of 1/sqrt(2), the last float below it

_LN2 = 0.6931471805599453
_LN2_HIGH = 0.693147180369123816490  # 21 bits fewer: times a whole number below 2^20 it is exact (Cody and Waite 1980)
_LN2_LOW = 1.90821492927058770002e-10
_NEAREST = 1.5 * 2.0**52  # a number below 2^51 is rounded to a whole one as this is added and subtracted


def _repeated(number: int) -> Any:
    return ir.Constant(_INTEGERS, [number] * WIDTH)


@inlined
def _binary(typing: Any, x: Any) -> Any:
    """``(m, e)`` with ``x = m 2^e``, both lanes, for normal x > 0."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], _INTEGERS)
        exponent = builder.ashr(builder.sub(bits, _repeated(_ROOT_HALF)), _repeated(52))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, _repeated(52))), DOUBLES)
        return context.make_tuple(builder, sig.return_type, [mantissa, builder.sitofp(exponent, DOUBLES)])

    return types.UniTuple(LANES, 2)(LANES), code


@inlined
def _scaled(typing: Any, x: Any, e: Any) -> Any:
    """``x 2^e`` for whole e, where x and the result are normal."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        shift = builder.shl(builder.fptosi(args[1], _INTEGERS), _repeated(52))
        return builder.bitcast(builder.add(builder.bitcast(args[0], _INTEGERS), shift), DOUBLES)

    return LANES(LANES, LANES), code


@inner(LANES(LANES))
def _tail(r: Any) -> Any:
    """``1/3 + r/5 + r^2/7 + ...`` for 0 <= r <= 0.03."""
    t = fused(r, lanes(1 / 23), lanes(1 / 21))
    t = fused(r, t, lanes(1 / 19))
    t = fused(r, t, lanes(1 / 17))
    t = fused(r, t, lanes(1 / 15))
    t = fused(r, t, lanes(1 / 13))
    t = fused(r, t, lanes(1 / 11))
    t = fused(r, t, lanes(1 / 9))
    t = fused(r, t, lanes(1 / 7))
    t = fused(r, t, lanes(1 / 5))
    return fused(r, t, lanes(1 / 3))


@inner(LANES(LANES))
def log(x: Any) -> Any:
    """The natural logarithm of normal numbers x > 0."""
    m, e = _binary(x)
    t = m - 1.0
    s = t / (t + 2.0)
    r = s * s
    return e * _LN2_HIGH + (e * _LN2_LOW + 2.0 * s * (1.0 + r * _tail(r)))


@inner(LANES(LANES, LANES))
def excess(x: Any, u: Any) -> Any:
    """``x - log u`` to full relative precision, given x > -1 and ``u = 1 + x``, which each may know to more digits."""
    m, e = _binary(u)
    t = choose(e == 0.0, x, m - 1.0)
    s = t / (t + 2.0)
    r = s * s
    return fused(s, t - 2.0 * r * _tail(r), (x - t) - e * _LN2)  # the bracket is 0 near x = 0, where it would cancel


@inner(types.UniTuple(LANES, 2)(LANES))
def _series(x: Any) -> Any:
    """``(g, s)`` with ``exp(x) = s + s g`` and s a power of two, 1 where |x| is small."""
    x = largest(smallest(x, lanes(700.0)), lanes(-700.0))
    n = (x * (1.0 / _LN2) + _NEAREST) - _NEAREST
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    t = fused(r, lanes(1 / 87178291200), lanes(1 / 6227020800))
    t = fused(r, t, lanes(1 / 479001600))
    t = fused(r, t, lanes(1 / 39916800))
    t = fused(r, t, lanes(1 / 3628800))
    t = fused(r, t, lanes(1 / 362880))
    t = fused(r, t, lanes(1 / 40320))
    t = fused(r, t, lanes(1 / 5040))
    t = fused(r, t, lanes(1 / 720))
    t = fused(r, t, lanes(1 / 120))
    t = fused(r, t, lanes(1 / 24))
    t = fused(r, t, lanes(1 / 6))
    t = fused(r, t, lanes(1 / 2))
    return fused(r * r, t, r), _scaled(lanes(1.0), n)


@inner(LANES(LANES))
def exp(x: Any) -> Any:
    """The exponential; x below -700 or above 700 is read as that."""
    growth, power = _series(x)
    return fused(power, growth, power)


@inner(LANES(LANES))
def grown(x: Any) -> Any:
    """``exp(x) - 1`` to full relative precision; x below -700 or above 700 is read as that."""
    growth, power = _series(x)
    return fused(power, growth, power - 1.0)
