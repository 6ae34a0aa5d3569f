"""Structured instances: at a given gamma, the pairs of policies that make bounds tight and break false ones.

Random MDPs almost never come near a bound, so a harness that draws only those cannot tell a false bound from a true one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from mdps.families import (
    bandit,
    fam_cpi,
    fam_cpo,
    fam_tv,
    fam_walk,
    fork,
    greedy_trap,
    hidden_reward,
    ladder,
    leak,
    shared_law,
    slow_leak,
)
from mdps.families.worst_case import Pair
from mdps.mdp import uniform_policy


def _trust_region_steps(gamma: float) -> Pair:
    """``shared_law`` from p = 0.01 to the shared law that maximises L at max KL = mean KL = 0.2 and 0.05."""

    def kl(p: float, q: float) -> float:
        return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))

    p = 0.01
    new = [brentq(lambda q, d=delta: kl(p, q) - d, p, 0.999) for delta in (0.2, 0.05)]  # L rises with q: A > 0 on average
    return shared_law(gamma, p, new_p=np.array(new))


def _bandit_pair(gamma: float) -> Pair:
    """Two arms that pay the same, drawn evenly, then tilted by 0.01: the smallest policy change there is."""
    mdp = bandit([1.0, 1.0], gamma=gamma)
    return Pair(mdp, uniform_policy(mdp), np.array([[0.51, 0.49]]))


STRUCTURED: dict[str, Callable[[float], Pair]] = {
    "fam_cpi": lambda gamma: fam_cpi(gamma, [1e-6, 0.001, 0.02, 0.1, 0.5, 1.0]),
    "fam_tv": lambda gamma: fam_tv(gamma, [1e-6, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 1.0]),
    "fam_cpo": lambda gamma: fam_cpo(gamma, [1e-6, 0.001, 0.01, 0.1, 0.5, 1.0]),
    "leak": lambda gamma: leak(gamma, [1e-6, 0.001, 0.01, 0.1, 0.5, 1.0]),
    "fam_walk": lambda gamma: fam_walk(gamma, [0.001, 0.1, 0.4, 0.5], 12),
    "greedy_trap": greedy_trap,
    "shared_law": _trust_region_steps,
    "shared_law-clip": lambda gamma: shared_law(gamma, 0.1, new_p=0.11),
    "slow_leak": lambda gamma: slow_leak(gamma, [1e-4, 0.01, 0.1]),
    "fork": lambda gamma: fork(gamma, np.array([1e-3, 0.1]) * min(1, np.sqrt((1 - gamma) / max(gamma, 1e-9)))),
    "ladder": lambda gamma: ladder(gamma, 4, [0.01, 0.4]),
    "hidden_reward": hidden_reward,
    "even_bandit": _bandit_pair,
}
"""Name -> pairs at a gamma. Each is also the small instance by which an erratum is shown."""
