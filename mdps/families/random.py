"""Random processes: drawn by the hundred thousand, they show what is typical; see worst_case for what is possible."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mdps.mdp import MDP


def garnet(
    states: int,
    actions: int,
    branching: int,
    *,
    gamma: ArrayLike,
    seed: int | np.random.Generator,
    batch: tuple[int, ...] = (),
) -> MDP:
    """Draw Garnet(S, A, b), the generalised average-reward non-stationary environment test-bench, in its stationary form.

    From each (s, a), ``branching`` distinct successors drawn without replacement; their probabilities are the gaps
    between ``branching - 1`` uniform cut points of [0, 1]. Rewards R[s,a] ~ N(0, 1), uniform start.

    Sources: Archibald, McKinnon and Thomas (1995), J. Oper. Res. Soc. 46(3); Bhatnagar, Sutton, Ghavamzadeh and Lee
    (2009), Automatica 45(11). The latter draw the expected reward of each *transition* from N(0, 1), here it is each (s, a)'s.

    Parameters
    ----------
    states, actions, branching
        S, A and the number b of successors, 1 <= b <= S.
    gamma
        Scalar, or an array that broadcasts with ``batch``.
    seed
        An integer or a Generator, which is advanced.
    batch
        Batch axes ``*B``: that many independent draws.

    Raises
    ------
    ValueError
        If a size is not a positive integer or ``branching`` exceeds ``states``.
    """
    _check_sizes(states=states, actions=actions, branching=branching)
    if branching > states:
        raise ValueError(f"branching is {branching} with {states} states; expected at most {states} distinct successors")
    rng, rows = _generator(seed), _shape(batch, states, actions)
    probabilities = np.diff(np.sort(rng.random((*rows, branching - 1)), axis=-1), axis=-1, prepend=0.0, append=1.0)
    if branching == states:
        P = probabilities
    else:
        successors = np.argsort(rng.random((*rows, states)), axis=-1)[..., :branching]
        P = np.zeros((*rows, states))
        np.put_along_axis(P, successors, probabilities, axis=-1)
    return MDP(P, rng.standard_normal(rows), np.full(states, 1 / states), gamma)


def dirichlet(
    states: int,
    actions: int,
    *,
    gamma: ArrayLike,
    seed: int | np.random.Generator,
    concentration: float = 1.0,
    batch: tuple[int, ...] = (),
) -> MDP:
    """Draw every row P[s,a] from the symmetric Dirichlet(concentration) law; rewards N(0, 1), uniform start.

    Concentration 1 is uniform on the simplex (the prior of Strens 2000, ICML, for Bayesian model-based learning); near 0
    the process is close to deterministic, far above 1 all actions lead to nearly the same uniform law.

    Parameters
    ----------
    states, actions
        S and A.
    gamma, seed, batch
        As for :func:`garnet`.
    concentration
        The Dirichlet parameter of each entry, > 0.

    Raises
    ------
    ValueError
        If a size is not a positive integer or ``concentration`` is not positive and finite.
    """
    _check_sizes(states=states, actions=actions)
    if not 0 < concentration < np.inf:
        raise ValueError(f"concentration is {concentration!r}; expected a positive finite number")
    rng, rows = _generator(seed), _shape(batch, states, actions)
    P = rng.dirichlet(np.full(states, float(concentration)), size=rows)
    return MDP(P, rng.standard_normal(rows), np.full(states, 1 / states), gamma)


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{name} is {size!r}; expected a positive integer")


def _shape(batch: tuple[int, ...], *core: int) -> tuple[int, ...]:
    if not isinstance(batch, tuple | list):
        raise ValueError(f"batch is {batch!r}; expected a shape, such as (1000,)")
    return (*batch, *core)


def _generator(seed: int | np.random.Generator) -> np.random.Generator:
    if isinstance(seed, int | np.integer) and seed < 0:
        raise ValueError(f"seed is {seed}; expected an integer of at least 0, or a Generator")
    return np.random.default_rng(seed)
