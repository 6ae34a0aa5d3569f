"""Shifts and divergences of two rows of probabilities, with radii; see :mod:`bounds.enclosed_kernels`.

Rows that are *raw* are read as their exact normalisation. Many instances go through the ordinary case side by side; what is out
of the ordinary, such as an infinite divergence, is done again row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from bounds.enclosed_planes import OUT, SIZE
from bounds.rounding import GROW, LIBRARY, TINY, U, nonnegative, two_sum
from mdps.kernels import chunked, inner
from mdps.lane_masks import choose, fetch, keep, largest, smallest, some, start
from mdps.lanes import LANES, TABLE, WIDTH, lanes

LOOSE = 1e-3
"""A row whose sum is further than this from one is no row of a distribution; nothing is said of it."""

_TWO = types.UniTuple(LANES, 2)


@inner("UniTuple(f8,2)(f8[::1])")
def _mass(p: Any) -> Any:
    """The sum of a row, and a bound on what rounding took from it."""
    mass, lost = 0.0, 0.0
    for a in range(p.shape[0]):
        mass, error = two_sum(mass, p[a])
        lost += abs(error)
    return mass, lost * (1 + 4 * p.shape[0] * U)


@inner("UniTuple(f8,4)(f8[::1],f8[::1])")
def _moved(old: Any, new: Any) -> Any:
    """Total of new - old with its error, and how far the masses of old and new are from one."""
    total, lost = 0.0, 0.0
    for a in range(old.shape[0]):
        d, error = two_sum(new[a], -old[a])
        total, rest = two_sum(total, d)
        lost += abs(error) + abs(rest)
    old_mass, old_lost = _mass(old)
    new_mass, new_lost = _mass(new)
    return (
        total,
        lost * (1 + 8 * old.shape[0] * U),
        (abs(old_mass - 1.0) + old_lost) * (1 + 1e-3),
        (abs(new_mass - 1.0) + new_lost) * (1 + 1e-3),
    )


@inner(_TWO(TABLE, SIZE, SIZE, SIZE))
def _masses(p: Any, first: Any, stop: Any, at: Any) -> Any:
    """``_mass`` side by side."""
    mass, lost = lanes(0.0), lanes(0.0)
    for k in range(first, stop):
        mass, error = two_sum(mass, fetch(p, k, at))
        lost += abs(error)
    return mass, lost * (1 + 4 * (stop - first) * U)


@inner(types.UniTuple(LANES, 4)(TABLE, TABLE, SIZE, SIZE, SIZE))
def _all_moved(old: Any, new: Any, first: Any, stop: Any, at: Any) -> Any:
    """``_moved`` side by side."""
    total, lost = lanes(0.0), lanes(0.0)
    for k in range(first, stop):
        d, error = two_sum(fetch(new, k, at), -fetch(old, k, at))
        total, rest = two_sum(total, d)
        lost += abs(error) + abs(rest)
    old_mass, old_lost = _masses(old, first, stop, at)
    new_mass, new_lost = _masses(new, first, stop, at)
    return (
        total,
        lost * (1 + 8 * (stop - first) * U),
        (abs(old_mass - 1.0) + old_lost) * (1 + 1e-3),
        (abs(new_mass - 1.0) + new_lost) * (1 + 1e-3),
    )


@chunked(types.void(TABLE, TABLE, SIZE, OUT, OUT))
def shift(old: Any, new: Any, n: Any, m: Any, r: Any) -> None:
    """``new/N - old/O`` for rows of n entries with sums N and O near one.

    It is ``(d - old (N-O)/O) / N`` with d = new - old. The kernel leaves out the divisions, which are of second order.
    """
    for first in range(0, m.shape[0], n):
        for block in range((m.shape[1] + WIDTH - 1) // WIDTH):
            at = start(block, m.shape[1])
            total, lost, off_old, off_new = _all_moved(old, new, first, first + n, at)
            proper = largest(off_old, off_new) < LOOSE
            even = (total == 0.0) & (lost == 0.0)
            for k in range(first, first + n):
                p = fetch(old, k, at)
                d, error = two_sum(fetch(new, k, at), -p)
                back = p * total
                x, rest = two_sum(d, -back)
                rounding = abs(error) + abs(rest) + p * lost + U * abs(back)
                normalising = 1.01 * (abs(x) * off_new + p * (abs(total) + lost) * off_old)
                off = choose(proper, (rounding + normalising) * GROW + TINY, np.inf)
                exact = even & (error == 0.0) & ((x == 0.0) | (off_new == 0.0))
                keep(x, m, k, at)
                keep(choose(exact, 0.0, off), r, k, at)


@chunked(types.void(TABLE, SIZE, OUT))
def off_normalised(p: Any, n: Any, off: Any) -> None:
    """A bound on how far each entry of rows of n is from that of the normalised row; inf if its sum is off by no rounding."""
    for first in range(0, off.shape[0], n):
        for block in range((off.shape[1] + WIDTH - 1) // WIDTH):
            at = start(block, off.shape[1])
            mass, lost = _masses(p, first, first + n, at)
            far = (abs(mass - 1.0) + lost) * (1 + 1e-3)
            even = far == 0.0
            far = choose(far < LOOSE, far * 1.01, np.inf)
            for k in range(first, first + n):
                x = fetch(p, k, at)
                share = choose(far < np.inf, x * far + choose(x > 0.0, TINY, 0.0), np.inf)
                keep(choose(even, 0.0, share), off, k, at)


@inner("UniTuple(f8,2)(f8)")
def _x_less_log(x: Any) -> Any:
    """``x - log(1+x)`` for |x| <= 1/2, and its rounding error: the series costs less than 8, its truncation 1e-19."""
    if abs(x) > 0.3:
        value = np.log1p(x)
        return x - value, LIBRARY * abs(value) + U * abs(x - value)
    s = x / (2.0 + x)
    z = s * s
    tail = 0.0
    for k in range(12, 0, -1):
        tail = tail * z + 1.0 / (2 * k + 1)
    value = x * s - 2.0 * s * z * tail
    return value, 10 * U * value


@inner("UniTuple(f8,2)(f8[::1],f8[::1],f8[::1],f8[::1],b1)")
def _kl(p: Any, rp: Any, q: Any, rq: Any, raw: Any) -> Any:
    """KL(p || q) of two rows, case by case."""
    total, lost, off_old, off_new = 0.0, 0.0, 0.0, 0.0
    if raw:
        total, lost, off_old, off_new = _moved(p, q)
    ratio = 1.01 * (abs(total) + lost)  # of the masses, less one
    result, radius = 0.0, 0.0 if max(off_old, off_new) < LOOSE else np.inf
    infinite = False
    for a in range(p.shape[0]):
        d, error = two_sum(q[a], -p[a])
        back = p[a] * total
        z = d - back
        slip = abs(error) + p[a] * lost + U * (abs(back) + abs(z)) + ratio * (abs(z) + 1.01 * p[a] * off_old)
        if z == 0.0 and error == 0.0 and ratio == 0.0:
            slip = 0.0
        term, off = 0.0, 0.0
        low_p, low_q = p[a] - rp[a], q[a] - rq[a]
        if p[a] == 0.0 and rp[a] == 0.0:
            term, off = z, slip + rq[a]
        elif not low_p > 0.0:
            off = np.inf
        elif q[a] == 0.0 and rq[a] == 0.0:
            infinite = True
        elif not low_q > 0.0:
            off = np.inf
        else:
            near = abs(z) <= 0.5 * p[a]
            if near:
                x = z / p[a]
                term, error = _x_less_log(x)
                term *= p[a]
                step = slip + U * abs(z)
                off = error * p[a] + U * term + 2.1 * (abs(x) + step / p[a]) * step
                if not step <= 0.01 * p[a]:
                    off = np.inf
            else:
                up, down = np.log(q[a]), np.log(p[a])
                term = z - p[a] * (up - down)
                logs = 1.01 * LIBRARY * (abs(up) + abs(down)) + ratio
                off = slip + p[a] * logs + 4 * U * (p[a] * abs(up - down) + abs(z)) + U * abs(term)
            if rp[a] != 0.0 or rq[a] != 0.0:
                reach = abs(q[a] - p[a]) * (1 + 2 * U) + rp[a] + rq[a]
                slope = reach / min(low_p, low_q)
                if not near:
                    slope = min(slope, 1.01 * abs(np.log(q[a]) - np.log(p[a])) + rp[a] / low_p + rq[a] / low_q)
                off += 1.001 * (rq[a] / low_q * reach + rp[a] * slope)
        if term != 0.0 or off != 0.0 or z != 0.0 or (ratio != 0.0 and p[a] != 0.0):  # some of it may have vanished
            result, error = two_sum(result, term)
            radius += off * GROW + abs(error) + TINY
    if infinite:
        return np.inf, 0.0
    if not radius < np.inf or not abs(result) < np.inf:
        return 0.0, np.inf
    radius = radius * (GROW + 4 * p.shape[0] * U) + 1.01 * (abs(result) + radius) * off_old
    return nonnegative(result, radius)


@inner(_TWO(LANES))
def _series(x: Any) -> Any:
    """``_x_less_log`` for |x| <= 1/2, side by side: by z^18 / 37 < 1e-18 the series is cut off, its roundings are the same."""
    s = x / (2.0 + x)
    z = s * s
    tail = lanes(0.0)
    for k in range(18, 0, -1):
        tail = tail * z + 1.0 / (2 * k + 1)
    value = x * s - 2.0 * s * z * tail
    return value, 10 * U * value


@chunked(types.void(*[TABLE] * 6, SIZE, types.boolean, OUT, OUT))
def kl(p: Any, rp: Any, q: Any, rq: Any, log_p: Any, log_q: Any, n: Any, raw: Any, m: Any, r: Any) -> None:
    """KL(p || q) of rows of n entries: with x = q/p - 1 the sum of ``p (x - log(1+x))``, every term nonnegative.

    If ``raw``, the difference is that of :func:`shift` up to factors of second order. If not, the numbers themselves sum to one,
    and a term moves by at most ``rq |1 - p/q| + rp |log(p/q)|``. The radii are rows of one entry where there are none.
    """
    a, ra, b, rb = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    again = np.empty((1, WIDTH), np.bool_)
    for row in range(m.shape[0]):
        first = row * n
        for block in range((m.shape[1] + WIDTH - 1) // WIDTH):
            at = start(block, m.shape[1])
            total, lost, off_old, off_new = lanes(0.0), lanes(0.0), lanes(0.0), lanes(0.0)
            if raw:
                total, lost, off_old, off_new = _all_moved(p, q, first, first + n, at)
            odd = largest(off_old, off_new) >= LOOSE
            ratio = 1.01 * (abs(total) + lost)  # of the masses, less one
            result, radius = lanes(0.0), lanes(0.0)
            for k in range(first, first + n):
                x, y = fetch(p, k, at), fetch(q, k, at)
                rx, ry = fetch(rp, min(k, rp.shape[0] - 1), at), fetch(rq, min(k, rq.shape[0] - 1), at)
                d, error = two_sum(y, -x)
                back = x * total
                z = d - back
                slip = abs(error) + x * lost + U * (abs(back) + abs(z)) + ratio * (abs(z) + 1.01 * x * off_old)
                slip = choose((z == 0.0) & (error == 0.0) & (ratio == 0.0), 0.0, slip)
                low_p, low_q = x - rx, y - ry
                nothing = (x == 0.0) & (rx == 0.0)
                odd |= ~nothing & ~((low_p > 0.0) & (low_q > 0.0))
                near = abs(z) <= 0.5 * x
                share = choose(near & ~nothing, z / x, 0.0)
                small, slack = _series(share)
                small = small * x
                step = slip + U * abs(z)
                off = slack * x + U * small + 2.1 * (abs(share) + step / x) * step
                odd |= near & ~nothing & ~(step <= 0.01 * x)
                up, down = fetch(log_q, k, at), fetch(log_p, k, at)
                large = z - x * (up - down)
                logs = 1.01 * LIBRARY * (abs(up) + abs(down)) + ratio
                wide = slip + x * logs + 4 * U * (x * abs(up - down) + abs(z)) + U * abs(large)
                term, off = choose(near, small, large), choose(near, off, wide)
                reach = abs(y - x) * (1 + 2 * U) + rx + ry
                slope = reach / smallest(low_p, low_q)
                by_logs = 1.01 * abs(up - down) + rx / low_p + ry / low_q
                slope = choose(near, slope, smallest(slope, by_logs))
                carried = 1.001 * (ry / low_q * reach + rx * slope)
                off = choose((rx != 0.0) | (ry != 0.0), off + carried, off)
                term, off = choose(nothing, z, term), choose(nothing, slip + ry, off)
                result, error = two_sum(result, term)
                some_of_it = (term != 0.0) | (off != 0.0) | (z != 0.0) | ((ratio != 0.0) & (x != 0.0))
                radius += choose(some_of_it, off * GROW + abs(error) + TINY, 0.0)
            radius = radius * (GROW + 4 * n * U) + 1.01 * (abs(result) + radius) * off_old
            odd |= ~(radius < np.inf) | ~(abs(result) < np.inf)
            mid, rad = nonnegative(result, radius)
            keep(mid, m, row, at)
            keep(rad, r, row, at)
            if some(odd):
                keep(odd, again, 0, 0)
                for i in range(at, at + WIDTH):
                    if not again[0, i - at]:
                        continue
                    for j in range(n):
                        a[j], b[j] = p[first + j, min(i, p.shape[1] - 1)], q[first + j, min(i, q.shape[1] - 1)]
                        ra[j] = rp[min(first + j, rp.shape[0] - 1), min(i, rp.shape[1] - 1)]
                        rb[j] = rq[min(first + j, rq.shape[0] - 1), min(i, rq.shape[1] - 1)]
                    m[row, i], r[row, i] = _kl(a, ra, b, rb, raw)
