"""Where an episode ends in a process that never does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mdps.mdp import MDP


def terminal(mdp: MDP) -> NDArray[np.bool_]:
    """Return which states [*B,S] are absorbing with reward 0 under every action: on entering one, an episode has ended."""
    leaves = mdp.P * ~np.eye(mdp.S, dtype=bool)[:, None, :]
    absorbing: NDArray[np.bool_] = (leaves == 0).all((-2, -1)) & (mdp.R == 0).all(-1)
    return absorbing
