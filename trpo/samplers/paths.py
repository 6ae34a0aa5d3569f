"""Paths of a policy through vectorised environments, correct at the ends of episodes."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from trpo.linearise import forward
from trpo.policies import Policy
from trpo.samplers.restore import CannotRestore, restore_state, save_state

LIMIT = 1_000_000
"""Steps an episode may take where whole ones are asked for."""

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Paths:
    """T steps of B copies of an environment."""

    observations: NDArray[Any]  # [T+1, B, *shape] raw; row t is what the policy saw at step t, row T what it will see next
    actions: Tensor  # [T, B, D] as drawn, before any clipping
    rewards: Floats  # [T, B]
    terminated: Booleans  # [T, B]
    truncated: Booleans  # [T, B]
    valid: Booleans  # [T, B] False where a step only began an episode, or the copy had ended its episodes already
    steps: int  # environment steps taken: all T B but those that only began an episode, and so ignored the action
    age: NDArray[np.int64]  # [T, B] steps since the episode began
    finals: tuple[tuple[int, int, NDArray[Any]], ...]  # (t, b, state reached) where row t+1 is already the next episode's
    returns: Floats  # [E] of the episodes that ended, undiscounted
    lengths: NDArray[np.int64]  # [E]


def as_env_actions(space: Any, actions: Tensor) -> NDArray[Any]:
    """Turn actions [B,D] of the policy into an environment's: shifted, clipped to bounds, in its shape and type."""
    given = actions.cpu().numpy()
    if isinstance(space, spaces.Discrete):
        return given[:, 0] + space.start
    if isinstance(space, spaces.MultiDiscrete):
        return (given + space.start).astype(space.dtype)
    if isinstance(space, spaces.Box):
        return np.clip(given, space.low.ravel(), space.high.ravel()).astype(space.dtype).reshape(len(given), *space.shape)
    return given.astype(space.dtype)


def check_length(age: NDArray[np.int64], limit: int) -> None:
    """Raise ValueError where an episode has taken more than ``limit`` steps: perhaps it never ends."""
    if (age > limit).any():
        raise ValueError(
            f"an episode is longer than {limit} steps; wrap the environment in gymnasium's TimeLimit, or raise limit"
        )


class Walker:
    """Environments in the middle of their episodes, and the random numbers that actions are drawn with.

    Parameters
    ----------
    env
        A vector environment in the autoreset mode NEXT_STEP or SAME_STEP.
    seed
        For the environments and the actions.

    Raises
    ------
    ValueError
        If ``env`` is no vector environment, or has another autoreset mode.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], seed: int) -> None:
        if not isinstance(env, VectorEnv):
            raise ValueError(
                f"env is {env!r}; expected a gymnasium vector environment, such as gymnasium.make_vec(id, num_envs=8)"
            )
        self.mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if self.mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
            raise ValueError(f"{env} has the autoreset mode {self.mode}; expected NEXT_STEP or SAME_STEP")
        self.env = env
        self.seed = int(np.random.SeedSequence(seed).generate_state(1)[0])  # copies take the next ones: runs 0 and 1 share none
        self.rng = np.random.default_rng(seed)
        self._observation: NDArray[Any] | None = None

    def reset(self) -> None:
        """Begin new episodes everywhere."""
        first = self._observation is None
        observation, _ = self.env.reset(seed=self.seed) if first else self.env.reset()
        count = self.env.num_envs
        self._observation = np.array(observation)
        self._ended = np.zeros(count, dtype=bool)
        self._age = np.zeros(count, dtype=np.int64)
        self._return = np.zeros(count)

    def walk(self, policy: Policy, steps: int | None = None, episodes: int | None = None, limit: int = LIMIT) -> Paths:
        """Follow a policy for ``steps`` steps of every copy, or from new starts until every copy has ended ``episodes`` episodes.

        Raises
        ------
        ValueError
            If an observation or a reward is nan or infinite; the message names the step and the copy. If one of ``episodes`` is
            longer than ``limit`` steps.
        """
        if self._observation is None or episodes is not None:
            self.reset()
        assert self._observation is not None
        space, family, count = self.env.single_action_space, policy.family, self.env.num_envs
        rows: dict[str, list[Any]] = {name: [] for name in ("o", "a", "r", "te", "tr", "v", "age")}
        finals: list[tuple[int, int, NDArray[Any]]] = []
        returns: list[float] = []
        lengths: list[int] = []
        finished = np.zeros(count, dtype=np.int64)
        outputs = forward(policy)
        t = taken = 0
        while t < steps if steps is not None else bool((finished < (episodes or 1)).any()):
            valid = ~self._ended if episodes is None else ~self._ended & (finished < episodes)
            try:
                inputs = policy.inputs(self._observation)
            except ValueError as error:
                raise ValueError(f"{self.env}, step {t}, a row for each copy: {error}; nothing was updated") from None
            z = outputs(inputs)
            action = family.sample(z, family.noise(count, self.rng))
            observation, reward, terminated, truncated, info = self.env.step(as_env_actions(space, action))
            begins = self._ended.any()  # somewhere: most steps are spared the bookkeeping of ends
            taken += count - int(self._ended.sum()) if begins else count
            if not (math.isfinite(reward.sum()) or np.isfinite(reward).all()):
                bad = int(np.flatnonzero(~np.isfinite(reward))[0])
                raise ValueError(f"{self.env} gave the reward {reward[bad]} in copy {bad} at step {t}; nothing was updated")
            reward = np.where(self._ended, 0.0, reward) if begins else np.array(reward, dtype=np.float64)
            terminated, truncated = np.array(terminated), np.array(truncated)  # some environments write into the same again
            for name, row in zip(rows, (self._observation, action, reward, terminated, truncated, valid, self._age), strict=True):
                rows[name].append(row)
            ended = terminated | truncated
            self._age = np.where(self._ended, 0, self._age + 1) if begins else self._age + 1
            if episodes is not None:
                check_length(self._age[finished < episodes], limit)
            self._return = self._return + reward
            if ended.any():
                for b in np.flatnonzero(ended):
                    if valid[b]:
                        returns.append(float(self._return[b]))
                        lengths.append(int(self._age[b]))
                    if self.mode == AutoresetMode.SAME_STEP:
                        finals.append((t, int(b), np.asarray(info["final_obs"][b])))
                finished += ended
                self._return = np.where(ended, 0.0, self._return)
                if self.mode == AutoresetMode.SAME_STEP:
                    self._age = np.where(ended, 0, self._age)
            self._ended = ended if self.mode == AutoresetMode.NEXT_STEP else np.zeros(count, dtype=bool)
            self._observation = np.array(observation)
            t += 1
        return Paths(
            np.stack([*rows["o"], self._observation]),
            torch.stack(rows["a"]),
            np.stack(rows["r"]).astype(np.float64),
            np.stack(rows["te"]),
            np.stack(rows["tr"]),
            np.stack(rows["v"]),
            taken,
            np.stack(rows["age"]),
            tuple(finals),
            np.array(returns),
            np.array(lengths, dtype=np.int64),
        )

    def state(self) -> dict[str, Any]:
        """Return what is needed to continue exactly; environments that cannot be read are left out with a warning."""
        own = {} if self._observation is None else {k: getattr(self, k) for k in ("_observation", "_ended", "_age", "_return")}
        env = None
        if own:
            try:
                env = save_state(self.env)
            except CannotRestore as error:
                warnings.warn(f"{error}. A run that goes on from here will begin new episodes.", stacklevel=2)
        return {"rng": self.rng.bit_generator.state, "own": own, "env": env}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` returned; in environments of another kind or number begin new episodes, with a warning."""
        self.rng.bit_generator.state = state["rng"]
        own = state["own"]
        if not own:
            return
        self.env.reset(seed=self.seed)
        problem = "the environments were not saved" if state["env"] is None else ""
        if len(own["_ended"]) != self.env.num_envs:
            problem = f"{len(own['_ended'])} environments were saved, and there are {self.env.num_envs}"
        if not problem:
            try:
                restore_state(self.env, state["env"])
            except CannotRestore as error:
                problem = str(error)
        if problem:
            warnings.warn(f"new episodes begin: {problem}", stacklevel=2)
            self.seed = int(self.rng.integers(2**31))  # not the episodes of the first time once more
            return
        for name, value in own.items():
            setattr(self, name, np.array(value))
