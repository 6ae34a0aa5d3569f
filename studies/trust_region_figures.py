"""The figures of the study ``trust_region``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from studies import records
from studies.figures import CYCLE, DASHES, DOUBLE, MARKERS, band, label, legend_above, style, swatch, wilson

NAMES = {"max_kl": "max KL", "mean_kl": "mean KL", "max_l2": r"max $\ell_2$", "mean_l2": r"mean $\ell_2$", "none": "no region"}
ALGORITHMS = {"exact": "untied", "exact-tied": "tied", "neural": "neural"}
SPREAD = "lines: medians; bands: 10th to 90th percentile"
SMALLEST = 1e-6
"""Surrogate gains below this share of eta* - eta_0 are those of a run that has arrived."""


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files; over all deltas that the table holds.

    Without a delta above 0 there is no unit for a KL, and no figure "divergence"; without a run that moves, no "guarantees".
    """
    return {
        "progress": progress(table),
        **({"divergence": divergence(table)} if (table["delta"] > 0).any() else {}),
        "gain": gain(table),
        "falls": falls(table),
        **({"guarantees": guarantees(table)} if len(records.moving(table, SMALLEST)) else {}),
    }


def progress(table: pd.DataFrame) -> Figure:
    """Draw the normalised return by iteration, a panel for each process, algorithm and delta."""
    updates = records.updates_of(table)
    mdps, algorithms, deltas = _values(updates)
    with style():
        if len(deltas) == 1:  # rows of four processes, one algorithm above the other
            width = min(4, len(mdps))
            blocks = [mdps[i : i + width] for i in range(0, len(mdps), width)]
            cells = [[(m, a, deltas[0]) for m in block] for block in blocks for a in algorithms]
        else:  # one row a process
            cells = [[(m, a, d) for a, d in product(algorithms, deltas)] for m in mdps]
        columns = max(map(len, cells))
        figure = Figure(figsize=(DOUBLE, 0.8 + 0.95 * len(cells)))
        grid = figure.subplots(len(cells), columns, sharex=True, sharey=True, squeeze=False)
        for number, (row, line) in enumerate(zip(grid, cells, strict=True)):
            for axes, (mdp, algorithm, delta) in zip(row, line, strict=False):
                own = updates[_is(updates, mdp=mdp, algorithm=algorithm, delta=delta)]
                for region, look in _looks(updates).items():
                    one = own[own["region"] == region]
                    band(axes, one["iteration"] + 1, one["progress_new"], look["color"], look["linestyle"])
                axes.axhline(1, color="0.5", linewidth=0.6)
                axes.margins(x=0)
                kind = ALGORITHMS.get(algorithm, algorithm)
                if len(deltas) == 1:
                    axes.set_title(f"{mdp}, {kind}", pad=3, fontsize=7)
                elif number == 0:
                    axes.set_title(rf"{kind}, $\delta={delta:g}$", pad=3, fontsize=7)
            if len(deltas) > 1:
                row[0].set_ylabel(line[0][0], fontsize=7)
            for axes in row[len(line) :]:
                axes.set_visible(False)
        grid[0, 0].xaxis.get_major_locator().set_params(integer=True)
        legend_above(figure, _handles(updates), 4, f"{SPREAD} over random starts: {_each(updates, _starts)}")
        figure.supxlabel(rf"updates, at $\delta={deltas[0]:g}$ nats" if len(deltas) == 1 else "updates", fontsize=8)
        figure.supylabel("normalised return\n" r"$(\eta-\eta_0)/(\eta^*-\eta_0)$", fontsize=8, ma="center")  # one row is low
    return figure


def divergence(table: pd.DataFrame) -> Figure:
    """Draw the realised maximum and mean KL by iteration, in units of delta, while a run still moves."""
    updates = records.updates_of(table)
    mdps, algorithms, deltas = _values(updates)
    deltas = [delta for delta in deltas if delta > 0]
    moving = updates[updates["surrogate_gain"] > SMALLEST * updates["distance"]]
    measures = {"kl_max": r"$\max_s\,\mathrm{KL}\,/\,\delta$", "kl_mean": r"$E_{s\sim d}\,\mathrm{KL}\,/\,\delta$"}
    quarter = {a: max(1, len(mdps) * _starts(updates, a) // 4) for a in algorithms}
    with style():
        if len(deltas) == 1:
            cells = [[(m, a, deltas[0]) for a in algorithms] for m in measures]
        else:
            cells = [[(m, a, d) for d in deltas] for m in measures for a in algorithms]
        figure = Figure(figsize=(DOUBLE, 0.8 + 1.25 * len(cells)))
        grid = figure.subplots(len(cells), max(map(len, cells)), sharex=True, sharey="row", squeeze=False)
        for row, line in zip(grid, cells, strict=True):
            for axes, (measure, algorithm, delta) in zip(row, line, strict=True):
                own = moving[_is(moving, algorithm=algorithm, delta=delta)]
                for region, look in _looks(updates).items():
                    one = own[own["region"] == region]
                    band(
                        axes,
                        one["iteration"] + 1,
                        one[measure] / delta,
                        look["color"],
                        look["linestyle"],
                        least=quarter[algorithm],
                    )
                axes.axhline(1, color="0.5", linewidth=0.6)
                axes.set_yscale("log")
                axes.margins(x=0)
                axes.set_title(rf"{ALGORITHMS.get(algorithm, algorithm)}, $\delta={delta:g}$", pad=3, fontsize=7)
            row[0].set_ylabel(measures[line[0][0]])
        caption = (
            f"KL(old || new). {SPREAD} over all processes and starts\nthat still gain more than "
            r"$10^{-6}(\eta^*-\eta_0)$ by $L$, while a quarter of them do"
        )
        legend_above(figure, _handles(updates), 4, caption)
        figure.supxlabel("updates", fontsize=8)
    return figure


def gain(table: pd.DataFrame) -> Figure:
    """Draw what each update gained against what its surrogate promised; falls of eta have marks of their own."""
    updates = records.updates_of(table).dropna(subset=["distance"])
    updates = updates.assign(
        promised=updates["surrogate_gain"] / updates["distance"], real=updates["improvement"] / updates["distance"]
    )
    _, algorithms, _ = _values(updates)
    regions = list(_looks(updates))
    rise = {r: {"marker": MARKERS[i], "facecolors": "none", "edgecolors": CYCLE[i]} for i, r in enumerate(regions)}
    fall = {r: {"marker": "x+12"[i % 4], "color": ("#000000", "#D55E00")[i % 2]} for i, r in enumerate(regions)}
    with style():
        figure = Figure(figsize=(DOUBLE, 3.3))
        grid = figure.subplots(1, len(algorithms), sharex=True, sharey=True, squeeze=False)[0]
        line = np.concatenate([[0], np.geomspace(SMALLEST / 10, max(updates["promised"].max(), SMALLEST), 50)])
        for axes, algorithm in zip(grid, algorithms, strict=True):
            shown = updates[updates["algorithm"] == algorithm]
            for region, falling in product(regions, (False, True)):
                own = shown[(shown["region"] == region) & (shown["falls"] == falling)]
                look = fall[region] if falling else rise[region]
                axes.scatter(own["promised"], own["real"], s=7, linewidths=0.5, rasterized=True, **look)
            axes.set_xscale("symlog", linthresh=SMALLEST)
            axes.set_yscale("symlog", linthresh=SMALLEST)
            axes.plot(line, line, color="0.3", linewidth=0.8)
            axes.axhline(0, color="0.5", linewidth=0.6)
            kind = ALGORITHMS.get(algorithm, algorithm)
            axes.set_title(f"{kind}\n" rf"$\eta$ falls in {shown['falls'].mean():.1%} of {len(shown)} updates", fontsize=7)
        figure.supxlabel(r"surrogate gain $(L-\eta_{\rm old})/(\eta^*-\eta_0)$", fontsize=8)
        grid[0].set_ylabel(r"real gain $(\eta_{\rm new}-\eta_{\rm old})/(\eta^*-\eta_0)$")
        marks = [
            swatch(NAMES.get(r, r), linestyle="", marker=rise[r]["marker"], markerfacecolor="none", color=rise[r]["edgecolors"])
            for r in regions
        ]
        marks += [swatch(rf"{NAMES.get(r, r)}: $\eta$ falls", linestyle="", **fall[r]) for r in regions]
        legend_above(
            figure,
            [*marks, swatch("equal", color="0.3")],
            5,
            "one mark an update; axes linear below $10^{-6}$, logarithmic above",
        )
    return figure


def falls(table: pd.DataFrame) -> Figure:
    """Draw how often eta falls, by delta: the share of updates, and of runs in which one does."""
    updates = records.updates_of(table)
    _, algorithms, deltas = _values(updates)
    looks: dict[tuple[str, str], dict[str, Any]] = {}
    for (i, region), (j, algorithm) in product(enumerate(_looks(updates)), enumerate(algorithms)):
        look = {"marker": MARKERS[i], "fillstyle": ("full", "none", "left", "top")[j % 4], "markerfacecoloralt": "white"}
        looks[region, algorithm] = {"color": CYCLE[i], "linestyle": "", "markersize": 4.5, **look}
    with style():
        figure = Figure(figsize=(DOUBLE, 2.0 + 0.17 * len(algorithms)))
        grid = figure.subplots(1, 2)
        for position, ((region, algorithm), look) in enumerate(looks.items()):
            for where, delta in enumerate(deltas):
                own = updates[_is(updates, region=region, algorithm=algorithm, delta=delta)]
                if own.empty:
                    continue
                each = own.groupby("run")["falls"]
                x = where + 0.16 * (position - (len(looks) - 1) / 2)
                for axes, share in zip(grid, (own["falls"].mean(), each.any().mean()), strict=True):
                    axes.plot([x, x], wilson(share, each.ngroups), color=look["color"], linewidth=1)
                    axes.plot(x, share, **look)
        for axes, name in zip(grid, (r"updates that lower $\eta$", r"runs with a fall of $\eta$"), strict=True):
            axes.set_xticks(range(len(deltas)), [f"{delta:g}" for delta in deltas])
            axes.set_xlim(-0.6, len(deltas) - 0.4)
            axes.set_ylim(bottom=-0.02)
            axes.set_xlabel(r"radius $\delta$ (nats)")
            axes.set_ylabel(f"share of {name}", fontsize=7)
            axes.grid(axis="x", visible=False)
        marks = [swatch(f"{NAMES.get(r, r)}, {ALGORITHMS.get(a, a)}", **look) for (r, a), look in looks.items()]
        caption = f"bars: 95 % Wilson intervals, in which each run behind a point counts as one trial: {_each(updates, _runs)}"
        legend_above(figure, marks, len(_looks(updates)), caption)
    return figure


def guarantees(table: pd.DataFrame) -> Figure:
    """Draw what each bound allows the error of the surrogate to be, beside what it is: both as a share of the surrogate gain.

    Untied updates are left out where there are others: they never fall, so that no bound is needed.
    """
    moving = records.moving(table, SMALLEST)
    limited = moving[moving["algorithm"] != "exact"]
    return promises(limited if len(limited) else moving, "algorithm", ALGORITHMS)


def promises(shown: pd.DataFrame, by: str, names: Mapping[str, str]) -> Figure:
    """Draw the penalties of rows in which L rises, a panel for each delta and value of the column ``by``."""
    shown = shown.assign(ratio=shown["penalty"] / shown["surrogate_gain"], error=shown["gap"].abs() / shown["surrogate_gain"])
    order = list(shown.groupby("claim", observed=True)["ratio"].median().sort_values(ascending=False).index)
    kinds, deltas = list(shown[by].unique()), sorted(shown["delta"].unique())
    kept = (shown["penalty"] < shown["surrogate_gain"]).groupby([shown["claim"], shown[by]], observed=True)
    count, size = kept.sum(), kept.size()
    groups = [[kind] for kind in kinds] if len(kinds) <= 2 else [kinds]
    looks = _looks(shown)
    with style():
        figure = Figure(figsize=(DOUBLE, 1.1 + 0.15 * (len(order) + 1)))
        grid = figure.subplots(1, len(deltas) * len(kinds), sharey=True, sharex=True, squeeze=False)[0]
        for axes, (kind, delta) in zip(grid, product(kinds, deltas), strict=True):
            at = shown[_is(shown, **{by: kind}, delta=delta)]
            for position, region in enumerate(looks):
                own = at[at["region"] == region]
                fill = {"markerfacecolor": "white"} if position % 2 else {}
                where = np.arange(len(order) + 1) + 0.18 * (position - (len(looks) - 1) / 2)
                series = [own[own["claim"] == claim]["ratio"] for claim in order] + [own[own["claim"] == order[0]]["error"]]
                _dots(axes, where, series, color=CYCLE[position], marker=MARKERS[position], **fill)
            axes.axvline(1, color="0.3", linewidth=0.8)
            axes.set_xscale("log")
            axes.set_title(f"{names.get(kind, kind)}\n" rf"$\delta={delta:g}$ nats", pad=3, fontsize=7)
        rows = []
        for claim in order:
            shares = (sum(count.get((claim, k), 0) for k in g) / sum(size.get((claim, k), 0) for k in g) for g in groups)
            rows.append(f"{label(claim)}  {' / '.join(f'{share:.0%}' for share in shares)}")
        grid[0].set_yticks(range(len(order) + 1), [*rows, r"real error $|\eta_{\rm new}-L|$"], fontsize=6.5)
        grid[0].set_ylim(-0.7, len(order) + 0.7)
        figure.supxlabel(r"penalty / surrogate gain $(L-\eta_{\rm old})$", fontsize=8)
        marks = [
            swatch(NAMES.get(r, r), color=CYCLE[i], marker=MARKERS[i], **({"markerfacecolor": "white"} if i % 2 else {}))
            for i, r in enumerate(looks)
        ]
        each = f": {' / '.join(names.get(kind, kind) for kind in kinds)}" if len(groups) > 1 else ""
        caption = (
            "medians, bars from the 10th to the 90th percentile. Below 1 a bound guarantees an improvement;\n"
            f"beside its name, the share of updates where it does{each}"
        )
        legend_above(figure, marks, 4, caption)
    return figure


def _dots(axes: Axes, where: np.ndarray, series: list[pd.Series], **look: Any) -> None:
    """A median and a bar for each series, at heights ``where``."""
    for height, values in zip(where, series, strict=True):
        if len(values):
            low, middle, high = values.quantile([0.1, 0.5, 0.9], interpolation="nearest")
            axes.plot([low, high], [height, height], color=look["color"], linewidth=0.9)
            axes.plot(middle, height, linestyle="", markersize=2.8, markeredgewidth=0.8, **look)


def _values(updates: pd.DataFrame) -> tuple[list[str], list[str], list[float]]:
    return list(updates["mdp"].unique()), list(updates["algorithm"].unique()), sorted(updates["delta"].unique())


def _looks(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour and dash of each region."""
    return {
        str(region): {"color": CYCLE[i % len(CYCLE)], "linestyle": DASHES[i % len(DASHES)]}
        for i, region in enumerate(table["region"].unique())
    }


def _handles(updates: pd.DataFrame) -> list[Any]:
    return [swatch(NAMES.get(region, region), **look) for region, look in _looks(updates).items()]


def _is(updates: pd.DataFrame, **values: Any) -> pd.Series:
    mask = pd.Series(True, index=updates.index)
    for column, value in values.items():
        mask &= updates[column] == value
    return mask


def _starts(updates: pd.DataFrame, algorithm: str) -> int:
    """Runs behind one median."""
    own = updates[updates["algorithm"] == algorithm]
    return int(own.groupby(["mdp", "region", "delta"], observed=True)["run"].nunique().max())


def _runs(updates: pd.DataFrame, algorithm: str) -> int:
    """Runs behind one share, over all processes."""
    own = updates[updates["algorithm"] == algorithm]
    return int(own.groupby(["region", "delta"], observed=True)["run"].nunique().max())


def _each(updates: pd.DataFrame, count: Callable[[pd.DataFrame, str], int]) -> str:
    """Say a number of each algorithm."""
    return ", ".join(f"{count(updates, a)} {ALGORITHMS.get(a, a)}" for a in _values(updates)[1])
