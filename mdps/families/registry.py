"""All families by name, for whatever iterates over them."""

from __future__ import annotations

from collections.abc import Callable

from mdps.families.bandits import bandit, two_armed_bandit
from mdps.families.chains import chain_walk, deep_sea, forest, kakade_langford_chain, riverswim, two_state_plateau
from mdps.families.grid import windy_gridworld
from mdps.families.random import dirichlet, garnet
from mdps.mdp import MDP

FAMILIES: dict[str, Callable[..., MDP]] = {
    family.__name__: family
    for family in (
        garnet,
        dirichlet,
        riverswim,
        chain_walk,
        kakade_langford_chain,
        deep_sea,
        two_state_plateau,
        forest,
        windy_gridworld,
        bandit,
        two_armed_bandit,
    )
}
"""Every function that returns an MDP, by its name. Each takes ``gamma`` by keyword; signatures differ otherwise."""
