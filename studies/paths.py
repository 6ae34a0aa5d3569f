"""Sequences of exact updates from random starts: what the studies of updates share."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdps import MDP, Evaluation, evaluate
from mdps.mdp import Array


class Start(NamedTuple):
    """A tie of states and random policies that respect it."""

    groups: NDArray[np.intp]  # [S]
    pi: Array  # [N, S, A]


def starts(name: str, mdp: MDP, seed: int, *, aggregations: int, each: int, group_size: int) -> list[Start]:
    """Draw random ties of states, and for each some policies with uniform Dirichlet laws, one a group.

    A tie deals the states at random into ceil(S/group_size) groups of sizes that differ by one at most. The draw depends on
    the seed and the MDP's name only.

    Raises
    ------
    ValueError
        If a number is not positive or the MDP is a batch.
    """
    for what, value in {"aggregations": aggregations, "starts": each, "group_size": group_size}.items():
        if value < 1:
            raise ValueError(f"{what} is {value}; give at least 1")
    if mdp.batch:
        raise ValueError(f"mdp {name!r} is a batch of shape {mdp.batch}; a study needs single processes")
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    count = -(-mdp.S // group_size)
    drawn = []
    for _ in range(aggregations):
        groups = rng.permutation(mdp.S) % count
        laws = rng.dirichlet(np.ones(mdp.A), size=(each, count))
        drawn.append(Start(groups, laws[:, groups]))
    return drawn


def follow(mdp: MDP, start: Array, step: Callable[[Evaluation], Array], iterations: int) -> Array:
    """Update a batch of policies again and again.

    Parameters
    ----------
    mdp
        A single process.
    start
        Policies [N,S,A].
    step
        From an evaluation to the new policies.
    iterations
        How many updates.

    Returns
    -------
    pi
        The policies before the first update and after each, [iterations + 1, N, S, A].
    """
    walk = [start]
    for _ in range(iterations):
        walk.append(step(evaluate(mdp, walk[-1])))
    return np.stack(walk)


def check_processes(mdp: Mapping[str, MDP]) -> None:
    """Raise ValueError where there is no process to study."""
    if not mdp:
        raise ValueError("mdp is empty; choose at least one, such as mdp=[riverswim,frozenlake]")
