"""The figures of the study ``throughput``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from studies.figures import BLACK, BLUE, CYCLE, DASHES, DOUBLE, MARKERS, legend_above, style, swatch

KEYS = ["quantity", "S", "A", "B", "gamma", "claims"]


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files; the last only where costs were measured along axes."""
    drawn = {"speeds": speeds(table), "ratios": ratios(table)}
    return drawn | ({"scaling": scaling(table)} if table["quantity"].str.startswith("scaling ").any() else {})


def speeds(table: pd.DataFrame) -> Figure:
    """Draw evaluations a second against S, of every path, under what memory and arithmetic allow."""
    part = table[table["quantity"] == "evaluation"]
    machine = table[table["quantity"] == "machine"].groupby("path")["rate"].median()
    states = np.array(sorted(part["S"].unique()), dtype=float)
    actions = float(part["A"].iloc[0])
    with style():
        figure = Figure(figsize=(DOUBLE, 3.4))
        axes = figure.subplots()
        handles = []
        for k, (path, rows) in enumerate(part.groupby("path", sort=False)):
            look: dict[str, Any] = {"color": CYCLE[k % 7], "linestyle": DASHES[k % 5], "marker": MARKERS[k % 9]}
            grouped = rows.groupby("S")["rate"]
            y, low, high = grouped.median(), grouped.min(), grouped.max()
            axes.errorbar(y.index, y, [y - low, high - y], elinewidth=0.6, capsize=1.5, **look)
            handles.append(swatch(str(path), **look))
        limits = {
            "memory: P read once": machine["copy"] / (8 * states**2 * actions),
            "arithmetic: dgemm's rate": machine["dgemm"] / (2 * states**2 * actions + 2 / 3 * states**3 + 4 * states**2),
        }
        for (name, limit), dash in zip(limits.items(), ("--", ":"), strict=True):
            axes.plot(states, limit, color="0.45", linestyle=dash, linewidth=1.6)
            handles.append(swatch(name, color="0.45", linestyle=dash, linewidth=1.6))
        axes.set(xscale="log", yscale="log", xlabel="states S", ylabel="evaluations a second")
        axes.set_xticks(states, [f"{s:g}" for s in states])
        axes.minorticks_off()
        caption = (
            f"A = {actions:g}, {int(part['threads'].iloc[0])} threads, medians of {part['repeat'].nunique()} turns in one run; "
            "bars: least and most"
        )
        legend_above(figure, handles, 4, caption)
    return figure


def ratios(table: pd.DataFrame) -> Figure:
    """Draw our speed over every other path's: a bar at the median, a tick a turn."""
    ours = table[table["path"] == "ours"].set_index([*KEYS, "repeat"])["rate"]
    others = table[(table["path"] != "ours") & (table["quantity"] != "machine")].join(ours.rename("ours"), on=[*KEYS, "repeat"])
    others = others.assign(ratio=others["ours"] / others["rate"])
    groups = list(others.groupby([*KEYS, "path"], sort=False)["ratio"])
    with style():
        figure = Figure(figsize=(DOUBLE, 0.9 + 0.2 * len(groups)))
        axes = figure.subplots()
        for row, (_, values) in enumerate(groups):
            low, high = sorted((1.0, float(values.median())))
            axes.barh(row, high - low, left=low, height=0.6, color=BLUE, alpha=0.35, edgecolor=BLUE)
            axes.plot(values, np.full(len(values), row), "|", color=BLACK, markersize=6)
            number = f"{values.median():,.0f}" if values.median() >= 100 else f"{values.median():.2g}"
            axes.annotate(number, (max(1.0, values.max()), row), (6, 0), textcoords="offset points", va="center")
        axes.axvline(1, color=BLACK, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(groups)), [f"{q}, S={s:,}: {path}" for (q, s, *_, path), _ in groups])
        axes.set_ylim(len(groups) - 0.3, -0.7)
        axes.set(xscale="log", xlabel="our speed over it (bars: medians; ticks: turns of one run; dotted: equal)")
        axes.set_xlim(0.6 * min(1.0, float(others["ratio"].min())), 3 * max(1.0, float(others["ratio"].max())))
    return figure


def scaling(table: pd.DataFrame) -> Figure:
    """Draw our cost along each axis, with the fitted exponent."""
    from studies.throughput import exponents

    part = table[table["quantity"].str.startswith("scaling ")]
    fitted = exponents(table).set_index("axis")
    with style():
        figure = Figure(figsize=(DOUBLE, 2.0))
        grid = figure.subplots(1, len(fitted), squeeze=False)[0]
        for axes, (axis, fit) in zip(grid, fitted.iterrows(), strict=True):
            rows = part[part["quantity"] == f"scaling {axis}"]
            x = 1 / (1 - rows["gamma"]) if axis == "horizon" else rows[str(axis)].astype(float)
            cost = 1e6 * rows["seconds"] / (1 if axis == "B" else rows["instances"])
            y = cost.groupby(x.to_numpy()).median()
            axes.plot(x, cost, linestyle="", marker="_", color="0.5")
            axes.plot(y.index, y, linestyle="", marker="o", color=BLUE)
            ends = np.array([x.min(), x.max()])
            middle = np.exp(np.log(cost).mean() - fit["exponent"] * np.log(x).mean())
            axes.plot(ends, middle * ends ** fit["exponent"], color=BLACK, linestyle="--", linewidth=0.8)
            name = {"horizon": r"$1/(1-\gamma)$", "B": "batch B"}.get(str(axis), str(axis))
            axes.set(xscale="log", yscale="log", xlabel=name, title=f"{fit['exponent']:.2f} ± {fit['error']:.2f}")
            centre = np.sqrt(cost.min() * cost.max())
            axes.set_ylim(min(0.8 * cost.min(), centre / 4), max(1.25 * cost.max(), centre * 4))  # so that noise looks small
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_minor_formatter(NullFormatter())
            ticks = sorted(set(x))[:: 2 if len(set(x)) > 4 else 1]
            axes.set_xticks(ticks, [f"{tick:.0f}" if tick < 1000 else f"{tick / 1000:.0f}k" for tick in ticks])
        grid[0].set_ylabel("µs an instance (B: the batch)")
        figure.suptitle("exponents with standard errors; dots: medians, dashes: turns of one run", fontsize="medium")
    return figure
