"""What claims read off their tables: sums over actions and states, compiled where the numbers are floats.

Tables have few actions and few states, and a reduction of numpy's costs more to enter than to carry out, unless they are in
planes (:mod:`mdps.planes`) and it runs along the instances. Sums are taken one after the other either way, to the same bits.
Other numbers than floats are reduced by their own functions.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bounds import planar_tables
from mdps.evaluate import weighted as weighted_by_itself
from mdps.kernels import inner, kernel
from mdps.mdp import Array
from mdps.numbers import Numbers
from mdps.planes import stored

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]


def weighted(pi: Array, f: Array) -> Array:
    """``E_{a~pi(.|s)} f(s,a)``, pi and f [*B,S,A] -> [*B,S], under the exact normalisation of pi's rows."""
    if _other(pi, f):
        return weighted_by_itself(pi, f)
    return planar_tables.weighted(pi, f) if floats_in_planes(pi, f) else _weighted(pi, f)


def in_planes(*tables: Any) -> bool:
    """Whether these are tables in planes, of one shape."""
    shape = np.shape(tables[0])
    if len(shape) < 2:
        return False
    return all(stored(table, len(shape) - 1) and table.shape == shape for table in tables)


def floats_in_planes(*tables: Any) -> bool:
    """Whether these are tables of floats in planes, of one shape: what :mod:`bounds.planar_tables` works on."""
    return in_planes(*tables) and all(table.dtype == np.float64 for table in tables)


def total(x: Array, axes: int = 1) -> Array:
    """The sum over the last axis, or the last ``axes``: [*B,A] -> [*B]."""
    if _plain(x):
        return x.sum(tuple(range(-axes, 0)))
    return _total(_joined(x, axes))


def dot(x: Array, y: Array) -> Array:
    """``sum_a x(a) y(a)`` along the last axis, [*B,A] twice -> [*B]."""
    if _other(x, y):
        return (x * y).sum(-1)
    return planar_tables.dot(x, y) if floats_in_planes(x, y) else _dot(x, y)


def normalised(weights: Array) -> Array:
    """Distributions along the last axis in proportion to weights >= 0 that are not all zero, [*B,A]."""
    if _other(weights):
        return weights / weights.sum(-1, keepdims=True)
    return planar_tables.normalised(weights) if floats_in_planes(weights) else _normalised(weights)


def largest(x: Array, axes: int = 1) -> Array:
    """The maximum over the last axis, or the last ``axes``: [*B,A] -> [*B]."""
    if _plain(x):
        return x.max(tuple(range(-axes, 0)))
    return _largest(_joined(x, axes))


def first_largest(x: Array) -> Index:
    """Where the maximum over the last axis is, the first place of several: [*B,A] -> [*B]."""
    if _other(x) or not in_planes(x):
        return x.argmax(-1)
    best, place = x[..., 0], np.zeros_like(x[..., 0], dtype=np.intp)
    for a in range(1, x.shape[-1]):
        np.copyto(place, a, where=x[..., a] > best)
        best = np.maximum(best, x[..., a])
    return place


def one_hot(place: Index, size: int) -> Array:
    """Distributions that are certain of a place, [*B] -> [*B,size]; in planes if the places are."""
    table = _planes((*place.shape, size)) if in_planes(place) else np.empty((*place.shape, size))
    for a in range(size):
        table[..., a] = place == a
    return table


def stacked(*parts: Array) -> Array:
    """Arrays that broadcast to [*B] along a new last axis, [*B,n]; in planes if that can be."""
    first, *others = np.broadcast_arrays(*parts)
    if _other(*parts) or not (stored(first, first.ndim - 1) or any(stored(x, x.ndim - 1) for x in others)):
        return np.stack([first, *others], -1)
    table = _planes((*first.shape, len(parts)))
    for k, part in enumerate((first, *others)):
        table[..., k] = part
    return table


def joined(*parts: Array) -> Array:
    """Tables one behind the other along their last axis; in planes if the first is."""
    if _other(*parts) or not stored(parts[0], parts[0].ndim - 1):
        return np.concatenate(parts, -1)
    table = _planes((*parts[0].shape[:-1], sum(part.shape[-1] for part in parts)))
    place = 0
    for part in parts:
        table[..., place : place + part.shape[-1]] = part
        place += part.shape[-1]
    return table


def _planes(shape: tuple[int, ...]) -> Array:
    """Room for a table [N, ...] in planes."""
    return np.moveaxis(np.empty((*shape[1:], shape[0])), -1, 0)


def solved(system: Array, right: Array) -> Array:
    """``system^-1 right`` for row diagonally dominant systems [*B,S,S] and right-hand sides [*B,S,K]: Gauss without exchanges."""
    if _other(system, right):
        return cast(Array, np.linalg.solve(system, right))
    if floats_in_planes(system) and floats_in_planes(right):
        return planar_tables.solved(system, right)
    rest, n = joined(system, right), system.shape[-1]
    for k in range(n):
        row = rest[..., k, k + 1 :] / rest[..., k, k, None]
        for others in (slice(k), slice(k + 1, n)):
            rest[..., others, k + 1 :] -= rest[..., others, k, None] * row[..., None, :]
        rest[..., k, k + 1 :] = row
    return rest[..., n:]


def divided(x: Array, y: Array, where: Any) -> Array:
    """``x / y`` where it is asked for, 0 elsewhere, all [*B,A]."""
    if isinstance(where, np.ndarray) and not _other(x, y) and where.all():
        return x / y  # a division under a mask takes one number at a time
    return np.divide(x, y, out=np.zeros_like(x), where=where)


def centred(x: Array) -> Array:
    """``x - max x`` along the last axis [*B,A]: at most 0, and 0 somewhere."""
    return x - x.max(-1, keepdims=True) if _plain(x) else _centred(x)


def span(x: Array, axes: int = 1) -> Array:
    """``max - min`` over the last axis, or the last ``axes``: [*B,A] -> [*B]."""
    if _plain(x):
        return np.ptp(x, axis=tuple(range(-axes, 0)))
    return _span(_joined(x, axes))


def chain(P: Array, pi: Array) -> Array:
    """``sum_a pi(a|s) P(s'|s,a)``: the process that a policy makes of P [*B,S,A,S], [*B,S,S]."""
    if floats_in_planes(pi) and floats_in_planes(P) and len(pi) == len(P):
        return planar_tables.chain(P, pi)
    return np.einsum("...sa,...sat->...st", pi, P) if _other(P, pi) else _chain(P, pi)


def step(law: Array, chain: Array) -> Array:
    """``sum_s law(s) chain(s,s')``: where a law [*B,S] is after one step of a chain [*B,S,S]."""
    if floats_in_planes(law) and floats_in_planes(chain) and len(law) == len(chain):
        return planar_tables.step(law, chain)
    return np.einsum("...s,...st->...t", law, chain)


def spread(rows: Array) -> Array:
    """``max_ij 1/2 ||row i - row j||_1`` of matrices [*B,S,S] -> [*B]: Dobrushin's coefficient where the rows sum alike."""
    if not _other(rows):
        return planar_tables.spread(rows) if floats_in_planes(rows) else _spread(rows)
    each = [np.abs(rows - rows[..., i : i + 1, :]).sum(-1).max(-1) for i in range(rows.shape[-2])]
    return np.stack(each).max(0) / 2


def overlap(rows: Array) -> Array:
    """``min_ij sum_k min(row i, row j)`` of matrices [*B,S,S] -> [*B]: one less ``spread``, without the subtraction."""
    if not _other(rows):
        return planar_tables.overlap(rows) if floats_in_planes(rows) else _overlap(rows)
    return np.stack([np.minimum(rows, rows[..., i : i + 1, :]).sum(-1).min(-1) for i in range(rows.shape[-2])]).min(0)


def connected(edges: Mask) -> Mask:
    """Whether every state reaches every state along the edges [*B,S,S], [*B]."""
    if in_planes(edges):
        return _reach_all(edges) & _reach_all(edges.swapaxes(-1, -2))
    reached: Mask = _connected(edges)
    return reached


def _reach_all(edges: Mask) -> Mask:
    """Whether state 0 reaches every state along the edges [N,S,S] in planes, [N]; a step at a time, for all instances."""
    seen = edges[:, 0].copy(order="K")
    seen[:, 0] = True
    while True:
        further = (seen[..., None] & edges).any(-2) | seen
        if (further == seen).all():
            whole: Mask = np.logical_and.reduce(further, -1)
            return whole
        seen = further


def _joined(x: Array, axes: int) -> Array:
    """The last ``axes`` as one."""
    return x if axes == 1 else np.reshape(x, (*np.shape(x)[:-axes], -1))


def _plain(*tables: Any) -> bool:
    """Whether to write a reduction in terms of numpy's functions."""
    return _other(*tables) or in_planes(*tables)


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


@kernel("(f8[:,:,:],f8[:,:],f8[:,:])", "(s,a,t),(s,a)->(s,t)")
def _chain(P: Array, pi: Array, out: Array) -> None:
    out[:] = 0.0
    for s in range(pi.shape[0]):
        for a in range(pi.shape[1]):
            for t in range(P.shape[2]):
                out[s, t] += pi[s, a] * P[s, a, t]


@kernel("(f8[:],f8[:])", "(a)->()")
def _total(x: Array, out: Array) -> None:
    total = 0.0
    for a in range(x.shape[0]):
        total += x[a]
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


@inner("i8(b1[:,:],b1[:],b1)", allocates=True)
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
