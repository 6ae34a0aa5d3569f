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

**Start.** With A actions the mass of a row of P costs n-1, an entry of the chain A+1 more, its row's total A+2n-2, its scale and
product 2 more: 2A+3n+2 in all; 1-gamma is exact, or less than that. That, and what the tables themselves are uncertain by, enters
as a perturbation at m = n: where no table has a radius, nothing but roundings does.

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

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bounds import doubled
from bounds.doubled import DOUBLED
from bounds.rounding import GROW, U, two_sum
from mdps.elimination import _solve_transposed
from mdps.kernels import inner, kernel
from mdps.mdp import Array


class Table(NamedTuple):
    """Probabilities as a kernel sees them: the float table whose exact row-normalisation is meant, or a table with radii."""

    mid: Array
    rad: Array  # of the shape of mid; zero where ``raw``
    raw: bool


TINY_PROBABILITY, TINY_SHARE = 2.0**-30, 2.0**-30
"""Probabilities below the one that are uncertain by more than the other of themselves are tiny: they count as drift."""


@dataclass(frozen=True, eq=False)
class Factors:
    """A factored ``I - gamma P_pi`` [*B], in two floats an entry, and what its solves are known to."""

    high: Array  # [*B,S,S] multipliers below the diagonal, weights above, pivots on it
    low: Array  # [*B,S,S]
    time: Array  # [*B,S] row slack in units of 1 - gamma
    time_low: Array  # [*B,S]
    reference: Array  # [*B]
    error: Array  # [*B,8] see ``_ERRORS``

    def broadcast(self, batch: tuple[int, ...]) -> Factors:
        """The same factors repeated, as views."""
        parts = (self.high, self.low, self.time, self.time_low, self.reference, self.error)
        core = (2, 2, 1, 1, 0, 1)
        wide = (np.broadcast_to(x, batch + x.shape[x.ndim - k :]) for x, k in zip(parts, core, strict=True))
        return Factors(*wide)


SOLVE, RELATIVE, COARSE, LEAST, LOST, DRIFT, HORIZON, TWICE = range(8)
"""Places in ``Factors.error``: relative error of a nonnegative solve; of relative values and flows, in units of what they add up;
of either in plain floats; the least product of the elimination; what underflow may take, in units of 1 + the right-hand side;
what tiny probabilities may move, in units of the right-hand side; 1/(1-gamma); whether there are two floats."""


def eliminate(P: Table, pi: Table, gamma: Array) -> Factors:
    """Factor ``I - gamma P_pi`` and say what that is known to. A factor common to a row of ``pi`` cancels."""
    doubled = P.raw and pi.raw
    high, low, time, time_low, reference, least = _eliminate(P.mid, pi.mid, gamma, doubled)
    n, actions = high.shape[-1], pi.mid.shape[-1]
    (off_P, drift_P), (off_pi, drift_pi) = _deviation(P, 3), _deviation(pi, 2)
    off, drift = (off_P + off_pi) * 1.01, drift_P + drift_pi
    with np.errstate(divide="ignore", invalid="ignore"):
        chain = np.where(off < 0.01, 2.1 * off, np.inf)
        horizon = 1 / (1 - gamma)
        lost = np.where(gamma < 1, 2.0**-900 * horizon**3 * GROW, np.inf)
        drifted = np.where(drift > 0, np.where(drift < 0.1, 4.5 * drift * horizon**2, np.inf), 0.0)
    start, error = 2 * actions + 3 * n + 2, np.empty((*np.broadcast_shapes(least.shape, off.shape), 8))
    for place, cost, degree in ((SOLVE, _solve_cost(n), 2 * n - 1), (RELATIVE, _relative_cost(n), 4 * n - 3)):
        exponent = 1.01 * ((cost + degree * start) * (DOUBLED if doubled else U) + degree * chain)
        relative = np.where(exponent < 0.1, exponent / (1 - np.minimum(exponent, 0.5)) * GROW, np.inf)
        error[..., place] = np.where(gamma == 0, 0.0 if doubled else 4 * U, relative)
    coarse = 2.0 * (_relative_cost(n) + 4 * n * start) * U
    error[..., COARSE], error[..., LEAST] = coarse if coarse < 0.01 else np.inf, least
    error[..., LOST], error[..., DRIFT], error[..., HORIZON], error[..., TWICE] = lost, drifted, horizon, doubled
    return Factors(high, low, time, time_low, reference, error)


def _deviation(table: Table, core: int) -> tuple[Array, Array]:
    """How far a table may be from its mids [*B]: relatively where that is little, and what the tiny rest adds up to in a row."""
    if table.raw:
        return np.zeros(()), np.zeros(())
    off, drift = _deviate(table.mid, table.rad)
    axes = tuple(range(-core + 1, 0))
    return off.max(axes), drift.max(axes)


def _solve_cost(n: int) -> float:
    return sum(2 * (m - 1) * (m + 3) + 2 * m + 1 for m in range(1, n + 1))


def _relative_cost(n: int) -> float:
    return 2 + sum((4 * m - 6) * (m + 3) + 2 * m + 2 for m in range(2, n + 1))


@kernel("void(f8[:],f8[:],f8[:],f8[:])", "(k),(k)->(),()")
def _deviate(p: Array, rp: Array, off: Array, drift: Array) -> None:
    off[0], drift[0] = 0.0, 0.0
    for j in range(p.shape[0]):
        if rp[j] > TINY_SHARE * p[j] and p[j] + rp[j] < TINY_PROBABILITY:
            drift[0] += rp[j] * (1 + 8 * U)
        elif rp[j] != 0.0:
            off[0] = max(off[0], rp[j] / (p[j] - rp[j]) * (1 + 8 * U) if p[j] > rp[j] else np.inf)


@inner("f8(f8[:,:,:],f8[:,:],f8,i8,f8[:,:],f8[:,:],f8[:],f8[:])")
def _factor_doubled(P: Array, pi: Array, gamma: float, reference: int, m: Array, ml: Array, time: Array, tl: Array) -> float:
    """Eliminate ``I - gamma P_pi`` with ``reference`` (swapped with the last state) left for the end; the least product."""
    n, actions = pi.shape
    last, least = n - 1, 1.0
    for i in range(n):
        state = reference if i == last else last if i == reference else i
        total, rest = 0.0, 0.0
        for j in range(n):
            m[i, j], ml[i, j] = 0.0, 0.0
        for a in range(actions):
            if pi[state, a] == 0.0:
                continue
            mass, mass_low = 0.0, 0.0
            for j in range(n):
                mass, e = two_sum(mass, P[state, a, j])
                mass_low += e
            w, wl = pi[state, a], 0.0
            if mass != 1.0 or mass_low != 0.0:
                mass, mass_low = two_sum(mass, mass_low)
                w, wl = doubled.divide(w, 0.0, mass, mass_low)
            for j in range(n):
                if P[state, a, j] != 0.0:
                    p, pl = doubled.multiply(w, wl, P[state, a, j], 0.0)
                    least = min(least, p)
                    m[i, j], ml[i, j] = doubled.add(m[i, j], ml[i, j], p, pl)
            total, rest = doubled.add(total, rest, pi[state, a], 0.0)
        scale, scale_low = doubled.divide(gamma, 0.0, total, rest)
        for j in range(n):
            if m[i, j] != 0.0 and gamma != 0.0:
                m[i, j], ml[i, j] = doubled.multiply(m[i, j], ml[i, j], scale, scale_low)
                least = min(least, m[i, j])
            else:
                m[i, j], ml[i, j] = 0.0, 0.0
        m[i, reference], m[i, last] = m[i, last], m[i, reference]
        ml[i, reference], ml[i, last] = ml[i, last], ml[i, reference]
        time[i], tl[i] = 1.0, 0.0
    slack, slack_low = two_sum(1.0, -gamma)
    for k in range(n):
        pivot, low = doubled.multiply(slack, slack_low, time[k], tl[k])
        for j in range(k + 1, n):
            pivot, low = doubled.add(pivot, low, m[k, j], ml[k, j])
        m[k, k], ml[k, k] = pivot, low
        for i in range(k + 1, n):
            if m[i, k] == 0.0:
                continue
            f, fl = doubled.divide(m[i, k], ml[i, k], pivot, low)
            m[i, k], ml[i, k] = f, fl
            p, pl = doubled.multiply(f, fl, time[k], tl[k])
            least = min(least, p)
            time[i], tl[i] = doubled.add(time[i], tl[i], p, pl)
            for j in range(k + 1, n):
                if m[k, j] != 0.0:
                    p, pl = doubled.multiply(f, fl, m[k, j], ml[k, j])
                    least = min(least, p)
                    m[i, j], ml[i, j] = doubled.add(m[i, j], ml[i, j], p, pl)
    return least


@inner("f8(f8[:,:,:],f8[:,:],f8,i8,f8[:,:],f8[:])")
def _factor_plain(P: Array, pi: Array, gamma: float, reference: int, m: Array, time: Array) -> float:
    """The same in floats."""
    n, actions = pi.shape
    last, least = n - 1, 1.0
    for i in range(n):
        state = reference if i == last else last if i == reference else i
        total = 0.0
        m[i, :] = 0.0
        for a in range(actions):
            if pi[state, a] == 0.0:
                continue
            mass = 0.0
            for j in range(n):
                mass += P[state, a, j]
            weight = pi[state, a] / mass
            for j in range(n):
                if P[state, a, j] != 0.0:
                    p = weight * P[state, a, j]
                    least = min(least, p)
                    m[i, j] += p
            total += pi[state, a]
        scale = gamma / total
        for j in range(n):
            m[i, j] *= scale
            if m[i, j] != 0.0:
                least = min(least, m[i, j])
        m[i, reference], m[i, last] = m[i, last], m[i, reference]
        time[i] = 1.0
    for k in range(n):
        pivot = (1.0 - gamma) * time[k]
        for j in range(k + 1, n):
            pivot += m[k, j]
        m[k, k] = pivot
        for i in range(k + 1, n):
            if m[i, k] == 0.0:
                continue
            f = m[i, k] / pivot
            m[i, k] = f
            least = min(least, f)
            time[i] += f * time[k]
            for j in range(k + 1, n):
                if m[k, j] != 0.0:
                    p = f * m[k, j]
                    least = min(least, p)
                    m[i, j] += p
    return least


@kernel(
    "void(f8[:,:,:],f8[:,:],f8,b1,f8[:,:],f8[:,:],f8[:],f8[:],i8[:],f8[:])",
    "(s,a,s),(s,a),(),()->(s,s),(s,s),(s),(s),(),()",
)
def _eliminate(
    P: Array, pi: Array, gamma: float, twice: bool, m: Array, ml: Array, time: Array, tl: Array, reference: Array, least: Array
) -> None:
    n = time.shape[0]
    reference[0] = n - 1
    least[0] = _factor_plain(P, pi, gamma, n - 1, m, time)
    again = time[n - 1] > 4.0 * n  # the reference is chosen as for floats, by floats: any will do
    if again:
        visits = np.ones(n)
        _solve_transposed(m, visits)
        reference[0] = np.argmax(visits)
    if twice:
        least[0] = _factor_doubled(P, pi, gamma, reference[0], m, ml, time, tl)
    elif again:
        least[0] = _factor_plain(P, pi, gamma, reference[0], m, time)
