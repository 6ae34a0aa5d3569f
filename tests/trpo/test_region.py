import math
from dataclasses import FrozenInstanceError

import pytest

from trpo.region import Region


def test_defaults_are_those_of_the_paper():
    assert Region() == Region("kl", "mean", 0.01)  # arXiv:1502.05477v5, table 1: stepsize 0.01


def test_a_region_is_a_value():
    region = Region("l2", "max", 1)
    assert region == Region("l2", "max", 1.0)
    assert hash(region) == hash(Region("l2", "max", 1.0))
    assert isinstance(region.delta, float)
    with pytest.raises(FrozenInstanceError):
        region.delta = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("region", "free"),
    [
        (Region("none"), True),
        (Region("none", delta=0.0), True),
        (Region("kl", delta=math.inf), True),
        (Region("l2", "max", math.inf), True),
        (Region("kl", delta=1e9), False),
        (Region("kl", delta=0.0), False),
    ],
)
def test_free_means_every_policy_is_allowed(region, free):
    assert region.free is free


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"measure": "tv"}, r"measure is 'tv'; expected one of 'kl', 'l2', 'none'"),
        ({"measure": None}, r"measure is None; expected one of 'kl', 'l2', 'none'"),
        ({"reduce": "sum"}, r"reduce is 'sum'; expected one of 'mean', 'max'"),
        ({"delta": -1e-9}, r"delta is -1e-09; expected 0 <= delta <= inf"),
        ({"delta": math.nan}, r"delta is nan; expected 0 <= delta <= inf"),
        ({"delta": "wide"}, r"delta is 'wide'; expected one number"),
        ({"delta": [0.1, 0.2]}, r"expected one number"),
    ],
)
def test_what_is_no_region_says_why(fields, message):
    with pytest.raises(ValueError, match=message):
        Region(**fields)
