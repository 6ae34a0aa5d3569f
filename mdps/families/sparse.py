"""Large processes of few successors a state, built at once in memory proportional to their nonzeros."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from mdps.families.random import _check_sizes, _generator
from mdps.mdp import Array
from mdps.sparse import SparseMDP

UP, DOWN, LEFT, RIGHT = range(4)


def sparse_garnet(states: int, actions: int, branching: int, *, gamma: float, seed: int | np.random.Generator) -> SparseMDP:
    """Draw Garnet(S, A, b) as :func:`mdps.families.garnet` does, for any number of states.

    From each (s, a), ``branching`` distinct successors; their probabilities are the gaps between ``branching - 1`` uniform cut
    points of [0, 1]. Rewards R[s,a] ~ N(0, 1), uniform start. The draws are others than those of the dense family.

    Parameters
    ----------
    states, actions, branching
        S, A and the number b of successors, 1 <= b <= S.
    gamma
        Discount factor.
    seed
        An integer or a Generator, which is advanced.

    Raises
    ------
    ValueError
        If a size is not a positive integer or ``branching`` exceeds ``states``.
    """
    _check_sizes(states=states, actions=actions, branching=branching)
    if branching > states:
        raise ValueError(f"branching is {branching} with {states} states; expected at most {states} distinct successors")
    rng = _generator(seed)
    successors = _distinct(rng, states * actions, branching, states)
    probabilities = np.diff(np.sort(rng.random((states * actions, branching - 1)), -1), axis=-1, prepend=0.0, append=1.0)
    P = _table(successors, probabilities, states)
    return SparseMDP(P, rng.standard_normal((states, actions)), np.full(states, 1 / states), gamma)


def gridworld(
    rows: int,
    columns: int,
    *,
    gamma: float,
    slip: float = 0.1,
    walls: ArrayLike | float = 0.0,
    goal: tuple[int, int] | None = None,
    seed: int | np.random.Generator = 0,
) -> SparseMDP:
    """A grid to cross: four moves, walls, slipping, reward -1 a step until an absorbing goal.

    State ``row * columns + column``, row 0 on top; actions up, down, left, right. A move goes where it is meant with
    probability ``1 - slip`` and to each side with ``slip / 2``; into a wall or the edge it stays. A state inside a wall is
    absorbing with reward 0 and never entered. The start is uniform over the free states but the goal.

    Parameters
    ----------
    rows, columns
        Size of the grid.
    gamma
        Discount factor.
    slip
        Probability of going aside, in [0, 1].
    walls
        Either which cells are walls [rows, columns], or the share of cells that become walls at random, in [0, 1).
    goal
        Row and column of the goal, never a wall; the last cell by default.
    seed
        An integer or a Generator for random walls.

    Raises
    ------
    ValueError
        If a size is not a positive integer, slip or the share lies outside its range, the table of walls has another shape,
        the goal is not in the grid, or no free state is left to start from.
    """
    _check_sizes(rows=rows, columns=columns)
    if not 0 <= slip <= 1:
        raise ValueError(f"slip is {slip!r}; expected a probability, 0 <= slip <= 1")
    target = (rows - 1, columns - 1) if goal is None else goal
    if not (0 <= target[0] < rows and 0 <= target[1] < columns):
        raise ValueError(f"goal is {target}; expected a cell of the {rows} x {columns} grid")
    blocked = _walls(walls, (rows, columns), _generator(seed))
    blocked[target] = False
    states, end = rows * columns, target[0] * columns + target[1]
    row, column = np.divmod(np.arange(states), columns)
    reached = np.empty((states, 4), dtype=np.int32)
    for move, (down, right) in enumerate(((-1, 0), (1, 0), (0, -1), (0, 1))):
        to_row, to_column = np.clip(row + down, 0, rows - 1), np.clip(column + right, 0, columns - 1)
        reached[:, move] = np.where(blocked[to_row, to_column], np.arange(states), to_row * columns + to_column)
    still = blocked.ravel().copy()
    still[end] = True
    reached[still] = np.flatnonzero(still)[:, None]
    aside = {UP: (LEFT, RIGHT), DOWN: (LEFT, RIGHT), LEFT: (UP, DOWN), RIGHT: (UP, DOWN)}
    moves = np.array([(a, *aside[a]) for a in range(4)])
    successors = reached[:, moves].reshape(states * 4, 3)
    P = _table(successors, np.broadcast_to([1 - slip, slip / 2, slip / 2], successors.shape), states)
    free = ~still
    if not free.any():
        raise ValueError(f"no free state but the goal is left in the {rows} x {columns} grid; take fewer walls")
    R = np.repeat(np.where(free, -1.0, 0.0)[:, None], 4, 1)
    return SparseMDP(P, R, free / free.sum(), gamma)


def mountain_car(positions: int, velocities: int, *, gamma: float) -> SparseMDP:
    """The mountain car on a grid of positions x velocities: three pushes, reward -1 a step until the top, which absorbs.

    Dynamics of Sutton and Barto (2018), Reinforcement Learning, 2nd edition, Example 10.1, as in gymnasium's MountainCar-v0:
    ``v' = v + 0.001 (a - 1) - 0.0025 cos 3x``, ``x' = x + v'``, clipped to [-0.07, 0.07] and [-1.2, 0.6], inelastic at the left.
    The next point is between four of the grid; it is read as a lottery between them with the weights of bilinear interpolation
    (Kushner and Dupuis 2001, Numerical Methods for Stochastic Control Problems in Continuous Time, ch. 5). State
    ``position * velocities + velocity``; from x = 0.5 on it is over. The start is uniform over the grid's positions in
    [-0.6, -0.4], at the least speed of the grid.

    Parameters
    ----------
    positions, velocities
        Points along each axis, two or more.
    gamma
        Discount factor.

    Raises
    ------
    ValueError
        If there are fewer than two points along an axis.
    """
    _check_sizes(positions=positions, velocities=velocities)
    if min(positions, velocities) < 2:
        raise ValueError(f"positions, velocities are {positions}, {velocities}; interpolation needs two or more of each")
    axes = (np.linspace(-1.2, 0.6, positions), np.linspace(-0.07, 0.07, velocities))

    def step(points: Array) -> Array:
        x, v = points[:, None, 0], points[:, None, 1]
        v = np.clip(v + 0.001 * (np.arange(3) - 1) - 0.0025 * np.cos(3 * x), -0.07, 0.07)
        x = np.clip(x + v, -1.2, 0.6)
        return np.stack([x, np.where(x <= -1.2, np.maximum(v, 0.0), v)], -1)

    P, points = interpolated(axes, step, over=lambda points: points[:, 0] >= 0.5)
    R = np.repeat(np.where(points[:, 0] >= 0.5, 0.0, -1.0)[:, None], 3, 1)
    slowest = np.abs(points[:, 1]) == np.abs(axes[1]).min()
    valley = np.abs(points[:, 0] + 0.5) <= max(0.1, 0.6 * (axes[0][1] - axes[0][0]))
    start = (slowest & valley).astype(float)
    return SparseMDP(P, R, start / start.sum(), gamma)


def interpolated(
    axes: tuple[Array, Array], step: Callable[[Array], Array], over: Callable[[Array], NDArray[np.bool_]]
) -> tuple[sparse.csr_array, Array]:
    """Transitions [S*A, S] of deterministic dynamics on a grid, and the grid's points [S, 2].

    Parameters
    ----------
    axes
        Increasing, evenly spaced points along each of the two axes.
    step
        Points [S, 2] -> next points [S, A, 2], inside the grid.
    over
        Points [S, 2] -> where the process has ended [S]: these absorb.
    """
    points = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], -1)
    states, second = len(points), len(axes[1])
    following = step(points)
    actions = following.shape[1]
    cell, share = [], []
    for i, axis in enumerate(axes):
        place = np.clip((following[..., i] - axis[0]) / (axis[1] - axis[0]), 0, len(axis) - 1)
        lower = np.minimum(place.astype(np.int32), len(axis) - 2)
        cell.append(lower)
        share.append(place - lower)
    successors = np.empty((states, actions, 4), dtype=np.int32)
    weights = np.empty((states, actions, 4))
    for corner, (i, j) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        successors[..., corner] = (cell[0] + i) * second + cell[1] + j
        weights[..., corner] = (share[0] if i else 1 - share[0]) * (share[1] if j else 1 - share[1])
    ended = over(points)
    successors[ended] = np.flatnonzero(ended)[:, None, None]
    return _table(successors.reshape(-1, 4), weights.reshape(-1, 4), states), points


def _walls(walls: ArrayLike | float, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    if np.ndim(walls) == 0:
        share = float(np.asarray(walls))
        if not 0 <= share < 1:
            raise ValueError(f"walls is {share!r}; expected the share of cells that are walls, in [0, 1), or a table of them")
        return rng.random(shape) < share
    table = np.array(walls, dtype=bool)
    if table.shape != shape:
        raise ValueError(f"walls has shape {table.shape}; expected [rows, columns] = {shape}")
    return table


def _distinct(rng: np.random.Generator, draws: int, size: int, among: int) -> NDArray[np.int32]:
    """Subsets [draws, size] of 0 .. among-1, each uniform: Floyd's algorithm (Bentley and Floyd 1987, Commun. ACM 30(9))."""
    chosen = np.empty((draws, size), dtype=np.int32)
    for k in range(size):
        top = among - size + k
        candidate = rng.integers(0, top, draws, dtype=np.int32, endpoint=True)
        taken = (chosen[:, :k] == candidate[:, None]).any(-1)
        chosen[:, k] = np.where(taken, top, candidate)
    return chosen


def _table(successors: NDArray[np.int32], probabilities: Array, states: int) -> sparse.csr_array:
    """A matrix [rows, states] from as many successors a row; zeros are left out and what comes twice is merged."""
    width = successors.shape[1]
    ends = np.arange(0, successors.size + 1, width, dtype=np.int32)
    table = sparse.csr_array((np.ravel(probabilities), successors.ravel(), ends), shape=(len(successors), states))
    table.sum_duplicates()
    table.eliminate_zeros()
    return table
