"""Power series cut off after the second term: derivatives at 0 that are exact to rounding, and to all numbers.

A function written with these numbers carries its value, slope and half its curvature along. Nothing is subtracted that was
nearly equal, no step has to be chosen, and rationals stay rational.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bounds import tables
from mdps.mdp import Array


class Series(NamedTuple):
    """``c0 + c1 t + c2 t^2`` with arrays as coefficients; what is of higher order is left out."""

    c0: Array
    c1: Array
    c2: Array

    def __add__(self, other: Any) -> Series:
        return Series(*(x + y for x, y in zip(self, other, strict=True)))

    def __sub__(self, other: Series) -> Series:
        return Series(*(x - y for x, y in zip(self, other, strict=True)))

    def __mul__(self, other: Any) -> Series:
        """The product with an array that does not depend on t."""
        return Series(*(x * other for x in self))

    def __truediv__(self, other: Series) -> Series:
        c0 = self.c0 / other.c0
        c1 = (self.c1 - c0 * other.c1) / other.c0
        return Series(c0, c1, (self.c2 - c0 * other.c2 - c1 * other.c1) / other.c0)

    def times_t(self) -> Series:
        """The product with t."""
        return Series(np.zeros_like(self.c0), self.c0, self.c1)

    def log(self) -> Series:
        """The logarithm."""
        c1 = self.c1 / self.c0
        return Series(np.log(self.c0), c1, self.c2 / self.c0 - c1**2 / 2)

    def mean(self, weights: Array) -> Series:
        """``sum_a w(a) c(a)`` of each coefficient along the last axis."""
        return Series(*(tables.dot(weights, x) for x in self))


def exponential(x: Array) -> Series:
    """``exp(t x)`` for an array x."""
    return Series(np.ones_like(x), x, x**2 / 2)


def line(x: Array) -> Series:
    """``t x`` for an array x."""
    return Series(np.zeros_like(x), x, np.zeros_like(x))
