"""Systems of enclosures against rational solves of every system at the ends of the radii."""

import itertools

import flint
import numpy as np
import pytest
from truth import exact, inside

from bounds.enclosure import Enclosure


def in_planes(x):
    return Enclosure(*(np.moveaxis(np.ascontiguousarray(np.moveaxis(table, 0, -1)), -1, 0) for table in (x.mid, x.rad)))


def solutions(system, right, seed=0, count=12):
    """Solutions in rationals of systems whose entries lie at ends of their radii."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        a, b = (_at_ends(x, rng.integers(-1, 2, x.shape).tolist()) for x in (system, right))
        yield a.inv() * b


def _at_ends(x, signs):
    rows = zip(x.mid.tolist(), x.rad.tolist(), signs, strict=True)
    return flint.fmpq_mat([[exact(m) + sign * exact(r) for m, r, sign in zip(*row, strict=True)] for row in rows])


@pytest.mark.parametrize("radius", [0.0, 1e-15, 1e-6])
@pytest.mark.parametrize("gamma", [0.0, 0.9, 1 - 1e-6, 1 - 1e-9])
@pytest.mark.parametrize("layout", [lambda x: x, in_planes], ids=["rows", "planes"])
def test_solutions_lie_inside_and_little_else_does(gamma, radius, layout):
    """Of chains, as claims ask for them; a radius is not to be more than the system itself makes of those given."""
    if radius > 1e-3 * (1 - gamma):
        pytest.skip("the system may be singular")
    rng = np.random.default_rng(0)
    chain = rng.dirichlet(np.full(4, 0.5), (20, 4))
    system = Enclosure(np.eye(4) - gamma * chain, radius * rng.random((20, 4, 4)))
    right = Enclosure(rng.standard_normal((20, 4, 2)), radius * rng.random((20, 4, 2)))
    low, high = np.linalg.solve(layout(system), layout(right)).bounds()
    for i in range(20):
        for found in solutions(system[i], right[i], i):
            assert all(inside(low[i, s, k], high[i, s, k], found[s, k]) for s, k in np.ndindex(4, 2))
    scale = 4 / (1 - gamma)
    assert (high - low <= 100 * scale * scale * (radius + 1e-15)).all()


def test_a_system_that_needs_exchanges():
    """No pivot on the diagonal, or a vanishing one: numpy's inverse does, and instances beside it are as they would be alone."""
    awkward = np.array([[[0.0, 1.0], [1.0, 0.0]], [[1e-30, 1.0], [1.0, 1.0]], [[2.0, 1.0], [1.0, 3.0]]])
    right = np.array([[[1.0], [2.0]]] * 3)
    found = np.linalg.solve(Enclosure(awkward), Enclosure(right))
    for i in range(3):
        low, high = found[i].bounds()
        truth = next(solutions(Enclosure(awkward[i]), Enclosure(right[i])))
        assert all(inside(low[s, 0], high[s, 0], truth[s, 0]) for s in range(2))
        assert (high - low < 1e-14).all()
    alone = np.linalg.solve(Enclosure(awkward[2:]), Enclosure(right[2:]))
    np.testing.assert_array_equal(found[2:].mid, alone.mid)
    np.testing.assert_array_equal(found[2:].rad, alone.rad)


def test_what_may_be_singular_is_not_known():
    may_be = Enclosure(np.array([[[1.0, 0.0], [0.0, 1.0]]]), np.array([[[0.0, 0.0], [0.0, 1.0]]]))
    unknown = Enclosure(np.array([[[1.0, 0.0], [0.0, 0.0]]]), np.array([[[0.0, np.inf], [0.0, 0.0]]])) + np.eye(2)
    right = Enclosure(np.ones((1, 2, 1)))
    for system in (may_be, unknown):
        found = np.linalg.solve(system, right)
        assert np.isinf(found.rad).any()
        assert not found.mid[np.isinf(found.rad)].any()
    for system in (np.ones((1, 2, 2)), np.array([[[1.0, 0.0], [np.inf, 1.0]]])):
        with pytest.raises(np.linalg.LinAlgError):
            np.linalg.solve(Enclosure(system), right)
    with pytest.raises(TypeError, match="two axes"):
        np.linalg.solve(may_be, Enclosure(np.ones(2)))


def test_sizes_and_a_single_system():
    for n, k in itertools.product((1, 2, 6), (1, 3)):
        rng = np.random.default_rng(n)
        system, right = np.eye(n) * 3 + rng.random((n, n)) / n, rng.random((n, k))
        low, high = np.linalg.solve(Enclosure(system), Enclosure(right)).bounds()
        truth = next(solutions(Enclosure(system), Enclosure(right)))
        assert all(inside(low[s, j], high[s, j], truth[s, j]) for s, j in np.ndindex(n, k))
        assert (high - low < 1e-14).all()
