"""Evaluation against 80-digit arithmetic, against truncated series, and across batch shapes."""

import mpmath as mp
import numpy as np
import oracle
import pytest

from mdps import MDP, evaluate, uniform_policy
from mdps.families import chain_walk, deep_sea, forest, garnet, kakade_langford_chain, riverswim, two_armed_bandit

GAMMAS = (0.0, 0.5, 0.9, 0.99, 1 - 1e-6, 1 - 1e-10, 1 - 1e-12)


def dense(states, rng):
    return rng.dirichlet(np.ones(states), (states, 2))


def sparse(states, rng):
    table = np.zeros((states, 2, states))
    for s in range(states):
        for a in range(2):
            table[s, a, rng.choice(states, 2, replace=False)] = rng.dirichlet([1.0, 1.0])
    return table


def drifting(states, rng):
    """A walk that drifts away from its last state: the state a careless elimination would take for its reference."""
    table = np.zeros((states, 2, states))
    for s in range(states):
        table[s, 0, max(s - 1, 0)] += 1
        table[s, 1, min(s + 1, states - 1)] += 0.3
        table[s, 1, s] += 0.6
        table[s, 1, max(s - 1, 0)] += 0.1
    return table


def nearly_decomposable(states, rng):
    table = np.zeros((states, 2, states))
    for s in range(states):
        for a in range(2):
            table[s, a, s] = 1 - 1e-6
            table[s, a, (s + 1 + a) % states] += 1e-6
    return table


CHAINS = {f.__name__: f for f in (dense, sparse, drifting, nearly_decomposable)}


@pytest.mark.parametrize("states", [5, 12, 50])
@pytest.mark.parametrize("chain", CHAINS)
def test_against_80_digits(chain, states):
    rng = np.random.default_rng(states)
    table = CHAINS[chain](states, rng)
    reward, start, pi = rng.random((states, 2)), rng.dirichlet(np.ones(states)), rng.dirichlet(np.ones(2), states)
    for gamma in GAMMAS if states < 50 else (0.9, 1 - 1e-6, 1 - 1e-12):
        mdp = MDP(table, reward, start, gamma)
        e = evaluate(mdp, pi)
        with mp.workdps(oracle.DIGITS):
            exact = oracle.evaluate(mdp, pi)
            relative = [abs(mp.mpf(float(x)) / y - 1) for x, y in zip([*e.V, *e.rho], [*exact.V, *exact.rho], strict=True)]
            span = max(exact.V) - min(exact.V)
            absolute = [abs(mp.mpf(float(e.A[s, a])) - exact.A[s][a]) for s in range(states) for a in range(2)]
            assert max(relative) < 1e-14, gamma
            assert max(absolute) < 1e-13 * (np.abs(reward).max() + float(span)), gamma
            assert abs(mp.mpf(float(e.eta)) / exact.eta - 1) < 1e-14, gamma
        assert np.abs((pi * e.A).sum(-1)).max() <= 1e-15 * np.abs(e.A).max(), gamma


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("make", [chain_walk, forest, kakade_langford_chain, deep_sea, two_armed_bandit, riverswim])
def test_against_truncated_series(make, gamma):
    mdp = make(gamma=gamma)
    rng = np.random.default_rng(1)
    pi = rng.dirichlet(np.ones(mdp.A), mdp.S)
    e = evaluate(mdp, pi)
    step, reward = np.einsum("sa,sat->st", pi, mdp.P), (pi * mdp.R).sum(-1)
    V, rho, law = np.zeros(mdp.S), np.zeros(mdp.S), mdp.rho0.copy()
    for t in range(600):  # 0.9^600 is below one rounding
        V = reward + gamma * step @ V
        rho, law = rho + gamma**t * law, law @ step
    np.testing.assert_allclose(e.V, V, rtol=0, atol=1e-12 * max(np.abs(V).max(), 1))
    np.testing.assert_allclose(e.rho, rho, rtol=0, atol=1e-12 / (1 - gamma))
    np.testing.assert_allclose(e.Q, mdp.R + gamma * mdp.P @ V, rtol=0, atol=1e-12 * max(np.abs(V).max(), 1))
    np.testing.assert_allclose(e.A, e.Q - V[:, None], rtol=0, atol=1e-12 * max(np.abs(V).max(), 1))
    np.testing.assert_allclose(e.d, (1 - gamma) * rho, rtol=0, atol=1e-12)
    np.testing.assert_allclose(e.eta, mdp.rho0 @ V, rtol=1e-12)


def test_unreachable_states_have_no_visits():
    mdp = deep_sea(3, gamma=0.9)
    e = evaluate(mdp, np.eye(2)[np.zeros(mdp.S, int)])
    assert (e.rho == 0).sum() > 0
    assert np.isfinite(e.A).all()


def test_batch_axes_broadcast_both_ways():
    rng = np.random.default_rng(0)
    mdps = garnet(4, 3, 2, gamma=np.array([0.5, 0.9]), seed=0, batch=(2,))
    policies = rng.dirichlet(np.ones(3), (5, 1, 4))
    e = evaluate(mdps, policies)
    assert e.V.shape == (5, 2, 4)
    assert e.pi.shape == (5, 2, 4, 3)
    for i in range(5):
        for j in range(2):
            one = evaluate(mdps[j], policies[i, 0])
            for field in ("V", "Q", "A", "rho", "d", "eta"):
                np.testing.assert_array_equal(getattr(e, field)[i, j], getattr(one, field))
    np.testing.assert_array_equal(e[3, 1].rho, e.rho[3, 1])


def test_single_state_and_single_action():
    e = evaluate(MDP([[[1.0]]], [[3.0]], [1.0], 0.75), [[1.0]])
    assert (e.V[0], e.rho[0], e.eta, e.A[0, 0]) == (12.0, 4.0, 12.0, 0.0)


def test_loose_rows_are_read_as_their_normalisation():
    mdp = garnet(4, 2, 2, gamma=0.9, seed=3)
    loose = MDP(mdp.P * (1 + 3e-9), mdp.R, mdp.rho0, 0.9)
    pi = uniform_policy(mdp)
    np.testing.assert_allclose(evaluate(loose, pi * (1 - 2e-9)).V, evaluate(mdp, pi).V, rtol=1e-14)


@pytest.mark.parametrize("gamma", [0.99, 1 - 1e-6, 1 - 1e-10])
def test_advantages_where_some_states_never_meet_the_reference(gamma):
    """Two absorbing states of one reward: V is of order 1/(1-gamma), its span of order 1, and A keeps its digits."""
    table = np.zeros((4, 2, 4))
    table[[0, 1], :, 0] = table[3, :, 3] = 1
    table[2, 0, 0] = table[2, 1, 1] = 1
    mdp = MDP(table, [[0.3, 0.3], [0.388, 0.352], [0.523, 0.383], [0.3, 0.3]], [0.25] * 4, gamma)
    pi = [[0.476, 0.524], [0.718, 0.282], [0.165, 0.835], [0.9, 0.1]]
    e = evaluate(mdp, pi)
    with mp.workdps(oracle.DIGITS):
        exact = oracle.evaluate(mdp, pi)
        span = float(max(exact.V) - min(exact.V))
        error = max(abs(float(mp.mpf(float(e.A[s, a])) - exact.A[s][a])) for s in range(4) for a in range(2))
    assert span < 1
    assert error < 1e-13 * (0.523 + span)
