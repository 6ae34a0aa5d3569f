"""The TRPO of sb3-contrib, https://github.com/Stable-Baselines-Team/stable-baselines3-contrib."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import sb3_contrib.trpo.trpo as implementation
import torch
from sb3_contrib import TRPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from mdps.mdp import Array
from studies.adapters.protocol import Policy, Samples, Update, World, unchanged
from studies.adapters.torch_policy import array, rejecting, snapshot


def train(
    world: World,
    *,
    delta: float,
    updates: int,
    seed: int,
    reject: bool = False,
    n_steps: int = 1024,
    normalise: bool = False,
    **options: Any,
) -> Iterator[Update]:
    """Train ``sb3_contrib.TRPO("MlpPolicy")``.

    Parameters
    ----------
    world, delta, updates, seed
        As :class:`~studies.adapters.protocol.Agent` has them; delta is ``target_kl``.
    reject
        Raise each KL that the implementation computes by a constant.
    n_steps
        Samples an update.
    normalise
        Normalise observations and rewards by running means, ``VecNormalize``.
    options
        More arguments of ``TRPO``.
    """
    venv: VecEnv = DummyVecEnv([world.make])
    if normalise:
        venv = VecNormalize(venv, gamma=world.gamma)
    agent = TRPO("MlpPolicy", venv, n_steps=n_steps, gamma=world.gamma, target_kl=delta, seed=seed, device="cpu", **options)
    update_policy, made = agent.train, list[Update]()

    def now() -> Policy:
        return snapshot(agent.policy, _distribution, _actor, _features(agent.get_vec_normalize_env()))

    def watch() -> None:
        before, inputs, actions, advantages = now(), *_batch(agent)
        update_policy()
        accepted = bool(agent.logger.name_to_value["train/is_line_search_success"])
        normaliser = agent.get_vec_normalize_env()
        raw = None if normaliser is None else np.asarray(normaliser.unnormalize_obs(inputs))
        made.append(Update(before, now(), inputs, actions, advantages, accepted, raw))

    with mock.patch.object(agent, "train", watch), rejecting(implementation) if reject else contextlib.nullcontext():
        for _ in range(updates):
            agent.learn(n_steps, reset_num_timesteps=False)
            yield made.pop()
    venv.close()


def _batch(agent: TRPO) -> tuple[Samples, Samples, Array]:
    """Copy observations, actions and advantages, these normalised if the update will do so."""
    buffer = agent.rollout_buffer
    inputs, actions, advantages = (
        np.swapaxes(x, 0, 1).reshape(buffer.buffer_size * buffer.n_envs, *x.shape[2:]).copy()
        for x in (buffer.observations, buffer.actions, buffer.advantages)
    )
    used = torch.as_tensor(advantages)
    if agent.normalize_advantage:
        used = (used - used.mean()) / (used.std() + 1e-8)
    return inputs, actions, array(used)


def _features(normaliser: VecNormalize | None) -> Callable[[Samples], Samples]:
    """Copy a normaliser as it is now."""
    if normaliser is None:
        return unchanged
    moments: Any = copy.deepcopy(normaliser.obs_rms)
    epsilon, clip = normaliser.epsilon, normaliser.clip_obs

    def features(raw: Samples) -> Samples:
        scaled = (raw - moments.mean) / np.sqrt(moments.var + epsilon)
        return np.clip(scaled, -clip, clip).astype(np.float32)

    return features


def _distribution(policy: Any, inputs: Samples) -> torch.distributions.Distribution:
    return policy.get_distribution(torch.as_tensor(inputs)).distribution


def _actor(policy: torch.nn.Module) -> Iterable[torch.Tensor]:
    return [parameter for name, parameter in policy.named_parameters() if "value" not in name]
