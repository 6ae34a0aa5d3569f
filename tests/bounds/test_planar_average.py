"""Two chains without a discount, in one pass over planes: against dense linear algebra, and bit for bit against rows."""

import numpy as np
import pytest
from test_planar_movement import both, pairs

from bounds.occupancy import _average
from mdps.families import garnet


def stationary(chain):
    n = len(chain)
    system = np.vstack([np.eye(n) - chain.T, np.ones(n)])
    return np.linalg.lstsq(system, np.eye(n + 1)[n], rcond=None)[0]


@pytest.mark.parametrize("near", [1.0, 1e-2])
def test_against_dense_linear_algebra(near):
    mdp, old, new = pairs(near)
    found = _average(both(mdp, old, new)[1])
    for i in range(32):
        P, P_new = (np.einsum("sa,sat->st", pi, mdp.P[i]) for pi in (old[i], new[i]))
        law, law_new = stationary(P), stationary(P_new)
        np.testing.assert_allclose(found.moved[i], law_new - law, atol=1e-13)
        fundamental = np.linalg.inv(np.eye(5) - P_new + law_new)  # Kemeny and Snell's Z; its trace less one
        np.testing.assert_allclose(found.kemeny[i], np.trace(fundamental) - 1, rtol=1e-12)
        np.testing.assert_allclose(found.tv_mean[i], law @ np.abs(new[i] - old[i]).sum(-1) / 2, rtol=1e-12)
        reward = (old[i] * mdp.R[i]).sum(-1)
        bias = np.linalg.inv(np.eye(5) - P + law) @ (reward - law @ reward)
        A = mdp.R[i] + mdp.P[i] @ bias - bias[:, None]
        np.testing.assert_allclose(found.gain[i], ((new[i] - old[i]) * A).sum(-1), atol=1e-13)


def test_bits_are_those_of_rows():
    mdp = garnet(9, 4, 2, gamma=0.9, seed=3, batch=(16,))
    old, new = np.random.default_rng(4).dirichlet(np.ones(4), (2, 16, 9))
    old[:4] = np.eye(4)[0]  # chains of which some are not irreducible
    for mine, theirs in zip(*(_average(c) for c in both(mdp, old, new)), strict=True):
        np.testing.assert_array_equal(mine, theirs)
