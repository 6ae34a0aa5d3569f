"""The report as a whole: which sections there are, in which order."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from studies.reporting.content import Block, Grid, Notice, Paragraph, Picture, Points, Report, Section, plain, slug, walk
from studies.reporting.found import Found, tables
from studies.reporting.ledgers import ledger_section
from studies.reporting.matter import errata, opening, reproduction
from studies.reporting.sections import study_section

TITLE = "The claims of TRPO, checked"
SUBTITLE = (
    "What trust-region policy optimisation claims, what is true, what is false, and what max-KL and mean-KL regions really do"
)

PARTS: Mapping[str, tuple[str, ...]] = {
    "Max-KL against mean-KL": ("trust_region", "neural_truth", "max_kl_cost", "figure4", "improvement", "train"),
    "The bounds": ("verify", "tightness", "guaranteed_step"),
    "Estimators": ("estimators",),
    "Audit of agents": ("audit",),
    "Speed": ("throughput", "throughput_agent"),
}
"""Parts of the report, and their studies in order; a study that is in none comes under "Other studies"."""


def report(found: Sequence[Found]) -> Report:
    """Return the report of all that was found, and of nothing else."""
    theorems, empirical = ledgers(tables(found))
    listed = {study for studies in PARTS.values() for study in studies}
    others = tuple(dict.fromkeys(one.study for one in found if one.study not in listed))
    parts = [_part(title, studies, found) for title, studies in {**PARTS, "Other studies": others}.items()]
    sections = [
        opening(found, None if isinstance(empirical, str) else empirical),
        ledger_section(theorems, empirical),
        *(part for part in parts if part is not None),
        errata(),
        reproduction(found),
    ]
    return Report(TITLE, SUBTITLE, tuple(linked(sections)))


def ledgers(by_study: Mapping[str, list[pd.DataFrame]]) -> tuple[pd.DataFrame | str, pd.DataFrame | str]:
    """Return the two tables of :mod:`studies.ledger`, or a text that says why one cannot be made."""
    made: list[pd.DataFrame | str] = []
    for name in ("theorems", "empirical"):
        try:
            made.append(getattr(importlib.import_module("studies.ledger"), name)(by_study))
        except Exception as error:  # of a table of another version, in any way: the rest of the report stands
            said = plain(f"{type(error).__name__}: {' '.join(str(error).split())}")
            made.append(f"The ledger's table of {name} cannot be made of these results ({said}). Run the studies again.")
    return made[0], made[1]


def linked(sections: Sequence[Section]) -> list[Section]:
    """Return the same sections; a link to a place that they do not have becomes plain text."""
    anchors = {f"#{anchor}" for section in walk(sections) for anchor in _anchors(section)}

    def mended(text: str) -> str:
        return re.sub(r"(?<!\\)\[([^\]]+)\]\((#[^)]+)\)", lambda m: m[0] if m[2] in anchors else m[1], text)

    def cells(values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(mended(value) if isinstance(value, str) else value for value in values)

    def block(old: Block) -> Block:
        match old:
            case Paragraph() | Notice():
                return replace(old, text=mended(old.text))
            case Points():
                return Points(tuple(mended(item) for item in old.items))
            case Picture():
                return replace(old, caption=mended(old.caption))
            case Grid():
                columns = tuple(replace(c, cells=cells(c.cells)) if c.look == "text" else c for c in old.columns)
                return replace(old, caption=mended(old.caption), columns=columns)
        return old

    def section(old: Section) -> Section:
        return replace(old, blocks=tuple(map(block, old.blocks)), parts=tuple(map(section, old.parts)))

    return [section(one) for one in sections]


def _part(title: str, studies: Sequence[str], found: Sequence[Found]) -> Section | None:
    own = {study: [one for one in found if one.study == study] for study in studies}
    sections = tuple(study_section(study, runs) for study, runs in own.items() if runs)
    return Section(slug("part", title.lower()), title, (), sections) if sections else None


def _anchors(section: Section) -> Iterator[str]:
    yield section.id
    for block in section.blocks:
        if isinstance(block, Grid | Picture):
            yield block.id
        if isinstance(block, Grid):
            yield from block.anchors
