"""What stands before and after the studies: the findings in one page, the errata, and how all of it is made again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pandas as pd

from bounds.errata import ERRATA
from studies.outputs import shown
from studies.reporting.content import Block, Download, Notice, Paragraph, Points, Section, grid, plain, slug
from studies.reporting.findings import QUESTIONS, findings
from studies.reporting.found import Found, age, tables
from studies.reporting.ledgers import claim_id, verdict_grid

ERRORS = (
    "Every known error of the paper (P) and of the note on it (F): what is printed, what is right, the claims of the catalogue "
    "that decide it, and instances that show it."
)
MAKING = (
    "`make report` runs the default studies and builds this page, and the same as a PDF, from a fresh clone; each command below "
    "makes one of its tables."
)
MADE = (
    "What made each table. `date` is the day, UTC; `sources` the hash of the project's code at that time, `fingerprint` that of "
    "code and configuration together."
)
NO_MACHINE = (
    "The tables do not say on which machine they were made. Times and rates depend on it, and so may, by the last bits of sums, "
    "the course of trained agents."
)


def opening(found: Sequence[Found], empirical: pd.DataFrame | None) -> Section:
    """Return the first page: what there is, what is missing, and what was found, by question."""
    sound, missing = [one for one in found if one.table is not None], [one for one in found if one.problem]
    studies = {one.study for one in sound}
    dates = sorted(day for one in sound for day in one.days)
    some = ", some of an unknown day" if not all(one.days for one in sound) else ""
    when = f" Data of {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}{some}." if dates else ""
    text = (
        "Every number here is computed from stored tables: of studies on finite Markov decision processes, where returns, "
        f"surrogates and divergences are known exactly, and of trained agents. {_count(len(sound), 'run')} of "
        f"{_count(len(studies), 'study', 'studies')}, data `{fingerprint(found)}`.{when} Each figure and table names the command "
        "that made it."
    )
    blocks: list[Block] = [Paragraph(text)]
    if missing:
        links = ", ".join(f"[{plain(shown(one.folder))}](#{slug(one.study or 'unknown')})" for one in missing)
        blocks.append(Notice(f"{_count(len(missing), 'result')} could not be shown; each place says why: {links}."))
    if old := sum(bool(age(one)) for one in sound):
        blocks.append(
            Notice(f"{old} of {_count(len(sound), 'table')} come from another state of the code than this report; each says so.")
        )
    said = findings(tables(found), empirical)
    for question in QUESTIONS:
        if texts := tuple(finding.text for finding in said if finding.question == question):
            blocks += [Paragraph(f"**{question}**"), Points(texts)]
    if empirical is not None and len(empirical):
        blocks.append(verdict_grid(empirical))
    return Section("summary", "In one page", tuple(blocks))


def errata() -> Section:
    """Return the errors of the texts, with the claims that decide each."""
    table = pd.DataFrame(
        {
            "id": [e.id for e in ERRATA],
            "where": [plain(e.where) for e in ERRATA],
            "printed": [plain(e.printed) for e in ERRATA],
            "instead": [plain(e.correction) for e in ERRATA],
            "claims": [", ".join(f"[{name}](#{claim_id(name)})" for name in e.claims) for e in ERRATA],
            "shown by": [", ".join(f"`{name}`" for name in e.instances) for e in ERRATA],
        }
    )
    return Section("errata", "Errata", (grid("errata.table", table, ERRORS),))


def reproduction(found: Sequence[Found]) -> Section:
    """Return what made every table: commands, versions and machines."""
    jobs = [(one, origin) for one in found if one.table is not None for origin in one.origins]
    blocks: list[Block] = [Paragraph(MAKING)]
    if jobs:
        names = ("command", "version", "sources", "fingerprint")
        table = pd.DataFrame(
            {
                "study": [one.study for one, _ in jobs],
                "date": [str(origin.get("date", "unknown")) for _, origin in jobs],
                **{name: [str(origin.get(name, "")) for _, origin in jobs] for name in names},
            }
        )
        data = Download("reproduction.csv", table.to_csv(index=False))
        blocks.append(grid("reproduction.table", table, MADE, code=["study", *names], data=data))
    machines: dict[str, list[str]] = {}
    for one, origin in jobs:
        if described := origin.get("machine"):
            machines.setdefault(_machine(described), []).append(f"`{one.study}/{one.label}`")
    said = tuple(f"{plain(machine)}: {', '.join(dict.fromkeys(runs))}" for machine, runs in machines.items())
    blocks.append(Points(said) if said else Paragraph(NO_MACHINE))
    return Section("reproduction", "Reproduction", tuple(blocks))


def fingerprint(found: Sequence[Found]) -> str:
    """Return a hash of the fingerprints of all tables, which names the data of a report."""
    prints = sorted(str(origin.get("fingerprint", "")) for one in found if one.table is not None for origin in one.origins)
    return hashlib.sha256("\n".join(prints).encode()).hexdigest()[:12]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _machine(described: object) -> str:
    return ", ".join(f"{key} {value}" for key, value in described.items()) if isinstance(described, Mapping) else str(described)
