"""Decisions instance by instance are those of numpy and of exact rationals, lane for lane, whatever the numbers are."""

from fractions import Fraction

import numpy as np
import pytest
from numba import types

from mdps.kernels import chunked
from mdps.lane_masks import choose, fetch, fused, keep, largest, root, smallest, some, start
from mdps.lanes import TABLE, WIDTH

NUMBERS = np.array(
    [0.0, -0.0, 1.0, -1.0, 1.5, 5e-324, -5e-324, 2.0**-1022, 1e308, -1e308, np.inf, -np.inf, np.nan, 0.1, 1 / 3, 3.0]
)
X, Y = (np.ascontiguousarray(t.reshape(1, -1)) for t in np.meshgrid(NUMBERS, NUMBERS))
Z = np.roll(X, 5, 1)
DECISIONS = ("x < y", "x <= y", "x > y", "x >= y", "x == y", "x != y", "x < 1.0", "1.0 < x", "(x < y) & ~(x == y) | (y > 2.0)")
RESULTS = ("x + y", "x - y", "x * y", "x / y", "x + 1.5", "1.5 - x", "3.0 * x", "1.0 / x", "-x", "abs(x)")

_OUT, _MASKS = types.float64[:, ::1], types.boolean[:, ::1]


@chunked(types.void(TABLE, TABLE, _MASKS, _OUT))
def worked_out(a, b, decisions, results):
    for block in range((decisions.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, decisions.shape[1])
        x, y = fetch(a, 0, at), fetch(b, 0, at)
        keep(x < y, decisions, 0, at)
        keep(x <= y, decisions, 1, at)
        keep(x > y, decisions, 2, at)
        keep(x >= y, decisions, 3, at)
        keep(x == y, decisions, 4, at)
        keep(x != y, decisions, 5, at)
        keep(x < 1.0, decisions, 6, at)
        keep(1.0 < x, decisions, 7, at)  # noqa: SIM300  a number on the left is a case of its own
        mask = (x < y) & ~(x == y)
        mask |= y > 2.0
        keep(mask, decisions, 8, at)
        keep(x + y, results, 0, at)
        keep(x - y, results, 1, at)
        keep(x * y, results, 2, at)
        keep(x / y, results, 3, at)
        keep(x + 1.5, results, 4, at)
        keep(1.5 - x, results, 5, at)
        keep(3.0 * x, results, 6, at)
        keep(1.0 / x, results, 7, at)
        keep(-x, results, 8, at)
        keep(abs(x), results, 9, at)


@chunked(types.void(TABLE, TABLE, TABLE, _OUT))
def chosen(a, b, c, results):
    for block in range((results.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, results.shape[1])
        x, y, z = fetch(a, 0, at), fetch(b, 0, at), fetch(c, 0, at)
        keep(choose(x < y, x, z), results, 0, at)
        keep(choose(x < y, 7.0, z), results, 1, at)
        keep(choose(choose(x < 0.0, x < y, y < z), x, 0.0), results, 2, at)
        keep(largest(x, y), results, 3, at)
        keep(smallest(x, y), results, 4, at)
        keep(root(x), results, 5, at)
        keep(fused(x, y, z), results, 6, at)


@chunked(types.boolean(TABLE, types.float64))
def anywhere(a, bound):
    return some(fetch(a, 0, 0) > bound)


@chunked(types.UniTuple(types.float64, 6)(types.float64, types.float64, types.float64))
def of_single_floats(x, y, z):
    return choose(x < y, x, z), 1.0 if some(x < y) else 0.0, largest(x, y), smallest(x, y), root(x), fused(x, y, z)


def once_rounded(x, y, z):
    return float(Fraction(x) * Fraction(y) + Fraction(z))


def same(a, b):
    """Equal to the bit but for the payload of a nan."""
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(a) | np.isnan(a), np.signbit(b) | np.isnan(b))


@pytest.mark.parametrize("count", [16, 17, 33, 256])
def test_decisions_and_arithmetic(count):
    x, y = X[:, -count:], Y[:, -count:]
    decisions, results = np.zeros((len(DECISIONS), count), bool), np.zeros((len(RESULTS), count))
    worked_out(np.ascontiguousarray(x), np.ascontiguousarray(y), decisions, results)
    with np.errstate(all="ignore"):
        for text, found in zip(DECISIONS, decisions, strict=True):
            np.testing.assert_array_equal(found, eval(text)[0], err_msg=text)
        for text, found in zip(RESULTS, results, strict=True):
            same(found, eval(text)[0])


def test_choices():
    results = np.zeros((7, X.shape[1]))
    chosen(X, Y, Z, results)
    x, y, z = X[0], Y[0], Z[0]
    with np.errstate(all="ignore"):
        same(results[0], np.where(x < y, x, z))
        same(results[1], np.where(x < y, 7.0, z))
        same(results[2], np.where(np.where(x < 0, x < y, y < z), x, 0.0))
        same(results[3], np.where(y > x, y, x))
        same(results[4], np.where(y < x, y, x))
        same(results[5], np.sqrt(x))


def test_a_fused_product_is_rounded_once():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1, 64))
    z = -x * y * (1 + 2.0**-40 * rng.standard_normal((1, 64)))  # nearly cancels: to round twice would be seen
    results = np.zeros((7, 64))
    chosen(x, y, z, results)
    assert results[6].tolist() == [once_rounded(*numbers) for numbers in zip(x[0], y[0], z[0], strict=True)]
    assert (results[6] != (x * y + z)[0]).any()


@pytest.mark.parametrize("lane", range(WIDTH))
def test_somewhere(lane):
    x = np.zeros((1, WIDTH))
    assert not anywhere(x, 0.0)
    x[0, lane] = 1.0
    assert anywhere(x, 0.0)
    assert not anywhere(x, 1.0)


@pytest.mark.parametrize("numbers", [(1.0, 2.0, 3.0), (2.0, 1.0, 3.0), (0.1, 10.0, -1.0), (1.0, np.nan, 2.0)])
def test_single_floats_are_treated_alike(numbers):
    x, y, z = numbers
    product = once_rounded(x, y, z) if np.isfinite(y) else np.nan
    found = of_single_floats(x, y, z)
    same(np.array(found), np.array([x if x < y else z, float(x < y), y if y > x else x, y if y < x else x, np.sqrt(x), product]))


@chunked(types.void(TABLE, _OUT))
def doubled(a, out):
    for k in range(out.shape[0]):
        for block in range((out.shape[1] + WIDTH - 1) // WIDTH):
            at = start(block, out.shape[1])
            keep(2.0 * fetch(a, k, at), out, k, at)


@pytest.mark.parametrize("count", [16, 17, 31, 32, 33, 100])
def test_blocks_cover_every_column_and_no_other(count):
    """What lies around a matrix is not touched; a matrix of one column is read in all of them."""
    table = np.random.default_rng(0).standard_normal((5, count))
    around = np.full(5 * count + 2 * WIDTH, 7.0)
    out = around[WIDTH:-WIDTH].reshape(5, count)
    doubled(table, out)
    np.testing.assert_array_equal(out, 2 * table)
    assert (around[:WIDTH] == 7).all()
    assert (around[-WIDTH:] == 7).all()
    doubled(np.ascontiguousarray(table[:, :1]), out)
    np.testing.assert_array_equal(out, np.repeat(2 * table[:, :1], count, 1))
