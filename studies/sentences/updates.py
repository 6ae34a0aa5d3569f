"""Sentences on what single updates do to the true return: decided by the studies ``trust_region`` and ``neural_truth``.

A run is a start in a process; intervals are over runs of the table's own processes and say nothing of others. The range is
eta* - eta_0, or what the first of two methods gained of it where their difference is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from studies import records
from studies.effects import Effect, difference, iqm, middle, rate, share
from studies.sentences.sentence import MATTERS, NOTE, PAPER, RARELY, SIMILAR, Measure, Range, Sentence, alike

RUN = ["mdp", "delta", "seed", "instance"]
FACTOR = 2.0
"""Two KLs within this factor are called approximately equal."""
ACTS = 0.05
"""Share of updates in which a safeguard has to act to be called needed."""
SAFER = 0.05
"""Shares of updates that lower eta are alike within this margin."""

PerRun = Callable[[pd.DataFrame], pd.Series]


def final(updates: pd.DataFrame) -> pd.Series:
    """Share of eta* - eta_0 that each run has gained at its end."""
    return updates.sort_values("iteration").groupby(RUN, observed=True)["progress_new"].last()


def area(updates: pd.DataFrame) -> pd.Series:
    """The same, on average over its updates."""
    return updates.groupby(RUN, observed=True)["progress_new"].mean()


def falls(updates: pd.DataFrame) -> pd.Series:
    """Share of each run's updates that lower eta."""
    return updates.groupby(RUN, observed=True)["falls"].mean()


def fallen(updates: pd.DataFrame) -> pd.Series:
    """Whether an update of the run lowers eta."""
    return updates.groupby(RUN, observed=True)["falls"].any()


def kl_max(updates: pd.DataFrame) -> pd.Series:
    """Median of each run's true max KL, in units of delta, over updates that moved."""
    moved = updates[updates["kl_max"] > 0]
    return (moved["kl_max"] / moved["delta"]).groupby([moved[name] for name in RUN], observed=True).median()


def shortened(updates: pd.DataFrame) -> pd.Series:
    """Share of each run's updates whose full step the line search did not take."""
    return (updates["backtracks"] > 0).groupby([updates[name] for name in RUN], observed=True).mean()


def chosen(table: pd.DataFrame, **where: str) -> pd.DataFrame:
    """Updates of the rows in which these columns have these values."""
    keep = np.logical_and.reduce([table[column] == value for column, value in where.items()])
    return records.updates_of(table[keep]) if keep.any() else table[keep]


def gap(number: PerRun, one: dict[str, str], other: dict[str, str]) -> Measure:
    """Difference of a number a run between two methods, over the same runs, relative to what the first gained in the end."""

    def measure(table: pd.DataFrame) -> Effect | None:
        a, b = chosen(table, **one), chosen(table, **other)
        if a.empty or b.empty:
            return None
        return difference(number(a), number(b)) / float(iqm(final(a).dropna().to_numpy()))

    return measure


def more_falls(one: dict[str, str], other: dict[str, str]) -> Measure:
    """Share of updates that lower eta, of one method minus of the other, over the same runs."""

    def measure(table: pd.DataFrame) -> Effect | None:
        a, b = chosen(table, **one), chosen(table, **other)
        return None if a.empty or b.empty else rate(falls(a) - falls(b))

    return measure


def of(number: PerRun, summarised: Callable[[pd.Series], Effect], **where: str) -> Measure:
    """Summary of a number a run of one method."""

    def measure(table: pd.DataFrame) -> Effect | None:
        own = chosen(table, **where)
        return None if own.empty else summarised(number(own))

    return measure


TRUST, TRUTH = "trust_region", "neural_truth"
COMMANDS = {TRUST: "python studies/run.py", TRUTH: "python studies/run.py study=neural_truth"}
MEAN, MAX = {"region": "mean_kl"}, {"region": "max_kl"}
WALKS: dict[str, tuple[str, dict[str, str]]] = {
    "tied tables": (TRUST, {"algorithm": "exact-tied"}),
    "network, exact batches": (TRUST, {"algorithm": "neural"}),
    "network, single path": (TRUTH, {"sampler": "single_path", "curvature": "fisher"}),
    "network, vine": (TRUTH, {"sampler": "vine", "curvature": "fisher"}),
}
"""Kinds of update in which a trust region may fail, the study of each, and its rows."""

GAINED = "share of what the mean KL gained"


def _both(name: str) -> list[Sentence]:
    study, where = WALKS[name]
    command, mean_kl, max_kl = COMMANDS[study], {**where, **MEAN}, {**where, **MAX}
    return [
        Sentence(
            f"max KL slower: {name}",
            f"max KL learns somewhat more slowly than the mean KL ({name})",
            f"{PAPER}, sec. 8.1",
            study,
            command,
            "area under the true normalised return, mean KL minus max KL, same starts",
            GAINED,
            Range(low=MATTERS),
            gap(area, mean_kl, max_kl),
        ),
        Sentence(
            f"mean KL like max KL: {name}",
            f"the mean-KL constraint has a similar effect as the max-KL constraint ({name})",
            f"{PAPER}, sec. 8.1; {NOTE}, 2.3",
            study,
            command,
            "true normalised return at the end, mean KL minus max KL, same starts",
            GAINED,
            alike(SIMILAR),
            gap(final, mean_kl, max_kl),
        ),
        Sentence(
            f"mean KL as safe: {name}",
            f"the mean-KL constraint keeps updates from falling as the max-KL constraint does ({name})",
            f"{PAPER}, sec. 4, 8.1; {NOTE}, 2.3",
            study,
            command,
            "share of updates that lower eta, mean KL minus max KL, same starts",
            "share of updates",
            alike(SAFER),
            more_falls(mean_kl, max_kl),
        ),
        *(
            Sentence(
                f"monotone, {label}: {name}",
                f"TRPO's policy improves with every update: a trust region of fixed radius, {label} ({name})",
                f"{NOTE}, sec. 1 (2)",
                study,
                command,
                "share of runs in which some update lowers the true eta",
                "share of runs",
                Range(high=RARELY),
                of(fallen, share, **where, **region),
            )
            for label, region in (("mean KL", MEAN), ("max KL", MAX))
        ),
        Sentence(
            f"mean KL approximates max KL: {name}",
            f"the mean KL stands for the max KL: at mean KL delta the true max KL is about delta too ({name})",
            f"{PAPER}, sec. 4, eq. 12; {NOTE}, 2.3",
            study,
            command,
            "true max KL of mean-KL updates over delta: median of a run's updates",
            "multiple of delta",
            Range(1 / FACTOR, FACTOR),
            of(kl_max, middle, **mean_kl),
        ),
    ]


UPDATES = (
    *(sentence for name in WALKS for sentence in _both(name)),
    *(
        Sentence(
            f"analytic FIM as good: network, {name}",
            f"with the analytic Fisher matrix the policy improves as fast as with the empirical one (network, {name})",
            f"{PAPER}, sec. 6 and App. C",
            TRUTH,
            COMMANDS[TRUTH],
            "area under the true normalised return, analytic minus empirical Fisher matrix, mean KL, same starts",
            "share of what the analytic one gained",
            alike(SIMILAR),
            gap(
                area, {"sampler": sampler, "curvature": "fisher", **MEAN}, {"sampler": sampler, "curvature": "empirical", **MEAN}
            ),
        )
        for name, sampler in (("single path", "single_path"), ("vine", "vine"))
    ),
    *(
        Sentence(
            f"line search acts: network, {name}",
            f"a full step may break its limits, so a line search on surrogate and KL is needed (network, {name})",
            f"{PAPER}, App. C",
            TRUTH,
            COMMANDS[TRUTH],
            "share of updates whose full step the line search did not take",
            "share of updates",
            Range(low=ACTS),
            of(shortened, rate, sampler=sampler, curvature="fisher", **MEAN),
        )
        for name, sampler in (("single path", "single_path"), ("vine", "vine"))
    ),
)
