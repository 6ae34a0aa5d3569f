"""Sentences on how well and how fast methods learn: decided by the study ``figure4`` and by the note's runs of ``train``.

The range of a task is what there is to learn in it: from the return at the first iteration, of all methods together, to the
final return of the method that ends highest. Final is the mean of the last tenth of the iterations. The natural gradient
stands with the step of the largest mean final return, as in the study's figure: on the seeds that judge it, to its advantage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from studies.effects import Effect, difference, iqm, least, middle
from studies.sentences.sentence import FAR, MATTERS, NOTE, PAPER, SIMILAR, Measure, Range, Sentence, alike, unmeasured
from studies.train_summary import recent

TASKS = {"cartpole": "cart-pole", "swimmer": "swimmer", "hopper": "hopper", "walker": "walker"}
LARGER = ("hopper", "walker")
LAST = 0.1
"""Share of the iterations that the final return is a mean of."""
SOLVED = 475.0
"""Return at which gymnasium calls CartPole-v1 solved; its most is 500."""
BASELINES = ("natural gradient", "CEM", "CMA", "RWR")
"""Methods of Figure 4 that are not forms of TRPO."""


@dataclass(frozen=True)
class Curves:
    """What the runs of a task came to, one number a run: series over seeds, by method."""

    final: dict[str, pd.Series]
    area: dict[str, pd.Series]
    """Mean return over all iterations: the area under the curve over its length."""
    range: float

    @staticmethod
    def of(table: pd.DataFrame, task: str) -> Curves | None:
        """Read a table of figure4; None if it has nothing of the task."""
        own = table[table["task"] == task]
        if own.empty:
            return None
        final, area = {}, {}
        for method, group in own.groupby("method", observed=True, sort=False):
            steps = [one for _, one in group.groupby("step", dropna=False, observed=True)]
            kept = max(steps, key=lambda one: np.nan_to_num(_final(one).mean(), nan=-np.inf))
            final[str(method)], area[str(method)] = _final(kept), kept.groupby("seed")["return_mean"].mean()
        start = _iqm(own.loc[own["iteration"] == own["iteration"].min(), "return_mean"])
        return Curves(final, area, float(pd.Series(map(_iqm, final.values())).max()) - start)


def _final(runs: pd.DataFrame) -> pd.Series:
    last = runs["iteration"] > (1 - LAST) * runs.groupby("seed")["iteration"].transform("max")
    return runs[last].groupby("seed")["return_mean"].mean()


def _iqm(runs: pd.Series) -> float:
    known = runs.dropna().to_numpy()
    return float(iqm(known)) if len(known) else np.nan


def ahead(task: str, first: Sequence[str], second: Sequence[str], what: str = "final") -> Measure:
    """Return how far each of the first methods is ahead of each of the second, the least of these, in ranges of the task.

    Of the second, those that the table has are asked; of the first, all have to be there.
    """

    def measure(table: pd.DataFrame) -> Effect | None:
        curves = Curves.of(table, task)
        if curves is None:
            return None
        runs = curves.final if what == "final" else curves.area
        others = [name for name in second if name in runs]
        if not others or not set(first) <= set(runs):
            return None
        return least([difference(runs[a], runs[b]) / curves.range for a in first for b in others])

    return measure


def reaches(task: str, methods: Sequence[str]) -> Measure:
    """Return the least final return of the methods, each an interquartile mean over seeds."""

    def measure(table: pd.DataFrame) -> Effect | None:
        curves = Curves.of(table, task)
        if curves is None or not set(methods) <= set(curves.final):
            return None
        return least([middle(curves.final[name]) for name in methods])

    return measure


def printed(env: str) -> Measure:
    """Return how far our last return lies above the last that the note printed, in units of the rise that it printed."""

    def measure(table: pd.DataFrame) -> Effect | None:
        own = table[table["env"].astype(str).str.startswith(env)]
        if own["printed"].notna().sum() == 0:
            return None
        runs = {seed: recent(run) for seed, run in own.groupby("seed", observed=True)}
        said = next(iter(runs.values()))["printed"]
        ours = pd.Series({seed: float(run["return"].iloc[-1]) for seed, run in runs.items()})
        return middle(ours - said.iloc[-1]) / float(np.ptp(said.to_numpy()))

    return measure


def _sentences(task: str) -> list[Sentence]:
    name = TASKS[task]
    command = "python studies/run.py study=figure4" if task == "cartpole" else f"python studies/run.py experiment=figure4_{task}"
    unit = "share of the task's range"

    def ask(id: str, words: str, source: str, measured: str, true: Range, measure: Measure) -> Sentence:
        return Sentence(f"{id}: {name}", words, f"{PAPER}, {source}", "figure4", command, measured, unit, true, measure)

    common = [
        ask(
            "max KL slower",
            f"max KL learned somewhat more slowly than the mean KL ({name})",
            "sec. 8.1",
            "area under the curve, single path with the mean KL minus with the max KL",
            Range(low=MATTERS),
            ahead(task, ["single path"], ["max KL"], "area"),
        ),
        ask(
            "mean KL like max KL",
            f"overall the mean-KL constraint has a similar effect as the max-KL constraint ({name})",
            "sec. 8.1; the note, 2.3",
            "final return, single path with the mean KL minus with the max KL",
            alike(SIMILAR),
            ahead(task, ["single path"], ["max KL"]),
        ),
        ask(
            "analytic FIM as good",
            f"with the analytic Fisher matrix the policy improves as fast as with the empirical one ({name})",
            "sec. 6",
            "area under the curve, single path with the analytic minus with the empirical Fisher matrix",
            alike(SIMILAR),
            ahead(task, ["single path"], ["empirical FIM"], "area"),
        ),
        ask(
            "best solutions",
            f"single path and vine learned the best solutions ({name})",
            "sec. 8.1",
            f"final return of single path and of vine minus that of {', '.join(BASELINES)}: the least difference",
            Range(low=-MATTERS),
            ahead(task, ["single path", "vine"], BASELINES),
        ),
    ]
    far = "final return, single path minus the natural gradient at its best step"
    if task not in LARGER:
        good = f"the natural gradient did well on the two easier problems ({name})"
        gradient = ask(
            "natural gradient does well", good, "sec. 8.1", far, Range(high=SIMILAR), ahead(task, ["single path"], BASELINES[:1])
        )
        return [*common, gradient]
    bad = f"the natural gradient found no forward gait, where single path did ({name})"
    poor = f"CEM and CMA did poorly on the larger problems ({name})"
    return [
        *common,
        ask("natural gradient fails", bad, "sec. 8.1", far, Range(low=FAR), ahead(task, ["single path"], BASELINES[:1])),
        ask(
            "CEM and CMA poor",
            poor,
            "sec. 8.1",
            "final return, single path minus CEM and minus CMA (where the table has it): the least difference",
            Range(low=FAR),
            ahead(task, ["single path"], ["CEM", "CMA"]),
        ),
    ]


FIGURE4 = (
    Sentence(
        "solved: cart-pole",
        "single path and vine solved all problems (cart-pole)",
        f"{PAPER}, sec. 8.1; solved is return {SOLVED:g}, gymnasium's own mark for CartPole-v1",
        "figure4",
        "python studies/run.py study=figure4",
        "final return of single path and of vine: the lower one",
        "return",
        Range(low=SOLVED),
        reaches("cartpole", ["single path", "vine"]),
    ),
    *(sentence for task in TASKS for sentence in _sentences(task)),
    unmeasured(
        "Atari",
        "with one set of parameters TRPO learns to play seven Atari games from images",
        f"{PAPER}, sec. 8.2, Table 1",
        "not run here, 50 to 200 million steps of the emulator a game: python studies/run.py experiment=figure4_atari starts it",
    ),
)

PRINTED = tuple(
    Sentence(
        f"printed return: {env}",
        f"the notebook's run on {env} ends with the mean return it prints",
        f"{NOTE}, sec. 3 and its notebook",
        "train",
        f"python studies/run.py experiment={experiment}",
        "mean return of the last ten episodes minus the printed one",
        "share of the printed rise",
        alike(SIMILAR),
        printed(env),
    )
    for env, experiment in (("CartPole", "note_cartpole"), ("Pendulum", "note_pendulum"))
)
