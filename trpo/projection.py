"""The law that gains most within a Euclidean ball around the old one: the projected gradient, with its step found.

``max_p sum_a p_a A_a`` over the simplex with ``1/2 ||p - q||^2 <= delta`` has the answer ``p(t) = proj(q + t A)``, the
projection onto the simplex, with t >= 0 as large as delta admits (stationarity; 1/t is the price of the distance). A
ball around each state has a t each; a ball around their weighted mean, one t for all.

On the set J of actions with p_a > 0,

    p_a - q_a = t (A_a - mean_J A) + (sum of q outside J)/|J|,

so half the squared distance is ``t^2 E/2`` and a constant, with E = sum_J (A_a - mean_J A)^2. J only shrinks as t grows: the
distance is a concave, piecewise linear function of t^2, and Newton's rule from the left ends at the root after finitely
many steps, all of them inside the ball.
"""

from __future__ import annotations

import math

import numpy as np

from mdps.kernels import inner, kernel


@inner("UniTuple(f8,2)(f8[:],f8[:],f8,f8,b1[:],f8[:])")
def _project(q, regret, scale, t, inside, p):
    """Write proj(q - t regret / scale) (Michelot 1986); return half the squared distance to q, and E."""
    for a in range(q.shape[0]):
        inside[a] = True
    while True:
        count = 0
        mean = 0.0
        outside = 0.0
        for a in range(q.shape[0]):
            if inside[a]:
                count += 1
                mean += regret[a] / scale
            else:
                outside += q[a]
        mean /= count
        spread = 0.0
        distance = 0.0
        done = True
        for a in range(q.shape[0]):
            move = -q[a]
            if inside[a]:
                away = mean - regret[a] / scale
                spread += away * away
                move = t * away + outside / count
            p[a] = q[a] + move
            if inside[a] and p[a] <= 0.0:
                inside[a] = False
                done = False
            distance += 0.5 * move * move
        if done:
            return distance, spread


@kernel("(f8[:,:],f8[:,:],f8[:],f8,f8[:,:])", "(s,a),(s,a),(s),()->(s,a)")
def mean_l2_law(q, regret, weight, radius, p):
    """The best laws with sum_s weight 1/2 ||p - q||^2 <= radius (finite); q at states of weight 0 or without gain."""
    n, actions = q.shape
    p[:] = q
    moves = np.zeros(n, dtype=np.bool_)
    scale = 0.0
    total = 0.0
    for s in range(n):
        total += weight[s]
        for a in range(actions):
            if weight[s] > 0.0 and q[s, a] > 0.0 and regret[s, a] > 0.0:
                moves[s] = True
        if moves[s]:
            scale = max(scale, np.max(regret[s]))
    inside = np.empty(actions, dtype=np.bool_)
    spread = 0.0
    for s in range(n):
        if moves[s]:
            mean = np.mean(regret[s] / scale)
            for a in range(actions):
                spread += weight[s] * (regret[s, a] / scale - mean) ** 2
    if spread == 0.0:
        return
    radius = min(radius, total)  # no two laws are further apart
    square = 2.0 * radius / spread  # the projection moves no further than q + t A does, so this t is inside
    t = math.sqrt(square)
    for _ in range(n * actions + 50):
        distance = 0.0
        spread = 0.0
        for s in range(n):
            if moves[s]:
                d, e = _project(q[s], regret[s], scale, t, inside, p[s])
                distance += weight[s] * d
                spread += weight[s] * e
        left = radius * (1.0 - 1e-14) - distance
        if spread == 0.0 or left <= 1e-14 * radius:
            break
        square += 2.0 * left / spread
        t = math.sqrt(square)
