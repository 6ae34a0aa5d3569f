"""Sparse matrices as rows: the few products that solving a large process needs, on all cores.

A matrix is cut into blocks of rows, one for each core, and a compiled function that does not hold Python's lock is called on each
from a thread of its own. Few nonzeros are not worth a thread.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types
from numba.core import config
from numpy.typing import NDArray
from scipy.sparse import csr_array

from mdps.kernels import chunked, inner
from mdps.mdp import Array

Indices = NDArray[np.uint32]

UNIT = float(np.finfo(float).eps) / 2
"""Largest relative error of one rounding."""

THREADS = int(config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
"""Cores this process may use, as numba counts them."""

WORTH_A_THREAD = 3_000_000
"""Nonzeros below which a product is made by one thread: on busy cores, handing work over can take a millisecond."""

_INDEX = types.Array(types.uint32, 1, "C", readonly=True)
_VECTOR = types.Array(types.float64, 1, "C", readonly=True)
_TABLE = types.Array(types.float64, 2, "C", readonly=True)
_MATRIX = (_INDEX, _INDEX, _VECTOR)  # row starts, columns, entries
_NUMBER, _OUT = types.float64, types.float64[::1]


@dataclass(frozen=True, eq=False)
class Rows:
    """A nonnegative matrix [m, n] in compressed rows. Build it with :func:`rows`."""

    starts: Indices  # [m + 1]: where each row begins in the two tables below
    columns: Indices  # [nonzeros], in any order within a row; one may come twice
    entries: Array  # [nonzeros]
    cuts: tuple[int, ...]  # ends of the blocks of rows, from 0 to m

    @property
    def widest(self) -> int:
        """The largest number of stored entries in a row."""
        return int(np.diff(self.starts).max())

    def affine(self, y: Array, c: float, x: Array, out: Array | None = None) -> Array:
        """``y + c M x`` for y [m] and x [n], written to ``out`` [m], which must be neither of them."""
        result = np.empty(len(self.starts) - 1) if out is None else out
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)

        def part(i: int, j: int) -> None:
            _affine(self.starts[i : j + 1], self.columns, self.entries, x, y[i:j], c, result[i:j])

        self._each(part)
        return result

    def residual(self, b: Array, c: float, x: Array, level: float = 0.0) -> tuple[Array, Array]:
        """``b - level - x + c M x`` [m] of a square matrix, summed twice as precisely, and its size [m],
        ``|b| + |x| + |c| M |x|``.

        What it rounds is below ``4 u`` times its size and ``8 u`` times itself, u = 2^-53, however long the rows are: products
        are rounded, their sum is compensated (Ogita, Rump and Oishi 2005, SIAM J. Sci. Comput. 26(6), algorithm 4.1).
        """
        result, size = np.empty(len(x)), np.empty(len(x))
        x, b = np.ascontiguousarray(x), np.ascontiguousarray(b)

        def part(i: int, j: int) -> None:
            _residual(self.starts[i : j + 1], self.columns, self.entries, x, x[i:j], b[i:j], level, c, result[i:j], size[i:j])

        self._each(part)
        return result, size

    def best(self, y: Array, c: float, x: Array) -> tuple[Array, NDArray[np.int64]]:
        """``max_a (y + c M x)`` [S] and the first a that attains it [S], for y [S,A] and a matrix of S A rows."""
        states, actions = y.shape
        value, action = np.empty(states), np.empty(states, dtype=np.int64)
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)

        def part(i: int, j: int) -> None:
            i, j = i // actions, j // actions
            _best(self.starts[i * actions : j * actions + 1], self.columns, self.entries, x, y[i:j], c, value[i:j], action[i:j])

        self._each(part)
        return value, action

    def sweep(self, c: float, v: Array) -> Array:
        """``K^-1 v`` [n], K the symmetric Gauss-Seidel splitting of ``I - c M``: one pass down and one up, on one core.

        For a nonnegative M with row or column sums of one and c < 1 the splitting is regular: ``x <- x + K^-1 (b - x + c M x)``
        converges from everywhere (Varga 1962, Matrix Iterative Analysis, theorem 3.13).
        """
        z = np.empty_like(v)
        _sweep(self.starts, self.columns, self.entries, np.ascontiguousarray(v), c, z)
        return z

    def _each(self, part: Callable[[int, int], None]) -> None:
        blocks = list(zip(self.cuts[:-1], self.cuts[1:], strict=True))
        others = [_pool(os.getpid()).submit(part, *block) for block in blocks[1:]]
        part(*blocks[0])
        for other in others:
            other.result()


def rows(matrix: csr_array) -> Rows:
    """Read a scipy matrix, sharing its tables; it has fewer than 2^31 nonzeros."""
    return arranged(*_indices(matrix), matrix.data)


def arranged(starts: Indices, columns: Indices, entries: Array) -> Rows:
    """Cut the rows into blocks of about as many nonzeros, one for each core."""
    pieces = THREADS if len(entries) >= WORTH_A_THREAD else 1
    cuts = np.searchsorted(starts, np.linspace(0, len(entries), pieces + 1)[1:-1])
    return Rows(starts, columns, entries, tuple(int(i) for i in (0, *cuts, len(starts) - 1)))


def depth_first(matrix: csr_array) -> NDArray[np.int64]:
    """An order of the states [S] in which, cycles apart, a state comes after all that it leads to (a depth-first post-order)."""
    order = np.empty(matrix.shape[0], dtype=np.int64)
    _depth_first(*_indices(matrix), order)
    return order


def _indices(matrix: csr_array) -> tuple[Indices, Indices]:
    """Row starts and columns as unsigned numbers: a signed index costs a test for being negative at every use."""
    starts, columns = (np.asarray(x, dtype=np.int32).view(np.uint32) for x in (matrix.indptr, matrix.indices))
    return starts, columns


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads of this process: those of a parent do not survive a fork."""
    return ThreadPoolExecutor(max(THREADS - 1, 1), thread_name_prefix=f"rows-{process}")


@chunked(types.void(*_MATRIX, _VECTOR, _VECTOR, _NUMBER, _OUT))
def _affine(starts: Any, columns: Any, entries: Any, x: Any, y: Any, c: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        k, last = np.int64(starts[i]), np.int64(starts[i + 1])
        t0, t1, t2, t3 = 0.0, 0.0, 0.0, 0.0
        while k + 4 <= last:  # four sums: no load waits for another's
            t0 += entries[np.uint64(k)] * x[columns[np.uint64(k)]]
            t1 += entries[np.uint64(k + 1)] * x[columns[np.uint64(k + 1)]]
            t2 += entries[np.uint64(k + 2)] * x[columns[np.uint64(k + 2)]]
            t3 += entries[np.uint64(k + 3)] * x[columns[np.uint64(k + 3)]]
            k += 4
        while k < last:
            t0 += entries[np.uint64(k)] * x[columns[np.uint64(k)]]
            k += 1
        out[i] = y[i] + c * ((t0 + t1) + (t2 + t3))


@chunked(types.void(*_MATRIX, _VECTOR, _VECTOR, _VECTOR, _NUMBER, _NUMBER, _OUT, _OUT))
def _residual(starts: Any, columns: Any, entries: Any, x: Any, own: Any, b: Any, level: Any, c: Any, out: Any, size: Any) -> None:
    for i in range(out.shape[0]):
        total = b[i] - level
        back = total - b[i]
        lost = (b[i] - (total - back)) + (-level - back)
        new = total - own[i]
        back = new - total
        lost += (total - (new - back)) + (-own[i] - back)
        total = new
        magnitude = abs(b[i]) + abs(own[i])
        for k in range(np.int64(starts[i]), np.int64(starts[i + 1])):
            term = c * entries[np.uint64(k)] * x[columns[np.uint64(k)]]
            magnitude += abs(term)
            new = total + term
            back = new - total
            lost += (total - (new - back)) + (term - back)
            total = new
        out[i] = total + lost
        size[i] = magnitude


@chunked(types.void(*_MATRIX, _VECTOR, _TABLE, _NUMBER, _OUT, types.int64[::1]))
def _best(starts: Any, columns: Any, entries: Any, x: Any, y: Any, c: Any, value: Any, action: Any) -> None:
    actions = y.shape[1]
    for i in range(y.shape[0]):
        best, which = -np.inf, 0
        for a in range(actions):
            row = i * actions + a
            total = 0.0
            for k in range(np.int64(starts[row]), np.int64(starts[row + 1])):
                total += entries[np.uint64(k)] * x[columns[np.uint64(k)]]
            q = y[i, a] + c * total
            if q > best:
                best, which = q, a
        value[i], action[i] = best, which


@chunked(types.void(*_MATRIX, _VECTOR, _NUMBER, _OUT))
def _sweep(starts: Any, columns: Any, entries: Any, v: Any, c: Any, z: Any) -> None:
    n = z.shape[0]
    for i in range(n):
        total, diagonal = v[i], 1.0
        for k in range(np.int64(starts[i]), np.int64(starts[i + 1])):
            j = np.int64(columns[np.uint64(k)])
            if j < i:
                total += c * entries[np.uint64(k)] * z[np.uint64(j)]
            elif j == i:
                diagonal -= c * entries[np.uint64(k)]
        z[i] = total / diagonal
    for i in range(n - 1, -1, -1):
        total, diagonal = 0.0, 1.0
        for k in range(np.int64(starts[i]), np.int64(starts[i + 1])):
            j = np.int64(columns[np.uint64(k)])
            if j > i:
                total += c * entries[np.uint64(k)] * z[np.uint64(j)]
            elif j == i:
                diagonal -= c * entries[np.uint64(k)]
        z[i] += total / diagonal


@inner("void(u4[::1],u4[::1],i8[::1])", allocates=True)
def _depth_first(starts: Any, columns: Any, order: Any) -> None:
    n = order.shape[0]
    place = np.zeros(n, dtype=np.int64)  # 0: not seen; else one more than the next edge to follow
    stack = np.empty(n, dtype=np.int64)
    done = 0
    for root in range(n):
        if place[root] != 0:
            continue
        depth = 1
        stack[0] = root
        place[root] = np.int64(starts[root]) + 1
        while depth > 0:
            state = stack[depth - 1]
            edge = place[state] - 1
            if edge < np.int64(starts[state + 1]):
                place[state] += 1
                child = np.int64(columns[edge])
                if place[child] == 0:
                    place[child] = np.int64(starts[child]) + 1
                    stack[depth] = child
                    depth += 1
            else:
                order[done] = state
                done += 1
                depth -= 1
