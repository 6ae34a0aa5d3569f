"""The laws that gain most within a KL ball or against a price of KL, in batches.

At every state the answer is a law of :mod:`trpo.tilt`. The max-KL ball gives each state a radius, the mean-KL ball one price to
all states, and a penalty on the largest KL one radius to all (:mod:`trpo.sharing`). Instances are worked on side by side, and
chunks of a batch on all cores; the numbers of one do not depend on the others.

Radii and prices so extreme that a probability would underflow are answered with that probability at ``TINY``, or at
q_a if that is smaller still: the distance stays finite and within the radius, the gain lost is below ``TINY``.
A mean KL is met to 1e-13 of the radius or to 1e-15, whichever is more, from inside.

Every function takes the old laws ``q`` and ``regret``, max A - A over all actions, both [*B,S,A], and returns new laws
[*B,S,A]. States where nothing can be gained keep theirs bit for bit, and so do those of weight 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numpy.typing import ArrayLike

from mdps.batches import rows, share
from mdps.kernels import chunked
from mdps.lane_masks import choose, largest, smallest, some
from mdps.lane_rows import gather, scatter
from mdps.lanes import TABLE, WIDTH, get, lanes, put, room
from mdps.mdp import Array
from trpo.searches import at_radius
from trpo.sharing import LEAST_RADIUS, at_common_price, at_mean_radius, at_total_price, prepare
from trpo.tilt import TINY, respond, tilt

MOST_PRICE = 1e100
"""At this price, in units of the largest regret, a law is within a radius that is read as 0."""

_MAX_KL, _MEAN_KL, _PRICED, _MAX_PENALISED = range(4)
_INDEX = types.Array(types.int64, 1, "A", readonly=True)
_WORK = 250.0
"""Operations that a probability takes, roughly."""


def max_kl_law(q: Array, regret: Array, radius: ArrayLike) -> Array:
    """The best laws with ``KL(q||p) <= radius``, finite, one number or [*B,S], at each state."""
    return _laws(_MAX_KL, q[..., None, :], regret[..., None, :], np.ones(1), radius)[..., 0, :]


def mean_kl_law(q: Array, regret: Array, weight: Array, radius: ArrayLike) -> Array:
    """The best laws with ``sum_s weight KL(q||p) <= radius``, finite, one number or [*B]; the weight is [*B,S]."""
    return _laws(_MEAN_KL, q, regret, weight, radius)


def priced_law(q: Array, regret: Array, weight: Array, price: ArrayLike) -> Array:
    """The laws that maximise ``gain - price KL(q||p)`` at every state, 0 < price < inf, one number or [*B]."""
    return _laws(_PRICED, q, regret, weight, price)


def max_penalised_law(q: Array, regret: Array, weight: Array, price: ArrayLike) -> Array:
    """The laws that maximise ``sum_s weight gain - price max_s KL(q||p)``, over states of positive weight, 0 < price < inf.

    With all states in balls of radius r this is concave in r, and best where the states' prices sum to ``price``.
    """
    return _laws(_MAX_PENALISED, q, regret, weight, price)


def _laws(problem: int, q: Array, regret: Array, weight: Array, number: ArrayLike) -> Array:
    law = np.empty(q.shape)
    if not law.size:
        return law
    tables = ((q, 2), (regret, 2), (weight, 1), (np.asarray(number, dtype=float), 0))
    given = [part for table, core in tables for part in rows(table, q.shape[:-2], core)]
    out = law.reshape(-1, math.prod(q.shape[-2:]))

    def run(start: int, stop: int) -> None:
        _respond(*given, out, problem, q.shape[-2], start, stop)

    share(run, len(out), WIDTH, _WORK * out.shape[1])
    return law


@chunked(types.void(*[TABLE, _INDEX] * 4, types.float64[:, ::1], *[types.int64] * 4))
def _respond(
    q_rows: Any,
    q_at: Any,
    regret_rows: Any,
    regret_at: Any,
    weight_rows: Any,
    weight_at: Any,
    number_rows: Any,
    number_at: Any,
    out: Any,
    problem: Any,
    n: Any,
    start: Any,
    stop: Any,
) -> None:
    pairs = q_rows.shape[1]
    actions = pairs // n
    which = np.empty((4, WIDTH), np.int64)
    block = room(WIDTH * (3 * pairs + 6 * n + actions + 1)).reshape(-1, WIDTH)
    old, block = block[:pairs], block[pairs:]
    lost, block = block[:pairs], block[pairs:]
    q, regret = old.reshape(n, actions, WIDTH), lost.reshape(n, actions, WIDTH)
    c, block = block[:pairs].reshape(n, actions, WIDTH), block[pairs:]
    weight, block = block[:n], block[n:]
    low, block = block[:n], block[n:]
    least_price, block = block[:n], block[n:]
    part, block = block[:n], block[n:]
    y, block = block[:n], block[n:]
    log_share, block = block[:n], block[n:]
    w, given = block[:actions], block[actions:]
    for first in range(start, stop, WIDTH):
        count = min(WIDTH, stop - first)
        for lane in range(WIDTH):  # lanes beyond the last instance repeat it
            i = first + min(lane, count - 1)
            which[0, lane], which[1, lane], which[2, lane], which[3, lane] = q_at[i], regret_at[i], weight_at[i], number_at[i]
        gather(q_rows, which[0], 0, pairs, old)
        gather(regret_rows, which[1], 0, pairs, lost)
        gather(weight_rows, which[2], 0, n, weight)
        gather(number_rows, which[3], 0, 1, given)
        number = get(given, (0,))
        scale = prepare(q, regret, weight, c, low, least_price, part)
        moves = scale > 0.0
        for s in range(n):
            put(y, (s,), lanes(0.0))
            put(log_share, (s,), lanes(0.0))
        if problem == _MAX_KL:
            moves &= number > LEAST_RADIUS
            place = at_radius(q[0], c[0], get(low, (0,)), number, lanes(0.0), moves, w)
            put(y, (0,), place)
            at_end = moves & (place <= get(low, (0,)))
            if some(at_end):
                kl, _, _, _ = tilt(q[0], c[0], place, w)
                put(log_share, (0,), choose(at_end, smallest(kl - number * (1.0 - 1e-14), lanes(0.0)), 0.0))
        elif problem == _MEAN_KL:
            moves &= number > LEAST_RADIUS
            at_mean_radius(q, c, part, low, least_price, number, moves, y, log_share, w)
        else:
            price = largest(number / choose(moves, scale, 1.0), lanes(TINY))
            moves &= price < MOST_PRICE
            price = choose(moves, price, 1.0)
            if problem == _PRICED:
                at_common_price(q, c, part, low, least_price, price, moves, y, log_share, w)
            else:
                moves &= at_total_price(q, c, part, low, price, moves, y, log_share, w)
        for s in range(n):
            move = moves & (get(part, (s,)) > 0.0)
            respond(q[s], c[s], regret[s], choose(move, get(y, (s,)), 1.0), get(log_share, (s,)), w)
            for a in range(actions):
                put(q, (s, a), choose(move, get(w, (a,)), get(q, (s, a))))
        scatter(old, out, first, count)
