"""Relative values and levels of all unit rewards at once: to the last bit those of one reward after the other."""

import numpy as np
import pytest

from bounds.comparison import unit_values
from bounds.enclosed_laws import Distributions, Law
from bounds.enclosed_solves import unit_levels
from bounds.enclosure import Enclosure
from mdps.elimination import eliminate
from mdps.families import garnet

GAMMAS = np.array([0.0, 1 - 1e-9, 0.5, 1.0, 0.9])


def chain(policy, batch):
    """Chains of which some visit their last state so rarely that another is the reference."""
    gamma = np.resize(GAMMAS, batch)
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(4), (*batch, 4, 2))
    P[1::2, ..., -1] *= 1e-6
    P /= P.sum(-1, keepdims=True)
    return eliminate(Law(P), policy(rng.dirichlet(np.ones(2), (*batch, 4))), Enclosure(gamma))


@pytest.mark.parametrize("batch", [(20,), (3,)])
@pytest.mark.parametrize("policy", [Law, lambda pi: Distributions(pi, 1e-9 * pi)], ids=["two floats", "one float"])
def test_all_at_once_are_those_one_by_one(policy, batch):
    known = chain(policy, batch)
    assert len(np.unique(known.reference)) > 1
    values, (levels, radii) = unit_values(known), unit_levels(known.factors)
    for k, unit in enumerate(np.eye(4)):
        h, level = known.relative_values(unit)
        np.testing.assert_array_equal(values.mid[..., k], h.mid)
        np.testing.assert_array_equal(values.rad[..., k], h.rad)
        np.testing.assert_array_equal(levels[..., k], level.mid)
        np.testing.assert_array_equal(radii[..., k], level.rad)
    assert np.isfinite(values.rad).all()


def test_floats_are_left_to_their_own_kernels():
    mdp = garnet(3, 2, 2, gamma=np.full(16, 0.9), seed=0, batch=(16,))
    assert unit_levels(eliminate(mdp.P, np.full((16, 3, 2), 0.5), mdp.gamma).factors) is None
