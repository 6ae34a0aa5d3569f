"""The sum over gamma^t sqrt(t) in floats against the polylogarithm of order -1/2 in balls."""

import flint
import numpy as np

from bounds.sharper import sqrt_horizon

GAMMAS = np.concatenate([np.geomspace(1e-12, 0.1, 40), np.linspace(0.1, 0.999, 200), 1 - np.geomspace(1e-12, 0.5, 60)])


def sum_is_the_polylogarithm():
    """To 32 units in the last place: on either side of 1/2, where one expansion gives way to the other, and up to 1."""
    assert sqrt_horizon(np.zeros(1)) == 0
    with flint.ctx.workprec(160):
        for gamma, value in zip(GAMMAS, sqrt_horizon(GAMMAS), strict=True):
            truth = flint.arb(float(gamma)).polylog(flint.arb(-0.5))
            assert abs(flint.arb(float(value)) / truth - 1) < 32 * 2.0**-53, gamma


def test_the_sum_is_the_polylogarithm():
    sum_is_the_polylogarithm()
