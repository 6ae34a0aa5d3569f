"""Verdicts of floats with rigorous radii: whole batches at once, a chunk in planes at a time, or a single instance."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bounds.catalogue import Claim
from bounds.comparison import Comparison
from bounds.enclosed_comparison import enclose, enclose_tables
from bounds.enclosed_usage import told, upper_usage
from bounds.enclosure import Enclosure, choices, pair
from bounds.verdicts import Interval, Outcome, Verdict
from mdps.batches import rows
from mdps.mdp import Array, trusted
from mdps.planes import cut

CHUNK = 16000
"""Instances that floats decide at a time, at most: with few of them Python's calls cost more than the work."""

SHARE = 4000
"""Chunks are made smaller, so that each thread has as many, unless they then hold fewer instances than these."""

NUMBERS, FEWEST = 1_200_000, 64
"""Transition probabilities of a chunk, at most, unless that is fewer than so many instances."""


class Known(NamedTuple):
    """What floats know of a claim on a batch."""

    holds: NDArray[np.bool_]  # [*B]
    violated: NDArray[np.bool_]  # [*B]
    least: Array  # [*B] lower end of the usage
    most: Array  # [*B] its upper end, wherever an instance is undecided; elsewhere it may be zero
    error: str  # what is wrong with the claim; empty where nothing is


def by_chunks(claims: list[Claim], c: Comparison, threads: int | None) -> list[Known]:
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
    parts = max(-(-pairs // size), 1)
    parts = max(parts, min(-(-parts // workers) * workers, pairs // SHARE))
    size = max(-(-pairs // parts), 1)

    def part(start: int) -> list[Known]:
        stop = min(start + size, pairs)
        P, R, rho0, gamma, *both = (cut(*table, start, stop) for table in tables)
        process = trusted(P, R, rho0, gamma)
        enclosed = enclose_tables(process, *both)
        found = [_float_outcomes(claim, enclosed) for claim in claims]
        here = slice(stop - start)
        return [Known(k.holds[here], k.violated[here], k.least[here], k.most[here], k.error) for k in found]

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(part, range(0, pairs, size)))
    joined = []
    for each in zip(*found, strict=True):
        holds, violated, least, most = (np.concatenate([known[k] for known in each]).reshape(c.batch) for k in range(4))
        joined.append(Known(holds, violated, least, most, next((known.error for known in each if known.error), "")))
    return joined


def _float_outcomes(claim: Claim, enclosed: Comparison) -> Known:
    """Where a claim certainly holds and where it is certainly violated."""
    shape, error = enclosed.batch, ""
    try:
        sides = _float_sides(claim, enclosed)
    except Exception as failure:
        sides, error = None, f"{type(failure).__name__}: {failure}"
    if sides is None:
        nowhere, nothing = np.zeros(shape, dtype=bool), np.zeros(shape)
        return Known(nowhere, nowhere.copy(), nothing, nothing.copy(), error)
    lhs, rhs, known = sides
    holds, violated, least = told(lhs, rhs, shape)
    if not known.all():
        holds, violated, least = (np.where(known, x, np.zeros_like(x)) for x in (holds, violated, least))
    decided = bool((holds | violated).all())
    most = np.zeros(shape) if decided else np.where(known, upper_usage(lhs, rhs, shape), 0.0)
    return Known(holds, violated, least, most, "")


def _float_sides(claim: Claim, enclosed: Comparison) -> tuple[Any, Any, NDArray[np.bool_]] | None:
    """The sides of a claim on enclosures, and of which instances they speak [*B]; None where floats cannot tell of any.

    They cannot where a claim chooses between what may be equal, or computes with complex numbers.
    """
    kept, unsure = set(enclosed.shared), []
    try:
        with choices() as unsure:
            sides = claim.sides(enclosed)
    except (ArithmeticError, TypeError, np.linalg.LinAlgError):
        return None
    finally:
        if unsure:
            for function in set(enclosed.shared) - kept:  # another claim has to see that its answer rests on a choice
                del enclosed.shared[function]
    known = np.ones(enclosed.batch, dtype=bool)
    if unsure:
        batch = len(enclosed.batch)
        if any(where.shape[:batch] != enclosed.batch for where in unsure):
            return None
        for where in unsure:
            known &= ~where.any(tuple(range(batch, where.ndim)))
    return *sides, known


def by_floats(claim: Claim, enclosed: Comparison) -> Verdict:
    """The verdict of enclosures on a single instance."""
    unknown = Interval(0.0, math.inf)
    known = _float_sides(claim, enclosed)
    if known is None or not known[2].all():
        return Verdict(claim.id, Outcome.UNDECIDED, unknown, unknown, unknown, "float", 0, "floats cannot tell")
    lhs, rhs = sides = [side.reshape(-1) for side in known[:2]]
    found = told(lhs, rhs, lhs.shape)
    violated, holds = bool(found.violated.any()), bool(found.holds.all())
    outcome = Outcome.VIOLATED if violated else Outcome.HOLDS if holds else Outcome.UNDECIDED
    most = upper_usage(lhs, rhs, lhs.shape)
    worst = int(most.argmax())
    left, right = (Interval(*(float(end[worst]) for end in Enclosure(*pair(side)).bounds())) for side in sides)
    usage = Interval(float(found.least.max()), float(most.max()))
    reason = f"in floats the sides overlap: {left} and {right}" if outcome is Outcome.UNDECIDED else ""
    return Verdict(claim.id, outcome, left, right, usage, "float", 0, reason)
