"""Every claim on every pair of a large batch, a chunk at a time: a chunk stays in a core's cache, and the cores share them.

A pair of policies needs some thousand numbers, a hundred times the few tables it comes from. A whole batch of them would go
through memory once for each operation of each claim.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bounds.catalogue import Claim
from bounds.certify import find
from bounds.comparison import compare
from mdps.evaluate import broadcast_mdp
from mdps.mdp import MDP, Array, as_policy

CHUNK = 4000
"""Pairs worked on at a time: fewer, and numpy's calls cost more than their work; more, and the cache is too small."""


@dataclass(frozen=True, eq=False)
class Check:
    """Claims held against a batch of pairs, in the order they were given; see :func:`check`."""

    claims: tuple[str, ...]
    usage: Array  # [claims, *B]; nan for a claim whose code failed
    applies: NDArray[np.bool_]  # [claims, *B] where the premise holds
    errors: dict[str, str]  # claim -> what is wrong with it

    def __getitem__(self, claim: str) -> Array:
        """Usage of one claim [*B].

        Raises
        ------
        KeyError
            If it was not checked.
        """
        if claim not in self.claims:
            raise KeyError(f"{claim!r} was not checked; these were: {', '.join(self.claims)}")
        return self.usage[self.claims.index(claim)]


def check(
    claims: Iterable[Claim | str],
    mdp: MDP,
    old: ArrayLike,
    new: ArrayLike,
    *,
    chunk: int = CHUNK,
    threads: int | None = None,
) -> Check:
    """Evaluate both policies of every pair, compare them and find the usage of every claim.

    The numbers are those of ``claim.usage(compare(mdp, old, new))``, whatever the chunks and the threads. A claim that fails does
    not stop the others.

    Parameters
    ----------
    claims
        Claims, or ids of some in the catalogue.
    mdp
        One process or a batch; its batch axes and those of the policies broadcast to ``*B``.
    old, new
        Policy tables [*B,S,A].
    chunk
        Pairs worked on at a time.
    threads
        How many chunks at once; None for one a core.

    Raises
    ------
    ValueError
        If a claim is unknown, a policy does not fit, or ``chunk`` or ``threads`` is less than 1.
    """
    found = [find(claim) for claim in claims]
    workers = (os.cpu_count() or 1) if threads is None else threads
    for name, number in (("chunk", chunk), ("threads", workers)):
        if number < 1:
            raise ValueError(f"{name} is {number}; give at least 1")
    policies = [as_policy(mdp, table, name) for name, table in (("old", old), ("new", new))]
    batch = np.broadcast_shapes(mdp.batch, *(pi.shape[:-2] for pi in policies))
    process, *policies = broadcast_mdp(mdp, batch), *(np.broadcast_to(pi, (*batch, mdp.S, mdp.A)) for pi in policies)
    pairs = math.prod(batch)
    usage, applies = np.empty((len(found), pairs)), np.empty((len(found), pairs), dtype=bool)

    def part(start: int) -> dict[str, str]:
        """Fill in one chunk, and say which claims failed on it."""
        here = slice(start, min(start + chunk, pairs))
        c = compare(*_pairs(process, policies, here))
        errors = {}
        for k, claim in enumerate(found):
            try:
                with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                    usage[k, here], applies[k, here] = claim.usage(c), claim.applies(c)
            except Exception as error:
                errors[claim.id] = f"{type(error).__name__}: {error}"
        return errors

    with ThreadPoolExecutor(workers) as pool:
        failures = list(pool.map(part, range(0, pairs, chunk)))
    errors = {id: message for failed in reversed(failures) for id, message in failed.items()}
    failed = [claim.id in errors for claim in found]
    usage[failed], applies[failed] = np.nan, False
    return Check(tuple(claim.id for claim in found), usage.reshape(-1, *batch), applies.reshape(-1, *batch), errors)


def _pairs(mdp: MDP, policies: list[Array], which: slice) -> tuple[MDP, Array, Array]:
    """Some pairs of a batch of any shape, along one axis; a single one as it is."""
    if not mdp.batch:
        return mdp, policies[0], policies[1]
    one_axis = len(mdp.batch) == 1
    index: Any = which if one_axis else np.unravel_index(np.arange(which.start, which.stop), mdp.batch)
    return mdp[index], policies[0][index], policies[1][index]
