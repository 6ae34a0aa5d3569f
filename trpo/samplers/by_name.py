"""The sampler that an agent was told of: by name, or one of the caller's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from mdps.mdp import MDP
from trpo.environments import EnvLike, mdp_of
from trpo.normaliser import Normaliser
from trpo.penalty import Penalty
from trpo.region import Region
from trpo.samplers.exact import Exact
from trpo.samplers.sample import Sampler
from trpo.samplers.single_path import Estimator, SinglePath


def make_sampler(
    sampler: str | Sampler,
    env: EnvLike,
    copies: VectorEnv[Any, Any, Any],
    region: Region | Penalty,
    seed: int,
    *,
    gamma: float | None = None,
    lam: float | None = None,
    estimator: Estimator | None = None,
    discounted: bool | None = None,
    standardise: bool | None = None,
    steps_per_update: int | None = None,
    episodes_per_update: int | None = None,
    normalise_rewards: bool | None = None,
) -> Sampler:
    """Return the sampler of an agent in ``env``, which acts in ``copies`` of it; arguments as those of :class:`trpo.agent.TRPO`.

    Raises
    ------
    ValueError
        If a name is unknown, a number out of range, or an exact sampler is of another MDP than the environment.
    """
    mdp = mdp_of(copies)
    if sampler == "exact":
        tables = getattr(copies, "mdp", None)  # not of copies in wrappers, which may show other observations
        if not isinstance(tables, MDP):
            raise ValueError(f"sampler 'exact' needs an MDP or a TabularEnv; env is {env!r}")
        return Exact(tables)
    if sampler == "single_path":
        return SinglePath(
            copies,
            steps=2048 if steps_per_update is None else steps_per_update,
            gamma=gamma if gamma is not None else 0.99 if mdp is None else float(mdp.gamma),
            estimator=estimator or "gae",
            lam=0.95 if lam is None else lam,
            discounted=bool(discounted),
            episodes=episodes_per_update,
            standardise=not isinstance(region, Penalty) if standardise is None else standardise,
            reward_scale=Normaliser(centre=False) if normalise_rewards else None,
            seed=seed,
        )
    if isinstance(sampler, str):
        raise ValueError(f"unknown sampler {sampler!r}; expected 'single_path', 'exact' or a sampler")
    if isinstance(sampler, Exact) and mdp is not None and not _same(sampler.mdp, mdp):
        raise ValueError(f"the sampler is Exact({sampler.mdp!r}), and env another process, {mdp!r}; give both the same")
    return sampler


SAMPLING = tuple(make_sampler.__kwdefaults__ or ())
"""Arguments that speak to the sampler "single_path" only."""


def _same(one: MDP, other: MDP) -> bool:
    return one is other or all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("P", "R", "rho0", "gamma"))
