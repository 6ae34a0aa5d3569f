"""The bank of comparisons every claim is held against: random and named MDPs, and structured pairs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bounds.compare import compare
from bounds.comparison import Comparison
from bounds.instances import STRUCTURED
from bounds.pairs import PAIRINGS
from mdps import families
from mdps.mdp import MDP, Array, stack

GAMMAS = (0.0, 0.01, 0.5, 0.9, 0.99, 1 - 1e-10)
DISTANCES = (0.0, 1e-6, 1e-3, 0.1, 1.0)

RANDOM: dict[str, Callable[[Array, np.random.Generator], MDP]] = {
    "garnet": lambda gamma, rng: families.garnet(5, 3, 2, gamma=gamma, seed=rng, batch=gamma.shape),
    "dirichlet": lambda gamma, rng: families.dirichlet(3, 2, gamma=gamma, seed=rng, concentration=0.3, batch=gamma.shape),
    "riverswim": lambda gamma, rng: families.riverswim("osband-2013", gamma=gamma),
    "riverswim-2008": lambda gamma, rng: families.riverswim(gamma=gamma),
    "chain-walk": lambda gamma, rng: families.chain_walk(4, gamma=gamma),
    "kakade-langford": lambda gamma, rng: families.kakade_langford_chain(6, gamma=gamma),
    "deep-sea": lambda gamma, rng: families.deep_sea(3, gamma=gamma),
    "plateau": lambda gamma, rng: families.two_state_plateau(gamma=gamma),
    "forest": lambda gamma, rng: families.forest(gamma=gamma),
    "bandit": lambda gamma, rng: families.bandit([0.1, 0.5, 1.0], gamma=gamma),
    "two-armed-bandit": lambda gamma, rng: families.two_armed_bandit(gamma=gamma),
}
"""Name -> (gamma [*B], rng) -> MDP of batch shape *B. Single MDPs are repeated; their policies still differ."""


@dataclass(frozen=True)
class Cell:
    """A batch of comparisons of one make; gamma and distance vary along its first two axes, [G, D, N]."""

    mdp: str
    pairing: str
    gammas: tuple[float, ...]
    distances: tuple[float, ...]
    comparison: Comparison


def random_cells(
    instances: int,
    seed: int,
    *,
    mdps: Sequence[str] = tuple(RANDOM),
    gammas: Sequence[float] = GAMMAS,
    distances: Sequence[float] = DISTANCES,
) -> Iterator[Cell]:
    """Yield one cell for each MDP and pairing, ``instances`` comparisons for each gamma and distance in it.

    A cell depends on ``seed`` and its own names only, so any subset of the bank gives the same numbers.

    Raises
    ------
    ValueError
        If a name in ``mdps`` is unknown, or ``instances`` is not positive.
    """
    check(mdps, instances)
    shape = (len(gammas), len(distances), instances)
    gamma = np.broadcast_to(np.asarray(gammas)[:, None, None], shape)
    distance = np.broadcast_to(np.asarray(distances)[None, :, None], shape)
    for name in mdps:
        for pairing, draw in PAIRINGS.items():
            rng = np.random.default_rng([seed, zlib.crc32(f"{name}/{pairing}".encode())])
            mdp = RANDOM[name](gamma, rng)
            yield Cell(name, pairing, tuple(gammas), tuple(distances), compare(mdp, *draw(mdp, distance, rng)))


def check(mdps: Sequence[str], instances: int) -> None:
    """Raise ValueError if a name is not in the bank or there is nothing to draw."""
    unknown = [name for name in mdps if name not in RANDOM]
    if unknown:
        raise ValueError(f"unknown MDP {unknown[0]!r} in the bank; known: {', '.join(RANDOM)}")
    if instances < 1:
        raise ValueError(f"instances is {instances}; give at least 1")


def structured_cells(gammas: Sequence[float] = GAMMAS) -> Iterator[Cell]:
    """Yield one cell for each structured family, [G, 1, N] over its own parameters; the distance is the largest TV."""
    for name, family in STRUCTURED.items():
        pairs = [family(gamma) for gamma in gammas]
        mdp = stack([pair.mdp if pair.mdp.batch else stack([pair.mdp]) for pair in pairs])
        mdp = MDP(mdp.P[:, None], mdp.R[:, None], mdp.rho0[:, None], mdp.gamma[:, None])
        size = mdp.batch[-1]
        shape = (size, mdp.S, mdp.A)
        old = np.stack([np.broadcast_to(pair.old, shape) for pair in pairs])[:, None]
        new = np.stack([np.broadcast_to(pair.new, shape) for pair in pairs])[:, None]
        yield Cell(name, "structured", tuple(gammas), (float("nan"),), compare(mdp, old, new))
