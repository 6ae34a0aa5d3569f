"""What a trust-region update promises, each as a number and a limit, measured from the policy before and after it alone.

A promise is a function of a :class:`Step`. It returns (value, limit), or None where it says nothing of that update; it is kept
where the value is on the right side of the limit. What nobody could keep at a fixed radius, such as that eta does not fall, is
information: its numbers are reported, and no verdict. Limits allow for the rounding of single precision, in which agents compute,
and for nothing else (:mod:`studies.adapters.laws`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from bounds import Comparison, compare
from studies.adapters import Gaussian, Law, Update, World
from studies.adapters.laws import ROUNDINGS

Measured = tuple[float, float] | None
Scenario = Literal["ordinary", "stress", "rejected", "discount"]
UNDECIDED = 0.1
"""In the discount probe, updates count as long as both actions have at least this probability: a decided policy hardly moves."""


@dataclass(frozen=True, eq=False)
class Step:
    """One update, where it was made, and what follows from both."""

    update: Update
    previous: Update | None
    world: World
    delta: float
    scenario: Scenario

    @cached_property
    def old(self) -> Law:
        """The old policy on the batch."""
        return self.update.before.law(self.update.inputs)

    @cached_property
    def new(self) -> Law:
        """The new policy on the batch."""
        return self.update.after.law(self.update.inputs)

    @cached_property
    def moved(self) -> bool:
        """Whether any parameter changed."""
        return self.update.moved > 0

    @cached_property
    def exact(self) -> Comparison | None:
        """The two policies in the MDP, where there is one."""
        if self.world.mdp is None:
            return None
        return compare(self.world.mdp, self.world.table(self.update.before), self.world.table(self.update.after))


@dataclass(frozen=True)
class Promise:
    """A statement of an update, and how to measure it."""

    statement: str
    measure: Callable[[Step], Measured]
    sense: Literal["at most", "at least", "above"] = "at most"
    asserted: bool = True  # False: information, which is neither kept nor broken

    def verdict(self, measured: Measured) -> str:
        """Return "kept", "broken", "information" or "not applicable"."""
        if measured is None:
            return "not applicable"
        if not self.asserted:
            return "information"
        value, limit = measured
        kept = {"at most": value <= limit, "at least": value >= limit, "above": value > limit}[self.sense]
        return "kept" if kept else "broken"


def finite(s: Step) -> Measured:
    """Parameters that are no longer finite; an update that raises an error has as many as there can be."""
    return float((~np.isfinite(s.update.after.parameters)).sum()), 0.0


def kl(s: Step) -> Measured:
    """Mean KL(old || new) over the batch, which eq. 12 of TRPO bounds by delta."""
    return (s.update.mean(s.old.kl(s.new)), s.delta + s.update.mean(s.old.rounding(s.new))) if s.moved else None


def kl_reverse(s: Step) -> Measured:
    """Mean KL(new || old) over the batch."""
    return (s.update.mean(s.new.kl(s.old)), s.delta + s.update.mean(s.new.rounding(s.old))) if s.moved else None


def kl_max(s: Step) -> Measured:
    """Largest KL(old || new) over the batch, which eq. 11 of TRPO bounds by delta."""
    if not s.moved:
        return None
    divergence = s.old.kl(s.new)
    worst = int(divergence.argmax())
    return float(divergence[worst]), s.delta + float(s.old.rounding(s.new)[worst])


def restore(s: Step) -> Measured:
    """Largest change of a parameter in a rejected update: one the agent calls so, or, if it says nothing, one that had to be."""
    says = s.update.accepted
    rejected = says is False or (says is None and s.scenario == "rejected")
    return (s.update.moved, 0.0) if rejected else None


def surrogate(s: Step) -> Measured:
    """Mean of (new/old - 1) A over the batch, with the advantages that the update used."""
    if not s.moved:
        return None
    before, after = s.old.log_prob(s.update.actions), s.new.log_prob(s.update.actions)
    gain = s.update.mean(np.expm1(after - before) * s.update.advantages)
    size = np.abs(s.update.advantages) * np.exp(after - before) * (1 + np.abs(before) + np.abs(after))
    return gain, -ROUNDINGS * s.update.mean(size)


def surrogate_exact(s: Step) -> Measured:
    """L(new) - eta(old) with exact advantages and visits."""
    return (float(s.exact.surrogate_gain), 0.0) if s.exact and s.moved and s.scenario != "discount" else None


def eta(s: Step) -> Measured:
    """eta(new) - eta(old), exact."""
    return (float(s.exact.improvement), 0.0) if s.exact and s.moved and s.scenario != "discount" else None


def gap(s: Step) -> Measured:
    """eta(new) - L(new), exact."""
    return (float(s.exact.gap), 0.0) if s.exact and s.moved and s.scenario != "discount" else None


def kl_visits(s: Step) -> Measured:
    """Mean KL(old || new) over the old policy's discounted visits d, exact; the batch's own mean estimates another one."""
    return (float(s.exact.kl_mean), s.delta) if s.exact and s.moved else None


def kl_states(s: Step) -> Measured:
    """Largest KL(old || new) over all states of the MDP."""
    return (float(s.exact.kl_max), s.delta) if s.exact and s.moved else None


def log_std(s: Step) -> Measured:
    """Largest change of a log-std on the batch, of a policy with normal laws."""
    if not (isinstance(s.old, Gaussian) and isinstance(s.new, Gaussian) and s.moved):
        return None
    return float(np.abs(s.new.log_std - s.old.log_std).max()), 0.0


def log_std_metric(s: Step) -> Measured:
    """Step size of the log-std over that of the mean: 1 for F^-1 g, and 2 if the log-std has the identity for its metric.

    A natural step x = beta F^-1 g has beta = x'Fx / g'x, and with it each block that the analytic Fisher matrix keeps apart.
    For means and a log-std that share no parameter (it is the same at all observations), both sides are seen in the laws
    alone, to first order: x'Fx = E[(dm/s)^2] and g'x = E[A (a - m) dm / s^2] for the means, E[2 dl^2] and
    E[A (((a - m)/s)^2 - 1) dl] for the log-std.
    Damping, unfinished conjugate gradients and long steps move the ratio from 1, so it is information, and of the scenario
    "ordinary" only.
    """
    if not (isinstance(s.old, Gaussian) and isinstance(s.new, Gaussian) and s.moved):
        return None
    if s.scenario != "ordinary" or np.ptp(s.old.log_std, axis=0).any():
        return None
    shape, A = s.old.mean.shape, s.update.advantages[:, None]
    z = (np.asarray(s.update.actions, dtype=float).reshape(shape) - s.old.mean) * np.exp(-s.old.log_std)
    shift, spread = (s.new.mean - s.old.mean) * np.exp(-s.old.log_std), s.new.log_std - s.old.log_std
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.divide((shift**2).sum(), (A * z * shift).sum())
        spreads = np.divide((2 * spread**2).sum(), (A * (z**2 - 1) * spread).sum())
        ratio = float(spreads / means)
    return (ratio, 1.0) if np.isfinite(ratio) else None


def drift(s: Step) -> Measured:
    """Mean KL between the policy that the last update made and the one this update starts from, at the same raw observations.

    What the last update made are its new parameters behind the normaliser it worked with. The KL is not zero where the
    normaliser has moved since, or where something was trained that the policy shares; no trust region ever saw that change.
    The same numbers give the same laws, so the limit is 0.
    """
    if s.previous is None:
        return None
    raw = s.update.observations
    made, found = s.previous.after.law(s.previous.before.features(raw)), s.update.before.at(raw)
    return float(made.kl(found).mean()), 0.0


def discount(s: Step) -> Measured:
    """Rise of the discounted return in the probe, where a gradient without gamma^t lowers it (worlds.discount_probe)."""
    if s.scenario != "discount" or s.exact is None or not s.moved or s.exact.old.pi[0].min() < UNDECIDED:
        return None
    return float(s.exact.improvement), 0.0


PROMISES: dict[str, Promise] = {
    "finite": Promise("an update ends without an error, its parameters finite", finite),
    "kl": Promise("mean KL(old||new) over the batch is at most delta", kl),
    "kl_reverse": Promise("mean KL(new||old) over the batch, against delta", kl_reverse, asserted=False),
    "kl_max": Promise("largest KL(old||new) over the batch, against delta", kl_max, asserted=False),
    "restore": Promise("a rejected step leaves every parameter as it was", restore),
    "surrogate": Promise("the surrogate of its own batch rises", surrogate, "at least"),
    "surrogate_exact": Promise("L(new) - eta(old), exact (the update sees an estimate)", surrogate_exact, asserted=False),
    "eta": Promise("eta(new) - eta(old), exact (no fixed radius keeps it from falling)", eta, asserted=False),
    "gap": Promise("eta(new) - L(new), exact", gap, asserted=False),
    "kl_visits": Promise("mean KL(old||new) over the exact discounted visits, against delta", kl_visits, asserted=False),
    "kl_states": Promise("largest KL(old||new) over all states, against delta", kl_states, asserted=False),
    "log_std": Promise("the log-std of a normal policy takes part in the step", log_std, "above"),
    "log_std_metric": Promise("step size of the log-std over that of the mean, 1 for F^-1 g", log_std_metric, asserted=False),
    "drift": Promise("between updates the policy stays as it is", drift),
    "discount": Promise("states are weighted by gamma^t, as in L", discount, "at least"),
}
