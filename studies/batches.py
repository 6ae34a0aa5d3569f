"""A batch of a size that is exactly the one asked for."""

from __future__ import annotations

from dataclasses import replace

import torch

from trpo.agent import TRPO
from trpo.samplers.sample import Sample
from trpo.samplers.single_path import SinglePath


def collect(agent: TRPO, rows: int) -> Sample:
    """Collect with an agent's policy as it is, and keep the first ``rows`` states, with the observations and targets of these.

    A batch of as many environment steps has fewer: steps that only begin an episode are no states of it. An episode has at least
    one other, so twice as many steps are enough. Advantages are standardised over all that was collected.

    Raises
    ------
    ValueError
        If the agent has no single-path sampler of a number of steps.
    """
    sampler = agent.sampler
    if not isinstance(sampler, SinglePath) or sampler.episodes is not None or sampler.horizon is not None:
        raise ValueError(f"the agent's sampler is {sampler!r}; expected a SinglePath of a number of steps")
    usual, sampler.steps = sampler.steps, 2 * (rows + agent.env.num_envs)
    try:
        sample = sampler.collect(agent.policy, agent.value)
    finally:
        sampler.steps = usual
    first = torch.arange(rows)
    targets = None if sample.targets is None else sample.targets[:rows]
    return replace(sample, batch=sample.batch.rows(first), observations=sample.observations[:rows], targets=targets)
