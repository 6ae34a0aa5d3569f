"""What a run leaves for its reader: figures, a short table, and where they are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from studies import outputs
from studies.figures import save
from studies.outputs import shown


def present(table: pd.DataFrame, folder: Path) -> None:
    """Draw the figures of a table into ``folder``, write its ``summary.csv`` and print that.

    A study that has a ``report`` of its table has that written beside it, as ``report.md``, and printed too.

    Raises
    ------
    BadTable
        If no study of this project made the table.
    """
    study = outputs.study_module(str(table["study"].iloc[0]))
    summary: pd.DataFrame = study.summary(table)
    report: str | None = study.report(table) if hasattr(study, "report") else None
    with outputs.alone(folder):
        drawn = [path for stem, figure in study.figures(table).items() for path in save(figure, folder / stem)]
        outputs.write(folder / "summary.csv", lambda partial: summary.to_csv(partial, index=False))
        if report is not None:
            outputs.write(folder / "report.md", lambda partial: Path(partial).write_text(report))
    if report is not None:
        print(report)
    print(summary.to_string(index=False, float_format="{:.3g}".format, max_rows=None))
    print(f"\ntable    {shown(folder / outputs.TABLE)}  ({len(table)} rows)\nsummary  {shown(folder / 'summary.csv')}")
    for path in drawn:
        print(f"figure   {shown(path)}")
