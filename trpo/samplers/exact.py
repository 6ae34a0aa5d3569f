"""No sampling: all states of a finite process with their weights d, all actions, exact advantages."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mdps.evaluate import evaluate
from mdps.mdp import MDP
from trpo.batch import Batch
from trpo.policies import Policy
from trpo.samplers.sample import Sample
from trpo.tables import tabulate
from trpo.values import ValueFunction


class Exact:
    """Solve the process for the policy as it is.

    The batch's gain in a policy pi' is (1 - gamma) (L(pi') - eta), without error: its gradient is that of (1 - gamma) eta
    (TRPO, arXiv:1502.05477v5, eq. 4). States that are never visited are listed with weight 0.

    Parameters
    ----------
    mdp
        A single process.

    Raises
    ------
    TypeError
        If it is no MDP.
    ValueError
        If it is a batch of them.
    """

    def __init__(self, mdp: MDP) -> None:
        if not isinstance(mdp, MDP):
            raise TypeError(f"Exact got {type(mdp).__name__}; expected an MDP")
        if mdp.batch:
            raise ValueError(f"the MDP is a batch of shape {mdp.batch}; exact sampling is of a single instance: pass mdp[i]")
        self.mdp = mdp

    def collect(self, policy: Policy, value: ValueFunction | None = None) -> Sample:
        """Return all states, N = S, and all actions, M = A; ``value`` is not needed.

        Raises
        ------
        ValueError
            If the policy does not fit the process (:func:`trpo.tables.tabulate`).
        """
        e = evaluate(self.mdp, tabulate(policy, self.mdp))
        states = np.arange(self.mdp.S) + int(getattr(policy.encode.space, "start", 0))
        inputs = policy.inputs(states)
        advantages = torch.from_numpy(e.A.copy()).to(inputs)
        actions = torch.arange(self.mdp.A, device=inputs.device).expand(self.mdp.S, -1).unsqueeze(-1)
        batch = Batch(inputs, actions, torch.zeros_like(advantages), advantages, torch.from_numpy(e.d.copy()).to(inputs))
        return Sample(batch, states, 0, np.empty(0), np.empty(0, dtype=np.int64))

    def state(self) -> None:
        """There is none."""

    def restore(self, state: Any) -> None:
        """There is none."""
