"""The float layer against the exact one: no verdict of floats may be contradicted by balls and rationals.

``python tests/bounds/agreement.py [instances]`` draws instances, a tenth of them hard, decides five claims on each both ways and
prints what disagrees; a test runs a few.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from bounds import CATALOGUE, Outcome, certify_all, certify_batch, compare
from bounds.instances import STRUCTURED
from bounds.pairs import PAIRINGS
from mdps import MDP
from mdps.families import dirichlet, garnet

GAMMAS = (0.0, 0.01, 0.5, 0.9, 0.99, 1 - 1e-8)


def easy(rng: np.random.Generator) -> tuple[MDP, np.ndarray, np.ndarray]:
    """A random process of 2 to 5 states, and a random pair in it."""
    gamma, states, actions = rng.choice(GAMMAS), int(rng.integers(2, 6)), int(rng.integers(2, 4))
    family = (
        garnet(states, actions, 2, gamma=gamma, seed=rng)
        if rng.random() < 0.5
        else dirichlet(states, actions, gamma=gamma, seed=rng)
    )
    pairing = PAIRINGS[str(rng.choice(list(PAIRINGS)))]
    return family, *pairing(family, np.asarray(10 ** rng.uniform(-6, 0)), rng)


def hard(rng: np.random.Generator) -> tuple[MDP, np.ndarray, np.ndarray]:
    """Equalities and their neighbours, distances of 1e-9, gamma of 1 - 1e-8, an infinite KL."""
    kind = rng.integers(4)
    if kind == 0:  # the structured pairs attain their bounds
        name = str(rng.choice([n for n in STRUCTURED if n != "fam_walk"]))
        pair = STRUCTURED[name](float(rng.choice([0.5, 0.9, 1 - 1e-8])))
        i = int(rng.integers(pair.mdp.batch[0])) if pair.mdp.batch else None
        mdp = pair.mdp if i is None else pair.mdp[i]
        old, new = (np.broadcast_to(t, (*pair.mdp.batch, *t.shape[-2:])) for t in (pair.old, pair.new))
        j = i if i is not None else (int(rng.integers(len(new))) if new.ndim == 3 else None)
        old, new = (t if t.ndim == 2 else t[j] for t in (old, np.broadcast_to(new, np.broadcast_shapes(old.shape, new.shape))))
        if rng.random() < 0.5:  # within 1e-9 of attaining them
            new = (1 - 1e-9) * new + 1e-9 / mdp.A
        return mdp, old, new
    mdp = dirichlet(int(rng.integers(2, 6)), 3, gamma=1 - 1e-8 if kind == 1 else 0.9, seed=rng)
    if kind == 2:
        return mdp, *PAIRINGS["deterministic"](mdp, np.asarray(0.5), rng)[::-1]  # old has what new lacks: KL is infinite
    return mdp, *PAIRINGS["tilted"](mdp, np.asarray(1e-9), rng)


def instances(count: int, seed: int) -> Iterator[tuple[bool, MDP, np.ndarray, np.ndarray]]:
    """Draw instances, every tenth hard."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        yield (k % 10 == 0, *(hard(rng) if k % 10 == 0 else easy(rng)))


def disagreements(count: int, seed: int = 0, claims: int = 5) -> tuple[list[str], Counter[tuple[bool, str]]]:
    """What floats and exact numbers say otherwise of, and how often floats said what: (hard, outcome) -> verdicts."""
    rng, wrong, said = np.random.default_rng([seed, 1]), [], Counter()
    for k, (is_hard, mdp, old, new) in enumerate(tqdm(instances(count, seed), total=count, disable=None)):
        chosen = [str(x) for x in rng.choice(list(CATALOGUE), claims, replace=False)]
        floats = certify_batch(chosen, compare(mdp, old, new))
        decided = [v for v in floats if not v.undecided]
        said.update((is_hard, "undecided") for v in floats if v.undecided)
        for v, exact in zip(decided, certify_all([v.claim for v in decided], mdp, old, new), strict=True):
            outcome = Outcome.HOLDS if v.holds else Outcome.VIOLATED
            said[is_hard, str(outcome)] += 1
            if exact.outcome is not outcome:
                wrong.append(f"instance {k}: {v.claim} {outcome} in floats, {exact.outcome} in exact numbers")
    return wrong, said


if __name__ == "__main__":
    wrong, said = disagreements(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(*wrong, sep="\n")
    print(f"{len(wrong)} disagreements in", dict(said))
