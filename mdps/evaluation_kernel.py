"""Evaluation of a batch in one pass: a tile of instances is read once and stays in cache until its results are written."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from mdps import slabs, tiles
from mdps.batches import rows, share
from mdps.distributions import allowance
from mdps.kernels import chunked, inner
from mdps.lane_masks import choose, some
from mdps.lane_rows import gather, scatter, settle, stream, turn
from mdps.lanes import TABLE, WIDTH, ahead, get, lanes, load, put, room, store, write
from mdps.mdp import MDP, ROW_SUM_TOLERANCE, Array
from mdps.planes import planes, unfolded, widened

_INDEX = types.Array(types.int64, 1, "A", readonly=True)
_OUT = types.float64[:, ::1]
_SIZE = types.int64

Factored = tuple[Array, Array, NDArray[np.int64]]
"""Factors [N,S,S], times [N,S] and references [N]."""

LARGE = 1 << 22
"""Bytes of results that no near cache could keep for whoever reads them next."""


def evaluate_batch(mdp: MDP, pi: Array, batch: tuple[int, ...]) -> tuple[tuple[Array, ...], Factored | None]:
    """Return V, Q, A, rho, d and eta [*batch, ...] of checked float tables; the algorithm is that of :mod:`mdps.elimination`.

    They are in planes (:mod:`mdps.planes`) if the MDP is. Then what was factored on the way is returned too: planes of a chunk
    are near, and are asked for it again.
    """
    if batch == mdp.batch and planes(mdp.P, 3) is not None:
        return _in_planes(mdp, pi)
    return _in_rows(mdp, pi, batch, _NOT_KEPT)[1], None


def check_and_evaluate(mdp: MDP, pi: Any) -> tuple[Array, ...] | None:
    """Return what :func:`mdps.mdp.as_policy` makes of a policy table [*B,S,A], then V, Q, A, rho, d and eta, in the same pass.

    None for a table that is not plainly right, or is not a table of floats, one instance after the other, for each process: what
    is wrong with it, and where, ``as_policy`` says.
    """
    if not isinstance(pi, np.ndarray) or isinstance(pi, np.ma.MaskedArray):
        return None
    if pi.dtype != np.float64 or not pi.flags.c_contiguous or not pi.size:
        return None
    batch = pi.shape[:-2]
    if pi.shape[-2:] != (mdp.S, mdp.A) or not _fits(mdp.batch, batch) or planes(mdp.P, 3) is not None:
        return None
    kept = slabs.empty(pi.shape)
    right, results = _in_rows(mdp, pi, batch, kept.reshape(-1, mdp.S * mdp.A))
    return (kept, *results) if right else None


def _fits(batch: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to a whole one."""
    return len(batch) <= len(whole) and all(x in (1, y) for x, y in zip(batch[::-1], whole[::-1], strict=False))


def _in_rows(mdp: MDP, pi: Array, batch: tuple[int, ...], kept: Array) -> tuple[bool, tuple[Array, ...]]:
    """Results of an MDP whose instances follow each other, and whether the policy was right where it had to be kept."""
    states, actions = mdp.S, mdp.A
    tables = ((mdp.P, 3), (pi, 2), (mdp.R, 2), (mdp.rho0, 1), (mdp.gamma, 0))
    cores = ((states,), (states, actions), (states, actions), (states,), (states,), ())
    results = tuple(slabs.empty(batch + core) for core in cores)
    count = results[-1].size
    given: list[Any] = []
    for table, core in tables:
        flat, index = rows(table, batch, core)
        given += [flat, _IN_ORDER if len(flat) == count else index]
    outputs = [*(result.reshape(count, -1) for result in results), kept]
    past = sum(output.nbytes for output in outputs) >= LARGE
    wrong: list[int] = []

    def run(start: int, stop: int) -> None:
        if not _evaluate(*given, *outputs, *_NOT_FACTORED, False, past, states, actions, start, stop):
            wrong.append(start)

    share(run, count, WIDTH, states**3 / 3 + states**2 * (actions + 6))
    return not wrong, results


def _in_planes(mdp: MDP, pi: Array) -> tuple[tuple[Array, ...], Factored]:
    """The same of an MDP [N] in planes, and its factors, times and references; by one thread, as it is a part of a batch."""
    count, states, actions = mdp.R.shape
    given: list[Any] = []
    for table, core in (
        (mdp.P, (states, actions, states)),
        (pi, (states, actions)),
        (mdp.R, (states, actions)),
        (mdp.rho0, (states,)),
        (mdp.gamma, ()),
    ):
        given += [widened(table, core, count), _IN_ORDER]
    cores = ((states,), (states, actions), (states, actions), (states,), (states,), (), (states, states), (states,))
    outputs = [np.empty((math.prod(core), count)) for core in cores]
    references = np.empty(count, np.int64)
    results, factored = outputs[:6], outputs[6:]
    _evaluate(*given, *results, _NOT_KEPT, *factored, references, True, False, states, actions, 0, count)
    *found, factors, times = (unfolded(output, core) for output, core in zip(outputs, cores, strict=True))
    return tuple(found), (factors, times, references)


_NOT_KEPT = np.empty((0, 0))
"""In place of a copy of the policy: it was checked before."""

_NOT_FACTORED = np.empty((0, 0)), np.empty((0, 0)), np.empty(0, np.int64)
"""In place of factors, times and references, where they are not kept."""

_IN_ORDER = np.empty(0, np.int64)
"""In place of an index of as many rows as there are instances."""


@inner(types.boolean(tiles.VECTOR, _SIZE))
def _plain(pi: Any, actions: Any) -> bool:
    """Whether a tile's policies are plainly right; they are normalised as :func:`mdps.distributions.distributions` does it."""
    rounding = allowance(actions)
    right = lanes(0.0) == 0.0
    for s in range(0, pi.shape[0], actions):
        total = lanes(0.0)
        for k in range(s, s + actions):
            x = get(pi, (k,))
            total += x
            right &= x >= 0.0
        deviation = abs(total - 1.0)
        right &= deviation <= ROW_SUM_TOLERANCE  # nan and infinity are in the sum
        loose = deviation > rounding
        if some(loose):
            for k in range(s, s + actions):
                put(pi, (k,), choose(loose, get(pi, (k,)) / total, get(pi, (k,))))
    return not some(~right)


@inner(types.void(_INDEX, _SIZE, _SIZE, tiles.INDEX), inlined=True)
def _find_in(at: Any, first: Any, stop: Any, rows: Any) -> None:
    for lane in range(WIDTH):
        rows[lane] = min(first + lane, stop - 1)
    if len(at):
        for lane in range(WIDTH):
            rows[lane] = at[rows[lane]]


@inner(types.void(*[_INDEX] * 5, _SIZE, _SIZE, tiles.INDICES), inlined=True)
def _find(P_at: Any, pi_at: Any, R_at: Any, rho0_at: Any, gamma_at: Any, first: Any, stop: Any, which: Any) -> None:
    """Write which rows the instances of a tile read of each table; lanes beyond the last instance repeat it."""
    _find_in(P_at, first, stop, which[0])
    _find_in(pi_at, first, stop, which[1])
    _find_in(R_at, first, stop, which[2])
    _find_in(rho0_at, first, stop, which[3])
    _find_in(gamma_at, first, stop, which[4])


PARTS = 8
"""In which a tile is asked for ahead."""

FEW = 128
"""Numbers of a row that are asked for a tile ahead; a tile of longer rows is brought in time by the memory itself."""


@inner(types.void(TABLE, tiles.INDEX, _SIZE), inlined=True)
def _await_rows(table: Any, rows: Any, part: Any) -> None:
    numbers = table.shape[1]
    if numbers <= FEW:
        first, stop = part * WIDTH // PARTS, (part + 1) * WIDTH // PARTS
        if rows[stop - 1] - rows[first] == stop - 1 - first:
            ahead(table, rows[first], 0, (stop - first) * numbers)
        else:
            for lane in range(first, stop):
                ahead(table, rows[lane], 0, numbers)


@inner(types.void(types.boolean, *[TABLE] * 3, tiles.INDICES, _SIZE), inlined=True)
def _await(planar: Any, P: Any, pi: Any, R: Any, later: Any, part: Any) -> None:
    """Have memory bring a part of what the next tile reads while this one is computed: all of it at once would queue.

    Planes are asked for as they are read (:func:`mdps.lanes.load`).
    """
    if not planar:
        _await_rows(P, later[0], part)
        _await_rows(pi, later[1], part)
        _await_rows(R, later[2], part)


@inner(
    types.boolean(
        *[TABLE, _INDEX] * 5,
        *[_OUT] * 9,
        tiles.INDEX,
        types.boolean,
        types.boolean,
        *[_SIZE] * 4,
        _OUT,
        *[tiles.INDICES] * 2,
        tiles.INDEX,
    ),
    inlined=True,
)
def _evaluate_tiles(
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
    kept: Any,
    factors: Any,
    times: Any,
    references: Any,
    planar: Any,
    past: Any,
    n: Any,
    actions: Any,
    start: Any,
    stop: Any,
    block: Any,
    which: Any,
    later: Any,
    reference: Any,
) -> bool:
    """Work through a chunk, in a block of memory; counting references to it in here would cost more than small tables do."""
    pairs = n * actions
    p, block = block[: pairs * n], block[pairs * n :]
    law, block = block[:pairs], block[pairs:]
    reward, block = block[:pairs], block[pairs:]
    advantage, block = block[:pairs], block[pairs:]
    q, block = block[:pairs], block[pairs:]
    V_draft, block = block[:n].reshape(WIDTH, n), block[n:]
    Q_draft, block = block[:pairs].reshape(WIDTH, pairs), block[pairs:]
    A_draft, block = block[:pairs].reshape(WIDTH, pairs), block[pairs:]
    rho_draft, block = block[:n].reshape(WIDTH, n), block[n:]
    d_draft, block = block[:n].reshape(WIDTH, n), block[n:]
    eta_draft, block = block[:1].reshape(WIDTH, 1), block[1:]
    kept_draft, block = block[:pairs].reshape(WIDTH, pairs), block[pairs:]
    m, block = block[: n * n].reshape(n, n, WIDTH), block[n * n :]
    time, block = block[:n], block[n:]
    inverse, block = block[:n], block[n:]
    first_law, block = block[:n], block[n:]
    v, block = block[:n], block[n:]
    h, block = block[:n], block[n:]
    mean, block = block[:n], block[n:]
    visits, block = block[:n], block[n:]
    share, block = block[:n], block[n:]
    discount, total = block[:1], block[1:2]
    right = True
    if not planar:
        _find(P_at, pi_at, R_at, rho0_at, gamma_at, start, stop, which)
    for first in range(start, stop, WIDTH):
        count = min(WIDTH, stop - first)
        if planar:
            which[0, 0] = first
            load(pi, first, 0, pairs, law)
            load(R, first, 0, pairs, reward)
            load(rho0, first, 0, n, first_law)
            load(gamma, first, 0, 1, discount)
        else:
            gather(pi, which[1], 0, pairs, law)
            gather(R, which[2], 0, pairs, reward)
            gather(rho0, which[3], 0, n, first_law)
            gather(gamma, which[4], 0, 1, discount)
            _find(P_at, pi_at, R_at, rho0_at, gamma_at, first + WIDTH, stop, later)
            if len(kept):
                right = _plain(law, actions) and right
                if past and count == WIDTH:
                    turn(law, kept_draft)
                else:
                    scatter(law, kept, first, count)
        _await(planar, P, pi, R, later, 0)
        gamma_ = get(discount, (0,))
        tiles.eliminate(P, planar, which[0], p, law, gamma_, m, inverse, time, visits, reference)

        _await(planar, P, pi, R, later, 1)
        for s in range(n):
            expected, mass = lanes(0.0), lanes(0.0)
            for k in range(s * actions, (s + 1) * actions):
                expected += get(law, (k,)) * get(reward, (k,))
                mass += get(law, (k,))
            expected = tiles.over(expected, mass)
            put(mean, (s,), expected)
            put(v, (s,), expected)
            put(visits, (s,), get(first_law, (s,)))
        _await(planar, P, pi, R, later, 2)
        tiles.exchange(v, reference)
        tiles.descend(m, v)
        level = get(v, (n - 1,)) / get(time, (n - 1,))
        tiles.ascend(m, inverse, v)
        tiles.exchange(v, reference)
        _await(planar, P, pi, R, later, 3)
        for s in range(n):  # the level is taken out first: states that never meet the reference keep their digits too
            put(h, (s,), get(mean, (s,)) - level)
        tiles.exchange(h, reference)
        tiles.descend(m, h)
        level += tiles.ascend_relative(m, inverse, time, h, lanes(-1.0))
        tiles.exchange(h, reference)
        _await(planar, P, pi, R, later, 4)
        tiles.exchange(visits, reference)
        tiles.solve_transposed(m, inverse, visits)
        tiles.exchange(visits, reference)

        _await(planar, P, pi, R, later, 5)
        tiles.expect(p, h, advantage)
        _await(planar, P, pi, R, later, 6)
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
            expected = tiles.over(expected, mass)  # zero by definition, here up to rounding: restores sum_a pi A = 0
            for k in range(s * actions, (s + 1) * actions):
                a = get(advantage, (k,)) - expected
                put(advantage, (k,), a)
                put(q, (k,), value + a)
        _await(planar, P, pi, R, later, 7)
        put(total, (0,), gained)
        if planar:
            store(v, V, first)
            store(q, Q, first)
            store(advantage, A, first)
            store(visits, rho, first)
            store(share, d, first)
            store(total, eta, first)
            for i in range(n):
                write(times, i, first, get(time, (i,)))
                for j in range(n):
                    write(factors, i * n + j, first, get(m, (i, j)))
            for lane in range(WIDTH):
                references[first + lane] = reference[lane]
        else:
            if past and count == WIDTH:
                turn(v, V_draft)
                turn(q, Q_draft)
                turn(advantage, A_draft)
                turn(visits, rho_draft)
                turn(share, d_draft)
                turn(total, eta_draft)
                if len(kept):
                    stream(kept_draft, kept, first)
                stream(V_draft, V, first)
                stream(Q_draft, Q, first)
                stream(A_draft, A, first)
                stream(rho_draft, rho, first)
                stream(d_draft, d, first)
                stream(eta_draft, eta, first)
            else:
                scatter(v, V, first, count)
                scatter(q, Q, first, count)
                scatter(advantage, A, first, count)
                scatter(visits, rho, first, count)
                scatter(share, d, first, count)
                scatter(total, eta, first, count)
            which, later = later, which
    if past:
        settle()
    return right


@chunked(types.boolean(*[TABLE, _INDEX] * 5, *[_OUT] * 9, tiles.INDEX, types.boolean, types.boolean, *[_SIZE] * 4), rolled=True)
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
    kept: Any,
    factors: Any,
    times: Any,
    references: Any,
    planar: Any,
    past: Any,
    n: Any,
    actions: Any,
    start: Any,
    stop: Any,
) -> bool:
    pairs = n * actions
    block = room(WIDTH * (pairs * n + 7 * pairs + n * n + 11 * n + 3)).reshape(-1, WIDTH)
    which, later, reference = np.empty((5, WIDTH), np.int64), np.empty((5, WIDTH), np.int64), np.empty(WIDTH, np.int64)
    return _evaluate_tiles(
        P,
        P_at,
        pi,
        pi_at,
        R,
        R_at,
        rho0,
        rho0_at,
        gamma,
        gamma_at,
        V,
        Q,
        A,
        rho,
        d,
        eta,
        kept,
        factors,
        times,
        references,
        planar,
        past,
        n,
        actions,
        start,
        stop,
        block,
        which,
        later,
        reference,
    )
