"""Sentences on what is estimated and what it costs: decided by the studies ``estimators``, ``max_kl_cost`` and ``audit``.

In ``estimators`` intervals are the table's own, which hold for all of its rows together; rows that rest on fewer visits than
its verdicts need are left out, and of each estimator the largest budget is asked. An estimate is called biased in size: the
distance of its mean from the exact value, along that, relative to it. The mean itself is a theorem's matter
(``is-identity``, ``single-path``, ``vine-self-normalised`` in the catalogue); here the code that estimates is put to the test.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from studies.bias import VISITS
from studies.effects import Effect, largest, middle, share
from studies.sentences.sentence import NOTE, PAPER, RARELY, Measure, Range, Sentence

SMALL_BIAS = 0.05
"""Relative bias up to which an estimate is called unbiased."""
AS_GOOD = 1.1
"""Ratio of errors up to which one estimate is called as good as another."""
COSTLY = 10.0
"""Multiple of the time of a mean-KL step from which a step is called impractical."""
OPTIMUM = 0.9
"""Share of its optimum from which the max-KL program is called solved."""
ESTIMATORS = "python studies/run.py study=estimators"


def bias(estimator: str) -> Measure:
    """Size of the relative bias of gain and gradient, the largest over processes and numbers of rollouts."""

    def measure(table: pd.DataFrame) -> Effect | None:
        own = _resolved(table[(table["estimator"] == estimator) & table["quantity"].isin(["gain", "gradient"])])
        if own.empty:
            return None
        return largest([Effect(*ends).size for ends in own[["bias", "bias_low", "bias_high"]].itertuples(index=False)])

    return measure


def error_ratio(first: str, second: str, quantity: str, per_value: bool = False) -> Measure:
    """Error of the first estimator over the second's at the same budget, the largest over all rows.

    ``per_value`` makes it that of errors times the square root of the batch's number of Q-values: what they would be with the
    same number of values, since squared errors of means fall as that number rises. The interval takes both errors' ends.
    """

    def measure(table: pd.DataFrame) -> Effect | None:
        own = table[table["quantity"] == quantity]
        pairs = _resolved(own[own["estimator"] == first]).merge(
            own[own["estimator"] == second], on=["mdp", "budget"], suffixes=("", "_of_second")
        )
        if pairs.empty:
            return None
        values = (
            pairs["states"] * pairs["rollouts"].fillna(1) / (pairs["states_of_second"] * pairs["rollouts_of_second"].fillna(1))
        )
        factor = np.sqrt(values) if per_value else 1.0
        ratios = {
            "value": pairs["error"] / pairs["error_of_second"] * factor,
            "low": pairs["error_low"] / pairs["error_high_of_second"] * factor,
            "high": pairs["error_high"] / pairs["error_low_of_second"] * factor,
        }
        return largest([Effect(*ends) for ends in pd.DataFrame(ratios).itertuples(index=False)])

    return measure


def _resolved(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose estimates rest on enough visits, of each process those of the largest budget."""
    kept = rows[rows["visits"] >= VISITS]
    return kept[kept["budget"] == kept.groupby("mdp", observed=True)["budget"].transform("max")]


def cost(table: pd.DataFrame) -> Effect | None:
    """Time of a max-KL step over that of a mean-KL step, with the fewest rounds that solve its program; over batches."""
    solved = table.groupby("rounds")["share"].median()
    enough = solved[solved >= OPTIMUM]
    rounds = enough.index[0] if len(enough) else solved.idxmax()
    own = table[table["rounds"] == rounds]
    return middle(own.groupby(["problem", "instance"], observed=True)["cost"].median())


def broken(promise: str) -> Measure:
    """Share of our agent's updates, of those that a promise speaks of, that break it: Wilson's interval."""

    def measure(table: pd.DataFrame) -> Effect | None:
        own = table[(table["agent"] == "ours") & (table["promise"] == promise) & (table["verdict"] != "not applicable")]
        return None if own.empty else share(own["verdict"] == "broken")

    return measure


def _bias(id: str, words: str, source: str, estimator: str) -> Sentence:
    return Sentence(
        id,
        words,
        source,
        "estimators",
        ESTIMATORS,
        f"size of the bias of gain and gradient by {estimator!r}, along the exact value, largest over processes",
        "share of the exact value",
        Range(high=SMALL_BIAS),
        bias(estimator),
    )


SAMPLING = (
    _bias(
        "single path unbiased",
        "paths with importance weights estimate the surrogate: what single path maximises has the right mean",
        f"{PAPER}, eq. 14, sec. 5.1; {NOTE}, eq. 27",
        "single path",
    ),
    _bias(
        "any q unbiased",
        "actions may come from any q: importance weights pi/q make the estimate right (vine, q uniform)",
        f"{PAPER}, sec. 5; {NOTE}, eq. 27",
        "vine, q uniform",
    ),
    _bias(
        "eq. 16 as printed",
        "the self-normalised estimator with the weights pi/pi_old of eq. 16 estimates the surrogate for any q (vine, q uniform)",
        f"{PAPER}, eq. 16",
        "vine, as printed",
    ),
    _bias(
        "unweighted states",
        "states along paths, all weighted alike, stand for s ~ rho",
        f"{PAPER}, eq. 14, sec. 5.1",
        "single path, no gamma^t",
    ),
    Sentence(
        "vine less noisy",
        "vine's estimates are less noisy than single path's with the same number of Q-values",
        f"{PAPER}, sec. 5.2",
        "estimators",
        ESTIMATORS,
        "error of the gradient times the root of the number of Q-values, vine (q uniform) over single path, largest of all",
        "ratio",
        Range(high=1.0),
        error_ratio("vine, q uniform", "single path", "gradient", per_value=True),
    ),
    Sentence(
        "analytic FIM estimate",
        "the analytic Fisher matrix, which integrates over actions, is estimated as well as the empirical one",
        f"{PAPER}, sec. 6 and App. C; {NOTE}, 2.5",
        "estimators",
        ESTIMATORS,
        "error of the natural gradient, analytic over empirical Fisher matrix, largest batches, largest over processes",
        "ratio",
        Range(high=AS_GOOD),
        error_ratio("analytic Fisher", "empirical Fisher", "natural gradient"),
    ),
    Sentence(
        "max KL impractical",
        "the max-KL constraint is impractical to solve, for its number of constraints",
        f"{PAPER}, sec. 4; {NOTE}, 2.3",
        "max_kl_cost",
        "python studies/run.py study=max_kl_cost",
        f"time of a max-KL step that reaches {OPTIMUM:.0%} of its optimum (or comes nearest) over that of a mean-KL step",
        "multiple of a mean-KL step",
        Range(low=COSTLY),
        cost,
    ),
    *(
        Sentence(
            f"line search keeps its promise: {promise}",
            words,
            f"{PAPER}, App. C",
            "audit",
            "python studies/run.py study=audit",
            "share of our agent's updates that break it",
            "share of updates",
            Range(high=RARELY),
            broken(promise),
        )
        for promise, words in (
            ("kl", "the line search leaves the mean KL of every update at most delta"),
            ("surrogate", "the line search takes only updates that raise the surrogate"),
        )
    ),
)
