"""The figures of the study ``train``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from studies.figures import BLACK, BLUE, CYCLE, DASHES, DOUBLE, ORANGE, SINGLE, band, legend_above, style, swatch
from studies.train_summary import RUN, interval

PARTS = 50
"""Equal parts of a run that points of curves are means over."""


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files."""
    return {"returns": returns(table), "steps": steps(table)}


def returns(table: pd.DataFrame) -> Figure:
    """Draw the mean return by environment steps, a panel for each environment; by episodes where there is a printed run."""
    envs = list(dict.fromkeys(table["env"]))
    labels = list(dict.fromkeys(_names(table)))
    columns = min(3, len(envs))
    rows = -(-len(envs) // columns)
    with style():
        figure = Figure(figsize=(min(DOUBLE, 1.0 + 3.2 * columns), 0.8 + 2.1 * rows))
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for env, axes in zip(envs, grid, strict=False):
            own = table[table["env"] == env]
            x = "episodes" if own["printed"].notna().any() else "steps"
            for number, label in enumerate(labels):
                look = {"color": CYCLE[number % len(CYCLE)], "linestyle": DASHES[number % len(DASHES)]}
                part = own[_names(own) == label]
                if part.empty:
                    continue
                at, curves = _curves(part, x)
                for curve in curves:
                    axes.plot(at, curve, color=look["color"], linewidth=0.4, alpha=0.6)
                if len(curves) > 1 and len(at):
                    axes.fill_between(at, *interval(curves), color=look["color"], alpha=0.2, linewidth=0)
                axes.plot(at, curves.mean(0), **look)
            marks = own[own["printed"].notna()].drop_duplicates("printed" if x == "steps" else "episodes")
            axes.plot(marks["episodes"], marks["printed"], color=BLACK, marker="D", linestyle="", zorder=5)
            axes.set_title(env, pad=3)
            axes.set_xlabel("episodes" if x == "episodes" else "environment steps")
        for axes in grid[len(envs) :]:
            axes.set_visible(False)
        figure.supylabel("return of an episode", fontsize=8)
        swatches = [
            swatch(label, color=CYCLE[i % len(CYCLE)], linestyle=DASHES[i % len(DASHES)]) for i, label in enumerate(labels)
        ]
        if table["printed"].notna().any():
            swatches.append(swatch("as printed, one seed", color=BLACK, marker="D", linestyle=""))
        seeds = table.groupby(RUN, observed=True)["seed"].nunique().max()
        drawn = f"thick: mean of {seeds} seeds, shade: its 95 % bootstrap interval, thin: each seed;\n"
        points = f"points are means over 1/{PARTS} of a run"
        legend_above(figure, swatches, 3, (drawn if seeds > 1 else "one seed; ") + points)
    return figure


def steps(table: pd.DataFrame) -> Figure:
    """Draw what the steps did: their KL in units of the radius, and how often the line search had to shorten them."""
    groups = list(table.groupby(RUN, observed=True, sort=False))
    with style():
        figure = Figure(figsize=(min(DOUBLE, max(SINGLE, 1.0 + 1.9 * len(groups))), 4.0))
        grid = figure.subplots(2, len(groups), squeeze=False, sharex="col", sharey="row")
        for column, (names, own) in enumerate(groups):
            upper, lower = grid[:, column]
            env, region = names[:2]
            delta = float(own["delta"].iloc[0])
            part = _part(own["iteration"])
            for name, color, dash in (("kl_mean", BLUE, DASHES[0]), ("kl_max", ORANGE, DASHES[1])):
                share = own[name].where(own["accepted"].astype(bool)) / delta
                band(upper, part[share.notna()], share.dropna(), color, dash)
            upper.axhline(1, color="0.3", linewidth=0.6)
            upper.set_yscale("log")
            upper.set_title(f"{env}\n{region}, $\\delta={delta:g}$", pad=3)
            _counts(lower, own, part)
            lower.set_xlabel("updates")
        grid[0, 0].set_ylabel(r"KL / $\delta$")
        grid[1, 0].set_ylabel("rejected an update")
        swatches = [
            swatch("mean KL", color=BLUE, linestyle=DASHES[0]),
            swatch("largest KL", color=ORANGE, linestyle=DASHES[1]),
            swatch("candidates of the line search", color=BLACK),
            swatch("whole steps", color="0.5", linestyle=DASHES[2]),
        ]
        caption = (
            "KL(old||new) of accepted steps over the batch's states:\nmedian, 10th and 90th percentile over seeds and updates;\n"
        )
        legend_above(figure, swatches, 2 if len(groups) < 3 else 4, caption + "below: means over the same")
    return figure


def _counts(axes: Axes, own: pd.DataFrame, part: pd.Series) -> None:
    """Candidates and steps rejected, an update."""
    tried = own["backtracks"].groupby(part.to_numpy()).mean()
    lost = (~own["accepted"].astype(bool)).astype(float).groupby(part.to_numpy()).mean()
    axes.plot(tried.index, tried, color=BLACK)
    axes.plot(lost.index, lost, color="0.5", linestyle=DASHES[2])
    axes.set_ylim(bottom=0)


def _names(table: pd.DataFrame) -> pd.Series:
    """What tells the curves of one panel apart."""
    names = table["region"].astype(str)
    return names if table["delta"].min() == table["delta"].max() else names + table["delta"].map(", $\\delta={:g}$".format)


def _part(x: pd.Series) -> pd.Series:
    """The middle of the part of the range that each value lies in; few values stay as they are."""
    if x.nunique() <= PARTS:
        return x
    width = (x.max() + 1) / PARTS
    return (np.floor(x / width) + 0.5) * width


def _curves(own: pd.DataFrame, x: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the parts of a run, [K], and the mean return of the episodes that ended in each, [seeds, K].

    A part in which no episode of a seed ended has the value between its neighbours; parts before the first end of some seed
    are left out, all of them if one has none.
    """
    keys = [*(["job"] if "job" in own else []), "seed"]
    runs = [run for _, run in own.groupby(keys, observed=True, sort=False)]
    end = min(run[x].max() for run in runs)
    edges = np.linspace(0, end, PARTS + 1)[1:]
    curves = []
    for run in runs:
        ended = run["episodes"].diff().fillna(run["episodes"]).to_numpy(dtype=float)
        kept = (ended > 0) & (run[x].to_numpy() <= end)
        part = np.searchsorted(edges, run[x].to_numpy()[kept])
        weight = np.bincount(part, ended[kept], PARTS)
        total = np.bincount(part, (ended * run["return_mean"].fillna(0).to_numpy())[kept], PARTS)
        there = weight > 0
        if there.any():
            curves.append(np.interp(edges, edges[there], total[there] / weight[there], left=np.nan))
        else:
            curves.append(np.full(PARTS, np.nan))
    stacked = np.array(curves)
    known = ~np.isnan(stacked).any(0)
    return edges[known], stacked[:, known]
