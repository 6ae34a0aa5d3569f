"""The coordinates the adversary searches in: a candidate is a row of numbers, read as an MDP and two policies.

Distributions are given by the logarithms of their weights, so that a probability of 1e-6 is as easy to reach as one of 1/2, and
what falls below ``ZERO`` is exactly zero. The new policy is ``old + t (target - old)`` with t in log scale, as many suprema are
limits t -> 0. Rewards are given by the advantages of old and its values V, which may be chosen freely: R = A + V - gamma P V.

In two of three modes the advantages are not read but found. Given everything else the gap is linear in them, so the least it
can be with max |A| = 1, or with max |g| = 1, is known state by state. The least, since L should promise too much; the largest is
its mirror image, A -> -A.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mdps.elimination import eliminate
from mdps.evaluate import evaluate
from mdps.mdp import MDP, Array, as_policy

LOWEST, ZERO = -20.0, -16.0
"""Log-weights lie in [LOWEST, 0]. Those below ZERO, relative to the largest of their row, mean a probability of 0."""

SMALLEST_STEP, WHOLE_STEP = -5.5, 0.5
"""Range of log10 t; t is 1 from 0 on. Shorter steps are about rounding, and bring no supremum visibly nearer."""

RAW, BY_ADVANTAGE, BY_GAIN = 0, 1, 2
"""Modes: the advantages as given; those that make L promise most too much for their max |A|; and for their max |g|."""


class Pairs(NamedTuple):
    """A process and an update of a policy in it, or a batch of them."""

    mdp: MDP
    old: Array  # [*B, S, A]
    new: Array  # [*B, S, A]


@dataclass(frozen=True)
class Layout:
    """Where the parts of a row lie, for S states and A actions."""

    states: int
    actions: int

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each part, in the order of the row."""
        s, a = self.states, self.actions
        return {"P": (s, a, s), "rho0": (s,), "old": (s, a), "target": (s, a), "A": (s, a), "V": (s,), "step": (1,), "mode": (1,)}

    @cached_property
    def places(self) -> dict[str, slice]:
        """Place of each part in a row."""
        ends = np.cumsum([0, *(np.prod(shape) for shape in self.shapes.values())])
        return {name: slice(int(i), int(j)) for name, i, j in zip(self.shapes, ends[:-1], ends[1:], strict=True)}

    @property
    def width(self) -> int:
        """Length of a row."""
        return self.places["mode"].stop

    def parts(self, rows: Array) -> dict[str, Array]:
        """Views of the parts of rows [N, width], each [N, *shape]."""
        return {name: rows[:, self.places[name]].reshape(len(rows), *shape) for name, shape in self.shapes.items()}

    @cached_property
    def limits(self) -> tuple[Array, Array]:
        """Least and largest value of each coordinate, each [width]."""
        special = {"A": (-1, 1), "V": (-1, 1), "step": (SMALLEST_STEP, WHOLE_STEP), "mode": (RAW, BY_GAIN)}
        low, high = np.full(self.width, LOWEST), np.zeros(self.width)
        for name, (least, most) in special.items():
            low[self.places[name]], high[self.places[name]] = least, most
        return low, high


def decode(layout: Layout, rows: Array, gamma: float) -> Pairs:
    """Read rows [N, width] as N processes with this discount factor, and their policies."""
    part = layout.parts(rows)
    P, rho0, old = (_distribution(part[name]) for name in ("P", "rho0", "old"))
    t = np.minimum(10.0 ** part["step"], 1.0)[..., None]
    target = _distribution(part["target"])
    new = np.where(t == 1, target, old + t * (target - old))
    mode = part["mode"][..., None]
    discount = np.full(len(rows), gamma)
    A = part["A"] - (old * part["A"]).sum(-1, keepdims=True)
    if mode.any():
        change = _visits(P, old, rho0, discount) - _visits(P, new, rho0, discount)
        A = np.where(mode == BY_ADVANTAGE, _by_advantage(old, new, change), A)
        A = np.where(mode == BY_GAIN, _by_gain(old, new, change), A)
    V = part["V"]
    if V.any():
        A = A + V[..., None] - gamma * np.einsum("nsat,nt->nsa", P, V)
    return Pairs(MDP(P, A, rho0, discount), old, new)


def encode(layout: Layout, pairs: Pairs) -> Array:
    """Write pairs as rows [N, width], whatever their gamma, with V = 0; those with fewer states or actions are filled up.

    A state that is added is absorbing and never entered; an added action does what action 0 does and is never taken.

    Raises
    ------
    ValueError
        If a pair has more states or actions than the layout, or a policy does not fit its process.
    """
    mdp = pairs.mdp
    if max(mdp.S - layout.states, mdp.A - layout.actions) > 0:
        raise ValueError(
            f"a start has {mdp.S} states and {mdp.A} actions, the search {layout.states} and {layout.actions}; give it as many"
        )
    old, new = as_policy(mdp, pairs.old, "old"), as_policy(mdp, pairs.new, "new")
    batch = np.broadcast_shapes(mdp.batch, old.shape[:-2], new.shape[:-2])
    advantage = np.broadcast_to(evaluate(mdp, old).A, (*batch, mdp.S, mdp.A)).reshape(-1, mdp.S, mdp.A)
    s, a = layout.states, layout.actions
    P = np.zeros((len(advantage), s, a, s))
    P[:, np.arange(s), :, np.arange(s)] = 1
    P[:, : mdp.S, : mdp.A, : mdp.S] = np.broadcast_to(mdp.P, (*batch, *mdp.P.shape[-3:])).reshape(-1, *mdp.P.shape[-3:])
    P[:, : mdp.S, mdp.A :] = P[:, : mdp.S, :1]
    rho0 = np.zeros((len(P), s))
    rho0[:, : mdp.S] = np.broadcast_to(mdp.rho0, (*batch, mdp.S)).reshape(-1, mdp.S)
    before, after = (_filled(layout, np.broadcast_to(pi, (*batch, *pi.shape[-2:]))) for pi in (old, new))
    lost = np.where(before > 0, (before - after) / np.where(before > 0, before, 1.0), 0.0).max((-2, -1))
    t = np.clip(lost, 10.0**SMALLEST_STEP, 1.0)[:, None, None]
    rows = np.zeros((len(P), layout.width))
    part = layout.parts(rows)
    part["P"][:], part["rho0"][:], part["old"][:] = _log(P), _log(rho0), _log(before)
    part["target"][:] = _log(np.maximum(before + (after - before) / t, 0.0))
    scale = np.abs(advantage).max((-2, -1), keepdims=True)
    part["A"][:, : mdp.S, : mdp.A] = advantage / np.where(scale > 0, scale, 1.0)
    part["step"][:] = np.where(t[:, 0] == 1, WHOLE_STEP, np.log10(t[:, 0]))
    return rows


def _filled(layout: Layout, pi: Array) -> Array:
    table = np.zeros((int(np.prod(pi.shape[:-2])), layout.states, layout.actions))
    table[:, pi.shape[-2] :, 0] = 1
    table[:, : pi.shape[-2], : pi.shape[-1]] = pi.reshape(-1, *pi.shape[-2:])
    return table


def _log(p: Array) -> Array:
    """Log-weights of probabilities, the largest of each row at 0; those a little too small to be told from 0 are raised."""
    relative = p / p.max(-1, keepdims=True)
    return np.where(relative > np.exp(ZERO - 1), np.log(np.maximum(relative, np.exp(ZERO) * (1 + 1e-12))), LOWEST)


def _distribution(weights: Array) -> Array:
    relative = weights - weights.max(-1, keepdims=True)
    p = np.where(relative < ZERO, 0.0, np.exp(relative))
    return p / p.sum(-1, keepdims=True)


def _visits(P: Array, pi: Array, rho0: Array, gamma: Array) -> Array:
    return eliminate(P, pi, gamma).occupancy(rho0)


def _by_advantage(old: Array, new: Array, change: Array) -> Array:
    """Advantages in [-1, 1], of mean 0 under old, that maximise ``change g`` at each state: a continuous knapsack.

    By worth for its probability, the better half of old's mass has advantage 1, the other half -1. Free actions have their sign.
    """
    worth = change[..., None] * (new - old)
    taken = old > 0
    safe = np.where(taken, old, 1.0)
    order = np.argsort(-np.where(taken, worth / safe, 0.0), -1)
    mass = np.take_along_axis(old, order, -1)
    better = np.clip(0.5 - (np.cumsum(mass, -1) - mass), 0.0, mass)
    share = np.empty_like(old)
    np.put_along_axis(share, order, better, -1)
    return np.where(taken, 2 * share / safe - 1, np.sign(worth))


def _by_gain(old: Array, new: Array, change: Array) -> Array:
    """Advantages of mean 0 under old with ``g = sign(change)`` wherever the policy changes, along that change."""
    shift = new - old
    size = np.abs(shift).max(-1, keepdims=True)
    direction = shift / np.where(size > 0, size, 1.0)
    gain = (direction * direction).sum(-1, keepdims=True) * size
    A = direction * np.sign(change)[..., None] / np.where(gain > 0, gain, 1.0)
    return A - (old * A).sum(-1, keepdims=True)
