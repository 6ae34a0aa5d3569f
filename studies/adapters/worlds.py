"""Worlds to train in: MDPs with exact quantities, gymnasium's environments, and one that tells whether gamma^t is dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import TimeLimit, TransformObservation

from mdps import MDP
from mdps.gym_bridge import TabularEnv
from studies.adapters.protocol import Samples, World, unchanged


def tabular(name: str, mdp: MDP, horizon: int = 100) -> World:
    """Return an MDP as a world, in episodes of at most ``horizon`` steps; the observation is the state.

    Raises
    ------
    ValueError
        If the MDP is a batch, or the horizon is not positive.
    """
    if mdp.batch:
        raise ValueError(f"mdp {name!r} is a batch of shape {mdp.batch}; an agent trains in a single process")
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; give at least 1")
    return World(name, lambda: TimeLimit(TabularEnv(mdp), horizon), float(mdp.gamma), mdp, np.arange(mdp.S))


def environment(id: str, gamma: float) -> World:
    """Return an environment of gymnasium as a world."""
    return World(id, lambda: gymnasium.make(id), gamma)


def discount_probe(gamma: float = 0.9, steps: int = 20) -> World:
    """Return a world in which the discounted and the undiscounted return pull the policy in opposite directions.

    A walk of ``steps`` states that no action can change, all of which look the same. Action 1 pays +1 in the first k of them
    and -1 in the rest, action 0 the opposite. With weights w_t = gamma^t action 1 has the larger return where
    ``sum_{t<k} w_t > sum_{k<=t} w_t``; with w_t = 1 action 0 has it where 2 k < steps. The k taken has both pulls strong, each
    as a share of its sum of weights.

    An action has no other effect than its own reward, so the expectation of its advantage at time t is +1 or -1, but for a
    constant, with every estimator and every critic. A gradient whose states are weighted by gamma^t raises the probability of
    action 1; one that weights all states of an episode alike lowers it.

    Raises
    ------
    ValueError
        If no k serves: gamma too near 1 for so few steps.
    """
    weights = gamma ** np.arange(steps)
    discounted = 2 * weights.cumsum() / weights.sum() - 1
    plain = 2 * np.arange(1, steps + 1) / steps - 1
    weaker = np.minimum(discounted, -plain)
    k = int(weaker.argmax()) + 1
    if weaker.max() <= 0:
        raise ValueError(f"gamma is {gamma} with {steps} steps: both returns pull the same way; expected a smaller gamma")
    P, R, rho0 = np.zeros((steps + 1, 2, steps + 1)), np.zeros((steps + 1, 2)), np.zeros(steps + 1)
    P[np.arange(steps), :, np.arange(1, steps + 1)] = 1
    P[steps, :, steps] = 1
    R[:steps, 1] = np.where(np.arange(steps) < k, 1.0, -1.0)
    R[:, 0] = -R[:, 1]
    rho0[0] = 1
    mdp = MDP(P, R, rho0, gamma)

    def make() -> gymnasium.Env[np.int64, np.int64]:
        return TransformObservation(TabularEnv(mdp), lambda _: np.int64(0), Discrete(1))

    return World("discount_probe", make, gamma, mdp, np.zeros(steps + 1, dtype=int))


class Vectors(NamedTuple):
    """What an agent needs whose network takes vectors only."""

    make: Callable[[], gymnasium.Env[Any, Any]]  # a fresh environment whose observations are vectors: an index becomes one-hot
    features: Callable[[Samples], Samples]  # from raw observations to such vectors, [N, ...] -> [N, d]
    raw: Callable[[Samples], Samples | None]  # and back; None where the two are the same


def vectors(world: World) -> Vectors:
    """Return a world with vectors for observations."""
    env = world.make()
    space = env.observation_space
    env.close()
    if not isinstance(space, Discrete):
        return Vectors(world.make, unchanged, lambda inputs: None)
    eye = np.eye(int(space.n), dtype=np.float32)

    def make() -> gymnasium.Env[Any, Any]:
        return TransformObservation(world.make(), lambda s: eye[s], Box(0, 1, (int(space.n),), np.float32))

    return Vectors(make, lambda states: eye[states.astype(int)], lambda inputs: inputs.argmax(-1))
