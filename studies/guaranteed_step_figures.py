"""The figures of the study ``guaranteed_step``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from studies.figures import (
    BLACK,
    BLUE,
    DASHES,
    DOUBLE,
    GREEN,
    MARKERS,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    label,
    legend_above,
    style,
)
from studies.verify_figures import FAMILIES

TRUTH = "truth"
"""Stands in the column ``claim`` for eta itself."""

EXTREMES = ("best-case", "worst-case")
"""Processes whose answer is known; the others are random."""


class Panel(NamedTuple):
    """The steps of one path in one measure, and the bounds whose penalty is a function of that measure."""

    path: str
    measure: str
    name: str
    claims: tuple[str, ...]


PANELS = (
    Panel("mixture", "size", r"mixture weight $\alpha$", ("cpi-span-tv", "cpi-kl02-resolvent", "cpi-trpo")),
    Panel("mixture", "tv_max", r"$\max_s$ TV on the mixture path", ("tv-spanA", "tv-exact-worst", "tv-trpo")),
    Panel(
        "max-kl",
        "size",
        r"$\max_s$ KL(old||new) [nats]",
        ("kl-sqrt-horizon", "kl-three-halves", "kl-tight-pinsker", "kl-trpo"),
    ),
    Panel(
        "mean-kl",
        "size",
        r"$E_d$ KL(old||new) [nats]",
        ("meankl-chain", "meankl-linear-bernstein", "cpo-kl12", "meankl-trpoC"),
    ),
)
"""What is drawn. A bound that no family of :mod:`studies.verify_figures` knows, such as one of your own, is in every panel."""

_COLORS = (GREEN, BLUE, ORANGE, RED, PURPLE, SKY)


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files."""
    drawn = {"limits": limits(table)}
    if len(random_ones(table)):
        drawn = {"steps": steps(table), "share": share(table), **drawn}
    return drawn


def random_ones(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the processes that are not made to be extreme."""
    return table[~table["mdp"].isin(EXTREMES)]


def steps(table: pd.DataFrame) -> Figure:
    """Draw the largest step that each bound guarantees against 1 - gamma, and the largest that truly never lowers eta."""
    drawn = random_ones(table)
    caption = f"largest step with a promise of improvement, {_intervals(drawn)}\nat the top edge the whole path is allowed"
    return _draw(drawn, caption)


def share(table: pd.DataFrame) -> Figure:
    """Draw the share of the possible surrogate gain that the largest step of each bound has."""
    drawn = random_ones(table)
    caption = f"surrogate gain of the largest step with a promise, as a share of the unbounded step's\n{_intervals(drawn)}"
    return _draw(drawn, caption, "share")


def limits(table: pd.DataFrame) -> Figure:
    """Draw the largest step that each bound guarantees where it allows most, and what is true where least is.

    Bounds that allow the whole path at every gamma there, which those with a span in their penalty do, are left out.
    """
    best = table[(table["mdp"] == "best-case") & (table["claim"] != TRUTH)]
    limited = best[~best.groupby(["path", "claim"], observed=True)["whole"].transform("all")]
    worst = table[(table["mdp"] == "worst-case") & (table["claim"] == TRUTH)]
    caption = (
        "lines: most that a bound allows in any process (an even bandit);\n"
        "thick: all that is truly safe in the process that attains cpi-kl02-resolvent"
    )
    return _draw(pd.concat([worst, limited]), caption)


def _draw(table: pd.DataFrame, caption: str, column: str | None = None) -> Figure:
    with style():
        figure = Figure(figsize=(DOUBLE, 5.2))
        for axes, panel in zip(figure.subplots(2, 2, sharex=True, sharey=column is not None).flat, PANELS, strict=True):
            own = table[table["path"] == panel.path]
            drawn = [TRUTH, *_shown(own, panel)]
            for number, claim in enumerate(drawn):
                _curve(axes, own[own["claim"] == claim], column or panel.measure, claim, number, len(drawn))
            axes.set_title(panel.name, pad=3)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.legend(loc="lower left", fontsize=6.2, handlelength=3.2, labelspacing=0.3, borderaxespad=0.2)
        figure.axes[0].invert_xaxis()  # shared
        legend_above(figure, [], 1, caption)
        figure.supxlabel(r"$1-\gamma$, inverse of the horizon", fontsize=8)
        figure.supylabel("largest step" if column is None else "share of the possible surrogate gain", fontsize=8)
    return figure


def _curve(axes: Axes, rows: pd.DataFrame, column: str, claim: str, number: int, count: int) -> None:
    """Medians and quartiles at each gamma, where they differ a little beside those of others. A step of 0 is below any axis."""
    by_gamma = rows[column].groupby((1 - rows["gamma"]).round(12))
    low, middle, high = (by_gamma.quantile(q).replace(0.0, np.nan) for q in (0.25, 0.5, 0.75))
    apart = 1.07 if rows["instance"].max() > 0 else 1.0
    near = middle.index.to_numpy() * apart ** ((count - 1) / 2 - number)
    look = _look(claim, number)
    axes.plot(near, middle, label="truth: $\\eta$ does not fall" if claim == TRUTH else label(claim), **look)
    axes.vlines(near, low.fillna(middle), high, color=look["color"], linewidth=0.8 if claim != TRUTH else 2.2)


def _shown(table: pd.DataFrame, panel: Panel) -> list[str]:
    """The panel's own bounds, and those that no family knows."""
    known = {claim for claims in FAMILIES.values() for claim in claims} | {TRUTH}
    present = list(dict.fromkeys(table["claim"].astype(str)))
    return [claim for claim in panel.claims if claim in present] + [claim for claim in present if claim not in known]


def _look(claim: str, number: int) -> dict[str, Any]:
    if claim == TRUTH:
        return {"color": BLACK, "linestyle": "-", "marker": "", "linewidth": 2.2, "zorder": 1}
    return {
        "color": _COLORS[(number - 1) % len(_COLORS)],
        "linestyle": DASHES[number % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 3.2,
        "linewidth": 1.0,
    }


def _intervals(table: pd.DataFrame) -> str:
    count = table[["mdp", "instance"]].drop_duplicates()
    return f"medians and quartiles of {len(count)} policies with tied states in {count['mdp'].nunique()} processes"
