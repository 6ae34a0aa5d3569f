"""What a report is made of, whatever it is set in: sections of blocks.

Text is plain but for four marks, which both renderings read by :func:`spans`:

=================== =========================
mark                what it is
=================== =========================
```...```           code, between backticks
``$...$``           LaTeX
``[...](...)``      a link, to ``#anchor`` or an address
``**...**``         strong
=================== =========================

A backslash before a mark makes it a sign like any other (:func:`plain`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Literal

import pandas as pd

Look = Literal["text", "number", "code", "math"]


@dataclass(frozen=True)
class Span:
    """A run of text in one look."""

    kind: Literal["text", "code", "math", "link", "strong"]
    text: str
    target: str = ""
    """Of a link."""


@dataclass(frozen=True)
class Paragraph:
    """Words, with the marks of the module's docstring."""

    text: str


@dataclass(frozen=True)
class Notice:
    """What a reader has to know at this place: something is missing, damaged or old."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list of short statements, each with marks."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Download:
    """Data that the page carries."""

    name: str
    content: str
    """CSV."""


@dataclass(frozen=True)
class Column:
    """A column of a grid: its name, how its cells look, and its cells."""

    name: str
    look: Look
    cells: tuple[object, ...]

    def shown(self) -> tuple[str, ...]:
        """Return the cells as text: numbers of a column are rounded alike (:func:`number`), "" where there is none."""
        return tuple(number(cell) if self.look == "number" else _words(cell) for cell in self.cells)


@dataclass(frozen=True)
class Grid:
    """A table to read, with its caption and its data."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    data: Download | None = None
    anchors: tuple[str, ...] = ()
    """One a row, or none."""


@dataclass(frozen=True)
class Picture:
    """A figure."""

    id: str
    caption: str
    alt: str
    image: str
    """SVG, or PNG in base 64."""
    kind: Literal["svg", "png"]
    width: float
    """In inches."""


Block = Paragraph | Notice | Points | Grid | Picture | Download


@dataclass(frozen=True)
class Section:
    """A title, what stands under it, and smaller sections."""

    id: str
    title: str
    blocks: tuple[Block, ...] = ()
    parts: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Report:
    """The whole of it."""

    title: str
    subtitle: str
    sections: tuple[Section, ...] = field(default_factory=tuple)


_MARKS = re.compile(
    r"\\(?P<plain>[`$*\[\\])|`(?P<code>[^`]+)`|\$(?P<math>[^$]+)\$|\[(?P<link>[^\]]+)\]\((?P<target>[#h][^)\s]*)\)|\*\*(?P<strong>[^*]+)\*\*"
)


def spans(text: str) -> list[Span]:
    """Part a text by its marks."""
    found, at = [], 0
    for match in _MARKS.finditer(text):
        found.append(Span("text", text[at : match.start()]))
        for kind in ("plain", "code", "math", "link", "strong"):
            if match[kind] is not None:
                found.append(Span("text" if kind == "plain" else kind, match[kind], match["target"] or ""))  # type: ignore[arg-type]
        at = match.end()
    return [span for span in [*found, Span("text", text[at:])] if span.text]


def plain(text: str) -> str:
    """Return a text from elsewhere so that no character of it is a mark."""
    return re.sub(r"[`$*\[\\]", r"\\\g<0>", text)


def number(value: object) -> str:
    """Write a number with three significant digits, whole ones in full: ``1,234``, ``0.0123``, ``1.2e-09``; "" for none."""
    if value is None or value is pd.NA or not isinstance(value, Real):
        return "" if value is None or value is pd.NA else str(value)
    real = float(value)
    if math.isnan(real):
        return ""
    if math.isinf(real):
        return "∞" if real > 0 else "−∞"
    if isinstance(value, Integral) or (real == round(real) and abs(real) < 1e15):
        return f"{int(real):,}"
    if 1e-4 <= abs(real) < 1e6:
        digits = max(0, 2 - math.floor(math.log10(abs(real))))
        return f"{real:,.{digits}f}"
    return f"{real:.2e}"


def slug(*words: str) -> str:
    """Make an anchor of words."""
    return re.sub(r"[^\w.]+", "-", " ".join(words), flags=re.ASCII).strip("-")


def grid(
    id: str,
    table: pd.DataFrame,
    caption: str,
    *,
    math: Sequence[str] = (),
    code: Sequence[str] = (),
    data: Download | None = None,
    anchors: Sequence[str] = (),
) -> Grid:
    """Make a grid of a table; columns of numbers are told by their type, those of formulas and names are given."""
    looks: Mapping[str, Look] = {**dict.fromkeys(math, "math"), **dict.fromkeys(code, "code")}
    columns = tuple(
        Column(str(name), looks.get(str(name), _look(table[name])), tuple(table[name].astype(object))) for name in table
    )
    return Grid(id, caption, columns, data, tuple(anchors))


def walk(sections: Sequence[Section]) -> Iterator[Section]:
    """Yield sections and theirs, in the order of reading."""
    for section in sections:
        yield section
        yield from walk(section.parts)


def _look(column: pd.Series) -> Look:
    return "number" if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) else "text"


def _words(cell: object) -> str:
    return "" if cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell)) else str(cell)
