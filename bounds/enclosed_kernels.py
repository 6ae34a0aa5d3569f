"""What one step of a process and two rows of a policy make, with radii: compiled, as the kernels for floats are.

The mid of a result is what the kernel of :mod:`mdps.elimination` or :mod:`bounds.divergences` returns; the radius counts its
roundings. An operation on positive numbers is a factor in ``[1-u, 1/(1-u)]``, u = 2^-53, so c of them are a factor in
``[(1-u)^c, (1-u)^-c]``, which is said to *cost c*.
"""

from __future__ import annotations

import numpy as np

from bounds.rounding import GROW, LIBRARY, TINY, U, nonnegative, two_sum
from mdps.kernels import inner, kernel

LOOSE = 1e-3
"""A row whose sum is further than this from one is no row of a distribution; nothing is said of it."""


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
