"""The figures of the study ``neural_truth``."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from studies import records
from studies.figures import CYCLE, DASHES, DOUBLE, MARKERS, band, legend_above, style, swatch, wilson
from studies.trust_region_figures import promises

SAMPLERS = {
    "exact": "exact",
    "single_path": "single path",
    "single_path_undiscounted": r"single path, no $\gamma^t$",
    "vine": "vine",
}
CURVATURES = {"fisher": "Fisher", "empirical": "empirical Fisher", "identity": "identity"}
NAMES = {"max_kl": "max KL (eq. 11)", "mean_kl": "mean KL (eq. 12)"}
SPREAD = "lines: medians; bands: 10th to 90th percentile"
MEASURES = {
    "progress_new": "return",
    "kl_max": r"$\max_s\,$KL$\,/\,\delta$",
    "kl_mean": r"$E_{s\sim d}\,$KL$\,/\,\delta$",
}
REGION_KEYS = ["delta", "sampler", "curvature", "region"]
SMALLEST = 1e-4
"""Where symmetric logarithmic axes become linear."""


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files; over all deltas that the table holds."""
    return {
        "regions": regions(table),
        "improvement": improvement(table),
        "divergence": divergence(table),
        "falls": falls(table),
        "guarantees": guarantees(table),
    }


def regions(table: pd.DataFrame) -> Figure:
    """Draw what max-KL and mean-KL regions do by iteration: the return, and both KLs, in truth."""
    updates = _natural(records.updates_of(table))
    for measure in ("kl_max", "kl_mean"):
        updates[measure] = (updates[measure] / updates["delta"]).where(updates["accepted"])
    deltas, samplers, mdps = sorted(updates["delta"].unique()), list(updates["sampler"].unique()), list(updates["mdp"].unique())
    cells: list[tuple[float, str, str | None]] = []
    for delta in deltas:
        cells += [(delta, "progress_new", mdp) for mdp in (mdps if len(deltas) == 1 else [None])]
        cells += [(delta, "kl_max", None), (delta, "kl_mean", None)]
    with style():
        figure = Figure(figsize=(DOUBLE, 0.9 + 0.95 * len(cells)))
        grid = figure.subplots(len(cells), len(samplers), sharex=True, sharey="row", squeeze=False)
        for number, (delta, measure, mdp) in enumerate(cells):
            for axes, sampler in zip(grid[number], samplers, strict=True):
                own = updates[(updates["sampler"] == sampler) & (updates["delta"] == delta)]
                own = own if mdp is None else own[own["mdp"] == mdp]
                for position, region in enumerate(_regions(updates)):
                    one = own[own["region"] == region]
                    band(axes, one["iteration"] + 1, one[measure], CYCLE[position], DASHES[position])
                axes.margins(x=0)
                if measure == "progress_new":
                    axes.axhline(0, color="0.5", linewidth=0.6)
                else:
                    axes.axhline(1, color="0.3", linewidth=0.8)
                    axes.set_yscale("log")
                if number == 0:
                    axes.set_title(SAMPLERS.get(sampler, sampler), pad=3, fontsize=7)
            what = mdp or ("all processes" if len(deltas) == 1 else rf"$\delta={delta:g}$ nats")
            grid[number][0].set_ylabel(f"{MEASURES[measure]}\n{what}", fontsize=7)
        figure.supxlabel("updates", fontsize=8)
        figure.align_ylabels(grid[:, 0])
        handles = [swatch(NAMES.get(r, r), color=CYCLE[i], linestyle=DASHES[i]) for i, r in enumerate(_regions(updates))]
        where = rf" at $\delta={deltas[0]:g}$ nats" if len(deltas) == 1 else ""
        caption = (
            r"exact return $(\eta-\eta_0)/(\eta^*-\eta_0)$ and KL(old || new) "
            f"of updates{where}, Fisher's matrix as curvature;\n"
            f"{SPREAD} over {updates['instance'].nunique()} random starts for each of {len(mdps)} processes"
        )
        legend_above(figure, handles, 4, caption)
    return figure


def improvement(table: pd.DataFrame) -> Figure:
    """Draw what each update truly gained against the gain in L, the exact one and the one that the batch showed."""
    updates = records.updates_of(table).dropna(subset=["distance"])
    updates = updates[updates["accepted"]]
    real = updates["improvement"] / updates["distance"]
    columns = {
        "surrogate_gain": r"exact $(L-\eta_{\rm old})/(\eta^*-\eta_0)$",
        "gain_sampled": r"batch $(\hat L-\hat\eta_{\rm old})/(\eta^*-\eta_0)$",
    }
    samplers = list(updates["sampler"].unique())
    with style():
        figure = Figure(figsize=(DOUBLE, 4.2))
        grid = figure.subplots(2, len(samplers), sharex=True, sharey=True, squeeze=False)
        top = max(float((updates[c] / updates["distance"]).max()) for c in columns)
        line = np.concatenate([[0], np.geomspace(SMALLEST / 10, max(top, SMALLEST), 50)])
        for number, (column, name) in enumerate(columns.items()):
            row = grid[number]
            for axes, sampler in zip(row, samplers, strict=True):
                for position, region in enumerate(_regions(updates)):
                    for falling in (False, True):
                        own = (updates["sampler"] == sampler) & (updates["region"] == region) & (updates["falls"] == falling)
                        x, y = updates.loc[own, column] / updates.loc[own, "distance"], real[own]
                        axes.scatter(x, y, s=6, linewidths=0.5, rasterized=True, **_mark(position, falling))
                axes.plot(line, line, color="0.3", linewidth=0.8)
                axes.axhline(0, color="0.5", linewidth=0.6)
                axes.set_xscale("symlog", linthresh=SMALLEST)
                axes.set_yscale("symlog", linthresh=SMALLEST)
                axes.set_xticks([-1e-2, 0, 1e-2, 1])
                axes.set_yticks([-1e-1, -1e-2, -1e-3, 0, 1e-3, 1e-2, 1e-1, 1])
                axes.minorticks_off()
                axes.set_xlabel(name, fontsize=6.5)
                if number == 0:
                    own = updates["sampler"] == sampler
                    share = updates.loc[own, "falls"].mean()
                    title = f"{SAMPLERS.get(sampler, sampler)}\n" rf"$\eta$ falls in {share:.1%} of {own.sum()}"
                    axes.set_title(title, pad=3, fontsize=7)
        figure.supylabel(r"true gain $(\eta_{\rm new}-\eta_{\rm old})/(\eta^*-\eta_0)$", fontsize=8)
        handles = [_swatch(i, r, falling) for falling in (False, True) for i, r in enumerate(_regions(updates))]
        caption = "one mark an accepted update, all curvatures; axes linear below $10^{-4}$, logarithmic above"
        legend_above(figure, [*handles, swatch("equal", color="0.3")], 5, caption)
    return figure


def divergence(table: pd.DataFrame) -> Figure:
    """Draw the true KLs against those of the batch: over unvisited states the maximum, by wrong weights the mean."""
    updates = records.updates_of(table)
    updates = updates[updates["accepted"]]
    samplers = list(updates["sampler"].unique())
    measures = {
        "kl_max": r"$\max$ KL$\,/\,\delta$ in the batch",
        "kl_mean": r"mean KL$\,/\,\delta$ in the batch",
    }
    with style():
        figure = Figure(figsize=(DOUBLE, 4.2))
        grid = figure.subplots(2, len(samplers), sharex="row", sharey="row", squeeze=False)
        for number, (measure, sampled) in enumerate(measures.items()):
            row = grid[number]
            for axes, sampler in zip(row, samplers, strict=True):
                own = updates[updates["sampler"] == sampler]
                for position, region in enumerate(_regions(updates)):
                    one = own[own["region"] == region]
                    x, y = one[f"{measure}_sampled"] / one["delta"], one[measure] / one["delta"]
                    axes.scatter(x, y, s=6, linewidths=0.5, rasterized=True, **_mark(position, False))
                axes.set_xscale("log")
                axes.set_yscale("log")
                axes.axline((1, 1), (10, 10), color="0.3", linewidth=0.8)
                for draw in (axes.axhline, axes.axvline):
                    draw(1, color="0.3", linewidth=0.8, linestyle=DASHES[2])
                axes.set_xlabel(sampled, fontsize=7)
                if number == 0:
                    shares = own.groupby("region", observed=True)["outside"].mean()
                    said = ", ".join(f"{share:.0%}" for share in shares)
                    axes.set_title(f"{SAMPLERS.get(sampler, sampler)}\noutside: {said}", pad=3, fontsize=7)
            row[0].set_ylabel(f"true {MEASURES[measure]}", fontsize=7)
        handles = [_swatch(i, r, False) for i, r in enumerate(_regions(updates))]
        lines = [
            swatch("equal", color="0.3", linewidth=0.8),
            swatch(r"$\delta$", color="0.3", linestyle=DASHES[2], linewidth=0.8),
        ]
        names = " and ".join(NAMES.get(r, r) for r in _regions(updates))
        caption = (
            "KL(old || new), one mark an accepted update, all curvatures.\n"
            f"outside: the share in which the KL that is bounded truly exceeds its bound, {names}"
        )
        legend_above(figure, [*handles, *lines], 4, caption)
    return figure


def falls(table: pd.DataFrame) -> Figure:
    """Draw how often eta truly falls, for each sampler, curvature and region."""
    updates = records.updates_of(table)
    deltas = sorted(updates["delta"].unique())
    cells = updates[["sampler", "curvature"]].drop_duplicates().itertuples(index=False, name=None)
    order = sorted(cells, key=lambda cell: (list(SAMPLERS).index(cell[0]), list(CURVATURES).index(cell[1])), reverse=True)
    with style():
        figure = Figure(figsize=(DOUBLE, 0.9 + (0.5 + 0.2 * len(order)) * len(deltas)))
        grid = figure.subplots(len(deltas), 2, sharey=True, squeeze=False)
        for row, delta in zip(grid, deltas, strict=True):
            for height, (number, region) in product(enumerate(order), enumerate(_regions(updates))):
                sampler, curvature = height[1]
                own = updates[(updates["sampler"] == sampler) & (updates["curvature"] == curvature)]
                each = own[(own["region"] == region) & (own["delta"] == delta)].groupby("run")["falls"]
                y = height[0] + 0.22 * (0.5 - number)
                look = {"marker": MARKERS[number], "markerfacecolor": "white" if number else CYCLE[0]}
                for axes, share in zip(row, (each.sum().sum() / each.size().sum(), each.any().mean()), strict=True):
                    axes.plot(wilson(share, each.ngroups), [y, y], color=CYCLE[number], linewidth=1)
                    axes.plot(share, y, color=CYCLE[number], linestyle="", **look)
            for axes, name in zip(row, (r"updates that lower $\eta$", r"runs with a fall of $\eta$"), strict=True):
                axes.set_xlim(left=-0.02)
                axes.set_title(rf"share of {name}, $\delta={delta:g}$ nats", pad=3, fontsize=7)
                axes.grid(axis="y", visible=False)
            names = [f"{SAMPLERS.get(s, s)}, {CURVATURES.get(c, c)}" for s, c in order]
            row[0].set_yticks(range(len(order)), names, fontsize=7)
        handles = [
            swatch(NAMES.get(r, r), color=CYCLE[i], linestyle="", marker=MARKERS[i], markerfacecolor="white" if i else CYCLE[0])
            for i, r in enumerate(_regions(updates))
        ]
        runs = updates.groupby([*REGION_KEYS], observed=True)["run"].nunique().max()
        caption = f"bars: 95 % Wilson intervals, in which each of the {runs} runs behind a point counts as one trial"
        legend_above(figure, handles, 4, caption)
    return figure


def guarantees(table: pd.DataFrame) -> Figure:
    """Draw what the bounds allow the error of L to be, by sampler, where L truly rises and the curvature is Fisher's."""
    return promises(_natural(records.moving(table, SMALLEST)), "sampler", SAMPLERS)


def _natural(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the Fisher matrix, or all where there are none."""
    own = table[table["curvature"] == "fisher"]
    return own if len(own) else table


def _regions(table: pd.DataFrame) -> list[str]:
    return list(table["region"].unique())


def _mark(number: int, falling: bool) -> dict[str, Any]:
    if falling:
        return {"marker": "x+12"[number % 4], "color": ("#000000", "#D55E00")[number % 2]}
    return {"marker": MARKERS[number], "facecolors": "none", "edgecolors": CYCLE[number]}


def _swatch(number: int, region: str, falling: bool) -> Any:
    name = NAMES.get(region, region)
    if falling:
        return swatch(rf"{name}: $\eta$ falls", linestyle="", **_mark(number, True))
    return swatch(name, linestyle="", marker=MARKERS[number], markerfacecolor="none", color=CYCLE[number])
