"""What vine needs of an environment: paths to choose states from, and rollouts from the states chosen.

There are two: :class:`Tables` plays a finite process by array operations, all rollouts at once; :class:`Simulator` steps any
environment whose state can be restored (:mod:`trpo.samplers.restore`).

States are drawn from the paths with replacement, with probability proportional to a weight: 1, or gamma^t at age t. Where an
episode terminates at age T, all later states are the terminal one, in which no action matters. Under the weights gamma^t it
stands for what is left of the path, so the weights of a path always have the same sum and the choice is without bias; under
equal weights it is left out. A time limit is no part of the process: it ends neither a path nor a rollout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mdps.gym_bridge import cumulative, invert
from mdps.mdp import MDP
from mdps.terminal import terminal
from trpo.policies import Policy
from trpo.samplers.paths import as_env_actions
from trpo.samplers.restore import CannotRestore, restore_state, save_state

Env = gymnasium.Env[Any, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trunk:
    """States chosen from paths of the policy."""

    observations: NDArray[Any]  # [N, *shape] raw
    places: Sequence[Any]  # [N] what a world needs to start there; None for a terminal state
    steps: int  # environment steps taken
    returns: Floats  # [E] undiscounted, of the episodes that ended, by termination or truncation
    lengths: NDArray[np.int64]  # [E]


@dataclass(frozen=True)
class Plan:
    """How states are chosen: ``count`` of them from so many paths of ``horizon`` steps, weighted by ``discount``^age."""

    paths: int
    horizon: int
    count: int
    discount: float

    def weight(self, age: int, left: bool = False) -> float:
        """Weight of a state of this age; with ``left``, of all ages from it to the horizon."""
        return sum(self.discount**t for t in range(age, self.horizon)) if left else self.discount**age


@dataclass(frozen=True)
class Rolls:
    """How far rollouts go, and whether those of one place share the noise of the environment and of actions."""

    length: int
    gamma: float
    common: bool


class World(Protocol):
    """An environment that can be put back."""

    def trunk(self, policy: Policy, how: Plan, rng: np.random.Generator) -> Trunk:
        """Follow the policy from new starts and choose states."""
        ...

    def rollouts(
        self, policy: Policy, places: Sequence[Any], actions: Tensor, rolls: Rolls, rng: np.random.Generator
    ) -> tuple[Floats, int]:
        """Return sum_t gamma^t r_t from each place by each action [N,M,D] and then by the policy.

        Returns
        -------
        returns
            [N,M], 0 from a terminal place.
        steps
            Environment steps taken.
        """
        ...

    def state(self) -> Any:
        """Return what outlasts a collection."""
        ...

    def restore(self, state: Any) -> None:
        """Continue from what ``state`` returned."""
        ...


class Tables:
    """A finite process; a place is the index of a state."""

    def __init__(self, mdp: MDP) -> None:
        self._next, self._start = cumulative(mdp.P), cumulative(mdp.rho0)
        self._reward, self._terminal = mdp.R, terminal(mdp)
        if not mdp.rho0[~self._terminal].any():
            raise ValueError(f"every start of {mdp} is terminal, where no action matters; give rho0 another state")

    def trunk(self, policy: Policy, how: Plan, rng: np.random.Generator) -> Trunk:
        """Follow all paths together."""
        z = self._laws(policy)
        state = invert(self._start, rng.random(how.paths))
        states, rewards = [], []
        for _ in range(how.horizon):
            states.append(state)
            action = policy.family.sample(z[state], policy.family.noise(how.paths, rng))[:, 0].cpu().numpy()
            state, reward = self._step(state, action, rng.random(how.paths))
            rewards.append(reward)
        visited = np.stack([*states, state])  # [H+1, B]
        over = self._terminal[visited]
        weights = how.discount ** np.arange(how.horizon)[:, None] * (~over[:-1] if how.discount == 1 else np.ones_like(over[:-1]))
        if not weights.any():
            raise ValueError(
                f"all {how.paths} paths began in terminal states, which equal weights leave out; raise paths, or weigh by gamma^t"
            )
        chosen = rng.choice(weights.size, how.count, p=(weights / weights.sum()).ravel())
        ended = over[-1]
        places = visited[:-1].ravel()[chosen]
        lengths = (~over).sum(0)
        return Trunk(
            places, list(places), int((~over[:-1]).sum()), np.stack(rewards).sum(0)[ended], lengths[ended].astype(np.int64)
        )

    def rollouts(
        self, policy: Policy, places: Sequence[Any], actions: Tensor, rolls: Rolls, rng: np.random.Generator
    ) -> tuple[Floats, int]:
        """Roll out from all states and actions together."""
        z, family = self._laws(policy), policy.family
        n, m = actions.shape[:2]
        draws, copies = (n, m) if rolls.common else (n * m, 1)
        state = np.repeat(np.asarray(places, dtype=np.int64), m)
        action = actions.reshape(n * m, -1)[:, 0].cpu().numpy()
        total, steps = np.zeros(n * m), 0
        for t in range(rolls.length):
            steps += int((~self._terminal[state]).sum())
            state, reward = self._step(state, action, rng.random(draws).repeat(copies))
            total += rolls.gamma**t * reward
            noise = family.noise(draws, rng).repeat_interleave(copies, 0)
            action = family.sample(z[state], noise)[:, 0].cpu().numpy()
        return total.reshape(n, m), steps

    def _laws(self, policy: Policy) -> Tensor:
        """Laws at all states, [S,A]."""
        with torch.no_grad():
            return policy(policy.inputs(np.arange(len(self._reward))))

    def _step(self, state: NDArray[np.int64], action: NDArray[np.int64], u: Floats) -> tuple[NDArray[np.int64], Floats]:
        return invert(self._next[state, action], u), self._reward[state, action]

    def state(self) -> None:
        """Nothing does."""

    def restore(self, state: Any) -> None:
        """Nothing to restore."""


class Simulator:
    """Copies of one environment, in step so that the policy is asked for many actions at a time; a place is a saved state."""

    def __init__(self, envs: Sequence[Env]) -> None:
        self.envs = envs

    def trunk(self, policy: Policy, how: Plan, rng: np.random.Generator) -> Trunk:
        """Follow as many paths together as there are copies."""
        kept = _Reservoir(how.count, rng)
        returns: list[float] = []
        lengths: list[int] = []
        steps = 0
        for first in range(0, how.paths, len(self.envs)):
            envs = self.envs[: how.paths - first]
            seen = [env.reset(seed=int(rng.integers(2**31)))[0] for env in envs]
            for env, observation in zip(envs, seen, strict=True):
                kept.offer(1.0, observation, env)
            gained, reported = np.zeros(len(envs)), np.zeros(len(envs), dtype=bool)
            noise = policy.family.noise(how.horizon * len(envs), rng).view(how.horizon, len(envs), -1)
            for t, moves in enumerate(_follow(policy, envs, seen, noise)):
                steps += len(moves)
                for b, observation, reward, terminated, truncated in moves:
                    gained[b] += reward
                    if (terminated or truncated) and not reported[b]:
                        returns.append(float(gained[b]))
                        lengths.append(t + 1)
                        reported[b] = True
                    if terminated and how.discount < 1 and t + 1 < how.horizon:
                        kept.offer(how.weight(t + 1, left=True), observation, None)
                    elif not terminated and t + 1 < how.horizon:
                        kept.offer(how.weight(t + 1), observation, envs[b])
        return Trunk(np.stack(kept.observations), kept.places, steps, np.array(returns), np.array(lengths, dtype=np.int64))

    def rollouts(
        self, policy: Policy, places: Sequence[Any], actions: Tensor, rolls: Rolls, rng: np.random.Generator
    ) -> tuple[Floats, int]:
        """Roll out as many at a time as there are copies.

        The generator of an environment is seeded anew for each place, or for each rollout: what it would have drawn in the trunk
        is not drawn again.
        """
        n, m = actions.shape[:2]
        seeds = rng.integers(2**63, size=(n, 1 if rolls.common else m)).repeat(m if rolls.common else 1, 1).ravel()
        start = save_state(self.envs[0])
        total, steps = np.zeros(n * m), 0
        todo = [k for k in range(n * m) if places[k // m] is not None]
        for first in range(0, len(todo), len(self.envs)):
            batch = todo[first : first + len(self.envs)]
            envs = self.envs[: len(batch)]
            for env, k in zip(envs, batch, strict=True):
                restore_state(env, places[k // m])
                env.unwrapped.np_random = np.random.default_rng(seeds[k])
            noise = torch.stack([policy.family.noise(rolls.length, np.random.default_rng([seeds[k], 1])) for k in batch], 1)
            opening = actions.reshape(n * m, -1)[batch]
            for t, moves in enumerate(_follow(policy, envs, None, noise, opening)):
                steps += len(moves)
                for b, _, reward, _, _ in moves:
                    total[batch[b]] += rolls.gamma**t * reward
        restore_state(self.envs[0], start)
        return total.reshape(n, m), steps

    def state(self) -> Any:
        """Running statistics of wrappers, of each copy its own."""
        return [save_state(env) for env in self.envs]

    def restore(self, state: Any) -> None:
        """Put every copy back.

        Raises
        ------
        CannotRestore
            If there is another number of copies, or one is another environment.
        """
        if len(state) != len(self.envs):
            raise CannotRestore(f"{len(state)} copies of {self.envs[0]} were saved, and there are {len(self.envs)}; make as many")
        for env, saved in zip(self.envs, state, strict=True):
            restore_state(env, saved)


def _follow(
    policy: Policy, envs: Sequence[Env], observations: list[Any] | None, noise: Tensor, opening: Tensor | None = None
) -> Iterator[list[tuple[int, Any, float, bool, bool]]]:
    """Step environments by the policy with noise [T,B,D]; yield the moves of each step, and drop what ended.

    A move is (index of the environment, observation reached, reward, terminated, truncated). With ``opening`` actions [B,D], the
    first ones are these. Truncation ends nothing.
    """
    live = list(range(len(envs)))
    seen = dict(enumerate(observations or ()))
    for t in range(len(noise)):
        if opening is not None and t == 0:
            actions = opening
        else:
            with torch.no_grad():
                z = policy(policy.inputs(np.stack([seen[b] for b in live])))
                actions = policy.family.sample(z, noise[t, live])
        moves = []
        for b, action in zip(live, as_env_actions(envs[0].action_space, actions), strict=True):
            seen[b], reward, terminated, truncated, _ = envs[b].step(action)
            moves.append((b, seen[b], float(reward), bool(terminated), bool(truncated)))
        yield moves
        live = [b for b, _, _, terminated, _ in moves if not terminated]
        if not live:
            return


class _Reservoir:
    """Draws states from a stream: each slot on its own, with probability proportional to weight (Chao 1982, of one)."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.observations: list[Any] = [None] * count
        self.places: list[Any] = [None] * count
        self._rng, self._total = rng, 0.0

    def offer(self, weight: float, observation: Any, env: Env | None) -> None:
        self._total += weight
        taken = np.flatnonzero(self._rng.random(len(self.places)) * self._total < weight)
        place = save_state(env) if env is not None and len(taken) else None
        for k in taken:
            self.observations[k], self.places[k] = np.array(observation), place
