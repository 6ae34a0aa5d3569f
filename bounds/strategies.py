"""Hypothesis strategies for tests of your own: processes, policies and comparisons that shrink to something one can read.

Probabilities are ratios of small integers (and of one large one, for what is rare), rewards are small integers, gamma shrinks
to 1/2 and sizes to 1. So what breaks a claim ends as a process of two or three states that can be checked by hand::

    from hypothesis import given
    from bounds import CATALOGUE
    from bounds.strategies import comparisons

    @given(comparisons())
    def test_my_bound(c):
        assert CATALOGUE["my-bound"].holds(c)

A failing test prints the tables. Zero probabilities, deterministic rows, policies that agree to ten digits, unreachable
states, gamma = 0 and gamma = 1 - 1e-8 are all drawn. Draws at random seldom come near a bound, though: most false statements of
the catalogue are broken within some thousand, those that need a special process are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bounds.compare import compare
from bounds.comparison import Comparison
from mdps.mdp import MDP, Array

try:
    from hypothesis import note
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("bounds.strategies draws with hypothesis, which is not installed: pip install hypothesis") from error

GAMMAS = (0.5, 0.0, 0.9, 0.1, 0.99, 0.999, 1 - 1e-8)
"""Discount factors, the simplest first: a failing example shrinks towards the first that fails."""

WEIGHTS = (1, 2, 3, 1000)
"""A row of probabilities gives one of these shares, or a sum of some, to each of its entries, or nothing."""

DISTANCES = (1.0, 0.5, 0.1, 1e-3, 1e-6, 1e-10)
"""How far the new policy is from the old on the way to a third one, the simplest first."""

Size = int | st.SearchStrategy[int]
Shares = list[tuple[int, int]]
"""A row before its length is known: entries, to be taken modulo the length, and their shares."""

MOST_STATES = 4
ACTIONS = (2, 3, 1)
"""Numbers of actions, the simplest first."""


def mdps(states: Size | None = None, actions: Size | None = None, gammas: Sequence[float] = GAMMAS) -> st.SearchStrategy[MDP]:
    """Draw single processes.

    Parameters
    ----------
    states, actions
        Numbers, or strategies of them; None for 1 to 4 states and 1 to 3 actions.
    gammas
        Discount factors to draw from, the simplest first.

    Raises
    ------
    ValueError
        If ``gammas`` is empty or one lies outside [0, 1), or a number of states or actions is not positive.
    """
    return _drawn(states, actions, gammas, 0).map(lambda drawn: drawn[0])


def policies(mdp: MDP) -> st.SearchStrategy[Array]:
    """Draw policies of a process, [S,A].

    Raises
    ------
    ValueError
        If the process is a batch.
    """
    if mdp.batch:
        raise ValueError(f"policies got a batch of processes, shape {mdp.batch}; give one of them, such as mdp[0]")
    rows = st.lists(_shares(mdp.A), min_size=mdp.S, max_size=mdp.S)
    return st.builds(lambda rows, full: _table(rows, mdp.A, full), rows, st.booleans())


def comparisons(
    states: Size | None = None, actions: Size | None = None, gammas: Sequence[float] = GAMMAS
) -> st.SearchStrategy[Comparison]:
    """Draw a process, an old policy, and a new one between it and a third; arguments and errors as for :func:`mdps`."""
    return _compared(_drawn(states, actions, gammas, 2))


@st.composite
def _compared(draw: st.DrawFn, drawn: st.SearchStrategy[tuple[MDP, list[Array]]]) -> Comparison:
    mdp, (old, target) = draw(drawn)
    distance = draw(st.sampled_from(DISTANCES))
    new = target if distance == 1 else (1 - distance) * old + distance * target
    tables: dict[str, Any] = {"P": mdp.P, "R": mdp.R, "rho0": mdp.rho0, "gamma": mdp.gamma, "old": old, "new": new}
    note("\n".join(f"{name} = {table.tolist()}" for name, table in tables.items()))
    return compare(mdp, old, new)


def _drawn(
    states: Size | None, actions: Size | None, gammas: Sequence[float], count: int
) -> st.SearchStrategy[tuple[MDP, list[Array]]]:
    """A process and ``count`` policies."""
    outside = [gamma for gamma in gammas if not 0 <= gamma < 1]
    if outside or not len(gammas):
        raise ValueError(f"gammas {f'has {outside[0]!r}' if outside else 'is empty'}; expected discount factors 0 <= gamma < 1")
    for name, size in (("states", states), ("actions", actions)):
        if isinstance(size, int) and size < 1:
            raise ValueError(f"{name} is {size}; give at least 1")
    return _process(states, actions, st.sampled_from(list(gammas)), count)


@st.composite
def _process(
    draw: st.DrawFn, states: Size | None, actions: Size | None, gammas: st.SearchStrategy[float], count: int
) -> tuple[MDP, list[Array]]:
    """Draw it state by state, with what the policies do there: a state that is not needed is then left out as a whole."""
    a = draw(st.sampled_from(ACTIONS) if actions is None else st.just(actions) if isinstance(actions, int) else actions)
    s = states if states is None or isinstance(states, int) else draw(states)
    going = st.lists(_shares(s or MOST_STATES), min_size=a, max_size=a)
    rewards = st.lists(st.integers(-3, 3), min_size=a, max_size=a)
    state = st.tuples(going, rewards, st.lists(_shares(a), min_size=count, max_size=count))
    drawn = draw(st.lists(state, min_size=s or 1, max_size=s or MOST_STATES))
    start, full, gamma = draw(_shares(s or MOST_STATES)), draw(st.booleans()), draw(gammas)
    size = len(drawn)
    transitions = np.stack([_table(going, size, full) for going, _, _ in drawn])
    mdp = MDP(transitions, [rewards for _, rewards, _ in drawn], _table([start], size, False)[0], gamma)
    return mdp, [_table([laws[i] for _, _, laws in drawn], a, full) for i in range(count)]


def _shares(length: int) -> st.SearchStrategy[Shares]:
    """A row for up to ``length`` entries; the simplest has all its mass on the first."""
    return st.lists(st.tuples(st.integers(0, length - 1), st.sampled_from(WEIGHTS)), min_size=1, max_size=length)


def _table(rows: Sequence[Shares], length: int, full: bool) -> Array:
    """Distributions, [rows, length]; in a full table every entry has a share of 1 beside those drawn."""
    table = np.full((len(rows), length), float(full))
    for row, shares in enumerate(rows):
        for entry, share in shares:
            table[row, entry % length] += share
    return table / table.sum(-1, keepdims=True)
