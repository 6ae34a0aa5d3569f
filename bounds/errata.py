"""Every known error of the note on TRPO and of the paper itself, and what stands in its place.

Where the error is a false statement it is a ``false`` claim of the catalogue, and ``instances`` names the members
of :data:`bounds.instances.STRUCTURED` that show it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Erratum:
    """One error: where it stands, what is printed, and what is right."""

    id: str
    where: str
    printed: str
    correction: str
    claims: tuple[str, ...] = ()
    """Ids of the claims that decide it."""
    instances: tuple[str, ...] = ()
    """Names of the structured instances that show it; empty where the error is one of wording."""


ERRATA: tuple[Erratum, ...] = (
    Erratum(
        "F1",
        "note, summary after eq. 22",
        "eta <= L + 2 eps max KL / (1-gamma)^2",
        "a lower bound on eta is meant, with C = 4 eps gamma/(1-gamma)^2; as an inequality it is true, a relic of minimising a cost",
        ("kl-seed-summary", "kl-trpo"),
    ),
    Erratum(
        "F2",
        "note, eq. 32",
        "theta_old - lambda A^-1 grad L",
        "plus: with the minus sign eta falls to first order; lambda is a step size there, 1/lambda in the paper",
        ("G18", "natural-step"),
        ("fam_walk",),
    ),
    Erratum(
        "F3",
        "note, eq. 31",
        "absolute bars around grad L . Delta",
        "brackets: with bars the step downwards is optimal too",
        ("G18", "natural-step"),
        ("fam_walk",),
    ),
    Erratum(
        "F4",
        "note, end of 2.5",
        "directly minimising L gives policy iteration",
        "maximising, and only where rho > 0",
        ("note-minimise-L", "G10", "unconstrained=PI"),
        ("greedy_trap", "fam_tv"),
    ),
    Erratum("F5", "note, after eq. 22", "MM = minimise-maximise", "minorise-maximise", ("alg1-monotone",)),
    Erratum(
        "F6",
        "note, eq. 21",
        "TV^2 <= KL, called Pinsker's inequality",
        "Pinsker: TV^2 <= KL/2; what is printed is true and twice too weak",
        ("pinsker-weak", "pinsker-tight"),
    ),
    Erratum(
        "F7",
        "note, eqs. 24, 25 and 27",
        "E_{s~rho} with the unnormalised rho",
        "an expectation needs d = (1-gamma) rho; with rho the radius delta means delta/(1-gamma), and (27) equals (26) up to that factor and a constant",
        ("note-24", "note-27"),
        ("shared_law",),
    ),
    Erratum(
        "F8",
        "note, eq. 27",
        "the sampled form is equivalent; adding a constant to Q; any q; theta_dd",
        "Q-hat is an estimate; the shift is V(s), one number a state; q has to cover the new policy; theta_old",
        ("A-to-Q", "is-identity", "is-any-support"),
        ("fam_cpi",),
    ),
    Erratum("F9", "note, lines 72 and 80", "references to eqs. 12 and 14", "eqs. 10 and 12"),
    Erratum(
        "F10",
        "note, sec. 1 (2)",
        "no policy-based method had been proved monotone",
        "policy iteration (Howard 1960), conservative policy iteration (2002) and safe policy iteration (2013) had",
        ("policy-improvement", "cpi-improvement"),
    ),
    Erratum(
        "F11",
        "note, sec. 1 (2)",
        "TRPO guarantees monotone improvement",
        "Algorithm 1 does (exact A, penalty C max KL); a trust region of fixed radius does not",
        ("G11", "alg1-monotone"),
        ("shared_law",),
    ),
    Erratum(
        "F12",
        "note, eq. 3",
        "the sums may be exchanged if the series converges",
        "if it converges absolutely, as |gamma^t A| <= gamma^t eps does",
        ("pdl",),
    ),
    Erratum("F13", "note, eq. 8", "by the Markov property of the MDP", "because the policy is stationary and Markov"),
    Erratum("F14", "note, eq. 19", "error lower bound", "a lower bound on eta, an upper bound on the error", ("tv-trpo",)),
    Erratum(
        "F15",
        "note, eqs. 15-16",
        "pi' = argmax L, a bound of Kakade and Langford",
        "any pi'; eq. 16 is TRPO's weaker form of theirs",
        ("cpi-trpo", "cpi-kl02-resolvent"),
    ),
    Erratum(
        "F16",
        "note, eqs. 5, 30 and 32",
        "d for the start, A for the Fisher matrix, its inverse",
        "both letters are taken; for a tabular softmax the Fisher matrix is singular: pseudo-inverse, damping or CG",
        ("npg-is-advantage",),
    ),
    Erratum(
        "F17",
        "note, 2.5",
        "the TRPO algorithm: a step of fixed lambda",
        "that is the natural policy gradient; TRPO's step length comes from delta and a line search, and approximates (25)",
        ("natural-step",),
    ),
    Erratum(
        "F18",
        "note, after eq. 30",
        "the analytic Hessian instead of the outer product",
        "equal in expectation; they differ as sample estimators only",
        ("fisher-hessian",),
    ),
    Erratum(
        "F19",
        "note, summary of 2.1",
        "a small step that improves L improves eta",
        "only with a first-order gain along the path",
        ("G17", "grad-match"),
        ("slow_leak",),
    ),
    Erratum(
        "P1",
        "TRPO v5, after eq. 2",
        "without a positive advantage at a visited state the policy is optimal",
        "a better action may lie behind a state where it looks indifferent",
        ("G13",),
        ("hidden_reward",),
    ),
    Erratum("P2", "TRPO v5, eq. 14", "exactly equivalent", "up to scale and a constant", ("note-27", "A-to-Q"), ("shared_law",)),
    Erratum(
        "P3",
        "TRPO v5, eq. 16",
        "weights pi_theta/pi_old for actions drawn from q",
        "pi_theta/q",
        ("trpo-eq16", "vine-self-normalised"),
        ("shared_law",),
    ),
    Erratum(
        "P4",
        "TRPO v5, sec. 5",
        "q has to cover pi_old",
        "q has to cover the new policy",
        ("is-any-support", "is-identity"),
        ("fam_cpi",),
    ),
)
"""The errors in the order of the texts."""
