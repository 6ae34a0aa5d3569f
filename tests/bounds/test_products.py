"""Sums of products and contractions of enclosures contain every number that they may be, whatever the layout of the tables."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from bounds.enclosed_products import Product
from bounds.enclosure import Enclosure

COUNT = 40
SIZES = {"ordinary": (-9, 9), "tiny": (-322, -285), "small": (-165, -150), "alike": (-0.1, 0.1)}


def tables(sizes, seed, *shape, signed=True):
    """Pairs of mids of those sizes, some exactly zero or one, and radii from nothing to twice as much."""
    rng = np.random.default_rng(seed)
    mid = 10.0 ** rng.uniform(*SIZES[sizes], shape) * rng.choice([-1.0, 1.0] if signed else [1.0], shape)
    mid = np.where(rng.random(shape) < 0.1, rng.choice([0.0, 1.0], shape), mid)
    return Enclosure(mid, np.abs(mid) * rng.choice([0.0, 0.0, 1e-16, 1e-9, 0.5, 2.0], shape))


def in_planes(x):
    """The same with the instances side by side in memory."""
    return Enclosure(*(np.moveaxis(np.ascontiguousarray(np.moveaxis(table, 0, -1)), -1, 0) for table in (x.mid, x.rad)))


def ends(x):
    """Both ends of each entry of a row, as Fractions."""
    return [(Fraction(m) - Fraction(r), Fraction(m) + Fraction(r)) for m, r in zip(x.mid.tolist(), x.rad.tolist(), strict=True)]


def extremes(x, y):
    """The least and the largest sum of products of two rows."""
    products = [sorted(a * b for a, b in itertools.product(*pair)) for pair in zip(ends(x), ends(y), strict=True)]
    return sum(p[0] for p in products), sum(p[-1] for p in products)


def assert_contain(x, i, low, high):
    """That the pair x[i] contains an interval; a pair of which nothing is known does."""
    m, r = float(x.mid[i]), float(x.rad[i])
    assert r == np.inf or (Fraction(m) - Fraction(r) <= low and high <= Fraction(m) + Fraction(r))


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("layout", [lambda x: x, in_planes], ids=["rows", "planes"])
@pytest.mark.parametrize("signed", [True, False])
def test_a_sum_of_products_contains_them_all(sizes, layout, signed):
    x, y = tables(sizes, 0, COUNT, 4, signed=signed), tables("ordinary" if sizes == "tiny" else sizes, 1, COUNT, 4)
    product = layout(x) * layout(y)
    assert isinstance(product, Product)
    total = product.sum(-1)
    assert (total.rad < np.inf).all()
    for i in range(COUNT):
        assert_contain(total, i, *extremes(x[i], y[i]))


@pytest.mark.parametrize("axes", [-1, (1, 2), 1, (0, 1), None])
@pytest.mark.parametrize("second", [(3, 2), (1, 2), (3, 1), ()], ids=str)
def test_the_sum_is_that_of_the_products_multiplied_out(second, axes):
    """To the bit along the last axes, where the order is the same; products are multiplied out if anybody asks."""
    for layout in (lambda x: x, in_planes):
        x = layout(tables("ordinary", 2, COUNT, 3, 2))
        y = layout(tables("alike", 3, COUNT, *second)) if second else tables("alike", 3, 1, 1, 1)
        written = Enclosure(*((x * y).mid, (x * y).rad))
        assert (x * y).shape == written.shape == x.shape
        assert ((x * y).ndim, (x * y).size) == (3, x.size)
        for keep in (False, True):
            one, other = (x * y).sum(axes, keepdims=keep), written.sum(axes, keepdims=keep)
            assert one.shape == other.shape
            np.testing.assert_allclose(one.mid, other.mid, rtol=1e-12, atol=1e-6)
            np.testing.assert_allclose(one.rad, other.rad, rtol=1e-6)
            if axes in (-1, (1, 2)):
                np.testing.assert_array_equal(one.mid, other.mid)
                np.testing.assert_array_equal(one.rad, other.rad)


def test_nothing_known_of_a_factor_is_nothing_known_of_the_sum():
    x = Enclosure(
        np.array([[1.0, 0.0, 2.0], [0.0, 1e300, 1.0], [1.0, 1.0, np.nan]]), np.array([[0.0, np.inf, 0.0], [0.0] * 3, [0.0] * 3])
    )
    y = Enclosure(np.array([[1.0, 0.0, 2.0], [1.0, 1e300, 1.0], [1.0, 1.0, 0.0]]))
    for total in ((x * y).sum(-1), (in_planes(x) * in_planes(y)).sum(-1)):
        assert np.isinf(total.rad).all()
        assert not total.mid.any()


def test_zeros_stay_exact():
    """A product with an exact zero is one, and a sum of zeros is: identities rest on it."""
    x, y = Enclosure(np.zeros((20, 3))), Enclosure(np.ones((20, 3)), 0.5)
    total = (in_planes(x) * in_planes(y)).sum(-1)
    assert not total.mid.any()
    assert not total.rad.any()


CONTRACTIONS = ["...sa,...sat->...st", "...s,...st->...t", "...ij,...jk->...ik", "...a,...a->...", "...st,...s->...t"]


@pytest.mark.parametrize("layout", [lambda x: x, in_planes], ids=["rows", "planes"])
@pytest.mark.parametrize("subscripts", CONTRACTIONS)
def test_contractions_are_numpys(subscripts, layout):
    sizes = {"s": 3, "a": 2, "t": 3, "i": 2, "j": 4, "k": 3}
    parts, output = subscripts.replace("...", "").split("->")
    first, second = ([sizes[label] for label in part] for part in parts.split(","))
    x, y = tables("alike", 4, COUNT, *first), tables("alike", 5, COUNT, *second)
    found = np.einsum(subscripts, layout(x), layout(y))
    assert found.shape == (COUNT, *(sizes[label] for label in output))
    rng = np.random.default_rng(6)
    for _ in range(20):
        inside = [z.mid + z.rad * rng.choice([-1.0, 1.0], z.shape) for z in (x, y)]
        value = np.einsum(subscripts, *inside)
        assert (np.abs(value - found.mid) <= found.rad + 1e-13).all()
    exact = np.einsum(subscripts, layout(Enclosure(x.mid)), layout(Enclosure(y.mid)))
    np.testing.assert_allclose(exact.mid, np.einsum(subscripts, x.mid, y.mid), rtol=1e-12, atol=1e-12)
    assert (exact.rad < 1e-14).all()


def test_a_contraction_with_a_repeated_label_is_still_one():
    """A trace and a sum over a label of one table only are left to what is slower and knows them."""
    x, y = Enclosure(tables("alike", 7, 5, 3, 3).mid, 1e-9), Enclosure(tables("alike", 8, 5, 3).mid, 1e-9)
    for subscripts in ("...ii,...i->...", "...ij,...j->...", "...ij,...i->...ij"):
        found, value = np.einsum(subscripts, x, y), np.einsum(subscripts, x.mid, y.mid)
        np.testing.assert_allclose(found.mid, value, rtol=1e-12, atol=1e-12)
        assert found.shape == value.shape
