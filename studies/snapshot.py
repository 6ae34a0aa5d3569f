"""Make small copies of results that can be committed: ``python studies/snapshot.py results/verify/default``.

Each goes to ``docs/results/<study>/<name>``: ``table.parquet``, which every reader of tables takes as the study's own, and
``summary.csv``. The copy keeps the table's attributes, the command among them, and has one more, ``snapshot``: what was left
out, in words. ``made.json`` beside it says when and where the table was made, as the one in the folder does
(:mod:`studies.made`). A folder that has none is taken to be of this machine, and its date stays unknown.

Numbers of which a column has many keep 12 bits after the first, a relative error of at most 1.3e-4; the rest is exact.
:data:`REDUCTIONS` says what else a study's table loses. A copy is written only if its summary is the whole table's, over the
rows it has, and if the study can draw it.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bounds.pairs import PAIRINGS
from studies import made, outputs
from studies.guaranteed_step_figures import PANELS, TRUTH
from studies.outputs import shown

BITS = 12
"""Kept of a number's fraction."""
FEW = 100
"""Different numbers up to which a column is one of settings, such as gamma, and stays exact."""
AGREES = 1e-2
"""Relative difference of two summaries that rounding is allowed to make; counts have to be equal."""
SMALL = 1e-6
"""Numbers this near to each other agree as well."""
LIMIT = 200
"""Most that a copy may take, in kB."""
COUNTS = ("instances", "applies", "certified", "violations", "undecided", "exact")
"""Columns of verify that count comparisons."""
RENOWNED = ("tv-trpo", "kl-trpo", "kl-sqrt-horizon", "meankl-joint", "meankl-linear", "meankl-trpoC")
"""Bounds that a copy of a study of updates keeps."""


@dataclass(frozen=True)
class Reduction:
    """What a copy of a study's table leaves out."""

    rows: Callable[[pd.DataFrame], pd.DataFrame]
    columns: tuple[str, ...]
    """Dropped."""
    said: str
    """In words."""
    exact: tuple[str, ...] = ()
    """Columns of numbers that are not rounded."""


def renowned(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of the bounds in :data:`RENOWNED`, or of the first where there are none of these, and all violations."""
    kept = [id for id in RENOWNED if (table["claim"] == id).any()] or [table["claim"].iloc[0]]
    return table[table["claim"].isin(kept) | (table["verdict"] == "violated")]


def drawn_steps(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the bounds that the figures of guaranteed_step draw, and the truth."""
    return table[table["claim"].isin([TRUTH, *(claim for panel in PANELS for claim in panel.claims)])]


def over_processes(table: pd.DataFrame) -> pd.DataFrame:
    """Put the rows of verify together that differ in process and pairing alone: counts add up, the rest is the worst one's.

    Pairs drawn at random stay apart from all others.
    """
    keys = [table["claim"], table["pairing"].isin(list(PAIRINGS)), table["gamma"], table["distance"]]
    grouped = table.groupby(keys, observed=True, sort=False, dropna=False)
    worst = table.loc[
        table.assign(known=table["usage"].fillna(np.inf)).groupby(keys, observed=True, sort=False, dropna=False)["known"].idxmax()
    ]
    together = grouped[list(COUNTS)].sum().set_index(worst.index)
    least = grouped["least"].max().to_numpy()
    found = worst.assign(**together, least=least).sort_index()  # ties of usage stay in their order, and so do claims:
    place = {claim: number for number, claim in enumerate(table["claim"].unique())}
    return found.sort_values("claim", key=lambda claims: claims.astype(str).map(place), kind="stable")


_OTHER_BOUNDS = f"bounds other than {', '.join(RENOWNED)}, where they hold"
REDUCTIONS = {
    "trust_region": Reduction(renowned, ("L", "tv_max"), _OTHER_BOUNDS),
    "neural_truth": Reduction(renowned, ("L", "tv_max"), _OTHER_BOUNDS),
    "guaranteed_step": Reduction(drawn_steps, ("kl_max", "kl_mean"), "bounds that the figures do not draw"),
    "verify": Reduction(
        over_processes, (), "rows of one claim, gamma and distance are put together over processes and pairings", ("usage",)
    ),
}


def reduced(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as a copy has it: fewer rows and columns, rounded numbers, one more attribute."""
    how = REDUCTIONS.get(str(table["study"].iloc[0]))
    small = table if how is None else how.rows(table).drop(columns=[name for name in how.columns if name in table])
    small = small.reset_index(drop=True)
    for name in (name for name in _many(small) if how is None or name not in how.exact):
        small[name] = rounded(small[name].to_numpy())
    labels = small.select_dtypes("category").columns
    small = small.assign(**{name: small[name].cat.remove_unused_categories() for name in labels})
    left = [] if how is None else [how.said, *(f"column {name}" for name in how.columns)]
    said = f"rounded to {BITS + 1} bits" + (f"; left out: {'; '.join(left)}" if left else "")
    attributes: dict[Any, Any] = {**_elsewhere(dict(table.attrs)), "snapshot": said}
    small.attrs = attributes
    return small


def rounded(values: np.ndarray) -> np.ndarray:
    """Round floats to the nearest with :data:`BITS` bits after the first; inf and nan stay."""
    drop = np.uint64(52 - BITS)
    bits = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
    near = (bits + (np.uint64(1) << (drop - np.uint64(1)))) >> drop << drop
    found = near.view(np.float64)
    return np.where(np.isfinite(values) & np.isfinite(found), found, values)


def write(small: pd.DataFrame, path: Path, limit: float = LIMIT) -> None:
    """Write a reduced table to a path, as small as parquet makes it.

    Raises
    ------
    ValueError
        If that is larger than ``limit`` kB; nothing is written then.
    """
    numbers = _many(small)
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": 19,
        "use_dictionary": [name for name in small if name not in numbers],
        "column_encoding": dict.fromkeys(numbers, "BYTE_STREAM_SPLIT"),
    }

    def put(partial: str) -> None:
        small.to_parquet(partial, index=False, **options)
        size = Path(partial).stat().st_size / 1000
        if size > limit:
            raise ValueError(
                f"a copy of {len(small)} rows and {len(small.columns)} columns takes {size:.0f} kB, expected at most {limit:g}: "
                "run the study on a smaller scale, or add what can be left out to REDUCTIONS in studies/snapshot.py"
            )

    path.parent.mkdir(parents=True, exist_ok=True)
    outputs.write(path, put)


def records(folder: Path, small: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the records of a copy by the folder in it that each is for: of a sweep one a job, of a run one for "".

    Parameters
    ----------
    folder
        Of the whole table.
    small
        The copy.
    """
    found: dict[str, dict[str, Any]] = {}
    for job, origin in made.origins(folder, small.attrs).items():
        told: dict[str, Any] = {name: origin[name] for name in ("fingerprint", "command", "date") if name in origin}
        found[job] = {**told, "machine": origin.get("machine") or made.machine()}
    return found


def check(small: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of a copy, which has to be that of the whole table, or some rows of it, and draw its figures.

    Raises
    ------
    ValueError
        If a count differs, a word without a number in it, or a number by more than :data:`AGREES`, relatively.
    """
    study = outputs.study_module(str(table["study"].iloc[0]))
    own, whole = study.summary(small), study.summary(table)
    if len(own) < len(whole):  # of claims that were left out
        keys = [name for name in ("path", "claim") if name in own]
        whole = own[keys].astype(str).merge(whole.astype(dict.fromkeys(keys, str)), on=keys, how="left")
    for name in own:
        a, b = own[name], whole[name]
        if not pd.api.types.is_numeric_dtype(a):
            word, other = (x.astype(str).fillna("") for x in (a, b))
            same = ((word == other) | word.str.contains(r"\d")).to_numpy()
        elif pd.api.types.is_integer_dtype(a):
            same = a.to_numpy() == b.to_numpy()
        else:
            same = np.isclose(a.to_numpy(float), b.to_numpy(float), rtol=AGREES, atol=SMALL, equal_nan=True)
        if not same.all():
            row = int(np.argmin(same))
            raise ValueError(
                f"row {row} of the copy's summary has {a.iloc[row]} in its column {name!r} where the table's has {b.iloc[row]}; "
                "what was left out or rounded matters there: see REDUCTIONS in studies/snapshot.py"
            )
    study.figures(small)
    return own


def main(given: Sequence[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Make small copies of results that can be committed.")
    parser.add_argument("folders", type=Path, nargs="+", help="folders that have a table.parquet, such as results/verify/default")
    parser.add_argument("--out", type=Path, default=outputs.ROOT / "docs" / "results", help="where the copies go")
    parser.add_argument("--limit", type=float, default=LIMIT, help="most that one may take, kB")
    options = parser.parse_args(given)
    outputs.check_writable(options.out, "--out FOLDER")
    failed = []
    for folder in options.folders:
        try:
            table = outputs.read_table(folder / outputs.TABLE)
            small = reduced(table)
            summary = check(small, table)
            target = options.out / str(table["study"].iloc[0]) / folder.resolve().name
            write(small, target / outputs.TABLE, options.limit)
            for job, record in records(folder, small).items():
                (target / job).mkdir(parents=True, exist_ok=True)
                made.put(target / job, record)
        except (outputs.BadTable, ValueError) as error:
            failed.append(f"{shown(folder)}: {error}")
            continue
        except Exception as error:  # of a table of another version, in any way
            failed.append(f"{shown(folder)}: not as this version of its study writes it: {type(error).__name__}: {error}")
            continue
        outputs.write(
            target / "summary.csv", lambda partial, summary=summary: summary.to_csv(partial, index=False, float_format="%.5g")
        )
        size = (target / outputs.TABLE).stat().st_size / 1000
        print(f"{shown(target)}: {len(small)} of {len(table)} rows, {size:.0f} kB")
    if failed:
        raise SystemExit("\n".join(failed))


def _elsewhere(attributes: dict[Any, Any]) -> dict[Any, Any]:
    """The same attributes, in whose commands no folder for results is named."""
    kept = {key: _elsewhere(value) if isinstance(value, dict) and key != "config" else value for key, value in attributes.items()}
    command = kept.get("command")
    if isinstance(command, str):
        kept["command"] = " ".join(word for word in command.split(" ") if not word.startswith("results="))
    return kept


def _many(table: pd.DataFrame) -> list[str]:
    """Columns of floats that have more than a few values."""
    return [name for name in table.select_dtypes("float").columns if table[name].nunique() > FEW]


if __name__ == "__main__":
    main()
