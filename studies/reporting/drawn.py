"""Figures of a study as pictures of the report: vectors where they are small, with words for those who cannot see them."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
from collections.abc import Iterator
from types import ModuleType

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from studies import figures
from studies.reporting.content import Picture, slug

LARGEST = 400_000
"""Bytes of an SVG above which the figure goes in as PNG at 200 dpi."""


def pictures(module: ModuleType, table: pd.DataFrame, id: str, source: str) -> Iterator[Picture]:
    """Draw every figure of a table of the study; ``id`` is that of the section they go into, ``source`` what made the data."""
    drawn = module.figures(table)
    for stem, figure in drawn.items():
        yield picture(figure, slug(id, stem), f"{caption(module, stem, alone=len(drawn) == 1)} {source}")


def picture(figure: Figure, id: str, caption: str) -> Picture:
    """Return a figure as a picture; the same figure gives the same text."""
    with figures.style():
        figures.lay_out(figure)
        image, kind = thin(_saved(figure, "svg").decode(), id), "svg"
        if len(image) > LARGEST:
            image, kind = base64.b64encode(_saved(figure, "png")).decode(), "png"
    assert kind in ("svg", "png")
    return Picture(id, caption, words(figure), image, kind, float(figure.get_figwidth()))  # type: ignore[arg-type]


def caption(module: ModuleType, stem: str, *, alone: bool = False) -> str:
    """Say what a figure shows: the docstring of the function that draws it, whose name has the figure's stem or begins it."""
    home = sys.modules[module.figures.__module__]
    drawing = {n: f for n, f in vars(home).items() if getattr(f, "__annotations__", {}).get("return") in ("Figure", Figure)}
    drawing = {name: function for name, function in drawing.items() if not name.startswith("_")}
    own, _, case = stem.partition("-")
    like = [n for n in drawing if own.removesuffix("s") in n] or [n for n in drawing if own.startswith(n)]
    function = drawing[max(like, key=lambda name: (name == own, len(name)))] if like else module.plot if alone else None
    first = (getattr(function, "__doc__", None) or stem).split("\n\n")[0]
    said = re.sub(r"^Draw,? (?=\w)", "", " ".join(first.split())).replace("``", "`").replace("||", "‖")
    return f"{said[0].upper()}{said[1:]}{f' Here {case}.' if case else ''}"


def words(figure: Figure) -> str:
    """Describe a figure by what is written in it: axes, panels and marks."""
    panels = figure.get_axes()
    titles = _each(_said(axes.get_title()) for axes in panels)
    across = _each([_said(axes.get_xlabel()) for axes in panels] + [_said(figure.get_supxlabel())])
    up = _each([_said(axes.get_ylabel()) for axes in panels] + [_said(figure.get_supylabel())])
    legends = [*figure.legends, *(legend for axes in panels if (legend := axes.get_legend()))]
    marks = _each(_said(text.get_text()) for legend in legends for text in legend.get_texts())
    captions = _each(_said(legend.get_title().get_text()) for legend in legends)
    told = {"Panels": titles, "Across": across, "Upwards": up, "Marks": marks, "Note": captions}
    return ". ".join(f"{name}: {'; '.join(said)}" for name, said in told.items() if said)


def thin(svg: str, id: str) -> str:
    """Shorten matplotlib's SVG and make its names its own, so that many can stand in one page.

    Points keep two decimals, a hundredth of 1/72 inch. Names that nothing refers to go, the others are short.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    own = hashlib.sha256(id.encode()).hexdigest()[:6]
    names = {name: f"f{own}.{i}" for i, name in enumerate(dict.fromkeys(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)))}
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", svg)
    svg = re.sub(r'(?:xlink:)?(href="#|url\(#)([^")]+)', lambda m: m[1] + names[m[2]], svg)
    svg = re.sub(r' style="([^"]+)"', lambda m: f' style="{m[1].replace(": ", ":").replace("; ", ";")}"', svg)
    svg = re.sub(r' (d|x|y|x1|x2|y1|y2)="([^"]+)"', lambda m: f' {m[1]}="{_rounded(m[2])}"', svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def _saved(figure: Figure, kind: str) -> bytes:
    out = io.BytesIO()
    metadata: dict[str, str | None] = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    figure.savefig(out, format=kind, dpi=200, metadata=metadata)
    return out.getvalue()


def _rounded(numbers: str) -> str:
    return re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), " ".join(numbers.split()))


def _each(texts: object) -> list[str]:
    """Different texts, in their order, without empty ones."""
    return [text for text in dict.fromkeys(texts) if text]  # type: ignore[call-overload]


def _said(text: str | Text) -> str:
    """Text of a figure without the marks of its formulas."""
    bare = re.sub(r"\\(?:(?:rm|mathrm|text|bf|tilde|hat)\b ?|[,;!])", "", str(text)).replace(r"\|", "‖")
    bare = re.sub(r"\\([A-Za-z]+)", lambda m: _GREEK.get(m[1], m[1]), bare)
    return " ".join(re.sub(r"[${}]", "", bare).split())


_GREEK = {
    "alpha": "α", "delta": "δ", "gamma": "γ", "eta": "η", "pi": "π", "rho": "ρ", "epsilon": "ε", "theta": "θ", "times": "×",
    "leq": "≤", "geq": "≥", "max": "max", "log": "log", "sqrt": "√", "cdot": "·", "star": "*", "sim": "~", "Vert": "‖",
}  # fmt: skip
