"""Operations on pairs against rationals and 300 bits: both ends lie inside, whatever their sizes; blocks do not matter."""

import itertools

import flint
import numpy as np
import pytest
from numba import types
from truth import exact

from bounds.divergences import kl, shift
from bounds.enclosed_divergences import _series
from bounds.enclosed_laws import Law
from bounds.enclosure import Enclosure, distance, shared
from bounds.rounding import LIBRARY
from mdps.kernels import chunked
from mdps.lane_masks import fetch, keep
from mdps.lanes import TABLE, WIDTH

COUNT = 600
SIZES = {"ordinary": (-9, 9), "tiny": (-322, -285), "alike": (-0.1, 0.1)}
RADII = [0.0, 0.0, 1e-16, 1e-12, 1e-3, 0.3, 0.99, 3.0]


def pairs(sizes, seed, *core, signed=True, radii=RADII):
    """Pairs [COUNT, *core] of mids of those sizes and radii from nothing to three times as much."""
    rng, shape = np.random.default_rng(seed), (COUNT, *core)
    mid = 10.0 ** rng.uniform(*SIZES[sizes], shape)
    rad = mid * rng.choice(radii, shape)
    return Enclosure(mid * rng.choice([-1.0, 1.0], shape) if signed else mid, rad)


def ends(mid, rad):
    """Both ends of a pair, as rationals."""
    m, r = exact(mid), exact(rad)
    return (m - r, m + r) if rad else (m,)


def assert_contains(y, i, value, given):
    """That the pair y[i] contains a rational or a ball, by its definition."""
    if y.rad[i] < np.inf:
        off = flint.arb(exact(y.mid[i])) - value if isinstance(value, flint.arb) else exact(y.mid[i]) - value
        assert abs(off) <= exact(y.rad[i]), given


TWO = {
    "add": (np.add, lambda x, y: x + y),
    "subtract": (np.subtract, lambda x, y: x - y),
    "multiply": (np.multiply, lambda x, y: x * y),
    "divide": (np.divide, lambda x, y: x / y),
    "maximum": (np.maximum, max),
}


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", TWO)
def test_two_pairs(name, sizes, signed):
    function, oracle = TWO[name]
    for others in {sizes, "ordinary"}:
        x, y = pairs(sizes, 0, signed=signed), pairs(others, 1, signed=signed)
        z = function(x, y)
        assert (z.rad < np.inf).mean() > 0.5
        for i in range(COUNT):
            for a, b in itertools.product(ends(x.mid[i], x.rad[i]), ends(y.mid[i], y.rad[i])):
                if z.rad[i] < np.inf:
                    assert_contains(z, i, oracle(a, b), (x[i], y[i]))


@pytest.mark.parametrize("sizes", SIZES)
def test_a_distance_is_the_size_of_a_difference(sizes):
    x, y = pairs(sizes, 0), pairs("ordinary", 1)
    for a, b in ((x, y), (y, x), (x, x), (x, 1.0), (Enclosure([np.inf, 1.0], [0.0, np.inf]), 2.0)):
        found, expected = distance(a, b), np.abs(a - b)
        np.testing.assert_array_equal(found.mid, expected.mid)
        np.testing.assert_array_equal(found.rad, expected.rad)
    assert distance(1.0, 3.5) == 2.5


ROWS = {
    "sum": (lambda x: x.sum(-1), sum),
    "max": (lambda x: x.max(-1), max),
    "span": (lambda x: np.ptp(x, axis=-1), lambda row: max(row) - min(row)),
}


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", ROWS)
def test_rows(name, sizes, n):
    function, oracle = ROWS[name]
    x = pairs(sizes, 2, n, radii=[0.0, 1e-16, 1e-3, 0.3, 3.0])
    y = function(x)
    assert (y.rad < np.inf).all()
    for i in range(COUNT):
        for row in itertools.product(*(ends(*pair) for pair in zip(x.mid[i], x.rad[i], strict=True))):
            assert_contains(y, i, oracle(row), x[i])
    if name == "span" and n == 1:
        assert not y.mid.any()
        assert not y.rad.any()


@pytest.mark.parametrize(("sizes", "least"), [("ordinary", 0.9), ("alike", 0.9), ("tiny", 0.05)])
def test_shares(sizes, least):
    x = pairs(sizes, 3, 3, signed=False, radii=[0.0, 1e-12, 1e-3, 0.9])
    mid, rad = shared(x)
    assert (rad < np.inf).mean() > least
    for i in range(COUNT):
        for row in itertools.product(*(ends(*pair) for pair in zip(x.mid[i], x.rad[i], strict=True))):
            for k in range(3):
                assert_contains(Enclosure(mid[i], rad[i]), k, row[k] / sum(row), x[i])


ONE = {
    "exp": (np.exp, lambda x: x.exp()),
    "expm1": (np.expm1, lambda x: x.expm1()),
    "log": (np.log, lambda x: x.log()),
    "log1p": (np.log1p, lambda x: x.log1p()),
    "sqrt": (np.sqrt, lambda x: x.sqrt()),
    "square": (np.square, lambda x: x * x),
    "absolute": (np.abs, abs),
    "root of fifth degree": (lambda x: x**0.2, lambda x: x ** flint.arb(0.2)),
    "power of -0.7": (lambda x: x**-0.7, lambda x: x ** flint.arb(-0.7)),
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", ONE)
def test_functions_of_a_pair(name, sizes):
    function, oracle = ONE[name]
    signed = name in ("square", "absolute", "exp", "expm1")
    x = pairs(sizes, 4, signed=signed, radii=[0.0, 1e-16, 1e-6, 0.0099, 0.3])
    if name in ("exp", "expm1"):  # the radii themselves, not what they are of the mids
        x = Enclosure(np.clip(x.mid, -740, 700), x.rad / np.abs(x.mid))
    y = function(x)
    assert (y.rad < np.inf).mean() > 0.6
    with flint.ctx.workprec(300):
        for i in range(COUNT):
            if y.rad[i] < np.inf:
                for end in ends(x.mid[i], x.rad[i]):
                    assert_contains(y, i, oracle(flint.arb(end)), x[i])


def test_the_library_keeps_its_word():
    """exp, expm1, log, log1p and power of numpy are right to the 4 ulp that radii charge, ends of their range included."""
    rng, n = np.random.default_rng(0), 1500
    signs, small = rng.choice([-1.0, 1.0], n), 10 ** rng.uniform(-320, 0, n)
    every = rng.integers(1, 0x7FF0000000000000, n).view(np.float64)
    near_one = 1 + signs * rng.integers(1, 4000, n) * 2.0**-53
    exponents = np.concatenate([rng.uniform(-745, 709, n), rng.uniform(-745, -708, n), signs * small])
    bases = np.concatenate([every, near_one, rng.uniform(0.3, 3, n)])
    powers = np.concatenate([signs * rng.uniform(0, 1, n), 1e15 * rng.uniform(-1, 1, n), rng.uniform(-300, 300, n)])
    cases = {
        "exp": (exponents,),
        "expm1": (exponents,),
        "log": (bases,),
        "log1p": (np.concatenate([every, near_one - 1, -rng.uniform(0, 1, n)]),),
        "power": (bases, powers),
    }
    for name, given in cases.items():
        with np.errstate(all="ignore"):
            found = getattr(np, name)(*given)
        with flint.ctx.workprec(300):
            for *x, y in zip(*given, found, strict=True):
                if np.isfinite(y) and (y or name != "power"):
                    one, *other = (flint.arb(float(z)) for z in x)
                    truth = one ** other[0] if other else getattr(one, name)()
                    assert abs(flint.arb(float(y)) - truth) <= abs(truth) * LIBRARY + 2.0**-1073, (name, x, y)


def odd_and_even(count):
    """Pairs of which every third is out of the ordinary: unknown, infinite, reaching below zero, wide, zero."""
    rng = np.random.default_rng(5)
    mid, rad = rng.uniform(0.5, 3, count), 10.0 ** rng.uniform(-16, -3, count)
    odd = [(0.0, np.inf), (np.inf, 0.0), (0.1, 0.5), (2.0, 0.7), (0.0, 0.0), (1.0, 0.0), (1e-320, 5e-324)]
    for i, (m, r) in zip(range(1, count, 3), itertools.cycle(odd), strict=False):
        mid[i], rad[i] = m, r
    return mid, rad


EVERY = {name: f for name, (f, _) in (TWO | ONE).items()} | {"minimum": np.minimum, "less": np.less, "equal": np.equal}


@pytest.mark.parametrize("count", [1, 15, 16, 17, 33])
@pytest.mark.parametrize("name", EVERY)
def test_no_number_depends_on_its_neighbours(name, count):
    """The last block overlaps the one before it; what is out of the ordinary is done again without touching what is not."""
    function = EVERY[name]
    many = [Enclosure(m[:count], r[:count]) for m, r in ([x[3:] for x in odd_and_even(40)], odd_and_even(40))]
    given = many if name in TWO or name in ("minimum", "less", "equal") else many[:1]
    at_once = function(*given)
    in_planes = function(*(Enclosure(*(np.tile(t, (3, 1)).T for t in (x.mid, x.rad))) for x in given))
    for i in range(count):
        alone = function(*(x[i : i + 1] for x in given))
        for part in ("mid", "rad") if isinstance(alone, Enclosure) else ("possibly", "certainly"):
            one, all_of_them, planes = (getattr(y, part) for y in (alone, at_once, in_planes))
            np.testing.assert_array_equal(all_of_them[i], one[0])
            np.testing.assert_array_equal(planes[i], one[[0] * 3])


@pytest.mark.parametrize("count", [1, 15, 17, 33])
@pytest.mark.parametrize("name", [*ROWS, "shares"])
def test_no_row_depends_on_its_neighbours(name, count):
    function = ROWS[name][0] if name in ROWS else lambda x: Enclosure(*shared(x))
    mid, rad = (x.reshape(40, 3) for x in odd_and_even(120))
    given = Enclosure(mid[:count], rad[:count])
    at_once, in_planes = function(given), function(Enclosure(np.asfortranarray(given.mid), np.asfortranarray(given.rad)))
    for i in range(count):
        alone = function(given[i : i + 1])
        for part in ("mid", "rad"):
            one, all_of_them, planes = (getattr(y, part) for y in (alone, at_once, in_planes))
            np.testing.assert_array_equal(all_of_them[i], one[0])
            np.testing.assert_array_equal(planes[i], one[0])


def test_nan_is_not_passed_over():
    x = Enclosure(np.array([[1.0, np.nan, 2.0], [np.nan, 1.0, 2.0], [1.0, 2.0, np.nan]] * 7))
    for y in (x.max(-1), x.min(-1), x.sum(-1), np.ptp(x, axis=-1)):
        assert np.isinf(y.rad).all()
        assert not y.mid.any()


@chunked(types.void(TABLE, *[types.float64[:, ::1]] * 2))
def series(x, value, slack):
    for at in range(0, x.shape[1], WIDTH):
        v, s = _series(fetch(x, 0, at))
        keep(v, value, 0, at)
        keep(s, slack, 0, at)


def test_the_series_for_what_is_nearly_the_same():
    """``x - log(1+x)`` up to 1/2 is off by no more than is charged, and by at least a tenth of that somewhere."""
    size = np.concatenate([np.linspace(0, 0.5, 1024)[1:], np.geomspace(1e-150, 0.5, 1025)])
    x, worst = np.concatenate([size, -size])[None], 0.0
    assert x.shape[1] % WIDTH == 0
    value, slack = np.empty_like(x), np.empty_like(x)
    series(x, value, slack)
    with flint.ctx.workprec(3000):
        for number, found, off in zip(*(t[0].tolist() for t in (x, value, slack)), strict=True):
            exactly = flint.arb(number) - flint.arb(number).log1p()
            share = abs(flint.arb(found) - exactly) / flint.arb(off)
            assert share <= 1, number
            worst = max(worst, float(share))
    assert worst > 0.1


def test_policies_that_all_instances_share():
    """Divergences of two rows that are repeated as views are those of the rows, in every block."""
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(4), (2, 3))
    p[0], q[0] = [0.5, 0.5, 0, 0], [1, 0, 0, 0]  # infinite
    for function in (kl, shift):
        one = function(Law(p), Law(q))
        for count in (2, 16, 17, 40):
            many = function(*(Law(np.broadcast_to(t, (count, 3, 4))) for t in (p, q)))
            for part in ("mid", "rad"):
                np.testing.assert_array_equal(getattr(many, part), np.broadcast_to(getattr(one, part), (count, *one.shape)))


@pytest.mark.parametrize("rows", [1, 20])
def test_what_products_round_away(rows):
    """Nothing where a factor is 0, 1, 2 or 4 and exact, however small or large the other; else no more than half a unit."""
    sizes = 10.0 ** np.random.default_rng(0).uniform(-320, 300, (200, rows)) * (1 + np.random.default_rng(1).random((200, rows)))
    for factor in (0.0, 1.0, -1.0, 2.0, -2.0, 4.0, -4.0):
        for left, right in ((sizes, factor), (factor, sizes)):
            product = Enclosure(np.broadcast_to(left, sizes.shape)) * Enclosure(np.broadcast_to(right, sizes.shape))
            np.testing.assert_array_equal(product.mid, sizes * factor)
            assert not product.rad.any()
        wide = Enclosure(sizes, 0.5 * sizes) * Enclosure(np.broadcast_to(factor, sizes.shape))
        assert (wide.rad >= 0.5 * sizes * abs(factor)).all()
        assert (wide.rad <= 0.5 * sizes * abs(factor) * (1 + 1e-14)).all()
    ordinary = sizes[(sizes > 1e-100) & (sizes < 1e100)]
    product = Enclosure(ordinary) * Enclosure(ordinary[::-1])
    assert (product.rad <= np.spacing(product.mid) * 0.5001).all()
    assert (product.rad > 0).mean() > 0.9
    for i in range(0, len(ordinary), 7):
        assert_contains(product, i, exact(ordinary[i]) * exact(ordinary[-1 - i]), i)


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize("terms", [1, 2, 3])
def test_of_products_that_overflow_nothing_is_known(terms, rows):
    large = Enclosure(np.full((rows, terms), 1e200))
    for x in ((large * large).sum(-1), (large * Enclosure(np.full((rows, terms), -1e200))).sum(-1)):
        np.testing.assert_array_equal(x.mid, 0.0)
        np.testing.assert_array_equal(x.rad, np.inf)
    infinite = (Enclosure(np.full((rows, terms), np.inf)) * Enclosure(np.full((rows, terms), 2.0))).sum(-1)
    np.testing.assert_array_equal(infinite.mid, np.inf)
    np.testing.assert_array_equal(infinite.rad, 0.0)


def test_sums_of_products_that_vanish_or_reach_beyond_zero_are_those_one_by_one():
    """The kernel forms again what is out of the ordinary; a table of one instance after the other never is in one block."""
    x, y = (pairs(sizes, seed, signed=False) for sizes, seed in (("ordinary", 2), ("tiny", 3)))
    mids = np.stack([x.mid, np.where(np.arange(COUNT) % 3, y.mid, 0.0), x.mid], -1)
    radii = np.stack([x.rad, np.where(np.arange(COUNT) % 3, y.mid, 0.0), np.where(np.arange(COUNT) % 5, 0.0, x.mid)], -1)
    others = np.stack([y.mid, x.mid, np.where(np.arange(COUNT) % 7, 1.0, 0.0)], -1)
    whole = (Enclosure(mids, radii) * Enclosure(others)).sum(-1)
    for i in range(COUNT):
        alone = (Enclosure(mids[i : i + 1], radii[i : i + 1]) * Enclosure(others[i : i + 1])).sum(-1)
        assert (alone.mid[0], alone.rad[0]) == (whole.mid[i], whole.rad[i])
        for sign in (-1, 1):
            terms = [(exact(m) + sign * exact(r)) * exact(o) for m, r, o in zip(mids[i], radii[i], others[i], strict=True)]
            assert_contains(whole, i, sum(terms), i)
