"""All there is to know of one policy in one MDP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mdps.elimination import Resolvent, backup
from mdps.evaluation_kernel import check_and_evaluate, evaluate_batch
from mdps.mdp import MDP, Array, as_policy, batch_index, instances
from mdps.numbers import Numbers
from mdps.sparse import SparseMDP


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The exact evaluation of a policy. Build it with :func:`evaluate`.

    Batch axes ``*B`` are those of the MDP and the policy, broadcast together. Symbols follow the TRPO paper
    (arXiv:1502.05477v5, section 2): ``rho`` is the *unnormalised* discounted visitation frequency, which sums to
    1/(1-gamma); ``d = (1-gamma) rho`` is the distribution that sums to 1.
    """

    mdp: MDP
    pi: Array  # [*B, S, A]
    V: Array  # [*B, S] state values
    Q: Array  # [*B, S, A] action values
    A: Array  # [*B, S, A] advantages Q - V, from relative values: no cancellation as gamma -> 1
    rho: Array  # [*B, S] sum_t gamma^t Pr(s_t = s), sums to 1/(1-gamma)
    d: Array  # [*B, S] (1-gamma) rho, sums to 1
    eta: Array  # [*B] expected discounted return, rho0 . V
    resolvent: Resolvent  # (I - gamma P_pi)^-1, factored when it is first applied

    def __getitem__(self, index: Any) -> Evaluation:
        """One instance or a slice of the batch."""
        return evaluate(broadcast_mdp(self.mdp, self.eta.shape)[index], self.pi[batch_index(index, self.eta.shape)])

    def __iter__(self) -> Iterator[Evaluation]:
        """Yield the instances along the first batch axis; see :func:`mdps.mdp.instances`."""
        return instances(self, self.eta.shape)

    def broadcast(self, mdp: MDP) -> Evaluation:
        """Return the same evaluation with its tables repeated (as views) for ``mdp``, its own MDP made wider."""
        batch = mdp.batch
        if self.eta.shape == batch and self.mdp is mdp:
            return self
        own = len(self.eta.shape)
        core = {name: getattr(self, name) for name in ("pi", "V", "Q", "A", "rho", "d", "eta")}
        wide = {name: np.broadcast_to(table, batch + table.shape[own:]) for name, table in core.items()}
        return Evaluation(mdp=mdp, resolvent=self.resolvent, **wide)


def evaluate(mdp: MDP | SparseMDP, pi: ArrayLike, *, name: str = "pi") -> Evaluation:
    """Evaluate a policy exactly by elimination without subtraction; in a sparse process by solves with certified errors.

    Parameters
    ----------
    mdp
        One process or a batch ``*B``; or a sparse one, see :func:`mdps.sparse_evaluate.evaluate_sparse`.
    pi
        Policy table [*B, S, A]; its batch axes broadcast with the MDP's, so one policy may be evaluated in many
        processes and many policies in one process.
    name
        What messages call the policy.

    Raises
    ------
    TypeError
        If ``mdp`` is no MDP.
    ValueError
        If ``pi`` does not fit the MDP or one of its rows is not a distribution; the message names the row.
    """
    if isinstance(mdp, SparseMDP):
        from mdps.sparse_evaluate import evaluate_sparse  # which is made of what is here

        return evaluate_sparse(mdp, pi, name=name)
    if not isinstance(mdp, MDP):
        raise TypeError(f"evaluate got {type(mdp).__name__} as its mdp; expected an MDP, then a policy table")
    found = None if _other_numbers(mdp) else check_and_evaluate(mdp, pi)
    if found is None:
        return evaluate_trusted(mdp, as_policy(mdp, pi, name))
    kept, V, Q, A, rho, d, eta = found
    policy = np.broadcast_to(kept, A.shape)  # read-only
    return Evaluation(mdp, policy, V, Q, A, rho, d, eta, Resolvent(mdp.P, policy, mdp.gamma))


def evaluate_trusted(mdp: MDP, policy: Array) -> Evaluation:
    """Evaluate a policy table [*B,S,A] that fits the MDP and needs no check."""
    batch = np.broadcast_shapes(policy.shape[:-2], mdp.batch)
    resolvent = Resolvent(mdp.P, policy, mdp.gamma)
    if _other_numbers(mdp, policy):
        return _evaluate(mdp, np.broadcast_to(policy, (*batch, mdp.S, mdp.A)), resolvent)
    (V, Q, A, rho, d, eta), factored = evaluate_batch(mdp, policy, batch)
    resolvent = resolvent if factored is None else resolvent.with_factors(*factored)
    return Evaluation(mdp, np.broadcast_to(policy, A.shape), V, Q, A, rho, d, eta, resolvent)


def values_and_advantages(mdp: MDP, policy: Array) -> tuple[Array, Array]:
    """V [*B,S] and A [*B,S,A] of a policy table that needs no check, where the rest of an evaluation is not wanted."""
    if isinstance(mdp, SparseMDP):
        e = evaluate(mdp, policy)
        return e.V, e.A
    if _other_numbers(mdp, policy):
        batch = np.broadcast_shapes(policy.shape[:-2], mdp.batch)
        return _worth(mdp, np.broadcast_to(policy, (*batch, mdp.S, mdp.A)), Resolvent(mdp.P, policy, mdp.gamma))
    V, _, A, *_ = evaluate_batch(mdp, policy, np.broadcast_shapes(policy.shape[:-2], mdp.batch))[0]
    return V, A


def visits(mdp: MDP, policy: Array) -> Array:
    """rho [*B,S] of a policy table that needs no check, where the rest of an evaluation is not wanted."""
    if isinstance(mdp, SparseMDP):
        return evaluate(mdp, policy).rho
    return Resolvent(mdp.P, policy, mdp.gamma).occupancy(mdp.rho0)


def _evaluate(mdp: MDP, policy: Array, resolvent: Resolvent) -> Evaluation:
    """The same for numbers of any kind, step by step."""
    V, A = _worth(mdp, policy, resolvent)
    rho = resolvent.occupancy(mdp.rho0)
    d = rho * (1 - mdp.gamma)[..., None]
    return Evaluation(mdp, policy, V, V[..., None] + A, A, rho, d, (mdp.rho0 * V).sum(-1), resolvent)


def _worth(mdp: MDP, policy: Array, resolvent: Resolvent) -> tuple[Array, Array]:
    """V and A for numbers of any kind."""
    reward = weighted(policy, mdp.R)
    V = resolvent.values(reward)
    h, level = resolvent.relative_values(reward)
    A = backup(mdp.P, mdp.R, mdp.gamma, h) - h[..., None] - level[..., None, None]
    return V, A - weighted(policy, A)[..., None]  # zero by definition, here up to rounding: restores sum_a pi A = 0


def _other_numbers(mdp: MDP, *policy: Array) -> bool:
    return any(isinstance(x, Numbers) for x in (*policy, mdp.P, mdp.R, mdp.rho0, mdp.gamma))


def weighted(pi: Array, f: Array) -> Array:
    """``E_{a~pi(.|s)} f(s,a)`` for pi and f [*B,S,A] -> [*B,S], under the exact normalisation of pi's rows."""
    return (pi * f).sum(-1) / pi.sum(-1)


def broadcast_mdp(mdp: MDP, batch: tuple[int, ...]) -> MDP:
    """Return the MDP with its tables repeated (as views) to the batch shape ``batch``."""
    if mdp.batch == batch:
        return mdp
    return MDP(
        np.broadcast_to(mdp.P, (*batch, mdp.S, mdp.A, mdp.S)),
        mdp.R,
        mdp.rho0,
        mdp.gamma,
    )
