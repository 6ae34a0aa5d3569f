"""What a table of the study ``figure4`` says in a few rows: interquartile means over seeds, with bootstrap intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import trim_mean

PANEL = ["task", "env", "scale"]
LAST = 0.1
"""Share of a run's iterations, the last ones, that its final return is the mean of."""
RESAMPLES = 2000


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each task and method, the natural gradient at the step of the sweep with the largest mean final return.

    ``final`` is the interquartile mean over seeds of the final return, the mean over the last tenth of the iterations, ``area``
    that of the mean return over all iterations; ``_low`` and ``_high`` are the ends of their 95 % intervals. ``each`` is the
    final return of every seed, ``steps`` those of the environment in a run, the mean over seeds; ``env`` and ``scale`` tell the
    panel.
    """
    found = []
    for names, panel in table.groupby(PANEL, observed=True, sort=False):
        head = dict(zip(PANEL, names, strict=True))
        shown = chosen(panel)
        for method in dict.fromkeys(shown["method"]):
            own = shown[shown["method"] == method]
            reached = curves(own)
            row: dict[str, Any] = {**head, "method": method, "step": own["step"].iloc[0], "seeds": len(reached)}
            for name, values in (("final", final(reached)), ("area", reached.mean(1))):
                low, high = interval(values)
                row |= {name: float(iqm(values)), f"{name}_low": float(low), f"{name}_high": float(high)}
            row["each"] = " ".join(f"{value:.0f}" for value in final(reached))
            row["steps"] = round(np.mean([run["steps"].max() for run in runs(own)]))
            found.append(row)
    return pd.DataFrame(found)[
        [
            *("task", "method", "step", "seeds", "final", "final_low", "final_high", "area", "area_low", "area_high"),
            *("each", "steps", "env", "scale"),
        ]
    ]


def chosen(panel: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one panel, of a method with several step sizes those of the best: by the mean final return."""
    kept = pd.Series(True, index=panel.index)
    for _, own in panel.groupby("method", observed=True):
        sizes = own["step"].dropna().unique()
        if len(sizes) > 1:
            best = max(sizes, key=lambda size: final(curves(own[own["step"] == size])).mean())
            kept[own.index] = own["step"] == best
    return panel[kept]


def runs(own: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the runs of one method at one step size, one a seed, in the order of iterations."""
    keys = [*(["job"] if "job" in own else []), "seed"]
    return [run.sort_values("iteration") for _, run in own.groupby(keys, observed=True, sort=True)]


def curves(own: pd.DataFrame) -> NDArray[np.float64]:
    """Return the returns of these runs, [seeds, iterations]; where no episode ended, that of the iteration before.

    Runs of several lengths, such as those of a table that is not yet whole, are cut to the shortest.
    """
    found = [run["return_mean"].ffill().bfill().to_numpy(dtype=float) for run in runs(own)]
    return np.stack([one[: min(map(len, found))] for one in found])


def final(reached: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last tenth of the iterations, at least one, of curves [seeds, iterations]."""
    return reached[:, -max(1, round(LAST * reached.shape[1])) :].mean(1)


def iqm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the interquartile mean over the first axis: of five seeds, the mean of the middle three."""
    return np.asarray(trim_mean(values, 0.25, axis=0))


def interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the percentile-bootstrap interval of the interquartile mean over the first axis; nan for one seed.

    The seeds are resampled 2,000 times, always the same way. With five of them the interval is narrower than it should be.
    """
    count = len(values)
    if count < 2:
        nothing = np.full(np.shape(values)[1:], np.nan)
        return nothing, nothing
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    means = trim_mean(values[drawn], 0.25, axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray(low), np.asarray(high)
