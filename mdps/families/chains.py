"""Chains of states with two ways to go, each a classic of exploration or of policy-gradient theory.

Unless a docstring says otherwise, action 0 goes left, action 1 goes right, and state 0 is the leftmost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mdps.mdp import MDP

_RIVERS = {
    # preset: right from (first, middle, last) as (left, stay, right); rewards (left in first, right in last); start states
    "strehl-littman-2008": (((0, 0.7, 0.3), (0.1, 0.6, 0.3), (0.7, 0.3, 0)), (5.0, 0.3 * 10000), (1, 2)),
    "osband-2013": (((0, 0.4, 0.6), (0.05, 0.6, 0.35), (0.4, 0.6, 0)), (5 / 1000, 1.0), (0,)),
}


def riverswim(preset: str = "strehl-littman-2008", *, gamma: ArrayLike, states: int = 6) -> MDP:
    """RiverSwim: swimming right, against the current, may fail; drifting left never does.

    A small reward waits at the left bank (left in the first state), a large one at the right bank (right in the last state).
    In the first preset the large reward belongs to the transition that stays at the right bank, so 0.3 * 10000 is expected;
    in the second it belongs to the action, wherever the current then carries the swimmer.

    =================== ==================== ================================= ==================== ========= ===========
    preset              right, first state   right, in between                 right, last state    rewards   start
    =================== ==================== ================================= ==================== ========= ===========
    strehl-littman-2008 stay .7, right .3    left .1, stay .6, right .3        left .7, stay .3     5, 3000   1 or 2
    osband-2013         stay .4, right .6    left .05, stay .6, right .35      left .4, stay .6     0.005, 1  0
    =================== ==================== ================================= ==================== ========= ===========

    Sources: Strehl and Littman (2008), J. Comput. Syst. Sci. 74(8), Figure 1; Osband, Russo and Van Roy (2013),
    arXiv:1306.0940, Figure 1. Both have 6 states.

    Raises
    ------
    ValueError
        If the preset is unknown or there are fewer than 3 states.
    """
    if preset not in _RIVERS:
        raise ValueError(f"preset is {preset!r}; expected one of {sorted(_RIVERS)}")
    _check_length("states", states, 3)
    (first, middle, last), (small, large), start = _RIVERS[preset]
    P, R = np.zeros((states, 2, states)), np.zeros((states, 2))
    for s in range(states):
        P[s, 0, max(s - 1, 0)] = 1
        moves = first if s == 0 else last if s == states - 1 else middle
        for step, probability in zip((-1, 0, 1), moves, strict=True):
            if probability:
                P[s, 1, s + step] = probability
    R[0, 0], R[-1, 1] = small, large
    return MDP(P, R, _start(states, start), gamma)


def chain_walk(states: int = 4, *, gamma: ArrayLike, success: float = 0.9, rewarded: Sequence[int] | None = None) -> MDP:
    """Chain walk: an action succeeds with probability ``success`` and else goes the other way; the ends hold.

    Reward 1 for either action in a rewarded state, uniform start. ``rewarded`` holds indices counted from 0; left out, it is that
    of the paper: both middle states of 4, and states 9 and 40 (10 and 41 counted from 1) of 50.

    Source: Lagoudakis and Parr (2003), JMLR 4, section 9.1; the chain of 4 is from Koller and Parr (2000), UAI.

    Raises
    ------
    ValueError
        If there are fewer than 2 states, ``success`` is no probability, or ``rewarded`` is missing for a length that is not
        in the paper or names a state that does not exist.
    """
    _check_length("states", states, 2)
    if not 0 <= success <= 1:
        raise ValueError(f"success is {success!r}; expected a probability")
    if rewarded is None:
        if states not in (4, 50):
            raise ValueError(
                f"the paper has no chain of {states} states (only 4 and 50); give rewarded, the indices of the rewarded states"
            )
        rewarded = (1, 2) if states == 4 else (9, 40)
    outside = [s for s in rewarded if not 0 <= s < states]
    if outside:
        raise ValueError(f"rewarded names {outside}; expected indices from 0 to {states - 1}")
    P, R = np.zeros((states, 2, states)), np.zeros((states, 2))
    for s in range(states):
        left, right = max(s - 1, 0), min(s + 1, states - 1)
        P[s, 0, left] += success
        P[s, 0, right] += 1 - success
        P[s, 1, right] += success
        P[s, 1, left] += 1 - success
    R[list(rewarded)] = 1
    return MDP(P, R, np.full(states, 1 / states), gamma)


def kakade_langford_chain(states: int = 50, *, gamma: ArrayLike) -> MDP:
    """Chain on which the uniform policy drifts away from the only reward.

    Three deterministic actions: 0 and 1 go left (and stay in the leftmost state), 2 goes right. The last state is absorbing
    and pays 1 at every step. From the leftmost state, where every run starts, the uniform policy takes
    3 (2^n - n - 1) steps on average to reach it, n the number of states: in practice a gradient estimated from samples is zero.

    Source: Kakade and Langford (2002), ICML, section 3.1 and its figure.

    Raises
    ------
    ValueError
        If there are fewer than 2 states.
    """
    _check_length("states", states, 2)
    P, R = np.zeros((states, 3, states)), np.zeros((states, 3))
    for s in range(states - 1):
        P[s, :2, max(s - 1, 0)] = 1
        P[s, 2, s + 1] = 1
    P[-1, :, -1] = 1
    R[-1] = 1
    return MDP(P, R, _start(states, (0,)), gamma)


def deep_sea(size: int = 10, *, gamma: ArrayLike) -> MDP:
    """Deep sea: a diver sinks one row a step through an N x N grid; only going right N times finds the treasure.

    State ``row * N + column``, start at the top left; state N * N is the absorbing end with reward 0. Left (0) is free, right (1)
    costs 0.01/N, and right in the last column adds the treasure 1. One policy in 2^N finds it, and the cost points the other way.

    Sources: Osband et al. (2019), Deep exploration via randomized value functions, JMLR 20, section 4; Osband et al. (2020),
    Behaviour suite, arXiv:1908.03568, whose random relabelling of the actions in each state is left out.

    Raises
    ------
    ValueError
        If ``size`` is below 2.
    """
    _check_length("size", size, 2)
    end = size * size
    P, R = np.zeros((end + 1, 2, end + 1)), np.zeros((end + 1, 2))
    for row in range(size):
        for column in range(size):
            s, below = row * size + column, (row + 1) * size
            last = row == size - 1
            P[s, 0, end if last else below + max(column - 1, 0)] = 1
            P[s, 1, end if last else below + min(column + 1, size - 1)] = 1
            R[s, 1] = (column == size - 1) - 0.01 / size
    P[end, :, end] = 1
    return MDP(P, R, _start(end + 1, (0,)), gamma)


def two_state_plateau(*, gamma: ArrayLike) -> MDP:
    """Two states, each with a loop and a way to the other; the gradient long prefers the loop that pays less.

    Action 0 stays, action 1 changes the state. Staying pays 1 in state 0 and 2 in state 1, changing pays nothing. A policy
    that is mostly in state 0 sees little of state 1, and plain gradient ascent stays at an average reward of 1 for long.

    Source: Kakade (2001), A natural policy gradient, NIPS 14, section 4 (two-state MDP). The paper has the average reward and no
    start; the start here, 0.8 and 0.2, is its stationary law under the initial policy there.
    """
    stay, change = np.eye(2), np.eye(2)[::-1]
    return MDP(np.stack([stay, change], axis=1), [[1, 0], [2, 0]], [0.8, 0.2], gamma)


def forest(*, gamma: ArrayLike, states: int = 3, r1: float = 4.0, r2: float = 2.0, p: float = 0.1) -> MDP:
    """Forest management: wait (0) and grow old at the risk of fire, or cut (1) and start again.

    State = age class. Waiting leads to age 0 with probability ``p`` (fire), else to the next age, at most the oldest;
    it pays ``r1`` in the oldest class. Cutting leads to age 0 and pays 0 in the youngest class, 1 in between and ``r2`` in the
    oldest. Uniform start.

    Source: ``forest`` in pymdptoolbox and MDPtoolbox (Chadès et al. 2014, Ecography 37), with their defaults; no start there.

    Raises
    ------
    ValueError
        If there are fewer than 2 states or ``p`` is no probability.
    """
    _check_length("states", states, 2)
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p!r}; expected a probability")
    P, R = np.zeros((states, 2, states)), np.zeros((states, 2))
    for s in range(states):
        P[s, 0, 0] += p
        P[s, 0, min(s + 1, states - 1)] += 1 - p
        P[s, 1, 0] = 1
    R[1:, 1] = 1
    R[-1] = r1, r2
    return MDP(P, R, np.full(states, 1 / states), gamma)


def _start(states: int, support: Sequence[int]) -> np.ndarray:
    start = np.zeros(states)
    start[list(support)] = 1 / len(support)
    return start


def _check_length(name: str, value: int, least: int) -> None:
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} is {value!r}; expected an integer of at least {least}")
