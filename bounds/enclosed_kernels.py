r"""How far the compiled kernels are from the truth: a bound, not an estimate.

The mid of a result is what the kernel of :mod:`mdps.elimination` or :mod:`bounds.divergences` returns. Its radius follows
from two facts. With u = 2^-53, every rounding of a positive number is a factor in ``[1-u, 1/(1-u)]``, so c of them are a
factor in ``[(1-u)^c, (1-u)^-c]``; such a factor is said to *cost c*.

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

**Start.** With A actions an entry of the chain costs A, its row's total A+n-1, its scale and product 2 more: 2A+n+1 in all,
and the rounding of 1-gamma is less. That, and what the tables themselves are uncertain by, enters as a perturbation at m = n.

A right-hand side with signs is a difference of two without, so the same relative error applies to the sum of absolute values:
the kernel run on abs(r) with sign +1. A radius of the right-hand side is carried along by the same run. With gamma = 0 there
is nothing to eliminate: a solve returns the right-hand side itself, and relative values are one difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bounds.rounding import GROW, LIBRARY, TINY, U, nonnegative, two_sum
from mdps import elimination
from mdps.kernels import inner, kernel
from mdps.mdp import Array

LOOSE = 1e-3
"""A row whose sum is further than this from one is no row of a distribution; nothing is said of it."""


class Table(NamedTuple):
    """Probabilities as a kernel sees them: the float table whose exact row-normalisation is meant, or a table with radii."""

    mid: Array
    rad: Array  # of the shape of mid; zero where ``raw``
    raw: bool


@dataclass(frozen=True, eq=False)
class Errors:
    """What a factored resolvent is known to, for each instance [*B]."""

    solve: Array  # relative error of a nonnegative solve; inf where there is none
    relative: Array  # the same for relative values and flows, in units of what they add up
    floor: Array  # log2 of a number below every positive entry of the factors: products above it cannot underflow


def eliminate(P: Table, pi: Table, gamma: Array) -> tuple[Array, Array, Array, Errors]:
    """Factors, times and reference of ``mdps.elimination``'s own elimination, and what they are known to.

    Rows of ``P`` that are normalised one by one weigh their actions by up to their largest deviation differently than the kernel
    does, which normalises the chain. A factor common to a row of ``pi`` cancels.
    """
    factors, time, reference = elimination._eliminate(P.mid, pi.mid, gamma)
    off_P, least_P = _quality(P.mid, P.rad, float(P.raw))
    off_pi, least_pi = _quality(pi.mid[..., None, :], pi.rad[..., None, :], 0.0)
    off = (off_P + off_pi + off_P * off_pi) * GROW
    n, actions = factors.shape[-1], pi.mid.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        chain = np.where(off < 0.01, 2.1 * off, np.inf)
        edge = np.log2(least_P) + np.log2(least_pi) + np.where(gamma > 0, np.log2(gamma), 0.0)
        floor = (n + 2) * np.minimum(edge, 0.0) + np.where(gamma < 1, np.log2(1 - gamma), 0.0)
    safe = floor > -900
    errors = []
    for cost, degree, alone in ((_solve_cost(n), 2 * n - 1, 0.0), (_relative_cost(n), 4 * n - 3, 4 * U)):
        exponent = 1.01 * ((cost + degree * (2 * actions + n + 1)) * U + degree * chain)
        error = np.where(safe & (exponent < 0.1), exponent / (1 - np.minimum(exponent, 0.5)) * GROW, np.inf)
        errors.append(np.where(gamma == 0, alone, error))
    return factors, time, reference, Errors(errors[0], errors[1], floor)


def _solve_cost(n: int) -> float:
    return sum(2 * (m - 1) * (m + 3) + 2 * m + 1 for m in range(1, n + 1))


def _relative_cost(n: int) -> float:
    return 2 + sum((4 * m - 6) * (m + 3) + 2 * m + 2 for m in range(2, n + 1))


def values(factors: Array, errors: Errors, reference: Array, mid: Array, rad: Array) -> tuple[Array, Array]:
    """Values of the reward ``mid +- rad``, [*B,S] each."""
    v = elimination._values(factors, reference, mid)
    size = elimination._values(factors, reference, _source(mid, rad, errors.solve, errors.floor))
    return _settle(v, size)


def occupancy(factors: Array, errors: Errors, reference: Array, mid: Array, rad: Array) -> tuple[Array, Array]:
    """Visits of the start ``mid +- rad``, [*B,S] each."""
    x = elimination._occupancy(factors, reference, mid)
    return _settle(x, elimination._occupancy(factors, reference, _source(mid, rad, errors.solve, errors.floor)))


def relative_values(
    factors: Array, errors: Errors, time: Array, reference: Array, mid: Array, rad: Array, sign: float
) -> tuple[Array, Array, Array, Array]:
    """Relative values and level of the reward ``mid +- rad``: [*B,S] twice and [*B] twice."""
    h, level = elimination._relative_values(factors, time, reference, mid, sign)
    source = _source(mid, rad, errors.relative, errors.floor)
    size, share = elimination._relative_values(factors, time, reference, source, 1.0)
    level, share = _settle(level[..., None], share[..., None])
    return *_settle(h, size), level[..., 0], share[..., 0]


def flow(
    factors: Array, errors: Errors, time: Array, reference: Array, mid: Array, rad: Array, sign: float
) -> tuple[Array, Array]:
    """Flow of the source ``mid +- rad``, [*B,S] each; the source itself sums to zero though its mid need not."""
    x = elimination._flow(factors, time, reference, mid, sign)
    return _settle(x, elimination._flow(factors, time, reference, _source(mid, rad, errors.relative, errors.floor), 1.0))


@kernel("void(f8[:,:,:],f8[:,:,:],f8,f8[:],f8[:])", "(s,a,t),(s,a,t),()->(),()")
def _quality(p, rp, raw, off, least):
    """Largest relative deviation of a table, from its normalised rows if ``raw`` and by its radii otherwise; its least entry."""
    worst, smallest = 0.0, 1.0
    for s in range(p.shape[0]):
        for a in range(p.shape[1]):
            mass, lost = 0.0, 0.0
            for j in range(p.shape[2]):
                x = p[s, a, j]
                if x > 0.0:
                    smallest = min(smallest, x)
                if raw != 0.0:
                    mass, error = two_sum(mass, x)
                    lost += abs(error)
                elif rp[s, a, j] != 0.0:
                    worst = max(worst, rp[s, a, j] / (x - rp[s, a, j]) * (1 + 8 * U) if x > rp[s, a, j] else np.inf)
            if raw != 0.0:
                worst = max(worst, (abs(mass - 1.0) + lost) * (1 + 1e-3))
    off[0], least[0] = worst, smallest


@kernel("void(f8[:],f8[:],f8,f8,f8[:])", "(s),(s),(),()->(s)")
def _source(mid, rad, error, floor, out):
    """What a right-hand side contributes to the radius of a solve; inf where a product of it might underflow."""
    smallest = np.inf
    for i in range(mid.shape[0]):
        out[i] = 0.0
        if mid[i] != 0.0 or rad[i] != 0.0:
            out[i] = (error * abs(mid[i]) + rad[i]) * (1 + 4 * error) * GROW
            if out[i] > 0.0 or error > 0.0:
                smallest = min(smallest, out[i])
    if not error < np.inf or (smallest < np.inf and not (smallest > 0.0 and np.log2(smallest) + floor > -990.0)):
        for i in range(mid.shape[0]):
            out[i] = np.inf


@kernel("void(f8[:],f8[:],f8[:],f8[:])", "(s),(s)->(s),(s)")
def _settle(mid, rad, m, r):
    for i in range(mid.shape[0]):
        m[i], r[i] = mid[i], rad[i] * GROW
        if not (r[i] < np.inf and abs(m[i]) < np.inf):
            m[i], r[i] = 0.0, np.inf


@kernel(
    "void(f8[:,:,:],f8[:,:,:],f8[:,:],f8[:,:],f8,f8[:],f8[:],f8[:,:],f8[:,:])",
    "(s,a,s),(s,a,s),(s,a),(s,a),(),(s),(s)->(s,a),(s,a)",
)
def backup(P, rP, R, rR, gamma, v, rv, m, r):
    """``R + gamma P v`` with radii. The quotient of two sums of n terms costs 2n, it and its product with gamma 2 more."""
    n, actions = R.shape
    for s in range(n):
        for a in range(actions):
            expected, mass, size, carried, spread = 0.0, 0.0, 0.0, 0.0, 0.0
            for j in range(n):
                expected += P[s, a, j] * v[j]
                mass += P[s, a, j]
                size += P[s, a, j] * abs(v[j])
                carried += P[s, a, j] * rv[j]
                spread += rP[s, a, j]
                if rP[s, a, j] != 0.0:
                    carried += rP[s, a, j] * (abs(v[j]) + rv[j]) * mass
            next_value = gamma * (expected / mass)
            m[s, a], error = two_sum(R[s, a], next_value)
            r[s, a] = rR[s, a] + abs(error)
            if gamma != 0.0 and (size != 0.0 or carried != 0.0):
                slack = ((2 * n + 4) * U + 1.01 * spread) * size + carried
                r[s, a] += gamma * slack / mass * (1 + 8 * n * U) + TINY
            r[s, a] *= GROW
            if not (r[s, a] < np.inf and abs(m[s, a]) < np.inf):
                m[s, a], r[s, a] = 0.0, np.inf


@kernel(
    "void(f8[:,:,:],f8[:,:,:],f8[:,:],f8[:,:],f8[:],f8[:])",
    "(s,a,s),(s,a,s),(s,a),(s,a)->(s),(s)",
)
def forward(P, rP, w, rw, m, r):
    """Where the mass ``w +- rw`` goes in one step. A term costs n+1, the sum of S A terms the rest."""
    n, actions = w.shape
    m[:] = 0.0
    r[:] = 0.0
    cost = (n + n * actions + 2) * U
    for s in range(n):
        for a in range(actions):
            if w[s, a] == 0.0 and rw[s, a] == 0.0:
                continue
            mass, spread = 0.0, 0.0
            for j in range(n):
                mass += P[s, a, j]
                spread += rP[s, a, j]
            weight, radius = w[s, a] / mass, (rw[s, a] + abs(w[s, a]) * (cost + 1.01 * spread)) / mass
            for j in range(n):
                m[j] += weight * P[s, a, j]
                if P[s, a, j] != 0.0 or rP[s, a, j] != 0.0:
                    r[j] += radius * P[s, a, j] + rP[s, a, j] * (abs(w[s, a]) + rw[s, a]) + TINY
    for j in range(n):
        r[j] *= GROW + 4 * n * actions * U
        if not (r[j] < np.inf and abs(m[j]) < np.inf):
            m[j], r[j] = 0.0, np.inf


@inner("UniTuple(f8,2)(f8[:])")
def _mass(p):
    """The sum of a row, and a bound on what rounding took from it."""
    mass, lost = 0.0, 0.0
    for a in range(p.shape[0]):
        mass, error = two_sum(mass, p[a])
        lost += abs(error)
    return mass, lost * (1 + 4 * p.shape[0] * U)


@inner("UniTuple(f8,4)(f8[:],f8[:])")
def _moved(old, new):
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


@kernel("void(f8[:],f8[:],f8[:],f8[:])", "(a),(a)->(a),(a)")
def shift(old, new, m, r):
    """``new/N - old/O`` for rows with sums N and O near one.

    It is ``(d - old (N-O)/O) / N`` with d = new - old. The kernel leaves out the divisions, which are of second order.
    """
    total, lost, off_old, off_new = _moved(old, new)
    for a in range(old.shape[0]):
        d, error = two_sum(new[a], -old[a])
        back = old[a] * total
        m[a], rest = two_sum(d, -back)
        rounding = abs(error) + abs(rest) + old[a] * lost + U * abs(back)
        normalising = 1.01 * (abs(m[a]) * off_new + old[a] * (abs(total) + lost) * off_old)
        r[a] = (rounding + normalising) * GROW + TINY if max(off_old, off_new) < LOOSE else np.inf
        if error == 0.0 and total == 0.0 and lost == 0.0 and (m[a] == 0.0 or off_new == 0.0):
            r[a] = 0.0


@inner("UniTuple(f8,2)(f8)")
def _x_less_log(x):
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


@kernel("void(f8[:],f8[:],f8[:],f8[:],f8,f8[:],f8[:])", "(a),(a),(a),(a),()->(),()")
def kl(p, rp, q, rq, raw, m, r):
    """KL(p || q) as the kernel adds it up: with x = q/p - 1 the sum of ``p (x - log(1+x))``, every term nonnegative.

    If ``raw``, the rows are read as their exact normalisation: the difference is then that of ``shift`` up to factors of
    second order. If not, the numbers themselves sum to one, and a term moves by at most ``rq |1 - p/q| + rp |log(p/q)|``.
    """
    total, lost, off_old, off_new = 0.0, 0.0, 0.0, 0.0
    if raw != 0.0:
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
                off += 1.001 * (rq[a] * reach / low_q + rp[a] * slope)
        if term != 0.0 or off != 0.0:
            result, error = two_sum(result, term)
            radius += off * GROW + abs(error) + TINY
    if infinite:
        m[0], r[0] = np.inf, 0.0
    elif not radius < np.inf or not abs(result) < np.inf:
        m[0], r[0] = 0.0, np.inf
    else:
        radius = radius * (GROW + 4 * p.shape[0] * U) + 1.01 * (abs(result) + radius) * off_old
        m[0], r[0] = nonnegative(result, radius)


@kernel("void(f8[:],f8[:])", "(a)->()")
def off_one(p, off):
    """A bound on how far the sum of a row is from one; inf if that is no rounding."""
    mass, lost = _mass(p)
    off[0] = (abs(mass - 1.0) + lost) * (1 + 1e-3)
    if not off[0] < LOOSE:
        off[0] = np.inf
