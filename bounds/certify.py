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
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from bounds.by_exact_numbers import FIRST_BITS, MAX_BITS, attempts, batch_of, by_balls
from bounds.by_floats import by_chunks, by_floats
from bounds.catalogue import CATALOGUE, Claim
from bounds.compare import compare
from bounds.comparison import Comparison
from bounds.enclosed_comparison import enclose
from bounds.exact import precision
from bounds.verdicts import Outcome, Verdict, Verdicts
from mdps.mdp import MDP, Array


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
    claims: Claim | str | Iterable[Claim | str],
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
    found = find_all(claims)
    verdicts: dict[int, Verdict] = {}
    if floats and not batch_of(mdp, old, new):
        enclosed = enclose(compare(mdp, old, new))
        verdicts = {i: by_floats(claim, enclosed) for i, claim in enumerate(found)}
    for c, bits in attempts(mdp, old, new, max_bits):
        left = [i for i in range(len(found)) if i not in verdicts or verdicts[i].outcome is Outcome.UNDECIDED]
        if not left:
            break
        with precision(bits):
            verdicts |= {i: by_balls(found[i], c, bits) for i in left}
    return [verdicts[i] for i in range(len(found))]


def certify_batch(
    claims: Claim | str | Iterable[Claim | str],
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
        Claims, or ids of some in the catalogue; one alone needs no list.
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
    found = find_all(claims)
    budgets = [exact] * len(found) if isinstance(exact, int) else list(exact)
    if min(budgets, default=0) < 0:
        raise ValueError(f"exact is {exact}; give the number of instances to decide in exact numbers, or 0")
    verdicts, asked = [], defaultdict(list)
    for k, (claim, budget, known) in enumerate(zip(found, budgets, by_chunks(found, c, threads), strict=True)):
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


def find_all(claims: Claim | str | Iterable[Claim | str]) -> list[Claim]:
    """Return the claims that are given, or those in the catalogue of the ids; one alone needs no list around it."""
    return [find(claim) for claim in ([claims] if isinstance(claims, Claim | str) else claims)]


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
