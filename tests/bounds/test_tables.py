"""Compiled sums over actions and states against numpy, and against the same sums in rationals."""

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from bounds import tables
from bounds.exact import exact
from mdps.planes import stored, unfolded

RNG = np.random.default_rng(0)
SHAPES = [(4, 3), (2, 3, 5, 1), (3, 6, 9)]


def law(shape):
    return RNG.dirichlet(np.ones(shape[-1]), shape[:-1])


BY_NUMPY = {
    "weighted": (lambda p, x: tables.weighted(3 * p, x), lambda p, x: (p * x).sum(-1)),
    "dot": (tables.dot, lambda p, x: (p * x).sum(-1)),
    "normalised": (lambda p, x: tables.normalised(7 * p), lambda p, x: p),
    "largest": (lambda p, x: tables.largest(x), lambda p, x: x.max(-1)),
    "largest of two axes": (lambda p, x: tables.largest(x, 2), lambda p, x: x.max((-2, -1))),
    "centred": (lambda p, x: tables.centred(x), lambda p, x: x - x.max(-1, keepdims=True)),
    "span of two axes": (lambda p, x: tables.span(x, 2), lambda p, x: np.ptp(x, axis=(-2, -1))),
    "span": (lambda p, x: tables.span(x), lambda p, x: np.ptp(x, axis=-1)),
    "total": (lambda p, x: tables.total(x), lambda p, x: x.sum(-1)),
    "total of two axes": (lambda p, x: tables.total(x, 2), lambda p, x: x.sum((-2, -1))),
    "first_largest": (lambda p, x: tables.first_largest(np.round(x)), lambda p, x: np.round(x).argmax(-1)),
    "one_hot": (lambda p, x: tables.one_hot(tables.first_largest(x), 9), lambda p, x: np.eye(9)[x.argmax(-1)]),
    "stacked": (lambda p, x: tables.stacked(p, x, x[..., :1]), lambda p, x: np.stack([p, x, 0 * x + x[..., :1]], -1)),
    "joined": (lambda p, x: tables.joined(p, x[..., :1], x), lambda p, x: np.concatenate([p, x[..., :1], x], -1)),
}


@pytest.mark.parametrize("name", BY_NUMPY)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_as_numpy_has_it(name, shape):
    ours, theirs = BY_NUMPY[name]
    p, x = law(shape), RNG.standard_normal(shape)
    np.testing.assert_allclose(ours(p, x), theirs(p, x), rtol=1e-14, atol=1e-14)  # sums of up to 54 numbers


def in_planes(table):
    return unfolded(np.ascontiguousarray(np.moveaxis(table, 0, -1)).reshape(-1, len(table)), table.shape[1:])


@pytest.mark.parametrize("name", BY_NUMPY)
@pytest.mark.parametrize("shape", [(32, 5, 3), (16, 1, 4), (48, 9, 11)], ids=str)
def test_in_planes_the_same_bits(name, shape):
    ours, _ = BY_NUMPY[name]
    p, x = law(shape), RNG.standard_normal(shape)
    plain, planar = ours(p, x), ours(in_planes(p), in_planes(x))
    np.testing.assert_array_equal(planar, plain)
    assert stored(planar, planar.ndim - 1)


@pytest.mark.parametrize("shape", [(20, 4), (3, 5, 7), (32, 5), (1,)], ids=str)
def test_solved(shape):
    n = shape[-1]
    system = np.eye(n) - 0.99 * law((*shape, n))
    right = RNG.standard_normal((*shape, 2))
    np.testing.assert_allclose(tables.solved(system, right), np.linalg.solve(system, right), rtol=1e-11, atol=1e-11)
    if n == 4:
        exactly = tables.solved(exact(system[0]), exact(right[0]))
        np.testing.assert_allclose(
            tables.solved(system, right)[0].ravel(), [float(x.p) / float(x.q) for x in exactly.entries.flat]
        )
    if shape[0] % 16 == 0:
        planar = tables.solved(in_planes(system), in_planes(right))
        np.testing.assert_array_equal(planar, tables.solved(system, right))
        assert planar.strides[0] == planar.itemsize


def by_pairs(rows, distance):
    return np.array([[distance(a, b) for a in matrix for b in matrix] for matrix in rows])


def test_rows_against_each_other():
    rows = law((20, 4, 4)) * (RNG.random((20, 4, 4)) > 0.3)
    np.testing.assert_allclose(tables.spread(rows), by_pairs(rows, lambda a, b: np.abs(a - b).sum() / 2).max(-1), rtol=1e-14)
    np.testing.assert_allclose(tables.overlap(rows), by_pairs(rows, lambda a, b: np.minimum(a, b).sum()).min(-1), rtol=1e-14)
    for function in (tables.spread, tables.overlap):
        in_rationals = function(exact(rows[:3]))
        np.testing.assert_allclose([float(x.p) / float(x.q) for x in in_rationals.entries], function(rows[:3]), rtol=1e-14)


def test_connected_as_scipy_has_it():
    edges = RNG.random((300, 5, 5)) < 0.35
    expected = [connected_components(matrix, connection="strong")[0] == 1 for matrix in edges]
    assert 0.1 < np.mean(expected) < 0.9
    np.testing.assert_array_equal(tables.connected(edges), expected)
    np.testing.assert_array_equal(tables.connected(in_planes(edges[:288])), expected[:288])
    assert tables.connected(np.zeros((1, 1), dtype=bool))


def test_a_chain_and_its_step():
    P, pi, start = law((6, 4, 3, 4)), law((6, 4, 3)), law((6, 4))
    chain = tables.chain(P, pi)
    for i in range(6):
        expected = np.array([pi[i, s] @ P[i, s] for s in range(4)])
        np.testing.assert_allclose(chain[i], expected, rtol=1e-14)
        np.testing.assert_allclose(tables.step(start, chain)[i], start[i] @ expected, rtol=1e-14)
