"""Rigorous verdicts: whether a claim holds of one instance, or is violated, whatever rounding does.

A verdict speaks of the process whose rows are the exact normalisations of the float tables P, rho0, old and new, with R and gamma
the floats they are. It rests on enclosures of the two sides of ``lhs <= rhs``: the claim holds if the upper end of the left is
at most the lower end of the right, it is violated if the lower end of the left lies above the upper end of the right, and
between the two it is undecided. The same claim functions run on all numbers. Floats with rigorous radii are asked first, whole
batches at once (:mod:`bounds.enclosed_comparison`), then balls of rising precision and rationals, one instance after another
(:mod:`bounds.exact`).
"""

from __future__ import annotations

import difflib
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import numpy as np
from flint import arb, fmpq
from numpy.typing import ArrayLike, NDArray

from bounds.catalogue import CATALOGUE, Claim
from bounds.comparison import Comparison, compare
from bounds.enclosed_comparison import enclose
from bounds.enclosure import choices
from bounds.exact import Exact, Undecided, exact, precision
from mdps.batches import rows
from mdps.evaluate import evaluate, evaluate_trusted
from mdps.mdp import MDP, Array, as_policy, trusted
from mdps.planes import cut

FIRST_BITS = 128
"""Precision of the first balls; it is doubled until a verdict is reached or ``max_bits`` would be passed."""

MAX_BITS = 2048
"""Precision at which the search for a verdict ends: what overlaps there is in all likelihood equal."""

CHUNK = 8000
"""Instances that floats decide at a time, at most: fewer, and Python's calls cost more than the work."""

NUMBERS, FEWEST = 1_000_000, 64
"""Transition probabilities of a chunk, at most, unless that is fewer than so many instances."""


class Outcome(StrEnum):
    """What is known of a claim on one instance."""

    HOLDS = "HOLDS"
    VIOLATED = "VIOLATED"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Interval:
    """Two floats with the true number between them, rounded outwards."""

    lower: float
    upper: float


@dataclass(frozen=True)
class Verdict:
    """A rigorous answer, and the enclosures it rests on.

    The two sides are those of ``lhs <= rhs``; where a claim speaks of each state they are of the entry with the largest usage.
    """

    claim: str
    outcome: Outcome
    lhs: Interval
    rhs: Interval
    usage: Interval
    """lhs / rhs; 0 where both are 0, where rhs is infinite, or where the premise does not hold."""
    layer: Literal["float", "exact"]
    bits: int
    """Precision of the balls; 0 where both sides are rational, or where floats were enough."""
    reason: str
    """Why there is no answer; empty where there is one."""

    @property
    def gap(self) -> Interval:
        """``|eta(new) - L_old(new)|``, the left-hand side of a bound."""
        return self.lhs

    @property
    def penalty(self) -> Interval:
        """The right-hand side of a bound."""
        return self.rhs


def certify(
    claim: Claim | str, mdp: MDP, old: ArrayLike, new: ArrayLike, *, floats: bool = False, max_bits: int = MAX_BITS
) -> Verdict:
    """Decide one claim on one instance.

    Parameters
    ----------
    claim
        A claim, or the id of one in the catalogue.
    mdp
        A single process.
    old, new
        Policy tables [S, A].
    floats
        Let enclosures of floats decide where they can: faster, above all with many states, and the intervals are wider.
    max_bits
        Precision at which to give up.

    Raises
    ------
    ValueError
        If the claim is unknown, cannot be evaluated, or returns nan, a negative side or a wrong shape; if the instance is a
        batch or its tables do not fit; if ``max_bits`` is less than ``FIRST_BITS``.
    """
    return certify_all([claim], mdp, old, new, floats=floats, max_bits=max_bits)[0]


def certify_all(
    claims: Iterable[Claim | str],
    mdp: MDP,
    old: ArrayLike,
    new: ArrayLike,
    *,
    floats: bool = False,
    max_bits: int = MAX_BITS,
) -> list[Verdict]:
    """Decide many claims on one instance, which is evaluated once for all of them; see :func:`certify`."""
    if max_bits < FIRST_BITS:
        raise ValueError(f"max_bits is {max_bits}; give at least {FIRST_BITS}, where balls begin")
    found = [find(claim) for claim in claims]
    verdicts: dict[int, Verdict] = {}
    if floats and not _batch(mdp, old, new):
        enclosed = enclose(compare(mdp, old, new))
        verdicts = {i: _by_floats(claim, enclosed) for i, claim in enumerate(found)}
    for c, bits in _attempts(mdp, old, new, max_bits):
        left = [i for i in range(len(found)) if i not in verdicts or verdicts[i].outcome is Outcome.UNDECIDED]
        if not left:
            break
        with precision(bits):
            verdicts |= {i: _by_balls(found[i], c, bits) for i in left}
    return [verdicts[i] for i in range(len(found))]


@dataclass(frozen=True, eq=False)
class Verdicts:
    """The verdicts of one claim on a batch of instances; see :func:`certify_batch`."""

    claim: str
    holds: NDArray[np.bool_]  # [*B]
    violated: NDArray[np.bool_]  # [*B]
    usage: Array  # [*B] what lhs / rhs certainly reaches, its lower end
    exact: NDArray[np.bool_]  # [*B] whether exact numbers were asked, floats having left it open
    error: str  # what is wrong with the claim, which is then undecided; empty where nothing is

    @property
    def undecided(self) -> NDArray[np.bool_]:
        """Where there is no answer [*B]."""
        return ~(self.holds | self.violated)


def certify_batch(
    claims: Iterable[Claim | str],
    c: Comparison,
    *,
    exact: int | Sequence[int] = 0,
    max_bits: int = MAX_BITS,
    threads: int | None = None,
) -> list[Verdicts]:
    """Decide claims on every instance of a batch in floats, and some of what that leaves open in exact numbers.

    A claim that fails does not stop the others: its verdicts say why.

    Parameters
    ----------
    claims
        Claims, or ids of some in the catalogue.
    c
        A comparison in floats, of batch shape ``*B``.
    exact
        At most so many instances of each claim (one number for all, or one a claim) are decided in exact numbers, a thousand
        times as dear as floats: those that may be nearest to a violation first.
    max_bits
        As in :func:`certify`.
    threads
        How many chunks of :data:`CHUNK` instances floats decide at once; None for one a core.

    Raises
    ------
    ValueError
        If a claim is unknown, ``exact`` is negative or ``threads`` is less than 1.
    """
    found = [find(claim) for claim in claims]
    budgets = [exact] * len(found) if isinstance(exact, int) else list(exact)
    if min(budgets, default=0) < 0:
        raise ValueError(f"exact is {exact}; give the number of instances to decide in exact numbers, or 0")
    verdicts, asked = [], defaultdict(list)
    for k, (claim, budget, known) in enumerate(zip(found, budgets, _by_chunks(found, c, threads), strict=True)):
        verdicts.append(Verdicts(claim.id, known.holds, known.violated, known.least, np.zeros(c.batch, dtype=bool), known.error))
        left = np.flatnonzero(verdicts[-1].undecided)
        order = np.argsort(-known.most.ravel()[left], kind="stable")
        for i in left[order][: 0 if known.error else budget]:
            asked[int(i)].append(k)
    for i, wanted in sorted(asked.items()):
        where = np.unravel_index(i, c.batch)
        mdp = c.mdp[where] if where else c.mdp
        for k, answer in zip(
            wanted, _each([found[k] for k in wanted], mdp, c.old.pi[where], c.new.pi[where], max_bits), strict=True
        ):
            if isinstance(answer, str):
                verdicts[k] = replace(verdicts[k], error=answer)
                continue
            verdicts[k].holds[where] = answer.outcome is Outcome.HOLDS
            verdicts[k].violated[where] = answer.outcome is Outcome.VIOLATED
            verdicts[k].usage[where] = answer.usage.lower
            verdicts[k].exact[where] = True
    return verdicts


def _each(claims: list[Claim], mdp: MDP, old: Array, new: Array, max_bits: int) -> Sequence[Verdict | str]:
    """The verdicts in exact numbers, or what is wrong with those of the claims that fail."""
    try:
        return certify_all(claims, mdp, old, new, max_bits=max_bits)
    except ValueError as error:
        if len(claims) == 1:
            return [str(error)]
        return [answer for claim in claims for answer in _each([claim], mdp, old, new, max_bits)]


class _Known(NamedTuple):
    """What floats know of a claim on a batch."""

    holds: NDArray[np.bool_]  # [*B]
    violated: NDArray[np.bool_]  # [*B]
    least: Array  # [*B] lower end of the usage
    most: Array  # [*B] its upper end
    error: str  # what is wrong with the claim; empty where nothing is


def _by_chunks(claims: list[Claim], c: Comparison, threads: int | None) -> list[_Known]:
    """What floats know of each claim, a chunk of the batch at a time."""
    workers, pairs = (os.cpu_count() or 1) if threads is None else threads, math.prod(c.batch)
    if workers < 1:
        raise ValueError(f"threads is {workers}; give at least 1")
    if not c.batch:
        enclosed = enclose(c)
        return [_float_outcomes(claim, enclosed) for claim in claims]
    states, actions = c.mdp.S, c.mdp.A
    cores = ((states, actions, states), (states, actions), (states,), (), *[(states, actions)] * 2)
    tables = [
        (*rows(table, c.batch, len(core)), core)
        for table, core in zip((c.mdp.P, c.mdp.R, c.mdp.rho0, c.mdp.gamma, c.old.pi, c.new.pi), cores, strict=True)
    ]

    size = min(CHUNK, max(FEWEST, NUMBERS // (states * actions * states)))

    def part(start: int) -> list[_Known]:
        stop = min(start + size, pairs)
        P, R, rho0, gamma, *both = (cut(*table, start, stop) for table in tables)
        process = trusted(P, R, rho0, gamma)
        enclosed = enclose(compare(process, *(evaluate_trusted(process, pi) for pi in both)))
        found = [_float_outcomes(claim, enclosed) for claim in claims]
        here = slice(stop - start)
        return [_Known(k.holds[here], k.violated[here], k.least[here], k.most[here], k.error) for k in found]

    with ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(part, range(0, pairs, size)))
    joined = []
    for each in zip(*parts, strict=True):
        holds, violated, least, most = (np.concatenate([known[k] for known in each]).reshape(c.batch) for k in range(4))
        joined.append(_Known(holds, violated, least, most, next((known.error for known in each if known.error), "")))
    return joined


def _float_outcomes(claim: Claim, enclosed: Comparison) -> _Known:
    """Where a claim certainly holds and where it is certainly violated."""
    shape, error = enclosed.batch, ""
    try:
        sides = _float_sides(claim, enclosed)
    except Exception as failure:
        sides, error = None, f"{type(failure).__name__}: {failure}"
    if sides is None:
        nowhere, nothing = np.zeros(shape, dtype=bool), np.zeros(shape)
        return _Known(nowhere, nowhere.copy(), nothing, nothing.copy(), error)
    lhs, rhs, known = sides
    (left, left_most), (right, right_most) = ends = [_float_bounds(side) for side in (lhs, rhs)]
    further = tuple(range(len(shape), left.ndim))
    holds, violated = (left_most <= right).all(further) & known, (left > right_most).any(further) & known
    least, most = (np.where(known, end.max(further), 0.0) for end in _float_usage(*ends[0], *ends[1]))
    return _Known(np.array(holds), np.array(violated), least, most, "")


_LESS, _MORE, _LEAST = 1 - 2.0**-52, 1 + 2.0**-52, 2.0**-1074
"""To multiply by and to add, for an end of a quotient that is rounded outwards."""


def _float_usage(left: Array, left_most: Array, right: Array, right_most: Array) -> tuple[Array, Array]:
    """Ends of lhs / rhs from those of both sides, by the conventions of :meth:`Claim.usage`."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        least = np.where(right_most > 0, np.maximum((left / right_most) * _LESS - _LEAST, 0.0), np.inf)
        most = np.where(right > 0, (left_most / right) * _MORE + _LEAST, np.inf)  # the right may be 0 where its end is below
    least = np.where((left <= 0) | (right_most == np.inf), 0.0, least)
    most = np.where((left_most <= 0) | (right == np.inf), 0.0, most)
    return least, most


def _float_sides(claim: Claim, enclosed: Comparison) -> tuple[Any, Any, NDArray[np.bool_]] | None:
    """The sides of a claim on enclosures, and of which instances they speak [*B]; None where floats cannot tell of any.

    They cannot where a claim chooses between what may be equal, or computes with complex numbers.
    """
    kept = set(enclosed.shared)
    try:
        with choices() as unsure:
            sides = claim.sides(enclosed)
    except (ArithmeticError, TypeError, np.linalg.LinAlgError):
        return None
    known = np.ones(enclosed.batch, dtype=bool)
    if unsure:
        for function in set(enclosed.shared) - kept:  # another claim has to see that its answer rests on a choice
            del enclosed.shared[function]
        batch = len(enclosed.batch)
        if any(where.shape[:batch] != enclosed.batch for where in unsure):
            return None
        for where in unsure:
            known &= ~where.any(tuple(range(batch, where.ndim)))
    return *sides, known


def _float_bounds(side: Any) -> tuple[Array, Array]:
    return (side, side) if isinstance(side, np.ndarray) else side.bounds()


def _by_floats(claim: Claim, enclosed: Comparison) -> Verdict:
    """The verdict of enclosures on a single instance."""
    unknown = Interval(0.0, math.inf)
    sides = _float_sides(claim, enclosed)
    if sides is None or not sides[2].all():
        return Verdict(claim.id, Outcome.UNDECIDED, unknown, unknown, unknown, "float", 0, "floats cannot tell")
    (left, left_most), (right, right_most) = ends = [[end.ravel() for end in _float_bounds(side)] for side in sides[:2]]
    least, most = _float_usage(*ends[0], *ends[1])
    violated, holds = bool((left > right_most).any()), bool((left_most <= right).all())
    outcome = Outcome.VIOLATED if violated else Outcome.HOLDS if holds else Outcome.UNDECIDED
    worst = int(most.argmax())
    lhs, rhs = (Interval(float(low[worst]), float(high[worst])) for low, high in ((left, left_most), (right, right_most)))
    usage = Interval(float(least.max()), float(most.max()))
    reason = f"in floats the sides overlap: {lhs} and {rhs}" if outcome is Outcome.UNDECIDED else ""
    return Verdict(claim.id, outcome, lhs, rhs, usage, "float", 0, reason)


def _attempts(mdp: MDP, old: ArrayLike, new: ArrayLike, max_bits: int) -> Iterator[tuple[Comparison, int]]:
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
    if batch := _batch(mdp, *tables):
        raise ValueError(f"certify got a batch of shape {batch}; give one instance, such as mdp[0], or use certify_batch")
    P, rho0, *policies = (_rows(table) for table in (mdp.P, mdp.rho0, *tables))
    P, R, rho0, gamma, *policies = (x if rational else x.balls() for x in (P, exact(mdp.R), rho0, exact(mdp.gamma), *policies))
    process = MDP(P, R, rho0, gamma)
    first, second = (evaluate(process, policy) for policy in policies)
    return compare(process, first, second)


def outcomes(lhs: Any, rhs: Any) -> np.ndarray[Any, Any]:
    """The verdict on each entry of ``lhs <= rhs``, an array of :class:`Outcome`, for numbers that know their ``bounds()``."""
    (left, left_most), (right, right_most) = lhs.bounds(), rhs.bounds()
    holds, violated = left_most <= right, left > right_most
    return np.where(holds, Outcome.HOLDS, np.where(violated, Outcome.VIOLATED, Outcome.UNDECIDED)).astype(object)


def together(each: np.ndarray[Any, Any]) -> Outcome:
    """The verdict on all entries at once: violated if one is, undecided if one is and none is violated."""
    return next((x for x in (Outcome.VIOLATED, Outcome.UNDECIDED) if (each == x).any()), Outcome.HOLDS)


def _batch(mdp: MDP, old: ArrayLike, new: ArrayLike) -> tuple[int, ...]:
    return np.broadcast_shapes(mdp.batch, *(np.shape(table)[:-2] for table in (old, new)))


def find(claim: Claim | str) -> Claim:
    """Return a claim, or the one in the catalogue of that id; a ValueError names those near it if there is none."""
    if isinstance(claim, Claim):
        return claim
    if claim not in CATALOGUE:
        near = difflib.get_close_matches(str(claim), CATALOGUE, n=3, cutoff=0.5)
        raise ValueError(
            f"no claim has the id {claim!r}; " + (f"near it: {', '.join(near)}" if near else "see CATALOGUE for those there are")
        )
    return CATALOGUE[claim]


def _rows(table: Array) -> Exact:
    x = exact(table)
    return x / x.sum(-1, keepdims=True)


def _by_balls(claim: Claim, c: Comparison, bits: int) -> Verdict:
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
