r"""Elimination in doubled precision, and how far its results are from the truth: a bound, not an estimate.

The algorithm is that of :mod:`mdps.elimination`; rows of P are normalised one by one. Each number is carried as two floats
(:mod:`bounds.doubled`), so that its error is far below the rounding of the one float it is returned as: mids are the nearest
floats, radii what is left over and the bound below. Where the tables themselves have radii, one float does. With w = 2^-102, or
u = 2^-53 for single floats, an operation on positive numbers is a factor in
``[1-w, 1/(1-w)]``, so c of them are a factor in ``[(1-w)^c, (1-w)^-c]``; such a factor is said to *cost c*.

**Perturbation.** Let M have off-diagonals ``-a_ij <= 0`` and row sums ``s_i >= 0``, on m states. By the matrix-tree theorem
det M and every cofactor are polynomials with nonnegative coefficients in the a_ij and s_i, homogeneous of degrees m and m-1.
If each a_ij and s_i changes by a factor that costs c, an entry of ``M^-1`` changes by one that costs at most (2m-1)c
(O'Cinneide 1993; Alfa, Xue and Ye 2002). The relative values of a reward r are ``h = G r - T (w.r)``: G inverts M without the
reference, T = G t with t the times, and ``w = c/(c.t)`` with c the cofactors of the reference's row. All are ratios of such
polynomials, and a change costs each of the two parts at most (4m-3)c. The flow of a source that sums to zero is the
transposed map.

**Rounding of one stage.** A stage that leaves m-1 of m states forms its pivot at cost m (a product, then m-1 additions), a
multiplier at m+1, and each new entry, time, reward or source at m+3. The exact solution of what it leaves is that of the
stage before, restricted. So it is off by a factor that costs (2(m-1)-1)(m+3) for the matrix and m+3 for the right-hand side.
Going back, the state that was eliminated adds at most 2m+1: m for the pivot, m for the sum, 1 for the division. Over the
stages m = 1..n,

    solve:     sum_m 2(m-1)(m+3) + 2m+1
    relative:  2 + sum_{m>1} (4m-6)(m+3) + 2m+2

where the relative values cost one more a stage, for the division that gives the level.

**Start.** With A actions the mass of a row of P costs n-1, its inverse and the product with it 2, that with pi and the sum A, the
mass of pi A-1, the scale and its product 2: 2A+n+2 in all, which is put at 2A+3n+3; 1-gamma is exact, or less than that. That,
and what the tables themselves are uncertain by, enters as a perturbation at m = n: where no table has a radius, nothing but
roundings does.

**Sizes.** A right-hand side with signs is a difference of two without, so the same relative error applies to the sum of absolute
values: the same solve, run in plain floats on abs(r) with sign +1. A radius of the right-hand side is carried along by that run.
Its own error, the bound above with u in place of w, is made up for. With gamma = 0 there is nothing to eliminate.

**Drift.** Probabilities that are nearly nothing, such as e^-1000, are not known to a part of themselves. Where they are changed
by at most e in a row altogether, and the rest of the row makes up for it, a chain moves by 2e in a row: by ``M^-1 - M'^-1 = gamma
M^-1 (P - P') M'^-1`` solutions move by at most 2e H^2 |r|, H = 1/(1-gamma), and relative values by twice as much.

**Underflow.** No operation loses more than w as long as no product of two numbers that are not zero is below 2^-960; the least
of them is kept. Where one is, and gamma < 1, an operation may lose q = 2^-960 besides, or q over a pivot. Pivots are at least
1/H, entries at most 1, times at most H. A loss in a multiplier is then at most qH, and moves later times by no more than qH^2 of
themselves and later entries of M by at most 2qH. So M is off by some E of entries below 4nAqH, ``M^-1 - (M+E)^-1 = M^-1 E
(M+E)^-1`` moves a solution by 8 n^2 A q H^3 |r|, and what the right-hand side loses on its way, at most 2n q H (H|r| + 1), by H
times that; |r| is the sum of absolute values, and relative values are differences of two solutions. All of this is below
``2^-900 H^3 (|r| + 1)`` while ``64 n^2 A < 2^60``. Without a discount nothing is said then.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types

from bounds import doubled
from bounds.enclosed_accuracy import PLACES, accuracy, deviation
from bounds.enclosed_factors import Factors, put_factors, space
from bounds.enclosed_planes import INDEX, MATRIX, OUT, SIZE, VECTOR, Shape, empty, expanded, load, matrix
from bounds.rounding import two_sum
from mdps import tiles
from mdps.kernels import chunked, inner
from mdps.lane_masks import MASK, choose, fetch, keep, smallest, start
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, put, room
from mdps.mdp import Array


class Table(NamedTuple):
    """Probabilities as a kernel sees them: the float table whose exact row-normalisation is meant, or a table with radii."""

    mid: Array
    rad: Array  # of the shape of mid; zero where ``raw``
    raw: bool


def eliminate(P: Table, pi: Table, gamma: Array) -> Factors:
    """Factor ``I - gamma P_pi`` and say what that is known to. A factor common to a row of ``pi`` cancels."""
    twice = P.raw and pi.raw
    n, actions = P.mid.shape[-1], pi.mid.shape[-1]
    gamma = np.asarray(gamma, dtype=float)
    batch = np.broadcast_shapes(P.mid.shape[:-3], pi.mid.shape[:-2], gamma.shape)
    to = space(batch, n, twice)
    (off_P, drift_P), (off_pi, drift_pi) = _deviation(P, batch, 3), _deviation(pi, batch, 2)
    _eliminate(
        expanded(matrix(P.mid, batch, 3), n * actions * n),
        matrix(pi.mid, batch, 2),
        matrix(gamma, batch, 0),
        off_P + off_pi,
        drift_P + drift_pi,
        twice,
        *to,
    )
    return to.factors(batch, n, twice)


def _deviation(given: Table, batch: Shape, core: int) -> tuple[Array, Array]:
    """:func:`bounds.enclosed_accuracy.deviation` of a table, [1, N] or, where there is none, [1, 1]."""
    if given.raw:
        return np.zeros((1, 1)), np.zeros((1, 1))
    off, drift = empty(batch, ()), empty(batch, ())
    mid = expanded(matrix(given.mid, batch, core), math.prod(given.mid.shape[given.mid.ndim - core :]))
    _deviate(mid, matrix(given.rad, batch, core), given.mid.shape[-1], off, drift)
    return off, drift


@chunked(types.void(TABLE, TABLE, SIZE, OUT, OUT))
def _deviate(p: Any, rp: Any, n: Any, off: Any, drift: Any) -> None:
    for block in range((off.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, off.shape[1])
        part, rest = deviation(p, rp, n, at)
        keep(part, off, 0, at)
        keep(rest, drift, 0, at)


@inner(LANES(LANES, LANES, MASK))
def lesser(least: Any, product: Any, counts: Any) -> Any:
    """The least of the products, of those that count."""
    return smallest(least, choose(counts, abs(product), np.inf))


@inner(LANES(VECTOR, VECTOR, LANES, MATRIX, MATRIX, VECTOR, VECTOR))
def _chain_doubled(P: Any, pi: Any, gamma: Any, m: Any, ml: Any, weight: Any, weight_low: Any) -> Any:
    """Write ``gamma P_pi``, exactly normalised, in two floats; the least product."""
    n = m.shape[0]
    actions = weight.shape[0]
    least = lanes(1.0)
    for s in range(n):
        total, rest = lanes(0.0), lanes(0.0)
        for a in range(actions):
            i = s * actions + a
            mass, mass_low = lanes(0.0), lanes(0.0)
            for j in range(n):
                mass, e = two_sum(mass, get(P, (i * n + j,)))
                mass_low += e
            mass, mass_low = two_sum(mass, mass_low)
            w, wl = doubled.divide(get(pi, (i,)), lanes(0.0), mass, mass_low)
            put(weight, (a,), w)
            put(weight_low, (a,), wl)
            total, rest = doubled.add(total, rest, get(pi, (i,)), lanes(0.0))
        scale, scale_low = doubled.divide(gamma, lanes(0.0), total, rest)
        for j in range(n):
            x, xl = lanes(0.0), lanes(0.0)
            for a in range(actions):
                i = s * actions + a
                entry = get(P, (i * n + j,))
                p, pl = doubled.multiply(get(weight, (a,)), get(weight_low, (a,)), entry, lanes(0.0))
                least = lesser(least, p, (entry != 0.0) & (get(pi, (i,)) != 0.0))
                x, xl = doubled.add(x, xl, p, pl)
            y, yl = doubled.multiply(x, xl, scale, scale_low)
            least = lesser(least, y, (x != 0.0) & (gamma != 0.0))
            put(m, (s, j), y)
            put(ml, (s, j), yl)
    return least


@inner(LANES(LANES, MATRIX, MATRIX, VECTOR, VECTOR))
def _factor_doubled(gamma: Any, m: Any, ml: Any, time: Any, tl: Any) -> Any:
    """Eliminate ``I - m`` in two floats; the least product."""
    n = time.shape[0]
    least = lanes(1.0)
    for i in range(n):
        put(time, (i,), lanes(1.0))
        put(tl, (i,), lanes(0.0))
    slack, slack_low = two_sum(lanes(1.0), -gamma)
    for k in range(n):
        pivot, low = doubled.multiply(slack, slack_low, get(time, (k,)), get(tl, (k,)))
        for j in range(k + 1, n):
            pivot, low = doubled.add(pivot, low, get(m, (k, j)), get(ml, (k, j)))
        put(m, (k, k), pivot)
        put(ml, (k, k), low)
        for i in range(k + 1, n):
            x = get(m, (i, k))
            used = x != 0.0
            f, fl = doubled.divide(x, get(ml, (i, k)), pivot, low)
            f, fl = choose(used, f, 0.0), choose(used, fl, 0.0)
            put(m, (i, k), f)
            put(ml, (i, k), fl)
            p, pl = doubled.multiply(f, fl, get(time, (k,)), get(tl, (k,)))
            least = lesser(least, p, used)
            t, t_low = doubled.add(get(time, (i,)), get(tl, (i,)), p, pl)
            put(time, (i,), t)
            put(tl, (i,), t_low)
            for j in range(k + 1, n):
                y = get(m, (k, j))
                p, pl = doubled.multiply(f, fl, y, get(ml, (k, j)))
                least = lesser(least, p, used & (y != 0.0))
                z, zl = doubled.add(get(m, (i, j)), get(ml, (i, j)), p, pl)
                put(m, (i, j), z)
                put(ml, (i, j), zl)
    return least


@inner(types.void(VECTOR, SIZE))
def normalise(P: Any, n: Any) -> None:
    """Let rows of n that sum nearly to one do so: each entry costs n + 1, or is off by the smallest float; none becomes zero."""
    for first in range(0, P.shape[0], n):
        mass = lanes(0.0)
        for k in range(first, first + n):
            mass += get(P, (k,))
        inverse = 1.0 / mass
        for k in range(first, first + n):
            put(P, (k,), get(P, (k,)) * inverse)


@inner(LANES(VECTOR, VECTOR, LANES, MATRIX))
def chain_plain(P: Any, pi: Any, gamma: Any, m: Any) -> Any:
    """``_chain_doubled`` in floats, for rows of P that :func:`normalise` has scaled."""
    n = m.shape[0]
    actions = pi.shape[0] // n
    least = lanes(1.0)
    for s in range(n):
        total = lanes(0.0)
        for i in range(s * actions, (s + 1) * actions):
            total += get(pi, (i,))
        scale = gamma / total
        for j in range(n):
            x = lanes(0.0)
            for i in range(s * actions, (s + 1) * actions):
                entry, weight = get(P, (i * n + j,)), get(pi, (i,))
                p = weight * entry
                least = lesser(least, p, (entry != 0.0) & (weight != 0.0))
                x += p
            y = x * scale
            least = lesser(least, y, (x != 0.0) & (gamma != 0.0))
            put(m, (s, j), y)
    return least


@inner(LANES(LANES, MATRIX, VECTOR))
def factor_plain(gamma: Any, m: Any, time: Any) -> Any:
    """``_factor_doubled`` in floats."""
    n = time.shape[0]
    least = lanes(1.0)
    for i in range(n):
        put(time, (i,), lanes(1.0))
    for k in range(n):
        pivot = (1.0 - gamma) * get(time, (k,))
        for j in range(k + 1, n):
            pivot += get(m, (k, j))
        put(m, (k, k), pivot)
        for i in range(k + 1, n):
            x = get(m, (i, k))
            used = x != 0.0
            f = choose(used, x / pivot, 0.0)
            put(m, (i, k), f)
            least = lesser(least, f, used)
            put(time, (i,), get(time, (i,)) + f * get(time, (k,)))
            for j in range(k + 1, n):
                y = get(m, (k, j))
                p = f * y
                least = lesser(least, p, used & (y != 0.0))
                put(m, (i, j), get(m, (i, j)) + p)
    return least


@inner(LANES(VECTOR, VECTOR, LANES, types.boolean, MATRIX, MATRIX, *[VECTOR] * 4, INDEX))
def _factored(
    P: Any,
    pi: Any,
    gamma: Any,
    twice: Any,
    m: Any,
    ml: Any,
    time: Any,
    tl: Any,
    weight: Any,
    weight_low: Any,
    reference: Any,
) -> Any:
    """Factor ``I - gamma P_pi`` with the references in the last place; the least product."""
    if twice:
        least = _chain_doubled(P, pi, gamma, m, ml, weight, weight_low)
        tiles.exchange_states(m, reference)
        tiles.exchange_states(ml, reference)
        return smallest(least, _factor_doubled(gamma, m, ml, time, tl))
    least = chain_plain(P, pi, gamma, m)
    tiles.exchange_states(m, reference)
    for i in range(time.shape[0]):
        put(tl, (i,), lanes(0.0))
    return smallest(least, factor_plain(gamma, m, time))


@inner(LANES(VECTOR, VECTOR, LANES, types.boolean, MATRIX, MATRIX, *[VECTOR] * 5, INDEX), allocates=True)
def eliminated(
    P: Any,
    pi: Any,
    gamma: Any,
    twice: Any,
    m: Any,
    ml: Any,
    time: Any,
    tl: Any,
    weight: Any,
    weight_low: Any,
    visits: Any,
    reference: Any,
) -> Any:
    """Factor ``I - gamma P_pi`` of a tile and choose its references; the least product.

    ``visits`` is room to work in. In one float P is normalised in its place.
    """
    reference[:] = time.shape[0] - 1
    if not twice:
        normalise(P, time.shape[0])
    least = _factored(P, pi, gamma, twice, m, ml, time, tl, weight, weight_low, reference)
    if tiles.rare(time):  # the reference is chosen as for floats, by floats: any will do
        tiles.choose(m, time, visits, reference)
        least = _factored(P, pi, gamma, twice, m, ml, time, tl, weight, weight_low, reference)
    return least


@chunked(types.void(*[TABLE] * 5, types.boolean, OUT, OUT, OUT, OUT, types.int64[::1], OUT))
def _eliminate(
    P: Any,
    pi: Any,
    gamma: Any,
    off: Any,
    drift: Any,
    twice: Any,
    high: Any,
    low: Any,
    time: Any,
    time_low: Any,
    reference: Any,
    error: Any,
) -> None:
    n, pairs = time.shape[0], P.shape[0] // time.shape[0]
    actions = pairs // n
    tile = room(WIDTH * (pairs * n + pairs + 2 * n * n + 3 * n + 2 * actions + PLACES)).reshape(-1, WIDTH)
    p, tile = tile[: pairs * n], tile[pairs * n :]
    law, tile = tile[:pairs], tile[pairs:]
    m, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    ml, tile = tile[: n * n].reshape(n, n, WIDTH), tile[n * n :]
    elapsed, tile = tile[:n], tile[n:]
    elapsed_low, tile = tile[:n], tile[n:]
    visits, tile = tile[:n], tile[n:]
    weight, tile = tile[:actions], tile[actions:]
    weight_low, known_to = tile[:actions], tile[actions:]
    chosen = np.empty(WIDTH, np.int64)
    for block in range((time.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, time.shape[1])
        load(P, at, p)
        load(pi, at, law)
        discount = fetch(gamma, 0, at)
        least = eliminated(p, law, discount, twice, m, ml, elapsed, elapsed_low, weight, weight_low, visits, chosen)
        accuracy(fetch(off, 0, at), fetch(drift, 0, at), discount, least, n, actions, twice, known_to)
        put_factors(m, ml, elapsed, elapsed_low, chosen, known_to, twice, high, low, time, time_low, reference, error, at)
