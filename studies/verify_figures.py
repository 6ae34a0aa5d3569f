"""The figures of the study ``verify``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bounds.pairs import PAIRINGS
from studies.figures import BLACK, BLUE, CYCLE, DASHES, DOUBLE, MARKERS, ORANGE, RED, label, legend_above, style, swatch

FAMILIES: dict[str, list[str]] = {
    "total variation": [
        "tv-trpo",
        "tv-trpo-resolvent",
        "tv-exact-worst",
        "tv-spanA",
        "cpo-tv",
        "cpo-tv-newocc",
        "cpo-tv-span",
        "spi-span-maxtv",
        "spi-Q",
    ],
    "max KL": [
        "kl-trpo",
        "kl-trpo-reverse",
        "kl-seed-summary",
        "kl-tight-pinsker",
        "kl-bh",
        "kl-three-halves",
        "kl-three-halves-jensen",
        "kl-sqrt-horizon",
    ],
    "mean KL": [
        "cpo-kl12",
        "cpo-kl21",
        "meankl-chain",
        "meankl-joint",
        "meankl-chain-bh",
        "meankl-bernstein",
        "meankl-linear",
        "meankl-linear-bernstein",
        "meankl-trpoC",
        "meankl-trpoC/2",
        "G6",
    ],
    "mixtures": [
        "cpi-trpo",
        "cpi-kl02-resolvent",
        "cpi-span",
        "cpi-span-tv",
        "uspi",
    ],
    "visits and values": [
        "gap-occ-eps",
        "gap-occ-span",
        "gap-value-span",
        "gap-ergodic",
    ],
}
"""The bounds by what their penalty measures; one in no family joins the panel of your own."""

LOWEST, HIGHEST = 1e-4, 1e3


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files."""
    drawn = {"claims": claims(table)}
    if (table["kind"] == "bound").any():
        drawn["gamma"] = by_gamma(table)
        drawn["distance"] = by_distance(table)
    return drawn


def by_gamma(table: pd.DataFrame) -> Figure:
    """Draw the largest usage of every bound that is not false against gamma: of all comparisons, and of random pairs alone."""
    gammas = sorted(gamma for gamma in table["gamma"].unique() if gamma > 0)
    ticks = [_gamma(gamma) for gamma in gammas]
    parts = {"all comparisons": table, "random pairs alone": _drawn(table)}
    caption = "largest usage over processes and pairs; a theorem stays at or below 1"
    return _panels(parts, "gamma", gammas, ticks, r"discount factor $\gamma$", caption)


def by_distance(table: pd.DataFrame) -> Figure:
    """Draw the largest usage of every bound that is not false against the distance of random pairs, at two discount factors."""
    drawn = _drawn(table)
    gammas = sorted(gamma for gamma in drawn["gamma"].unique() if 0 < gamma <= 0.99)
    shown = list(dict.fromkeys([gammas[len(gammas) // 2], gammas[-1]])) if gammas else []
    distances = sorted(drawn["distance"].unique())
    ticks = [f"$10^{{{np.log10(x):.0f}}}$" if x <= 1e-3 else f"{x:g}" for x in distances]
    parts = {rf"random pairs, $\gamma={gamma:g}$": drawn[drawn["gamma"] == gamma] for gamma in shown}
    caption = "largest usage over all processes and ways to draw a pair; a theorem stays at or below 1"
    return _panels(parts, "distance", distances, ticks, "distance of the two policies: tilt, or share of mass moved", caption)


def claims(table: pd.DataFrame) -> Figure:
    """Draw the largest usage of every claim in one dot chart: theorems at most at 1, false ones above."""
    order = {"theorem": 0, "open": 1, "false": 2}
    marks = {"theorem": (BLUE, "o"), "open": (ORANGE, "D"), "false": (RED, "x")}
    largest = table.groupby("claim", observed=True, sort=False).agg(
        usage=("usage", "max"), kind=("kind", "first"), status=("status", "first")
    )
    largest["order"] = largest["status"].astype(str).map(order)
    largest = largest.sort_values(
        ["order", "kind", "usage"], ascending=[True, True, False], key=lambda c: c.astype(str) if c.name == "kind" else c
    )
    half = -(-len(largest) // 2) if len(largest) > 20 else len(largest)
    parts = [largest.iloc[i : i + half] for i in range(0, len(largest), half)]
    with style():
        figure = Figure(figsize=(DOUBLE, 1.0 + 0.135 * half))
        grid = figure.subplots(1, len(parts), sharex=True, squeeze=False)[0]
        for axes, part in zip(grid, parts, strict=True):
            for height, (_, row) in enumerate(part[::-1].iterrows()):
                color, marker = marks[str(row["status"])]
                usage = float(np.clip(row["usage"], LOWEST, HIGHEST))
                axes.plot([LOWEST, usage], [height, height], color="0.85", linewidth=0.6, zorder=1)
                axes.plot(usage, height, color=color, marker=marker, linestyle="", markersize=3.2, zorder=3)
                if row["usage"] > HIGHEST:
                    axes.annotate(
                        f"{row['usage']:.0e} ",
                        (usage, height),
                        fontsize=5,
                        ha="right",
                        va="center",
                        xytext=(-3, 0),
                        textcoords="offset points",
                    )
                elif row["usage"] < LOWEST:
                    axes.annotate(
                        f" {row['usage']:.0e}" if row["usage"] else " 0",
                        (usage, height),
                        fontsize=5,
                        va="center",
                        xytext=(3, 0),
                        textcoords="offset points",
                    )
            axes.set_yticks(range(len(part)), [label(str(id)) for id in part.index[::-1]], fontsize=5.8)
            axes.set_ylim(-0.7, half - 0.3 if len(part) == half else len(part) - 0.3)
            axes.axvline(1, color="0.3", linewidth=0.8)
            axes.set_xscale("log")
            axes.set_xlim(LOWEST, 2 * HIGHEST)
            axes.grid(axis="y", visible=False)
        figure.supxlabel(
            r"largest usage (left side / right side of the claim; of a bound, $|\eta_{\rm new}-L|$ / penalty)", fontsize=8
        )
        handles = [
            swatch(f"{status} ({(largest['status'] == status).sum()})", color=color, marker=marker, linestyle="")
            for status, (color, marker) in marks.items()
        ]
        caption = f"over {_comparisons(table):,} comparisons; above 1 a claim is broken. Marks at the edges: see the number"
        legend_above(figure, handles, 3, caption)
    return figure


def _panels(
    parts: dict[str, pd.DataFrame], column: str, values: list[float], ticks: list[str], name: str, caption: str
) -> Figure:
    """One row a family of bounds, one column a part of the table: the largest usage at each value, evenly spaced."""
    kept = {title: part[(part["kind"] == "bound") & (part["status"] != "false")] for title, part in parts.items()}
    present = list(dict.fromkeys(str(id) for part in kept.values() for id in part["claim"].unique()))
    known = {id for ids in FAMILIES.values() for id in ids}
    families = {family: [id for id in ids if id in present] for family, ids in FAMILIES.items()}
    families["other bounds"] = [id for id in present if id not in known]
    families = {family: ids for family, ids in families.items() if ids}
    rows, columns = max(1, len(families)), max(1, len(parts))
    with style():
        figure = Figure(figsize=(DOUBLE, 0.75 + 1.45 * rows))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for row, (family, ids) in zip(grid, families.items(), strict=False):
            for axes, (title, part) in zip(row, kept.items(), strict=True):
                largest = part.groupby(["claim", column], observed=True)["usage"].max()
                for number, id in enumerate(ids):
                    usage = largest.loc[id].reindex(values) if id in largest.index else pd.Series(np.nan, index=values)
                    axes.plot(range(len(values)), usage.where(usage >= LOWEST), label=label(id), **_look(number))
                axes.axhline(1, color="0.3", linewidth=0.8)
                axes.set_yscale("log")
                axes.set_ylim(LOWEST, 12)
                axes.set_xticks(range(len(ticks)), ticks)
                axes.set_title(title if axes is not row[0] else f"{family}; {title}", pad=3, fontsize=7)
            row[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=6, handlelength=2.8, borderaxespad=0.2)
        figure.supxlabel(name, fontsize=8)
        figure.supylabel(r"largest usage $|\eta_{\rm new}-L|$ / penalty", fontsize=8)
        legend_above(figure, [swatch("bound attained", color="0.3", linewidth=0.8)], 1, caption)
    return figure


def _look(number: int) -> dict[str, Any]:
    return {
        "color": (*CYCLE, BLACK, BLUE)[number % 9],
        "linestyle": DASHES[number % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 3,
        "linewidth": 1,
    }


def _drawn(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of pairs drawn at random, at a positive distance."""
    return table[table["pairing"].isin(list(PAIRINGS)) & (table["distance"] > 0)]


def _gamma(gamma: float) -> str:
    near = 1 - gamma
    return f"{gamma:g}" if near >= 1e-4 else rf"$1-10^{{{round(np.log10(near))}}}$".replace("-10", "-$\n$10", 1)


def _comparisons(table: pd.DataFrame) -> int:
    one = table[table["claim"] == table["claim"].iloc[0]]
    return int(one["instances"].sum())
