"""The report as a PDF for print, by Typst, which is a package like any other and needs no network.

What is written goes to Typst as data; ``report.typ`` says how it looks. Fonts are those that come with Typst, and are embedded.
"""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typst

from studies.reporting import maths
from studies.reporting.content import Block, Column, Grid, Notice, Paragraph, Picture, Points, Report, Section, spans

_TEMPLATE = Path(__file__).with_name("report.typ")

UPRIGHT, FLAT = 16.6, 26.5
"""Widths of the text on a page held upright and on one that lies, in cm."""

SIZES = (8.0, 7.0, 6.0, 5.0)
"""Sizes of a table's text in points, the first that fits."""

LINES = 4
"""Lines that the longest cell of a table may take before a smaller size or a wider page is tried."""

GAP = 2.0
"""Characters between two columns."""

EM = 0.5
"""Mean width of a character as a share of the size of its font."""


def pdf(report: Report) -> bytes:
    """Return the PDF; the same report gives the same bytes."""
    files: dict[str, bytes] = {}
    content = {
        "title": report.title,
        "subtitle": report.subtitle,
        "sections": [_section(section, files) for section in report.sections],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, image in files.items():
            (root / name).write_bytes(image)
        (root / "content.json").write_text(json.dumps(content))
        (root / "report.typ").write_text(_TEMPLATE.read_text())
        return bytes(typst.compile(root / "report.typ", root=root, ignore_system_fonts=True, timestamp=0))


def layout(columns: Sequence[Column]) -> tuple[list[float], float, bool]:
    """Return how a table goes on paper: relative widths of its columns, size of its text in points, whether the page lies.

    A column is as wide as its longest word at least, and wider the more there is in it. The page lies where a table does not fit
    at the first two sizes: its words side by side, its longest cell in a few lines.
    """
    least, wanted = zip(*(_widths(column) for column in columns), strict=True)
    for width, wide, sizes in ((UPRIGHT, False, SIZES[:2]), (FLAT, True, SIZES)):
        for size in sizes:
            room = width / (EM * size / 28.35) - GAP * len(columns)
            given = _shared(least, wanted, room)
            if sum(least) <= room and all(want <= LINES * has for want, has in zip(wanted, given, strict=True)):
                return [has + GAP for has in given], size, wide
    return [has + GAP for has in given], SIZES[-1], True


def _shared(least: Sequence[float], wanted: Sequence[float], width: float) -> list[float]:
    """Give each column what it needs, and what is left to those that want more."""
    left = max(0.0, width - sum(least))
    more = [max(0.0, want - need) for want, need in zip(wanted, least, strict=True)]
    share = min(1.0, left / sum(more)) if sum(more) else 0.0
    return [round(need + share * extra, 2) for need, extra in zip(least, more, strict=True)]


def _widths(column: Column) -> tuple[float, float]:
    """Characters of the longest part that cannot be broken, and of a cell as one would like it."""
    texts = [_bare(text) for text in column.shown()]
    if column.look == "math":
        sizes = [len(re.sub(r"\\[A-Za-z]+", "x", text)) * 0.62 for text in texts] or [1.0]
        return max(len(column.name), max(sizes)), max(sizes)
    words = [word for text in [*texts, column.name] for word in re.split(r"[\s\u200b-]", text)]
    longest = max(map(len, texts), default=1)
    return float(min(30, max(map(len, words)))), float(min(240, max(longest, len(column.name))))


def _section(section: Section, files: dict[str, bytes]) -> Mapping[str, Any]:
    blocks = [_block(block, files) for block in section.blocks]
    return {
        "id": section.id,
        "title": section.title,
        "blocks": [block for block in blocks if block],
        "parts": [_section(part, files) for part in section.parts],
    }


def _block(block: Block, files: dict[str, bytes]) -> Mapping[str, Any]:
    kind = {"kind": type(block).__name__}
    match block:
        case Paragraph() | Notice():
            return {**kind, "spans": _spans(block.text)}
        case Points():
            return {**kind, "items": [_spans(item) for item in block.items]}
        case Picture():
            name = f"figure{len(files)}.{block.kind}"
            files[name] = block.image.encode() if block.kind == "svg" else base64.b64decode(block.image)
            picture = {"id": block.id, "file": name, "alt": block.alt, "width": min(block.width, UPRIGHT / 2.54)}
            return {**kind, **picture, "caption": _spans(block.caption)}
        case Grid():
            return {**kind, **_grid(block)}
    return {}  # data to download: the page has that


def _grid(grid: Grid) -> Mapping[str, Any]:
    weights, size, wide = layout(grid.columns)
    texts = [column.shown() for column in grid.columns]
    cells = [[_cell(column, text) for text in own] for column, own in zip(grid.columns, texts, strict=True)]
    return {
        "id": grid.id,
        "caption": _spans(grid.caption),
        "header": [[_breakable(column.name), column.look] for column in grid.columns],
        "weights": weights,
        "size": size,
        "wide": wide,
        "anchors": list(grid.anchors),
        "rows": [list(row) for row in zip(*cells, strict=True)],
    }


def _cell(column: Column, text: str) -> Mapping[str, Any]:
    if column.look == "number":
        return {"kind": "number", "text": text}
    if column.look == "math":
        return {"kind": "spans", "spans": [_formula(text)]}
    if column.look == "code":
        return {"kind": "spans", "spans": [{"kind": "code", "text": _breakable(text), "target": ""}] if text else []}
    return {"kind": "spans", "spans": _spans(text)}


def _spans(text: str) -> list[Mapping[str, str]]:
    return [_formula(s.text) if s.kind == "math" else _plain(s.kind, s.text, s.target) for s in spans(text)]


def _plain(kind: str, text: str, target: str) -> Mapping[str, str]:
    return {"kind": kind, "text": _breakable(text) if kind == "code" else text, "target": target}


def _formula(latex: str) -> Mapping[str, str]:
    try:
        return {"kind": "math", "text": maths.typst(latex), "target": ""}
    except maths.BadFormula:
        return {"kind": "code", "text": latex, "target": ""}


def _breakable(text: str) -> str:
    """Allow a line to end after the signs inside a name."""
    return re.sub(r"([_/=.,+-])(?=\w)", "\\1\u200b", text)


def _bare(text: str) -> str:
    return "".join(span.text for span in spans(text))
