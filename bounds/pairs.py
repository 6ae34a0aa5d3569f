"""Random pairs of policies, old and new, at a chosen distance: what the claims are tried on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mdps.mdp import MDP, Array

Pairing = Callable[[MDP, Array, np.random.Generator], tuple[Array, Array]]


def random_policy(mdp: MDP, rng: np.random.Generator, concentration: float = 1.0) -> Array:
    """One policy an instance, [*B,S,A], with Dirichlet rows; small concentrations make zero probabilities likely."""
    draws = rng.standard_gamma(concentration, mdp.R.shape)
    pi = draws / np.maximum(draws.sum(-1, keepdims=True), np.finfo(float).tiny)
    pi = np.where(pi < 1e-6, 0.0, pi)
    pi[..., 0] = np.where(pi.sum(-1) == 0, 1.0, pi[..., 0])
    return pi / pi.sum(-1, keepdims=True)


def tilted(mdp: MDP, distance: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """new proportional to old exp(distance z) with z standard normal: the same support, KL finite."""
    old = random_policy(mdp, rng)
    new = old * np.exp(distance[..., None, None] * rng.standard_normal(old.shape))
    return old, new / new.sum(-1, keepdims=True)


def mixed(mdp: MDP, distance: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """new = (1-distance) old + distance other, both sparse: conservative policy iteration's own pairs."""
    return _toward(random_policy(mdp, rng, 0.3), random_policy(mdp, rng, 0.3), distance)


def deterministic(mdp: MDP, distance: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """A deterministic old policy, mixed with another deterministic one."""
    old, other = (np.eye(mdp.A)[rng.integers(mdp.A, size=mdp.R.shape[:-1])] for _ in range(2))
    return _toward(old, other, distance)


def moved(mdp: MDP, distance: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """At each state up to ``distance`` of the mass moves from one action to another: zeros appear and fill, KL may be inf."""
    old = random_policy(mdp, rng, 0.3)
    source, sink = (np.eye(mdp.A)[rng.integers(mdp.A, size=mdp.R.shape[:-1])] for _ in range(2))
    mass = np.minimum(distance[..., None, None], (old * source).sum(-1, keepdims=True))
    return old, np.maximum(old + mass * (sink - source), 0.0)


def _toward(old: Array, other: Array, distance: Array) -> tuple[Array, Array]:
    share = np.minimum(distance, 1.0)[..., None, None]
    return old, (1 - share) * old + share * other


PAIRINGS: dict[str, Pairing] = {"tilted": tilted, "mixed": mixed, "moved": moved, "deterministic": deterministic}
"""Name -> (mdp, distance [*B], rng) -> (old, new), both [*B,S,A]."""
