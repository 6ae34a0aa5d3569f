"""Two floats a number: each operation against rationals, and radii of half an ulp where nothing but roundings is lost."""

import flint
import numpy as np
import pytest
from truth import exact, misses

from bounds import compare, doubled
from bounds.enclosed_comparison import enclose
from bounds.enclosure import Enclosure
from mdps import MDP

OPERATIONS = {
    "add": (doubled.add, lambda x, y: (x + y, abs(x) + abs(y))),
    "multiply": (doubled.multiply, lambda x, y: (x * y, abs(x * y))),
    "divide": (doubled.divide, lambda x, y: (x / y, abs(x / y))),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_loses_no_more_than_it_says(name):
    """The largest loss lies between a hundredth of the bound and the bound: it is a bound on roundings, not an excuse."""
    operation, oracle = OPERATIONS[name]
    rng, worst = np.random.default_rng(0), flint.fmpq(0)
    for k in range(4000):
        a, b = rng.standard_normal(2) * 10.0 ** rng.integers(-30, 30, 2)
        if k % 4 == 0:
            b = -a * (1 + rng.standard_normal() * 10.0 ** rng.integers(-16, 0))  # nearly cancels
        x, y = (m * rng.uniform(-1, 1) * 2.0**-53 for m in (a, b))
        value, size = oracle(exact(a) + exact(x), exact(b) + exact(y))
        high, low = operation(a, x, b, y)
        assert abs(low) <= abs(high) * 2.0**-53
        worst = max(worst, abs(exact(high) + exact(low) - value) / size)
    assert exact(doubled.DOUBLED) / 100 < worst <= exact(doubled.DOUBLED)


def process(P, gamma, seed=0):
    """Rewards and a start of all sizes on transitions [S,A,S]."""
    rng = np.random.default_rng(seed)
    return MDP(P, rng.standard_normal(P.shape[:2]), rng.dirichlet(np.ones(len(P))), gamma)


def cycles(gamma):
    """Six states: action 0 goes round all, action 1 round each half, so that nothing ever forgets where it began."""
    P = np.zeros((6, 2, 6))
    for s in range(6):
        P[s, 0, (s + 1) % 6] = P[s, 1, 3 * (s // 3) + (s + 1) % 3] = 1
    return process(P, gamma)


def rare(gamma):
    """Four states between which one goes with probabilities whose products no float holds."""
    P = np.zeros((4, 2, 4))
    for s in range(4):
        P[s, 0] = [1e-200, 1e-170, 1e-290, 1e-120]
        P[s, 0, s] = 1.0
        P[s, 1, :] = 0.25
    return process(P, gamma)


HARD = {
    "cycles, both policies without chance": (cycles, np.eye(2)[[0] * 6], np.eye(2)[[0, 1, 1, 0, 1, 1]]),
    "cycles, nearly the same": (cycles, np.full((6, 2), 0.5), np.tile([0.5 + 2.0**-52, 0.5 - 2.0**-52], (6, 1))),
    "cycles, an infinite KL": (cycles, np.tile([0.3, 0.7], (6, 1)), np.eye(2)[[1] * 6]),
    "rare, and by rare actions": (rare, np.tile([1.0, 1e-300], (4, 1)), np.tile([1.0, 5e-324], (4, 1))),
    "rare": (rare, np.tile([1.0, 1e-9], (4, 1)) / (1 + 1e-9), np.tile([0.5, 0.5], (4, 1))),
}


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1 - 1e-8, 1 - 1e-10])
@pytest.mark.parametrize("name", HARD)
def test_hard_instances_contain_the_truth(name, gamma):
    make, old, new = HARD[name]
    c = compare(make(gamma), old, new)
    bad, unknown = misses(c, enclose(c), ())
    assert not bad
    assert unknown < 0.2


def test_values_of_float_tables_are_right_to_half_an_ulp():
    c = compare(cycles(1 - 1e-8), np.tile([0.3, 0.7], (6, 1)), np.full((6, 2), 0.5))
    for e in (enclose(c).old, enclose(c).new):
        for x in (e.V, e.Q, e.A, e.rho, e.d, e.eta):
            assert (x.rad <= 1.001 * 2.0**-53 * np.abs(x.mid) + 1e-24).all()


def test_actions_that_do_the_same_are_worth_the_same():
    P = np.full((2, 3, 2), 0.5)
    P[0, 2] = [0.2, 0.8]
    mdp = MDP(P, np.array([[0.3, 0.3, 0.3], [0.7, 0.7, 0.7]]), np.array([0.5, 0.5]), 0.9)
    old = np.array([[0.3, 0.7, 0.0], [0.2, 0.3, 0.5]])  # in state 0 the third action has the same reward, but another row
    A = enclose(compare(mdp, old, old)).old.A
    np.testing.assert_array_equal(A.rad == 0, [[True, True, False], [True, True, True]])
    np.testing.assert_array_equal(A.mid[A.rad == 0], 0)
    assert Enclosure(A.mid, A.rad)[1].argmax(-1) == 0
    mixed = enclose(compare(mdp, np.full((2, 3), 1 / 3), old)).old.A  # nothing is zero here, but two actions are the same
    assert sorted([mixed.argmax(-1)[0], (-mixed).argmax(-1)[0]]) == [0, 2]
    plain = Enclosure(mixed.mid, mixed.rad)
    with pytest.raises(ArithmeticError, match="is open"):
        (plain.argmax(-1), (-plain).argmax(-1))
