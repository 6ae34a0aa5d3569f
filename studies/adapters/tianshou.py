"""The TRPO of tianshou 2, https://github.com/thu-ml/tianshou."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import tianshou.algorithm.modelfree.trpo as implementation
import torch
from gymnasium.spaces import Discrete
from tianshou.algorithm import TRPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy, ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Batch, Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.utils.net.common import Net
from tianshou.utils.net.continuous import ContinuousActorProbabilistic, ContinuousCritic
from tianshou.utils.net.discrete import DiscreteActor
from tianshou.utils.torch_utils import policy_within_training_step
from torch.distributions import Distribution, Independent, Normal

from studies.adapters.protocol import Policy, Samples, Update, World
from studies.adapters.torch_policy import array, rejecting, snapshot
from studies.adapters.worlds import vectors


def train(
    world: World,
    *,
    delta: float,
    updates: int,
    seed: int,
    reject: bool = False,
    n_steps: int = 1024,
    hidden: int = 64,
    learning_rate: float = 1e-3,
    **options: Any,
) -> Iterator[Update]:
    """Train tianshou's ``TRPO``, each update on the whole batch, once.

    Parameters
    ----------
    world, delta, updates, seed
        As :class:`~studies.adapters.protocol.Agent` has them; delta is ``max_kl``.
    reject
        Raise each KL that the implementation computes by a constant.
    n_steps
        Samples an update.
    hidden
        Units of each of the two hidden layers.
    learning_rate
        Of the critic.
    options
        More arguments of ``TRPO``.
    """
    make, features, raw = vectors(world)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (tianshou shuffles a batch with numpy's global generator)
    env = DummyVectorEnv([make])
    env.seed(seed)
    policy, critic = _networks(make(), hidden)
    agent = TRPO(
        policy=policy, critic=critic, optim=AdamOptimizerFactory(lr=learning_rate), max_kl=delta, gamma=world.gamma, **options
    )
    collector = Collector[Any](agent, env, VectorReplayBuffer(n_steps, 1))
    collector.reset()
    watched: list[tuple[Batch, Any]] = []
    update_with_batch = agent._update_with_batch

    def watch(batch: Batch, batch_size: int | None, repeat: int) -> Any:
        statistics = update_with_batch(batch, batch_size, repeat)
        watched.append((batch, statistics))
        return statistics

    def now() -> Policy:
        return snapshot(policy, _distribution, features=features)

    with mock.patch.object(agent, "_update_with_batch", watch), rejecting(implementation) if reject else contextlib.nullcontext():
        for _ in range(updates):
            collector.collect(n_step=n_steps)
            before = now()
            with policy_within_training_step(policy):
                agent.update(buffer=collector.buffer, batch_size=None, repeat=1)
            collector.reset_buffer(keep_statistics=True)
            batch, statistics = watched.pop()
            inputs = np.asarray(batch.obs)
            accepted = statistics.step_size.mean > 0
            yield Update(before, now(), inputs, array(batch.act), array(batch.adv), accepted, raw(inputs))
    env.close()


def _networks(env: Any, hidden: int) -> tuple[Any, Any]:
    """Two hidden layers with tanh each; a normal law has a log-std that does not depend on the observation."""
    shape, space = env.observation_space.shape, env.action_space

    def body() -> Net:
        return Net(state_shape=shape, hidden_sizes=[hidden, hidden], activation=torch.nn.Tanh)

    critic = ContinuousCritic(preprocess_net=body())
    if isinstance(space, Discrete):
        actor = DiscreteActor(preprocess_net=body(), action_shape=int(space.n), softmax_output=False)
        return DiscreteActorPolicy(actor=actor, action_space=space), critic
    normal = ContinuousActorProbabilistic(preprocess_net=body(), action_shape=space.shape, unbounded=True)
    return ProbabilisticActorPolicy(actor=normal, dist_fn=_normal, action_space=space), critic


def _normal(parameters: tuple[torch.Tensor, torch.Tensor]) -> Distribution:
    return Independent(Normal(*parameters), 1)


def _distribution(policy: Any, inputs: Samples) -> Distribution:
    return policy(Batch(obs=inputs, info={})).dist
