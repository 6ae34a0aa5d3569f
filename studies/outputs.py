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

A job that failed leaves ``error.txt`` in place of a table: what went wrong on the first line, below it where.

Whoever writes into a folder holds its lock (:func:`alone`). A process that is killed, however hard, lets go of it, so two
processes never compute the same job at once and none is ever locked out. What it had half written is removed by the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import logging
import os
import re
import shlex
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import pandas as pd
import pyarrow
import pyarrow.parquet

try:
    import fcntl
except ImportError:  # not a POSIX system: no lock, so run one sweep at a time in a folder
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
TABLE = "table.parquet"
ERROR = "error.txt"
PARTIAL = ".partial"
LOCK = ".lock"


class BadTable(Exception):
    """A file that is no table of a study, with the reason."""


def check_writable(folder: Path, how: str = "results=FOLDER") -> None:
    """Make a folder and try to write in it, before anything is computed; ``how`` is what to type to give another one.

    Raises
    ------
    SystemExit
        With a message, if that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SystemExit(
            f"cannot write results to {shown(folder)}: {error.strerror or error}. Give another folder: {how}"
        ) from None


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, waiting for it if another process does, and remove what a killed one had half written there.

    On a file system that has no locks, nobody waits: two processes may then compute the same table, which harms neither.
    """
    path = folder / LOCK
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with open(path, "w") as file:
            held = _hold(file, folder)
            if held and not _names(path, file):
                continue  # its owner removed it while we waited: hold the one that others see
            try:
                if held:
                    for partial in folder.glob(f".*{PARTIAL}"):
                        partial.unlink(missing_ok=True)
                yield
            finally:
                if held:
                    path.unlink(missing_ok=True)
            return


def provenance(
    config: dict[str, Any], study: str, overrides: Sequence[str], modules: Sequence[ModuleType] = ()
) -> dict[str, Any]:
    """Attributes of the table of one job: see the module's docstring. ``modules`` are a user's own, part of what made it."""
    made = {
        "study": study,
        "config": {key: value for key, value in config.items() if key != "results"},
        "version": _version(),
        "sources": sources(modules),
    }
    fingerprint = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]
    return {**made, "fingerprint": fingerprint, "command": " ".join(["python studies/run.py", *map(_typed, overrides)])}


def _typed(word: str) -> str:
    """A word as one types it: in quotes where a shell would read it otherwise."""
    return word if re.fullmatch(r"[\w@%+=:,./\[\]-]+", word) else shlex.quote(word)


def write_error(folder: Path, error: BaseException) -> None:
    """Write why the job of a folder failed to its ``error.txt``, in one move."""
    cause = error.__cause__ or error  # Hydra's own errors wrap those of a study
    first = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
    text = f"{first}\n\n{''.join(traceback.format_exception(error))}"
    with alone(folder):
        write(folder / ERROR, lambda partial: Path(partial).write_text(text))


def read_error(folder: Path) -> str | None:
    """Return in one line why the job of a folder failed, or None if it did not."""
    try:
        return (folder / ERROR).read_text().partition("\n")[0]
    except FileNotFoundError:
        return None


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
        If there is no such file, it is not parquet (or only half of it), or no study wrote it.
    """
    if path.is_dir():
        raise BadTable(f"{path} is a folder; give the table in it: {path / TABLE}")
    if not path.is_file():
        raise BadTable(f"{path} does not exist")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise BadTable(f"{path} is damaged or half-written: {str(error).splitlines()[0]}") from None
    if "study" not in table or table.empty:
        raise BadTable(f"{path} is no table of a study: it has no column 'study', or no rows")
    return table


def shown(path: Path) -> str:
    """Write a path as one would type it: relative to the working directory where it lies under that."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


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


def sources(modules: Sequence[ModuleType]) -> str:
    """Hash of the project's Python files and of the given modules' files."""
    own = [path for package in ("mdps", "bounds", "trpo", "studies") for path in sorted((ROOT / package).rglob("*.py"))]
    files = own + [Path(file) for module in modules if (file := getattr(module, "__file__", None))]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _hold(file: IO[str], folder: Path) -> bool:
    """Lock a file, waiting for it; return whether that can be done here."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("another process is at work in %s; waiting for it", shown(folder))
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _names(path: Path, file: IO[str]) -> bool:
    """Whether a path is still that of an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
