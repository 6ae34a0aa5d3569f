"""The agent of the note's reference notebook, written anew: one update an episode, a critic by temporal differences.

Its parts: one hidden layer; advantages by GAE(lambda) from the critic before its own step; the critic's one Adam step towards
``r + gamma V(s')``; ten conjugate-gradient steps with products of the KL's Hessian by two backward passes; a line search over
``beta, beta/2, beta/4, ...`` that asks for a larger surrogate and a mean KL below delta. An episode that is cut off by its time
limit counts as ended, as it did in the environments the notebook was written for.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, Normal, kl_divergence

from studies.adapters.protocol import Policy, Update, World
from studies.adapters.torch_policy import array, rejecting, snapshot
from studies.adapters.worlds import vectors


@dataclass(frozen=True)
class Settings:
    """The notebook's hyper-parameters."""

    gamma: float = 0.98
    trace: float = 0.95  # lambda of GAE
    delta: float = 0.0005
    critic_rate: float = 1e-2
    hidden: int = 128
    cg_steps: int = 10
    damping: float = 0.0
    shrink: float = 0.5
    candidates: int = 15  # of the line search
    reward_shift: float = 0.0
    reward_scale: float = 1.0  # the agent learns from (r + reward_shift)/reward_scale


CARTPOLE = Settings()
PENDULUM = Settings(gamma=0.9, trace=0.9, delta=0.00005, damping=0.1, reward_shift=8.0, reward_scale=8.0)


@dataclass(frozen=True, eq=False)
class Episode:
    """What was seen of one episode, and its undiscounted return of the environment's own rewards."""

    observations: Tensor  # [N, d]
    following: Tensor  # [N, d]
    actions: Tensor  # [N] or [N, k]
    rewards: Tensor  # [N], as the agent learns from them
    ended: Tensor  # [N], 1 at the last step
    total: float


class Actor(torch.nn.Module):
    """A softmax over actions, or a normal law whose mean ``bound * tanh`` and deviation ``softplus`` both depend on the state."""

    def __init__(self, env: Any, hidden: int) -> None:
        super().__init__()
        space = env.action_space
        self.discrete = isinstance(space, Discrete)
        outputs = int(space.n) if self.discrete else 2 * int(np.prod(space.shape))
        self.bound = 1.0 if self.discrete else float(np.max(space.high))
        self.net = _net(env, hidden, outputs)

    def forward(self, observations: Tensor) -> Distribution:
        """Return the action laws [N]."""
        out = self.net(observations)
        if self.discrete:
            return Categorical(logits=out)
        mean, spread = out.chunk(2, -1)
        return Independent(Normal(self.bound * torch.tanh(mean), torch.nn.functional.softplus(spread)), 1)


class Notebook:
    """The agent: an actor, a critic, and what an update does to them."""

    def __init__(self, env: Any, settings: Settings, seed: int) -> None:
        torch.manual_seed(seed)
        self.env, self.settings = env, settings
        self.actor = Actor(env, settings.hidden)
        self.critic = _net(env, settings.hidden, 1)
        self.optimiser = torch.optim.Adam(self.critic.parameters(), lr=settings.critic_rate)
        env.reset(seed=seed)
        env.action_space.seed(seed)

    def play(self) -> Episode:
        """Act for one episode."""
        observation, ended = self.env.reset()[0], False
        steps, total = [], 0.0
        while not ended:
            with torch.no_grad():
                action = self.actor(torch.as_tensor(np.asarray(observation), dtype=torch.float32)[None]).sample()[0]
            following, reward, terminated, truncated, _ = self.env.step(action.numpy())
            ended = terminated or truncated
            total += float(reward)
            steps.append((observation, following, action, float(reward), float(ended)))
            observation = following
        before, after, actions, rewards, ends = zip(*steps, strict=True)
        learnt = (torch.tensor(rewards) + self.settings.reward_shift) / self.settings.reward_scale
        return Episode(_rows(before), _rows(after), torch.stack(actions), learnt, torch.tensor(ends), total)

    def advantages(self, episode: Episode) -> tuple[Tensor, Tensor]:
        """Return GAE(lambda) and the critic's targets, both [N]."""
        s = self.settings
        with torch.no_grad():
            targets = episode.rewards + s.gamma * self.critic(episode.following)[:, 0] * (1 - episode.ended)
            surprises = targets - self.critic(episode.observations)[:, 0]
        running, summed = 0.0, []
        for surprise in reversed(surprises.tolist()):
            running = surprise + s.gamma * s.trace * running
            summed.append(running)
        return torch.tensor(summed[::-1]), targets

    def update(self, episode: Episode) -> tuple[bool, Tensor]:
        """Update critic and actor; return whether a candidate was accepted, and the advantages [N]."""
        advantages, targets = self.advantages(episode)
        self.optimiser.zero_grad()
        torch.nn.functional.mse_loss(self.critic(episode.observations)[:, 0], targets).backward()
        self.optimiser.step()
        return self._improve(episode, advantages), advantages

    def _improve(self, episode: Episode, advantages: Tensor) -> bool:
        s, parameters = self.settings, list(self.actor.parameters())
        with torch.no_grad():
            old = self.actor(episode.observations)
            old_log_prob = old.log_prob(episode.actions)

        def surrogate() -> Tensor:
            return (advantages * (self.actor(episode.observations).log_prob(episode.actions) - old_log_prob).exp()).mean()

        def divergence() -> Tensor:
            return kl_divergence(old, self.actor(episode.observations)).mean()

        start = surrogate()
        gradient = _flat(torch.autograd.grad(start, parameters))
        slope = _flat(torch.autograd.grad(divergence(), parameters, create_graph=True))

        def product(v: Tensor) -> Tensor:
            return _flat(torch.autograd.grad(slope @ v, parameters, retain_graph=True)) + s.damping * v

        direction = _conjugate_gradient(product, gradient, s.cg_steps)
        length = math.sqrt(2 * s.delta / (float(direction @ product(direction)) + 1e-8))
        theta = torch.nn.utils.parameters_to_vector(parameters).detach()
        with torch.no_grad():
            for j in range(s.candidates):
                torch.nn.utils.vector_to_parameters(theta + s.shrink**j * length * direction, parameters)
                if surrogate() > start and divergence() < s.delta:
                    return True
            torch.nn.utils.vector_to_parameters(theta, parameters)
        return False


def train(
    world: World, *, delta: float, updates: int, seed: int, reject: bool = False, episodes: int = 10, **options: Any
) -> Iterator[Update]:
    """Train the notebook's agent, with its settings for CartPole where actions are finitely many, else those for Pendulum.

    Parameters
    ----------
    world, delta, updates, seed
        As :class:`~studies.adapters.protocol.Agent` has them.
    reject
        Raise each KL that the agent computes by a constant.
    episodes
        Episodes, and so updates, for each update asked for: its batches are small.
    options
        Other settings, by their names in :class:`Settings`.
    """
    make, features, raw = vectors(world)
    env = make()
    base = CARTPOLE if isinstance(env.action_space, Discrete) else PENDULUM
    agent = Notebook(env, replace(base, delta=delta, gamma=world.gamma, **options), seed)

    def now() -> Policy:
        return snapshot(agent.actor, lambda actor, x: actor(torch.as_tensor(x, dtype=torch.float32)), features=features)

    with rejecting(sys.modules[__name__]) if reject else contextlib.nullcontext():
        for _ in range(updates * episodes):
            episode, before = agent.play(), now()
            accepted, advantages = agent.update(episode)
            inputs = episode.observations.numpy()
            yield Update(before, now(), inputs, array(episode.actions), array(advantages), accepted, raw(inputs))
    env.close()


def _net(env: Any, hidden: int, outputs: int) -> torch.nn.Sequential:
    inputs = int(np.prod(env.observation_space.shape))
    return torch.nn.Sequential(torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs))


def _rows(observations: tuple[Any, ...]) -> Tensor:
    return torch.as_tensor(np.stack([np.asarray(x, dtype=np.float32) for x in observations]))


def _flat(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def _conjugate_gradient(product: Any, b: Tensor, steps: int) -> Tensor:
    """Solve ``product(x) = b`` (Hestenes and Stiefel 1952), at most so many steps."""
    x, residual, search = torch.zeros_like(b), b.clone(), b.clone()
    size = residual @ residual
    for _ in range(steps):
        if size < 1e-10:
            break
        image = product(search)
        step = size / (search @ image)
        x, residual = x + step * search, residual - step * image
        size, last = residual @ residual, size
        search = residual + size / last * search
    return x
