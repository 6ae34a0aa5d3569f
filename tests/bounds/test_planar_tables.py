"""Sums in planes against the same sums of tables stored an instance after the other, bit for bit."""

import numpy as np
import pytest

from bounds import divergences, tables
from mdps.planes import stored, unfolded

RNG = np.random.default_rng(0)


def in_planes(table):
    return unfolded(np.ascontiguousarray(np.moveaxis(table, 0, -1)).reshape(-1, len(table)), table.shape[1:])


def law(shape):
    """Distributions, some with zeros."""
    weights = RNG.random(shape) * (RNG.random(shape) > 0.2) + 1e-3 * (np.arange(shape[-1]) == 0)
    return weights / weights.sum(-1, keepdims=True)


def sparse(shape):
    """Numbers of which some are zero and some infinite."""
    return RNG.choice([0.0, 1.0, np.inf, 0.3], shape) * RNG.random(shape)


ALONG_THE_LAST_AXIS = {
    "dot": (tables.dot, lambda shape: (RNG.standard_normal(shape), RNG.standard_normal(shape))),
    "weighted": (tables.weighted, lambda shape: (3 * law(shape), RNG.standard_normal(shape))),
    "normalised": (tables.normalised, lambda shape: (7 * law(shape),)),
    "shift": (divergences.shift, lambda shape: (law(shape), law(shape) * (1 + 1e-9))),
    "mean": (divergences.mean, lambda shape: (law(shape), np.nan_to_num(sparse(shape), nan=0.0, posinf=np.inf))),
}


@pytest.mark.parametrize("name", ALONG_THE_LAST_AXIS)
@pytest.mark.parametrize("shape", [(16, 1, 1), (32, 5, 3), (48, 9, 11), (16, 4)], ids=str)
def test_along_the_last_axis(name, shape):
    function, drawn = ALONG_THE_LAST_AXIS[name]
    given = drawn(shape)
    planar = function(*(in_planes(table) for table in given))
    assert stored(planar, planar.ndim - 1)
    np.testing.assert_array_equal(planar, function(*given))


@pytest.mark.parametrize("function", [tables.spread, tables.overlap], ids=lambda f: f.__name__)
@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_rows_against_each_other(function, n):
    rows = law((48, n, n))
    rows[:16] = np.eye(n)
    np.testing.assert_array_equal(function(in_planes(rows)), function(rows))


def test_decisions_are_no_floats():
    decisions = in_planes(RNG.random((16, 3)) > 0.5)
    assert tables.in_planes(decisions)
    assert not tables.floats_in_planes(decisions)
    assert not tables.floats_in_planes(in_planes(RNG.random((16, 3))), decisions)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_systems(n):
    system, right = np.eye(n) - 0.9 * law((32, n, n)), RNG.standard_normal((32, n, 2))
    found = tables.solved(in_planes(system), in_planes(right))
    assert stored(found, 2)
    np.testing.assert_array_equal(found, tables.solved(system, right))
    np.testing.assert_allclose(found, np.linalg.solve(system, right), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("n", "actions"), [(1, 1), (1, 7), (5, 3), (4, 7), (9, 2)])
def test_chains_and_their_steps(n, actions):
    P, pi, start = law((32, n, actions, n)), law((32, n, actions)), law((32, n))
    chain = tables.chain(in_planes(P), in_planes(pi))
    after = tables.step(in_planes(start), chain)
    assert stored(chain, 2)
    assert stored(after, 1)
    np.testing.assert_allclose(chain, (pi[..., None] * P).sum(-2), rtol=1e-14)
    np.testing.assert_allclose(after, (start[:, None] @ np.asarray(chain))[:, 0], rtol=1e-14)
    np.testing.assert_array_equal(chain, tables.chain(P, pi))
    np.testing.assert_array_equal(after, tables.step(start, np.ascontiguousarray(chain)))


def test_division_where_it_is_asked_for():
    x, y = RNG.standard_normal((16, 3)), law((16, 3))
    np.testing.assert_array_equal(tables.divided(x, y, y > 0), np.where(y > 0, x / np.where(y > 0, y, 1.0), 0.0))
    np.testing.assert_array_equal(tables.divided(x, x, x != 0), np.ones_like(x))
