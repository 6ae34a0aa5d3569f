"""The evaluation of a policy whose tables are floats, all of it in doubled precision: each number is the float nearest the truth.

The steps are those of :func:`mdps.evaluate.evaluate`, in one kernel, so that nothing is rounded between them: a radius is half an
ulp, what :mod:`bounds.enclosed_elimination` says of the solves, and w = 2^-102 for each other operation, of what it adds up. An
advantage is a difference of relative values: its own size does not enter.

Some advantages are zero by definition, and then exactly so: if every action that the policy may take in a state has the same
reward and, where gamma > 0, the same row of P, all of these are worth the same, and their mean is zero.
"""

from __future__ import annotations

import numpy as np

from bounds import doubled
from bounds.doubled import DOUBLED, SMALL
from bounds.enclosed_elimination import LEAST, RELATIVE, SOLVE, Factors
from bounds.enclosed_solves import (
    ascend,
    ascend_relative,
    ascend_relative_size,
    ascend_size,
    descend,
    descend_size,
    lost,
    source,
    swap,
    sweep,
    sweep_back,
)
from bounds.rounding import GROW, U, nonnegative, two_sum
from mdps.kernels import inner, kernel
from mdps.mdp import MDP, Array

Pair = tuple[Array, Array]


def evaluate(mdp: MDP, pi: Array, factors: Factors) -> tuple[Pair, ...]:
    """V, Q, A, rho, d and eta with radii, for float tables and their elimination."""
    f = factors
    found = _evaluate(mdp.P, pi, mdp.R, mdp.rho0, mdp.gamma, f.high, f.low, f.time, f.time_low, f.reference, f.error)
    return tuple(zip(found[::2], found[1::2], strict=True))


@inner("UniTuple(f8,3)(f8[:],f8[:],f8[:])")
def mean(weights: Array, x: Array, low: Array) -> tuple[float, float, float]:
    """``sum w x / sum w`` in two floats, and the same of abs(x): n + 1 operations for each sum, one for the quotient."""
    total, rest, mass, mass_low, size = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(x.shape[0]):
        if weights[i] != 0.0:
            mass, mass_low = doubled.add(mass, mass_low, weights[i], 0.0)
            if x[i] != 0.0:
                p, pl = doubled.multiply(weights[i], 0.0, x[i], low[i])
                total, rest = doubled.add(total, rest, p, pl)
                size += abs(p)
    if mass != 1.0 or mass_low != 0.0:
        total, rest = doubled.divide(total, rest, mass, mass_low)
        size /= mass
    return total, rest, size


@inner("b1(f8[:,:],f8[:],f8,i8,i8)")
def alike(P: Array, R: Array, gamma: float, a: int, b: int) -> bool:
    """Whether two actions have the same reward and, where it matters, the same row."""
    if R[a] != R[b]:
        return False
    if gamma == 0.0:
        return True
    different = False
    for j in range(P.shape[1]):
        different |= P[a, j] != P[b, j]
    return not different


@inner("i8(f8[:,:],f8[:],f8,f8[:])")
def only(P: Array, R: Array, gamma: float, pi: Array) -> int:
    """An action that all that may be taken are alike to; -1 if there is none."""
    first = -1
    for a in range(pi.shape[0]):
        if pi[a] > 0.0:
            if first < 0:
                first = a
            elif not alike(P, R, gamma, first, a):
                return -1
    return first


@inner("UniTuple(f8,2)(f8,f8)")
def checked(x: float, r: float) -> tuple[float, float]:
    """A number with its radius; nothing known where either has overflown."""
    if r < np.inf and abs(x) < np.inf:
        return x, r
    return 0.0, np.inf


@kernel(
    "void(f8[:,:,:],f8[:,:],f8[:,:],f8[:],f8,f8[:,:],f8[:,:],f8[:],f8[:],i8,f8[:],"
    "f8[:],f8[:],f8[:,:],f8[:,:],f8[:,:],f8[:,:],f8[:],f8[:],f8[:],f8[:],f8[:],f8[:])",
    "(s,a,s),(s,a),(s,a),(s),(),(s,s),(s,s),(s),(s),(),(e)->(s),(s),(s,a),(s,a),(s,a),(s,a),(s),(s),(s),(s),(),()",
)
def _evaluate(
    P: Array,
    pi: Array,
    R: Array,
    rho0: Array,
    gamma: float,
    m: Array,
    ml: Array,
    time: Array,
    tl: Array,
    ref: int,
    error: Array,
    V: Array,
    rV: Array,
    Q: Array,
    rQ: Array,
    A: Array,
    rA: Array,
    rho: Array,
    rrho: Array,
    d: Array,
    rd: Array,
    eta: Array,
    reta: Array,
) -> None:
    n, actions = pi.shape
    few = (2 * (n + actions) + 8) * DOUBLED  # roundings of a sum over actions or states, with what is done to it
    none = np.zeros(actions)
    mean_reward, low, slip = np.empty(n), np.empty(n), np.empty(n)
    for s in range(n):
        mean_reward[s], low[s], size = mean(pi[s], R[s], none)
        slip[s] = few * size + SMALL if size > 0.0 else 0.0  # a product may underflow
    grow = GROW + 8 * n * U

    v, vl, v_size = mean_reward.copy(), low.copy(), np.empty(n)
    least, total = source(v, slip, error[SOLVE], error, v_size)
    swap(v, ref)
    swap(vl, ref)
    swap(v_size, ref)
    least = min(least, descend(m, ml, v, vl))
    level, level_low = doubled.divide(v[n - 1], vl[n - 1], time[n - 1], tl[n - 1])
    least = min(least, ascend(m, ml, v, vl, n))
    smallest = min(descend_size(m, v_size), ascend_size(m, v_size, n))
    v_lost = lost(least, smallest, total, error)
    swap(v, ref)
    swap(vl, ref)
    swap(v_size, ref)

    # relative values: the level is taken out first, and whatever is taken out comes back with the rest
    h, hl, h_size = np.empty(n), np.empty(n), np.empty(n)
    for s in range(n):
        h[s], hl[s] = doubled.add(mean_reward[s], low[s], -level, -level_low)
        slip[s] += few * (abs(mean_reward[s]) + abs(level))
    least, total = source(h, slip, error[RELATIVE], error, h_size)
    swap(h, ref)
    swap(hl, ref)
    swap(h_size, ref)
    least = min(least, descend(m, ml, h, hl))
    rest, rest_low, product = ascend_relative(m, ml, time, tl, h, hl, -1.0)
    smallest = descend_size(m, h_size)
    spread, product_size = ascend_relative_size(m, time, h_size, 1.0)
    h_lost = lost(min(least, product), min(smallest, product_size), total, error)
    swap(h, ref)
    swap(hl, ref)
    swap(h_size, ref)
    slack = few * (abs(level) + abs(rest))
    level, level_low = doubled.add(level, level_low, rest, rest_low)
    slack += spread + h_lost

    for s in range(n):
        same = only(P[s], R[s], gamma, pi[s])
        V[s], rV[s] = checked(v[s], (abs(vl[s]) + v_size[s] + v_lost) * GROW)
        for a in range(actions):
            if same >= 0 and (a == same or alike(P[s], R[s], gamma, same, a)):
                A[s, a], rA[s, a] = 0.0, 0.0
                Q[s, a], rQ[s, a] = V[s], rV[s]
                continue
            ahead, rest, scale = mean(P[s, a], h, hl)
            off, mass = 0.0, 0.0
            for j in range(n):
                off += P[s, a, j] * (h_size[j] + h_lost) if j != ref else 0.0
                mass += P[s, a, j]
            ahead, rest = doubled.multiply(gamma, 0.0, ahead, rest)
            x, xl = doubled.add(ahead, rest, R[s, a], 0.0)
            x, xl = doubled.add(x, xl, -h[s], -hl[s])
            x, xl = doubled.add(x, xl, -level, -level_low)
            r = few * (abs(R[s, a]) + gamma * scale + abs(h[s]) + abs(level))
            r += gamma * off / mass * grow + (h_size[s] + h_lost if s != ref else 0.0) + slack
            r += SMALL if r != 0.0 else 0.0
            A[s, a], rA[s, a] = checked(x, (abs(xl) + r) * GROW)
            y, yl = doubled.add(x, xl, v[s], vl[s])
            r += v_size[s] + v_lost + few * (abs(x) + abs(v[s]))
            Q[s, a], rQ[s, a] = checked(y, (abs(yl) + r) * GROW)

    x, xl = np.zeros(n), np.zeros(n)
    mass, mass_low = 0.0, 0.0
    for s in range(n):
        mass, mass_low = doubled.add(mass, mass_low, rho0[s], 0.0)
    least, total = error[LEAST], 1.0
    for s in range(n):
        if rho0[s] != 0.0:
            x[s], xl[s] = doubled.divide(rho0[s], 0.0, mass, mass_low)
            least = min(least, x[s])
    value, value_low, value_size = 0.0, 0.0, 0.0
    for s in range(n):
        if x[s] != 0.0:
            p, pl = doubled.multiply(x[s], xl[s], v[s], vl[s])
            value, value_low = doubled.add(value, value_low, p, pl)
            value_size += x[s] * (few * abs(v[s]) + v_size[s] + v_lost)
    eta[0], reta[0] = checked(value, (abs(value_low) + value_size + (SMALL if value_size > 0.0 else 0.0)) * grow)
    swap(x, ref)
    swap(xl, ref)
    least = min(least, sweep(m, ml, x, xl, n), sweep_back(m, ml, x, xl))
    loss = lost(least, 1.0, total if error[SOLVE] < np.inf else np.inf, error)
    swap(x, ref)
    swap(xl, ref)
    one, one_low = two_sum(1.0, -gamma)
    relative = (error[SOLVE] + (few if mass != 1.0 or mass_low != 0.0 else 0.0)) * (1 + 4 * error[SOLVE])
    for s in range(n):
        off = relative * x[s] + loss
        rho[s], rrho[s] = nonnegative(*checked(x[s], (abs(xl[s]) + off) * GROW))
        y, yl = doubled.multiply(one, one_low, x[s], xl[s])
        off = one * off + DOUBLED * y + (SMALL if x[s] != 0.0 and y < SMALL else 0.0)
        d[s], rd[s] = nonnegative(*checked(y, (abs(yl) + off) * GROW))
