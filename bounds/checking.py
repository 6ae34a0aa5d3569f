"""Every claim on every pair of a large batch, a chunk at a time: a chunk stays in a core's cache, and the cores share them.

A pair of policies needs some thousand numbers, a hundred times the few tables it comes from. A whole batch of them would go
through memory once for each operation of each claim. Within a chunk tables are stored in planes (:mod:`mdps.planes`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bounds.catalogue import Claim
from bounds.certify import find_all
from bounds.compare import compare
from mdps.batches import rows
from mdps.evaluate import evaluate_trusted
from mdps.mdp import MDP, Array, as_policy, trusted
from mdps.planes import cut

CHUNK = 16_000
"""Pairs worked on at a time, at most: with fewer, threads wait for each other between calls; with more, caches are too small."""

NUMBERS = 1_000_000
"""Transition probabilities of a chunk, at most, unless that is fewer than ``FEWEST`` pairs."""

FEWEST = 64
"""Pairs of a chunk, at least, where there are as many."""


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
    claims: Claim | str | Iterable[Claim | str],
    mdp: MDP,
    old: ArrayLike,
    new: ArrayLike,
    *,
    chunk: int | None = None,
    threads: int | None = None,
) -> Check:
    """Evaluate both policies of every pair, compare them and find the usage of every claim.

    The numbers are those of ``claim.usage(compare(mdp, old, new))``, whatever the chunks and the threads. A claim that fails does
    not stop the others.

    Parameters
    ----------
    claims
        Claims, or ids of some in the catalogue; one alone needs no list.
    mdp
        One process or a batch; its batch axes and those of the policies broadcast to ``*B``.
    old, new
        Policy tables [*B,S,A].
    chunk
        Pairs worked on at a time; None for as many as a cache holds.
    threads
        How many chunks at once; None for one a core.

    Raises
    ------
    ValueError
        If a claim is unknown, a policy does not fit, or ``chunk`` or ``threads`` is less than 1.
    """
    found = find_all(claims)
    workers = (os.cpu_count() or 1) if threads is None else threads
    for name, number in (("chunk", chunk), ("threads", workers)):
        if number is not None and number < 1:
            raise ValueError(f"{name} is {number}; give at least 1")
    policies = [as_policy(mdp, table, name) for name, table in (("old", old), ("new", new))]
    batch = np.broadcast_shapes(mdp.batch, *(pi.shape[:-2] for pi in policies))
    cores = ((mdp.S, mdp.A, mdp.S), (mdp.S, mdp.A), (mdp.S,), (), *[(mdp.S, mdp.A)] * 2)
    tables = [
        (*rows(table, batch, len(core)), core)
        for table, core in zip((mdp.P, mdp.R, mdp.rho0, mdp.gamma, *policies), cores, strict=True)
    ]
    pairs = math.prod(batch)
    size = _size(pairs, mdp.S * mdp.A * mdp.S, workers) if chunk is None else chunk
    usage, applies = np.empty((len(found), pairs)), np.empty((len(found), pairs), dtype=bool)

    def part(start: int) -> dict[str, str]:
        """Fill in one chunk, and say which claims failed on it."""
        stop = min(start + size, pairs)
        here = slice(start, stop)
        P, R, rho0, gamma, *both = (cut(*table, start, stop) for table in tables)
        process = trusted(P, R, rho0, gamma)
        c = compare(process, *(evaluate_trusted(process, pi) for pi in both))
        errors = {}
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for k, claim in enumerate(found):
                try:
                    used, holds = claim.check(c)
                    usage[k, here], applies[k, here] = used[: stop - start], holds[: stop - start]
                except Exception as error:
                    errors[claim.id] = f"{type(error).__name__}: {error}"
        return errors

    with ThreadPoolExecutor(workers) as pool:
        failures = list(pool.map(part, range(0, pairs, size)))
    errors = {id: message for failed in reversed(failures) for id, message in failed.items()}
    failed = [claim.id in errors for claim in found]
    usage[failed], applies[failed] = np.nan, False
    return Check(tuple(claim.id for claim in found), usage.reshape(-1, *batch), applies.reshape(-1, *batch), errors)


def _size(pairs: int, numbers: int, workers: int) -> int:
    """How many pairs to a chunk, each of so many transition probabilities: about as many for every worker."""
    rounds = max(1, math.ceil(pairs / (workers * min(CHUNK, max(FEWEST, NUMBERS // numbers)))))
    return max(FEWEST, math.ceil(pairs / (rounds * workers)))
