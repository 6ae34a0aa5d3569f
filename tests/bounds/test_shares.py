"""Shares of a sum against their exact range over a box of weights, in Fractions."""

from fractions import Fraction

import numpy as np
import pytest

from bounds.enclosed_laws import Distributions
from bounds.enclosure import Enclosure


def extremes(w, r):
    """The least and the largest share of each weight, the weights lying within r of w and not below zero."""
    low = [max(Fraction(x) - Fraction(y), Fraction(0)) for x, y in zip(w, r, strict=True)]
    high = [Fraction(x) + Fraction(y) for x, y in zip(w, r, strict=True)]
    least, most = [], []
    for i in range(len(w)):
        rest_low, rest_high = sum(low[:i] + low[i + 1 :]), sum(high[:i] + high[i + 1 :])
        least.append(low[i] / (low[i] + rest_high) if low[i] + rest_high else Fraction(0))
        most.append(high[i] / (high[i] + rest_low) if high[i] + rest_low else Fraction(1))
    return least, most


def shared(w, r):
    """The enclosures of the shares."""
    x = Enclosure(np.asarray(w, dtype=float), np.asarray(r, dtype=float))
    return x / x.sum(-1, keepdims=True)


def shares(w, r):
    """Their ends, as Fractions."""
    return [[Fraction(x) for x in end] for end in shared(w, r).bounds()]


@pytest.mark.parametrize("relative", [0.0, 1e-15, 1e-9, 1e-3, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_contain_their_range_and_little_more(count, relative):
    rng = np.random.default_rng(count)
    for _ in range(50):
        w = 10.0 ** rng.uniform(-12, 12, count) if rng.random() < 0.5 else rng.dirichlet(np.ones(count))
        r = w * relative * rng.uniform(0, 1, count) ** (0.0 if rng.random() < 0.3 else 1.0)
        low, high = shares(w, r)
        least, most = extremes(w, r)
        for a, b, x, y in zip(low, high, least, most, strict=True):
            assert a <= x
            assert y <= b
            assert b - a <= (y - x) * (1 + Fraction(1, 2**40)) + Fraction(b, 2**18)
            assert b - a <= Fraction(1, 2**40) or relative > 1e-13
            assert (a >= 0 and b <= 1) or relative < 1e-6


@pytest.mark.parametrize("scale", [1e-305, 5e-324, 1e-290, 1e300])
def test_shares_of_very_small_and_very_large_weights(scale):
    rng = np.random.default_rng(0)
    for relative in (0.0, 1e-3, 1.0):
        for other in (1.0, scale):
            w = np.array([scale, other, 0.0, other / 3])
            r = np.minimum(w * relative * rng.uniform(0, 1, 4), w)
            low, high = shared(w, r).bounds()
            least, most = extremes(w, r)
            if np.isfinite(high).all():
                assert all(Fraction(a) <= x and y <= Fraction(b) for a, b, x, y in zip(low, high, least, most, strict=True))
            assert np.isfinite(high).all() == (other > 1e-289)


def test_what_is_known_of_a_share_without_radii():
    """An exact zero has none, and the only weight has all: exactly."""
    x = shared([0.0, 3.0, 0.0], np.zeros(3))
    np.testing.assert_array_equal(x.mid, [0, 1, 0])
    assert x.rad[0] == x.rad[2] == 0
    (low,), (high,) = shares([4.0], [0.0])
    assert low <= 1 <= high


@pytest.mark.parametrize(
    ("w", "r"),
    [
        ([1.0, 0.5], [0.0, 0.6]),  # one of them may be negative
        ([0.0, 0.0], [0.0, 0.0]),  # there may be nothing to share
        ([1.0, 0.0], [0.0, np.inf]),
        ([1e-310, 1e-310], [0.0, 0.0]),
        ([2.0, -1.0], [0.0, 0.0]),
    ],
)
def test_nothing_is_said_of_shares_that_may_not_be_any(w, r):
    x = shared(w, r)
    assert np.isinf(x.rad).all()
    assert not x.mid.any()


def test_shares_that_may_be_negative_are_no_distribution():
    """Those of 2 and -1 give a mean of 2 and of 0 that is above both; exponentials are positive, whatever is known of them."""
    values = Enclosure(np.array([2.0, 0.0]))
    for w, r in (([2.0, -1.0], [0.0, 0.0]), ([1.0, 0.5], [0.0, 2.0]), ([0.0, 0.0], [0.0, 0.0])):
        x = shared(w, r)
        assert not isinstance(x, Distributions)
        assert (x * values).sum(-1).bounds()[1] >= 4
        assert x.sum(-1).rad > 0
    unknown = np.exp(Enclosure(np.array([[0.0, -1e4]]), np.array([[0.0, 1e5]])))
    half = Distributions(np.array([[0.5, 0.5]]), np.zeros((1, 2)))
    for weights in (unknown, half * unknown, unknown * half):
        assert isinstance(weights / weights.sum(-1, keepdims=True), Distributions)
    for weights in (-unknown, unknown - 1.0, (half - 0.75) * unknown):
        assert not isinstance(weights / weights.sum(-1, keepdims=True), Distributions)


@pytest.mark.parametrize(
    ("w", "r"),
    [
        ([3e-305, 1.5e308, 1e306], [0.0, 0.0, 0.0]),  # a share that is smaller than any float
        ([3e-305, 1e40], [1e-305, 0.0]),
        ([1.7e308, 7e307], [1e300, 0.0]),  # the sum overflows
        ([1.1e308, 1e307], [5e307, 1e306]),
        ([9e307, 4e307], [8e307, 3e307]),  # only that of the upper ends does
    ],
)
def test_shares_beside_very_large_weights(w, r):
    for copies in (1, 20):  # case by case and side by side
        low, high = shared([w] * copies, [r] * copies).bounds()
        for a, b, x, y in zip(low[0], high[0], *extremes(w, r), strict=True):
            assert a == -np.inf or Fraction(a) <= x
            assert b == np.inf or y <= Fraction(b)


def test_part_of_a_row_is_no_distribution():
    rows = Distributions(np.full((2, 3, 3), 1 / 3), np.full((2, 3, 3), 1e-16))
    for whole in ((0, ...), (slice(None), [1, 2, 0], ...), (np.array([True, False]), ...), (None, ...)):
        assert isinstance(rows[whole], Distributions)
    for part in ((0, 1, slice(2), ...), (..., slice(2)), (slice(None), 0, [0, 0, 1], ...), (np.ones((2, 3, 3), bool), ...)):
        assert not isinstance(rows[part], Distributions)


def test_a_quotient_by_its_own_sum_is_a_distribution():
    """Only there: by another sum of the same numbers it is a quotient like any."""
    x = Enclosure(np.array([[1.0, 2.0, 5.0], [0.1, 0.2, 0.7]]), np.array([[0.5, 0.5, 0.5], [1e-9, 0.0, 0.0]]))
    y = x / x.sum(-1, keepdims=True)
    assert isinstance(y, Distributions)
    np.testing.assert_array_equal(y.sum(-1).mid, 1)
    np.testing.assert_array_equal(y.sum(-1).rad, 0)
    low, high = y.bounds()
    for row in range(2):
        least, most = extremes(x.mid[row], x.rad[row])
        assert all(Fraction(a) <= p and q <= Fraction(b) for a, b, p, q in zip(low[row], high[row], least, most, strict=True))
    for other in (x / Enclosure(x.mid, x.rad).sum(-1, keepdims=True), x / x.sum(-2, keepdims=True)):
        assert not isinstance(other, Distributions)
