"""Memory for large results that is used again once nobody looks at it: fresh pages cost as much as what is computed into them.

A slab is on loan to one array. It comes back when the last view of that array is gone, and the next array of its size gets it.
Nothing here takes a lock, as a slab may come back in the midst of any line, in any thread: each step is one operation of a
deque's, and those are atomic. A process that forks has its own copy of all slabs, as of all memory.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL = 1 << 12
"""Numbers of an array that is left to numpy: its memory is used again anyway."""

KEPT = 1 << 24
"""Numbers of all slabs that wait to be used again, at most; the ones that have waited longest are dropped first."""

Array = NDArray[np.float64]


def empty(shape: tuple[int, ...]) -> Array:
    """Return an array as ``np.empty`` does, in memory that may have been another's before; it begins as a line of cache."""
    count = math.prod(shape)
    if count < SMALL:
        fresh = np.empty(count + _LINE // 8)
        skip = -fresh.ctypes.data % _LINE // 8
        return fresh[skip : skip + count].reshape(shape)
    return np.asarray(_Loan(_slab(_rounded(count)), count)).reshape(shape)


def waiting() -> int:
    """Numbers of all slabs that wait to be used again."""
    return sum(slab.size for slab in list(_WAITING))


class _Loan:
    """What a borrowed array keeps alive, and with it every view of that array."""

    def __init__(self, slab: Array, count: int) -> None:
        self._slab = slab
        start = slab.ctypes.data
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "typestr": np.dtype(np.float64).str,
            "shape": (count,),
            "data": (start + -start % _LINE, False),
        }

    def __del__(self) -> None:
        if _WAITING is not None:  # as all that is left of a module when the interpreter ends
            _WAITING.append(self._slab)
            with contextlib.suppress(IndexError):  # another thread was faster
                while waiting() > KEPT:
                    _WAITING.popleft()


_LINE = 64
_WAITING: deque[Array] = deque()


def _slab(size: int) -> Array:
    """A slab of ``size`` numbers and what it takes to begin a line of cache: one that waits, or a new one."""
    passed = []
    try:
        while True:
            slab = _WAITING.pop()
            if slab.size == size:
                return slab
            passed.append(slab)
    except IndexError:
        return np.empty(size)
    finally:
        _WAITING.extend(reversed(passed))


def _rounded(count: int) -> int:
    """Room for an array, rounded up by an eighth of it at most: arrays of nearly one size use the same slabs."""
    step = 1 << max(count.bit_length() - 4, 0)
    return -(-(count + _LINE // 8) // step) * step
