"""What a table of training says in a few rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap

from trpo.history import LAST

RUN = ["env", "region", "delta"]
PRINTED_OVER = 10
"""Episodes that each printed return is a mean of: the note's notebook prints ``np.mean(return_list[-10:])``."""


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each environment, region and radius: the mean return of the last 100 episodes when the runs end.

    Where the table has printed returns, a row for each of these comes before it: the mean of the 10 episodes before that one.
    ``return`` is the mean over seeds, ``low`` and ``high`` the ends of its 95 % interval (:func:`interval`), ``worst`` that of
    the worst seed, ``each`` that of every seed. ``updates`` and ``rejected`` count the updates of all seeds, and those whose
    step was not accepted.
    """
    rows = []
    for names, group in table.groupby(RUN, observed=True, sort=False):
        head = dict(zip(RUN, names, strict=True))
        runs = [own for _, own in group.groupby([*(["job"] if "job" in group else []), "seed"], observed=True, sort=False)]
        parts = [recent(own) for own in runs]
        for k in range(min(len(part) for part in parts)):
            now = [part.iloc[k] for part in parts]
            values = np.array([row["return"] for row in now])
            rows.append({**head, "over": PRINTED_OVER, "printed": now[0]["printed"], **_row(values, runs, now)})
        ends = [own.iloc[-1] for own in runs]
        rows.append({**head, "over": LAST, **_row(np.array([end["return_last"] for end in ends]), runs, ends)})
    columns = [*RUN, "episodes", "steps", "over", "printed", "return", "low", "high", "worst", "each", "updates", "rejected"]
    kept = columns if table["printed"].notna().any() else [name for name in columns if name != "printed"]
    return pd.DataFrame(rows).reindex(columns=kept)


def recent(own: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each printed return of one run, with ``return``, the mean of the last 10 episodes up to there.

    A batch of several episodes counts as a whole if its last episode is among them, so the mean is exact where the episodes of an
    update divide 10.
    """
    ended = own["episodes"].diff().fillna(own["episodes"])
    rows = []
    for at in own.index[own["printed"].notna()]:
        done = own.loc[at, "episodes"]
        among = (own["episodes"] > done - PRINTED_OVER) & (own["episodes"] <= done) & (ended > 0)
        mean = np.average(own["return_mean"][among], weights=ended[among])
        rows.append({**own.loc[at, ["printed", "episodes", "steps", "iteration"]].to_dict(), "return": mean})
    return pd.DataFrame(rows)


def interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[Any, Any]:
    """Ends of the percentile-bootstrap interval of the mean over the first axis, the seeds; nan for one seed, or if one is nan.

    With five seeds it is narrower than it should be (its coverage is nearer to 85 %): all seeds are shown beside it.
    """
    if len(values) < 2 or np.isnan(values).any():
        nothing = np.full(np.shape(values)[1:], np.nan)
        return nothing, nothing
    found = bootstrap((values,), np.mean, axis=0, confidence_level=level, method="percentile", n_resamples=2000, rng=0)
    return found.confidence_interval.low, found.confidence_interval.high


def _row(values: NDArray[np.float64], runs: list[pd.DataFrame], now: list[pd.Series]) -> dict[str, object]:
    low, high = interval(values)
    done = [own["accepted"].astype(bool)[own["iteration"] <= row["iteration"]] for own, row in zip(runs, now, strict=True)]
    return {
        "episodes": int(np.median([row["episodes"] for row in now])),
        "steps": int(np.median([row["steps"] for row in now])),
        "return": values.mean(),
        "low": float(low),
        "high": float(high),
        "worst": values.min(),
        "each": " ".join(f"{value:.0f}" for value in values),
        "updates": sum(map(len, done)),
        "rejected": sum(int((~accepted).sum()) for accepted in done),
    }
