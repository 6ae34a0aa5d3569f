"""Combine the tables of a sweep: ``python studies/gather.py results/trust_region/delta=0.001,0.01,0.1``.

Takes every complete job table under the folder, in the order of the jobs' names, and writes one ``table.parquet`` with a
last column ``job`` there, with its figures and summary. What is missing, damaged or of another study is named and left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
from collections import Counter

import pandas as pd

from studies import outputs
from studies.present import present, shown


def gather(folder: Path) -> bool:
    """Combine the job tables under ``folder`` and draw them. Returns whether every job there had its table.

    Raises
    ------
    SystemExit
        With a message, if the folder is missing or holds no job's table.
    """
    if not folder.is_dir():
        raise SystemExit(f"there is no folder {folder}; expected that of a sweep, such as results/trust_region/delta=0.01,0.1")
    tables, problems = _read_jobs(folder)
    for job, problem in problems.items():
        print(f"left out: {job}: {problem}", file=sys.stderr)
    if not tables:
        single = " It holds the table of a single run: python studies/figures.py draws that." if _own(folder) else ""
        raise SystemExit(f"no job under {folder} has a table.{single}")
    outputs.check_writable(folder)
    table = combine(tables)
    outputs.write_table(table, folder / outputs.TABLE)
    present(table, folder)
    print(f"combined {len(tables)} of {len(tables) + len(problems)} jobs in {shown(folder)}")
    return not problems


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


def _read_jobs(folder: Path) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The tables of the jobs under a folder, and what is wrong with the others, both by the job's name."""
    tables: dict[str, pd.DataFrame] = {}
    problems: dict[str, str] = {}
    for job in sorted(path for path in folder.rglob("*") if path.is_dir()):
        name, path = job.relative_to(folder).as_posix(), job / outputs.TABLE
        if (job / "error.txt").exists():
            problems[name] = f"the job failed; {shown(job / 'error.txt')} says why"
        elif path.exists() and "jobs" in outputs.read_attributes(path):
            continue  # combined of jobs that are found on their own
        elif path.exists() or not any(child.is_dir() for child in job.iterdir()):
            try:
                tables[name] = outputs.read_table(path)
            except outputs.BadTable as error:
                problems[name] = f"{error}" if path.exists() else "no table: the job has not ended"
    studies = Counter(str(table["study"].iloc[0]) for table in tables.values())
    for name in list(tables):
        study = str(tables[name]["study"].iloc[0])
        if study != (most := studies.most_common(1)[0][0]):
            problems[name] = f"a table of the study {study!r} among those of {most!r}"
            del tables[name]
    return tables, problems


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
