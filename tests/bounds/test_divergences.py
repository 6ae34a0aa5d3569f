"""Divergences against 80-digit arithmetic, near zero, at zero and at infinity."""

import mpmath as mp
import numpy as np
import oracle
import pytest

from bounds import divergences
from mdps.planes import stored, unfolded


def exact(p, q):
    with mp.workdps(oracle.DIGITS):
        p, q = oracle.normalised(p), oracle.normalised(q)
        tv = mp.fsum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2
        kl = mp.fsum(a * mp.log(a / b) if b else mp.inf for a, b in zip(p, q, strict=True) if a)
        return tv, kl


@pytest.mark.parametrize("distance", [1.0, 0.3, 1e-2, 1e-4, 1e-6, 1e-8])
def test_against_80_digits(distance):
    rng = np.random.default_rng(0)
    for actions in (2, 3, 7):
        for concentration in (1.0, 0.1):
            p = rng.dirichlet(np.full(actions, concentration))
            q = p * np.exp(distance * rng.standard_normal(actions))
            q /= q.sum()
            tv, kl = exact(p, q)
            # p and q are rounded to eps each, and the definition reads them as they are: only the sums can err
            assert abs(mp.mpf(float(divergences.tv(p, q))) / tv - 1) < 1e-14 + 1e-16 / distance
            assert abs(mp.mpf(float(divergences.kl(p, q))) / kl - 1) < 1e-13 + 1e-15 / distance


def test_textbook_formula_would_fail():
    p = np.array([0.3, 0.7])
    q = p + np.array([1e-9, -1e-9])
    kl = exact(p, q)[1]
    assert abs((p * np.log(p / q)).sum() / float(kl) - 1) > 1e-2
    assert abs(float(divergences.kl(p, q)) / float(kl) - 1) < 1e-6  # q - p itself is known to 1e-7 of its size


EDGES = [
    ([0.5, 0.5, 0.0], [0.5, 0.5, 0.0], 0.0),
    ([1.0, 0.0], [0.5, 0.5], np.log(2)),
    ([0.5, 0.5], [1.0, 0.0], np.inf),
    ([0.0, 1.0], [1.0, 0.0], np.inf),
    ([1.0], [1.0], 0.0),
    ([1e-310, 1.0], [0.25, 0.75], np.log(4 / 3)),
]


@pytest.mark.parametrize(("p", "q", "value"), EDGES)
def test_edges(p, q, value):
    np.testing.assert_allclose(divergences.kl(p, q), value, rtol=1e-14, atol=0)


def test_mean_and_times_know_zero_times_infinity():
    assert divergences.mean(np.array([0.0, 0.5]), np.array([np.inf, 2.0])) == 1.0
    assert divergences.mean(np.array([0.1, 0.5]), np.array([np.inf, 2.0])) == np.inf
    np.testing.assert_array_equal(divergences.times(np.array([0.0, 2.0]), np.array([np.inf, np.inf])), [0.0, np.inf])


def test_shift_sums_to_zero_and_reads_loose_rows():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(4), 50), rng.dirichlet(np.ones(4), 50)
    assert np.abs(divergences.shift(p, q).sum(-1)).max() < 1e-16
    np.testing.assert_allclose(divergences.shift(p, q * (1 + 1e-13)), q - p, atol=1e-15)


def test_in_planes_the_same_bits():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), (32, 5)) * (rng.random((32, 5, 4)) > 0.2) + [1e-3, 0, 0, 0]
    q = rng.dirichlet(np.ones(4), (32, 5)) * (rng.random((32, 5, 4)) > 0.2) + [1e-3, 0, 0, 0]
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    q[::3] = p[::3] * (1 + 1e-7 * rng.standard_normal(4))  # near
    planar = [unfolded(np.ascontiguousarray(np.moveaxis(x, 0, -1)), (5, 4)) for x in (p, q)]
    for function in (divergences.kl, divergences.shift, divergences.tv):
        found, expected = function(*planar), function(p, q)
        np.testing.assert_array_equal(found, expected)
        assert stored(found, found.ndim - 1)
    assert np.isinf(divergences.kl(p, q)).any()
    assert (divergences.kl(p, q)[::3] < 1e-12).any()


@pytest.mark.parametrize("x", [-0.5, -0.49, -0.3, -1e-3, 1e-9, 0.2, 0.3, 0.45, 0.499, 0.5, 0.51])
def test_between_near_and_far_against_80_digits(x):
    p = np.array([0.4, 0.6])
    q = np.array([0.4 * (1 + x), 1 - 0.4 * (1 + x)])
    with mp.workdps(80):
        (a, b), (c, d) = ([mp.mpf(float(y)) / sum(map(mp.mpf, map(float, row))) for y in row] for row in (p, q))
        expected = float(a * mp.log(a / c) + b * mp.log(b / d))
    np.testing.assert_allclose(divergences.kl(p, q), expected, rtol=4e-15, atol=0)
