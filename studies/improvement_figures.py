"""The figures of the study ``improvement``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from studies import records
from studies.figures import BLACK, BLUE, DASHES, DOUBLE, GREEN, MARKERS, ORANGE, PURPLE, RED, legend_above, style, swatch
from studies.updates import UPDATES

ARRIVED = 0.01
"""A run has arrived when eta* - eta is this share of eta* - eta_0."""

_LOOKS: dict[str, tuple[str, int, str]] = {  # colour and dash say the family, the marker the rule
    "cpi-kl02": (GREEN, 0, "o"),
    "cpi-trpo": (GREEN, 1, "s"),
    "alg1-trpo": (BLUE, 0, "o"),
    "alg1-pinsker": (BLUE, 1, "s"),
    "alg1-three-halves": (BLUE, 2, "^"),
    "alg1-sqrt-horizon": (BLUE, 3, "D"),
    "alg1-mean": (PURPLE, 0, "v"),
    "max-kl": (ORANGE, 0, "^"),
    "mean-kl": (ORANGE, 1, "D"),
    "natural-gradient": (RED, 0, "X"),
    "vanilla-gradient": (RED, 2, "P"),
    "policy-iteration": (BLACK, 0, "*"),
}


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files; one of each for every delta that the table holds."""
    deltas = sorted(table["delta"].dropna().unique())
    drawn = {}
    for delta in deltas or [np.nan]:
        shown = table[table["delta"].isna() | (table["delta"] == delta)]
        suffix = f"-delta={delta:g}" if len(deltas) > 1 else ""
        drawn[f"distance{suffix}"] = distance(shown)
        drawn[f"arrival{suffix}"] = arrival(shown)
        drawn[f"promise{suffix}"] = promise(shown)
    return drawn


def arrivals(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run: whether it ``arrived`` within 1 % of eta* - eta_0, and ``updates``, after how many.

    Where it did not, ``updates`` is how many were made, as many as were allowed or until nothing moved (``stuck``).
    """
    updates = records.updates_of(table).dropna(subset=["distance"])
    limit = updates["iteration"].max() + 1
    rows = []
    for _, group in updates.groupby("run", sort=False):
        there = group[1 - group["progress_new"] <= ARRIVED]
        last = group["iteration"].max() + 1
        head = group.iloc[0]
        made = there["iteration"].min() + 1 if len(there) else last
        rows.append(
            {
                **{key: head[key] for key in ("mdp", "algorithm", "delta", "instance")},
                "updates": int(made),
                "arrived": bool(len(there)),
                "stuck": not len(there) and last < limit,
            }
        )
    return pd.DataFrame(rows)


def distance(table: pd.DataFrame) -> Figure:
    """Draw the median distance to eta* by iteration on logarithmic axes, a panel for each process."""
    updates = records.updates_of(table).dropna(subset=["distance"])
    mdps, rules = list(updates["mdp"].unique()), [name for name in UPDATES if name in set(updates["algorithm"])]
    columns = min(4, len(mdps))
    rows = -(-len(mdps) // columns)
    with style():
        figure = Figure(figsize=(DOUBLE, 1.2 + 1.7 * rows))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
        for mdp, axes in zip(mdps, grid, strict=False):
            for number, rule in enumerate(rules):
                own = updates[(updates["mdp"] == mdp) & (updates["algorithm"] == rule)]
                left = (1 - own["progress_new"]).clip(lower=1e-9).groupby(own["iteration"] + 1)
                middle = left.median()
                look = _look(rule)
                every = max(1, len(middle) // 5)
                axes.plot(middle.index, middle, markevery=(number % every, every), **look)
                axes.fill_between(middle.index, left.min(), left.max(), color=look["color"], alpha=0.07, linewidth=0)
            axes.axhline(ARRIVED, color="0.3", linewidth=0.6)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_ylim(1e-6, 1.5)
            axes.set_title(mdp, pad=3)
        for axes in list(grid):
            axes.set_visible(False)
        marks = [swatch(UPDATES[rule].label, **_look(rule)) for rule in rules]
        starts = updates["instance"].nunique()
        caption = f"lines: median, shades: range over {starts} random starts, the same for all rules{_radius(table)}"
        legend_above(figure, marks, 4, caption)
        figure.supxlabel("updates", fontsize=8)
        figure.supylabel(r"distance left $(\eta^*-\eta)/(\eta^*-\eta_0)$", fontsize=8)
    return figure


def arrival(table: pd.DataFrame) -> Figure:
    """Draw how many updates each rule needs to come within 1 % of eta* - eta_0; open marks are those that do not arrive."""
    first = arrivals(table)
    mdps, rules = list(first["mdp"].unique()), [name for name in UPDATES if name in set(first["algorithm"])][::-1]
    colors = (BLUE, ORANGE, GREEN, BLACK, PURPLE, RED)
    with style():
        figure = Figure(figsize=(DOUBLE, 1.0 + 0.36 * len(rules)))
        axes = figure.subplots()
        for number, mdp in enumerate(mdps):
            look: dict[str, Any] = {
                "color": colors[number % 6],
                "marker": MARKERS[number % 9],
                "linestyle": "",
                "markersize": 3.5,
            }
            for height, rule in enumerate(rules):
                own = first[(first["mdp"] == mdp) & (first["algorithm"] == rule)]
                if own.empty:
                    continue
                y = height + 0.8 / len(mdps) * ((len(mdps) - 1) / 2 - number)
                median = own["updates"].where(own["arrived"], np.inf).median()
                made = own["updates"].max()
                axes.plot([own["updates"].min(), made], [y, y], color=look["color"], linewidth=0.7)
                if np.isfinite(median):
                    axes.plot(median, y, **look)
                else:
                    axes.plot(made, y, **look, markerfacecolor="white")
        axes.set_yticks(range(len(rules)), [UPDATES[rule].label for rule in rules])
        for height in np.arange(len(rules) - 1) + 0.5:
            axes.axhline(height, color="0.85", linewidth=0.5)
        axes.grid(axis="y", visible=False)
        axes.set_ylim(-0.6, len(rules) - 0.4)
        axes.set_xscale("log")
        axes.set_xlabel(r"updates until $\eta^*-\eta\leq 0.01\,(\eta^*-\eta_0)$")
        marks = [swatch(mdp, color=colors[i % 6], marker=MARKERS[i % 9], linestyle="") for i, mdp in enumerate(mdps)]
        caption = (
            f"filled: median over {first['instance'].nunique()} starts, bars: their range; open: most starts do not arrive,\n"
            f"at the last update made (after {first['updates'].max()}, or when nothing moves any more){_radius(table)}"
        )
        legend_above(figure, marks, 6, caption)
    return figure


def promise(table: pd.DataFrame) -> Figure:
    """Draw what the rules that rest on a bound were promised at each update against what they gained."""
    rules = [name for name in UPDATES if UPDATES[name].rests_on and name in set(table["algorithm"])]
    updates = records.updates_of(table)
    distances = updates.set_index(["mdp", "algorithm", "seed", "instance", "iteration"])["distance"]
    columns = min(4, max(1, len(rules)))
    rows = max(1, -(-len(rules) // columns))
    with style():
        figure = Figure(figsize=(DOUBLE, 0.7 + 1.65 * rows))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
        low = 1e-9
        for rule, axes in zip(rules, grid, strict=False):
            own = table[(table["algorithm"] == rule) & (table["claim"] == UPDATES[rule].rests_on)]
            keys = pd.MultiIndex.from_frame(own[["mdp", "algorithm", "seed", "instance", "iteration"]])
            size = distances[~distances.index.duplicated()].reindex(keys).to_numpy()
            promised = (own["surrogate_gain"] - own["penalty"]) / size
            real = own["improvement"] / size
            shown = (promised > low) & (real > low)
            look = {"marker": _look(rule)["marker"], "facecolors": "none", "edgecolors": _look(rule)["color"]}
            axes.scatter(promised[shown], real[shown], s=5, linewidths=0.5, rasterized=True, **look)
            axes.plot([low, 1], [low, 1], color="0.3", linewidth=0.8)
            axes.set_xscale("log")
            axes.set_yscale("log")
            ratio = (real / promised)[shown].median()
            axes.set_title(f"{UPDATES[rule].label}\nreal / promised: {ratio:.3g}", fontsize=7, pad=3)
        for axes in list(grid):
            axes.set_visible(False)
        figure.supxlabel(r"guaranteed gain $(L-\mathrm{penalty}-\eta_{\rm old})/(\eta^*-\eta_0)$", fontsize=8)
        figure.supylabel(r"real gain $(\eta_{\rm new}-\eta_{\rm old})/(\eta^*-\eta_0)$", fontsize=8)
        legend_above(
            figure,
            [swatch("equal", color="0.3")],
            1,
            "one mark an update, penalty of the bound that the rule maximises; ratios are medians",
        )
    return figure


def _look(rule: str) -> dict[str, Any]:
    color, dash, marker = _LOOKS.get(rule, (BLACK, 2, "o"))
    return {"color": color, "linestyle": DASHES[dash], "marker": marker, "markersize": 3, "linewidth": 1}


def _radius(table: pd.DataFrame) -> str:
    radii = table["delta"].dropna().unique()
    return rf"; $\delta={radii[0]:g}$" if len(radii) else ""
