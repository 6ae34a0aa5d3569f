"""Sentences on the penalty that the theory recommends: decided by the study ``guaranteed_step``, as far as they are."""

from __future__ import annotations

import pandas as pd

from studies.effects import Effect, middle
from studies.guaranteed_step_figures import random_ones
from studies.sentences.sentence import NOTE, PAPER, Measure, Range, Sentence, unmeasured

DELTA = 0.01
"""The paper's radius, in all of its experiments."""
GAMMA = 0.99
"""And its discount factor."""
TINY = 0.1
"""Steps below this share of what the paper takes are called very small."""


def allowed(claim: str) -> Measure:
    """Largest max KL of a step that a bound guarantees, over the paper's delta, at its gamma; over random instances."""

    def measure(table: pd.DataFrame) -> Effect | None:
        near = (table["path"] == "max-kl") & (table["claim"] == claim) & ((table["gamma"] - GAMMA).abs() < 1e-9)
        own = random_ones(table[near])
        if own.empty:
            return None
        return middle(own.set_index(["mdp", "instance"])["size"]) / DELTA

    return measure


STEPS = (
    *(
        Sentence(
            f"small steps: {claim}",
            words,
            source,
            "guaranteed_step",
            "python studies/run.py study=guaranteed_step",
            f"largest max KL at which {claim} guarantees an improvement, over the paper's delta {DELTA:g}, at gamma {GAMMA:g}",
            "multiple of delta",
            Range(high=TINY),
            allowed(claim),
        )
        for claim, words, source in (
            ("kl-trpo", "with the penalty C that the theory recommends, steps are very small", f"{PAPER}, sec. 4; {NOTE}, 2.2"),
            (
                "kl-sqrt-horizon",
                "that is so because the theory asks for it: with the sharpest penalty on max KL proven here they still are",
                f"{PAPER}, sec. 4, asked of a sharper theorem",
            ),
        )
    ),
    unmeasured(
        "constraint more robust than penalty",
        "a fixed constraint learns more robustly than a fixed penalty, whose coefficient is hard to choose",
        f"{PAPER}, sec. 4, 8; {NOTE}, 2.3",
        "no study here trains with fixed penalties; experiment=penalty has one that adapts",
    ),
)
