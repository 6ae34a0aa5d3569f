"""What a policy that a claim builds does, and what the best one is worth, against dense solves of every policy."""

import itertools

import numpy as np
import pytest
from test_planar_movement import both, in_planes, pairs

from bounds import compare
from bounds.by_exact_numbers import exact_comparison
from bounds.exact import Exact
from bounds.optimum import optimal_values
from bounds.pairs import PAIRINGS
from bounds.steps import gain, step
from mdps import stack
from mdps.families import dirichlet, fam_tv, garnet


def solved(mdp, pi):
    """V and rho of one policy in one process, by numpy."""
    chain, reward = np.einsum("sa,sat->st", pi, mdp.P), (pi * mdp.R).sum(-1)
    system = np.eye(mdp.S) - mdp.gamma * chain
    return np.linalg.solve(system, reward), np.linalg.solve(system.T, mdp.rho0)


def test_a_step_is_a_policy_held_against_old():
    mdp = garnet(5, 3, 2, gamma=0.9, seed=5, batch=(4,))
    old, new = PAIRINGS["mixed"](mdp, np.full(4, 0.4), np.random.default_rng(6))
    other = np.random.default_rng(7).dirichlet(np.ones(3), (4, 5))
    taken = step(compare(mdp, old, new), other)
    for i in range(4):
        V, _ = solved(mdp[i], old[i])
        A = mdp[i].R + 0.9 * mdp[i].P @ V - V[:, None]
        value, rho = solved(mdp[i], other[i])
        np.testing.assert_allclose(taken.gain[i], (other[i] * A).sum(-1), atol=1e-13)
        np.testing.assert_allclose(taken.rho[i], rho, rtol=1e-13)
        np.testing.assert_allclose(taken.improvement[i], mdp[i].rho0 @ (value - V), atol=1e-12)


def test_a_step_in_planes():
    mdp, old, new = pairs(0.5)
    other = np.random.default_rng(3).dirichlet(np.ones(3), (32, 5))
    rows, planes = both(mdp, old, new)
    taken = step(planes, in_planes(other))
    np.testing.assert_array_equal(gain(planes, in_planes(other)), taken.gain)
    for mine, theirs in zip(taken, step(rows, other), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for i in range(32):
        V, _ = solved(mdp[i], old[i])
        value, rho = solved(mdp[i], other[i])
        A = mdp[i].R + 0.9 * mdp[i].P @ V - V[:, None]
        np.testing.assert_allclose(taken.gain[i], (other[i] * A).sum(-1), atol=1e-13)
        np.testing.assert_allclose(taken.rho[i], rho, rtol=1e-13)
        np.testing.assert_allclose(taken.improvement[i], mdp[i].rho0 @ (value - V), atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1 - 1e-6])
def test_no_policy_is_worth_more(gamma):
    mdp = dirichlet(3, 3, gamma=gamma, seed=8, concentration=0.3, batch=(2, 10))
    old, new = PAIRINGS["deterministic"](mdp, np.full((2, 10), 0.4), np.random.default_rng(9))
    best = optimal_values(compare(mdp, old, new))
    for i in np.ndindex(2, 10):
        every = [solved(mdp[i], np.eye(3)[list(choice)])[0] for choice in itertools.product(range(3), repeat=3)]
        np.testing.assert_allclose(best[i], np.max(every, 0), rtol=1e-9 if gamma > 0.999 else 1e-12)


def test_ties_and_equal_rewards_end():
    mdp = fam_tv(0.9, [0.25, 0.5])[0]
    mdp = mdp if mdp.batch else stack([mdp, mdp])
    c = compare(mdp, np.full((mdp.S, mdp.A), 1 / mdp.A), np.full((mdp.S, mdp.A), 1 / mdp.A))
    for i in range(2):
        every = [solved(mdp[i], np.eye(mdp.A)[list(x)])[0] for x in itertools.product(range(mdp.A), repeat=mdp.S)]
        np.testing.assert_allclose(optimal_values(c)[i], np.max(every, 0), atol=1e-12)


def test_in_rationals_too():
    mdp = dirichlet(3, 2, gamma=0.9, seed=10)
    pi = np.full((3, 2), 0.5)
    V = optimal_values(exact_comparison(mdp, pi, pi))
    assert isinstance(V, Exact)
    assert V.rational
    floats = optimal_values(compare(mdp, pi, pi))
    np.testing.assert_allclose([float(x.p) / float(x.q) for x in V.entries], floats, rtol=1e-13)
