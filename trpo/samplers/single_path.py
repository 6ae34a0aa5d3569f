"""Single path: whole trajectories of the policy, one action a state (TRPO, arXiv:1502.05477v5, section 5.1).

Advantages come from GAE(lambda) with learned values (:mod:`trpo.advantages`), what people run today, or are the return to go of
the paper. A state is weighted by gamma^t, t its age in the episode, where ``discounted``: then the estimate is of the
surrogate L. Usual code weights all states alike: it follows the undiscounted visitation, which is not L's (``single-path`` in
the catalogue).
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from trpo.advantages import gae
from trpo.batch import Batch
from trpo.linearise import forward
from trpo.normaliser import Normaliser
from trpo.policies import Policy
from trpo.samplers.paths import LIMIT, Paths, Walker
from trpo.samplers.sample import Sample
from trpo.values import ValueFunction

Estimator = Literal["gae", "monte_carlo"]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Paths as N rows of a batch."""

    inputs: Tensor  # [N, ...]
    actions: Tensor  # [N, 1, D]
    log_q: Tensor  # [N, 1]
    advantages: Tensor  # [N, 1]
    weights: Tensor  # [N] relative
    targets: Tensor  # [N] of the values
    observations: NDArray[Any]  # [N, *shape] raw


class SinglePath:
    """Follow the policy through vectorised environments.

    Parameters
    ----------
    env
        Vector environment, autoreset NEXT_STEP or SAME_STEP.
    steps
        Environment steps a batch, rounded up to a multiple of the number of copies. Ignored where ``episodes`` is given.
    gamma, lam
        Discount factor and the lambda of GAE.
    estimator
        ``"gae"`` needs a value function. ``"monte_carlo"`` is the return to go, less learned values where there are any; where
        a path is cut before its end, the value of the state reached stands for the rest, or nothing does.
    discounted
        Weight states by gamma^t.
    horizon
        Begin anew after so many steps, in all copies: paths of one length for processes that never end.
    episodes
        Collect so many whole episodes in place of ``steps``, the same number from every copy.
    standardise
        Shift and scale the batch's advantages to mean 0 and deviation 1. (A shift is a constant baseline; the scale leaves
        the direction of the step as it is.)
    reward_scale
        Divides rewards by the running deviation of the discounted return; None leaves them as they are.
    limit
        Steps an episode may take where ``episodes`` are asked for.
    seed
        For environments and actions.

    Raises
    ------
    ValueError
        If a number is out of range or a name unknown.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        *,
        steps: int = 2048,
        gamma: float = 0.99,
        estimator: Estimator = "gae",
        lam: float = 0.95,
        discounted: bool = False,
        horizon: int | None = None,
        episodes: int | None = None,
        standardise: bool = True,
        reward_scale: Normaliser | None = None,
        limit: int = LIMIT,
        seed: int = 0,
    ) -> None:
        for name, value in (("steps", steps), ("horizon", horizon), ("episodes", episodes), ("limit", limit)):
            if value is not None and not (isinstance(value, Integral) and value >= 1):
                raise ValueError(f"{name} is {value!r}; expected an integer of at least 1")
        if estimator not in ("gae", "monte_carlo"):
            raise ValueError(f"estimator is {estimator!r}; expected 'gae' or 'monte_carlo'")
        if not (0 <= gamma <= 1 and 0 <= lam <= 1):
            raise ValueError(f"gamma is {gamma}, lam {lam}; expected both in [0, 1]")
        self.walker = Walker(env, seed)
        self.steps, self.horizon, self.episodes, self.limit = steps, horizon, episodes, limit
        self.gamma, self.lam = gamma, lam if estimator == "gae" else 1.0
        self.estimator, self.discounted, self.standardise = estimator, discounted, standardise
        self.reward_scale = reward_scale
        self._running = np.zeros(env.num_envs)

    def collect(self, policy: Policy, value: ValueFunction | None) -> Sample:
        """Follow the policy and estimate advantages.

        Raises
        ------
        ValueError
            If GAE has no value function, the environment gives a nan or infinite number, or an episode exceeds the limit.
        """
        if self.estimator == "gae" and value is None:
            raise ValueError("estimator 'gae' needs a value function; give one, or estimator='monte_carlo'")
        walks = self._paths(policy)
        rows = [self._rows(policy, value, paths) for paths in walks]
        inputs, weights = torch.cat([r.inputs for r in rows]), torch.cat([r.weights for r in rows])
        advantages = torch.cat([r.advantages for r in rows])
        if self.standardise and len(advantages) > 1:
            centred = advantages - advantages.mean()
            advantages = centred / centred.square().mean().sqrt().clamp_min(1e-8)
        return Sample(
            Batch(
                inputs,
                torch.cat([r.actions for r in rows]),
                torch.cat([r.log_q for r in rows]),
                advantages.to(inputs.dtype),
                (weights / weights.sum()).to(inputs.dtype),
            ),
            np.concatenate([r.observations for r in rows]),
            sum(paths.steps for paths in walks),
            np.concatenate([paths.returns for paths in walks]),
            np.concatenate([paths.lengths for paths in walks]),
            torch.cat([r.targets for r in rows]).to(inputs.dtype) if value is not None else None,
        )

    def _paths(self, policy: Policy) -> list[Paths]:
        copies = self.walker.env.num_envs
        if self.episodes is not None:
            return [self.walker.walk(policy, episodes=-(-self.episodes // copies), limit=self.limit)]
        if self.horizon is None:
            return [self.walker.walk(policy, -(-self.steps // copies))]
        walks = []
        for _ in range(-(-self.steps // (copies * self.horizon))):
            self.walker.reset()
            walks.append(self.walker.walk(policy, self.horizon))
        return walks

    def _rows(self, policy: Policy, value: ValueFunction | None, paths: Paths) -> _Rows:
        t, b = paths.rewards.shape
        flat = paths.observations.reshape((t + 1) * b, *paths.observations.shape[2:])
        inputs = policy.inputs(flat)
        known = torch.zeros(len(flat)) if value is None else value.predict(inputs)
        values = known.double().cpu().numpy().reshape(t + 1, b)
        next_values = values[1:].copy()
        if value is not None and paths.finals:
            reached = value.predict(policy.inputs(np.stack([o for _, _, o in paths.finals]))).double().cpu().numpy()
            for (at, copy, _), v in zip(paths.finals, reached, strict=True):
                next_values[at, copy] = v
        ends = paths.terminated | paths.truncated
        advantages = gae(self._scaled(paths), values[:-1], next_values, paths.terminated, ends, self.gamma, self.lam)
        valid = torch.from_numpy(paths.valid.ravel())
        keep = valid.nonzero()[:, 0]
        used = inputs[: t * b][keep.to(inputs.device)]
        actions = paths.actions.reshape(t * b, 1, -1)[keep.to(paths.actions.device)]
        log_q = policy.family.log_prob(forward(policy)(used), actions)
        weights = torch.from_numpy(self.gamma ** paths.age.ravel() if self.discounted else np.ones(t * b))[keep]
        gained = torch.from_numpy(advantages.ravel())[keep]
        targets = gained + torch.from_numpy(values[:-1].ravel())[keep]
        device, seen = used.device, flat[: t * b][keep.numpy()]
        return _Rows(used, actions, log_q, gained[:, None].to(device), weights.to(device), targets.to(device), seen)

    def _scaled(self, paths: Paths) -> Any:
        if self.reward_scale is None:
            return paths.rewards
        running = np.empty_like(paths.rewards)
        for t in range(len(running)):
            self._running = np.where(paths.age[t] == 0, 0.0, self.gamma * self._running) + paths.rewards[t]
            running[t] = self._running
        self.reward_scale.update(running[paths.valid])
        scale = float(self.reward_scale.std)
        return np.clip(paths.rewards / scale, -self.reward_scale.clip, self.reward_scale.clip)

    def state(self) -> dict[str, Any]:
        """Return what is needed to continue exactly; see :meth:`trpo.samplers.paths.Walker.state`."""
        scale = None if self.reward_scale is None else self.reward_scale.state_dict()
        return {"walker": self.walker.state(), "running": self._running, "scale": scale}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` returned."""
        self.walker.restore(state["walker"])
        if len(state["running"]) == len(self._running):
            self._running = np.array(state["running"])
        if self.reward_scale is not None and state["scale"] is not None:
            self.reward_scale.load_state_dict(state["scale"])
