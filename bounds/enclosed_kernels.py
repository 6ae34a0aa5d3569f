"""What one step of a process makes of values and of mass, with radii: compiled, as the kernels for floats are.

The mid of a result is what the kernel of :mod:`mdps.elimination` returns; the radius counts its
roundings. An operation on positive numbers is a factor in ``[1-u, 1/(1-u)]``, u = 2^-53, so c of them are a factor in
``[(1-u)^c, (1-u)^-c]``, which is said to *cost c*. A table of radii of a single row says that there are none.
"""

from __future__ import annotations

import numpy as np
from numba import types

from bounds.enclosed_planes import OUT
from bounds.rounding import GROW, TINY, U, two_sum
from mdps.kernels import chunked
from mdps.lane_masks import choose, fetch, keep, largest, start
from mdps.lanes import TABLE, WIDTH, get, lanes, put, room


@chunked(types.void(*[TABLE] * 7, OUT, OUT))
def backup(P, rP, R, rR, gamma, v, rv, m, r):
    """``R + gamma P v`` with radii. The quotient of two sums of n terms costs 2n, it and its product with gamma 2 more.

    Where a row is p to within radii rp, the true one sums to one, and is off ``p / sum p`` by ``rp + |1 - sum p| p / sum p``.
    """
    n = P.shape[0] // m.shape[0]
    certain = rP.shape[0] == 1
    tile = room(WIDTH * 3 * n).reshape(-1, WIDTH)
    for block in range((m.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, m.shape[1])
        discount = fetch(gamma, 0, at)
        for j in range(n):
            x, off = fetch(v, min(j, v.shape[0] - 1), at), fetch(rv, min(j, rv.shape[0] - 1), at)
            put(tile, (j,), x)
            put(tile, (n + j,), off)
            put(tile, (2 * n + j,), abs(x) + off)
        for i in range(m.shape[0]):
            expected, mass, size, carried = lanes(0.0), lanes(0.0), lanes(0.0), lanes(0.0)
            spread, shifted, most = lanes(0.0), lanes(0.0), lanes(0.0)
            for j in range(n):
                p, reach = fetch(P, i * n + j, at), get(tile, (2 * n + j,))
                expected += p * get(tile, (j,))
                mass += p
                size += p * reach
                carried += p * get(tile, (n + j,))
                if not certain:
                    rp = fetch(rP, i * n + j, at)
                    spread += rp
                    shifted += choose(rp != 0.0, rp * reach, 0.0)
                    p += rp
                most = largest(most, choose(p != 0.0, reach, 0.0))
            y, error = two_sum(fetch(R, min(i, R.shape[0] - 1), at), discount * (expected / mass))
            off = fetch(rR, min(i, rR.shape[0] - 1), at) + abs(error)
            slack = ((2 * n + 4) * U + 1.01 * spread) * size + carried + shifted * mass
            off = choose((most > 0.0) & (discount != 0.0), off + (discount * slack / mass * (1 + 8 * n * U) + TINY), off) * GROW
            right = (off < np.inf) & (abs(y) < np.inf)
            keep(choose(right, y, 0.0), m, i, at)
            keep(choose(right, off, np.inf), r, i, at)


@chunked(types.void(*[TABLE] * 4, OUT, OUT))
def forward(P, rP, w, rw, m, r):
    """Where the mass ``w +- rw`` goes in one step. A term costs n+1, the sum of S A terms the rest."""
    n = m.shape[0]
    pairs = P.shape[0] // n
    certain = rP.shape[0] == 1
    cost = (n + pairs + 2) * U
    tile = room(WIDTH * 2 * n).reshape(-1, WIDTH)
    for block in range((m.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, m.shape[1])
        for k in range(2 * n):
            put(tile, (k,), lanes(0.0))
        for i in range(pairs):
            x, off = fetch(w, min(i, w.shape[0] - 1), at), fetch(rw, min(i, rw.shape[0] - 1), at)
            reach = abs(x) + off
            mass, spread = lanes(0.0), lanes(0.0)
            for j in range(n):
                mass += fetch(P, i * n + j, at)
                if not certain:
                    spread += fetch(rP, i * n + j, at)
            weight, radius = x / mass, choose(reach != 0.0, (off + reach * (cost + 1.01 * spread)) / mass, 0.0)
            loss = choose(reach != 0.0, lanes(TINY), 0.0)
            for j in range(n):
                p = fetch(P, i * n + j, at)
                put(tile, (j,), get(tile, (j,)) + weight * p)
                if certain:
                    put(tile, (n + j,), get(tile, (n + j,)) + choose(p != 0.0, radius * p + loss, 0.0))
                else:
                    rp = fetch(rP, i * n + j, at)
                    part = choose((p + rp != 0.0) & (reach != 0.0), radius * p + rp * reach + loss, 0.0)
                    put(tile, (n + j,), get(tile, (n + j,)) + part)
        for j in range(n):
            y, off = get(tile, (j,)), get(tile, (n + j,)) * (GROW + 4 * pairs * U)
            right = (off < np.inf) & (abs(y) < np.inf)
            keep(choose(right, y, 0.0), m, j, at)
            keep(choose(right, off, np.inf), r, j, at)
