"""How kernels are compiled: when first called, to disk, by one process at a time, and anew when any of them has changed.

A program loads the kernels that it calls, and none of those that they call in turn: an import alone loads no kernel.

A kernel has others inlined in it, from other files, and numba compares its own file only with what it has on disk. So that no
kernel keeps the old code of another, all of a package are compiled again where one has changed, and with those of this package
all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from llvmlite import binding as llvm  # type: ignore[import-untyped]
from numba import guvectorize, njit, types
from numba.core import caching, codegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.llvm_bindings import create_pass_builder
from numba.extending import typeof_impl

try:
    import fcntl
except ImportError:  # not a POSIX system: no lock, so let one process compile before others start
    fcntl = None  # type: ignore[assignment]


class Deferred:
    """A function that is compiled, or read from disk, when it is first called or a kernel that calls it is compiled."""

    def __init__(self, function: Callable[..., Any], compiler: Callable[[Callable[..., Any]], Any], rolled: bool = False) -> None:
        functools.update_wrapper(self, function)
        self._function, self._compiler = function, compiler
        self._passes = _rolled_passes if rolled else create_pass_builder
        self._stamp = _stamp(Path(function.__code__.co_filename).parent)  # of the code as it was read, not as it is later
        self._compiled: Any = None

    @property
    def compiled(self) -> Any:
        """What numba made of it: a dispatcher or a generalised ufunc."""
        if self._compiled is None:
            path = Path(self._function.__code__.co_filename)
            with _alone(path, self._stamp), patch.object(codegen, "create_pass_builder", self._passes):
                if self._compiled is None:
                    self._compiled = self._compiler(self._function)
        return self._compiled

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call what numba made of it."""
        return self.compiled(*args, **options)


@typeof_impl.register(Deferred)
def _typeof(deferred: Deferred, context: Any) -> types.Type:
    """Tell numba, where it compiles a function that calls this one, what it calls."""
    return types.Dispatcher(deferred.compiled)


def kernel(signature: str, layout: str) -> Callable[[Callable[..., Any]], Deferred]:
    """Make a function a generalised ufunc, e.g. ``@kernel("(f8[:],f8[:])", "(a)->(a)")``; leading axes then broadcast.

    Parameters
    ----------
    signature
        Types of the arguments, outputs last.
    layout
        Their core axes, in numpy's notation.
    """
    return lambda function: Deferred(function, guvectorize([signature], layout, nopython=True, cache=True))


def inner(signature: Any, *, allocates: bool = False, inlined: bool = False) -> Callable[[Callable[..., Any]], Deferred]:
    """Compile a function that kernels call, e.g. ``@inner("f8(f8)")``; a division by zero follows IEEE 754.

    Parameters
    ----------
    signature
        Types of the result and the arguments; a list of several for a function of several kinds of numbers.
    allocates
        Whether it makes arrays. One that does not is compiled without reference counts: counting a borrowed array up and down is
        atomic, and where tables are small it costs as much as what is computed from them.
    inlined
        Whether its code becomes a part of each kernel that calls it, which then unrolls its loops or not. A call hands over nine
        numbers for each array: where arrays are small, as much work as what is done with them.
    """
    options: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": allocates, "forceinline": inlined}
    return lambda function: Deferred(function, njit(signature, **options), rolled=inlined)


def chunked(signature: Any, *, rolled: bool = False) -> Callable[[Callable[..., Any]], Deferred]:
    """Compile a function that works on a chunk of a batch and releases the GIL, so that chunks run side by side.

    Parameters
    ----------
    signature
        Types of the result and the arguments.
    rolled
        Whether loops stay as they are written. Unrolled, a long kernel on small tables is more code, most of it for turns that
        are left over, than a processor keeps decoded; it then waits for its instructions.
    """
    compiler = njit(signature, cache=True, error_model="numpy", nogil=True)
    return lambda function: Deferred(function, compiler, rolled)


_one_thread = threading.RLock()
_held: set[Path] = set()


@contextlib.contextmanager
def _alone(path: Path, stamp: str) -> Iterator[None]:
    """Hold a lock on a source file: processes that fill numba's cache at the same time can corrupt it.

    One thread does so at a time, and a kernel may compile others of its file on the way.
    """
    with contextlib.ExitStack() as held:
        held.enter_context(global_compiler_lock)  # numba's own, first as elsewhere: what is patched in numba here is for no other
        held.enter_context(_one_thread)
        held.enter_context(patch.object(caching._SourceFileBackedLocatorMixin, "get_source_stamp", lambda _: stamp))
        if fcntl and path not in _held:
            fcntl.flock(held.enter_context(open(path)), fcntl.LOCK_EX)
            _held.add(path)
            held.callback(_held.discard, path)
        yield


def _rolled_passes(machine: Any, opt: int = 2, loop_vectorize: bool = False, slp_vectorize: bool = False) -> Any:
    """Make numba's passes for LLVM without the one that unrolls loops."""
    options = llvm.create_pipeline_tuning_options(speed_level=opt)
    options.loop_vectorization, options.slp_vectorization, options.loop_unrolling = loop_vectorize, slp_vectorize, False
    return llvm.create_pass_builder(machine, options)


@functools.cache
def _stamp(folder: Path) -> str:
    """A digest of all sources in a folder, and in this one, that have to do with compiling."""
    digest = hashlib.sha256()
    for path in sorted({*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")}):
        source = path.read_bytes()
        if b"numba" in source or b"mdps.kernels" in source:
            digest.update(path.name.encode() + b"\0" + source + b"\0")
    return digest.hexdigest()
