"""One exact number at a time: of what kinds it is, how it is read and how it compares.

An entry of a :class:`bounds.exact.Exact` is one of python-flint's numbers: ``fmpq``, a rational; ``arb``, a real ball; ``acb``, a
complex ball. A comparison has one answer or none, in which case it raises :class:`Undecided`; nan compares as nan of floats does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from flint import acb, arb, ctx, fmpq, fmpz
from numpy.typing import NDArray

Entries = NDArray[np.object_]
"""An array of entries."""

ZERO, ONE = fmpq(0), fmpq(1)


class Undecided(ArithmeticError):
    """Two balls overlap where one answer is needed; a higher precision may tell them apart."""


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """Work with balls of this many bits within the block. The precision is flint's own, shared by a process.

    Raises
    ------
    ValueError
        If ``bits`` is not at least 2.
    """
    if bits < 2:
        raise ValueError(f"precision is {bits} bits; give at least 2")
    with ctx.workprec(int(bits)):
        yield


def read(x: Any) -> Any:
    """A Python, numpy or flint number as an entry: a float is the rational it stands for, or the infinity or nan.

    Raises
    ------
    TypeError
        If it is no number.
    """
    if isinstance(x, fmpq | arb | acb):
        return x
    if isinstance(x, int | np.integer | np.bool_ | fmpz):
        return fmpq(int(x))
    if isinstance(x, float | np.floating):
        return _from_float(float(x))
    if isinstance(x, complex | np.complexfloating):
        return acb(float(x.real), float(x.imag))
    if isinstance(x, Fraction):
        return fmpq(x.numerator, x.denominator)
    raise TypeError(f"{x!r} of type {type(x).__name__} is no number that exact arithmetic knows")


@lru_cache(4096)
def _from_float(x: float) -> Any:
    return fmpq(*x.as_integer_ratio()) if np.isfinite(x) else arb(x)


def ball(x: Any) -> Any:
    """The same number as a ball, real unless it is complex."""
    return arb(x) if isinstance(x, fmpq) else x


def shown(x: Any) -> str:
    """The number in 15 digits, for messages."""
    return str(ball(x).str(15))


def straddles(x: Any) -> bool:
    """Whether a ball holds zero and other numbers too."""
    return not isinstance(x, fmpq) and not x.is_exact() and bool(x.contains(0))


def is_nan(x: Any) -> bool:
    """Whether a number is nan."""
    return isinstance(x, arb) and bool(x.is_nan())


def is_finite(x: Any) -> bool:
    """Whether a number is neither infinite nor nan; Undecided for a ball of infinite radius."""
    if isinstance(x, fmpq) or x.is_finite():
        return True
    if x.is_nan() or x.is_exact():
        return False
    raise Undecided(f"whether {shown(x)} is finite is not known")


def is_infinite(x: Any) -> bool:
    """Whether a number is one of the infinities; Undecided as for :func:`is_finite`."""
    return not is_finite(x) and not x.is_nan()


def sign(x: Any) -> int:
    """-1, 0 or 1; Undecided for a ball that holds zero and more, or for nan."""
    if x > 0:
        return 1
    if x < 0:
        return -1
    if x == 0:
        return 0
    raise Undecided(f"the sign of {shown(x)} is not known")


def _decided(x: Any, y: Any, yes: bool, no: bool) -> bool:
    """The answer to a comparison of which python-flint says at most one side; nan compares as nan of floats does."""
    if yes == no and not (is_nan(x) or is_nan(y)):
        raise Undecided(f"{shown(x)} and {shown(y)} cannot be told apart")
    return yes


def less(x: Any, y: Any) -> bool:
    """Whether ``x < y``."""
    return _decided(x, y, x < y, x >= y)


def at_most(x: Any, y: Any) -> bool:
    """Whether ``x <= y``."""
    return _decided(x, y, x <= y, x > y)


def equal(x: Any, y: Any) -> bool:
    """Whether ``x == y``."""
    return _decided(x, y, x == y, x < y or x > y)


def first_largest(row: Entries) -> int:
    """Index of the largest of some numbers [n], the first of equal ones."""
    best = 0
    for i in range(1, len(row)):
        if less(row[best], row[i]):
            best = i
    return best
