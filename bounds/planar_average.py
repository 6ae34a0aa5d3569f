"""Two chains without a discount, of tables in planes: all that :mod:`bounds.occupancy` asks of them, in one pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from mdps import tiles
from mdps.kernels import chunked
from mdps.lane_masks import choose
from mdps.lanes import TABLE, WIDTH, get, lanes, load, put, read, room, write
from mdps.mdp import MDP, Array
from mdps.planes import planes, unfolded, widened

_OUT = types.float64[:, ::1]


class Average(NamedTuple):
    """What moves between two irreducible chains at gamma = 1."""

    moved: Array  # [N,S] d'_inf - d_inf of the stationary laws
    kemeny: Array  # [N] Kemeny's constant of the new chain, less one
    tv_mean: Array  # [N] mean TV under d_inf
    gain: Array  # [N,S] E_{a~new} of old's average-reward advantages


def average(mdp: MDP, chains: tuple[Array, Array], proper: Array, shift: Array, tv: Array, reward: Array) -> Average | None:
    """Move from one chain [N,S,S] to another; all-uniform ones stand in where they are not ``proper`` [N].

    ``shift`` [N,S,A] is new - old, ``tv`` [N,S] its size, ``reward`` [N,S] old's. None where something is not in planes.
    """
    table = planes(mdp.P, 3)
    if table is None:
        return None
    count, (n, actions) = table.shape[1], mdp.R.shape[1:]
    cores: tuple[tuple[int, ...], ...] = ((n, actions), (n, n), (n, n), (), (n, actions), (n,), (n,))
    tables = (mdp.R, *chains, proper.astype(float), shift, tv, reward)
    given = [widened(x, core, count) for x, core in zip(tables, cores, strict=True)]
    if any(x is None for x in given):
        return None
    moved, kemeny, tv_mean, gain = (np.empty((k, count)) for k in (n, 1, 1, n))
    _average(table, *given, moved, kemeny, tv_mean, gain)
    return Average(unfolded(moved, (n,)), kemeny[0], tv_mean[0], unfolded(gain, (n,)))


@chunked(types.void(*[TABLE] * 8, *[_OUT] * 4))
def _average(
    P: Any,
    R: Any,
    old: Any,
    new: Any,
    proper: Any,
    shift: Any,
    tv: Any,
    reward: Any,
    moved: Any,
    kemeny: Any,
    tv_mean: Any,
    gain: Any,
) -> None:
    n, pairs = moved.shape[0], R.shape[0]
    actions = pairs // n
    block = room(WIDTH * (pairs * n + 2 * pairs + 2 * n * n + 8 * n + 1)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    change, block = block[:pairs], block[pairs:]
    expected, block = block[:pairs], block[pairs:]
    chain, block = block[: n * n], block[n * n :]
    m, block = block[: n * n].reshape(n, n, WIDTH), block[n * n :]
    inverse, block = block[:n], block[n:]
    time, block = block[:n], block[n:]
    work, block = block[:n], block[n:]
    only, block = block[:n], block[n:]
    law, block = block[:n], block[n:]
    given, block = block[:n], block[n:]
    x, distance = block[:n], block[n : 2 * n]
    flag = block[2 * n : 2 * n + 1]
    reference = np.empty(WIDTH, np.int64)
    only[:] = 1.0
    for at in range(0, P.shape[1], WIDTH):
        load(P, at, 0, pairs * n, p)
        load(shift, at, 0, pairs, change)
        load(tv, at, 0, n, distance)
        load(proper, at, 0, 1, flag)
        fine = get(flag, (0,)) > 0.0

        load(old, at, 0, n * n, chain)
        for k in range(n * n):
            put(chain, (k,), choose(fine, get(chain, (k,)), 1.0 / n))
        tiles.eliminate_again(chain, only, lanes(1.0), m, inverse, time, work, reference)
        law[:] = 0.0
        for lane in range(WIDTH):
            law[reference[lane], lane] = 1.0
        tiles.exchange(law, reference)
        tiles.solve_transposed(m, inverse, law)
        tiles.exchange(law, reference)
        mass, far = lanes(0.0), lanes(0.0)
        for s in range(n):
            mass += get(law, (s,))
        for s in range(n):
            put(law, (s,), get(law, (s,)) / mass)
            far += get(law, (s,)) * get(distance, (s,))
        write(tv_mean, 0, at, far)
        load(reward, at, 0, n, given)
        tiles.relative(m, inverse, time, reference, given, x)
        tiles.expect(p, x, expected)
        for s in range(n):
            gained = lanes(0.0)
            for k in range(s * actions, (s + 1) * actions):
                gained += get(change, (k,)) * (read(R, k, at) + get(expected, (k,)))
            write(gain, s, at, gained)

        load(new, at, 0, n * n, chain)
        for k in range(n * n):
            put(chain, (k,), choose(fine, get(chain, (k,)), 1.0 / n))
        tiles.eliminate_again(chain, only, lanes(1.0), m, inverse, time, work, reference)
        trace = lanes(0.0)
        given[:] = 0.0
        for s in range(n):
            put(given, (s,), lanes(1.0))
            tiles.relative(m, inverse, time, reference, given, x)
            trace += get(x, (s,))
            put(given, (s,), lanes(0.0))
        write(kemeny, 0, at, trace)
        for s in range(n):
            for k in range(s * actions, (s + 1) * actions):
                put(change, (k,), get(law, (s,)) * get(change, (k,)))
        tiles.spread(p, change, x)
        tiles.exchange(x, reference)
        tiles.flow(m, inverse, time, x, lanes(-1.0))
        tiles.exchange(x, reference)
        for s in range(n):
            write(moved, s, at, get(x, (s,)))
