"""Arithmetic on one exact number or two: rational as long as the result is, a ball from then on.

Zeros and infinities follow the rules of floats. Where a ball leaves open which of these rules it is, or reaches out of the
domain of a function, :class:`bounds.exact_entries.Undecided` is raised. What cannot be negative is cut off at zero.
"""

from __future__ import annotations

from typing import Any

from flint import acb, arb, fmpq

from bounds.exact_entries import ONE, ZERO, Undecided, ball, is_nan, shown, sign, straddles


def multiply(x: Any, y: Any) -> Any:
    """``x y``."""
    product = x * y
    if isinstance(product, arb) and product.is_nan() and not (is_nan(x) or is_nan(y)) and (straddles(x) or straddles(y)):
        raise Undecided(f"infinity times {shown(x if straddles(x) else y)}")
    return product


def divide(x: Any, y: Any) -> Any:
    """``x / y``, by the rules of floats where y is zero."""
    if y == 0:
        return arb.nan() if is_nan(x) or isinstance(x, acb) else {1: arb.pos_inf(), 0: arb.nan(), -1: arb.neg_inf()}[sign(x)]
    if isinstance(y, arb) and straddles(y):
        raise Undecided(f"a denominator is {shown(y)}")
    return x / y


def power(x: Any, y: Any) -> Any:
    """``x ** y`` for whole, half and other exponents."""
    if isinstance(y, fmpq) and y.q == 1:
        return square(x) if y == 2 else x ** int(y.p)
    if isinstance(y, fmpq) and y.q == 2:
        return square_root(x) ** int(y.p)
    return exponential(multiply(y, logarithm(x)))


def square(x: Any) -> Any:
    """x squared, which is not negative."""
    result = x * x
    return _nonnegative(result) if isinstance(result, arb) else result


def _nonnegative(x: Any) -> Any:
    """What is left of a ball without its negative numbers."""
    return x.nonnegative_part() if straddles(x) else x


def absolute(x: Any) -> Any:
    """``|x|``; of a complex ball the largest there may be."""
    return abs(x) if isinstance(x, fmpq) else x.abs_upper() if isinstance(x, acb) else _nonnegative(abs(x))


def larger(x: Any, y: Any) -> Any:
    """The larger of two; where balls overlap, one that holds both candidates."""
    if isinstance(x, fmpq) and isinstance(y, fmpq):
        return x if x >= y else y
    for one, other in ((x, y), (y, x)):
        if one == 0 and not is_nan(other):
            return _nonnegative(other) if straddles(other) or other >= 0 else ZERO
    return arb.max(arb(x), arb(y))


def smaller(x: Any, y: Any) -> Any:
    """The smaller of two, as :func:`larger`."""
    return -larger(-x, -y)


def either(x: Any, y: Any) -> Any:
    """What two enclosures of one number both allow; a rational is that number."""
    if isinstance(x, fmpq) or isinstance(y, fmpq):
        return x if isinstance(x, fmpq) else y
    return x.intersection(y) if x.is_finite() and y.is_finite() else x


def square_root(x: Any) -> Any:
    """The square root, rational where it is."""
    if isinstance(x, fmpq):
        if x >= 0 and all(int(part.sqrtrem()[1]) == 0 for part in (x.p, x.q)):
            return fmpq(x.p.sqrtrem()[0], x.q.sqrtrem()[0])
        return arb(x).sqrt()
    if isinstance(x, arb) and straddles(x) and not x >= 0:
        raise Undecided(f"a root of {shown(x)}")
    return x.sqrt()


def logarithm(x: Any) -> Any:
    """The natural logarithm."""
    if x == 1:
        return ZERO
    if x == 0:
        return arb.neg_inf()
    if isinstance(x, arb) and straddles(x):
        raise Undecided(f"a logarithm of {shown(x)}")
    return ball(x).log()


def logarithm_of_one_more(x: Any) -> Any:
    """``log(1 + x)``."""
    if x == 0:
        return ZERO
    return logarithm(1 + x) if isinstance(x, fmpq) or x <= -1 or straddles(1 + x) else x.log1p()


def exponential(x: Any) -> Any:
    """``e^x``."""
    return ONE if x == 0 else ball(x).exp()


def exponential_less_one(x: Any) -> Any:
    """``e^x - 1``."""
    return ZERO if x == 0 else ball(x).expm1()
