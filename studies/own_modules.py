"""A user's own modules: of claims, of an agent. They lie in the working directory, or wherever Python finds them."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from studies.outputs import shown


def imported(name: str, asker: str) -> ModuleType:
    """Import a module that ``asker``, such as "bounds", names.

    Raises
    ------
    ValueError
        If there is none of that name, or it cannot be imported; the message says why, and in which line. What went wrong is its
        cause.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # it may fail in any way, and end the program
        said = f"{asker} names the module {name!r}, which cannot be"
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            stem = name.removesuffix(".py")
            hint = "; write its name without .py" if stem != name else ""
            file = f"{stem.replace('.', '/')}.py"
            raise ValueError(f"{said} found. Expected a file {file} in {Path.cwd()} or on PYTHONPATH{hint}") from error
        what = error.msg if isinstance(error, SyntaxError) else error
        raise ValueError(f"{said} imported: {_place(error)}: {type(error).__name__}: {what}. Mend it, or leave it out") from error


def of_bounds(names: str | Sequence[str]) -> list[ModuleType]:
    """Import the modules of claims that ``bounds`` names, one or several: they register themselves; see :func:`imported`."""
    return [imported(name, "bounds") for name in ([names] if isinstance(names, str) else names)]


def import_bounds(names: str | Sequence[str]) -> list[ModuleType]:
    """Import a user's modules of claims for a command.

    Raises
    ------
    SystemExit
        If one cannot be imported: the command ends with the message.
    """
    try:
        return of_bounds(names)
    except ValueError as error:
        raise SystemExit(str(error)) from None


def _place(error: BaseException) -> str:
    """File and line where an import failed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(Path(error.filename))}, line {error.lineno}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{shown(Path(last.filename))}, line {last.lineno}"
