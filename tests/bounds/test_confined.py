"""What cannot lie outside an interval is cut off there, at ends that are attained: against Fractions and rational solves."""

from fractions import Fraction

import flint
import numpy as np
import pytest
from truth import exact, inside, normalised

from bounds.enclosed_laws import Distributions, Law
from bounds.enclosure import Enclosure
from mdps.elimination import eliminate


def within(x, low, high):
    """Whether every enclosure contains the interval [low, high] of Fractions or floats, entry by entry."""
    ends = (np.ravel(end) for end in x.bounds())
    sides = (np.ravel(np.asarray(side, dtype=object)) for side in (low, high))
    return all(
        (a == -np.inf or Fraction(a) <= Fraction(p)) and (b == np.inf or Fraction(q) <= Fraction(b))
        for a, b, p, q in zip(*ends, *sides, strict=True)
    )


def boxes(count, rng):
    """Mids and radii of every size, some of them touching 0, 1 and -1."""
    mid = np.concatenate([rng.uniform(-2, 2, count), [0.0, 1.0, -1.0, 0.5, 1.5]])
    rad = np.abs(rng.standard_normal(len(mid))) * rng.choice([0.0, 1e-16, 1e-8, 0.5, 3.0], len(mid))
    rad[-5:] = [0.0, 0.0, 0.0, 0.5, 0.5]
    return mid, rad


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.1, 0.1), (-0.3, np.inf)])
def test_a_clip_is_the_clip_of_the_ends(low, high):
    """To the last digits: moved inwards it would lose numbers, left where it was it would not clip."""
    mid, rad = boxes(300, np.random.default_rng(0))
    least, most = ([Fraction(m) + sign * Fraction(r) for m, r in zip(mid, rad, strict=True)] for sign in (-1, 1))
    bound = Fraction(10**9) if high == np.inf else Fraction(high)
    least, most = ([min(max(x, Fraction(low)), bound) for x in side] for side in (least, most))
    for x in (Enclosure(mid, rad).clip(low, high), np.clip(Enclosure(mid, rad), low, high)):
        assert within(x, least, most)
        for a, b, p, q in zip(*x.bounds(), least, most, strict=True):
            assert p - Fraction(a) <= Fraction(1, 2**48)
            assert Fraction(b) - q <= Fraction(1, 2**48)


def test_a_mean_keeps_what_its_sum_was_known_to_be():
    """The sum of the products and the ends of the numbers both hold: what both allow does, and no more is said to be possible."""
    rng = np.random.default_rng(1)
    weights, values = rng.dirichlet(np.ones(3), 300), rng.standard_normal((300, 3))
    share, off = rng.choice([1e-12, 0.1, 1.0], (300, 1)), np.abs(rng.standard_normal((300, 3))) * rng.choice([0.0, 0.3], (300, 1))
    other = rng.dirichlet(np.ones(3), 300)
    p = Distributions(weights, np.abs(other - weights) * share * (1 + 1e-9) + 2.0**-50 * weights)  # as rows sum to nearly one
    mean, plain = (p * Enclosure(values, off)).sum(-1), (Enclosure(p.mid, p.rad) * Enclosure(values, off)).sum(-1)
    clipped = 0
    for k in range(300):
        now, end = ([Fraction(x) / sum(map(Fraction, row)) for x in row] for row in (weights[k], other[k]))
        q = [a + Fraction(share[k, 0]) * (b - a) for a, b in zip(now, end, strict=True)]
        for sign in (-1, 1):
            x = sum(a * (Fraction(v) + sign * Fraction(r)) for a, v, r in zip(q, values[k], off[k], strict=True))
            assert within(mean[k], [x], [x])
        (low, high), (least, most) = mean[k].bounds(), plain[k].bounds()
        below, above = (values[k] - off[k]).min(), (values[k] + off[k]).max()
        if mean.rad[k] != plain.rad[k]:
            clipped += 1
            assert max(below, least) - 1e-14 <= low
            assert high <= min(above, most) + 1e-14
        else:
            assert high - low <= (above - below) * (1 + 1e-12) or high - low <= 0.021 * abs(mean.mid[k])
    assert clipped > 30


def test_a_mean_lies_between_the_ends_of_what_it_is_of():
    """Probabilities that nothing is known of: the mean is as wide as the numbers, and each of them can be it."""
    values = Enclosure(np.array([[-1.0, 0.25, 2.0], [0.5, 0.5, 0.5]]), np.array([[0.5, 0.0, 0.25], [0.0, 0.0, 0.0]]))
    unknown = Distributions(np.full((2, 3), 0.5), np.full((2, 3), 0.5))
    for mean in ((unknown * values).sum(-1), (values * unknown).sum(-1)):
        assert within(mean, [-1.5, 0.5], [2.25, 0.5])
        low, high = mean.bounds()
        assert (low >= np.array([-1.5, 0.5]) - 1e-15).all()
        assert (high <= np.array([2.25, 0.5]) + 1e-15).all()
    kept = (unknown * values).sum(-1, keepdims=True)
    assert kept.shape == (2, 1)
    along_states = (unknown * values).sum(-2)  # no mean: three halves are as possible as none
    assert along_states.bounds()[1][1] >= 0.75
    nearly = Distributions(np.array([[0.2, 0.3, 0.5]]), np.full((1, 3), 1e-9))
    assert (nearly * values[:1]).sum(-1).rad < 0.6


def test_nothing_lies_above_its_own_maximum():
    x = Enclosure(np.array([[1.0, 0.9, -3.0], [2.0, 2.0, 2.0]]), np.array([[0.3, 0.3, 0.1], [0.0, 0.0, 0.0]]))
    below = x - x.max(-1, keepdims=True)
    assert (below.bounds()[1] <= 0).all()
    assert within(below, [[-0.5, -0.7, -4.4], [0, 0, 0]], [[0, 0, -3.6], [0, 0, 0]])
    plain = x - x.max(-1).reshape(2, 1)
    assert plain.bounds()[1][0, 0] > 0


# -- solves, of policies that may be any: values and levels that lie at the very ends of what they can be ----------------------


def solved(P, pi, gamma, reward):
    """V and the resolvent's rows of a chain, in rationals."""
    states, actions = range(len(P)), range(len(P[0]))
    rows = [[normalised(P[s][a]) for a in actions] for s in states]
    chain = [[sum(exact(pi[s][a]) * rows[s][a][t] for a in actions) for t in states] for s in states]
    inverse = flint.fmpq_mat([[int(s == t) - exact(gamma) * chain[s][t] for t in states] for s in states]).inv()
    return [sum(inverse[s, t] * exact(reward[t]) for t in states) for s in states]


ANY = Enclosure(np.full((2, 2), 0.5), np.full((2, 2), 0.5))
STAY_OR_LEAVE = np.stack([np.eye(2), np.eye(2)[::-1]], 1)


@pytest.mark.parametrize("gamma", [0.1, 0.9, 1 - 1e-8])
@pytest.mark.parametrize("reward", [[1.0, 0.0], [-2.0, 3.0], [1 / 3, 1 / 3], [-1e-3, -1e3]])
def test_values_lie_between_those_of_the_least_and_the_largest_reward(reward, gamma):
    """Every policy of two states that one may stay in or leave: to stay for good in either attains an end."""
    reward = np.array(reward)
    resolvent = eliminate(Law(STAY_OR_LEAVE), ANY, Enclosure(gamma))
    V, (h, level) = resolvent.values(reward), resolvent.relative_values(reward)
    reference = int(resolvent.reference)
    for pi in ([[1, 0], [1, 0]], [[0, 1], [0, 1]], [[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0.5, 0.5], [0.25, 0.75]]):
        truth = solved(STAY_OR_LEAVE, pi, gamma, reward)
        assert all(inside(a, b, v) for a, b, v in zip(*V.bounds(), truth, strict=True))
        assert all(inside(a, b, v - truth[reference]) for a, b, v in zip(*h.bounds(), truth, strict=True))
        assert inside(*level.bounds(), (1 - exact(gamma)) * truth[reference])
    low, high = V.bounds()
    horizon, size = 1 / (1 - gamma), np.abs(reward).max()
    assert (low >= reward.min() * horizon - 1e-12 * size * horizon).all()
    assert (high <= reward.max() * horizon + 1e-12 * size * horizon).all()
    assert (np.abs(h.bounds()) <= np.ptp(reward) * horizon * (1 + 1e-12) + 1e-300).all()
    assert level.bounds()[0] >= reward.min() - 1e-15 * size
    assert level.bounds()[1] <= reward.max() + 1e-15 * size


@pytest.mark.parametrize("reward", [5e-324, -1.5e-323, 3e-320, 1e-308])
@pytest.mark.parametrize("gamma", [1e-300, 1 / 3, 0.9, 1 - 1e-10])
def test_values_of_the_smallest_rewards(gamma, reward):
    """The same everywhere: a value is that over 1 - gamma, which no product of floats may be."""
    V = eliminate(Law(STAY_OR_LEAVE), ANY, Enclosure(gamma)).values(np.full(2, reward))
    assert all(inside(a, b, exact(reward) / (1 - exact(gamma))) for a, b in zip(*V.bounds(), strict=True))
    assert not eliminate(Law(STAY_OR_LEAVE), ANY, Enclosure(gamma)).values(np.zeros(2)).mid.any()


def test_visits_are_not_negative():
    resolvent = eliminate(Law(STAY_OR_LEAVE), ANY, Enclosure(0.5))
    assert np.isinf(resolvent.occupancy(np.array([1.0, 0.0])).rad).all()
    near = Enclosure(np.array([[1.0, 1e-10], [0.5, 0.5]]), np.array([[1e-10, 1e-10], [0.0, 0.0]]))
    visits = eliminate(Law(STAY_OR_LEAVE), near, Enclosure(0.5)).occupancy(np.array([1.0, 0.0]))
    for other in (0.0, 1e-10, 2e-10):
        pi = [[1 - other, other], [0.5, 0.5]]
        columns = [solved(STAY_OR_LEAVE, pi, 0.5, unit)[0] for unit in np.eye(2)]
        assert all(inside(a, b, v) for a, b, v in zip(*visits.bounds(), columns, strict=True))
    assert (visits.bounds()[0] >= 0).all()
