"""Bandits: processes whose actions do not steer what comes next, so that every surrogate is exact (gap = 0)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mdps.mdp import MDP


def bandit(means: ArrayLike, *, gamma: ArrayLike) -> MDP:
    """One state and an arm an action; arm a pays ``means[a]`` on average.

    Source: Robbins (1952), Bull. Amer. Math. Soc. 58(5).

    Parameters
    ----------
    means
        Expected reward of every arm, [*B, A].
    gamma
        Scalar or [*B].

    Raises
    ------
    ValueError
        If ``means`` has no arm axis or is not finite.
    """
    r = np.asarray(means, dtype=float)
    if r.ndim < 1 or r.shape[-1] == 0:
        raise ValueError(f"means has shape {r.shape}; expected [*B, A], one mean an arm and at least one arm")
    return MDP(np.ones((1, r.shape[-1], 1)), r[..., None, :], [1.0], gamma)


def two_armed_bandit(p: ArrayLike = (0.4, 0.6), *, gamma: ArrayLike) -> MDP:
    """Two arms that pay 1 with probability ``p[a]``, else 0, and a state that remembers the last outcome.

    States: 0 start, 1 won, 2 lost. R[s,a] = p[a] is the expected reward; the state is all an agent would need to react to
    the last outcome (win-stay, lose-shift), which here does not help.

    Source: Robbins (1952), Bull. Amer. Math. Soc. 58(5), which proposes win-stay, lose-shift for two coins.

    Parameters
    ----------
    p
        Probability of winning with either arm, [*B, 2].
    gamma
        Scalar or [*B].

    Raises
    ------
    ValueError
        If there are not exactly two arms or an entry is no probability.
    """
    win = np.asarray(p, dtype=float)
    if win.ndim < 1 or win.shape[-1] != 2:
        raise ValueError(f"p has shape {win.shape}; expected [*B, 2], one probability an arm")
    if not ((win >= 0) & (win <= 1)).all():
        raise ValueError(f"p is {p!r}; expected probabilities")
    row = np.stack([np.zeros_like(win), win, 1 - win], axis=-1)[..., None, :, :]  # [*B, 1, A, S]
    P = np.repeat(row, 3, axis=-3)
    return MDP(P, np.repeat(win[..., None, :], 3, axis=-2), [1.0, 0.0, 0.0], gamma)
