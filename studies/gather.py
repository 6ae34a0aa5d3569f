"""Combine the tables of a sweep: ``python studies/gather.py results/trust_region/delta=0.001,0.01,0.1``.

Takes every complete job table under the folder, in the order of the jobs' names, and writes one ``table.parquet`` with a
last column ``job`` there, with its figures and summary. What is missing, damaged or of another study is named and left out.
``jobs.csv`` lists every job of the sweep, whatever became of it:

======= ======================================================================================
column  meaning
======= ======================================================================================
job     name of its folder
status  "done", "failed", "not ended", or "unusable": its table is damaged or of another study
rows    of its table in the combined one
sources of its table: which state of the code made it (:mod:`studies.outputs`)
error   why there are no rows
======= ======================================================================================
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from studies import outputs
from studies.outputs import shown
from studies.present import present

JOBS = "jobs.csv"


@dataclass(frozen=True)
class Job:
    """What became of one job."""

    name: str
    status: str  # as in jobs.csv
    table: pd.DataFrame | None = None
    error: str = ""


def gather(folder: Path) -> bool:
    """Combine the job tables under ``folder`` and draw them. Returns whether every job there had its table.

    Raises
    ------
    SystemExit
        With a message, if the folder is missing or holds no job's table.
    """
    if not folder.is_dir():
        raise SystemExit(f"there is no folder {folder}; expected that of a sweep, such as results/trust_region/delta=0.01,0.1")
    jobs = list(_of_one_study(list(_read_jobs(folder))))
    for job in jobs:
        if job.table is None:
            print(f"left out: {job.name}: {job.error}", file=sys.stderr)
    if not jobs:
        single = " It holds the table of a single run: python studies/figures.py draws that." if _own(folder) else ""
        raise SystemExit(f"no job under {folder} has a table.{single}")
    outputs.check_writable(folder)
    tables = {job.name: job.table for job in jobs if job.table is not None}
    codes = {table.attrs["sources"] for table in tables.values() if "sources" in table.attrs}
    if len(codes) > 1:
        said = f"the tables are of {len(codes)} states of the code ({JOBS} says which); run the sweep again to have one"
        print(said, file=sys.stderr)
    with outputs.alone(folder):
        outputs.write(folder / JOBS, lambda partial: ledger(jobs).to_csv(partial, index=False))
        if tables:
            table = combine(tables)
            outputs.write_table(table, folder / outputs.TABLE)
    if not tables:
        raise SystemExit(f"no job under {folder} has a table; {shown(folder / JOBS)} says why")
    present(table, folder)
    print(f"jobs     {shown(folder / JOBS)}\ncombined {len(tables)} of {len(jobs)} jobs in {shown(folder)}")
    return len(tables) == len(jobs)


def ledger(jobs: Sequence[Job]) -> pd.DataFrame:
    """Return one row a job, as in the module's docstring."""
    return pd.DataFrame(
        {
            "job": [job.name for job in jobs],
            "status": [job.status for job in jobs],
            "rows": [0 if job.table is None else len(job.table) for job in jobs],
            "sources": ["" if job.table is None else job.table.attrs.get("sources", "") for job in jobs],
            "error": [job.error for job in jobs],
        }
    )


def combine(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Stack the tables of jobs of one study in the order of their names; the last column says which job a row is of."""
    names = sorted(tables)
    labels = [column for column, kind in tables[names[0]].dtypes.items() if isinstance(kind, pd.CategoricalDtype)]
    parts = [tables[name].astype(dict.fromkeys(labels, object)).assign(job=name) for name in names]
    attributes = {name: dict(tables[name].attrs) for name in names}
    for part in parts:
        part.attrs = {}
    table = pd.concat(parts, ignore_index=True).astype(dict.fromkeys([*labels, "job"], "category"))
    table.attrs = {"study": str(table["study"].iloc[0]), "jobs": attributes}
    return table


def _read_jobs(folder: Path) -> Iterator[Job]:
    """The jobs under a folder, in the order of their names; hidden folders are not theirs."""
    inside = sorted(path for path in folder.rglob("*") if path.is_dir())
    for path in inside:
        name, table = path.relative_to(folder).as_posix(), path / outputs.TABLE
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if (error := outputs.read_error(path)) is not None:
            yield Job(name, "failed", error=f"the job failed: {error}; {shown(path / outputs.ERROR)} says where")
        elif table.exists() and "jobs" in outputs.read_attributes(table):
            continue  # combined of jobs that are found on their own
        elif table.exists():
            try:
                yield Job(name, "done", outputs.read_table(table))
            except outputs.BadTable as bad:
                yield Job(name, "unusable", error=str(bad))
        elif not any(child.is_dir() for child in path.iterdir()):
            yield Job(name, "not ended", error="no table: the job has not ended")


def _of_one_study(jobs: Sequence[Job]) -> Iterator[Job]:
    """The same jobs; those whose table is of another study than most have lost it."""
    studies = {job.name: str(job.table["study"].iloc[0]) for job in jobs if job.table is not None}
    most = Counter(studies.values()).most_common(1)
    for job in jobs:
        if job.name in studies and (study := studies[job.name]) != most[0][0]:
            yield Job(job.name, "unusable", error=f"a table of the study {study!r} among those of {most[0][0]!r}")
        else:
            yield job


def _own(folder: Path) -> bool:
    return (folder / outputs.TABLE).exists()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Combine the tables of a sweep's jobs and draw their figures.")
    parser.add_argument("folder", type=Path, help="the sweep's folder, such as results/trust_region/delta=0.01,0.1")
    try:
        gather(parser.parse_args().folder)
    except outputs.BadTable as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
