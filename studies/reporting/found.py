"""Which tables there are in the folders that were given, and what is wrong with those that cannot be shown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from studies import made, outputs
from studies.outputs import shown
from studies.own_modules import of_bounds
from studies.reporting.content import plain

CONFIGURED = tuple(sorted(path.stem for path in (outputs.ROOT / "conf" / "study").glob("*.yaml")))
"""Names of all studies that the command line knows."""


@dataclass(frozen=True)
class Found:
    """One folder of results: its table, or the reason why there is none."""

    study: str
    """"" where the folder does not tell."""
    folder: Path
    table: pd.DataFrame | None = None
    problem: str = ""
    label: str = ""
    """What the run is called: the name of its folder, with a number where several of a study share it."""

    @property
    def origins(self) -> list[dict[str, Any]]:
        """Attributes of the jobs that the table was made of, in their order; one for a single run.

        With the date and the machine, where a record beside the table says them.
        """
        return list(made.origins(self.folder, {} if self.table is None else self.table.attrs).values())

    @property
    def days(self) -> list[str]:
        """First and last day on which its jobs were made, UTC; one where these are the same, none where no record says it."""
        dates = sorted(str(origin["date"]) for origin in self.origins if origin.get("date"))
        return list(dict.fromkeys([*dates[:1], *dates[-1:]]))

    @property
    def seed(self) -> int:
        """The seed that the table was made with; 0 where it does not tell."""
        seed = (self.origins[0].get("config") or {}).get("seed") if self.origins else None
        return int(seed) if isinstance(seed, int) else 0


def find(folders: Sequence[Path]) -> list[Found]:
    """Look into folders, however deep, for tables and for what stands in their place.

    The jobs of a sweep are left out where the sweep's own table stands, as are folders whose name begins with a dot. A run that
    is found twice, made by the same command, is taken from the folder that was given first.
    """
    every = [found for folder in folders for found in (_under(folder) if folder.is_dir() else [_missing(folder)])]
    kept: dict[str, Found] = {}
    for found in every:
        kept.setdefault(_identity(found), found)
    ordered = sorted(
        kept.values(), key=lambda found: (found.study, found.seed, found.folder.name != "default", found.folder.name)
    )
    return [replace(found, label=label) for found, label in zip(ordered, _labels(ordered), strict=True)]


def tables(found: Sequence[Found]) -> dict[str, list[pd.DataFrame]]:
    """Return the tables by study, those of one study by seed."""
    by_study: dict[str, list[pd.DataFrame]] = {}
    for one in found:
        if one.table is not None:
            by_study.setdefault(one.study, []).append(one.table)
    return by_study


def age(found: Found) -> str:
    """Say that a table was made by another state of the code than this, naming both; "" where it was not."""
    own = outputs.provenance({}, found.study, [])
    for origin in found.origins:
        then = str(origin.get("version", "")), str(origin.get("sources", ""))
        if not all(then):
            return "This table does not say which version of the code made it."
        modules = (origin.get("config") or {}).get("bounds") or []
        now = str(own["version"]), _sources(modules)
        if then != now:
            return (
                f"Made by another state of the code: version {then[0]}, sources `{then[1]}`; this report was built by version "
                f"{now[0]}, sources `{now[1]}`. Run its command again to have it by this one."
            )
    return ""


def command(study: str, folder: Path) -> str:
    """Return what to type to have a folder's table, as far as its name tells."""
    if study not in CONFIGURED:
        return "python studies/run.py study=STUDY"
    overrides = [] if folder.name in ("default", study) else [_typed(part) for part in folder.name.split("__")]
    return " ".join(["python studies/run.py", f"study={study}", *overrides])


def _labels(found: Sequence[Found]) -> Iterator[str]:
    """Yield what each is called, a name of its own within its study."""
    seen: Counter[tuple[str, str]] = Counter()
    for one in found:
        name = one.study, one.folder.name
        seen[name] += 1
        yield one.folder.name if seen[name] == 1 else f"{one.folder.name} ({seen[name]})"


def _under(folder: Path) -> list[Found]:
    found = list(_look(folder, folder))
    if found:
        return found
    study = _guess(folder)
    return [
        Found(
            study,
            folder,
            problem=f"`{shown(folder)}` holds no table: its run has not ended. `{command(study, folder)}` makes it.",
        )
    ]


def _look(folder: Path, root: Path) -> Iterator[Found]:
    """Yield what is in a folder, then in those below it."""
    study, path = _guess(folder), folder / outputs.TABLE
    if (error := outputs.read_error(folder)) is not None:
        yield Found(study, folder, problem=f"The run of `{shown(folder)}` failed: {plain(error)}")
    combined = False
    if path.exists():
        one = _read(path, study)
        combined = one.table is not None and "jobs" in one.table.attrs
        yield one
    elif folder != root and study and folder.name != study and not any(child.is_dir() for child in folder.iterdir()):
        yield Found(
            study,
            folder,
            problem=f"`{shown(folder)}` holds no table: its run has not ended. `{command(study, folder)}` makes it.",
        )
    for below in sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")):
        if not combined:
            yield from _look(below, root)


def _read(path: Path, guess: str) -> Found:
    try:
        table = outputs.read_table(path)
        study = str(table["study"].iloc[0])
        module = outputs.study_module(study)
    except outputs.BadTable as bad:
        again = command(guess, path.parent)
        said = plain(str(bad).replace(str(path), shown(path)))
        return Found(guess, path.parent, problem=f"{said[0].upper()}{said[1:]}. Delete it and run `{again}`.")
    if not (hasattr(module, "summary") and hasattr(module, "figures")):
        said = f"`{shown(path)}` says that it is of {study!r}, which is no study: `studies.{study}` has no summary or no figures."
        return Found(guess, path.parent, problem=said)
    return Found(study, path.parent, table)


def _missing(folder: Path) -> Found:
    study = _guess(folder)
    kind = "is a file, not a folder of results" if folder.exists() else "does not exist"
    return Found(study, folder, problem=f"`{shown(folder)}` {kind}. `{command(study, folder)}` makes its table.")


def _guess(folder: Path) -> str:
    """The study that a folder belongs to by its path, ``.../<study>/<name>``; "" where that names none."""
    return next((part for part in reversed(folder.absolute().parts) if part in CONFIGURED), "")


def _identity(found: Found) -> str:
    """What two copies of one run have in common."""
    commands = [str(origin.get("command", "")) for origin in found.origins]
    if found.table is None or not all(commands):
        return json.dumps([str(found.folder.absolute()), found.problem])
    return json.dumps([found.study, commands])


def _typed(part: str) -> str:
    """An override as it was typed, from its folder's name: ``mdp=a+b`` -> ``mdp=[a,b]``."""
    key, _, value = part.partition("=")
    return f"{key}=[{value.replace('+', ',')}]" if "+" in value else part


def _sources(modules: str | Sequence[str]) -> str:
    try:
        return outputs.sources(of_bounds(modules))
    except ValueError as error:
        return f"unknown ({error})"
