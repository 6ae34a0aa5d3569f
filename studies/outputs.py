"""Tables on disk: written whole or not at all, with everything that made them in their attributes.

A table is parquet; its ``attrs`` hold

=============== ======================================================================================
``study``       which study made it
``fingerprint`` hash of the next four: a table with the same one need not be computed again
``config``      the resolved configuration, without the folder that results go to
``version``     of the project
``sources``     hash of the project's own code, and of the modules of bounds that were given
``command``     what to type to get it again
=============== ======================================================================================

A table combined of several jobs has ``study`` and ``jobs``, which maps each job's name to its attributes.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[1]
TABLE = "table.parquet"
PARTIAL = ".partial"


class BadTable(Exception):
    """A file that is no table of a study, with the reason."""


def check_writable(folder: Path) -> None:
    """Make a folder and try to write in it, before anything is computed.

    Raises
    ------
    SystemExit
        With a message, if that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable", suffix=PARTIAL):
            pass
    except OSError as error:
        raise SystemExit(
            f"cannot write results to {folder}: {error.strerror or error}. Give another folder: results=FOLDER"
        ) from None


def provenance(
    config: dict[str, Any], study: str, overrides: Sequence[str], modules: Sequence[ModuleType] = ()
) -> dict[str, Any]:
    """Attributes of the table of one job: see the module's docstring. ``modules`` are a user's own, part of what made it."""
    made = {
        "study": study,
        "config": {key: value for key, value in config.items() if key != "results"},
        "version": _version(),
        "sources": _digest(modules),
    }
    fingerprint = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]
    return {**made, "fingerprint": fingerprint, "command": " ".join(["python studies/run.py", *overrides])}


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table to ``path`` in one move: a reader, or an interruption, never sees half of it."""
    write(path, lambda partial: table.to_parquet(partial, index=False))


def write(path: Path, writer: Any) -> None:
    """Call ``writer`` with the path of a file beside ``path``, then move that there."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=PARTIAL)
    os.close(handle)
    try:
        writer(partial)
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


def read_attributes(path: Path) -> dict[str, Any]:
    """Attributes of the table at ``path``, without reading it; ``{}`` where there is none or it is no table of a study."""
    try:
        metadata = pyarrow.parquet.read_schema(path).pandas_metadata
    except (OSError, pyarrow.ArrowException):
        return {}
    return dict((metadata or {}).get("attributes") or {})


def read_table(path: Path) -> pd.DataFrame:
    """Read a table with its attributes.

    Raises
    ------
    BadTable
        If there is no file, it is not parquet (or only half of it), or no study wrote it.
    """
    if not path.is_file():
        raise BadTable(f"{path} does not exist")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise BadTable(f"{path} is damaged or half-written: {str(error).splitlines()[0]}") from None
    if "study" not in table or table.empty:
        raise BadTable(f"{path} is no table of a study: it has no column 'study', or no rows")
    return table


def study_module(study: str) -> ModuleType:
    """Import ``studies.<study>``.

    Raises
    ------
    BadTable
        If there is no such study.
    """
    try:
        return importlib.import_module(f"studies.{study}")
    except ModuleNotFoundError as error:
        raise BadTable(f"there is no study {study!r} ({error})") from None


def _version() -> str:
    try:
        return version("trpo-bounds")
    except PackageNotFoundError:
        return "unknown"


def _digest(modules: Sequence[ModuleType]) -> str:
    """Hash of the project's Python files and of the given modules' files."""
    own = [path for package in ("mdps", "bounds", "trpo", "studies") for path in sorted((ROOT / package).rglob("*.py"))]
    files = own + [Path(module.__file__) for module in modules if module.__file__]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
