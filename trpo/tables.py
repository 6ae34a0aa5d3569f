"""A policy on a finite process as its table: the bridge from networks to exact evaluation."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces

from mdps.mdp import MDP, Array
from trpo.distributions import MultiCategorical
from trpo.policies import Policy


def tabulate(policy: Policy, states: MDP | int) -> Array:
    """Return pi [S,A] of a policy over discrete observations and actions, in double precision.

    Parameters
    ----------
    policy
        Its observation space is Discrete(S), as that of a :class:`~mdps.gym_bridge.TabularEnv`; its law one choice.
    states
        The process, whose S and A must be the policy's, or S alone.

    Returns
    -------
    pi
        The softmax of the policy's outputs, taken in double precision; rows sum to 1 to rounding.

    Raises
    ------
    ValueError
        If the policy is of other spaces, or of other numbers of states or actions.
    """
    space, family = policy.encode.space, policy.family
    if not isinstance(space, spaces.Discrete):
        raise ValueError(f"the policy observes {space}; expected Discrete states, as those of a TabularEnv")
    if not isinstance(family, MultiCategorical) or family.D != 1:
        raise ValueError(f"the policy's law is {family!r}; expected a Categorical over Discrete actions")
    count = states.S if isinstance(states, MDP) else int(states)
    if space.n != count:
        raise ValueError(f"the policy observes {space.n} states; the process has {count}")
    if isinstance(states, MDP) and family.K != states.A:
        raise ValueError(f"the policy chooses among {family.K} actions; the process has {states.A}")
    with torch.no_grad():
        z = policy(policy.inputs(np.arange(space.start, space.start + count)))
        pi: Array = torch.softmax(z.double(), -1).cpu().numpy()
    return pi / pi.sum(-1, keepdims=True)
