"""What the study ``estimators`` estimates, exactly: a process, a random policy in it, and numbers of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mdps import MDP, evaluate
from mdps.gym_bridge import TabularEnv
from mdps.mdp import Array
from trpo.batch import Batch
from trpo.curvature import Curvature, matrix
from trpo.exact import natural_gradient_step
from trpo.linearise import Linearised, linearise, set_parameters
from trpo.policies import Policy, make_network, make_policy
from trpo.samplers.exact import Exact
from trpo.values import ValueFunction

SPREAD = 0.7
"""Deviation of the random logits."""


@dataclass(frozen=True, eq=False)
class Truth:
    """A process, a policy in it, and the exact values of what is estimated."""

    mdp: MDP
    policy: Policy
    value: ValueFunction  # the exact one
    target: torch.Tensor  # [P] parameters of the policy whose gain is estimated
    numbers: dict[str, Array]  # quantity -> exact value
    horizon: int  # length of paths
    rarest: float  # least d(s) among the states with 1 % of the gradient's norm

    @staticmethod
    def of(mdp: MDP, seed: int, delta: float, damping: float, cut: float) -> Truth:
        """Draw a policy and compute everything.

        Parameters
        ----------
        mdp
            A single process whose episodes never end, with 0 < gamma.
        seed
            For the policy's logits.
        delta
            Mean KL of the policy whose gain is estimated, one natural-gradient step away, nats.
        damping
            Of the Fisher matrix, for the natural gradient.
        cut
            Paths are so long that gamma^length is at most this.
        """
        env, double = TabularEnv(mdp), torch.float64
        policy = make_policy(env.observation_space, env.action_space, "tabular", dtype=double)
        logits = SPREAD * np.random.default_rng([seed, 1]).normal(size=(mdp.S, mdp.A))
        set_parameters(policy, torch.from_numpy(logits.T.copy()).reshape(-1))
        pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        e = evaluate(mdp, pi)
        value = ValueFunction(make_network("tabular", policy.encode, 1))
        set_parameters(value, torch.from_numpy(e.V).to(double))
        new = natural_gradient_step(e, delta=delta)
        batch = Exact(mdp).collect(policy).batch
        target = torch.from_numpy(np.log(new).T.copy()).reshape(-1)
        numbers = surrogate(policy, batch, target)
        numbers |= curved(policy, batch, "fisher", numbers["gradient"], damping)
        part = np.linalg.norm(numbers["gradient"].reshape(mdp.A, mdp.S), axis=0)
        rarest = float(e.d[part >= 0.01 * np.linalg.norm(part)].min())
        return Truth(mdp, policy, value, target, numbers, int(np.ceil(np.log(cut) / np.log(float(mdp.gamma)))), rarest)


def surrogate(policy: Policy, batch: Batch, target: torch.Tensor) -> dict[str, Array]:
    """Return by a batch the gain of the surrogate at the parameters ``target``, [1], and the surrogate's gradient, [P]."""
    linear = linearise(policy, batch.inputs)
    gain = batch.gain(policy.family, linear.at(target)) - batch.gain(policy.family, linear.outputs)
    gradient: Array = linear.vjp(batch.gradient(policy.family, linear.outputs)).numpy()
    return {"gain": np.array([gain]), "gradient": gradient}


def curved(policy: Policy, batch: Batch, curvature: Curvature, g: Array, damping: float) -> dict[str, Array]:
    """Return by a batch the Fisher matrix F times a vector g, and (F + damping)^-1 g, both [P]."""
    linear = linearise(policy, batch.inputs)
    F = _dense(linear, policy, batch, curvature)
    solved = np.linalg.solve(F + damping * np.eye(len(F)), g)
    return {"Fisher product": F @ g, "natural gradient": np.asarray(solved, dtype=np.float64)}


def _dense(linear: Linearised, policy: Policy, batch: Batch, curvature: Curvature) -> Array:
    product = matrix(curvature, linear, policy.family, batch, 0.0)
    F: Array = torch.stack([product(unit) for unit in torch.eye(len(linear.theta), dtype=linear.theta.dtype)]).numpy()
    return F
