"""How kernels are compiled: once, to disk, and by one process at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from numba import guvectorize, njit

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


def inner(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that kernels call, e.g. ``@inner("f8(f8)")``; a division by zero follows IEEE 754."""

    def compiled(function: Callable[..., Any]) -> Any:
        with _alone(function):
            return njit(signature, cache=True, error_model="numpy")(function)

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
    with open(function.__code__.co_filename) as source:
        if fcntl:
            fcntl.flock(source, fcntl.LOCK_EX)
        yield
