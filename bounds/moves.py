"""How the adversary varies its candidates: fresh ones, jumps from one structure to another, and small noise.

No move knows a claim. Random tables almost never come near a bound; tables with exact zeros, rows that agree and steps of
every size do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bounds.candidates import BY_GAIN, LOWEST, SMALLEST_STEP, WHOLE_STEP, Layout
from mdps.mdp import Array

Indices = NDArray[np.intp]


def fresh(layout: Layout, count: int, rng: np.random.Generator, *, short: bool = False) -> Array:
    """Draw rows [count, width]: distributions between dense and deterministic, whole steps or, if ``short``, short ones."""
    low, high = layout.limits
    rows = rng.uniform(low, high, (count, layout.width))
    part = layout.parts(rows)
    for name in ("P", "rho0", "old", "target"):
        weights = part[name]
        each = (count,) + (1,) * (weights.ndim - 1)
        scale = rng.choice([0.3, 1.0, 3.0, 10.0], each)
        weights[:] = np.maximum(-np.abs(rng.standard_normal(weights.shape)) * scale, LOWEST)
        certain = rng.random(weights.shape[:-1]) < 0.8 * rng.random(each[:-1])
        picked = rng.integers(weights.shape[-1], size=weights.shape[:-1])
        weights[:] = np.where(certain[..., None], _certain(picked, weights.shape[-1]), weights)
    part["V"][rng.random(count) < 0.8] = 0
    step = part["step"]
    step[:] = rng.uniform(SMALLEST_STEP, -1, step.shape) if short else np.where(rng.random(step.shape) < 0.5, WHOLE_STEP, step)
    part["mode"][:] = rng.integers(BY_GAIN + 1, size=(count, 1))
    return rows


def jump(layout: Layout, rows: Array, rng: np.random.Generator) -> Array:
    """Return rows [N, width] each changed by one move drawn at random; they may leave the limits."""
    rows = rows.copy()
    part = layout.parts(rows)
    count, states, actions = len(rows), layout.states, layout.actions
    s, other = rng.integers(states, size=(2, count))
    a, b = rng.integers(actions, size=(2, count))
    kind = rng.integers(12, size=count)

    def drawn(*kinds: int) -> Indices:
        return np.flatnonzero(np.isin(kind, kinds))

    P, rho0, old, target = (part[name] for name in ("P", "rho0", "old", "target"))
    i = drawn(0)  # an action leads to one state
    P[i, s[i], a[i]] = _certain(other[i], states)
    i = drawn(1)  # all actions of a state do
    P[i, s[i]] = _certain(other[i], states)[:, None]
    i = drawn(2)  # two actions, perhaps of two states, lead to the same
    P[i, s[i], a[i]] = P[i, other[i], b[i]]
    i = drawn(3)
    old[i, s[i]] = _certain(a[i], actions)
    i = drawn(4)
    target[i, s[i]] = _certain(a[i], actions)
    i = drawn(5)  # the policy does not change in a state
    target[i, s[i]] = old[i, s[i]]
    i = drawn(6)  # two states have the same policies
    old[i, s[i]], target[i, s[i]] = old[i, other[i]], target[i, other[i]]
    i = drawn(7)  # every run starts in one state
    rho0[i] = _certain(s[i], states)
    i = drawn(8)
    part["step"][i] += 0.5 * rng.standard_normal((len(i), 1))
    i = drawn(9)
    change = rng.random(len(i)) < 0.5
    part["mode"][i, 0] = np.where(change, rng.integers(BY_GAIN + 1, size=len(i)), part["mode"][i, 0])
    part["A"][i, s[i], a[i]] = rng.integers(-1, 2, size=len(i))
    i = drawn(10, 11)  # a few coordinates, by a size of any order
    noise = rng.standard_normal((len(i), layout.width)) * 10 ** rng.uniform(-3, 0.5, (len(i), 1))
    noise[rng.random(noise.shape) > 3 / layout.width] = 0
    noise[:, layout.places["mode"]] = 0
    rows[i] += noise
    return rows


def _certain(index: NDArray[np.integer], size: int) -> Array:
    """Log-weights of the distributions that always take ``index``, [*index.shape, size]."""
    return np.where(np.arange(size) == index[..., None], 0.0, LOWEST)
