"""The figures of the study ``audit``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from studies.audit_summary import RUN, summary
from studies.figures import BLUE, CYCLE, DOUBLE, GREEN, MARKERS, ORANGE, RED, legend_above, style, swatch
from studies.promises import PROMISES

LOOK = {"kept": (GREEN, "o"), "broken": (RED, "X")}
SCENARIOS = {"ordinary": (BLUE, "o"), "stress": (ORANGE, "s"), "rejected": (RED, "^"), "discount": (GREEN, "D")}
EDGE = 2.0
"""Largest KL that a figure shows, in units of delta."""


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files."""
    drawn = {"verdicts": verdicts(table)}
    if table.loc[table["promise"] == "kl", "value"].notna().any():
        drawn["divergences"] = divergences(table)
    if table.loc[table["promise"] == "eta", "value"].notna().any():
        drawn["returns"] = returns(table)
    return drawn


def divergences(table: pd.DataFrame) -> Figure:
    """Draw KL(new || old) against KL(old || new) of each update, in units of delta: the side that is never crossed is bounded."""
    wide = _wide(table, ["kl", "kl_reverse"])
    agents = list(dict.fromkeys(wide["agent"]))
    looks = {scenario: look for scenario, look in SCENARIOS.items() if (wide["scenario"] == scenario).any()}
    panels = max(2, len(agents))
    with style():
        figure = Figure(figsize=(DOUBLE, 0.9 + DOUBLE / max(2.5, panels)))
        grid = figure.subplots(1, panels, sharex=True, sharey=True, squeeze=False)[0]
        for axes, name in zip(grid, agents, strict=False):
            for scenario, (color, marker) in looks.items():
                part = wide[(wide["agent"] == name) & (wide["scenario"] == scenario)]
                x, y = (np.minimum(part[id] / part["delta"], EDGE) for id in ("kl", "kl_reverse"))
                axes.plot(x, y, color=color, marker=marker, linestyle="", markersize=2, alpha=0.7, clip_on=False)
            axes.axvline(1, color="0.3", linewidth=0.8)
            axes.axhline(1, color="0.3", linewidth=0.8)
            axes.set_title(name)
        for axes in grid[len(agents) :]:
            axes.set_axis_off()
        grid[0].set_xlim(0, EDGE)
        grid[0].set_ylim(0, EDGE)
        figure.supxlabel(r"mean KL(old $\Vert$ new) over the batch / $\delta$", fontsize=8)
        figure.supylabel(r"mean KL(new $\Vert$ old) / $\delta$", fontsize=8)
        handles = [swatch(name, color=color, marker=marker, linestyle="") for name, (color, marker) in looks.items()]
        caption = "one point an update, those beyond at the edge; a KL that is bounded never crosses its line"
        legend_above(figure, handles, 4, caption)
    return figure


def returns(table: pd.DataFrame) -> Figure:
    """Draw the exact change of eta against that of L, update by update: both fall left of and below zero."""
    wide = _wide(table, ["eta", "surrogate_exact"])
    worlds, agents = list(dict.fromkeys(wide["world"])), list(dict.fromkeys(wide["agent"]))
    with style():
        figure = Figure(figsize=(DOUBLE, 0.9 + DOUBLE / max(2.5, len(worlds))))
        grid = figure.subplots(1, max(2, len(worlds)), squeeze=False)[0]
        for axes, world in zip(grid, worlds, strict=False):
            for number, name in enumerate(agents):
                part = wide[(wide["world"] == world) & (wide["agent"] == name)]
                look = {"color": CYCLE[number % len(CYCLE)], "marker": MARKERS[number % len(MARKERS)]}
                axes.plot(part["surrogate_exact"], part["eta"], linestyle="", markersize=2, alpha=0.7, **look)
            axes.axhline(0, color="0.3", linewidth=0.8)
            axes.axvline(0, color="0.3", linewidth=0.8)
            axes.locator_params(nbins=5)
            axes.set_title(world)
        for axes in grid[len(worlds) :]:
            axes.set_axis_off()
        figure.supxlabel(r"exact $L(\tilde\pi)-\eta(\pi)$", fontsize=8)
        figure.supylabel(r"exact $\eta(\tilde\pi)-\eta(\pi)$", fontsize=8)
        handles = [
            swatch(name, color=CYCLE[i % len(CYCLE)], marker=MARKERS[i % len(MARKERS)], linestyle="")
            for i, name in enumerate(agents)
        ]
        legend_above(figure, handles, 4, "one point an update, in units of the return; below zero the return fell")
    return figure


def verdicts(table: pd.DataFrame) -> Figure:
    """Draw, for each agent and promise, how many updates break it, and which direction of the KL is bounded."""
    said = summary(table).set_index(["promise", "agent"])
    agents = list(dict.fromkeys(table["agent"]))
    promises = ["direction", *(id for id, promise in PROMISES.items() if promise.asserted)]
    with style():
        figure = Figure(figsize=(DOUBLE, 1.0 + 0.24 * len(promises)))
        axes = figure.subplots()
        for row, promise in enumerate(promises[::-1]):
            for column, name in enumerate(agents):
                found = said.loc[(promise, name)]
                text = str(found["verdict"])
                if text in LOOK:
                    color, marker = LOOK[text]
                    axes.plot(column, row, color=color, marker=marker, linestyle="", markersize=5)
                    text = f"{int(found['broken'])} of {int(found['updates'])}"
                axes.annotate(text, (column, row), (7, 0), textcoords="offset points", va="center", fontsize=6.5)
        axes.set_xticks(range(len(agents)), agents)
        axes.set_yticks(range(len(promises)), ["bounds" if id == "direction" else id for id in promises[::-1]])
        axes.set_xlim(-0.4, len(agents) - 0.3)
        axes.set_ylim(-0.6, len(promises) - 0.4)
        handles = [swatch(name, color=color, marker=marker, linestyle="") for name, (color, marker) in LOOK.items()]
        legend_above(figure, handles, 2, "updates that break a promise, of those that it speaks of")
    return figure


def _wide(table: pd.DataFrame, promises: list[str]) -> pd.DataFrame:
    """One row an update, with a column for each of these promises, where both were measured."""
    part = table[table["promise"].isin(promises)].astype({"promise": str})
    return part.pivot(index=RUN, columns="promise", values="value").dropna().reset_index()  # noqa: PD010
