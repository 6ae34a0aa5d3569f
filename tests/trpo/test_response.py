"""KL laws side by side: the bits of an instance do not depend on its neighbours, nor on who works on it."""

import mpmath
import numpy as np
import pytest
from numba import config

from mdps import batches
from mdps.lanes import WIDTH
from trpo.response import max_kl_law, max_penalised_law, mean_kl_law, priced_law

COUNT = 3 * WIDTH + 5


def tables(seed=0, states=3, actions=4):
    """Problems of every kind: laws without an action, or nearly so, regrets of many sizes or none, unvisited states."""
    rng = np.random.default_rng(seed)
    q = rng.dirichlet(np.ones(actions), (COUNT, states))
    kind = rng.integers(0, 4, (COUNT, states, 1))
    q = np.where((kind == 1) & (rng.random(q.shape) < 0.5), 0.0, np.where(kind == 2, np.exp(-rng.uniform(0, 600, q.shape)), q))
    q[..., 0] += q.sum(-1) == 0
    regret = rng.exponential(size=q.shape) * 10.0 ** rng.uniform(-3, 3, (COUNT, 1, 1))
    kind = rng.integers(0, 4, (COUNT, states, 1))
    regret = np.where(kind == 1, 0.0, np.where(kind == 2, regret * 10.0 ** rng.uniform(-40, 0, regret.shape), regret))
    weight = rng.dirichlet(np.ones(states), COUNT) * (rng.random((COUNT, states)) < 0.9)
    return q / q.sum(-1, keepdims=True), regret - regret.min(-1, keepdims=True), weight


RADII = 10.0 ** np.random.default_rng(1).uniform(-14, 3, COUNT)
PRICES = 10.0 ** np.random.default_rng(2).uniform(-6, 6, COUNT)
LAWS = {
    "max_kl": lambda q, regret, weight, which: max_kl_law(q, regret, np.repeat(RADII[which, None], q.shape[-2], -1)),
    "mean_kl": lambda q, regret, weight, which: mean_kl_law(q, regret, weight, RADII[which]),
    "priced": lambda q, regret, weight, which: priced_law(q, regret, weight, PRICES[which]),
    "max_penalised": lambda q, regret, weight, which: max_penalised_law(q, regret, weight, PRICES[which]),
}


@pytest.mark.parametrize("law", LAWS)
def test_alone_in_a_batch_and_on_any_number_of_threads(law, monkeypatch):
    given, everyone = tables(), np.arange(COUNT)
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 1)
    together = LAWS[law](*given, everyone)
    assert (together != given[0]).any((-2, -1)).mean() > 0.5
    monkeypatch.setattr(batches, "CHUNK", 1)
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 3)
    np.testing.assert_array_equal(LAWS[law](*given, everyone), together)
    other = everyone[::-1]
    np.testing.assert_array_equal(LAWS[law](*(table[other] for table in given), other), together[other])
    for i in everyone[::4]:
        np.testing.assert_array_equal(LAWS[law](*(table[i] for table in given), i), together[i])


@pytest.mark.parametrize("law", LAWS)
def test_tables_of_any_layout(law):
    given, everyone = tables(3), np.arange(COUNT)
    usual = LAWS[law](*given, everyone)
    fortran = [np.asfortranarray(table) for table in given]
    for table in fortran:
        table.flags.writeable = False
    np.testing.assert_array_equal(LAWS[law](*fortran, everyone), usual)
    one = [np.broadcast_to(table[0], table.shape) for table in given]
    np.testing.assert_array_equal(LAWS[law](*one, 0 * everyone)[5], usual[0])
    assert LAWS[law](*(table[:0] for table in given), everyone[:0]).shape == (0, *usual.shape[1:])


def divergence(q, p):
    """KL(q||p), its terms x - log(1 + x) formed without cancellation where x is small."""
    with np.errstate(all="ignore"):
        x = np.where(q > 0, (p - q) / q, 0.0)
        series = x * x * (1 / 2 - x * (1 / 3 - x * (1 / 4 - x * (1 / 5 - x / 6))))
        direct = x - np.where(x > -0.5, np.log1p(x), np.log(p / q))
        return (q * np.where(abs(x) < 1e-3, series, np.where(q > 0, direct, 0.0))).sum(-1)


def test_the_radius_is_met_from_inside_among_problems_of_every_kind():
    """As far as a law in floats shows: its last bits are worth some 1e-16 sqrt(radius)."""
    q, regret, weight = tables(4)
    radius = np.maximum(RADII, 1e-10)
    slack = 1e-12 * radius + 1e-15 * np.sqrt(radius)
    for kl in (
        divergence(q, max_kl_law(q, regret, radius[:, None])).max(-1),
        (weight * divergence(q, mean_kl_law(q, regret, weight, radius))).sum(-1),
    ):
        assert np.isfinite(kl).all()
        assert (kl <= radius + slack).all()
        assert (kl >= radius - slack)[radius < 0.01].mean() > 0.7


@pytest.mark.parametrize("radius", [1e-250, 1e-14, 0.3, 700.0, 1e300])
def test_an_action_of_hardly_any_mass_is_found(radius):
    """q = (e, 1 - e) and the first action better: KL = e log(e/p) + (1-e) log((1-e)/(1-p)), solved by halving in log p.

    In 700 digits: floats have none of 1 - p where p is this small.
    """
    e = 1e-80
    (law,) = max_kl_law(np.array([[e, 1.0]]), np.array([[0.0, 1.0]]), radius)
    with mpmath.workdps(700):
        q = mpmath.mpf(e)
        low, high = mpmath.log(q), mpmath.mpf(0)
        for _ in range(200):
            middle = (low + high) / 2
            p = mpmath.exp(middle)
            kl = q * (mpmath.log(q) - middle) + (1 - q) * (mpmath.log1p(-q) - mpmath.log1p(-p)) if p < 1 else mpmath.inf
            low, high = (middle, high) if kl <= radius else (low, middle)
        expected = float(mpmath.exp(low))
    assert law[0] == pytest.approx(expected, rel=1e-12, abs=0)
