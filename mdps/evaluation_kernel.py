"""Evaluation of a batch in one pass: a tile of instances is read once and stays in cache until its results are written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from mdps import tiles
from mdps.batches import rows, share
from mdps.kernels import chunked
from mdps.lanes import TABLE, WIDTH, gather, get, lanes, load, put, room, scatter, store
from mdps.mdp import MDP, Array
from mdps.planes import planes, unfolded, widened

_INDEX = types.Array(types.int64, 1, "A", readonly=True)
_OUT = types.float64[:, ::1]
_SIZE = types.int64


def evaluate_batch(mdp: MDP, pi: Array, batch: tuple[int, ...], visits: bool = True) -> tuple[Array, ...]:
    """Return V, Q, A, rho, d and eta [*batch, ...] of checked float tables; the algorithm is that of :mod:`mdps.elimination`.

    They are in planes (:mod:`mdps.planes`) if the MDP is; then only V and A have a meaning without ``visits``.
    """
    states, actions = mdp.S, mdp.A
    if batch == mdp.batch and planes(mdp.P, 3) is not None:
        return _in_planes(mdp, pi, visits)
    tables = ((mdp.P, 3), (pi, 2), (mdp.R, 2), (mdp.rho0, 1), (mdp.gamma, 0))
    cores = ((states,), (states, actions), (states, actions), (states,), (states,), ())
    results = [np.empty(batch + core) for core in cores]
    count = results[-1].size
    given = [part for table, core in tables for part in rows(table, batch, core)]
    outputs = [result.reshape(count, -1) for result in results]

    def run(start: int, stop: int) -> None:
        _evaluate(*given, *outputs, False, True, states, actions, start, stop)

    share(run, count, WIDTH, states**3 / 3 + states**2 * (actions + 6))
    return tuple(results)


def _in_planes(mdp: MDP, pi: Array, visits: bool) -> tuple[Array, ...]:
    """The same of an MDP [N] in planes; by one thread, as it is a part of a batch."""
    count, states, actions = mdp.R.shape
    given: list[Any] = []
    for table, core in (
        (mdp.P, (states, actions, states)),
        (pi, (states, actions)),
        (mdp.R, (states, actions)),
        (mdp.rho0, (states,)),
        (mdp.gamma, ()),
    ):
        given += [widened(table, core, count), _ANYWHERE]
    cores = ((states,), (states, actions), (states, actions), (states,), (states,), ())
    outputs = [np.empty((math.prod(core), count)) for core in cores]
    _evaluate(*given, *outputs, True, visits, states, actions, 0, count)
    return tuple(unfolded(output, core) for output, core in zip(outputs, cores, strict=True))


_ANYWHERE = np.zeros(1, np.int64)
"""In place of an index: instances in planes are read in their order."""


@chunked(types.void(*[TABLE, _INDEX] * 5, *[_OUT] * 6, types.boolean, types.boolean, *[_SIZE] * 4))
def _evaluate(
    P: Any,
    P_at: Any,
    pi: Any,
    pi_at: Any,
    R: Any,
    R_at: Any,
    rho0: Any,
    rho0_at: Any,
    gamma: Any,
    gamma_at: Any,
    V: Any,
    Q: Any,
    A: Any,
    rho: Any,
    d: Any,
    eta: Any,
    planar: Any,
    whole: Any,
    n: Any,
    actions: Any,
    start: Any,
    stop: Any,
) -> None:
    pairs = n * actions
    which = np.empty((5, WIDTH), np.int64)
    reference = np.empty(WIDTH, np.int64)
    block = room(WIDTH * (pairs * n + 4 * pairs + n * n + 7 * n + 2)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    law, block = block[:pairs], block[pairs:]
    reward, block = block[:pairs], block[pairs:]
    advantage, block = block[:pairs], block[pairs:]
    q, block = block[:pairs], block[pairs:]
    m, block = block[: n * n].reshape(n, n, WIDTH), block[n * n :]
    time, block = block[:n], block[n:]
    first_law, block = block[:n], block[n:]
    v, block = block[:n], block[n:]
    h, block = block[:n], block[n:]
    mean, block = block[:n], block[n:]
    visits, block = block[:n], block[n:]
    share, block = block[:n], block[n:]
    discount, total = block[:1], block[1:2]
    for first in range(start, stop, WIDTH):
        count = min(WIDTH, stop - first)
        if planar:
            which[0, 0] = first
            load(pi, first, 0, pairs, law)
            load(R, first, 0, pairs, reward)
            load(rho0, first, 0, n, first_law)
            load(gamma, first, 0, 1, discount)
        else:
            for lane in range(WIDTH):  # lanes beyond the last instance repeat it
                i = first + min(lane, count - 1)
                which[0, lane], which[1, lane], which[2, lane] = P_at[i], pi_at[i], R_at[i]
                which[3, lane], which[4, lane] = rho0_at[i], gamma_at[i]
            gather(pi, which[1], 0, pairs, law)
            gather(R, which[2], 0, pairs, reward)
            gather(rho0, which[3], 0, n, first_law)
            gather(gamma, which[4], 0, 1, discount)
        gamma_ = get(discount, (0,))
        tiles.eliminate(P, planar, which[0], p, law, gamma_, m, time, visits, reference)

        for s in range(n):
            expected, mass = lanes(0.0), lanes(0.0)
            for k in range(s * actions, (s + 1) * actions):
                expected += get(law, (k,)) * get(reward, (k,))
                mass += get(law, (k,))
            put(mean, (s,), expected / mass)
            put(v, (s,), expected / mass)
            put(visits, (s,), get(first_law, (s,)))
        tiles.exchange(v, reference)
        tiles.descend(m, v)
        level = get(v, (n - 1,)) / get(time, (n - 1,))
        tiles.ascend(m, v)
        tiles.exchange(v, reference)
        for s in range(n):  # the level is taken out first: states that never meet the reference keep their digits too
            put(h, (s,), get(mean, (s,)) - level)
        tiles.exchange(h, reference)
        tiles.descend(m, h)
        level += tiles.ascend_relative(m, time, h, lanes(-1.0))
        tiles.exchange(h, reference)
        if whole:
            tiles.exchange(visits, reference)
            tiles.solve_transposed(m, visits)
            tiles.exchange(visits, reference)

        tiles.expect(p, h, advantage)
        slack = lanes(1.0) - gamma_
        gained = lanes(0.0)
        for s in range(n):
            value, here = get(v, (s,)), get(h, (s,))
            gained += get(first_law, (s,)) * value
            put(share, (s,), slack * get(visits, (s,)))
            expected, mass = lanes(0.0), lanes(0.0)
            for k in range(s * actions, (s + 1) * actions):
                a = get(reward, (k,)) + gamma_ * get(advantage, (k,)) - here - level
                put(advantage, (k,), a)
                expected += get(law, (k,)) * a
                mass += get(law, (k,))
            expected = expected / mass  # zero by definition, here up to rounding: restores sum_a pi A = 0
            for k in range(s * actions, (s + 1) * actions):
                a = get(advantage, (k,)) - expected
                put(advantage, (k,), a)
                put(q, (k,), value + a)
        put(total, (0,), gained)
        if planar:
            store(v, V, first)
            store(advantage, A, first)
            if whole:
                store(q, Q, first)
                store(visits, rho, first)
                store(share, d, first)
                store(total, eta, first)
        else:
            scatter(v, V, first, count)
            scatter(q, Q, first, count)
            scatter(advantage, A, first, count)
            scatter(visits, rho, first, count)
            scatter(share, d, first, count)
            scatter(total, eta, first, count)
