"""The figure of the study ``throughput_agent``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from studies.figures import BLACK, BLUE, DOUBLE, style


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files."""
    return {"ratios": ratios(table)}


def ratios(table: pd.DataFrame) -> Figure:
    """Draw our speed over sb3-contrib's for every quantity: a bar at the median, a point a turn."""
    keys = ["quantity", "env", "samples", "fraction"]
    wide = table.pivot_table(index=[*keys, "repeat"], columns="agent", values="rate", sort=False)
    groups = list((wide["ours"] / wide["sb3"]).groupby(keys, sort=False))
    with style():
        figure = Figure(figsize=(DOUBLE, 0.9 + 0.32 * len(groups)), layout="constrained")
        axes = figure.subplots()
        for row, (_, values) in enumerate(groups):
            axes.barh(row, values.median(), height=0.55, color=BLUE, alpha=0.35, edgecolor=BLUE, zorder=1)
            axes.plot(values, np.full(len(values), row), "|", color=BLACK, markersize=9, zorder=3)
            axes.annotate(f"{values.median():.1f}", (values.max(), row), (6, 0), textcoords="offset points", va="center")
        axes.axvline(1, color=BLACK, linewidth=0.8, linestyle=":", zorder=2)
        names = [f"{quantity}, {env}, N={n:,}, curvature on {share:.0%}" for (quantity, env, n, share), _ in groups]
        axes.set_yticks(range(len(groups)), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.12 * max(float(values.max()) for _, values in groups))
        axes.set_xlabel("our speed over sb3-contrib's")
        figure.suptitle("bars: medians; ticks: turns of one run; dotted: equal", fontsize="medium")
    return figure
