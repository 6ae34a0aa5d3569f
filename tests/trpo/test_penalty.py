"""Penalties: their fields, the adaptive rule, Algorithm 1's coefficient."""

import math

import numpy as np
import pytest

from trpo.penalty import Penalty, theoretical_penalty


@pytest.mark.parametrize(
    ("kl", "factor"), [(0.0151, 2), (0.0149, 1), (0.01, 1), (0.0067, 1), (0.0066, 0.5), (0.0, 0.5), (math.inf, 2)]
)
def test_an_adaptive_penalty_doubles_above_and_halves_below_one_and_a_half_times_its_target(kl, factor):
    new = Penalty(3.0, "max", 0.01).adapted(kl)
    assert new == Penalty(3.0 * factor, "max", 0.01)


def test_without_a_target_nothing_adapts():
    penalty = Penalty(3.0)
    assert penalty.adapted(100.0) is penalty


def test_adaptation_stays_between_bounds():
    low = high = Penalty(1.0, target=0.01)
    for _ in range(100):
        low, high = low.adapted(0.0), high.adapted(1.0)
    assert low.coefficient == 1e-12
    assert high.coefficient == 1e12


def test_theoretical_penalty_is_that_of_algorithm_1():
    """C = 4 eps gamma/(1-gamma)^2 = 4 * 2 * 0.9 / 0.01 = 720; on the mean's scale times 1 - gamma: 72."""
    assert theoretical_penalty(2.0, 0.9).coefficient == pytest.approx(72)
    assert theoretical_penalty(2.0, 0.9).reduce == "max"
    assert theoretical_penalty(2.0, 0.9).target is None


@pytest.mark.parametrize("name", ["coefficient", "target"])
@pytest.mark.parametrize("value", [0, -1.0, math.inf, math.nan, "1"])
def test_numbers_refused(name, value):
    with pytest.raises(ValueError, match=f"Penalty {name} is {value!r}; expected a positive number"):
        Penalty(**{"coefficient": 1.0, name: value})


def test_numpy_numbers_are_numbers():
    assert Penalty(np.float32(0.5), target=np.float64(0.1)).coefficient == 0.5


def test_other_refusals():
    with pytest.raises(ValueError, match="Penalty coefficient is None"):
        Penalty(None)
    with pytest.raises(ValueError, match="Penalty reduce is 'sum'; expected 'mean' or 'max'"):
        Penalty(1.0, "sum")
    for eps, gamma in [(0, 0.9), (-1, 0.9), (1, 0), (1, 1), (1, 1.5), (math.nan, 0.9), (math.inf, 0.9)]:
        with pytest.raises(ValueError, match=f"eps is {eps}, gamma {gamma}"):
            theoretical_penalty(eps, gamma)
