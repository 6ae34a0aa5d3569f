"""Walks of a neural agent on processes where the truth is known: every policy on the way is turned into its table.

=============================== ===========================================================================================
sampler                         what a batch is
=============================== ===========================================================================================
``"exact"``                     all states with their weights d, all actions, exact advantages
``"single_path"``               paths of one length, states weighted by gamma^t; advantages are the return to go less learned
                                values (TRPO, arXiv:1502.05477v5, sec. 5.1)
``"single_path_undiscounted"``  the same with all states weighted alike, as usual code has it
``"vine"``                      states drawn by gamma^t, uniform actions at each, a rollout after every one (sec. 5.2, eq. 16
                                without its self-normalisation)
=============================== ===========================================================================================

Paths and rollouts end where what is left weighs gamma^horizon <= ``tail``: so states follow d in processes that never end.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mdps import MDP
from mdps.gym_bridge import TabularEnv, TabularVectorEnv
from mdps.mdp import Array
from trpo.agent import TRPO, Update
from trpo.curvature import Curvature, check_curvature
from trpo.neural import Step, StepOptions
from trpo.policies import Kind, Policy, make_policy
from trpo.region import Region
from trpo.samplers.exact import Exact
from trpo.samplers.sample import Sampler
from trpo.samplers.single_path import SinglePath
from trpo.samplers.vine import Vine
from trpo.tables import tabulate


@dataclass(frozen=True)
class Learner:
    """A neural agent on finite processes, all but its region and its seed.

    Raises
    ------
    ValueError
        If a name is unknown or a number out of range.
    """

    sampler: str = "exact"
    curvature: Curvature = "fisher"
    policy: Kind = "mlp"
    hidden: Sequence[int] = (64, 64)
    """Hidden layers of an ``"mlp"``."""
    spread: float = 1.0
    """Standard deviation of the logits of the policies that walks start from, over states and actions."""
    paths: int = 16
    """Paths a batch: all of it on a single path, the trunk of vine."""
    states: int = 128
    """States a batch of vine."""
    rollouts: int = 4
    """Actions at each of them."""
    tail: float = 1e-3
    """Most weight gamma^t that paths and rollouts leave out."""
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        """Check what is not checked where it is used."""
        check_curvature(self.curvature)
        for what, value in {"paths": self.paths, "states": self.states, "rollouts": self.rollouts}.items():
            if value < 1:
                raise ValueError(f"{what} of a batch is {value}; give at least 1")
        if self.sampler not in SAMPLERS:
            raise ValueError(f"unknown sampler {self.sampler!r}; expected one of {', '.join(SAMPLERS)}")
        if not (0 < self.tail < 1 and self.spread > 0):
            raise ValueError(f"tail is {self.tail}, spread {self.spread}; expected 0 < tail < 1 and spread > 0")


@dataclass(frozen=True, eq=False)
class Walk:
    """Policies in a row, and what the agent knew of each update."""

    pi: Array  # [T+1, S, A]
    steps: tuple[Step, ...]  # T
    visited: NDArray[np.bool_]  # [T, S] states of positive weight in the batch


def walk(mdp: MDP, region: Region, learner: Learner, iterations: int, seed: int) -> Walk:
    """Update a policy again and again, from a start that depends on the seed and the kind of policy only.

    Torch runs on one thread meanwhile, so that sums have the same last bits everywhere.

    Raises
    ------
    ValueError
        If the MDP is a batch, or the policy's kind unknown.
    """
    if mdp.batch:
        raise ValueError(f"the MDP is a batch of shape {mdp.batch}; a walk is in a single process: pass mdp[i]")
    sampler = SAMPLERS[learner.sampler](mdp, learner, seed)
    agent = TRPO(
        TabularVectorEnv(mdp, 1),
        policy=_start(mdp, learner, seed),
        region=region,
        sampler=sampler,
        hidden=learner.hidden,
        options=StepOptions(curvature=learner.curvature),
        seed=seed,
    )
    pi, visited = [tabulate(agent.policy, mdp)], np.zeros((iterations, mdp.S), dtype=bool)

    def keep(update: Update) -> None:
        weighted = update.sample.batch.weights.numpy() > 0
        visited[update.iteration.iteration, update.sample.observations[weighted]] = True
        pi.append(tabulate(agent.policy, mdp))

    agent.learn(updates=iterations, callback=keep)
    return Walk(np.stack(pi), tuple(iteration.step for iteration in agent.history), visited)


def walks(
    name: str, mdp: MDP, region: Region, learner: Learner, iterations: int, starts: int, seed: int
) -> tuple[Array, list[Walk]]:
    """Walk from several starts, the same ones for every region, sampler and curvature.

    Returns
    -------
    pi
        All policies, [iterations + 1, starts, S, A].
    walks
        One a start.

    Raises
    ------
    ValueError
        If a number is not positive, or as :func:`walk`.
    """
    for what, value in {"iterations": iterations, "starts": starts}.items():
        if value < 1:
            raise ValueError(f"{what} of the neural agent is {value}; give at least 1")
    seeds = np.random.SeedSequence([seed, zlib.crc32(name.encode())]).generate_state(starts)
    done = [walk(mdp, region, learner, iterations, int(own)) for own in seeds]
    return np.stack([one.pi for one in done], axis=1), done


def _start(mdp: MDP, learner: Learner, seed: int) -> Policy:
    """A policy of random laws: its last layer is drawn anew, and scaled to the spread asked for."""
    env = TabularEnv(mdp)
    policy = make_policy(
        env.observation_space, env.action_space, learner.policy, hidden=learner.hidden, seed=seed, dtype=learner.dtype
    )
    last = [layer for layer in policy.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.normal_(generator=torch.Generator().manual_seed(seed))
        z = policy(policy.inputs(np.arange(mdp.S)))
        last.weight.mul_(learner.spread / z.std())
    return policy


def _horizon(mdp: MDP, learner: Learner) -> int:
    gamma = float(mdp.gamma)
    return 1 if gamma == 0 else max(1, math.ceil(math.log(learner.tail) / math.log(gamma)))


def _single_path(discounted: bool) -> Callable[[MDP, Learner, int], Sampler]:
    def make(mdp: MDP, learner: Learner, seed: int) -> SinglePath:
        horizon = _horizon(mdp, learner)
        return SinglePath(
            TabularVectorEnv(mdp, learner.paths),
            steps=learner.paths * horizon,
            gamma=float(mdp.gamma),
            estimator="monte_carlo",
            discounted=discounted,
            horizon=horizon,
            standardise=False,  # the surrogate keeps the units of the return
            seed=seed,
        )

    return make


def _vine(mdp: MDP, learner: Learner, seed: int) -> Vine:
    horizon = _horizon(mdp, learner)
    return Vine(
        TabularEnv(mdp),
        gamma=float(mdp.gamma),
        states=learner.states,
        rollouts=learner.rollouts,
        length=horizon,
        q="uniform",
        paths=learner.paths,
        horizon=horizon,
        discounted=True,
        seed=seed,
    )


SAMPLERS: dict[str, Callable[[MDP, Learner, int], Sampler]] = {
    "exact": lambda mdp, learner, seed: Exact(mdp),
    "single_path": _single_path(True),
    "single_path_undiscounted": _single_path(False),
    "vine": _vine,
}
"""Name -> sampler of a process, for a learner and a seed."""
