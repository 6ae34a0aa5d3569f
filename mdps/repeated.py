"""Algorithms that evaluate one policy after the other in one process, a tile of instances at a time: P is read once.

What :mod:`mdps.evaluate` finds, by the same operations in the same order. A tile's P stays in the nearest cache from the first
policy to the last, and of what there is to know of a policy only its values and advantages are worked out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from mdps import tiles
from mdps.batches import rows
from mdps.kernels import chunked, inner
from mdps.lane_logs import exp
from mdps.lane_masks import choose, largest, some
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, load, put, read, room, write
from mdps.mdp import MDP, Array
from mdps.planes import cut, planes, unfolded, widened

PART = 4096
"""Instances worked on at a time where a batch is not in planes already."""

_OUT = types.float64[:, ::1]


def optimal_values(mdp: MDP, A: Array) -> Array:
    """``V*`` [*B,S] by Howard's (1960) policy iteration, from the policy that is greedy for advantages A [*B,S,A].

    An instance is done when no action is better than its own, or when the better ones do not raise its values: they rise until
    nothing is left but rounding.
    """
    return _each(_optimal, mdp, (mdp.S,), (A, (mdp.S, mdp.A)))


def natural_values(mdp: MDP, steps: Array) -> Array:
    """``V`` [*B,K,4,S] of the softmax policies after T = 1, 2, 3 and 4 steps ``theta += step A`` from theta = 0, steps [*B,K].

    The natural gradient of a tabular softmax is A/(1-gamma) (Kakade 2001; Agarwal et al. 2021, Lemma 15).
    """
    sizes = steps.shape[-1]
    return _each(_natural, mdp, (sizes, STEPS, mdp.S), (steps, (sizes,)))


STEPS = 4
"""Steps that :func:`natural_values` follows."""


def _each(kernel: Any, mdp: MDP, core: tuple[int, ...], given: tuple[Array, tuple[int, ...]]) -> Array:
    """What a kernel makes of each instance [*B,*core], of P, R, gamma and one table more [*B, ...], by one thread."""
    pair = (mdp.S, mdp.A)
    tables = ((mdp.P, (*pair, mdp.S)), (mdp.R, pair), (mdp.gamma, ()), given)
    if len(mdp.batch) == 1 and planes(mdp.P, 3) is not None:
        matrices = [widened(table, axes, *mdp.batch) for table, axes in tables]
        out = np.empty((math.prod(core), *mdp.batch))
        kernel(*matrices, out)
        return unfolded(out, core)
    found = np.empty((*mdp.batch, *core))
    flat = found.reshape(-1, *core)
    parts = [(*rows(np.broadcast_to(table, mdp.batch + axes), mdp.batch, len(axes)), axes) for table, axes in tables]
    for start in range(0, len(flat), PART):
        stop = min(start + PART, len(flat))
        count = -(-(stop - start) // WIDTH) * WIDTH
        out = np.empty((math.prod(core), count))
        kernel(*(widened(cut(*part, start, stop), part[2], count) for part in parts), out)
        flat[start:stop] = unfolded(out, core)[: stop - start]
    return found


@inner(types.void(*[tiles.VECTOR] * 3, LANES, tiles.MATRIX, *[tiles.VECTOR] * 6, tiles.INDEX), inlined=True)
def _values(
    P: Any,
    law: Any,
    reward: Any,
    gamma: Any,
    m: Any,
    inverse: Any,
    time: Any,
    visits: Any,
    mean: Any,
    v: Any,
    level: Any,
    reference: Any,
) -> None:
    """Write V of a policy into v; its factors, its mean rewards and its level are kept for :func:`_advantages`."""
    n = v.shape[0]
    actions = law.shape[0] // n
    tiles.eliminate_again(P, law, gamma, m, inverse, time, visits, reference)
    for s in range(n):
        expected, mass = lanes(0.0), lanes(0.0)
        for k in range(s * actions, (s + 1) * actions):
            expected += get(law, (k,)) * get(reward, (k,))
            mass += get(law, (k,))
        expected = tiles.over(expected, mass)
        put(mean, (s,), expected)
        put(v, (s,), expected)
    tiles.exchange(v, reference)
    tiles.descend(m, v)
    put(level, (0,), get(v, (n - 1,)) / get(time, (n - 1,)))
    tiles.ascend(m, inverse, v)
    tiles.exchange(v, reference)


@inner(types.void(*[tiles.VECTOR] * 3, LANES, tiles.MATRIX, *[tiles.VECTOR] * 6, tiles.INDEX), inlined=True)
def _advantages(
    P: Any,
    law: Any,
    reward: Any,
    gamma: Any,
    m: Any,
    inverse: Any,
    time: Any,
    mean: Any,
    h: Any,
    level: Any,
    advantage: Any,
    reference: Any,
) -> None:
    """Write A of the policy whose values were found last."""
    n = h.shape[0]
    actions = law.shape[0] // n
    offset = get(level, (0,))
    for s in range(n):
        put(h, (s,), get(mean, (s,)) - offset)
    tiles.exchange(h, reference)
    tiles.descend(m, h)
    offset += tiles.ascend_relative(m, inverse, time, h, lanes(-1.0))
    tiles.exchange(h, reference)
    tiles.expect(P, h, advantage)
    for s in range(n):
        here = get(h, (s,))
        expected, mass = lanes(0.0), lanes(0.0)
        for k in range(s * actions, (s + 1) * actions):
            a = get(reward, (k,)) + gamma * get(advantage, (k,)) - here - offset
            put(advantage, (k,), a)
            expected += get(law, (k,)) * a
            mass += get(law, (k,))
        expected = tiles.over(expected, mass)
        for k in range(s * actions, (s + 1) * actions):
            put(advantage, (k,), get(advantage, (k,)) - expected)


@inner(types.void(tiles.VECTOR, tiles.VECTOR, types.int64), inlined=True)
def _greedy(advantage: Any, law: Any, actions: Any) -> None:
    """Write the policy that takes the first of the best actions."""
    for first in range(0, law.shape[0], actions):
        best = get(advantage, (first,))
        for k in range(first + 1, first + actions):
            best = largest(best, get(advantage, (k,)))
        free = lanes(1.0)
        for k in range(first, first + actions):
            taken = choose(get(advantage, (k,)) == best, free, 0.0)
            put(law, (k,), taken)
            free = free - taken


@inner(types.void(tiles.VECTOR, tiles.VECTOR, types.int64), inlined=True)
def _softmax(theta: Any, law: Any, actions: Any) -> None:
    """Write the policy in proportion to ``exp(theta)``."""
    for first in range(0, law.shape[0], actions):
        high = get(theta, (first,))
        for k in range(first + 1, first + actions):
            high = largest(high, get(theta, (k,)))
        mass = lanes(0.0)
        for k in range(first, first + actions):
            x = get(theta, (k,)) - high
            weight = choose(x > -700.0, exp(x), 0.0)
            put(law, (k,), weight)
            mass += weight
        inverse = lanes(1.0) / mass
        for k in range(first, first + actions):
            put(law, (k,), tiles.quotient(get(law, (k,)), mass, inverse))


@chunked(types.void(*[TABLE] * 4, _OUT), rolled=True)
def _optimal(P: Any, R: Any, gamma: Any, A: Any, best: Any) -> None:
    n, pairs = best.shape[0], R.shape[0]
    actions = pairs // n
    block = room(WIDTH * (pairs * n + 3 * pairs + n * n + 6 * n + 2)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    law, block = block[:pairs], block[pairs:]
    reward, block = block[:pairs], block[pairs:]
    advantage, block = block[:pairs], block[pairs:]
    m, block = block[: n * n].reshape(n, n, WIDTH), block[n * n :]
    inverse, block = block[:n], block[n:]
    time, block = block[:n], block[n:]
    work, block = block[:n], block[n:]
    mean, block = block[:n], block[n:]
    v, block = block[:n], block[n:]
    kept, block = block[:n], block[n:]
    level, discount = block[:1], block[1:2]
    reference = np.empty(WIDTH, np.int64)
    for at in range(0, P.shape[1], WIDTH):
        load(P, at, 0, pairs * n, p)
        load(R, at, 0, pairs, reward)
        load(A, at, 0, pairs, advantage)
        load(gamma, at, 0, 1, discount)
        gamma_ = get(discount, (0,))
        kept[:] = -np.inf
        reached = lanes(-np.inf)
        active = reached < 0.0
        while some(active):
            _greedy(advantage, law, actions)
            _values(p, law, reward, gamma_, m, inverse, time, work, mean, v, level, reference)
            total = get(v, (0,))
            for s in range(1, n):
                total += get(v, (s,))
            active &= total > reached
            reached = choose(active, total, reached)
            for s in range(n):
                put(kept, (s,), choose(active, get(v, (s,)), get(kept, (s,))))
            if some(active):
                _advantages(p, law, reward, gamma_, m, inverse, time, mean, v, level, advantage, reference)
                better = get(advantage, (0,)) > 0.0
                for k in range(1, pairs):
                    better |= get(advantage, (k,)) > 0.0
                active &= better
        for s in range(n):
            write(best, s, at, get(kept, (s,)))


@chunked(types.void(*[TABLE] * 4, _OUT), rolled=True)
def _natural(P: Any, R: Any, gamma: Any, steps: Any, values: Any) -> None:
    sizes, pairs = steps.shape[0], R.shape[0]
    n = values.shape[0] // (sizes * STEPS)
    actions = pairs // n
    block = room(WIDTH * (pairs * n + 5 * pairs + n * n + 5 * n + 2)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    law, block = block[:pairs], block[pairs:]
    reward, block = block[:pairs], block[pairs:]
    first, block = block[:pairs], block[pairs:]
    advantage, block = block[:pairs], block[pairs:]
    theta, block = block[:pairs], block[pairs:]
    m, block = block[: n * n].reshape(n, n, WIDTH), block[n * n :]
    inverse, block = block[:n], block[n:]
    time, block = block[:n], block[n:]
    work, block = block[:n], block[n:]
    mean, block = block[:n], block[n:]
    v, block = block[:n], block[n:]
    level, discount = block[:1], block[1:2]
    reference = np.empty(WIDTH, np.int64)
    for at in range(0, P.shape[1], WIDTH):
        load(P, at, 0, pairs * n, p)
        load(R, at, 0, pairs, reward)
        load(gamma, at, 0, 1, discount)
        gamma_ = get(discount, (0,))
        law[:] = 1.0 / actions
        _values(p, law, reward, gamma_, m, inverse, time, work, mean, v, level, reference)
        _advantages(p, law, reward, gamma_, m, inverse, time, mean, v, level, first, reference)
        for k in range(sizes):
            step = read(steps, k, at)
            for i in range(pairs):
                put(theta, (i,), step * get(first, (i,)))
            for t in range(STEPS):
                _softmax(theta, law, actions)
                _values(p, law, reward, gamma_, m, inverse, time, work, mean, v, level, reference)
                for s in range(n):
                    write(values, (k * STEPS + t) * n + s, at, get(v, (s,)))
                if t < STEPS - 1:
                    _advantages(p, law, reward, gamma_, m, inverse, time, mean, v, level, advantage, reference)
                    for i in range(pairs):
                        put(theta, (i,), get(theta, (i,)) + step * get(advantage, (i,)))
