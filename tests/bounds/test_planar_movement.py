"""How values and visits move, in one pass over planes: against dense solves, and bit for bit against tables in rows."""

import numpy as np
import pytest

from bounds.compare import compare
from mdps.evaluate import evaluate_trusted
from mdps.families import dirichlet, garnet
from mdps.mdp import trusted
from mdps.planes import unfolded


def in_planes(table):
    return unfolded(np.ascontiguousarray(table.reshape(len(table), -1).T), table.shape[1:])


def both(mdp, old, new):
    """The same comparison of tables in rows and of tables in planes."""
    process = trusted(*(in_planes(table) for table in (mdp.P, mdp.R, mdp.rho0, mdp.gamma)))
    return compare(mdp, old, new), compare(process, *(evaluate_trusted(process, in_planes(pi)) for pi in (old, new)))


def pairs(near):
    mdp = dirichlet(5, 3, gamma=0.9, seed=1, batch=(32,))
    rng = np.random.default_rng(2)
    old, other = rng.dirichlet(np.ones(3), (2, 32, 5))
    return mdp, old, (1 - near) * old + near * other


@pytest.mark.parametrize("near", [1.0, 1e-3])
def test_against_dense_solves(near):
    mdp, old, new = pairs(near)
    c = both(mdp, old, new)[1]
    for i in range(32):
        inverse, chain, reward = [], [], []
        for pi in (old[i], new[i]):
            chain.append(np.einsum("sa,sat->st", pi, mdp.P[i]))
            reward.append((pi * mdp.R[i]).sum(-1))
            inverse.append(np.linalg.inv(np.eye(5) - 0.9 * chain[-1]))
        V, V_new = (x @ r for x, r in zip(inverse, reward, strict=True))
        rho, rho_new = (mdp.rho0[i] @ x for x in inverse)
        A = mdp.R[i] + 0.9 * mdp.P[i] @ V - V[:, None]
        gain = (new[i] * A).sum(-1)
        np.testing.assert_allclose(c.value_shift[i] - c.value_shift[i, 0], (V_new - V) - (V_new - V)[0], atol=1e-13)
        np.testing.assert_allclose(c.gap[i], (rho_new - rho) @ gain, atol=1e-13)
        np.testing.assert_allclose(c.occupancy_shift[i], rho_new - rho, atol=1e-13)


def test_the_errors_are_what_was_added_up():
    mdp, old, new = pairs(0.5)
    c = both(mdp, old, new)[1]
    assert ((c.gap_error > 1e-17) & (c.gap_error < 1e-12)).all()
    assert ((c.occupancy_error > 1e-17) & (c.occupancy_error <= 16 * np.finfo(float).eps)).all()


@pytest.mark.parametrize("near", [1.0, 1e-3, 1e-9, 0.0])
def test_bits_are_those_of_rows(near):
    mdp = garnet(9, 4, 2, gamma=0.999, seed=3, batch=(16,))
    rng = np.random.default_rng(4)
    old, other = rng.dirichlet(np.ones(4), (2, 16, 9))
    rows, planes = both(mdp, old, (1 - near) * old + near * other)
    for name in ("gap", "gap_error", "value_shift", "_gain_size", "occupancy_shift", "occupancy_error"):
        np.testing.assert_array_equal(getattr(planes, name), getattr(rows, name), err_msg=name)


def test_a_gain_that_hardly_varies_loses_its_middle():
    mdp, old, _ = pairs(1.0)
    best = np.eye(3)[mdp.R.argmax(-1)]
    rows, planes = both(mdp, old, best)
    centred = np.abs(rows._centred_gain) < np.abs(rows.gain)
    assert centred.any()
    assert not centred.all()
    np.testing.assert_array_equal(planes.gap, rows.gap)
