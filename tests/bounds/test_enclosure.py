"""Enclosures contain the truth: exact rationals by a dense solve, logarithms by arbitrary precision, share no code with them."""

import math

import flint
import mpmath
import numpy as np
import pytest
from truth import comparison, exact, inside, misses, normalised, structured

from bounds import compare, enclosed_evaluation
from bounds.catalogue import Claim
from bounds.enclosed_comparison import enclose
from bounds.enclosed_laws import Law
from bounds.enclosure import Enclosure
from bounds.instances import STRUCTURED
from bounds.maybe import Maybe
from bounds.pairs import PAIRINGS
from bounds.sharper import sqrt_horizon
from bounds.tables import connected
from mdps.elimination import eliminate


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("states", [2, 5])
def test_random_comparisons_contain_the_truth(states, pairing):
    c = comparison(states, 3, pairing, seed=0)
    enclosed = enclose(c)
    for index in np.ndindex(c.batch):
        bad, unknown = misses(c, enclosed, index)
        assert not bad, (index, bad)
        assert unknown < 0.05, index


def test_many_states_contain_the_truth():
    c = comparison(20, 3, "tilted", seed=1, gammas=(0.9, 1 - 1e-8), distances=(1e-6, 1.0))
    enclosed = enclose(c)
    for index in np.ndindex(c.batch):
        assert not misses(c, enclosed, index)[0], index


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1 - 1e-10])
@pytest.mark.parametrize("name", [name for name in STRUCTURED if name != "fam_walk"])
def test_structured_comparisons_contain_the_truth(name, gamma):
    c = structured(name, gamma)
    enclosed = enclose(c)
    for index in np.ndindex(c.batch):
        assert not misses(c, enclosed, index)[0], index


def test_containment_would_be_seen_to_fail(monkeypatch):
    """Radii left out, and a kernel that rounds badly, each put the truth outside."""
    c = comparison(5, 3, "tilted", seed=0, gammas=(0.9,), distances=(0.1, 1.0))
    plain = enclosed_evaluation.evaluate

    def changed(change):
        def evaluate(mdp, pi):
            factors, pairs = plain(mdp, pi)
            return factors, [change(*pair) for pair in pairs]

        return evaluate

    with monkeypatch.context() as patch:
        patch.setattr(enclosed_evaluation, "evaluate", changed(lambda m, r: (m, 0 * r)))
        assert {"old.V", "old.rho", "old.A"} <= set(misses(c, enclose(c), (0, 0))[0] + misses(c, enclose(c), (0, 1))[0])
    monkeypatch.setattr(enclosed_evaluation, "evaluate", changed(lambda m, r: (m * (1 + 1e-15), r)))
    assert "new.V" in misses(c, enclose(c), (0, 0))[0]


ONE = {
    "exp": (np.exp, mpmath.exp, -30, 30),
    "expm1": (np.expm1, mpmath.expm1, -30, 3),
    "log": (np.log, mpmath.log, 1e-3, 30),
    "log1p": (np.log1p, mpmath.log1p, -0.99, 30),
    "sqrt": (np.sqrt, mpmath.sqrt, 1e-3, 30),
    "absolute": (np.abs, abs, -1, 1),
    "negative": (np.negative, lambda x: -x, -1, 1),
    "square": (lambda x: x**2, lambda x: x**2, -1, 1),
    "cube root": (lambda x: x ** (1 / 3), lambda x: x ** mpmath.mpf(1 / 3), 1e-3, 9),
    "minus three halves": (lambda x: x**-1.5, lambda x: x ** mpmath.mpf(-1.5), 1e-3, 9),
}
TWO = {
    "add": (np.add, lambda x, y: x + y),
    "subtract": (np.subtract, lambda x, y: x - y),
    "multiply": (np.multiply, lambda x, y: x * y),
    "divide": (np.divide, lambda x, y: x / y),
    "maximum": (np.maximum, max),
    "minimum": (np.minimum, min),
}


def draws(low, high, count, rng):
    """Enclosures with radii from nothing to a third, of numbers on a grid of sizes, and a number in each: an end or inside."""
    mid = np.concatenate([np.linspace(low, high, count // 2), rng.uniform(low, high, count - count // 2)])
    mid[:: count // 10] *= 1e-9
    rad = np.abs(mid) * rng.choice([0.0, 1e-16, 1e-12, 1e-3, 0.3], count)
    share = rng.choice([-1.0, 0.5, 1.0], count)
    return Enclosure(mid, rad), [mpmath.mpf(m) + mpmath.mpf(r) * s for m, r, s in zip(mid, rad, share, strict=True)]


@pytest.mark.parametrize("name", ONE)
def test_functions_contain_what_they_should(name):
    function, oracle, low, high = ONE[name]
    with mpmath.workdps(60):
        x, points = draws(low, high, 2000, np.random.default_rng(0))
        lower, upper = function(x).bounds()
        known = lower > -math.inf  # not where the radius reaches beyond the domain
        assert known.mean() > 0.75
        for i in np.flatnonzero(known):
            assert lower[i] <= oracle(points[i]) <= upper[i], (x.mid[i], x.rad[i])
    exact_inputs = (x.rad == 0) & (np.abs(x.mid) > 1e-6)
    width = (upper - lower)[exact_inputs] / np.maximum(np.abs(upper), 1e-9)[exact_inputs]
    assert width.max() < 1e-14  # and not much else


@pytest.mark.parametrize("name", TWO)
def test_operations_contain_what_they_should(name):
    function, oracle = TWO[name]
    rng = np.random.default_rng(0)
    with mpmath.workdps(60):
        (x, first), (y, second) = draws(-3, 5, 2000, rng), draws(-2, 7, 2000, rng)
        lower, upper = function(x, y).bounds()
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            assert (lower[i] == -math.inf and name == "divide") or lower[i] <= oracle(a, b) <= upper[i], (
                x[i : i + 1].mid,
                y.mid[i],
            )
    assert (lower > -math.inf).mean() > 0.9


def test_sums_products_and_extremes_contain_what_they_should():
    rng = np.random.default_rng(0)
    with mpmath.workdps(60):
        x, points = draws(-3, 5, 600, rng)
        x, points = x.reshape(100, 3, 2), np.array(points, dtype=object).reshape(100, 3, 2)
        pairs = [
            (x.sum((-2, -1)), points.sum((-2, -1))),
            (x.max(-2), points.max(-2)),
            (x.min(-1, keepdims=True), points.min(-1, keepdims=True)),
            (np.ptp(x, axis=-2), points.max(-2) - points.min(-2)),
            (x.mean(-1), points.sum(-1) / 2),
            (x @ np.ones((2, 1)) @ x[..., :1, :], points.sum(-1, keepdims=True) * points[..., :1, :]),
            (np.einsum("...ij,...j->...i", x, x[..., 0, :]), (points * points[..., :1, :]).sum(-1)),
        ]
        for enclosure, values in pairs:
            lower, upper = enclosure.bounds()
            assert lower.shape == values.shape
            assert all(low <= v <= up for low, v, up in zip(lower.flat, values.flat, upper.flat, strict=True))


def test_what_is_exact_stays_exact():
    x = Enclosure([0.0, 1.5, -2.25, np.inf])
    for y in (x + x, x * 2, x / 2, -x, np.abs(x), x - 0.25, np.where(x > 0, x, 0.0), np.maximum(x, 0.0), x.max(), x[:3].sum()):
        assert not np.any(y.rad)
    assert np.exp(-x).mid[3] == 0
    assert np.exp(-x).rad[3] == 0
    assert (x == x).certainly.all()


def test_what_is_unknown_is_not_claimed():
    zero = Enclosure([0.0], [1e-20])
    huge = Enclosure([1e300])
    for y in (
        huge / 1e-300,
        huge * 1e300,
        1e308 * Enclosure([1.0]) + 1e308,
        1 / zero,
        np.log(zero),
        np.sqrt(zero - 1e-3),
        Enclosure([0.0]) * np.inf,
        zero + np.nan,
        np.exp(Enclosure([800.0])),
    ):
        assert np.isinf(y.rad).all()
        assert not (y < 1).certainly.any()
        assert (y < 1).possibly.all()
        assert not (y <= np.inf).certainly.any()


def test_either_says_what_the_better_one_says():
    x, y = Enclosure([1.0, 2.0], [0.1, 1e-3]), Enclosure([1.05, 2.5], [1e-3, 1.0])
    np.testing.assert_array_equal(x.either(y).mid, [1.05, 2.0])
    np.testing.assert_array_equal(x.either(y).rad, [1e-3, 1e-3])


def test_decisions():
    x = Enclosure([0.0, 1.0, 2.0], [0.5, 0.5, 0.0])
    below = x < 1
    np.testing.assert_array_equal(below.possibly, [True, True, False])
    np.testing.assert_array_equal(below.certainly, [True, False, False])
    np.testing.assert_array_equal((~below).certainly, [False, False, True])
    np.testing.assert_array_equal((below & np.array([True, False, True])).possibly, [True, False, False])
    np.testing.assert_array_equal((np.array([False, True, False]) | below).certainly, [True, True, False])
    np.testing.assert_array_equal((x == 2).certainly, [False, False, True])
    np.testing.assert_array_equal((x != 2).certainly, [True, True, False])
    hull = np.where(below, 10.0, 20.0)
    low, high = hull.bounds()
    np.testing.assert_array_equal(low, [10, 10, 20])
    np.testing.assert_array_equal(high, [10, 20, 20])
    assert not bool(below.all())
    assert bool(below[:1].all())
    with pytest.raises(ArithmeticError, match=r"open: the one at \[1\]"):
        Enclosure([1.0, 1.0], [0.0, 0.1]).argmax(-1)
    assert Enclosure([1.0, 2.0, 2.0]).argmax(-1) == 1
    with pytest.raises(TypeError, match="no float array"):
        np.asarray(x)


@pytest.mark.parametrize("where", [[True] * 3, [False] * 3, [True, False, True]])
def test_a_choice_has_the_shape_of_all_its_parts(where):
    condition, x, y = np.array(where)[:, None], np.arange(4.0), np.float64(7)
    for given in (condition, Maybe(condition, condition)):
        for first, second in ((Enclosure(x, 0.5), y), (x, Enclosure(y, 0.25)), (Enclosure(y), Enclosure(x, 0.5))):
            found = np.where(given, first, second)
            parts = [(z.mid, z.rad) if isinstance(z, Enclosure) else (z, 0.0) for z in (first, second)]
            for now, a, b in zip((found.mid, found.rad), *parts, strict=True):
                np.testing.assert_array_equal(now, np.broadcast_to(np.where(condition, a, b), (3, 4)), strict=True)


@pytest.mark.parametrize("planes", [False, True])
def test_more_edges_may_connect_more(planes):
    """Of three states: a ring of which one edge is open, a whole ring, and one that lacks an edge."""
    certainly = np.stack([np.roll(np.eye(3, dtype=bool), 1, 1)] * 3)
    certainly[0, 2, 0] = certainly[2, 0, 1] = False
    possibly = certainly.copy()
    possibly[0, 2, 0] = True
    if planes:
        possibly, certainly = (np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0) for x in (possibly, certainly))
    found = connected(Maybe(possibly, certainly))
    np.testing.assert_array_equal(found.possibly, [True, True, False])
    np.testing.assert_array_equal(found.certainly, [False, True, False])


def test_an_open_premise_leaves_room_for_zero():
    claim = Claim(
        "x", "lemma", "theorem", "", "", lambda c: (c.tv_max, c.tv_max / 2), lambda c: Maybe([True, True], [True, False])
    )
    c = enclose(comparison(2, 3, "tilted", 0, gammas=(0.5,), distances=(1.0, 1.0))[0])
    (low, high), tv = claim.sides(c)[0].bounds(), c.tv_max.mid
    np.testing.assert_array_equal(low > 0, [True, False])
    assert low[1] == 0
    assert high[1] >= tv[1]


def test_policies_known_to_a_radius():
    """Solves, distances and shifts contain those of every policy that the radii allow."""
    c = comparison(4, 3, "tilted", seed=3, gammas=(0.9,), distances=(1e-3, 1.0))
    enclosed, rng = enclose(c), np.random.default_rng(0)
    radius = 1e-7 * c.new.pi
    ball = Enclosure(c.new.pi, radius * (1 + 1e-6))
    resolvent = eliminate(enclosed.mdp.P, ball, enclosed.mdp.gamma)
    reward = rng.standard_normal((*c.batch, 4))
    V, rho = resolvent.values(reward).bounds(), resolvent.occupancy(enclosed.mdp.rho0).bounds()
    assert (V[1] - V[0]).max() < 1e-3
    moved = compare(enclosed.mdp, enclosed.old, ball)
    for _ in range(5):
        tilt = c.new.pi + radius * rng.uniform(-0.4, 0.4, radius.shape)
        other = compare(c.mdp, c.old.pi, tilt / tilt.sum(-1, keepdims=True))
        for index in np.ndindex(c.batch):
            P, pi, gamma = c.mdp.P[index], other.new.pi[index], exact(c.mdp.gamma[index])
            p = [normalised(row) for row in pi]
            chain = [[sum(p[s][a] * normalised(P[s, a])[t] for a in range(3)) for t in range(4)] for s in range(4)]
            inverse = flint.fmpq_mat([[int(s == t) - gamma * chain[s][t] for t in range(4)] for s in range(4)]).inv()
            start = normalised(c.mdp.rho0[index])
            for s in range(4):
                value = sum(inverse[s, t] * exact(reward[index][t]) for t in range(4))
                visits = sum(start[t] * inverse[t, s] for t in range(4))
                assert inside(V[0][index][s], V[1][index][s], value)
                assert inside(rho[0][index][s], rho[1][index][s], visits)
        for index in np.ndindex(c.batch):
            bad, unknown = misses(other, moved, index)
            assert not bad
            assert not unknown


def test_sqrt_horizon_contains_the_polylogarithm():
    gamma = np.concatenate([np.linspace(0, 0.999, 400), 1 - np.geomspace(1e-12, 0.5, 100)])
    low, high = sqrt_horizon(Enclosure(gamma)).bounds()
    with flint.ctx.workprec(120):
        for g, lower, upper in zip(gamma, low, high, strict=True):
            value = flint.arb(float(g)).polylog(flint.arb(-0.5))
            assert flint.arb(float(lower)) <= value
            assert value <= flint.arb(float(upper))
    assert ((high - low) <= 1e-13 * np.maximum(high, 1e-9)).all()


def test_only_whole_rows_are_distributions():
    law = Law(np.array([[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]]))
    assert isinstance(law[0, ...], Law)
    assert isinstance(np.broadcast_to(law, (4, 2, 3)), Law)
    for part in (law[..., :2], law.T, law[..., [0, 0, 1]], law / 2, law.reshape(3, 2)):
        assert not isinstance(part, Law)
    assert not law.rad[1].any()
