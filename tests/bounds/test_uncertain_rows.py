"""Transitions and laws that are known to within radii: every row that the radii allow lies inside, likely states and unlikely."""

import itertools

import flint
import mpmath
import numpy as np
import pytest
from truth import DIGITS, exact, inside, kl

from bounds import divergences
from bounds.enclosed_laws import Distributions
from bounds.enclosure import Enclosure
from mdps.elimination import backup, forward

ROWS = np.array(
    [[[0.01, 0.99, 0.0], [0.4, 0.3, 0.3]], [[0.5, 0.5, 0.0], [1e-9, 0.5, 0.5 - 1e-9]], [[0.0, 0.02, 0.98], [0.98, 0.01, 0.01]]]
)


def moved(p, r):
    """Rows in rationals at the corners of ``p +- r`` that sum to one: mass r goes from one entry to another."""
    p, n = [exact(x) for x in p], range(len(p))
    p[int(np.argmax(p))] += 1 - sum(p)
    for i in n:
        for j in n:
            if i != j and p[j] >= exact(r):
                yield [x + exact(r) * ((k == i) - (k == j)) for k, x in enumerate(p)]


@pytest.mark.parametrize("radius", [1e-12, 1e-3, 5e-3])
@pytest.mark.parametrize("values", [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [-3.0, 2.0, 1e6]])
def test_backup_of_uncertain_rows(values, radius):
    """An entry of little mass may move by its whole radius, which is not a share of that mass."""
    off = 0.1 * np.abs(values)
    found = backup(Enclosure(ROWS, radius * (1 + 1e-6)), np.zeros((3, 2)), np.asarray(0.9), Enclosure(values, off))
    low, high = found.bounds()
    for s, a in np.ndindex(3, 2):
        for row in moved(ROWS[s, a], radius):
            for sign in (-1, 0, 1):
                value = exact(0.9) * sum(p * (exact(v) + sign * exact(r)) for p, v, r in zip(row, values, off, strict=True))
                assert inside(low[s, a], high[s, a], value)
    assert ((high - low) < 20 * (radius + 0.1) * np.abs(values).max()).all()


@pytest.mark.parametrize("radius", [1e-12, 1e-3, 5e-3])
def test_forward_of_uncertain_rows(radius):
    weights = np.array([[1.0, 0.0], [1e-3, 5.0], [0.0, 2.0]])
    off = 0.5 * weights
    low, high = forward(Enclosure(ROWS, radius * (1 + 1e-6)), Enclosure(weights, off)).bounds()
    choices = [list(moved(ROWS[s, a], radius)) for s, a in np.ndindex(3, 2)]
    for k in range(max(map(len, choices))):
        for sign in (-1, 0, 1):
            total = [flint.fmpq(0)] * 3
            for rows, (w, r) in zip(choices, zip(weights.flat, off.flat, strict=True), strict=True):
                weight = exact(w) + sign * exact(r)
                total = [t + weight * p for t, p in zip(total, rows[k % len(rows)], strict=True)]
            assert all(inside(*ends) for ends in zip(low, high, total, strict=True))


def test_mass_that_may_come_through_an_entry_of_none():
    """All of the radius times all of the mass: an entry of 0 has no share that could cover it."""
    P = np.array([[[0.0, 1.0]], [[0.0, 1.0]]])
    low, high = forward(Enclosure(P, 0.01), Enclosure([[1.0], [0.0]], [[0.5], [0.0]])).bounds()
    assert inside(low[0], high[0], exact(1.5) * exact(0.01))
    assert inside(low[0], high[0], exact(0.0))
    assert high[0] < 0.0151


@pytest.mark.parametrize("count", [1, 17])
@pytest.mark.parametrize(("p", "q"), [(0.3, 0.3), (1e-3, 0.5), (1e-198, 1e-200), (1e-200, 1e-198), (1e-160, 1e-300)])
def test_divergences_of_uncertain_laws(p, q, count):
    """Of entries so small that the product of a radius and a difference is no float, too."""
    first, second = (np.array([x, 1.0 - x]) for x in (p, q))
    rads = [np.where(x == x.min(), 0.01 * x.min(), 0.01 * x.min() + 2.0**-52) for x in (first, second)]
    laws = [Distributions(*(np.tile(t, (count, 1)) for t in pair)) for pair in zip((first, second), rads, strict=True)]
    low, high = divergences.kl(*laws).bounds()
    assert np.isfinite(high).all()
    assert low.shape == (count,)
    with mpmath.workdps(DIGITS):
        for a, b in itertools.product((-1, 0, 1), repeat=2):
            x, y = (exact(z) * (1 + sign * flint.fmpq(1, 101)) for z, sign in ((p, a), (q, b)))
            value = kl([x, 1 - x], [y, 1 - y])
            assert all(inside(*ends, value) for ends in zip(low, high, strict=True))
