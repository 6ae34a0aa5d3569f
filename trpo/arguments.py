"""What an agent is told: refused before anything is made of it where it is out of range, would be dropped or is not to be had."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import gymnasium
import torch

from trpo.penalty import Penalty
from trpo.policies import Policy, family_of
from trpo.region import Region
from trpo.samplers.by_name import SAMPLING


def check(arguments: dict[str, Any]) -> None:
    """Raise ValueError for an argument out of range, or that would be dropped, TypeError for what is no region."""
    region = arguments["region"]
    if not isinstance(region, Region | Penalty | None):
        raise TypeError(f"region is {region!r}; expected a Region, such as Region('kl', 'mean', 0.01), a Penalty, or None")
    for name, least in (("steps_per_update", 1), ("episodes_per_update", 1), ("value_iterations", 0), ("threads", 1)):
        if arguments[name] is not None:
            integer(name, arguments[name], least)
    if not arguments["value_damping"] > 0:
        raise ValueError(f"value_damping is {arguments['value_damping']}; expected a positive number")
    if arguments["normalise_observations"] and isinstance(arguments["policy"], Policy):
        raise ValueError("normalise_observations is given together with a policy; make that by make_policy(..., normalise=True)")
    dropped = [name for name in SAMPLING if arguments[name] is not None]
    if dropped and (arguments["sampler"] == "exact" or not isinstance(arguments["sampler"], str)):
        raise ValueError(
            f"{', '.join(dropped)} given together with sampler={arguments['sampler']!r}, which would not use them; "
            "leave them out, or give them to the sampler itself"
        )


def integer(name: str, value: object, least: int) -> None:
    """Raise ValueError for a number that is no integer or less than ``least``."""
    if not (isinstance(value, Integral) and int(value) >= least):
        raise ValueError(f"{name} is {value!r}; expected an integer of at least {least}")


def available(device: str) -> torch.device:
    """The device of that name; a ValueError where there is none here."""
    try:
        place = torch.device(device)
        torch.zeros((), device=place)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} is not available here: {str(error).splitlines()[0]}") from None
    return place


def fitting(policy: Policy, observations: gymnasium.Space[Any], actions: gymnasium.Space[Any]) -> Policy:
    """The policy; a ValueError where it is of other spaces."""
    if policy.encode.space != observations or policy.family != family_of(actions):
        raise ValueError(
            f"the policy observes {policy.encode.space} and its law is {policy.family!r}; the observation space of env "
            f"is {observations}, its action space {actions}: make the policy of these spaces"
        )
    return policy
