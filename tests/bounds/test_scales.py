"""What an identity forgives is in proportion to the numbers it is about: their sizes on a small case with values that differ.

Two states, gamma = 1/2: action 1 leads to the other state, action 0 stays; rewards 1 in state 0 and 0 in state 1. Under
old = (1/2, 1/2) the next state is either one, so V = R + m/2 with the mean m = 1/2 + m/2 = 1: V = (3/2, 1/2). To stay is worth
1 + 3/4 in state 0 and 1/4 in state 1, to leave 1 + 1/4 and 3/4: A = (1/4, -1/4) and (-1/4, 1/4), eps = 1/4.
"""

import numpy as np
import pytest

from bounds import CATALOGUE, compare
from mdps import MDP
from mdps.families import garnet

SCALES = {
    "L-at-pi": 3 / 2 + 1 / 4,
    "A-to-Q": 3 / 2 + 1 / 4,
    "npg-is-advantage": 2 * 1 / 4 + 3 / 2 + 1,
}
"""Scales that the case with V = 0 of the other checks leaves open."""


def scale_by_hand(claim):
    """The scale on the case above."""
    stay = np.eye(2)
    mdp = MDP(np.stack([stay, stay[::-1]], 1), [[1, 1], [0, 0]], [1, 0], 0.5)
    scale = claim.statement(compare(mdp, np.full((2, 2), 0.5), [[0.25, 0.75], [0.5, 0.5]]))[-1]
    np.testing.assert_allclose(np.squeeze(scale), SCALES[claim.id], rtol=1e-14, err_msg=claim.id)


@pytest.mark.parametrize("name", SCALES)
def test_an_identity_forgives_in_proportion(name):
    scale_by_hand(CATALOGUE[name])


@pytest.mark.parametrize("unit", [2.0**-700, 2.0**700])
@pytest.mark.parametrize("name", [claim.id for claim in CATALOGUE.values() if claim.kind == "bound"])
def test_a_usage_does_not_depend_on_the_unit_of_rewards(name, unit):
    """Powers of two scale without rounding, and squares of these leave the range of a float."""
    mdp, rng = garnet(5, 3, 2, gamma=0.9, seed=0), np.random.default_rng(0)
    old, other = rng.dirichlet(np.ones(3), (2, 5))
    new = old + 1e-6 * (other - old)
    usage = [CATALOGUE[name].usage(compare(MDP(mdp.P, scale * mdp.R, mdp.rho0, mdp.gamma), old, new)) for scale in (1.0, unit)]
    np.testing.assert_allclose(usage[1], usage[0], rtol=1e-9)
