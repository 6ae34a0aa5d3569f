"""The ledger: what TRPO's paper and the note claim, and what became of it. ``python studies/ledger.py results docs/results``.

Two tables, both made of the studies' tables alone. :func:`theorems` has one row for each claim of the catalogue:

============ ==========================================================================================================
column       meaning
============ ==========================================================================================================
claim        id; then its ``formula`` (LaTeX), ``source`` and ``status``
instances    comparisons that it was held against in ``verify``, in the run of the lowest seed that has it
certified    of these, in which it certainly holds
usage        largest certified usage, of ``verify`` and ``tightness``; nan for identities and guarantees, which have no scale
gamma        discount factor of that
ceiling      most that the usage can be at that gamma, by another theorem or its own; nan where nothing is proven
sharper_by   1/usage: no bound of the same form has a constant smaller by more than this factor. By 1/ceiling one is proven to be
verdict      as ``verify`` says it; "undecided here" for a claim that no table speaks of
============ ==========================================================================================================

:func:`empirical` has one row for each sentence of :mod:`studies.sentences`: its ``id``, the ``sentence``, its ``source``, what
was ``measured``, the ``effect`` with its 95 % interval (``low``, ``high``) and ``unit``, the ``rule`` and the ``verdict`` that it
gives; the same by a second run (``second_...``); and the ``table`` that it came from, its command.

The first run is the table of the lowest seed that has what the sentence asks for, of equal ones the one that rests on most:
on the most rows, or batches where a row is the mean of several. The second is the one of the next seed, the study being told the
same otherwise. A table combined of a sweep's jobs counts as its jobs.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import json
import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bounds import CATALOGUE, Claim
from studies import outputs, tightness, verify
from studies.effects import UNKNOWN, Effect
from studies.outputs import shown
from studies.sentences import FIGURE4, PRINTED, SAMPLING, STEPS, UPDATES, Sentence

log = logging.getLogger("studies")
SENTENCES: tuple[Sentence, ...] = (*FIGURE4, *UPDATES, *STEPS, *SAMPLING, *PRINTED)
"""In the order of the ledger."""

Tables = Mapping[str, Sequence[pd.DataFrame]]
THEOREMS = (
    "claim",
    "formula",
    "source",
    "status",
    "instances",
    "certified",
    "usage",
    "gamma",
    "ceiling",
    "sharper_by",
    "verdict",
)
ASIDE = ("checkpoints", "workers", "scale", "step_sizes")
"""What a study may be told otherwise in a second run: where it keeps its work, its processes, a text for figures, and the natural
gradient's step sizes, of which the best alone is judged: the second run may try that of the first and no other."""
MEASURED = ("bound", "lemma")
"""Kinds of claims whose usage has a scale."""


def theorems(tables: Tables) -> pd.DataFrame:
    """Return the table of claims from those of ``verify`` and ``tightness`` among ``tables``, by study."""
    checked = [table for table in sorted(_jobs(tables.get("verify", ())), key=_order) if {"least", "exact"} <= set(table)]
    every = [row for table in checked for row in verify.summary(table).to_dict("records")]
    held = {row["claim"]: row for row in reversed(every)}  # the first of each
    violated = {row["claim"] for row in every if row["violations"]}
    searched = _jobs(tables.get("tightness", ()))
    usages = [table[["claim", "gamma", "least"]].rename(columns={"least": "usage"}) for table in checked]
    usages += [table[["claim", "gamma", "usage"]] for table in searched]
    nothing = pd.DataFrame(columns=["claim", "gamma", "usage"])
    known = pd.concat([one.astype({"claim": str}) for one in usages]) if usages else nothing
    ids = [id for id in CATALOGUE if not held or id in held or id in set(known["claim"])]
    rows = []
    for id in ids:
        claim, own = CATALOGUE[id], known[known["claim"] == id].dropna()
        counts = held.get(id)
        usage, gamma = np.nan, np.nan
        if claim.kind in MEASURED and len(own):
            usage, gamma = own.loc[own["usage"] == own["usage"].max(), ["usage", "gamma"]].iloc[0]
        rows.append(
            {
                "claim": id,
                "formula": claim.formula,
                "source": claim.source,
                "status": claim.status,
                "instances": 0 if counts is None else int(counts["instances"]),
                "certified": 0 if counts is None else int(counts["certified"]),
                "usage": usage,
                "gamma": gamma,
                "ceiling": _ceiling(claim, gamma),
                "sharper_by": 1 / usage if 0 < usage <= 1 else np.nan,
                "verdict": _verdict(claim, counts, own, id in violated),
            }
        )
    return pd.DataFrame(rows, columns=list(THEOREMS))


def empirical(tables: Tables) -> pd.DataFrame:
    """Return the table of sentences; ``tables`` holds those of each study by its name, with their attributes."""
    return pd.DataFrame([_row(sentence, tables) for sentence in SENTENCES])


def read(folders: Sequence[Path]) -> tuple[dict[str, list[pd.DataFrame]], list[str]]:
    """Read every table under these folders, hidden ones left out, and each once however often it lies there.

    Returns
    -------
    tables
        By study, in the order of their paths.
    problems
        A line for each table that cannot be read.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    problems, seen = [], set()
    for folder in folders:
        for path in sorted(folder.rglob(outputs.TABLE)):
            if any(part.startswith(".") for part in path.relative_to(folder).parts):
                continue
            try:
                table = outputs.read_table(path)
            except outputs.BadTable as bad:
                problems.append(str(bad))
                continue
            mark = table.attrs.get("fingerprint") or json.dumps(table.attrs, sort_keys=True, default=str)
            if mark not in seen:
                seen.add(mark)
                tables.setdefault(str(table["study"].iloc[0]), []).append(table)
    return tables, problems


def _row(sentence: Sentence, tables: Tables) -> dict[str, Any]:
    found = list(_runs(sentence, tables))
    (first, table), (second, _) = ([*found, (UNKNOWN, None), (UNKNOWN, None)])[:2]
    missing = f"nothing yet: {sentence.command} measures it" if sentence.command else sentence.measured
    return {
        "id": sentence.id,
        "sentence": sentence.sentence,
        "source": sentence.source,
        "measured": missing if table is None else sentence.measured + _scale(table),
        "effect": first.value,
        "low": first.low,
        "high": first.high,
        "unit": sentence.unit,
        "rule": sentence.rule,
        "verdict": sentence.true.verdict(first),
        "second_effect": second.value,
        "second_low": second.low,
        "second_high": second.high,
        "second_verdict": sentence.true.verdict(second) if len(found) > 1 else "",
        "table": "" if table is None else f"{sentence.study}: {table.attrs.get('command', 'command unknown')}",
    }


def _runs(sentence: Sentence, tables: Tables) -> Iterator[tuple[Effect, pd.DataFrame]]:
    """The effect in the first run and in the second, each with its table."""
    first: pd.DataFrame | None = None
    for table in sorted(_jobs(tables.get(sentence.study, ())), key=_order):
        if first is not None and (seed_of(table) == seed_of(first) or _alike(table) != _alike(first)):
            continue
        try:
            effect = sentence.measure(table)
        except KeyError as missing:
            command = table.attrs.get("command", "unknown")
            log.warning("%s: a table of other code is left out (%s), made by %s", sentence.id, str(missing).strip("'"), command)
            continue
        if effect is not None:
            yield effect, table
            if first is not None:
                return
            first = table


def _jobs(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The tables, a combined one as those of its jobs."""
    parts: list[pd.DataFrame] = []
    for table in tables:
        if "jobs" not in table.attrs or "job" not in table:
            parts.append(table)
            continue
        for name, own in table.groupby("job", observed=True, sort=False):
            part = own.drop(columns="job")
            part.attrs = dict(table.attrs["jobs"].get(name, {}))
            parts.append(part)
    return parts


def _order(table: pd.DataFrame) -> tuple[int, int, str]:
    size = int(table["batches"].sum()) if "batches" in table else len(table)
    return seed_of(table), -size, str(table.attrs.get("command", ""))


def seed_of(table: pd.DataFrame) -> int:
    """The seed that a table was asked for with, or the lowest in it."""
    given = table.attrs.get("config", {}).get("seed")
    if given is not None:
        return int(given)
    return int(table["seed"].min()) if "seed" in table else 0


def _alike(table: pd.DataFrame) -> str:
    """What the study was told, but for its seed and for :data:`ASIDE`: the rest of a configuration is not for it."""

    def unseeded(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: unseeded(inner) for key, inner in value.items() if key != "seed"}
        return [unseeded(inner) for inner in value] if isinstance(value, list) else value

    told = table.attrs.get("config", {}).get("study", {})
    return json.dumps(unseeded({key: told[key] for key in told if key not in ASIDE}), sort_keys=True, default=str)


def _scale(table: pd.DataFrame) -> str:
    """How the runs' size compares to the paper's, where the table says so."""
    said = [str(text) for text in table["scale"].dropna().unique() if text] if "scale" in table else []
    return f" (scale: {'; '.join(said)})" if said else ""


def _ceiling(claim: Claim, gamma: float) -> float:
    """Most that the usage of a claim can be; nan where nothing is proven, or where the claim has no scale."""
    if np.isnan(gamma):
        return np.nan
    if claim.id in tightness.CEILINGS and not 0 < gamma < 1:
        return np.nan
    return tightness.ceiling(claim, gamma)


def _verdict(claim: Claim, counts: Mapping[Hashable, Any] | None, usages: pd.DataFrame, violated: bool) -> str:
    """What verify says, with what another run or the adversary has broken; the adversary alone; or that nothing is known."""
    broken = int((usages["usage"] > 1).sum()) if claim.kind in MEASURED else 0
    usage = float(usages["usage"].max()) if len(usages) else np.nan
    if counts is not None and str(counts["verdict"]).startswith("ERROR"):
        return str(counts["verdict"])
    if counts is not None:
        return verify.verdict(claim.status, int(counts["applies"]) + violated + broken, int(violated) + broken, usage)
    return verify.verdict(claim.status, len(usages), broken, usage) if len(usages) else "undecided here"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Write the ledger of all tables found under some folders.")
    parser.add_argument("folders", type=Path, nargs="+", help="folders of results, such as results and docs/results")
    parser.add_argument("--out", type=Path, default=Path("results/ledger"), help="folder of theorems.csv and empirical.csv")
    given = parser.parse_args()
    for folder in given.folders:
        if not folder.is_dir():
            raise SystemExit(f"there is no folder {folder}; give folders of results, such as results or docs/results")
    tables, problems = read(given.folders)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    outputs.check_writable(given.out, "--out FOLDER")
    for name, table in {"theorems": theorems(tables), "empirical": empirical(tables)}.items():
        path = given.out / f"{name}.csv"
        outputs.write(path, lambda partial, table=table: table.to_csv(partial, index=False))
        brief = [column for column in table if column not in ("formula", "source", "sentence", "measured", "rule", "table")]
        print(f"{table[brief].to_string(index=False, float_format='{:.3g}'.format)}\n{name:9} {shown(path)}\n")


if __name__ == "__main__":
    main()
