"""Policies that are evaluated one after the other in a tile, against dense solves of one instance at a time."""

import numpy as np
import pytest

from mdps import repeated
from mdps.families import dirichlet, garnet
from mdps.mdp import trusted
from mdps.planes import unfolded


def worth(mdp, pi):
    """V and A of one policy in one process, by numpy."""
    chain, reward = np.einsum("sa,sat->st", pi, mdp.P), (pi * mdp.R).sum(-1)
    V = np.linalg.solve(np.eye(mdp.S) - mdp.gamma * chain, reward)
    return V, mdp.R + mdp.gamma * mdp.P @ V - V[:, None]


def natural_steps(mdp, step):
    theta, found = np.zeros((mdp.S, mdp.A)), []
    for _ in range(1 + repeated.STEPS):
        weights = np.exp(theta - theta.max(-1, keepdims=True))
        V, A = worth(mdp, weights / weights.sum(-1, keepdims=True))
        theta = theta + step * A
        found.append(V)
    return found[1:]


PROCESSES = {
    "dirichlet": lambda: dirichlet(5, 3, gamma=0.9, seed=1, batch=(37,)),
    "garnet": lambda: garnet(9, 4, 2, gamma=0.99, seed=2, batch=(2, 8)),
    "one state": lambda: dirichlet(1, 1, gamma=0.5, seed=3, batch=(3,)),
    "single": lambda: dirichlet(4, 2, gamma=0.0, seed=4),
}


@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("name", PROCESSES)
def test_natural_steps(name, size):
    mdp = PROCESSES[name]()
    steps = size * np.random.default_rng(5).random((*mdp.batch, 2))
    found = repeated.natural_values(mdp, steps)
    for i in np.ndindex(mdp.batch):
        for k in range(2):
            truth = natural_steps(mdp[i] if i else mdp, steps[i][k])
            np.testing.assert_allclose(found[i][k], truth, rtol=1e-12, atol=1e-10)


def test_the_bits_do_not_depend_on_how_a_batch_is_stored_or_cut(monkeypatch):
    mdp = PROCESSES["garnet"]()
    rng = np.random.default_rng(6)
    step, A = rng.random((*mdp.batch, 3)), rng.standard_normal(mdp.R.shape)
    flat = [table.reshape(16, *table.shape[2:]) for table in (mdp.P, mdp.R, mdp.rho0, mdp.gamma, A, step)]
    P, R, rho0, gamma, advantages, steps = (
        unfolded(np.ascontiguousarray(table.reshape(16, -1).T), table.shape[1:]) for table in flat
    )
    planar = trusted(P, R, rho0, gamma)
    natural, optimal = repeated.natural_values(planar, steps), repeated.optimal_values(planar, advantages)
    monkeypatch.setattr(repeated, "PART", 5)
    np.testing.assert_array_equal(natural.reshape(2, 8, 3, repeated.STEPS, 9), repeated.natural_values(mdp, step))
    np.testing.assert_array_equal(optimal.reshape(2, 8, 9), repeated.optimal_values(mdp, A))


@pytest.mark.parametrize("name", PROCESSES)
def test_optimal_values_satisfy_bellmans_equation(name):
    mdp = PROCESSES[name]()
    V = repeated.optimal_values(mdp, np.random.default_rng(7).standard_normal(mdp.R.shape))
    Q = mdp.R + mdp.gamma[..., None, None] * np.einsum("...sat,...t->...sa", mdp.P, V)
    np.testing.assert_allclose(Q.max(-1), V, rtol=1e-12, atol=1e-12)
