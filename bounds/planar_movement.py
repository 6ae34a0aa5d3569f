"""How far values and visits move between two policies, of tables in planes: a tile's P is read once for all of it.

What :class:`bounds.comparison.Comparison` has as ``gap``, ``value_shift`` and ``visits_moved``, by the same operations in the
same order, so to the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from mdps import tiles
from mdps.elimination import Resolvent
from mdps.kernels import chunked, inner
from mdps.lane_masks import choose, largest
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, load, put, room, write
from mdps.mdp import MDP, Array
from mdps.planes import planes, unfolded, widened

_OUT = types.float64[:, ::1]
_INDEX = types.Array(types.int64, 1, "C", readonly=True)


class Movement(NamedTuple):
    """See the properties of the same names of a comparison."""

    value_shift: Array  # [N,S]
    gain_size: Array  # [N,S]
    gap: Array  # [N]
    gap_error: Array  # [N]


def movement(
    mdp: MDP, unit: float, relative: tuple[Array, Array, Array, Array], visits: tuple[Array, Array], chains: tuple[Resolvent, ...]
) -> Movement | None:
    """How values move; None where something is not in planes.

    Parameters
    ----------
    unit
        Rounding of a sum over states and actions.
    relative
        Shift [N,S,A] of the policy, gain [N,S], old's reward [N,S] and its level [N].
    visits, chains
        ``rho`` [N,S] and resolvents of old and new.
    """
    table = planes(mdp.P, 3)
    if table is None:
        return None
    count, (n, actions) = table.shape[1], mdp.R.shape[1:]
    factored = [planes(x, core) for chain in chains for x, core in ((chain.factors, 2), (chain.time, 1))]
    cores: tuple[tuple[int, ...], ...] = ((n, actions), (), (n, actions), (n,), (n,), (), (n,), (n,))
    given = [widened(x, core, count) for x, core in zip((mdp.R, mdp.gamma, *relative, *visits), cores, strict=True)]
    if any(x is None for x in (*factored, *given)):
        return None
    moved, size, gap, error = np.empty((n, count)), np.empty((n, count)), np.empty((1, count)), np.empty((1, count))
    references = [chain.reference for chain in chains]
    _movement(table, *given, *factored[:2], references[0], *factored[2:], references[1], unit, moved, size, gap, error)
    return Movement(unfolded(moved, (n,)), unfolded(size, (n,)), gap[0], error[0])


def visits_moved(
    P: Array, gamma: Array, unit: float, shift: Array, visits: tuple[Array, Array], new: Resolvent
) -> tuple[Array, Array] | None:
    """``rho_new - rho`` [N,S] and the error of half its norm [N], for the visits (rho, rho_new) of a policy and of new.

    None where something is not in planes.
    """
    table = planes(P, 3)
    if table is None:
        return None
    count, n, actions = P.shape[:3]
    factors, time = planes(new.factors, 2), planes(new.time, 1)
    cores: tuple[tuple[int, ...], ...] = ((), (n, actions), (n,), (n,))
    given = [widened(x, core, count) for x, core in zip((gamma, shift, *visits), cores, strict=True)]
    if any(x is None for x in (factors, time, *given)):
        return None
    moved, error = np.empty((n, count)), np.empty((1, count))
    _visits_moved(table, *given, factors, time, new.reference, unit, moved, error)
    return unfolded(moved, (n,)), error[0]


@inner(types.void(tiles.VECTOR, tiles.VECTOR))
def _centre(gain: Any, g: Any) -> None:
    """Write the gain less its middle where it hardly varies."""
    high, low = get(gain, (0,)), get(gain, (0,))
    for s in range(1, gain.shape[0]):
        high = largest(high, get(gain, (s,)))
        low = -largest(-low, -get(gain, (s,)))
    size = largest(abs(high), abs(low))
    middle = choose(high - low < size / 2.0, (high + low) / 2.0, 0.0)
    for s in range(gain.shape[0]):
        put(g, (s,), get(gain, (s,)) - middle)


@inner(types.void(*[tiles.VECTOR] * 4))
def _carried(P: Any, values: Any, weights: Any, expected: Any) -> None:
    """Write into the first [S] numbers of ``expected`` [S A] what weights [S A] make of P v at each state."""
    n = values.shape[0]
    actions = weights.shape[0] // n
    tiles.expect(P, values, expected)
    for s in range(n):
        total = lanes(0.0)
        for k in range(s * actions, (s + 1) * actions):
            total += get(weights, (k,)) * get(expected, (k,))
        put(expected, (s,), total)


@inner(LANES(tiles.VECTOR, tiles.VECTOR))
def _dot(x: Any, y: Any) -> Any:
    total = lanes(0.0)
    for s in range(x.shape[0]):
        total += get(x, (s,)) * get(y, (s,))
    return total


@chunked(types.void(*[TABLE] * 9, *[TABLE, TABLE, _INDEX] * 2, types.float64, *[_OUT] * 4))
def _movement(
    P: Any,
    R: Any,
    gamma: Any,
    shift: Any,
    gain: Any,
    reward: Any,
    level: Any,
    rho: Any,
    rho_new: Any,
    m_old: Any,
    time_old: Any,
    reference_old: Any,
    m_new: Any,
    time_new: Any,
    reference_new: Any,
    unit: Any,
    value_shift: Any,
    gain_size: Any,
    gap: Any,
    error: Any,
) -> None:
    n, pairs = value_shift.shape[0], R.shape[0]
    actions = pairs // n
    block = room(WIDTH * (pairs * n + 3 * pairs + n * n + 8 * n + 2)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    moved, block = block[:pairs], block[pairs:]
    rewards, block = block[:pairs], block[pairs:]
    expected, block = block[:pairs], block[pairs:]
    factors, block = block[: n * n], block[n * n :]
    inverse, block = block[:n], block[n:]
    elapsed, block = block[:n], block[n:]
    x, block = block[:n], block[n:]
    g, block = block[:n], block[n:]
    size, block = block[:n], block[n:]
    gained, block = block[:n], block[n:]
    old, block = block[:n], block[n:]
    new, block = block[:n], block[n:]
    discount, base = block[:1], block[1:2]
    m, chosen = factors.reshape(n, n, WIDTH), np.empty(WIDTH, np.int64)
    for at in range(0, P.shape[1], WIDTH):
        load(P, at, 0, pairs * n, p)
        load(R, at, 0, pairs, rewards)
        load(gamma, at, 0, 1, discount)
        load(shift, at, 0, pairs, moved)
        load(level, at, 0, 1, base)
        load(rho, at, 0, n, old)
        load(rho_new, at, 0, n, new)
        gamma_, offset = get(discount, (0,)), get(base, (0,))

        chosen[:] = reference_old[at : at + WIDTH]
        load(m_old, at, 0, n * n, factors)
        tiles.invert(m, inverse)
        load(time_old, at, 0, n, elapsed)
        load(reward, at, 0, n, x)
        for s in range(n):
            put(x, (s,), abs(get(x, (s,)) - offset))
        tiles.exchange(x, chosen)
        tiles.descend(m, x)
        tiles.ascend_relative(m, inverse, elapsed, x, lanes(1.0))
        tiles.exchange(x, chosen)
        tiles.expect(p, x, expected)
        most = lanes(0.0)
        for k in range(pairs):
            put(rewards, (k,), abs(get(rewards, (k,)) - offset))
            most = largest(most, get(rewards, (k,)))
        for s in range(n):
            total = lanes(0.0)
            for k in range(s * actions, (s + 1) * actions):
                whole = get(rewards, (k,)) + gamma_ * get(expected, (k,)) + get(x, (s,)) + most
                total += abs(get(moved, (k,))) * whole
            put(size, (s,), total)
            write(gain_size, s, at, total)

        chosen[:] = reference_new[at : at + WIDTH]
        load(m_new, at, 0, n * n, factors)
        tiles.invert(m, inverse)
        load(time_new, at, 0, n, elapsed)
        load(gain, at, 0, n, gained)
        _centre(gained, g)
        tiles.relative(m, inverse, elapsed, chosen, g, x)
        for s in range(n):
            write(value_shift, s, at, get(x, (s,)))
        _carried(p, x, moved, expected)
        by_values = gamma_ * _dot(old, expected[:n])
        by_visits, added = lanes(0.0), lanes(0.0)
        for s in range(n):
            both, here = get(new, (s,)) - get(old, (s,)), get(g, (s,))
            by_visits += both * here
            added += (get(new, (s,)) + get(old, (s,))) * abs(here) + abs(both) * get(size, (s,))
            put(x, (s,), get(size, (s,)) + abs(here))
        tiles.exchange(x, chosen)
        tiles.descend(m, x)
        tiles.ascend_relative(m, inverse, elapsed, x, lanes(1.0))
        tiles.exchange(x, chosen)
        for k in range(pairs):
            put(moved, (k,), abs(get(moved, (k,))))
        _carried(p, x, moved, expected)
        values_error = lanes(unit) * gamma_ * _dot(old, expected[:n])
        visits_error = lanes(unit) * added
        better = values_error <= visits_error
        write(gap, 0, at, choose(better, by_values, by_visits))
        write(error, 0, at, choose(better, values_error, visits_error))


@chunked(types.void(*[TABLE] * 5, TABLE, TABLE, _INDEX, types.float64, _OUT, _OUT))
def _visits_moved(
    P: Any,
    gamma: Any,
    shift: Any,
    rho: Any,
    rho_new: Any,
    m: Any,
    time: Any,
    reference: Any,
    unit: Any,
    moved: Any,
    error: Any,
) -> None:
    n, pairs = moved.shape[0], shift.shape[0]
    actions = pairs // n
    block = room(WIDTH * (pairs * n + 2 * pairs + n * n + 6 * n + 1)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    mass, block = block[:pairs], block[pairs:]
    sizes, block = block[:pairs], block[pairs:]
    factors, block = block[: n * n], block[n * n :]
    inverse, block = block[:n], block[n:]
    elapsed, block = block[:n], block[n:]
    flow, block = block[:n], block[n:]
    size, block = block[:n], block[n:]
    old, block = block[:n], block[n:]
    new, discount = block[:n], block[n : n + 1]
    matrix, chosen = factors.reshape(n, n, WIDTH), np.empty(WIDTH, np.int64)
    for at in range(0, P.shape[1], WIDTH):
        chosen[:] = reference[at : at + WIDTH]
        load(P, at, 0, pairs * n, p)
        load(gamma, at, 0, 1, discount)
        load(shift, at, 0, pairs, mass)
        load(rho, at, 0, n, old)
        load(rho_new, at, 0, n, new)
        load(m, at, 0, n * n, factors)
        tiles.invert(matrix, inverse)
        load(time, at, 0, n, elapsed)
        gamma_ = get(discount, (0,))
        for s in range(n):
            leaving = gamma_ * get(old, (s,))
            for k in range(s * actions, (s + 1) * actions):
                put(mass, (k,), leaving * get(mass, (k,)))
                put(sizes, (k,), abs(get(mass, (k,))))
        tiles.spread(p, mass, flow)
        tiles.exchange(flow, chosen)
        tiles.flow(matrix, inverse, elapsed, flow, lanes(-1.0))
        tiles.exchange(flow, chosen)
        tiles.spread(p, sizes, size)
        tiles.exchange(size, chosen)
        tiles.flow(matrix, inverse, elapsed, size, lanes(1.0))
        tiles.exchange(size, chosen)
        total = lanes(0.0)
        for s in range(n):
            total += get(size, (s,))
        flow_error = lanes(unit) * total / (2.0 * (1.0 / (1.0 - gamma_)))
        plain = flow_error > unit
        for s in range(n):
            write(moved, s, at, choose(plain, get(new, (s,)) - get(old, (s,)), get(flow, (s,))))
        write(error, 0, at, choose(flow_error < unit, flow_error, unit))
