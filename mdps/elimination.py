"""Elimination without subtraction: the fast and accurate kernel behind every exact number.

``M = I - gamma P_pi`` is a row diagonally dominant M-matrix whose row sums are exactly ``1 - gamma``. Following
Grassmann, Taksar and Heyman (1985; error analysis O'Cinneide 1993; Alfa, Xue and Ye 2002, for M-matrices with
a given row slack), the elimination carries the off-diagonal entries and the row slack and forms each pivot as
their sum, so every number is a sum, product or quotient of nonnegative numbers: no pivoting, no cancellation,
and each entry of ``rho = rho0 M^-1`` is right to a few units in the last place however near gamma is to 1.

Read as a Markov chain: eliminating a state watches the chain only while it is elsewhere. ``time[k]`` is the
expected discounted time between two visits outside the eliminated states, so the row slack is
``(1 - gamma) time[k]``. The last state, the *reference*, is one that is easy to reach.

The kernels are generalised ufuncs: leading axes broadcast, and one code path serves a single process and a batch. A batch in
planes (:mod:`mdps.planes`) is handed to :mod:`mdps.planar_resolvent`, whose numbers are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mdps import planar_resolvent
from mdps.kernels import inner, kernel
from mdps.mdp import Array
from mdps.numbers import Numbers
from mdps.tiles import over, quotient

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Resolvent:
    """The resolvent ``(I - gamma P_pi)^-1`` of one policy, and what it can be applied to; factored when it is first applied.

    Build it with :func:`eliminate`. Every method broadcasts its argument against the batch axes.
    """

    P: Array  # [*B, S, A, S]
    pi: Array  # [*B, S, A]
    gamma: Array  # [*B]

    @cached_property
    def _factored(self) -> tuple[Array, Array, Index]:
        found = planar_resolvent.factored(self.P, self.pi, self.gamma)
        return _eliminate(self.P, self.pi, self.gamma) if found is None else found

    def with_factors(self, factors: Array, time: Array, reference: Index) -> Resolvent:
        """The same, with factors that were found elsewhere in the same way."""
        known = Resolvent(self.P, self.pi, self.gamma)
        known.__dict__["_factored"] = factors, time, reference
        return known

    @property
    def factors(self) -> Array:
        """Multipliers below the diagonal, weights of later states above, pivots on it: [*B, S, S]."""
        return self._factored[0]

    @property
    def time(self) -> Array:
        """Row slack after elimination in units of 1 - gamma: [*B, S]."""
        return self._factored[1]

    @property
    def reference(self) -> Index:
        """Index of the state eliminated last: [*B]."""
        return self._factored[2]

    def values(self, reward: Array) -> Array:
        """``V = M^-1 r`` for a reward r, [*B,S]. Exact to a few ulps in every entry if r has one sign."""
        found = planar_resolvent.values(*self._factored, reward)
        return _values(self.factors, self.reference, reward) if found is None else found

    def relative_values(self, reward: Array) -> tuple[Array, Array]:
        """``h = V - V[reference]`` [*B,S] and ``level = (1 - gamma) V[reference]`` [*B], without forming V.

        V is of order 1/(1-gamma) where its differences are of order 1; these keep what V has lost. The level is found first and
        taken out of the reward, so that states which never meet the reference keep their digits too.
        """
        if isinstance(self.factors, Numbers):  # which know what they lose, or lose nothing
            return _relative_values(self.factors, self.time, self.reference, reward, -1.0)
        found = planar_resolvent.relative_values(*self._factored, reward)
        if found is not None:
            return found
        level = _relative_values(self.factors, self.time, self.reference, reward, -1.0)[1]
        h, rest = _relative_values(self.factors, self.time, self.reference, reward - level[..., None], -1.0)
        return h, level + rest

    def relative_magnitude(self, size: Array) -> Array:
        """What ``relative_values`` adds up, in absolute value, for ``|reward| <= size`` [*B,S]: times eps, its error."""
        found = planar_resolvent.relative_magnitude(*self._factored, size)
        return _relative_values(self.factors, self.time, self.reference, size, 1.0)[0] if found is None else found

    def occupancy(self, start: Array) -> Array:
        """``rho = start M^-1`` for a nonnegative start, [*B,S]; exact to a few ulps in every entry."""
        found = planar_resolvent.occupancy(*self._factored, start)
        return _occupancy(self.factors, self.reference, start) if found is None else found

    def flow(self, source: Array) -> Array:
        """``x = source M^-1`` for a source that sums to zero, [*B,S]; then x sums to zero as well.

        The reference entry comes from that balance, so no error is multiplied by 1/(1-gamma).
        """
        found = planar_resolvent.flow(*self._factored, source, -1.0)
        return _flow(self.factors, self.time, self.reference, source, -1.0) if found is None else found

    def flow_magnitude(self, size: Array) -> Array:
        """What ``flow`` adds up, in absolute value, for ``|source| <= size`` [*B,S]: times eps, its error."""
        found = planar_resolvent.flow(*self._factored, size, 1.0)
        return _flow(self.factors, self.time, self.reference, size, 1.0) if found is None else found


def eliminate(P: Array, pi: Array, gamma: Array) -> Resolvent:
    """Factor ``I - gamma P_pi`` for P [*B,S,A,S], pi [*B,S,A] and gamma [*B]; all nonnegative, gamma < 1.

    gamma = 1 is allowed for an irreducible chain: then only ``relative_values`` (the bias and, as its level, the
    average reward) and ``flow`` have a meaning.
    """
    return Resolvent(P, pi, gamma if isinstance(gamma, Numbers) else np.asarray(gamma, dtype=float))


def backup(P: Array, R: Array, gamma: Array | float, values: Array) -> Array:
    """``R + gamma P v`` for every state and action, [*B,S,A], from v [*B,S]."""
    found = planar_resolvent.backup(P, R, gamma, values)
    return _backup(P, R, gamma, values) if found is None else found


def forward(P: Array, weights: Array) -> Array:
    """``sum_{s,a} w(s,a) P(s'|s,a)``: where the mass w [*B,S,A] goes in one step, [*B,S]."""
    found = planar_resolvent.forward(P, weights)
    return _forward(P, weights) if found is None else found


@inner("void(f8[:,:,:],f8[:,:],f8,i8,f8[:,:],f8[:])")
def _factor(P, pi, gamma, reference, m, time):
    """Eliminate ``I - gamma P_pi`` with ``reference`` (swapped with the last state) left for the end."""
    n, actions = pi.shape
    last = n - 1
    for i in range(n):
        state = reference if i == last else last if i == reference else i
        for j in range(n):
            m[i, j] = 0.0
        for a in range(actions):
            weight = pi[state, a]
            if weight != 0.0:
                for j in range(n):
                    m[i, j] += weight * P[state, a, j]
        total = 0.0
        for j in range(n):
            total += m[i, j]
        scale = over(gamma, total)  # the exact row-normalisation of the float table
        for j in range(n):
            m[i, j] *= scale
        m[i, reference], m[i, last] = m[i, last], m[i, reference]
        time[i] = 1.0
    for k in range(n):
        pivot = (1.0 - gamma) * time[k]
        for j in range(k + 1, n):
            pivot += m[k, j]
        m[k, k] = pivot
        inverse = 1.0 / pivot
        for i in range(k + 1, n):
            multiplier = quotient(m[i, k], pivot, inverse)
            m[i, k] = multiplier
            if multiplier != 0.0:
                time[i] += multiplier * time[k]
                for j in range(k + 1, n):
                    m[i, j] += multiplier * m[k, j]


@inner("void(f8[:,:],f8[:])")
def _solve_transposed(m, x):
    """Overwrite a nonnegative source x by ``x M^-1``, in the order of elimination."""
    n = x.shape[0]
    for k in range(n):
        for i in range(k):
            x[k] += x[i] * m[i, k]
        if m[k, k] > 0.0:  # gamma = 1 leaves a last pivot of zero: any multiple of the stationary law will do
            x[k] = quotient(x[k], m[k, k], 1.0 / m[k, k])
    for k in range(n - 2, -1, -1):
        for i in range(k + 1, n):
            x[k] += x[i] * m[i, k]


@kernel("(f8[:,:,:],f8[:,:],f8,f8[:,:],f8[:],i8[:])", "(s,a,s),(s,a),()->(s,s),(s),()")
def _eliminate(P, pi, gamma, m, time, reference):
    n = time.shape[0]
    last = n - 1
    reference[0] = last
    _factor(P, pi, gamma, last, m, time)
    # time[last] is the expected discounted time between visits to the reference. Some state is visited at least once
    # in n steps; if the reference is much rarer, relative values would be small differences of long excursions.
    if time[last] > 4.0 * n:
        visits = np.ones(n)
        _solve_transposed(m, visits)
        reference[0] = np.argmax(visits)
        _factor(P, pi, gamma, reference[0], m, time)


@kernel("(f8[:,:],f8[:],i8,f8[:],f8,f8[:],f8[:])", "(s,s),(s),(),(s),()->(s),()")
def _relative_values(m, time, reference, reward, sign, h, level):
    n = time.shape[0]
    last = n - 1
    for i in range(n):
        h[i] = reward[i]
    h[reference], h[last] = h[last], h[reference]
    for i in range(1, n):
        for k in range(i):
            h[i] += m[i, k] * h[k]
    c = h[last] / time[last]
    h[last] = 0.0
    for k in range(last - 1, -1, -1):
        total = h[k] + sign * c * time[k]
        for j in range(k + 1, last):
            total += m[k, j] * h[j]
        h[k] = quotient(total, m[k, k], 1.0 / m[k, k])
    level[0] = c
    h[reference], h[last] = h[last], h[reference]


@kernel("(f8[:,:],i8,f8[:],f8[:])", "(s,s),(),(s)->(s)")
def _values(m, reference, reward, v):
    n = v.shape[0]
    last = n - 1
    for i in range(n):
        v[i] = reward[i]
    v[reference], v[last] = v[last], v[reference]
    for i in range(1, n):
        for k in range(i):
            v[i] += m[i, k] * v[k]
    for k in range(last, -1, -1):
        total = v[k]
        for j in range(k + 1, n):
            total += m[k, j] * v[j]
        v[k] = quotient(total, m[k, k], 1.0 / m[k, k])
    v[reference], v[last] = v[last], v[reference]


@kernel("(f8[:,:],i8,f8[:],f8[:])", "(s,s),(),(s)->(s)")
def _occupancy(m, reference, start, x):
    n = x.shape[0]
    last = n - 1
    for i in range(n):
        x[i] = start[i]
    x[reference], x[last] = x[last], x[reference]
    _solve_transposed(m, x)
    x[reference], x[last] = x[last], x[reference]


@kernel("(f8[:,:],f8[:],i8,f8[:],f8,f8[:])", "(s,s),(s),(),(s),()->(s)")
def _flow(m, time, reference, source, sign, x):
    n = time.shape[0]
    last = n - 1
    for i in range(n):
        x[i] = source[i]
    x[reference], x[last] = x[last], x[reference]
    balance = 0.0
    for k in range(last):
        for i in range(k):
            x[k] += x[i] * m[i, k]
        x[k] = quotient(x[k], m[k, k], 1.0 / m[k, k])
        balance += x[k] * time[k]
    x[last] = sign * balance / time[last]
    for k in range(last - 1, -1, -1):
        for i in range(k + 1, n):
            x[k] += x[i] * m[i, k]
    x[reference], x[last] = x[last], x[reference]


@kernel("(f8[:,:,:],f8[:,:],f8,f8[:],f8[:,:])", "(s,a,s),(s,a),(),(s)->(s,a)")
def _backup(P, R, gamma, values, q):
    n, actions = R.shape
    for s in range(n):
        for a in range(actions):
            total = 0.0
            mass = 0.0
            for j in range(n):
                total += P[s, a, j] * values[j]
                mass += P[s, a, j]
            q[s, a] = R[s, a] + gamma * over(total, mass)


@kernel("(f8[:,:,:],f8[:,:],f8[:])", "(s,a,s),(s,a)->(s)")
def _forward(P, weights, out):
    n, actions = weights.shape
    out[:] = 0.0
    for s in range(n):
        for a in range(actions):
            mass = 0.0
            for j in range(n):
                mass += P[s, a, j]
            weight = over(weights[s, a], mass)
            for j in range(n):
                out[j] += weight * P[s, a, j]
