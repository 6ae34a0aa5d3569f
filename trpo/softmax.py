"""Steps in the parameters of softmax tables: centred advantages, and the law that a step leads to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mdps.kernels import kernel
from trpo.tilt import TINY


@kernel("(f8[:,:],f8[:,:],f8[:,:])", "(s,a),(s,a)->(s,a)")
def centred(q: Any, regret: Any, advantage: Any) -> None:
    """Write advantages with mean 0 under the exact normalisation of q; exactly 0 where no action is worse than another."""
    for s in range(q.shape[0]):
        mass, mean, most = 0.0, 0.0, 0.0
        for a in range(q.shape[1]):
            mass += q[s, a]
            mean += q[s, a] * regret[s, a]
            most = max(most, regret[s, a])
        for a in range(q.shape[1]):
            advantage[s, a] = mean / mass - regret[s, a] if most > 0.0 else 0.0


@kernel("(f8[:,:],f8[:,:],f8,f8[:,:])", "(s,a),(s,a),()->(s,a)")
def softmax_law(q: Any, direction: Any, size: Any, p: Any) -> None:
    """Write the laws proportional to ``q exp(size direction)``, size finite.

    No action that q takes falls below ``TINY`` (or its q), and q stays as it is, bit for bit, where all that it takes move alike.
    """
    sign = 1.0 if size >= 0.0 else -1.0
    for s in range(q.shape[0]):
        top, bottom = -np.inf, np.inf
        for a in range(q.shape[1]):
            if q[s, a] > 0.0:
                top = max(top, sign * direction[s, a])
                bottom = min(bottom, sign * direction[s, a])
        if not abs(size) * (top - bottom) > 0.0:
            p[s] = q[s]
            continue
        total = 0.0
        for a in range(q.shape[1]):
            p[s, a] = 0.0
            if q[s, a] > 0.0:  # differences first: a product may overflow, and then to -inf
                p[s, a] = q[s, a] * math.exp(abs(size) * (sign * direction[s, a] - top))
                total += p[s, a]
        for a in range(q.shape[1]):
            if q[s, a] > 0.0:
                p[s, a] = max(p[s, a] / total, min(q[s, a], TINY))
