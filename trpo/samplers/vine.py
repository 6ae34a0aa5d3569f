"""Vine: states from a trunk of paths, several actions at each, a short rollout after every one.

TRPO, arXiv:1502.05477v5, section 5.2. With a_1..a_M drawn from q at a state s and Q_m the return of the rollout after a_m, the
surrogate's term at s is, for a policy pi',

================================== ===================================================================== ===================
estimate                           formula                                                               expectation
================================== ===================================================================== ===================
``q="all"``, eq. 15                sum_a pi'(a) Q_a, every action once                                   exact
``q="policy"``, ``"uniform"``      1/M sum_m pi'(a_m)/q(a_m) Q_m                                         exact
and ``self_normalised``            sum_m w_m Q_m / sum_m w_m, w = pi'/q                                  biased, consistent
and ``weights="paper"``, eq. 16    the same with w = pi'/pi_old, as printed, though a_m is drawn from q  wrong unless q = pi_old
as printed
================================== ===================================================================== ===================

for rollouts so long that gamma^length is 0. From Q a baseline is taken that changes no expectation: the importance-weighted
mean of the *other* rollouts of the state, or where weights sum to 1 that of all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import gymnasium
import numpy as np
import torch
from torch import Tensor

from mdps.gym_bridge import TabularEnv
from trpo.batch import Batch
from trpo.distributions import DiagonalGaussian, MultiCategorical
from trpo.policies import Policy
from trpo.samplers.restore import check_restores
from trpo.samplers.sample import Sample
from trpo.samplers.worlds import Plan, Rolls, Simulator, Tables, World
from trpo.values import ValueFunction

Env = gymnasium.Env[Any, Any]
Proposal = Literal["policy", "uniform", "all"]


class Vine:
    """Estimate action values by rollouts from chosen states.

    Parameters
    ----------
    env
        A single environment whose state can be restored, or a function that makes one: then several copies are stepped together,
        which is faster. A bare :class:`~mdps.gym_bridge.TabularEnv` is played by array operations.
    gamma
        Discount factor.
    states
        N, states a batch. The paper's "Q-values per batch" are N x M.
    rollouts
        M, actions a state (with ``q="all"``, all of them).
    length
        Steps of a rollout. What comes later is taken for 0: an error of at most gamma^length max|Q|.
    q
        Which actions: drawn from the policy, drawn uniformly, or all. The paper: the policy for reals, uniform for choices.
    paths, horizon
        Paths of the trunk, begun anew each time, and their most steps. The environment's time limit, if it has one, ends neither
        these nor rollouts.
    discounted
        Draw states by gamma^t, t their age, as the surrogate L has them; otherwise all visited states alike, as usual code does.
    common_random_numbers
        Whether the rollouts of one state share their noise, the environment's and that of actions.
    self_normalised
        Divide by the sum of the importance weights (eq. 16).
    weights
        ``"correct"``, or ``"paper"`` for those printed.
    baseline
        Whether to take one from Q.
    copies
        Most copies of the environment, where a function makes them.
    seed
        For everything random.

    Raises
    ------
    ValueError
        If a number is out of range, a name unknown, the environment is a vector environment or starts in terminal states only, or
        q does not suit its actions.
    CannotRestore
        If its state cannot be restored; the message says which environments' can.
    """

    def __init__(
        self,
        env: Env | Callable[[], Env],
        *,
        gamma: float = 0.99,
        states: int = 500,
        rollouts: int = 4,
        length: int = 100,
        q: Proposal = "policy",
        paths: int = 16,
        horizon: int = 1000,
        discounted: bool = False,
        common_random_numbers: bool = True,
        self_normalised: bool = False,
        weights: Literal["correct", "paper"] = "correct",
        baseline: bool = True,
        copies: int = 16,
        seed: int = 0,
    ) -> None:
        for name, value in dict(
            states=states, rollouts=rollouts, length=length, paths=paths, horizon=horizon, copies=copies
        ).items():
            if value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")
        if not 0 <= gamma <= 1 or (discounted and gamma == 1):
            raise ValueError(f"gamma is {gamma}; expected a number in [0, 1], below 1 where states are discounted")
        if q not in get_args(Proposal):
            raise ValueError(f"q is {q!r}; expected one of {', '.join(map(repr, get_args(Proposal)))}")
        if weights not in ("correct", "paper") or (weights == "paper" and q == "all"):
            raise ValueError(f"weights is {weights!r} with q={q!r}; expected 'correct', or 'paper' with actions that are drawn")
        self.q, self.rollouts, self.rolls = q, rollouts, Rolls(length, gamma, common_random_numbers)
        self.self_normalised, self.weights, self.baseline = self_normalised, weights, baseline
        self.plan = Plan(paths, horizon, states, gamma if discounted else 1.0)
        self.rng = np.random.default_rng(seed)
        self.world = _world(env, copies)

    def collect(self, policy: Policy, value: ValueFunction | None = None) -> Sample:
        """Follow the policy, go back to states on the way, and roll out from them; ``value`` is not used.

        Raises
        ------
        ValueError
            If q does not suit the policy's actions, or states are weighted equally and none but terminal ones were met.
        """
        trunk = self.world.trunk(policy, self.plan, self.rng)
        inputs = policy.inputs(trunk.observations)
        with torch.no_grad():
            z = policy(inputs)
        actions, log_q = self._propose(policy, z)
        Q, steps = self.world.rollouts(policy, trunk.places, actions, self.rolls, self.rng)
        values = torch.from_numpy(Q)
        ratio = torch.exp(policy.family.log_prob(z, actions) - log_q).double().cpu()
        advantages = (values - self._baseline(values, ratio) if self.baseline else values).to(inputs)
        share = torch.full((len(inputs),), 1 / len(inputs), dtype=inputs.dtype, device=inputs.device)
        return Sample(
            Batch(inputs, actions, log_q, advantages, share, self.self_normalised),
            trunk.observations,
            trunk.steps + steps,
            trunk.returns,
            trunk.lengths,
        )

    def _propose(self, policy: Policy, z: Tensor) -> tuple[Tensor, Tensor]:
        """Actions [N,M,D] and log of M q(a), or of what the paper prints in its place, [N,M]."""
        family, n = policy.family, len(z)
        if self.q == "all":
            if not isinstance(family, MultiCategorical) or family.D != 1:
                raise ValueError(f"q='all' lists the options of one choice; the policy's law is {family!r}: use q='policy'")
            actions = torch.arange(family.K, device=z.device).expand(n, -1).unsqueeze(-1)
            return actions, torch.zeros(n, family.K, dtype=z.dtype, device=z.device)
        if self.q == "uniform" and isinstance(family, DiagonalGaussian):
            raise ValueError(f"q='uniform' needs finitely many actions; the policy's law is {family!r}: use q='policy'")
        law = torch.zeros_like(z) if self.q == "uniform" else z
        noise = family.noise(n * self.rollouts, self.rng)
        actions = family.sample(law.repeat_interleave(self.rollouts, 0), noise).view(n, self.rollouts, -1)
        return actions, np.log(self.rollouts) + family.log_prob(z if self.weights == "paper" else law, actions)

    def _baseline(self, Q: Tensor, ratio: Tensor) -> Tensor:
        """For each rollout, of the others: independent of its own action, so of expectation 0 in the gradient. [N,M] or [N,1]."""
        weighted = ratio * Q
        total, m = weighted.sum(1, keepdim=True), Q.shape[1]
        if self.self_normalised or self.q == "all":
            return total / ratio.sum(1, keepdim=True)
        return (total - weighted) * (m / (m - 1)) if m > 1 else torch.zeros_like(Q)

    def state(self) -> dict[str, Any]:
        """Return what is needed to continue exactly."""
        return {"rng": self.rng.bit_generator.state, "world": self.world.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` returned."""
        self.rng.bit_generator.state = state["rng"]
        self.world.restore(state["world"])


def _world(env: Env | Callable[[], Env], copies: int) -> World:
    made = env if isinstance(env, gymnasium.Env) else env() if callable(env) else env
    if not isinstance(made, gymnasium.Env):
        raise ValueError(f"env is {env!r}; expected a single gymnasium environment, or a function that makes one")
    if type(made) is TabularEnv:
        return Tables(made.mdp)
    check_restores(made)
    return Simulator([made, *(env() for _ in range(copies - 1))] if not isinstance(env, gymnasium.Env) else [made])
