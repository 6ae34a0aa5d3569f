"""All update rules by name: what the studies iterate over.

Each is a policy table from an :class:`~mdps.Evaluation`, with exact quantities. A rule that maximises a lower bound on eta
names the bound (``rests_on``): what its step is then guaranteed to gain is ``L - penalty - eta(old)``, which is >= 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from bounds.sharper import sqrt_horizon
from mdps.evaluate import Evaluation
from mdps.mdp import Array
from trpo import exact
from trpo.region import Reduce, Region

Groups = ArrayLike | None


@dataclass(frozen=True)
class Update:
    """One rule. ``UPDATES["max-kl"](old, delta=0.01)`` is the new policy, [*B,S,A]."""

    step: Callable[[Evaluation, float, Groups], Array]
    label: str
    """For legends, with the equation where the rule is a paper's."""
    region: str
    """What bounds the step: a trust region, a penalty, a mixture's weight, or nothing."""
    sized: bool = False
    """Whether ``delta`` sets the size of the step."""
    ties: bool = True
    """Whether states may be tied."""
    rests_on: str | None = None
    """Id of the bound that the rule maximises, and that guarantees it an improvement."""

    def __call__(self, old: Evaluation, delta: float = 0.01, groups: Groups = None) -> Array:
        """Return the new policy's table [*B,S,A].

        Raises
        ------
        ValueError
            If states are tied (``groups``, see :func:`trpo.groups.tie`) for a rule that has no such form.
        """
        if groups is not None and not self.ties:
            raise ValueError(f"the update {self.label!r} has no form for tied states; leave groups out")
        return self.step(old, delta, groups)


def _mixture(rule: exact.MixtureRule) -> Callable[[Evaluation, float, Groups], Array]:
    return lambda old, delta, groups: exact.mixture_step(old, rule)


def _region(reduce: Reduce) -> Callable[[Evaluation, float, Groups], Array]:
    return lambda old, delta, groups: exact.region_step(old, Region("kl", reduce, delta), groups)


def _penalised(coefficient: Callable[[Array], Array], reduce: Reduce, old: Evaluation, delta: float, groups: Groups) -> Array:
    """Algorithm 1 with the coefficient ``eps f(gamma)``, eps = max|A|: the penalty of a bound, with eps of the old policy."""
    eps = np.abs(old.A).max((-2, -1))
    return exact.penalised_step(old, eps * coefficient(old.mdp.gamma), reduce=reduce, groups=groups)


def _horizon(gamma: Array) -> Array:
    return 1 / (1 - gamma)


UPDATES: dict[str, Update] = {
    "cpi-kl02": Update(_mixture("kakade-langford"), "CPI, Kakade-Langford", "mixture", ties=False, rests_on="cpi-kl02-resolvent"),
    "cpi-trpo": Update(_mixture("trpo"), "CPI, eq. 6", "mixture", ties=False, rests_on="cpi-trpo"),
    "alg1-trpo": Update(
        partial(_penalised, lambda g: 4 * g * _horizon(g) ** 2, "max"), "Alg. 1, TRPO's C (eq. 9)", "penalty", rests_on="kl-trpo"
    ),
    "alg1-pinsker": Update(
        partial(_penalised, lambda g: 2 * g * _horizon(g) ** 2, "max"), "Alg. 1, C/2", "penalty", rests_on="kl-tight-pinsker"
    ),
    "alg1-three-halves": Update(
        partial(_penalised, lambda g: 2 * np.sqrt(g) * _horizon(g) ** 1.5, "max"),
        r"Alg. 1, $(1-\gamma)^{-3/2}$",
        "penalty",
        rests_on="kl-three-halves",
    ),
    "alg1-sqrt-horizon": Update(
        partial(_penalised, lambda g: 2 * sqrt_horizon(g), "max"),
        r"Alg. 1, $\Sigma\gamma^t\sqrt{t}$",
        "penalty",
        rests_on="kl-sqrt-horizon",
    ),
    "alg1-mean": Update(
        partial(_penalised, lambda g: g * _horizon(g) ** 2 + 2 * np.sqrt(g) * _horizon(g) ** 1.5, "mean"),
        "Alg. 1, mean KL",
        "penalty",
        rests_on="meankl-linear-bernstein",
    ),
    "max-kl": Update(_region("max"), "max-KL (eq. 11)", "max_kl", sized=True),
    "mean-kl": Update(_region("mean"), "mean-KL (eq. 12)", "mean_kl", sized=True),
    "natural-gradient": Update(
        lambda old, delta, groups: exact.natural_gradient_step(old, delta=delta, groups=groups),
        "natural gradient (eq. 17)",
        "fisher",
        sized=True,
    ),
    "vanilla-gradient": Update(
        lambda old, delta, groups: exact.vanilla_gradient_step(old, delta=delta, groups=groups),
        "vanilla gradient (eq. 18)",
        "l2",
        sized=True,
    ),
    "policy-iteration": Update(lambda old, delta, groups: exact.policy_iteration_step(old, groups), "policy iteration", "none"),
}
"""Name -> rule, in the order of the legends."""


def select_updates(names: list[str] | None) -> dict[str, Update]:
    """Return the named rules, or all.

    Raises
    ------
    ValueError
        If a name is unknown, or none is given.
    """
    if names is None:
        return UPDATES
    unknown = [name for name in names if name not in UPDATES]
    if unknown or not names:
        what = f"unknown update {unknown[0]!r}" if unknown else "updates is empty"
        raise ValueError(f"{what}; known: {', '.join(UPDATES)}")
    return {name: UPDATES[name] for name in names}
