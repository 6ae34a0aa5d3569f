"""Advantages from rewards and values along paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gae(
    rewards: Array,
    values: Array,
    next_values: Array,
    terminated: NDArray[np.bool_],
    ends: NDArray[np.bool_],
    gamma: float,
    lam: float,
) -> Array:
    """Generalised advantage estimates, sum_k (gamma lam)^k delta_{t+k} (Schulman et al. 2016, arXiv:1506.02438v6, eq. 16).

    delta_t = r_t + gamma V(s_{t+1}) - V(s_t), with V = 0 where the episode terminated. Truncation is not termination: the path
    ends there, and the value of the state reached stands for what would have come. ``lam = 1`` is the Monte-Carlo return less V.

    Parameters
    ----------
    rewards, values, next_values
        [T,B] for T steps of B paths: r_t, V(s_t), V(s_{t+1}); s_{t+1} is the state reached, not where an episode starts anew.
    terminated
        [T,B] whether s_{t+1} is terminal.
    ends
        [T,B] whether nothing after step t belongs to its path: termination, truncation. The last row always ends.
    gamma, lam
        Discount factor and lambda, in [0, 1].

    Returns
    -------
    advantages
        [T,B], in the units of the rewards.

    Raises
    ------
    ValueError
        If gamma or lam lies outside [0, 1].
    """
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        raise ValueError(f"gamma is {gamma}, lam {lam}; expected both in [0, 1]")
    delta = rewards + gamma * np.where(terminated, 0.0, next_values) - values
    keep = gamma * lam * ~ends
    advantages = np.empty_like(delta)
    carried = np.zeros(delta.shape[1])
    for t in reversed(range(len(delta))):
        carried = delta[t] + keep[t] * carried if t + 1 < len(delta) else delta[t]
        advantages[t] = carried
    return advantages
