"""Products that no float holds: radii reach what they take away. The truth is that of dense solves in rationals."""

import flint
import numpy as np
import pytest
from truth import exact, inside, misses, normalised

from bounds import compare, doubled
from bounds.enclosed_comparison import enclose
from bounds.enclosed_laws import Law
from bounds.enclosure import Enclosure
from mdps import MDP
from mdps.elimination import backup, eliminate, forward

FAR = 1e-200
"""A probability whose square is no float."""

LINE = [[1.0, FAR, 0.0], [0.0, 1.0, FAR], [0.0, 0.0, 1.0]]
"""Three states one behind the other: what is lost is lost in the solve."""

DETOUR = [[1.0, 0.0, FAR], [FAR, 1.0, 0.0], [0.0, 0.0, 1.0]]
"""From state 1 only state 0, which is eliminated first, leads to state 2: what is lost is lost in the elimination."""

ROUND = [[0.5, 0.5, FAR], [0.5, 0.5, 0.0], [FAR, 0.0, 1.0]]
"""States 0 and 2 lead to each other, hardly ever."""


def resolvent(P, gamma):
    """``(I - gamma P)^-1`` as enclosures know it, and its entries."""
    mdp, policy = MDP(np.asarray(P)[:, None], np.zeros((len(P), 1)), np.eye(len(P))[0], gamma), np.ones((len(P), 1))
    rows, n = [normalised(row) for row in P], range(len(P))
    inverse = flint.fmpq_mat([[int(s == t) - exact(gamma) * rows[s][t] for t in n] for s in n]).inv()
    return enclose(compare(mdp, policy, policy)).old.resolvent, np.array([[inverse[s, t] for t in n] for s in n])


def holds(x, values):
    """Whether enclosures contain rationals."""
    return all(inside(*ends) for ends in zip(*(np.ravel(end) for end in x.bounds()), np.ravel(values), strict=True))


@pytest.mark.parametrize("gamma", [0.01, 0.9, 1 - 1e-8])
@pytest.mark.parametrize(("P", "start"), [(LINE, 0), (DETOUR, 1)])
def test_solves_contain_what_vanishes(P, start, gamma):
    """The way from the start to state 2 is worth some 1e-400."""
    known, inverse = resolvent(P, gamma)
    begin, end, other = np.eye(3)[start], np.eye(3)[2], 1 - start
    V, rho, reference = inverse @ [exact(x) for x in end], inverse[start], int(known.reference)
    assert 0 < V[start] == rho[2] < exact(1e-300)
    h, level = known.relative_values(end)
    for x, truth in (
        (known.values(end), V),
        (known.occupancy(begin), rho),
        (known.flow(begin - np.eye(3)[other]), rho - inverse[other]),
        (h, V - V[reference]),
        (level, (1 - exact(gamma)) * V[reference]),
    ):
        assert holds(x, truth)
        assert np.max(x.rad) < 1e-230 / (1 - gamma) ** 3 + 1e-15 * np.max(np.abs(x.mid))


def test_what_a_radius_contributes_may_vanish_too():
    """A reward of 0 +- 1e-300 at the end of the line is worth up to 1e-400 at its beginning."""
    known, inverse = resolvent([[1.0, 1e-100, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], 0.5)
    x = known.values(Enclosure(np.zeros(3), np.array([0.0, 1e-300, 0.0])))
    assert holds(x, inverse @ [exact(0), exact(1e-300), exact(0)])
    assert holds(x, inverse @ [exact(0), exact(-1e-300), exact(0)])
    assert inverse[0, 1] > 0


def test_nothing_is_added_where_nothing_vanishes():
    """The same line with probabilities of 1e-100: products of 1e-200 are floats, and zeros are zeros."""
    known, inverse = resolvent(np.maximum(LINE, 1e100 * np.array(LINE) * (np.array(LINE) == FAR)), 0.9)
    rho = known.occupancy(np.eye(3)[0])
    assert holds(rho, inverse[0])
    assert (rho.rad > 0).all()
    assert (rho.rad <= 2.0**-52 * rho.mid).all()
    np.testing.assert_array_equal(known.occupancy(np.eye(3)[2]).mid[:2], 0)
    np.testing.assert_array_equal(known.occupancy(np.eye(3)[2]).rad[:2], 0)


def test_without_a_discount_nothing_is_said_of_what_vanishes():
    """But that the level is a mean of rewards."""
    for P, known in ((ROUND, False), (np.array([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [0.0, 0.5, 0.5]]), True)):
        undiscounted = eliminate(Law(np.asarray(P)[:, None]), Law(np.ones((3, 1))), Enclosure(1.0))
        h, level = undiscounted.relative_values(np.array([1.0, 0.0, 0.0]))
        away = np.arange(3) != undiscounted.reference
        assert (np.isfinite(h.rad[away]) == known).all()
        assert (level.rad < 0.1) == known
        assert level.bounds()[0] >= 0
        assert level.bounds()[1] <= 1


def test_a_product_of_two_floats_is_exact_down_to_where_it_says():
    """At SMALL nothing but the 16 u^2 is lost; far below it, no more than SMALL."""
    rng = np.random.default_rng(0)
    for size, lost in ((doubled.SMALL, 0), (2.0**-1040, exact(doubled.SMALL))):
        for _ in range(500):
            a, b = rng.uniform(1, 2) * 2.0**-480, rng.uniform(1, 2) * size * 2.0**480
            x, y = a * rng.uniform(-1, 1) * 2.0**-53, b * rng.uniform(-1, 1) * 2.0**-53
            high, low = doubled.multiply(a, x, b, y)
            truth = (exact(a) + exact(x)) * (exact(b) + exact(y))
            assert abs(exact(high) + exact(low) - truth) <= exact(doubled.DOUBLED) * abs(truth) + lost


def test_a_comparison_of_lines_contains_the_truth():
    """Every quantity, two actions of which one may lead on."""
    P = np.stack([np.eye(3), np.array(LINE)], 1)
    R = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    old, new = np.array([[0.5, 0.5]] * 3), np.array([[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]])
    for gamma in (0.5, 1 - 1e-8):
        c = compare(MDP(P, R, np.eye(3)[0], gamma), old, new)
        bad, unknown = misses(c, enclose(c), ())
        assert not bad
        assert not unknown


STAY = np.stack([np.eye(2)] * 2, 1)
RARELY = {
    # rewards [S,A], start, old and new in a process where every state is for good: what is lost there is lost in the first step
    "a reward of a rare action": ([[0, FAR], [0, 0]], [1, 0], [[1, FAR], [1, 0]], [[1, 0], [1, 0]]),
    "a value of a rare start": ([[0, 0], [FAR, FAR]], [1, FAR], [[1, 0], [1, 0]], [[1, 0], [1, 0]]),
    "a KL of rare actions": ([[0, 0], [1, 1]], [1, 0], [[1, 1e-310], [1, 0]], [[1, 1e-310 * (1 + 1e-10)], [1, 0]]),
}


@pytest.mark.parametrize("name", RARELY)
def test_comparisons_contain_what_vanishes(name):
    R, start, old, new = (np.array(table, dtype=float) for table in RARELY[name])
    c = compare(MDP(STAY, R, start, 0.9), old, new)
    assert misses(c, enclose(c), ())[0] == []


ONE_WAY = Law(np.array([[[1.0, FAR]], [[0.0, 1.0]]]))
NEAR = Enclosure([[FAR]])
PRODUCTS = {
    "a step back": lambda: backup(ONE_WAY, Enclosure(np.zeros((2, 1))), 1.0, Enclosure([0.0, FAR]))[0],
    "a matrix product": lambda: NEAR @ NEAR,
    "einsum": lambda: np.einsum("...ij,...j->...i", NEAR, NEAR[..., 0, :]),
    "a step ahead": lambda: forward(ONE_WAY, Enclosure([[FAR], [0.0]]))[1:],
    "a sum of products": lambda: (NEAR * NEAR).sum(-1),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_tables_contain_what_vanishes(name):
    square, mass = exact(FAR) * exact(FAR), 1 + exact(FAR) if "step" in name else exact(1)
    assert holds(PRODUCTS[name](), [square / mass])
