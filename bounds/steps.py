"""What a policy does that a claim builds itself: its gain over old and its visits, and no more than that."""

from __future__ import annotations

from typing import NamedTuple

from bounds import divergences, planar_steps, planar_tables, tables
from bounds.comparison import Comparison
from bounds.enclosed_worth import visits as visits_of_enclosures
from bounds.enclosed_worth import worth as worth_of_enclosures
from mdps import planar_resolvent
from mdps.evaluate import values_and_advantages
from mdps.evaluate import visits as visits_in
from mdps.mdp import MDP, Array


class Step(NamedTuple):
    """A policy pi in the process of a comparison, held against old."""

    gain: Array  # [*B,S] E_{a~pi} A_old
    rho: Array  # [*B,S] visits, unnormalised
    improvement: Array  # [*B] eta(pi) - eta(old) = rho . gain (TRPO arXiv:1502.05477v5, eq. 2)


def step(c: Comparison, pi: Array) -> Step:
    """Follow the policy pi [*B,S,A] from c's start."""
    if tables.floats_in_planes(c.old.pi, pi):
        found = planar_steps.step(c.old, pi)
        if found is not None:
            return Step(*found)
    gained, rho = gain(c, pi), visits(c, pi)
    return Step(gained, rho, tables.dot(rho, gained))


def gain(c: Comparison, pi: Array) -> Array:
    """``E_{a~pi} A_old`` [*B,S] for a policy [*B,S,A], exact to its own size however close pi is to old."""
    if tables.floats_in_planes(c.old.pi, pi, c.old.A):
        return planar_tables.gain(c.old.pi, pi, c.old.A)
    return tables.dot(divergences.shift(c.old.pi, pi), c.old.A)


def visits(c: Comparison, pi: Array) -> Array:
    """``rho`` [*B,S] of a policy [*B,S,A]; the sum over t of gamma^t Pr(s_t = s)."""
    found = visits_of_enclosures(c.mdp, pi)
    found = planar_resolvent.visits(c.mdp.P, pi, c.gamma, c.mdp.rho0) if found is None else found
    return visits_in(c.mdp, pi) if found is None else found


def worth(mdp: MDP, pi: Array) -> tuple[Array, Array]:
    """V [*B,S] and A [*B,S,A] of a policy [*B,S,A] that needs no check."""
    found = worth_of_enclosures(mdp, pi)
    return values_and_advantages(mdp, pi) if found is None else found
