"""Logarithms and exponentials of lanes are those of mpmath to a few units of the last place, near their roots too."""

import mpmath
import numpy as np
import pytest
from numba import types

from mdps.kernels import chunked
from mdps.lane_logs import excess, exp, grown, log
from mdps.lane_masks import fetch, keep, start
from mdps.lanes import TABLE, WIDTH

_OUT = types.float64[:, ::1]


@chunked(types.void(TABLE, TABLE, _OUT))
def worked_out(x, u, out):
    for block in range((out.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, out.shape[1])
        keep(log(fetch(u, 0, at)), out, 0, at)
        keep(excess(fetch(x, 0, at), fetch(u, 0, at)), out, 1, at)
        keep(exp(fetch(x, 0, at)), out, 2, at)
        keep(grown(fetch(x, 0, at)), out, 3, at)


def results(x, u):
    out = np.zeros((4, len(x)))
    worked_out(np.ascontiguousarray(x[None]), np.ascontiguousarray(u[None]), out)
    return out


def drawn(seed, count=400):
    """Numbers of all sizes, and on both sides of where the formulas change: 0, and one more than them sqrt(2) and its inverse."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], count)
    edges = np.array([0.0, np.sqrt(0.5) - 1, np.sqrt(2) - 1, -0.5, 1.0, 0.5 * np.log(2), -0.5 * np.log(2)])
    around = (edges[:, None] * (1 + 1e-15 * np.arange(-3, 4))).ravel()
    return np.concatenate([signs * 10.0 ** rng.uniform(-150, -1, count), rng.uniform(-0.9, 3, count), around])


def relative_error(found, function, *arguments):
    with mpmath.workdps(400):
        exact = [function(*map(mpmath.mpf, map(float, row))) for row in zip(*arguments, strict=True)]
        return max(float(abs(mpmath.mpf(float(f)) - e) / abs(e)) if e else abs(f) for f, e in zip(found, exact, strict=True))


def test_logarithms():
    u = np.concatenate([np.exp(np.random.default_rng(0).uniform(-700, 700, 400)), 1 + drawn(1)])
    assert relative_error(results(u - 1, u)[0], mpmath.log, u) <= 5e-16
    assert results(np.zeros(WIDTH), np.ones(WIDTH))[0].tolist() == [0.0] * WIDTH


def test_the_excess_over_the_logarithm_keeps_its_digits_near_zero():
    x = drawn(2)
    assert relative_error(results(x, 1 + x)[1], lambda x: x - mpmath.log1p(x), x) <= 3e-15


def test_the_excess_takes_one_more_from_whoever_knows_it_better():
    u = np.exp(np.random.default_rng(3).uniform(-690, -40, 64))
    x = u - 1
    assert (x == -1).all()
    assert relative_error(results(x, u)[1], lambda x, u: x - mpmath.log(u), x, u) <= 1e-15


def test_exponentials():
    x = np.concatenate([np.random.default_rng(4).uniform(-700, 700, 400), drawn(5)])
    _, _, power, growth = results(x, np.ones(len(x)))
    assert relative_error(power, mpmath.exp, x) <= 5e-16
    assert relative_error(growth, mpmath.expm1, x) <= 5e-16


@pytest.mark.parametrize("x", [-np.inf, -1e300, -701.0, 701.0, 1e300, np.inf])
def test_an_exponential_stays_a_normal_number(x):
    _, _, power, growth = results(np.full(WIDTH, x), np.ones(WIDTH))
    with mpmath.workdps(30):
        edge = float(mpmath.exp(700 if x > 0 else -700))
    np.testing.assert_allclose(power, edge, rtol=1e-15)
    np.testing.assert_allclose(growth, edge if x > 0 else -1.0, rtol=1e-15)
