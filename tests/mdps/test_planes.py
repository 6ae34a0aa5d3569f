"""Tables in planes: the same numbers, bit for bit, as the same tables stored an instance after the other."""

import numpy as np
import pytest

from mdps import MDP, evaluate, planar_resolvent
from mdps.batches import rows
from mdps.distributions import distributions
from mdps.elimination import backup, eliminate, forward
from mdps.evaluate import values_and_advantages, visits
from mdps.families import sparse_garnet
from mdps.lanes import WIDTH
from mdps.mdp import trusted
from mdps.planes import cut, planes, stored, unfolded, widened

COUNT = 3 * WIDTH
GAMMAS = (0.0, 0.9, 1 - 1e-9, 1 - 1e-12)


def in_planes(table):
    core = table.shape[1:]
    copy = cut(*rows(table, table.shape[:1], len(core)), core, 0, len(table))
    assert stored(copy, len(core))
    return copy


def batch(states, actions, seed=0):
    """Processes and policies with some zeros; in every third process the last state is hardly ever visited."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(states, 0.3), (COUNT, states, actions))
    P[::3, ..., -1] *= 1e-6
    P[np.arange(COUNT) % 5 == 4] = np.eye(states)[:, None]
    P /= P.sum(-1, keepdims=True)
    pi = rng.dirichlet(np.ones(actions), (COUNT, states)) * (rng.random((COUNT, states, actions)) > 0.2)
    pi = np.where(pi.sum(-1, keepdims=True) > 0, pi, 1.0)
    mdp = MDP(P, rng.standard_normal((COUNT, states, actions)), rng.dirichlet(np.ones(states), COUNT), rng.choice(GAMMAS, COUNT))
    return mdp, pi / pi.sum(-1, keepdims=True), rng


def turned(mdp):
    return trusted(*(in_planes(table) for table in (mdp.P, mdp.R, mdp.rho0, mdp.gamma)))


SIZES = [(1, 1), (1, 3), (2, 2), (5, 1), (5, 3), (8, 2), (13, 3)]


@pytest.mark.parametrize(("states", "actions"), SIZES)
def test_every_solve(states, actions):
    mdp, pi, rng = batch(states, actions)
    turn = turned(mdp)
    plain, planar = eliminate(mdp.P, pi, mdp.gamma), eliminate(turn.P, in_planes(pi), turn.gamma)
    assert states == 1 or (plain.reference < states - 1).any()  # the last state is not the reference of all
    assert stored(planar.factors, 2)
    reward, size = rng.standard_normal((COUNT, states)), rng.random((COUNT, states))
    weights = rng.random((COUNT, states, actions))
    balanced = reward - reward.mean(-1, keepdims=True)
    for name, right in [
        ("values", reward),
        ("values", np.ones(states)),
        ("relative_values", reward),
        ("relative_values", np.eye(states)[0]),
        ("relative_magnitude", size),
        ("occupancy", size),
        ("occupancy", size[:1]),
        ("flow", balanced),
        ("flow_magnitude", size),
    ]:
        expected = getattr(plain, name)(right)
        for given in (right, in_planes(right) if right.shape == reward.shape else right):
            found = getattr(planar, name)(given)
            for x, y in zip(*(z if isinstance(z, tuple) else (z,) for z in (found, expected)), strict=True):
                assert stored(x, x.ndim - 1)
                np.testing.assert_array_equal(x, y, err_msg=name)
    for name in ("factors", "time", "reference"):
        np.testing.assert_array_equal(getattr(planar, name), getattr(plain, name))
    for gamma, values in ((mdp.gamma, reward), (1.0, reward), (mdp.gamma, np.ones(states))):
        expected = backup(mdp.P, mdp.R, gamma, np.broadcast_to(values, reward.shape))
        np.testing.assert_array_equal(backup(turn.P, turn.R, gamma, values), expected)
    np.testing.assert_array_equal(forward(turn.P, in_planes(weights)), forward(mdp.P, weights))
    assert stored(forward(turn.P, weights), 1)


@pytest.mark.parametrize(("states", "actions"), SIZES)
def test_solves_that_keep_no_factors(states, actions):
    mdp, pi, _ = batch(states, actions)
    turn, plain = turned(mdp), eliminate(mdp.P, pi, mdp.gamma)
    for policy in (pi, in_planes(pi)):
        found = planar_resolvent.visits(turn.P, policy, turn.gamma, turn.rho0)
        assert stored(found, 1)
        np.testing.assert_array_equal(found, plain.occupancy(mdp.rho0))
    chain = eliminate(turn.P, in_planes(pi), turn.gamma)
    found = planar_resolvent.unit_values(chain.factors, chain.time, chain.reference)
    assert stored(found, 2)
    np.testing.assert_array_equal(found, np.stack([plain.relative_values(unit)[0] for unit in np.eye(states)], -1))
    if states > 1:  # one state's tables are in planes as they are
        assert planar_resolvent.visits(mdp.P, pi, mdp.gamma, mdp.rho0) is None
        assert planar_resolvent.unit_values(plain.factors, plain.time, plain.reference) is None


def test_what_does_not_broadcast_is_solved_all_the_same():
    mdp, pi, rng = batch(4, 2)
    planar, plain = eliminate(turned(mdp).P, in_planes(pi), mdp.gamma), eliminate(mdp.P, pi, mdp.gamma)
    many = rng.random((7, COUNT, 4))
    np.testing.assert_array_equal(planar.values(many), plain.values(many))
    np.testing.assert_array_equal(planar.flow(many), plain.flow(many))
    np.testing.assert_array_equal(backup(turned(mdp).P, mdp.R, 0.5, many), backup(mdp.P, mdp.R, 0.5, many))
    np.testing.assert_array_equal(forward(turned(mdp).P, many[..., None] * pi), forward(mdp.P, many[..., None] * pi))
    broad = eliminate(turned(mdp).P, np.broadcast_to(pi, (2, *pi.shape)), mdp.gamma)
    np.testing.assert_array_equal(broad.values(many[0])[1], plain.values(many[0]))


@pytest.mark.parametrize(("states", "actions"), SIZES)
def test_an_evaluation(states, actions):
    mdp, pi, _ = batch(states, actions)
    e, turn = evaluate(mdp, pi), turned(mdp)
    for policy in (pi, in_planes(pi)):
        found = evaluate(turn, policy)
        for name in ("V", "Q", "A", "rho", "d", "eta"):
            np.testing.assert_array_equal(getattr(found, name), getattr(e, name))
            assert stored(getattr(found, name), getattr(e, name).ndim - 1)
        V, A = values_and_advantages(turn, policy)
        np.testing.assert_array_equal(V, e.V)
        np.testing.assert_array_equal(A, e.A)
        np.testing.assert_array_equal(visits(turn, policy), e.rho)
    V, A = values_and_advantages(mdp[:5], pi[:5])
    np.testing.assert_array_equal(V, e.V[:5])
    np.testing.assert_array_equal(A, e.A[:5])
    np.testing.assert_array_equal(visits(mdp[:5], pi[:5]), e.rho[:5])


@pytest.mark.parametrize("wrong", [[0.5, 0.5 + 1e-7], [1.5, -0.5], [np.inf, 0.0], [np.nan, 1.0]])
def test_what_is_no_distribution(wrong):
    table = np.full((WIDTH, 3, 2), 0.5)
    assert stored(distributions(in_planes(table), 1e-8), 2)
    table[7, 1] = wrong
    assert distributions(in_planes(table), 1e-8) is None


def test_distributions_are_copied_and_normalised():
    table = np.full((WIDTH, 3, 2), 0.5)
    table[3, 2] = 0.5, 0.5 + 1e-9
    given = in_planes(table)
    copy = distributions(given, 1e-8)
    assert not np.shares_memory(copy, given)
    expected = table.copy()
    expected[3, 2] /= table[3, 2].sum()
    np.testing.assert_array_equal(copy, expected)


def test_a_part_of_a_batch_of_any_shape():
    rng = np.random.default_rng(0)
    table = np.broadcast_to(rng.random((5, 1, 3, 2)), (5, 8, 3, 2))
    part = cut(*rows(table, (5, 8), 2), (3, 2), 7, 30)
    assert part.shape == (32, 3, 2)
    np.testing.assert_array_equal(part[:23], table.reshape(-1, 3, 2)[7:30])
    np.testing.assert_array_equal(part[23:], np.broadcast_to(part[22], (9, 3, 2)))
    alone = cut(*rows(table[1, 2], (), 2), (3, 2), 0, 1)
    np.testing.assert_array_equal(alone, np.broadcast_to(table[1, 2], (WIDTH, 3, 2)))


def test_which_tables_are_in_planes():
    table = np.random.default_rng(0).random((WIDTH, 3, 2))
    turn = in_planes(table)
    assert not stored(table, 2)
    assert not stored(turn, 1)
    assert not stored(turn[:-1], 2)  # no whole tile
    assert not stored(turn[:, ::2], 2)
    assert not stored(np.broadcast_to(turn[:1], turn.shape), 2)
    assert not stored([1.0] * WIDTH, 0)
    assert stored(turn[:, :, None], 3)
    assert stored(turn > 0.5, 2)
    assert planes(turn > 0.5, 2) is None  # no floats
    assert np.shares_memory(planes(turn, 2), turn)
    np.testing.assert_array_equal(unfolded(planes(turn, 2), (3, 2)), table)
    assert np.shares_memory(widened(turn, (3, 2), WIDTH), turn)
    np.testing.assert_array_equal(widened(table, (3, 2), WIDTH), planes(turn, 2))
    np.testing.assert_array_equal(widened(2.0, (), WIDTH), np.full((1, WIDTH), 2.0))
    for wrong in (table[:3], table[:, :2], table[None]):
        assert widened(wrong, (3, 2), WIDTH) is None


def test_parts_of_a_sparse_evaluation():
    mdp = sparse_garnet(12, 3, 4, gamma=0.9, seed=0)
    pi = np.full((12, 3), 1 / 3)
    e = evaluate(mdp, pi)
    np.testing.assert_array_equal(visits(mdp, pi), e.rho)
    V, A = values_and_advantages(mdp, pi)
    np.testing.assert_array_equal(V, e.V)
    np.testing.assert_array_equal(A, e.A)
