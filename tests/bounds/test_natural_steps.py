"""Natural-gradient steps of enclosures in one kernel: what ball arithmetic says lies inside, and they are those one by one."""

import flint
import numpy as np
import pytest
from numba import types
from truth import exact, normalised

from bounds.enclosed_laws import Law
from bounds.enclosed_steps import falling_exponential, natural_values
from bounds.enclosure import Enclosure
from bounds.optimum import _followed
from bounds.optimum import natural_values as natural_values_of_any
from bounds.rounding import LIBRARY, TINY
from bounds.steps import worth
from mdps.families import garnet
from mdps.kernels import chunked
from mdps.lane_masks import fetch, keep, start
from mdps.lanes import TABLE, WIDTH
from mdps.mdp import MDP, uniform_policy

GAMMAS = np.array([0.0, 0.01, 0.5, 0.9, 0.99, 1 - 1e-9])
SIZES = (1e-6, 1.0, 60.0, 1e5)
_OUT = types.float64[:, ::1]


@chunked(types.void(TABLE, TABLE, _OUT))
def exponentials(a, r, out):
    for block in range((out.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, out.shape[1])
        value, off = falling_exponential(fetch(a, 0, at), fetch(r, 0, at))
        keep(value, out, 0, at)
        keep(off, out, 1, at)


@pytest.fixture(autouse=True)
def digits():
    kept, flint.ctx.prec = flint.ctx.prec, 2500
    yield
    flint.ctx.prec = kept


def enclosed(mdp):
    return MDP(Law(mdp.P), Enclosure(mdp.R), Law(mdp.rho0), Enclosure(mdp.gamma))


def process(states, actions, branching, copies, scale=1.0, seed=0):
    gamma = np.repeat(GAMMAS, copies)
    mdp = garnet(states, actions, branching, gamma=gamma, seed=seed, batch=gamma.shape)
    return MDP(mdp.P, scale * mdp.R, mdp.rho0, mdp.gamma)


def fused(mdp, *sizes):
    start = worth(enclosed(mdp), uniform_policy(enclosed(mdp)))[1]
    return natural_values(enclosed(mdp), start, *(Enclosure(np.full(mdp.batch, size)) for size in sizes))


def inside(low, high, ball):
    """Whether a number known to a thousand digits can be told from one between those floats; ends are rounded outwards."""
    return not ball < flint.arb(float(low)) and not ball > flint.arb(float(high))


def true_values(mdp, size):
    """V after each of 4 steps in ball arithmetic."""
    states, actions, gamma = range(mdp.S), range(mdp.A), exact(mdp.gamma)
    P = [[normalised(mdp.P[s, a]) for a in actions] for s in states]
    R = [[exact(x) for x in row] for row in mdp.R]
    theta = [[flint.arb(0) for _ in actions] for _ in states]
    found = []
    for t in range(5):
        weights = [[x.exp() for x in row] for row in theta]
        pi = [[w / sum(row) for w in row] for row in weights]
        system = [[int(s == t) - gamma * sum(pi[s][a] * P[s][a][t] for a in actions) for t in states] for s in states]
        reward = [[sum(pi[s][a] * R[s][a] for a in actions)] for s in states]
        V = flint.arb_mat(system).solve(flint.arb_mat(reward))
        found.append([V[s, 0] for s in states])
        for s in states:
            for a in actions:
                ahead = sum((P[s][a][t] * V[t, 0] for t in states), flint.arb(0))
                theta[s][a] += exact(size) * (R[s][a] + gamma * ahead - V[s, 0])
    return found[1:]


@pytest.mark.parametrize(("states", "actions", "branching"), [(4, 3, 2), (3, 2, 3), (1, 2, 1), (3, 1, 2)])
@pytest.mark.parametrize("scale", [1.0, 1e-290, 1e120])
def test_it_contains_what_the_policies_are_worth(states, actions, branching, scale):
    mdp = process(states, actions, branching, 3, scale)
    low, high = fused(mdp, *SIZES).bounds()
    assert low.shape == (*mdp.batch, len(SIZES), 4, states)
    narrow = []
    for i in range(len(mdp.gamma)):
        for k, size in enumerate(SIZES):
            for t, V in enumerate(true_values(mdp[i], size)):
                for s in range(states):
                    assert inside(low[i, k, t, s], high[i, k, t, s], V[s]), (i, size, t, s)
        if mdp.gamma[i] < 0.95:
            narrow.append((high[i, 0] - low[i, 0] <= 1e-10 * scale).all())
    assert scale != 1 or all(narrow)


@pytest.mark.parametrize("layout", [lambda x: x, np.asfortranarray], ids=["rows", "planes"])
def test_it_is_what_the_steps_say_one_by_one(layout):
    mdp = process(5, 3, 2, 6, seed=1)
    mdp = MDP(*(layout(x) for x in (mdp.P, mdp.R, mdp.rho0)), mdp.gamma)
    sizes = [Enclosure(np.full(mdp.batch, size), 1e-15 * size) for size in SIZES]
    start = worth(enclosed(mdp), uniform_policy(enclosed(mdp)))[1]
    for one, size in zip(natural_values_of_any(enclosed(mdp), *sizes), sizes, strict=True):
        for V, other in zip(one, _followed(enclosed(mdp), start, size[..., None, None]), strict=True):
            assert V.shape == other.shape == (*mdp.batch, 5)
            assert (V.rad <= 1.05 * other.rad + 1e-300).all()  # where little is known, less is given away
            close = other.rad < 1e-3
            np.testing.assert_allclose(V.rad[close], other.rad[close], rtol=0.05, atol=1e-300)
            assert (np.isinf(other.rad) | (np.abs(V.mid - other.mid) <= 1.001 * (V.rad + other.rad))).all()


def test_no_instance_depends_on_its_neighbours():
    mdp = process(3, 2, 2, 8)
    whole = fused(mdp, *SIZES)
    for index in (slice(0, 1), slice(3, 20), np.array([40, 1, 1])):
        part = fused(mdp[index], *SIZES)
        np.testing.assert_array_equal(part.mid, whole.mid[index])
        np.testing.assert_array_equal(part.rad, whole.rad[index])


def test_a_step_of_unknown_size_says_no_more_than_the_rewards():
    mdp = process(3, 2, 2, 3)
    start = worth(enclosed(mdp), uniform_policy(enclosed(mdp)))[1]
    V = natural_values(enclosed(mdp), start, Enclosure(np.zeros(mdp.batch), np.inf))
    low, high = V.bounds()
    least, most = (f(mdp.R, axis=(-2, -1))[:, None, None, None] / (1 - mdp.gamma)[:, None, None, None] for f in (np.min, np.max))
    assert (low >= least - 1e-9 * abs(least)).all()
    assert (high <= most + 1e-9 * abs(most)).all()
    for size in (0.0, *SIZES):
        V = fused(mdp, size)
        assert (low <= V.bounds()[1]).all()
        assert (high >= V.bounds()[0]).all()


def test_what_it_is_not_about():
    mdp = process(3, 2, 2, 3)
    size = Enclosure(np.ones(mdp.batch))
    A = Enclosure(np.zeros((*mdp.batch, 3, 2)))
    vague = MDP(Law(mdp.P), Enclosure(mdp.R, 1e-3), Law(mdp.rho0), Enclosure(mdp.gamma))
    assert natural_values(vague, A, size) is None
    vague = MDP(Enclosure(mdp.P), Enclosure(mdp.R), Law(mdp.rho0), Enclosure(mdp.gamma))
    assert natural_values(vague, A, size) is None
    vague = MDP(Law(mdp.P), Enclosure(mdp.R), Law(mdp.rho0), Enclosure(mdp.gamma, 1e-9))
    assert natural_values(vague, A, size) is None


def test_exponentials_of_falling_numbers():
    """Every number within, none above zero, has its exponential inside; and the radius is no larger than it has to be."""
    rng = np.random.default_rng(0)
    mids = [0.0, -5e-324, -1e-9, -0.5, -699.9999, -700.0, -700.0001, -745.0, -1e5, -1e308, *-(10.0 ** rng.uniform(-3, 3, 200))]
    radii = [0.0, 1e-300, 1e-16, 1e-9, 0.0099, 0.0101, 0.5, 30.0, 1e4, np.inf]
    a, r = (x.reshape(1, -1).copy() for x in np.broadcast_arrays(np.array(mids)[:, None], radii))
    a[np.isinf(r)] = 0.0
    out = np.empty((2, a.shape[1]))
    exponentials(a, r, out)
    low, high = Enclosure(*out).bounds()
    assert (low >= 0.0).all()
    assert (high <= 1.01).all()
    for i in range(a.shape[1]):
        for sign in (-1, 0, 1):
            if np.isinf(r[0, i]):
                assert low[i] == 0.0
                assert high[i] >= 1.0
                continue
            x = flint.arb(a[0, i]) + sign * flint.arb(r[0, i])
            x = flint.arb(0) if x > 0 else x
            assert inside(low[i], high[i], x.exp()), (a[0, i], r[0, i], sign)
    value, off = out
    known = (a[0] > -700) & (r[0] < 0.01)
    assert (off[known] <= value[known] * (1.01 * LIBRARY + 1.02 * r[0, known]) + 2 * TINY).all()
    assert (high[(a[0] < -700) & (r[0] < 1)] <= 2.72e-304).all()
    np.testing.assert_array_equal(out[:, (a[0] == 0) & (r[0] == 0)], [[1.0], [0.0]])
