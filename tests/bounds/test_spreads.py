"""The spread and the overlap of uncertain rows contain those of every matrix at the ends of the radii, and little more."""

from fractions import Fraction

import numpy as np
import pytest

from bounds import spreads, tables
from bounds.enclosure import Enclosure


def rational(rows):
    """Both numbers by their definitions, for a matrix of Fractions."""
    pairs = [(a, b) for a in rows for b in rows]
    widest = max(sum(abs(x - y) for x, y in zip(a, b, strict=True)) for a, b in pairs) / 2
    return widest, min(sum(min(x, y) for x, y in zip(a, b, strict=True)) for a, b in pairs)


@pytest.mark.parametrize("radius", [0.0, 1e-16, 1e-6, 0.3])
@pytest.mark.parametrize("layout", [lambda x: x, lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_both_contain_what_the_rows_may_be(n, layout, radius):
    rng = np.random.default_rng(n)
    rows = rng.dirichlet(np.full(n, 0.5), (20, n)) * rng.choice([1.0, 1e-200], (20, 1, 1))
    rows[0], rows[1] = rows[0, :1], 1 / n  # all alike
    off = radius * rows * rng.random(rows.shape)
    given = Enclosure(layout(rows), layout(off))
    found = [x.bounds() for x in (spreads.spread(given), spreads.overlap(given))]
    for i in range(20):
        for _ in range(10):
            signs = rng.integers(-1, 2, rows.shape[1:])
            entries = zip(rows[i].ravel(), off[i].ravel(), signs.ravel(), strict=True)
            flat = [Fraction(m) + int(sign) * Fraction(r) for m, r, sign in entries]
            truth = rational([flat[k * n : (k + 1) * n] for k in range(n)])
            for (low, high), value in zip(found, truth, strict=True):
                assert Fraction(low[i]) <= value <= Fraction(high[i])
    for low, high in found:
        assert (high - low <= (4 * radius + 1e-14) * rows.sum((-2, -1)) + 1e-300).all()
    np.testing.assert_allclose(spreads.spread(rows), tables.spread(rows))
    np.testing.assert_allclose(spreads.overlap(rows), tables.overlap(rows))


@pytest.mark.parametrize("scale", [5e-324, 1.5e-323, 4e-308, 2.0**-1021])
def test_half_of_a_very_small_number(scale):
    rows = np.array([[scale, 0.0], [0.0, 0.0]])
    low, high = spreads.spread(Enclosure(rows[None])).bounds()
    truth = rational([[Fraction(x) for x in row] for row in rows])[0]
    assert Fraction(low[0]) <= truth <= Fraction(high[0])
    assert not spreads.spread(Enclosure(np.zeros((1, 2, 2)))).rad.any()


def test_an_entry_that_is_not_known():
    rows = Enclosure(np.full((2, 3, 3), 1 / 3), np.where(np.arange(2)[:, None, None] == 1, np.inf, np.zeros((2, 3, 3))))
    for found in (spreads.spread(rows), spreads.overlap(rows)):
        assert found.rad[0] < 1e-15
        assert np.isinf(found.rad[1])
        assert not found.mid[1]
