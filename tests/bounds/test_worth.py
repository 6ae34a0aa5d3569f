"""V and A of uncertain policies in one kernel: those of rational solves lie inside, and the numbers are those step by step."""

import flint
import numpy as np
import pytest
from truth import exact, inside, normalised

from bounds.enclosed_comparison import enclose_tables
from bounds.enclosed_laws import Distributions, Law
from bounds.enclosed_worth import visits, worth
from bounds.enclosure import Enclosure
from bounds.steps import worth as worth_of_any
from mdps.evaluate import values_and_advantages
from mdps.evaluate import visits as visits_in
from mdps.families import garnet
from mdps.mdp import MDP, trusted

GAMMAS = np.array([0.0, 0.01, 0.5, 0.9, 0.99, 1 - 1e-9])


def enclosed(mdp):
    return MDP(Law(mdp.P), Enclosure(mdp.R), Law(mdp.rho0), Enclosure(mdp.gamma))


def policies(count, states, actions, radius, seed=0):
    """Laws of which some are certain of an action or nearly so, and others near them."""
    rng = np.random.default_rng(seed)
    laws = rng.dirichlet(np.full(actions, 0.3), (count, states))
    laws[::5, :, 0], laws[::5, :, 1:] = 1.0, 0.0
    tiny = laws[1::5]
    tiny[..., 0] = 1e-200
    tiny[...] /= tiny.sum(-1, keepdims=True)
    share = radius * rng.random((count, states, 1))
    rest = laws * (1 - share) + share * np.where(laws > 0, rng.dirichlet(np.ones(actions), (count, states)), 0.0)
    return laws, rest / rest.sum(-1, keepdims=True)


def rational_worth(mdp, pi):
    """V, A and rho in rationals; pi are rows of rationals that sum to one."""
    states, actions, gamma = range(mdp.S), range(mdp.A), exact(mdp.gamma)
    P = [[normalised(mdp.P[s, a]) for a in actions] for s in states]
    R = [[exact(x) for x in row] for row in mdp.R]
    chain = [[sum(pi[s][a] * P[s][a][t] for a in actions) for t in states] for s in states]
    system = flint.fmpq_mat([[int(s == t) - gamma * chain[s][t] for t in states] for s in states])
    inverse, start = system.inv(), normalised(mdp.rho0)
    V = inverse * flint.fmpq_mat([[sum(pi[s][a] * R[s][a] for a in actions)] for s in states])
    Q = [[R[s][a] + gamma * sum(P[s][a][t] * V[t, 0] for t in states) for a in actions] for s in states]
    rho = [sum(start[s] * inverse[s, t] for s in states) for t in states]
    return [V[s, 0] for s in states], [[Q[s][a] - V[s, 0] for a in actions] for s in states], rho


@pytest.mark.parametrize("radius", [1e-15, 1e-9, 1e-3, 0.5])
def test_it_contains_what_any_policy_within_is_worth(radius):
    gamma = np.repeat(GAMMAS, 4)
    mdp = garnet(4, 3, 2, gamma=gamma, seed=0, batch=gamma.shape)
    mdp = trusted(mdp.P * np.linspace(1 - 1e-9, 1 + 1e-9, 12).reshape(4, 3, 1), mdp.R, mdp.rho0, mdp.gamma)
    law, other = policies(len(gamma), 4, 3, radius)
    off = np.abs(law - other) * (1 + 1e-9) + 2.0**-52 * law
    (V, A), rho = worth(enclosed(mdp), Distributions(law, off)), visits(enclosed(mdp), Distributions(law, off))
    (v, v_most), (a, a_most), (d, d_most) = V.bounds(), A.bounds(), rho.bounds()
    assert np.isfinite(v).all()
    for i in range(len(gamma)):
        for rows in ([normalised(row) for row in law[i]], [normalised(row) for row in other[i]]):
            truth_V, truth_A, truth_rho = rational_worth(mdp[i], rows)
            assert all(inside(*ends) for ends in zip(d[i], d_most[i], truth_rho, strict=True))
            assert all(inside(*ends) for ends in zip(v[i], v_most[i], truth_V, strict=True))
            for s in range(4):
                assert all(inside(*ends) for ends in zip(a[i, s], a_most[i, s], truth_A[s], strict=True))


@pytest.mark.parametrize("radius", [0.0, 1e-12, 1e-5, 0.2])
@pytest.mark.parametrize("layout", [lambda x: x, np.asfortranarray], ids=["rows", "planes"])
def test_it_is_what_the_steps_say_one_by_one(radius, layout):
    gamma = np.repeat(GAMMAS, 6)
    mdp = garnet(5, 3, 2, gamma=gamma, seed=1, batch=gamma.shape)
    law, other = policies(len(gamma), 5, 3, radius, seed=2)
    pi = Distributions(layout(law), layout(np.abs(law - other) + 2.0**-52 * law))
    near = 1e-3 if radius < 0.1 else 0.05  # where a mean may reach below zero its steps cut that off, to no avail
    one_by_one = *values_and_advantages(enclosed(mdp), pi), visits_in(enclosed(mdp), pi)
    for one, each in zip((*worth(enclosed(mdp), pi), visits(enclosed(mdp), pi)), one_by_one, strict=True):
        assert one.shape == each.shape
        np.testing.assert_allclose(one.rad, each.rad, rtol=near, atol=1e-300)
        assert (np.isinf(each.rad) | (np.abs(one.mid - each.mid) <= 10 * near * each.rad)).all()


def test_a_state_that_is_hardly_ever_met_is_no_reference():
    """Relative values are taken to a state that is met: the last one here is left at once, and not come back to."""
    P = np.zeros((1, 3, 1, 3))
    P[0, 0, 0], P[0, 1, 0], P[0, 2, 0] = [0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]
    mdp = MDP(P, np.array([[[1.0], [0.0], [2.0]]]), np.array([[0.0, 0.0, 1.0]]), np.array([1 - 1e-9]))
    V, A = worth(enclosed(mdp), Distributions(np.ones((1, 3, 1)), np.full((1, 3, 1), 1e-14)))
    truth, *_ = rational_worth(mdp[0], [[flint.fmpq(1)]] * 3)
    assert all(inside(*ends) for ends in zip(V.bounds()[0][0], V.bounds()[1][0], truth, strict=True))
    assert (A.rad < 1e-3).all()


@pytest.mark.parametrize("table", [lambda x: x, Law], ids=["floats", "law"])
def test_a_policy_that_is_a_table_is_known_as_well_as_in_a_comparison(table):
    gamma = np.repeat(GAMMAS, 5)
    mdp = garnet(4, 3, 2, gamma=gamma, seed=3, batch=gamma.shape)
    law, other = policies(len(gamma), 4, 3, 1.0, seed=4)
    V, A = worth(enclosed(mdp), table(law))
    rho = visits(enclosed(mdp), table(law))
    whole = enclose_tables(mdp, law, other).old
    for found, expected in ((V, whole.V), (A, whole.A), (rho, whole.rho)):
        np.testing.assert_array_equal(found.mid, expected.mid)
        np.testing.assert_array_equal(found.rad, expected.rad)
    ends = V.bounds(), A.bounds(), rho.bounds()
    for i in range(len(gamma)):
        for (low, high), truth in zip(ends, rational_worth(mdp[i], [normalised(row) for row in law[i]]), strict=True):
            known = zip(low[i].ravel(), high[i].ravel(), np.ravel(np.array(truth, dtype=object)), strict=True)
            assert all(inside(*each) for each in known)


def test_what_it_is_not_about():
    """Floats, and processes that are uncertain themselves, go step by step, to the same end."""
    mdp = garnet(3, 2, 2, gamma=np.full(17, 0.9), seed=0, batch=(17,))
    law = np.full((17, 3, 2), 0.5)
    assert worth(mdp, law) is visits(mdp, law) is None
    pi = Distributions(law, 1e-9 * law)
    vague = MDP(Law(mdp.P), Enclosure(mdp.R, 1e-3), Law(mdp.rho0), Enclosure(mdp.gamma))
    assert worth(vague, pi) is worth(vague, law) is None
    V, A = worth_of_any(vague, pi)
    exactly, _ = worth_of_any(mdp, law)
    assert (np.abs(V.mid - exactly) <= V.rad).all()
    assert A.shape == (17, 3, 2)


def test_probabilities_too_small_to_be_scaled():
    """An action that is never taken, whose row does not sum to one, leads somewhere very good with the smallest probability."""
    P = np.broadcast_to(np.eye(3), (1, 2, 3, 3)).swapaxes(1, 2).copy()  # both actions stay
    P[0, 2, 1] = [5e-324, 0.25 + 5e-9, 0.75]
    R = np.zeros((1, 3, 2))
    R[0, 0] = 1e300
    mdp = trusted(P, R, np.array([[0.0, 0.0, 1.0]]), np.array([0.9]))
    law = np.broadcast_to([1.0, 0.0], (1, 3, 2))
    _, A = worth(enclosed(mdp), Distributions(law, np.zeros_like(law)))
    _, truth, _ = rational_worth(mdp[0], [[flint.fmpq(1), flint.fmpq(0)]] * 3)
    low, high = A.bounds()
    assert all(inside(*ends) for ends in zip(low[0].ravel(), high[0].ravel(), np.ravel(np.array(truth, object)), strict=True))
    assert truth[2][1] > 0
