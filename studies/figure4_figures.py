"""The figures of the study ``figure4``."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from studies.figure4_methods import METHODS
from studies.figure4_summary import PANEL, chosen, curves, final, interval, iqm, runs
from studies.figures import BLACK, BLUE, DASHES, DOUBLE, GREEN, ORANGE, PURPLE, RED, SINGLE, SKY, legend_above, style, swatch

_LOOKS: dict[str, dict[str, Any]] = {  # TRPO's relatives have lines with filled markers, the others hollow ones
    "single path": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "vine": {"color": SKY, "linestyle": "-", "marker": "s"},
    "natural gradient": {"color": GREEN, "linestyle": DASHES[1], "marker": "^"},
    "max KL": {"color": RED, "linestyle": "-", "marker": "D"},
    "empirical FIM": {"color": BLACK, "linestyle": DASHES[2], "marker": "v"},
    "CEM": {"color": ORANGE, "linestyle": DASHES[3], "marker": "s", "markerfacecolor": "white"},
    "CMA": {"color": PURPLE, "linestyle": DASHES[4], "marker": "D", "markerfacecolor": "white"},
    "RWR": {"color": "0.45", "linestyle": DASHES[1], "marker": "o", "markerfacecolor": "white"},
}
_GAP = 0.085
"""Least distance of two labels, as a share of a panel's height."""


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files."""
    drawn = {"returns": returns(table), "returns_by_steps": returns(table, "steps")}
    return drawn | ({"step_sizes": step_sizes(table)} if len(table["step"].dropna().unique()) > 1 else {})


def returns(table: pd.DataFrame, by: str = "iteration") -> Figure:
    """Draw the interquartile mean of the return by iteration, as the paper does, or by steps: a panel for each task."""
    panels = list(table.groupby(PANEL, observed=True, sort=False))
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    with style():
        figure = Figure(figsize=(SINGLE if columns == 1 else DOUBLE, 0.25 + 2.45 * lines))
        grid = list(figure.subplots(lines, columns, squeeze=False).flat)
        for (names, panel), axes in zip(panels, grid, strict=False):
            _panel(axes, chosen(panel), by)
            axes.set_title(_title(*map(str, names)), pad=4, fontsize=7)
            axes.set_xlabel("environment steps, in thousands" if by == "steps" else "iteration")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            if by == "steps":
                axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}")
            axes.set_ylabel("return of an episode")
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        count = max(len(runs(own)) for _, own in table.groupby([*PANEL, "method", "step"], observed=True, dropna=False))
        words = f"interquartile mean of {count} seeds, 95 % bootstrap intervals" if count > 1 else "one seed"
        figure.suptitle(words, fontsize=7)
    return figure


def step_sizes(table: pd.DataFrame) -> Figure:
    """Draw the final return by the natural gradient's step size: whether the best of them lies inside the sweep."""
    swept = table[table["step"].notna()]
    panels = list(swept.groupby(PANEL, observed=True, sort=False))
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    with style():
        figure = Figure(figsize=(min(DOUBLE, SINGLE if columns == 1 else 2.3 * columns), 0.7 + 1.9 * lines))
        grid = list(figure.subplots(lines, columns, squeeze=False).flat)
        for (names, panel), axes in zip(panels, grid, strict=False):
            sizes = sorted(panel["step"].unique())
            ends = [final(curves(panel[panel["step"] == size])) for size in sizes]
            middle = np.array([iqm(values) for values in ends])
            low, high = np.array([interval(values) for values in ends]).T
            axes.errorbar(sizes, middle, (middle - low, high - middle), color=BLACK, marker="^", capsize=2, linewidth=1)
            for size, values in zip(sizes, ends, strict=True):
                axes.plot([size] * len(values), values, color="0.5", marker=".", markersize=3, linestyle="")
            axes.set_xscale("log")
            axes.set_xlabel("step size of the natural gradient")
            axes.set_ylabel("final return")
            axes.set_title(str(names[0]), pad=4)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        marks = [
            swatch("interquartile mean", color=BLACK, marker="^"),
            swatch("seeds", color="0.5", marker=".", markersize=3, linestyle=""),
        ]
        legend_above(figure, marks, 2, "bars: 95 % bootstrap intervals")
    return figure


def _panel(axes: Axes, panel: pd.DataFrame, by: str) -> None:
    """All methods of one task, each named at the end of its line."""
    methods = [name for name in METHODS if name in set(panel["method"])]
    ends: list[tuple[str, float, float]] = []
    for number, method in enumerate(methods):
        own = panel[panel["method"] == method]
        reached, look = curves(own), _LOOKS[method]
        x = _places(own, reached.shape[1], by)
        middle, (low, high) = iqm(reached), interval(reached)
        every = max(1, len(x) // 6)
        axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axes.plot(x, middle, markevery=((number * every) // len(methods), every), markeredgewidth=0.7, linewidth=1, **look)
        size = own["step"].iloc[0]
        ends.append((method if np.isnan(size) else f"{method}, {size:g}", float(x[-1]), float(middle[-1])))
    axes.margins(x=0.01)
    _label(axes, ends, [_LOOKS[method] for method in methods])


def _label(axes: Axes, ends: list[tuple[str, float, float]], looks: list[dict[str, Any]]) -> None:
    """Name lines to the right of the panel, spread so that no name lies on another, each joined to the end of its line."""
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
    heights = spread(np.array([(y - low) / (high - low) for _, _, y in ends]), _GAP)
    frame = axes.get_yaxis_transform()
    for (name, x, y), height, look in zip(ends, heights, looks, strict=True):
        at = low + height * (high - low)
        axes.plot([x, right], [y, y], color="0.6", linewidth=0.4, linestyle=":")
        axes.plot([1.0, 1.04], [y, at], transform=frame, color="0.6", linewidth=0.4, clip_on=False)
        axes.plot([1.05, 1.15], [at, at], transform=frame, clip_on=False, **{**look, "marker": "", "linewidth": 1})
        axes.plot([1.10], [at], transform=frame, clip_on=False, markeredgewidth=0.7, **{**look, "linestyle": ""})
        axes.text(1.17, at, name, transform=frame, va="center", fontsize=6.5, color="black")
    axes.set_ylim(low, high)
    axes.set_xlim(right=right)


def spread(heights: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Return heights in the same order, at least ``gap`` apart, moved as little as that takes; inside [0, 1] while they fit."""
    order = np.argsort(heights, kind="stable")
    moved = np.array(heights, dtype=float)
    offsets = gap * np.arange(len(moved))
    wanted = moved[order] - offsets  # now they only have to rise: isotonic regression, by pooling
    blocks: list[list[float]] = []
    for value in wanted:
        blocks.append([value, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    level = np.concatenate([np.full(int(n), value) for value, n in blocks])
    top = 1.0 - offsets[-1]
    moved[order] = np.clip(level, min(0.0, top / 2), max(top, top / 2)) + offsets
    return moved


def _places(own: pd.DataFrame, length: int, by: str) -> NDArray[np.float64]:
    """Where the points of a curve stand: iterations, or the mean over seeds of the steps that were taken."""
    return np.mean([run[by].to_numpy(dtype=float)[:length] for run in runs(own)], axis=0)


def _title(task: str, env: str, scale: str) -> str:
    """Name a panel: the task, and how its sizes compare with the paper's."""
    return f"{task} ({env})\n{fill(scale or 'the paper’s sizes', 44)}"
