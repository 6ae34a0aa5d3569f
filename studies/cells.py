"""What updates make of random policies, as cells like those of :mod:`bounds.bank`: promises are checked by running the rules."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from bounds import compare
from bounds.bank import GAMMAS, RANDOM, Cell, check
from bounds.pairs import random_policy
from mdps import evaluate
from mdps.evaluate import broadcast_mdp
from studies.updates import UPDATES

DELTAS = (1e-3, 0.1)


def update_cells(
    instances: int,
    seed: int,
    *,
    mdps: Sequence[str] = tuple(RANDOM),
    gammas: Sequence[float] = GAMMAS,
    deltas: Sequence[float] = DELTAS,
) -> Iterator[Cell]:
    """Yield one cell for each MDP and update, from a random policy to what the update makes of it, [G, D, N].

    The distance is delta, and nan for a rule without one. Rules that can are run on tied states too ("max-kl, tied"),
    pairs of states (0,1), (2,3) ... with one law. A cell depends on the seed and its own names only.

    Raises
    ------
    ValueError
        If a name in ``mdps`` is unknown, or ``instances`` is not positive.
    """
    check(mdps, instances)
    gamma = np.broadcast_to(np.asarray(gammas)[:, None, None], (len(gammas), 1, instances))
    for name in mdps:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        mdp = RANDOM[name](gamma, rng)
        free = random_policy(mdp, rng)
        groups = np.arange(mdp.S) // 2
        for tied in (False, True):
            old = evaluate(mdp, free[..., 2 * groups, :] if tied else free)
            for rule_name, rule in UPDATES.items():
                if tied and not rule.ties:
                    continue
                radii = tuple(deltas) if rule.sized else (float("nan"),)
                new = [rule(old, delta, groups if tied else None) for delta in radii]
                processes = broadcast_mdp(mdp, (len(gammas), len(radii), instances))
                pair = compare(processes, old.pi, np.concatenate(new, axis=1))
                yield Cell(name, rule_name + (", tied" if tied else ""), tuple(gammas), radii, pair)
