"""What a policy does that is held against old, of tables in planes: its gain, its visits and what it improves, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from mdps import tiles
from mdps.evaluate import Evaluation
from mdps.kernels import chunked
from mdps.lanes import TABLE, WIDTH, get, lanes, load, read, room, write
from mdps.mdp import Array
from mdps.planes import planes, unfolded, widened

_OUT = types.float64[:, ::1]


def step(old: Evaluation, pi: Array) -> tuple[Array, Array, Array] | None:
    """Gain [N,S], visits [N,S] and improvement [N] of a policy; None where something is not in planes."""
    table = planes(old.mdp.P, 3)
    if table is None:
        return None
    count, (n, actions) = table.shape[1], old.mdp.R.shape[1:]
    cores: tuple[tuple[int, ...], ...] = ((n, actions), (), (n,), (n, actions), (n, actions))
    tables = (pi, old.mdp.gamma, old.mdp.rho0, old.pi, old.A)
    given = [widened(x, core, count) for x, core in zip(tables, cores, strict=True)]
    if any(x is None for x in given):
        return None
    gain, rho, improvement = np.empty((n, count)), np.empty((n, count)), np.empty((1, count))
    _step(table, *given, gain, rho, improvement)
    return unfolded(gain, (n,)), unfolded(rho, (n,)), improvement[0]


@chunked(types.void(*[TABLE] * 6, *[_OUT] * 3))
def _step(P: Any, pi: Any, gamma: Any, start: Any, old: Any, A: Any, gain: Any, rho: Any, improvement: Any) -> None:
    n, pairs = gain.shape[0], pi.shape[0]
    actions = pairs // n
    block = room(WIDTH * (pairs * n + pairs + n * n + 4 * n + 1)).reshape(-1, WIDTH)
    p, block = block[: pairs * n], block[pairs * n :]
    law, block = block[:pairs], block[pairs:]
    m, block = block[: n * n].reshape(n, n, WIDTH), block[n * n :]
    inverse, block = block[:n], block[n:]
    time, block = block[:n], block[n:]
    work, block = block[:n], block[n:]
    visits, discount = block[:n], block[n : n + 1]
    reference = np.empty(WIDTH, np.int64)
    for at in range(0, P.shape[1], WIDTH):
        load(P, at, 0, pairs * n, p)
        load(pi, at, 0, pairs, law)
        load(gamma, at, 0, 1, discount)
        load(start, at, 0, n, visits)
        tiles.eliminate_again(p, law, get(discount, (0,)), m, inverse, time, work, reference)
        tiles.exchange(visits, reference)
        tiles.solve_transposed(m, inverse, visits)
        tiles.exchange(visits, reference)
        improved = lanes(0.0)
        for s in range(n):
            change, gained = lanes(0.0), lanes(0.0)
            for k in range(s * actions, (s + 1) * actions):
                change += get(law, (k,)) - read(old, k, at)
            for k in range(s * actions, (s + 1) * actions):
                q = read(old, k, at)
                gained += ((get(law, (k,)) - q) - q * change) * read(A, k, at)
            write(gain, s, at, gained)
            write(rho, s, at, get(visits, (s,)))
            improved += get(visits, (s,)) * gained
        write(improvement, 0, at, improved)
