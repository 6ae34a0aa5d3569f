"""V and A, or the visits, of a policy in one kernel: what an update asks for, step after step.

A policy that is a float table is left to :mod:`bounds.enclosed_evaluation`. This is about one that is known to within radii.

The steps are those of :func:`mdps.evaluate.values_and_advantages` on enclosures, in the same order and with radii as narrow as
:mod:`bounds.enclosed_elimination`, :mod:`bounds.enclosed_solves`, :mod:`bounds.enclosed_kernels` and
:mod:`bounds.rounded_products` give them one by one: only that nothing of it is written to memory, and that the process is read,
and its rows are scaled, once.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numba import types

from bounds import enclosed_evaluation
from bounds.enclosed_accuracy import HORIZON, PLACES, RELATIVE, SOLVE, accuracy, deviation
from bounds.enclosed_elimination import chain_plain, factor_plain, normalise
from bounds.enclosed_laws import Distributions, Law
from bounds.enclosed_planes import INDEX, MATRIX, OUT, SIZE, VECTOR, empty, expanded, load, matrix, table
from bounds.enclosed_radii import checked, confine_relative_values, confine_values, lost, settle, source
from bounds.enclosed_substitution import solve_occupancy, solve_relative_values, solve_values
from bounds.enclosure import Enclosure
from bounds.rounded import add, times
from bounds.rounded_products import WIDE, extent, within
from bounds.rounding import GROW, TINY, U, known, nonnegative, two_sum
from mdps import tiles
from mdps.kernels import chunked, inner
from mdps.lane_masks import choose, fetch, keep, largest, smallest, some, start
from mdps.lanes import LANES, TABLE, WIDTH, get, lanes, put, room
from mdps.mdp import MDP, Array, trusted
from mdps.numbers import Numbers

_PAIR = types.UniTuple(LANES, 2)

VANISHING = 2.0**-1000
"""More than a row of probabilities loses where they are too small to be scaled; a multiple of the smallest float takes long."""


def worth(mdp: MDP, pi: Array) -> tuple[Array, Array] | None:
    """V [*B,S] and A [*B,S,A] of a policy [*B,S,A]; None where it, or the process, is not of the kind that this is about.

    Float tables whose exact normalisation is meant, exact rewards and discounts, and a policy of enclosures that sum to one, or
    one that is another such table: that is evaluated in two floats.
    """
    rewards: Any = mdp.R
    if (floats := _floats(mdp, pi)) is not None:
        known: Any = tuple(Enclosure(*found) for found in enclosed_evaluation.worth(*floats))
        return cast(tuple[Array, Array], known)
    if (given := _tables(mdp, pi)) is None or (isinstance(rewards, Enclosure) and rewards.rad.any()):
        return None
    batch, *tables = given
    reward = matrix(rewards.mid if isinstance(rewards, Enclosure) else rewards, batch, 2)
    cores = ((mdp.S,), (mdp.S,), (mdp.S, mdp.A), (mdp.S, mdp.A))
    found = [empty(batch, core) for core in cores]
    _worth(*tables, reward, *found)
    V, rV, A, rA = (table(x, batch, core) for x, core in zip(found, cores, strict=True))
    return Enclosure(V, rV), Enclosure(A, rA)  # type: ignore[return-value]


def visits(mdp: MDP, pi: Array) -> Array | None:
    """rho [*B,S] of a policy of that kind; None where :func:`worth` is not about it."""
    start: Any = mdp.rho0
    if (floats := _floats(mdp, pi)) is not None:
        return Enclosure(*enclosed_evaluation.visits(*floats))  # type: ignore[return-value]
    if (given := _tables(mdp, pi)) is None or not isinstance(start, Enclosure):
        return None
    batch, *tables = given
    rho, off = empty(batch, (mdp.S,)), empty(batch, (mdp.S,))
    _visits(*tables, *(expanded(matrix(x, batch, 1), mdp.S) for x in (start.mid, start.rad)), rho, off)
    return Enclosure(table(rho, batch, (mdp.S,)), table(off, batch, (mdp.S,)))  # type: ignore[return-value]


def _floats(mdp: MDP, pi: Array) -> tuple[MDP, Array] | None:
    """The float tables of which the process and the policy are exact normalisations; None where they are not."""
    if not (isinstance(mdp.P, Law) and isinstance(mdp.rho0, Law)):
        return None
    laws = [x.table if isinstance(x, Law) else x for x in (mdp.P, mdp.rho0, pi)]
    numbers = [x.mid if isinstance(x, Enclosure) and not x.rad.any() else x for x in (mdp.R, mdp.gamma)]
    if any(isinstance(x, Numbers) for x in (*laws, *numbers)):
        return None
    (P, rho0, policy), (R, gamma) = laws, numbers
    return trusted(P, R, rho0, gamma), policy


def _tables(mdp: MDP, pi: Array) -> tuple[Any, ...] | None:
    """The batch, then P, pi, its radii and gamma as kernels read them."""
    whole: Any = (mdp.P, mdp.gamma, pi)
    P, gamma, policy = whole
    if not isinstance(P, Law) or not isinstance(policy, Distributions) or isinstance(policy, Law):
        return None
    if isinstance(gamma, Enclosure) and gamma.rad.any():
        return None
    batch, pairs = np.broadcast_shapes(mdp.batch, policy.shape[:-2]), mdp.S * mdp.A
    law, off = (expanded(matrix(x, batch, 2), pairs) for x in (policy.mid, policy.rad))
    discount = matrix(gamma.mid if isinstance(gamma, Enclosure) else gamma, batch, 0)
    return batch, expanded(matrix(P.table, batch, 3), pairs * mdp.S), law, off, discount


@inner(types.Tuple((MATRIX, *[VECTOR] * 7))(VECTOR, SIZE), allocates=True)
def parts(tile: Any, n: Any) -> Any:
    """Rows of a tile for one policy, ``n^2 + 6 n + PLACES``: m, time, given, around, size, x, radius, known_to."""
    vectors = tile[n * n :]
    time, given, around, size = vectors[:n], vectors[n : 2 * n], vectors[2 * n : 3 * n], vectors[3 * n : 4 * n]
    x, radius, known_to = vectors[4 * n : 5 * n], vectors[5 * n : 6 * n], vectors[6 * n :]
    return tile[: n * n].reshape(n, n, WIDTH), time, given, around, size, x, radius, known_to


@inner(types.void(VECTOR, VECTOR, VECTOR, LANES, MATRIX, VECTOR, VECTOR, INDEX, VECTOR))
def factored(P: Any, law: Any, off: Any, gamma: Any, m: Any, time: Any, x: Any, chosen: Any, out: Any) -> None:
    """Eliminate ``I - gamma P_pi`` in the place of m, with times and references, and write what its solves are known to.

    The rows of P are normalised (:func:`bounds.enclosed_elimination.normalise`).
    """
    n = time.shape[0]
    actions = law.shape[0] // n
    chosen[:] = n - 1
    least = chain_plain(P, law, gamma, m)
    least = smallest(least, factor_plain(gamma, m, time))
    if tiles.rare(time):
        tiles.choose(m, time, x, chosen)
        least = smallest(least, chain_plain(P, law, gamma, m))
        tiles.exchange_states(m, chosen)
        least = smallest(least, factor_plain(gamma, m, time))
    part, drift = deviation(law, off, actions, 0)
    accuracy(part, drift, gamma, least, n, actions, False, out)


@inner(_PAIR(*[VECTOR] * 4, SIZE, SIZE))
def _mean(law: Any, off: Any, x: Any, r: Any, first: Any, n: Any) -> Any:
    """``sum_a pi(a) x(a)`` of a state whose actions are those from ``first`` on."""
    s, radius = lanes(0.0), lanes(0.0)
    bottom, top = lanes(np.inf), lanes(-np.inf)
    for k in range(first, first + n):
        y = get(x, (k,))
        p, rp = times(get(law, (k,)), get(off, (k,)), y, get(r, (k,)))
        s, error = two_sum(s, p)
        radius += rp + abs(error)
        bottom, top = smallest(bottom, y), largest(top, y)
    m, r_mean = known(s, radius * (GROW + 4 * U * n))
    if some((r_mean > WIDE * abs(m)) & (r_mean > 0.5 * (top - bottom))):
        low, high = lanes(np.inf), lanes(-np.inf)
        for k in range(first, first + n):
            low, high = extent(get(x, (k,)), get(r, (k,)), low, high)
        m, r_mean = within(m, r_mean, low, high)
    return m, r_mean


@inner(_PAIR(LANES, LANES, LANES, LANES))
def _less(a: Any, ra: Any, b: Any, rb: Any) -> Any:
    """Difference of two pairs."""
    m, r, _ = add(a, ra, -b, rb)
    return known(m, r)


@inner(_PAIR(VECTOR, VECTOR, VECTOR, VECTOR, LANES, LANES, SIZE))
def _ahead(P: Any, h: Any, rh: Any, reach: Any, reward: Any, gamma: Any, i: Any) -> Any:
    """``R + gamma P h`` of a state and an action, for rows that :func:`bounds.enclosed_elimination.normalise` has scaled.

    An entry costs n + 1, its product and the sum n more, that with gamma 1; n that were nearly nothing lose less than VANISHING.
    """
    n = h.shape[0]
    expected, size, carried, most = lanes(0.0), lanes(0.0), lanes(0.0), lanes(0.0)
    for j in range(n):
        p, whole = get(P, (i * n + j,)), get(reach, (j,))
        expected += p * get(h, (j,))
        size += p * whole
        carried += p * get(rh, (j,))
        most = largest(most, choose(p != 0.0, whole, 0.0))
    y, error = two_sum(reward, gamma * expected)
    slack = (2 * n + 4) * U * size + carried + VANISHING * most
    off = choose((most > 0.0) & (gamma != 0.0), abs(error) + (gamma * slack * (1 + 8 * n * U) + TINY), abs(error)) * GROW
    return checked(y, off)


@inner(types.void(*[VECTOR] * 3, MATRIX, VECTOR, INDEX, *[VECTOR] * 6))
def valued(
    law: Any,
    off: Any,
    reward: Any,
    m: Any,
    known_to: Any,
    chosen: Any,
    none: Any,
    given: Any,
    around: Any,
    size: Any,
    x: Any,
    radius: Any,
) -> None:
    """V of the policy of which m are the factors, into x and radius; its mean rewards, into given and around."""
    n = x.shape[0]
    actions = law.shape[0] // n
    for s in range(n):
        y, r = _mean(law, off, reward, none, s * actions, actions)
        put(given, (s,), y)
        put(around, (s,), r)
        put(x, (s,), y)
    bottom, total = source(given, around, get(known_to, (SOLVE,)), known_to, size)
    tiles.exchange(x, chosen)
    tiles.exchange(size, chosen)
    product, narrow = solve_values(False, m, m, x, none, size)
    settle(x, none, size, lost(smallest(bottom, product), narrow, total, known_to), radius)
    confine_values(x, radius, given, around, get(known_to, (HORIZON,)))
    tiles.exchange(x, chosen)
    tiles.exchange(radius, chosen)


@inner(types.void(*[VECTOR] * 4, LANES, MATRIX, VECTOR, VECTOR, INDEX, *[VECTOR] * 8))
def gained(
    P: Any,
    law: Any,
    off: Any,
    reward: Any,
    gamma: Any,
    m: Any,
    time: Any,
    known_to: Any,
    chosen: Any,
    none: Any,
    given: Any,
    around: Any,
    size: Any,
    x: Any,
    radius: Any,
    gain: Any,
    gain_off: Any,
) -> None:
    """A of the policy whose V was found last."""
    n = x.shape[0]
    actions = law.shape[0] // n
    for s in range(n):
        put(x, (s,), get(given, (s,)))
    bottom, total = source(given, around, get(known_to, (RELATIVE,)), known_to, size)
    tiles.exchange(x, chosen)
    tiles.exchange(size, chosen)
    product, narrow, level, _, spread = solve_relative_values(False, m, m, time, none, x, none, size, -1.0)
    loss = lost(smallest(bottom, product), narrow, total, known_to)
    settle(x, none, size, loss, radius)
    level, share = checked(level, (spread + loss) * GROW)
    level, share = confine_relative_values(x, radius, level, share, given, around, get(known_to, (HORIZON,)))
    put(x, (n - 1,), lanes(0.0))  # the reference itself
    put(radius, (n - 1,), lanes(0.0))
    tiles.exchange(x, chosen)
    tiles.exchange(radius, chosen)
    for s in range(n):
        put(size, (s,), abs(get(x, (s,))) + get(radius, (s,)))
    for s in range(n):
        for i in range(s * actions, (s + 1) * actions):
            y, r = _ahead(P, x, radius, size, get(reward, (i,)), gamma, i)
            y, r = _less(y, r, get(x, (s,)), get(radius, (s,)))
            y, r = _less(y, r, level, share)
            put(gain, (i,), y)
            put(gain_off, (i,), r)
        middle, half = _mean(law, off, gain, gain_off, s * actions, actions)
        for i in range(s * actions, (s + 1) * actions):
            y, r = _less(get(gain, (i,)), get(gain_off, (i,)), middle, half)
            put(gain, (i,), y)
            put(gain_off, (i,), r)


@chunked(types.void(*[TABLE] * 5, OUT, OUT, OUT, OUT))
def _worth(P: Any, pi: Any, off: Any, gamma: Any, R: Any, V: Any, rV: Any, A: Any, rA: Any) -> None:
    n, pairs = V.shape[0], pi.shape[0]
    tile = room(WIDTH * (pairs * n + 6 * pairs + n * n + 6 * n + PLACES)).reshape(-1, WIDTH)
    p, tile = tile[: pairs * n], tile[pairs * n :]
    law, tile = tile[:pairs], tile[pairs:]
    law_off, tile = tile[:pairs], tile[pairs:]
    reward, tile = tile[:pairs], tile[pairs:]
    none, tile = tile[:pairs], tile[pairs:]
    gain, tile = tile[:pairs], tile[pairs:]
    gain_off, tile = tile[:pairs], tile[pairs:]
    m, time, given, around, size, x, radius, known_to = parts(tile, n)
    chosen = np.empty(WIDTH, np.int64)
    none[:] = 0.0
    for block in range((V.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, V.shape[1])
        load(P, at, p)
        normalise(p, n)
        load(pi, at, law)
        load(off, at, law_off)
        load(R, at, reward)
        discount = fetch(gamma, 0, at)
        factored(p, law, law_off, discount, m, time, x, chosen, known_to)
        valued(law, law_off, reward, m, known_to, chosen, none, given, around, size, x, radius)
        for s in range(n):
            keep(get(x, (s,)), V, s, at)
            keep(get(radius, (s,)), rV, s, at)
        gained(p, law, law_off, reward, discount, m, time, known_to, chosen, none, given, around, size, x, radius, gain, gain_off)
        for i in range(pairs):
            keep(get(gain, (i,)), A, i, at)
            keep(get(gain_off, (i,)), rA, i, at)


@chunked(types.void(*[TABLE] * 6, OUT, OUT))
def _visits(P: Any, pi: Any, off: Any, gamma: Any, start_at: Any, around_start: Any, rho: Any, r: Any) -> None:
    n, pairs = rho.shape[0], pi.shape[0]
    tile = room(WIDTH * (pairs * n + 2 * pairs + n * n + 7 * n + PLACES)).reshape(-1, WIDTH)
    p, tile = tile[: pairs * n], tile[pairs * n :]
    law, tile = tile[:pairs], tile[pairs:]
    law_off, tile = tile[:pairs], tile[pairs:]
    none, tile = tile[:n], tile[n:]
    m, time, given, around, size, x, radius, known_to = parts(tile, n)
    chosen = np.empty(WIDTH, np.int64)
    none[:] = 0.0
    for block in range((rho.shape[1] + WIDTH - 1) // WIDTH):
        at = start(block, rho.shape[1])
        load(P, at, p)
        normalise(p, n)
        load(pi, at, law)
        load(off, at, law_off)
        load(start_at, at, given)
        load(around_start, at, around)
        factored(p, law, law_off, fetch(gamma, 0, at), m, time, x, chosen, known_to)
        for s in range(n):
            put(x, (s,), get(given, (s,)))
        bottom, total = source(given, around, get(known_to, (SOLVE,)), known_to, size)
        tiles.exchange(x, chosen)
        tiles.exchange(size, chosen)
        product, narrow = solve_occupancy(False, m, m, x, none, size)
        settle(x, none, size, lost(smallest(bottom, product), narrow, total, known_to), radius)
        tiles.exchange(x, chosen)
        tiles.exchange(radius, chosen)
        for s in range(n):
            y, half = nonnegative(get(x, (s,)), get(radius, (s,)))
            keep(y, rho, s, at)
            keep(half, r, s, at)
