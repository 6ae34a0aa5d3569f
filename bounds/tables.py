"""What claims read off their tables: sums over actions and states, compiled where the numbers are floats.

Tables have few actions and few states, and a reduction of numpy's costs more to enter than to carry out. Other numbers than
floats are reduced by their own functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdps.evaluate import weighted as weighted_by_itself
from mdps.kernels import inner, kernel
from mdps.mdp import Array
from mdps.numbers import Numbers

Mask = NDArray[np.bool_]


def weighted(pi: Array, f: Array) -> Array:
    """``E_{a~pi(.|s)} f(s,a)``, pi and f [*B,S,A] -> [*B,S], under the exact normalisation of pi's rows."""
    return weighted_by_itself(pi, f) if _other(pi, f) else _weighted(pi, f)


def dot(x: Array, y: Array) -> Array:
    """``sum_a x(a) y(a)`` along the last axis, [*B,A] twice -> [*B]."""
    return (x * y).sum(-1) if _other(x, y) else _dot(x, y)


def normalised(weights: Array) -> Array:
    """Distributions along the last axis in proportion to weights >= 0 that are not all zero, [*B,A]."""
    return weights / weights.sum(-1, keepdims=True) if _other(weights) else _normalised(weights)


def largest(x: Array, axes: int = 1) -> Array:
    """The maximum over the last axis, or the last ``axes``: [*B,A] -> [*B]."""
    if _other(x):
        return x.max(tuple(range(-axes, 0)))
    return _largest(_joined(x, axes))


def centred(x: Array) -> Array:
    """``x - max x`` along the last axis [*B,A]: at most 0, and 0 somewhere."""
    return x - x.max(-1, keepdims=True) if _other(x) else _centred(x)


def span(x: Array, axes: int = 1) -> Array:
    """``max - min`` over the last axis, or the last ``axes``: [*B,A] -> [*B]."""
    if _other(x):
        return np.ptp(x, axis=tuple(range(-axes, 0)))
    return _span(_joined(x, axes))


def chain(P: Array, pi: Array) -> Array:
    """``sum_a pi(a|s) P(s'|s,a)``: the process that a policy makes of P [*B,S,A,S], [*B,S,S]."""
    return np.einsum("...sa,...sat->...st", pi, P)


def step(law: Array, chain: Array) -> Array:
    """``sum_s law(s) chain(s,s')``: where a law [*B,S] is after one step of a chain [*B,S,S]."""
    return np.einsum("...s,...st->...t", law, chain)


def spread(rows: Array) -> Array:
    """``max_ij 1/2 ||row i - row j||_1`` of matrices [*B,S,S] -> [*B]: Dobrushin's coefficient where the rows sum alike."""
    if not _other(rows):
        return _spread(rows)
    each = [np.abs(rows - rows[..., i : i + 1, :]).sum(-1).max(-1) for i in range(rows.shape[-2])]
    return np.stack(each).max(0) / 2


def overlap(rows: Array) -> Array:
    """``min_ij sum_k min(row i, row j)`` of matrices [*B,S,S] -> [*B]: one less ``spread``, without the subtraction."""
    if not _other(rows):
        return _overlap(rows)
    return np.stack([np.minimum(rows, rows[..., i : i + 1, :]).sum(-1).min(-1) for i in range(rows.shape[-2])]).min(0)


def connected(edges: Mask) -> Mask:
    """Whether every state reaches every state along the edges [*B,S,S], [*B]."""
    reached: Mask = _connected(edges)
    return reached


def _joined(x: Array, axes: int) -> Array:
    """The last ``axes`` as one."""
    return x if axes == 1 else np.reshape(x, (*np.shape(x)[:-axes], -1))


def _other(*tables: Any) -> bool:
    return any(isinstance(table, Numbers) for table in tables)


@kernel("(f8[:],f8[:],f8[:])", "(a),(a)->()")
def _weighted(pi: Array, f: Array, out: Array) -> None:
    total = 0.0
    mass = 0.0
    for a in range(pi.shape[0]):
        total += pi[a] * f[a]
        mass += pi[a]
    out[0] = total / mass


@kernel("(f8[:],f8[:],f8[:])", "(a),(a)->()")
def _dot(x: Array, y: Array, out: Array) -> None:
    total = 0.0
    for a in range(x.shape[0]):
        total += x[a] * y[a]
    out[0] = total


@kernel("(f8[:],f8[:])", "(a)->(a)")
def _normalised(weights: Array, out: Array) -> None:
    mass = 0.0
    for a in range(weights.shape[0]):
        mass += weights[a]
    for a in range(weights.shape[0]):
        out[a] = weights[a] / mass


@kernel("(f8[:],f8[:])", "(a)->()")
def _largest(x: Array, out: Array) -> None:
    high = x[0]
    for a in range(1, x.shape[0]):
        high = max(high, x[a])
    out[0] = high


@kernel("(f8[:],f8[:])", "(a)->(a)")
def _centred(x: Array, out: Array) -> None:
    high = x[0]
    for a in range(1, x.shape[0]):
        high = max(high, x[a])
    for a in range(x.shape[0]):
        out[a] = x[a] - high


@kernel("(f8[:],f8[:])", "(a)->()")
def _span(x: Array, out: Array) -> None:
    low, high = x[0], x[0]
    for a in range(1, x.shape[0]):
        low, high = min(low, x[a]), max(high, x[a])
    out[0] = high - low


@kernel("(f8[:,:],f8[:])", "(i,k)->()")
def _spread(rows: Array, out: Array) -> None:
    widest = 0.0
    for i in range(rows.shape[0]):
        for j in range(i):
            total = 0.0
            for k in range(rows.shape[1]):
                total += abs(rows[i, k] - rows[j, k])
            widest = max(widest, total)
    out[0] = widest / 2


@kernel("(f8[:,:],f8[:])", "(i,k)->()")
def _overlap(rows: Array, out: Array) -> None:
    least = np.inf
    for i in range(rows.shape[0]):
        for j in range(i + 1):
            total = 0.0
            for k in range(rows.shape[1]):
                total += min(rows[i, k], rows[j, k])
            least = min(least, total)
    out[0] = least


@inner("i8(b1[:,:],b1[:],b1)")
def _reached(edges: Mask, seen: Mask, backwards: bool) -> int:
    """How many states can be reached from state 0, along the edges or against them."""
    n = seen.shape[0]
    waiting = np.empty(n, dtype=np.int64)
    seen[:] = False
    seen[0], waiting[0], found, done = True, 0, 1, 0
    while done < found:
        i = waiting[done]
        done += 1
        for j in range(n):
            if not seen[j] and (edges[j, i] if backwards else edges[i, j]):
                seen[j] = True
                waiting[found] = j
                found += 1
    return found


@kernel("(b1[:,:],b1[:])", "(s,s)->()")
def _connected(edges: Mask, out: Mask) -> None:
    n = edges.shape[0]
    seen = np.empty(n, dtype=np.bool_)
    out[0] = _reached(edges, seen, False) == n and _reached(edges, seen, True) == n
