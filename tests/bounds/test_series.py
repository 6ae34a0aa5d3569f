"""Derivatives by power series against Cauchy's formula on a circle in the complex plane."""

import numpy as np

from bounds.series import exponential, line

RNG = np.random.default_rng(1)


def coefficients(function, points=24, radius=0.3):
    """The first three Taylor coefficients of a function of one complex variable."""
    z = radius * np.exp(2j * np.pi * np.arange(points) / points)
    values = np.array([function(x) for x in z])
    return [(values / z.reshape(-1, *(1,) * (values.ndim - 1)) ** k).mean(0).real for k in range(3)]


def test_series_are_taylor_series():
    w, x, y = RNG.dirichlet(np.ones(4), 5), RNG.random((5, 4)), RNG.random((5, 4))
    cases = {
        "exponential": (exponential(x), lambda z: np.exp(z * x)),
        "mean": (exponential(x).mean(w), lambda z: (w * np.exp(z * x)).sum(-1)),
        "log": (exponential(x).mean(w).log(), lambda z: np.log((w * np.exp(z * x)).sum(-1))),
        "quotient": (exponential(x) / (exponential(y) + exponential(x)), lambda z: 1 / (1 + np.exp(z * (y - x)))),
        "product": (exponential(x) * y, lambda z: np.exp(z * x) * y),
        "difference": (exponential(x) - line(y), lambda z: np.exp(z * x) - z * y),
        "times t": (exponential(x).times_t(), lambda z: z * np.exp(z * x)),
    }
    for name, (series, function) in cases.items():
        for ours, theirs in zip(series, coefficients(function), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-14, err_msg=name)
