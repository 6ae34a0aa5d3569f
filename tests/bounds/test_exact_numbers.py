"""Exact numbers against Fractions, mpmath and the rules of IEEE floats: no code is shared with what they check."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from flint import arb, ctx, fmpq

from bounds import divergences
from bounds.by_exact_numbers import exact_comparison
from bounds.exact import Exact, Undecided, exact, precision
from bounds.sharper import sqrt_horizon
from mdps import MDP
from mdps.elimination import eliminate
from mdps.families import garnet


def fractions(table):
    return np.vectorize(Fraction, otypes=[object])(np.asarray(table))


def as_fraction(x):
    return Fraction(int(x.p), int(x.q))


def assert_equal(computed, expected):
    """Every entry is a rational number, and the very one expected."""
    assert computed.rational
    assert computed.shape == np.shape(expected)
    assert [as_fraction(x) for x in computed.entries.flat] == list(np.asarray(expected, dtype=object).flat)


def contains(ball, value):
    """Whether a ball holds a number of mpmath's, and is no wider than 1e-25 of it; to be asked in 60 digits."""
    low, high = (mp.mpf(int(m)) * mp.mpf(2) ** int(e) for m, e in (end.man_exp() for end in (ball.lower(), ball.upper())))
    return low <= value <= high and high - low <= mp.mpf(10) ** -25 * abs(value)


RATIONAL = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "power": lambda x, y: x**3,
    "inverse power": lambda x, y: y**-2,
    "square": lambda x, y: np.square(x),
    "absolute": lambda x, y: np.abs(x),
    "negative": lambda x, y: -x,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "matmul": lambda x, y: x @ y.T,
    "sum": lambda x, y: x.sum(-1),
    "sum of all": lambda x, y: x.sum(),
    "sum of axes": lambda x, y: (x[:, :, None] * y[:, None, :]).sum((-2, -1)),
    "max": lambda x, y: x.max(-1),
    "min, kept": lambda x, y: x.min(0, keepdims=True),
    "ptp": lambda x, y: np.ptp(x, axis=-1),
    "mean": lambda x, y: x.mean(-1),
    "where": lambda x, y: np.where(np.eye(3, 4) > 0, x, y),
    "mixed with floats": lambda x, y: np.concatenate([x, y], -1) + np.full(8, 0),
    "stack": lambda x, y: np.stack([x, y], -1)[..., 0] * 2,
    "einsum": lambda x, y: np.einsum("...a,...a->...", x, y),
    "take": lambda x, y: np.take_along_axis(x, np.array([[1], [0], [3]]), -1)[..., 0],
}


@pytest.mark.parametrize("name", RATIONAL)
def test_rationals(name):
    rng = np.random.default_rng(1)
    x, y = rng.integers(-9, 9, (2, 3, 4)) / np.array([3.0, 7.0])[:, None, None]
    y[y == 0] = 1.0
    assert_equal(RATIONAL[name](exact(x), exact(y)), RATIONAL[name](fractions(x), fractions(y)))


def test_indices_of_extremes():
    x = np.array([[1.0, 3.0, 3.0], [-1.0, -2.0, -2.0]])
    np.testing.assert_array_equal(exact(x).argmax(-1), [1, 0])
    np.testing.assert_array_equal(exact(x).argmin(-1), [0, 1])


FUNCTIONS = {
    "sqrt": (np.sqrt, mp.sqrt, [0.3, 2.0, 1e-300]),
    "exp": (np.exp, mp.exp, [-700.0, 0.1, 3.0]),
    "log": (np.log, mp.log, [1e-300, 0.9, 7.0]),
    "expm1": (np.expm1, mp.expm1, [-1e-20, 0.5]),
    "log1p": (np.log1p, mp.log1p, [-0.5, 1e-20, 2.0]),
    "3/2 power": (lambda x: x**1.5, lambda x: x * mp.sqrt(x), [0.1, 3.0]),
    "power": (lambda x: x**0.3, lambda x: x ** mp.mpf(0.3), [0.1, 3.0]),
    "sum of sqrt(t) gamma^t": (sqrt_horizon, lambda x: mp.polylog(mp.mpf(-1) / 2, x), [1e-9, 0.01, 0.499, 0.5, 0.9, 1 - 1e-10]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    function, oracle, points = FUNCTIONS[name]
    with mp.workdps(60), precision(180):
        for x in points:
            value = oracle(mp.mpf(x))
            assert contains(function(exact(x)).entries[()], value), x
            assert contains(function(exact(x).balls()).entries[()], value), x


def test_rational_values_of_functions_stay_rational():
    for computed, expected in (
        (np.sqrt(exact([0.0, 0.25, 9.0])), [Fraction(0), Fraction(1, 2), Fraction(3)]),
        (np.exp(exact([0.0])), [Fraction(1)]),
        (np.log(exact([1.0])), [Fraction(0)]),
        (np.expm1(exact([0.0])), [Fraction(0)]),
        (np.log1p(exact([0.0])), [Fraction(0)]),
        (exact([0.25]) ** 1.5, [Fraction(1, 8)]),
        (sqrt_horizon(exact([0.0])), [Fraction(0)]),
    ):
        assert_equal(computed, expected)


SPECIAL = [-2.0, 0.0, 0.5, np.inf, -np.inf, np.nan]
IEEE = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
}


@pytest.mark.parametrize("name", IEEE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_infinity_and_nan_as_in_floats(name):
    for x in SPECIAL:
        for y in SPECIAL:
            expected = IEEE[name](x, y)
            for a, b in ((exact(x), exact(y)), (exact(x).balls(), exact(y))):
                computed = IEEE[name](a, b)
                if isinstance(computed, Exact):
                    entry = computed.entries[()]
                    computed = float(arb(entry).mid()) if not isinstance(entry, fmpq) else int(entry.p) / int(entry.q)
                np.testing.assert_equal(
                    computed, expected + 0 if expected.dtype == float else expected, err_msg=f"{name} {x} {y}"
                )


@pytest.mark.parametrize("function", [np.isnan, np.isinf, np.isfinite])
def test_predicates(function):
    np.testing.assert_array_equal(function(exact(SPECIAL)), function(SPECIAL))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_functions_at_the_edges_as_in_floats():
    for function in (np.sqrt, np.log, np.exp, np.expm1, np.log1p):
        for x in (0.0, -1.0, -2.0, np.inf):
            value = function(x)
            if not np.isfinite(value) or value in (0.0, 1.0, -1.0):
                entry = function(exact(x)).entries[()]
                if not (function in (np.exp, np.expm1) and np.isfinite(x) and x != 0):
                    np.testing.assert_equal(float(arb(entry).mid()), value, err_msg=f"{function} {x}")


def around(x, radius):
    return Exact(arb(x, radius))


def test_overlapping_balls_are_undecided():
    x, y = around(1.0, 0.25), around(1.25, 0.25)
    for compare in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal):
        with pytest.raises(Undecided, match="cannot be told apart"):
            compare(x, y)
    for fine in (x < 2, x <= 1.26, x != 3.0, x > 0.5, x >= 0.74):
        assert fine
    assert not (x > 1.26)
    with pytest.raises(Undecided):
        np.stack([x, y]).argmax(-1)
    for vague in (lambda: 1 / around(0.0, 1.0), lambda: np.sqrt(around(0.0, 1.0)), lambda: np.log(around(0.0, 1.0))):
        with pytest.raises(Undecided):
            vague()
    with pytest.raises(Undecided, match="infinity times"):
        around(0.0, 1.0) * np.inf


def test_extremes_of_overlapping_balls_are_hulls():
    x, y = around(1.0, 0.5), around(1.25, 0.5)
    for computed, low, high in (
        (np.maximum(x, y), 0.75, 1.75),
        (np.minimum(x, y), 0.5, 1.5),
        (np.stack([x, y]).max(0), 0.75, 1.75),
        (np.abs(around(0.25, 0.5)), 0.0, 0.75),
        (np.maximum(around(0.25, 0.5), 0.0), 0.0, 0.75),
        (around(0.25, 0.5) ** 2, 0.0, 0.5625),
        (np.clip(around(0.75, 0.5), 0.0, 1.0), 0.25, 1.0),
    ):
        lower, upper = computed.bounds()
        assert lower <= low
        assert upper >= high
        assert lower >= low - 1e-7
        assert upper <= high + 1e-7
    assert (np.abs(around(0.25, 0.5)) >= 0).all()


def test_higher_precision_tells_apart():
    """sqrt(2)^2 against 2 + 2^-200: not with 128 bits, surely with 256."""
    nearly = exact(2.0) + exact(0.5) ** 200
    with precision(128), pytest.raises(Undecided):
        np.less(np.sqrt(exact(2.0)) ** 2, nearly)
    with precision(256):
        assert np.sqrt(exact(2.0)) ** 2 < nearly
    before = ctx.prec
    with pytest.raises(RuntimeError), precision(999):
        raise RuntimeError
    assert ctx.prec == before
    with pytest.raises(ValueError, match="precision is 1 bits"), precision(1):
        pass


MISTAKES = {
    "asarray": (lambda x: np.asarray(x, dtype=float), "no array of floats"),
    "float": (lambda x: float(x[0]), "no float"),
    "max of a list": (lambda x: np.max([x, x], axis=0), "no array of floats|plain array of objects"),
    "into floats": (lambda x: np.add(np.zeros(2), x, out=np.zeros(2)), "cannot hold exact numbers"),
    "in place": (lambda x: np.zeros(2).__iadd__(x), "cannot hold exact numbers"),
    "sort": (lambda x: np.sort(x), r"numpy\.sort is not known"),
    "cbrt": (lambda x: np.cbrt(x), r"numpy\.cbrt is not known for exact numbers; known are "),
    "objects": (lambda x: x + np.array([None, 1]), "plain array of objects"),
    "truth": (lambda x: bool(x[0]), "no truth value"),
    "text": (lambda x: exact("1"), "no number that exact arithmetic knows"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    mistake, message = MISTAKES[name]
    with pytest.raises(TypeError, match=message):
        mistake(exact([1.0, 2.0]))


# -- processes and policies ----------------------------------------------------------------------------------------------------


def solve(system, right):
    """Gauss-Jordan elimination in Fractions; right [n][k]."""
    n = len(system)
    rows = [list(a) + list(b) for a, b in zip(system, right, strict=True)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(n):
            if i != k:
                factor = rows[i][k]
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    return np.array([row[n:] for row in rows], dtype=object)


def case(gamma, seed, states=4):
    """Rows that sum to one only up to rounding, and a zero probability on either side."""
    rng = np.random.default_rng(seed)
    mdp = garnet(states, 3, 2, gamma=gamma, seed=rng)
    old, new = rng.dirichlet(np.ones(3), (2, states))
    old[0], new[1] = [0.1, 0.9, 0.0], [0.0, 0.3, 0.7]
    new[2] = old[2]
    return mdp, old, new


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1 - 1e-10])
@pytest.mark.parametrize("rational", [True, False])
def test_comparison_against_fractions(gamma, rational):
    mdp, old, new = case(gamma, 3)
    P, start = (x / x.sum(-1, keepdims=True) for x in (fractions(mdp.P), fractions(mdp.rho0)))
    g, R, n = Fraction(gamma), fractions(mdp.R), 4
    values, visits, laws = [], [], []
    for table in (old, new):
        pi = fractions(table)
        pi = pi / pi.sum(-1, keepdims=True)
        system = np.eye(n, dtype=int) - g * (pi[..., None] * P).sum(1)
        values.append(solve(system, (pi * R).sum(-1)[:, None])[:, 0])
        visits.append(solve(system.T, start[:, None])[:, 0])
        laws.append(pi)
    A = R + g * (P * values[0]).sum(-1) - values[0][:, None]
    gain = (laws[1] * A).sum(-1)
    gap = (start * (values[1] - values[0])).sum() - (visits[0] * gain).sum()
    tv = np.abs(laws[1] - laws[0]).sum(-1) / 2
    with precision(256):
        c = exact_comparison(mdp, old, new, rational=rational)
        expected = {
            "old.V": values[0],
            "new.rho": visits[1],
            "old.A": A,
            "gain": gain,
            "gap": gap,
            "tv": tv,
            "tv_mean": (1 - g) * (visits[0] * tv).sum(),
            "eps_A": np.abs(A).max(),
            "span_g": gain.max() - gain.min(),
            "occupancy_shift": visits[1] - visits[0],
            "mixture": max(1 - q / p for p, q in zip(laws[0].flat, laws[1].flat, strict=True) if p),
            "improvement": (start * (values[1] - values[0])).sum(),
        }
        for name, value in expected.items():
            computed = getattr(getattr(c, name.split(".")[0]), name.split(".")[1]) if "." in name else getattr(c, name)
            if rational:
                assert_equal(computed, value)
            else:
                low, high = computed.bounds()
                inside = exact(1) * 0 + np.stack([exact(x) for x in np.ravel(value)]).reshape(computed.shape)
                assert (low <= inside).all(), name
                assert (inside <= high).all(), name
                assert (high - low <= 1e-40 * (1 + np.abs(inside))).all(), name


def test_undiscounted_chain():
    """At gamma = 1: h + level - P h = r, and x (I - P) = source."""
    rng = np.random.default_rng(0)
    P, reward, source = rng.dirichlet(np.ones(4), (4, 1)), rng.random(4), np.array([0.25, 0.5, -1.0, 0.25])
    resolvent = eliminate(exact(P), np.ones((4, 1)), exact(1.0))
    h, level = resolvent.relative_values(exact(reward))
    x = resolvent.flow(exact(source))
    chain = fractions(P[:, 0])
    chain = chain / chain.sum(-1, keepdims=True)
    h, x = (np.array([as_fraction(v) for v in y.entries], dtype=object) for y in (h, x))
    level = as_fraction(level.entries[()])
    assert list(h + level - (chain * h).sum(-1)) == list(fractions(reward))
    assert list(x - (x[:, None] * chain).sum(0)) == list(fractions(source))
    assert sum(x) == 0


def test_divergence():
    p, q = np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.3, 0.4])
    with mp.workdps(60), precision(180):
        a, b = ([mp.mpf(float(v)) / mp.fsum(map(float, row)) for v in row] for row in (p, q))
        expected = mp.fsum(x * mp.log(x / y) for x, y in zip(a, b, strict=True))
        assert contains(divergences.kl(exact(p), exact(q)).entries[()], expected)
    assert_equal(divergences.kl(exact(3 * p), exact(3 * p)), Fraction(0))
    assert np.isinf(divergences.kl(exact([0.5, 0.5]), exact([1.0, 0.0])))
    assert_equal(divergences.times(exact(0.0), divergences.kl(exact([0.5, 0.5]), exact([1.0, 0.0]))), Fraction(0))
    assert_equal(divergences.mean(exact([1.0, 0.0]), exact([2.0, np.inf])), Fraction(2))
    shifted = divergences.shift(exact([0.25, 0.5]), exact([0.5, 0.5]))  # rows are normalised: (1/3, 2/3) to (1/2, 1/2)
    assert_equal(shifted, [Fraction(1, 6), Fraction(-1, 6)])


def test_a_batch_is_its_instances():
    mdp, old, new = case(0.9, 5)
    single = exact_comparison(mdp, old, new)
    e = single.old
    twice = MDP(np.stack([e.mdp.P] * 2), e.mdp.R, e.mdp.rho0, np.stack([e.mdp.gamma, exact(0.5)]))
    batch = eliminate(twice.P, np.stack([e.pi] * 2), twice.gamma).occupancy(twice.rho0)
    assert_equal(batch[0], [as_fraction(x) for x in e.rho.entries])
    other = exact_comparison(MDP(mdp.P, mdp.R, mdp.rho0, 0.5), old, new)
    assert_equal(batch[1], [as_fraction(x) for x in other.old.rho.entries])
