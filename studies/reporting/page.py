"""The report as one HTML page, which needs no other file and no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from studies.reporting import maths
from studies.reporting.content import Column, Grid, Picture, Report, spans

_HERE = Path(__file__).parent


def page(report: Report) -> str:
    """Return the page; the same report gives the same text."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters |= {
        "spans": spans,
        "mathml": formula,
        "address": address,
        "size": lambda text: f"{max(1, round(len(text.encode()) / 1000))} kB",
        "exact": lambda value: repr(float(value)).replace("inf", "Infinity"),
        "kind": lambda block: type(block).__name__,
        "image": image,
        "rows": rows,
    }
    css, js = (Markup((_HERE / name).read_text()) for name in ("report.css", "report.js"))
    return environment.get_template("report.html.j2").render(report=report, css=css, js=js)


def formula(latex: str) -> Markup:
    """Return a formula as MathML; one that cannot be set is shown as it was written, and its title says why."""
    try:
        return Markup(maths.mathml(latex))
    except maths.BadFormula as bad:
        return Markup(f'<code title="{html.escape(str(bad))}">{html.escape(latex)}</code>')


def address(text: str) -> str:
    """Return a ``data:`` address that holds the text, CSV."""
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"


def image(picture: Picture) -> Markup:
    """Return the element that shows a figure."""
    if picture.kind == "svg":
        return Markup(picture.image.replace("<svg ", '<svg aria-hidden="true" ', 1))
    return Markup(f'<img alt="" src="data:image/png;base64,{picture.image}">')


def rows(grid: Grid) -> Iterator[list[tuple[Column, object, str]]]:
    """Yield the rows of a grid: for each cell its column, its value, and that as text."""
    texts = [column.shown() for column in grid.columns]
    for i in range(len(grid.columns[0].cells) if grid.columns else 0):
        yield [(column, column.cells[i], shown[i]) for column, shown in zip(grid.columns, texts, strict=True)]
