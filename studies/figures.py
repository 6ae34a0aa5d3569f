"""One look for all figures, and ``python studies/figures.py TABLE``, which draws those of a table again.

Widths are a paper's columns. Colours are Okabe and Ito's, which the colour-blind can tell apart; since some of them print as
the same grey, lines differ in dash and points in marker as well. The same table gives the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.special import ndtri

from studies import outputs

mpl.use("Agg")
logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every glyph that goes into a pdf

SINGLE, DOUBLE = 3.25, 6.75
"""Widths of one column and of the page, in inches."""

BLUE, ORANGE, GREEN, PURPLE, SKY, RED, BLACK = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000"
CYCLE = (BLUE, ORANGE, GREEN, BLACK, PURPLE, SKY, RED)
Dash = str | tuple[int, tuple[float, ...]]
DASHES: tuple[Dash, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")

EQUATIONS = {
    "tv-trpo": "tv-trpo (eq. 8)",
    "tv-trpo-resolvent": "tv-trpo-resolvent (App. A)",
    "kl-trpo": "kl-trpo (eq. 9)",
    "cpi-trpo": "cpi-trpo (eq. 6)",
    "cpi-kl02-resolvent": "cpi-kl02-resolvent (K-L 2002)",
    "cpo-tv": "cpo-tv (CPO)",
    "cpo-kl12": "cpo-kl12 (CPO)",
}
"""Claims that have an equation in the TRPO paper, arXiv:1502.05477v5, or another name in the literature."""

_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.usetex": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "trpo-bounds",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and saved."""
    return mpl.rc_context(_STYLE)


def label(claim: str) -> str:
    """Name a claim in a figure, with its equation where it is a paper's."""
    return EQUATIONS.get(claim, claim)


def legend_above(figure: Figure, handles: Sequence[Line2D], columns: int, caption: str) -> None:
    """Put one legend for all panels over them, and over it what lines and intervals stand for."""
    legend = figure.legend(handles=list(handles), loc="outside upper center", ncols=columns, title=caption, title_fontsize=7)
    legend.get_title().set_multialignment("center")


def swatch(name: str, **look: Any) -> Line2D:
    """Return a legend's entry: the looks of a line, or of a marker if ``linestyle=""``."""
    return Line2D([], [], label=name, **look)


def wilson(share: float, count: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's (1927) interval of a share seen in ``count`` independent trials."""
    z = float(ndtri((1 + level) / 2))
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return (0.0 if share == 0 else float(centre - half)), (1.0 if share == 1 else float(centre + half))


def band(axes: Axes, x: pd.Series, y: pd.Series, color: str, dash: Dash, *, least: int = 1) -> None:
    """Draw the median of y at each x, and a band from its 10th to its 90th percentile, where there are ``least`` values."""
    grouped = y.groupby(x.to_numpy())
    enough = grouped.count() >= least
    low, middle, high = (grouped.quantile(q)[enough] for q in (0.1, 0.5, 0.9))
    axes.fill_between(middle.index, low, high, color=color, alpha=0.2, linewidth=0)
    for edge in (low, high):
        axes.plot(edge.index, edge, color=color, linestyle=dash, linewidth=0.4)
    axes.plot(middle.index, middle, color=color, linestyle=dash)


def lay_out(figure: Figure) -> None:
    """Place what a figure is made of, once for all formats that it is saved in: a layout engine would do so for each, twice."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    with mpl.rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem``.pdf and ``stem``.png (300 dpi), each whole or not at all; the same figure gives the same bytes."""
    paths = [stem.parent / f"{stem.name}.{kind}" for kind in ("pdf", "png")]
    nothing: dict[str, dict[str, str | None]] = {"pdf": {"CreationDate": None}, "png": {"Software": None}}
    with style():
        lay_out(figure)
        for path in paths:
            kind = path.suffix[1:]
            outputs.write(path, lambda out, kind=kind: figure.savefig(out, format=kind, dpi=300, metadata=nothing[kind]))
    return paths


def main() -> None:
    """Read the command line."""
    from studies.present import present  # which needs save

    parser = argparse.ArgumentParser(description="Draw the figures of a table again, beside it.")
    parser.add_argument("table", type=Path, help="a table.parquet that run.py or gather.py wrote")
    path: Path = parser.parse_args().table
    try:
        present(outputs.read_table(path), path.parent)
    except outputs.BadTable as error:
        raise SystemExit(str(error)) from None
    except Exception as error:  # of a table of another version, in any way
        raise SystemExit(f"{path} is not as this version of its study writes it: {type(error).__name__}: {error}") from error


if __name__ == "__main__":
    main()
