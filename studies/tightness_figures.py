"""The figures of the study ``tightness``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from studies.figures import BLACK, BLUE, CYCLE, DASHES, DOUBLE, MARKERS, ORANGE, label, legend_above, style, swatch
from studies.verify_figures import FAMILIES

LOWEST = 5e-3
PANELS = 4
"""Most gammas drawn beside each other."""


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files."""
    drawn = {}
    if (table["status"] != "open").any():
        drawn["bounds"] = by_bound(table)
    if (table["status"] == "open").any():
        drawn["open"] = open_claims(table)
    return drawn


def by_bound(table: pd.DataFrame) -> Figure:
    """Draw the largest certified usage of every bound, a panel for each gamma, with the ceiling as a bar."""
    proven = table[table["status"] != "open"]
    table = proven if len(proven) else table
    gammas = sorted(table["gamma"].unique())
    shown = [gammas[i] for i in np.unique(np.linspace(0, len(gammas) - 1, PANELS).round().astype(int))]
    shown = gammas if len(gammas) <= PANELS else shown
    ids = _ordered(table)
    looks = {"random": (BLUE, "o", BLUE), "structured": (ORANGE, "D", "none"), "stored": (BLACK, "x", BLACK)}
    starts = [start for start in looks if start in set(table["start"])]
    with style():
        figure = Figure(figsize=(DOUBLE, 0.95 + 0.145 * len(ids)))
        grid = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        for axes, gamma in zip(grid, shown, strict=True):
            part = table[table["gamma"] == gamma]
            for height, id in enumerate(ids[::-1]):
                own = part[part["claim"] == id]
                if own.empty:
                    continue
                usage, ceiling = float(own["usage"].max()), float(own["ceiling"].iloc[0])
                axes.plot([LOWEST, max(usage, LOWEST)], [height, height], color="0.85", linewidth=0.6, zorder=1)
                axes.plot([max(usage, LOWEST), max(ceiling, LOWEST)], [height, height], color="0.6", linewidth=0.6, zorder=1)
                axes.plot(ceiling, height, marker="|", color=BLACK, markersize=6, markeredgewidth=1.1, linestyle="", zorder=2)
                for start in starts:
                    color, marker, face = looks[start]
                    values = own.loc[own["start"] == start, "usage"].clip(lower=LOWEST)
                    size = 3 if start == "random" else 4.6
                    look = {"color": color, "marker": marker, "markerfacecolor": face, "markersize": size, "linestyle": ""}
                    axes.plot(values, [height] * len(values), markeredgewidth=0.7, zorder=3, **look)
            axes.set_title(rf"$\gamma={gamma:g}$", pad=3)
            axes.set_xscale("log")
            axes.set_xlim(LOWEST, 1.5)
            axes.grid(axis="y", visible=False)
        grid[0].set_yticks(range(len(ids)), [label(id) for id in ids[::-1]], fontsize=5.8)
        grid[0].set_ylim(-0.7, len(ids) - 0.3)
        figure.supxlabel(r"largest certified usage $|\eta_{\rm new}-L|$ / penalty", fontsize=8)
        marks = [
            swatch(
                "stored witness" if start == "stored" else f"found from {start} starts",
                color=looks[start][0],
                marker=looks[start][1],
                markerfacecolor=looks[start][2],
            )
            for start in starts
        ]
        for mark in marks:
            mark.set_linestyle("")
        marks.append(swatch("ceiling: no pair can use more", color=BLACK, marker="|", markersize=6, linestyle=""))
        legend_above(figure, marks, 3, _caption(table))
    return figure


def open_claims(table: pd.DataFrame) -> Figure:
    """Draw the largest certified usage of the open claims against gamma: above 1 they are refuted."""
    table = table[table["status"] == "open"]
    ids = list(table["claim"].unique())
    with style():
        figure = Figure(figsize=(DOUBLE, 2.9))
        axes = figure.subplots()
        for number, id in enumerate(ids):
            own = table[table["claim"] == id]
            best = own.groupby("gamma")["usage"].max()
            color = CYCLE[number % 7]
            x = _log_odds(best.index.to_numpy())
            axes.plot(x, best, color=color, linestyle=DASHES[number % 5], marker=MARKERS[number % 9])
            limit = own.groupby("gamma")["ceiling"].first()
            axes.plot(_log_odds(limit.index.to_numpy()), limit, color=color, linestyle=DASHES[number % 5], linewidth=0.5)
        axes.axhline(1, color="0.3", linewidth=0.8)
        axes.set_yscale("log")
        ticks = np.array([0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999])
        gammas = table["gamma"]
        ticks = ticks[(ticks >= gammas.min() / 1.5) & (ticks <= 1 - (1 - gammas.max()) / 1.5)]
        axes.set_xticks(_log_odds(ticks), [f"{tick:g}" for tick in ticks])
        axes.set_xlabel(r"discount factor $\gamma$ (spaced as $\gamma/(1-\gamma)$)")
        axes.set_ylabel("largest certified usage")
        handles = [
            swatch(label(str(id)), color=CYCLE[n % 7], linestyle=DASHES[n % 5], marker=MARKERS[n % 9]) for n, id in enumerate(ids)
        ]
        handles.append(swatch("proven ceiling, where there is one, in the same dash", color="0.3", linewidth=0.5))
        legend_above(figure, handles, 4, f"above 1 a claim is refuted, below it is only not broken\n{_caption(table)}")
    return figure


def _ordered(table: pd.DataFrame) -> list[str]:
    """Bounds by family, those of no family last."""
    present = [str(id) for id in table["claim"].unique()]
    known = [id for ids in FAMILIES.values() for id in ids if id in present]
    return known + [id for id in present if id not in known]


def _caption(table: pd.DataFrame) -> str:
    searched = table[table["start"] != "stored"]
    sizes = sorted(set(zip(searched["states"], searched["actions"], strict=True)))
    if not sizes:
        return "stored witnesses"
    shapes = ", ".join(f"{s} states, {a} actions" for s, a in sizes)
    stored = "; stored witnesses are those of longer searches, of up to 6 states" if len(searched) < len(table) else ""
    return f"{shapes}; {searched['budget'].max():,} comparisons a search{stored}"


def _log_odds(gamma: np.ndarray) -> np.ndarray:
    return np.log(gamma / (1 - gamma))
