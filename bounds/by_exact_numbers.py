"""Verdicts of exact numbers on one instance: balls of rising precision, and rationals where both sides may be equal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb, fmpq
from numpy.typing import ArrayLike

from bounds.catalogue import Claim
from bounds.compare import compare
from bounds.comparison import Comparison
from bounds.exact import Exact, Undecided, exact, precision
from bounds.verdicts import Interval, Outcome, Verdict, outcomes, together
from mdps.evaluate import evaluate
from mdps.mdp import MDP, Array, as_policy

FIRST_BITS = 128
"""Precision of the first balls; it is doubled until a verdict is reached or ``max_bits`` would be passed."""

MAX_BITS = 2048
"""Precision at which the search for a verdict ends: what overlaps there is in all likelihood equal."""


def attempts(mdp: MDP, old: ArrayLike, new: ArrayLike, max_bits: int) -> Iterator[tuple[Comparison, int]]:
    """The comparison, ever dearer: in balls, then in rationals with balls of rising precision where rationals end."""
    bits = FIRST_BITS
    for bits in (FIRST_BITS, 2 * FIRST_BITS):
        if bits <= max_bits:
            with precision(bits):
                yield exact_comparison(mdp, old, new, rational=False), bits
    rational = exact_comparison(mdp, old, new)
    bits = FIRST_BITS
    while bits <= max_bits:
        yield replace(rational), bits  # evaluations are kept, what balls have entered is computed anew
        bits *= 2


def exact_comparison(mdp: MDP, old: ArrayLike, new: ArrayLike, *, rational: bool = True) -> Comparison:
    """Compare two policies of one process in exact numbers, every row of the tables that an Evaluation keeps normalised exactly.

    In rationals, or in balls of the precision that is set: many times as fast for many states, but two balls are never known
    to be equal.

    Raises
    ------
    ValueError
        If the instance is a batch or a policy does not fit.
    """
    tables = as_policy(mdp, old, "old"), as_policy(mdp, new, "new")
    if batch := batch_of(mdp, *tables):
        raise ValueError(f"certify got a batch of shape {batch}; give one instance, such as mdp[0], or use certify_batch")
    P, rho0, *policies = (_rows(table) for table in (mdp.P, mdp.rho0, *tables))
    P, R, rho0, gamma, *policies = (x if rational else x.balls() for x in (P, exact(mdp.R), rho0, exact(mdp.gamma), *policies))
    process = MDP(P, R, rho0, gamma)
    first, second = (evaluate(process, policy) for policy in policies)
    return compare(process, first, second)


def by_balls(claim: Claim, c: Comparison, bits: int) -> Verdict:
    """The verdict at the precision that is set."""
    unknown = Interval(0.0, math.inf)
    try:
        sides = claim.sides(c)
    except Undecided as error:
        return Verdict(claim.id, Outcome.UNDECIDED, unknown, unknown, unknown, "exact", bits, f"at {bits} bits {error}")
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(f"claim {claim.id!r}"):
            raise  # Claim.sides has said what is wrong
        raise ValueError(f"claim {claim.id!r} cannot be evaluated on exact numbers: {type(error).__name__}: {error}") from error
    lhs, rhs = (exact(side) for side in sides)
    outcome = together(outcomes(lhs, rhs))
    usages = [_usage(x, y) for x, y in zip(lhs.entries.flat, rhs.entries.flat, strict=True)]
    worst = max(range(len(usages)), key=lambda i: (usages[i].upper, usages[i].lower))
    usage = Interval(max(u.lower for u in usages), usages[worst].upper)
    left, right = (_interval(side.entries.flat[worst]) for side in (lhs, rhs))
    reason = f"at {bits} bits the sides overlap: {left} and {right}" if outcome is Outcome.UNDECIDED else ""
    return Verdict(claim.id, outcome, left, right, usage, "exact", 0 if lhs.rational and rhs.rational else bits, reason)


def _usage(lhs: Any, rhs: Any) -> Interval:
    """Floats around ``lhs / rhs`` of two entries that are not negative, by the conventions of :meth:`Claim.usage`."""
    if lhs == 0 or arb(rhs) == arb.pos_inf():
        return Interval(0.0, 0.0)
    if isinstance(lhs, fmpq) and isinstance(rhs, fmpq):
        return _interval(lhs / rhs) if rhs > 0 else Interval(math.inf, math.inf)
    least, most = arb(rhs).lower(), arb(rhs).upper()
    return Interval(
        max(_interval(arb(lhs).lower() / most).lower, 0.0) if most > 0 else math.inf,
        _interval(arb(lhs).upper() / least).upper if least > 0 else math.inf,
    )


def _interval(x: Any) -> Interval:
    """The floats next to a rational or a ball of the precision that is set."""
    low, high = arb(x).lower(), arb(x).upper()
    below, above = float(low), float(high)
    return Interval(
        below if arb(below) <= low else math.nextafter(below, -math.inf),
        above if arb(above) >= high else math.nextafter(above, math.inf),
    )


def _rows(table: Array) -> Exact:
    x = exact(table)
    return x / x.sum(-1, keepdims=True)


def batch_of(mdp: MDP, old: ArrayLike, new: ArrayLike) -> tuple[int, ...]:
    """The batch shape of a process and two tables together; () for a single instance."""
    return np.broadcast_shapes(mdp.batch, *(np.shape(table)[:-2] for table in (old, new)))
