"""This project's own agent, :class:`trpo.agent.TRPO`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from gymnasium.vector import SyncVectorEnv
from torch.distributions import Categorical, Distribution, Normal

from studies.adapters.protocol import Policy, Samples, Update, World
from studies.adapters.torch_policy import array, snapshot
from trpo.agent import TRPO
from trpo.distributions import DiagonalGaussian
from trpo.neural import LineSearch, StepOptions
from trpo.policies import Policy as Network
from trpo.region import Region

OUT_OF_REACH = 1e12
"""Share of the predicted gain that a candidate must reach where every step has to be rejected."""


def train(
    world: World,
    *,
    delta: float,
    updates: int,
    seed: int,
    reject: bool = False,
    n_steps: int = 1024,
    copies: int = 1,
    **options: Any,
) -> Iterator[Update]:
    """Train ``TRPO`` with the region ``Region("kl", "mean", delta)``.

    Parameters
    ----------
    world, delta, updates, seed
        As :class:`~studies.adapters.protocol.Agent` has them.
    reject
        Ask of the line search a share of the predicted gain that nothing reaches.
    n_steps
        Samples an update.
    copies
        Of the environment, stepped together.
    options
        More arguments of ``TRPO``; ``region`` may be one, with a radius that the audit's replaces.
    """
    region = replace(options.pop("region", Region()), delta=delta)
    settings = options.pop("options", StepOptions())
    if reject:
        settings = replace(settings, line_search=LineSearch(least_share=OUT_OF_REACH))
    env = SyncVectorEnv([world.make] * copies)
    agent = TRPO(env, region=region, options=settings, gamma=world.gamma, steps_per_update=n_steps, seed=seed, **options)
    for _ in range(updates):
        before = _now(agent)
        made = agent.update()
        batch = made.sample.batch
        yield Update(
            before,
            _now(agent),
            batch.inputs.cpu().numpy(),
            array(batch.actions[:, 0]),
            array(batch.advantages[:, 0]),
            made.iteration.step.accepted,
            made.sample.observations,
            array(batch.weights),
        )
    env.close()


def _now(agent: TRPO) -> Policy:
    encode, normaliser = agent.policy.encode, copy.deepcopy(agent.policy.normaliser)

    def features(raw: Samples) -> Samples:
        encoded = encode(raw)
        return (encoded if normaliser is None else normaliser(encoded.to(normaliser.mean.device)).cpu()).numpy()

    return snapshot(agent.policy, _distribution, features=features)


def _distribution(network: torch.nn.Module, inputs: Samples) -> Distribution:
    assert isinstance(network, Network)
    z = network(torch.as_tensor(inputs, device=network.device)).double()
    if isinstance(network.family, DiagonalGaussian):
        mean, log_std = z.chunk(2, -1)
        return Normal(mean, log_std.exp())
    return Categorical(logits=z)
