"""Grid worlds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mdps.mdp import MDP

_ROWS, _COLUMNS, _START, _GOAL = 7, 10, (3, 0), (3, 7)
_WIND = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)  # rows carried upwards, by the column the move starts from
_MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1), (0, 0))


def windy_gridworld(*, gamma: ArrayLike, moves: int = 4) -> MDP:
    """Windy gridworld: 7 x 10 cells, an upward wind in the middle columns, reward -1 a step until the goal.

    State ``row * 10 + column`` with row 0 on top; start (3, 0), absorbing goal (3, 7) with reward 0. The actions are, in
    order, up, down, left, right; with ``moves=8`` the four diagonals as well, with ``moves=9`` also to stand still.
    Without discount the shortest way takes 15 steps with 4 moves and 7 with 8 or 9.

    Source: Sutton and Barto (2018), Reinforcement Learning, 2nd edition, Example 6.5; more moves: Exercise 6.9.

    Raises
    ------
    ValueError
        If ``moves`` is not 4, 8 or 9.
    """
    if moves not in (4, 8, 9):
        raise ValueError(f"moves is {moves!r}; expected 4, 8 (with diagonals) or 9 (and standing still)")
    states, goal = _ROWS * _COLUMNS, _GOAL[0] * _COLUMNS + _GOAL[1]
    P, R = np.zeros((states, moves, states)), np.full((states, moves), -1.0)
    for s in range(states):
        row, column = divmod(s, _COLUMNS)
        for a, (down, right) in enumerate(_MOVES[:moves]):
            to_row = min(max(row + down - _WIND[column], 0), _ROWS - 1)
            to_column = min(max(column + right, 0), _COLUMNS - 1)
            P[s, a, to_row * _COLUMNS + to_column] = 1
    P[goal], R[goal] = np.eye(states)[goal], 0
    return MDP(P, R, np.eye(states)[_START[0] * _COLUMNS + _START[1]], gamma)
