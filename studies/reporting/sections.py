"""The section of a study: what it asks, and of each of its runs the figures, the summary, and what made them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from studies import outputs
from studies.outputs import shown
from studies.reporting.content import Block, Download, Notice, Paragraph, Points, Section, grid, plain, slug
from studies.reporting.drawn import pictures
from studies.reporting.found import CONFIGURED, Found, age, command

CARRIED = 200_000
"""Bytes of CSV up to which the page carries a whole table, not its summary alone."""

MENTIONED = 4
"""Commands and fingerprints of a sweep's jobs that are named."""

NAMES = ("claim", "sampler", "estimator", "promise", "path", "method")
"""Columns of summaries that hold names of the code."""


def study_section(study: str, found: Sequence[Found]) -> Section:
    """Return the section of all runs of one study; each has a heading of its own where there are several."""
    title, asked = study or "Folders of no study", list[Block]()
    if study in CONFIGURED or any(one.table is not None for one in found):
        with contextlib.suppress(outputs.BadTable):  # a configuration without its module
            title, asked = describe(outputs.study_module(study).__doc__ or study)
    if len(found) == 1:
        return Section(slug(study or "unknown"), title, (*asked, *run_blocks(found[0])))
    parts = tuple(Section(run_id(one), f"Run {one.label}", run_blocks(one)) for one in found)
    return Section(slug(study or "unknown"), title, tuple(asked), parts)


def describe(docstring: str) -> tuple[str, list[Block]]:
    """Part a study's docstring into a title, its first words, and what it asks; tables and what leads to them are left out."""
    every = [*re.split(r"\n\s*\n", docstring), ""]
    paragraphs = [part for part, following in pairwise(every) if "===" not in part + following or part == every[0]]
    title, _, rest = _marked(paragraphs[0]).partition(":")
    blocks: list[Block] = [Paragraph(_capital(rest.strip()))] if rest.strip() else []
    for part in paragraphs[1:]:
        if part.lstrip().startswith("* "):
            blocks.append(Points(tuple(_marked(item) for item in re.split(r"(?:^|\n)\s*\* ", part) if item.strip())))
        else:
            blocks.append(Paragraph(_marked(part)))
    return title.rstrip("."), blocks


def run_id(found: Found) -> str:
    """Anchor of a run."""
    return slug(found.study or "unknown", found.label)


def run_blocks(found: Found) -> tuple[Block, ...]:
    """Return all that there is to show of one run; what cannot be shown leaves a notice in its place."""
    if found.table is None:
        return (Notice(found.problem),)
    blocks: list[Block] = [Notice(said) for said in [age(found)] if said]
    module, id = outputs.study_module(found.study), run_id(found)
    try:
        blocks += list(pictures(module, found.table, id, f"Made by {_commands(found)}; [data](#{id}.summary)."))
    except Exception as error:  # of a table that is not as this version of the study writes it, in any way
        blocks.append(_unfit("figures", found, error))
    try:
        summary: pd.DataFrame = module.summary(found.table)
        caption = _capital(re.sub(r"^Return ", "", _marked((module.summary.__doc__ or "").split("\n\n    Raises")[0])))
        data = Download(f"{id}.summary.csv", summary.to_csv(index=False))
        names = [name for name in NAMES if name in summary]
        blocks.append(grid(f"{id}.summary", unmarked(summary), caption, code=names, data=data))
    except Exception as error:
        blocks.append(_unfit("summary", found, error))
    return (*blocks, *_origin(found))


def unmarked(table: pd.DataFrame, but: Sequence[str] = ()) -> pd.DataFrame:
    """Return the table with the marks of its words made plain, except in the columns ``but``."""
    words = [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name]) and name not in but]
    columns = {name: [plain(cell) if isinstance(cell, str) else cell for cell in table[name].astype(object)] for name in words}
    return table.assign(**columns)


def _origin(found: Found) -> list[Block]:
    """Say what made a table, and where all of it is."""
    assert found.table is not None
    table, path = found.table, found.folder / outputs.TABLE
    prints = list(dict.fromkeys(str(job.get("fingerprint") or "none") for job in found.origins))
    when = f" on {' to '.join(found.days)}" if found.days else ""
    said = f"Made by {_commands(found)}{when}. Fingerprint {_few(prints)}."
    rows, columns = table.shape
    if rows * columns < CARRIED / 2 and len(text := table.to_csv(index=False)) <= CARRIED:
        return [Paragraph(said), Download(f"{run_id(found)}.table.csv", text)]
    size = path.stat().st_size / 1e6
    return [Paragraph(f"{said} The whole table, {rows:,} rows of {columns} columns, is `{shown(path)}` ({size:.2g} MB).")]


def _commands(found: Found) -> str:
    return _few(list(dict.fromkeys(str(job.get("command") or "unknown") for job in found.origins)))


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MENTIONED} more" if len(names) > MENTIONED else ""
    return ", ".join(f"`{name}`" for name in names[:MENTIONED]) + more


def _unfit(what: str, found: Found, error: Exception) -> Notice:
    said = plain(f"{type(error).__name__}: {' '.join(str(error).split())}")
    return Notice(
        f"The {what} cannot be made of `{shown(found.folder / outputs.TABLE)}`, a table of another version of {found.study} "
        f"({said}). Run `{command(found.study, found.folder)}` to have it anew."
    )


def _marked(paragraph: str) -> str:
    """Turn a docstring's marks into those of a report, and its lines into one."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(paragraph.split()))
    return text.replace("``", "`").replace("||", "‖")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
