"""The figures of the study ``estimators``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from studies.figures import BLUE, DOUBLE, ORANGE, RED, legend_above, style, swatch

LOOKS: dict[str, dict[str, Any]] = {
    "unbiased": {"color": BLUE, "marker": "o", "markerfacecolor": BLUE},
    "biased": {"color": RED, "marker": "s", "markerfacecolor": "white"},
}
CURVES = {"analytic Fisher": (BLUE, "-", "o"), "empirical Fisher": (ORANGE, "--", "s")}


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files."""
    drawn = {"bias": biases(table), "error": errors(table)}
    if (table["quantity"] == "Fisher product").any():
        drawn["fisher"] = fisher(table)
    return drawn


def biases(table: pd.DataFrame) -> Figure:
    """Draw the relative bias of each estimator of the gain and of the gradient with its interval, at the largest budget."""
    part = _estimates(table)
    part = part[part["budget"] == part["budget"].max()]

    def draw(axes: Axes, rows: pd.DataFrame, height: dict[str, int]) -> None:
        axes.axvline(0, color="0.3", linewidth=0.8)
        for _, row in rows.iterrows():
            bars = [[row["bias"] - row["bias_low"]], [row["bias_high"] - row["bias"]]]
            look = LOOKS[str(row["theory"])]
            axes.errorbar([row["bias"]], [height[row["name"]]], xerr=bars, linestyle="", capsize=1.5, linewidth=0.9, **look)

    caption = f"{int(part['budget'].max()):,} environment steps a batch; bars hold for all rows together with probability 0.99"
    handles = [swatch(f"{theory} in theory", linestyle="", **look) for theory, look in LOOKS.items()]
    return _charts(
        part,
        draw,
        r"relative bias: (mean of estimates) / (exact value) $-$ 1; of the gradient, along the exact one",
        handles,
        caption,
    )


def errors(table: pd.DataFrame) -> Figure:
    """Draw the relative root mean square error of each estimator at every budget."""
    part = _estimates(table)
    budgets = sorted(part["budget"].unique())
    shades = dict(zip(budgets, np.linspace(0.65, 0.0, len(budgets)), strict=True)) if len(budgets) > 1 else {budgets[0]: 0.0}
    markers = dict(zip(budgets, ("o", "D", "^", "s", "v", "P") * len(budgets), strict=False))

    def draw(axes: Axes, rows: pd.DataFrame, height: dict[str, int]) -> None:
        for _, row in rows.iterrows():
            bars = [[row["error"] - row["error_low"]], [row["error_high"] - row["error"]]]
            look = {"color": str(shades[row["budget"]]), "marker": markers[row["budget"]]}
            axes.errorbar([row["error"]], [height[row["name"]]], xerr=bars, linestyle="", capsize=1.5, linewidth=0.9, **look)
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())

    handles = [
        swatch(f"{int(b):,} environment steps a batch", linestyle="", color=str(shades[b]), marker=markers[b]) for b in budgets
    ]
    name = "relative error: root mean square of |estimate - exact| / |exact|"
    return _charts(part, draw, name, handles, "bars: 95 % intervals")


def fisher(table: pd.DataFrame) -> Figure:
    """Draw the relative error of products with the two Fisher matrices, and of natural gradients, by batch size."""
    part = table[table["estimator"].isin(list(CURVES))]
    mdps, quantities = list(part["mdp"].unique()), ["Fisher product", "natural gradient"]
    with style():
        figure = Figure(figsize=(DOUBLE, 0.9 + 1.7 * len(mdps)))
        grid = figure.subplots(len(mdps), 2, sharex=True, sharey="row", squeeze=False)
        for axes_row, mdp in zip(grid, mdps, strict=True):
            for axes, quantity in zip(axes_row, quantities, strict=True):
                for name, (color, dash, marker) in CURVES.items():
                    rows = part[(part["mdp"] == mdp) & (part["quantity"] == quantity) & (part["estimator"] == name)]
                    bars = [rows["error"] - rows["error_low"], rows["error_high"] - rows["error"]]
                    axes.errorbar(
                        rows["states"], rows["error"], yerr=bars, color=color, linestyle=dash, marker=marker, capsize=1.5
                    )
                axes.set_xscale("log")
                axes.set_yscale("log")
                axes.set_title(f"{mdp}: {quantity}")
        figure.supxlabel("states in a batch, of single paths", fontsize=8)
        figure.supylabel("relative error (root mean square)", fontsize=8)
        handles = [swatch(name, color=c, linestyle=d, marker=m) for name, (c, d, m) in CURVES.items()]
        legend_above(figure, handles, 2, "F g and (F + damping)$^{-1}$ g for the exact gradient g; bars: 95 % intervals")
    return figure


def _estimates(table: pd.DataFrame) -> pd.DataFrame:
    part = table[table["quantity"].isin(["gain", "gradient"])]
    name = part["estimator"].astype(str)
    several = part.groupby([name, part["mdp"]], observed=True)["rollouts"].transform("nunique") > 1
    with_m = name + ", M = " + part["rollouts"].fillna(0).astype(int).astype(str)
    return part.assign(name=name.where(~several, with_m))


def _charts(part: pd.DataFrame, draw: Any, label: str, handles: list[Any], caption: str) -> Figure:
    """One row of panels a process, one column a quantity; an estimator has the same height everywhere."""
    mdps, quantities = list(part["mdp"].unique()), ["gain", "gradient"]
    names = list(dict.fromkeys(part["name"]))
    height = {name: len(names) - 1 - k for k, name in enumerate(names)}
    with style():
        figure = Figure(figsize=(DOUBLE, 0.8 + len(mdps) * (0.35 + 0.15 * len(names))))
        grid = figure.subplots(len(mdps), 2, sharey=True, squeeze=False)
        for axes_row, mdp in zip(grid, mdps, strict=True):
            for axes, quantity in zip(axes_row, quantities, strict=True):
                draw(axes, part[(part["mdp"] == mdp) & (part["quantity"] == quantity)], height)
                axes.set_yticks(list(height.values()), [_written(name) for name in height])
                axes.set_ylim(-0.6, len(names) - 0.4)
                axes.set_title(f"{mdp}: {quantity}")
        figure.supxlabel(label, fontsize=8)
        legend_above(figure, handles, len(handles), caption)
    return figure


def _written(name: str) -> str:
    """A name with its symbols."""
    return name.replace("gamma^t", r"$\gamma^t$").replace("q = pi", r"$q=\pi$")
