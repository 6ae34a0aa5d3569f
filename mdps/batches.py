"""Batches for compiled code: tables as rows, one for each distinct instance, and chunks of a batch on all cores."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import config
from numpy.typing import NDArray

CHUNK = 2e5
"""Operations in a chunk, at least: some tens of microseconds, against which handing one over costs little."""

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def threads() -> int:
    """Cores that compiled code uses: ``NUMBA_NUM_THREADS``, by default all that this process may use."""
    return int(config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def rows(table: Array, batch: tuple[int, ...], core: int) -> tuple[Array, Index]:
    """Write a table [*B, ...] with ``core`` axes of its own as rows [N, K], and which of them each instance of ``batch`` reads.

    Axes along which a table is only repeated are not written out: one P may serve many policies.
    """
    axes = table.ndim - core
    if 0 in table.strides[:axes]:
        table = table[tuple(slice(None) if stride else slice(1) for stride in table.strides[:axes])]
    shape = table.shape[:axes]
    flat = np.ascontiguousarray(table).reshape(math.prod(shape), -1)
    if shape == batch:
        return flat, _in_order(len(flat))
    if len(flat) == 1:
        return flat, np.broadcast_to(np.int64(0), (math.prod(batch),))
    return flat, np.broadcast_to(np.arange(len(flat)).reshape(shape), batch).reshape(-1)


@functools.lru_cache(maxsize=1)
def _in_order(count: int) -> Index:
    """The numbers from 0 on, which all tables of a batch share."""
    numbers = np.arange(count)
    numbers.flags.writeable = False
    return numbers


def share(run: Callable[[int, int], object], count: int, width: int, work: float) -> None:
    """Call ``run(start, stop)`` for chunks of ``range(count)``, on all cores where that pays; ``run`` has to release the GIL.

    Parameters
    ----------
    run
        What to do with the instances from start to stop. Chunks must not depend on each other.
    count
        Number of instances.
    width
        Chunks begin at multiples of this.
    work
        Operations an instance takes, roughly.
    """
    workers = threads()
    per_chunk = max(CHUNK / work, count / (8 * workers))
    step = max(int(per_chunk) // width, 1) * width
    if workers == 1 or step >= count:
        run(0, count)
        return
    starts = itertools.count(0, step)  # next() on it is atomic: whoever is free takes the next chunk

    def take() -> None:
        while (start := next(starts)) < count:
            run(start, min(start + step, count))

    helpers = [_pool(workers - 1).submit(take) for _ in range(workers - 1)]
    take()
    for helper in helpers:
        helper.result()


_POOLS: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOLS.clear)  # threads do not survive a fork


def _pool(size: int) -> ThreadPoolExecutor:
    if size not in _POOLS:
        _POOLS[size] = ThreadPoolExecutor(size, thread_name_prefix="mdps")
    return _POOLS[size]
