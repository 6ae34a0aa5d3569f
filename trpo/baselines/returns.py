"""The mean return of a policy, by playing episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import ArrayLike, NDArray

from trpo.linearise import flat_parameters, forward, set_parameters
from trpo.policies import Policy
from trpo.samplers.paths import LIMIT, as_env_actions, check_length


@dataclass(frozen=True, eq=False)
class Episodes:
    """Whole episodes of one policy."""

    returns: NDArray[np.float64]  # [E] undiscounted, in the environment's own rewards
    lengths: NDArray[np.int64]  # [E] in steps

    @property
    def steps(self) -> int:
        """Environment steps of these episodes, all together."""
        return int(self.lengths.sum())


def play(
    policy: Policy,
    env: VectorEnv[Any, Any, Any],
    episodes: int,
    *,
    seed: int,
    deterministic: bool = False,
    limit: int = LIMIT,
) -> Episodes:
    """Play whole episodes from new starts.

    Every copy of the environment plays the same number of episodes, or one more, and only its first ones are taken: the first
    to end anywhere would be the short ones. What copies do that have played theirs is neither kept nor counted.

    Parameters
    ----------
    policy
        Its inputs are normalised as it does, and its moments are not updated.
    env
        A vector environment in the autoreset mode NEXT_STEP or SAME_STEP.
    episodes
        How many.
    seed
        Of the environments and the actions.
    deterministic
        Take every law's likeliest action in place of a draw.
    limit
        Steps an episode may take.

    Returns
    -------
    episodes
        In the order of copies, and for each of time.

    Raises
    ------
    ValueError
        If ``env`` is no vector environment or has another autoreset mode, ``episodes`` is below 1, or an episode is longer than
        ``limit``.
    """
    mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP) if isinstance(env, VectorEnv) else None
    if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        raise ValueError(f"env is {env}; expected a gymnasium vector environment with autoreset NEXT_STEP or SAME_STEP")
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}; expected at least 1")
    copies, family = env.num_envs, policy.family
    quota = episodes // copies + (np.arange(copies) < episodes % copies)
    returns: list[list[float]] = [[] for _ in range(copies)]
    lengths: list[list[int]] = [[] for _ in range(copies)]
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    total, age = np.zeros(copies), np.zeros(copies, dtype=np.int64)
    begins = np.zeros(copies, dtype=bool)  # copies whose step only begins an episode
    left = quota.copy()
    outputs = forward(policy)
    while left.any():
        z = outputs(policy.inputs(observation))
        actions = family.mode(z) if deterministic else family.sample(z, family.noise(copies, rng))
        observation, reward, terminated, truncated, _ = env.step(as_env_actions(env.single_action_space, actions))
        total += np.where(begins, 0.0, reward)
        age += ~begins
        ended = (terminated | truncated) & ~begins
        for b in np.flatnonzero(ended):
            if left[b]:
                returns[b].append(float(total[b]))
                lengths[b].append(int(age[b]))
                left[b] -= 1
        check_length(age[left > 0], limit)
        total[ended], age[ended] = 0.0, 0
        begins = ended if mode == AutoresetMode.NEXT_STEP else begins
    return Episodes(
        np.concatenate([np.array(r) for r in returns]), np.concatenate([np.array(n, dtype=np.int64) for n in lengths])
    )


class MeanReturn:
    """The score of a policy's parameters: its mean return over a few episodes, new ones at every call.

    Parameters
    ----------
    policy
        Left with the parameters of the last call.
    env, episodes, deterministic
        As for :func:`play`.
    seed
        The episodes of every call follow from it.
    """

    def __init__(
        self, policy: Policy, env: VectorEnv[Any, Any, Any], episodes: int, *, seed: int = 0, deterministic: bool = False
    ) -> None:
        self.policy, self.env, self.episodes, self.deterministic = policy, env, episodes, deterministic
        self.steps = 0  # environment steps of all calls
        self._rng = np.random.default_rng(seed)

    @property
    def start(self) -> NDArray[np.float64]:
        """The policy's present parameters [P], for a search to start at."""
        return flat_parameters(self.policy).double().cpu().numpy()

    def __call__(self, theta: ArrayLike) -> float:
        """Return the mean return with parameters theta [P].

        Raises
        ------
        ValueError
            As :func:`play`, and if theta has another length than the policy's parameters.
        """
        given = torch.as_tensor(np.asarray(theta))
        set_parameters(self.policy, given.to(self.policy.device))
        played = play(self.policy, self.env, self.episodes, seed=int(self._rng.integers(2**31)), deterministic=self.deterministic)
        self.steps += played.steps
        return float(played.returns.mean())
