"""How kernels are compiled: once, to disk, by one process at a time, and anew when any of them has changed.

A kernel has others inlined in it, from other files, and numba compares its own file only with what it has on disk. So that no
kernel keeps the old code of another, all of a package are compiled again (in less than a minute) where one has changed, and with
those of this package all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from numba import guvectorize, njit
from numba.core import caching

try:
    import fcntl
except ImportError:  # not a POSIX system: no lock, so let one process compile before others start
    fcntl = None  # type: ignore[assignment]


def kernel(signature: str, layout: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function to a generalised ufunc, e.g. ``@kernel("(f8[:],f8[:])", "(a)->(a)")``; leading axes then broadcast.

    Parameters
    ----------
    signature
        Types of the arguments, outputs last.
    layout
        Their core axes, in numpy's notation.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        with _alone(function):
            return guvectorize([signature], layout, nopython=True, cache=True)(function)

    return compiled


def inner(signature: Any, allocates: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that kernels call, e.g. ``@inner("f8(f8)")``; a division by zero follows IEEE 754.

    Parameters
    ----------
    signature
        Types of the result and the arguments; a list of several for a function of several kinds of numbers.
    allocates
        Whether it makes arrays. One that does not is compiled without reference counts: counting a borrowed array up and down is
        atomic, and where tables are small it costs as much as what is computed from them.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        with _alone(function):
            return njit(signature, cache=True, error_model="numpy", _nrt=allocates)(function)  # type: ignore[call-overload]

    return compiled


def chunked(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that works on a chunk of a batch and releases the GIL, so that chunks run side by side."""

    def compiled(function: Callable[..., Any]) -> Any:
        with _alone(function):
            return njit(signature, cache=True, error_model="numpy", nogil=True)(function)

    return compiled


@contextlib.contextmanager
def _alone(function: Callable[..., Any]) -> Iterator[None]:
    """Hold a lock on the function's source file: processes that fill numba's cache at the same time can corrupt it."""
    path = Path(function.__code__.co_filename)
    stamp = _stamp(path.parent)
    with open(path) as source, patch.object(caching._SourceFileBackedLocatorMixin, "get_source_stamp", lambda _: stamp):
        if fcntl:
            fcntl.flock(source, fcntl.LOCK_EX)
        yield


@functools.cache
def _stamp(folder: Path) -> str:
    """A digest of all sources in a folder, and in this one, that have to do with compiling."""
    digest = hashlib.sha256()
    for path in sorted({*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")}):
        source = path.read_bytes()
        if b"numba" in source or b"mdps.kernels" in source:
            digest.update(path.name.encode() + b"\0" + source + b"\0")
    return digest.hexdigest()
