"""Enclosures that know more than their radii say: that they are distributions, or which of them are the same number.

What is so by definition no radius shows. Probabilities sum to one, so that a mean lies between the ends of what it is of;
two policies that are one, or that nothing follows, visit states alike; actions that do the same are worth the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bounds import enclosed_divergences as divergences
from bounds.enclosed_planes import empty, expanded, matrix, table
from bounds.enclosure import Axis, Enclosure, is_last
from mdps.mdp import MDP, Array


class Advantages(Enclosure):
    """Advantages [*B,S,A], or those negated, that know which of them are the same number: those of actions that do the same."""

    __slots__ = ("process",)

    def __init__(self, mid: Array, rad: Array, process: MDP) -> None:
        super().__init__(mid, rad)
        self.process = process

    def alike(self) -> NDArray[np.intp]:
        """The first action that does what each one does [*B,S,A]; at gamma = 0 rows do not matter."""
        P, R = self.process.P, self.process.R
        rows = (P[..., :, None, :] == P[..., None, :, :]).all(-1) | (self.process.gamma == 0)[..., None, None, None]
        same: NDArray[np.intp] = ((R[..., :, None] == R[..., None, :]) & rows).argmax(-1)
        return np.broadcast_to(same, self.shape)

    def argmax(self, axis: int, alike: Callable[[], NDArray[np.intp]] | None = None) -> NDArray[np.intp]:
        """Index of the first largest advantage along an axis."""
        return super().argmax(axis, self.alike if axis in (-1, self.ndim - 1) else None)


class Distributions(Enclosure):
    """Numbers of which those along the last axis are not negative and sum to one: their sum is exact, and a mean has its ends."""

    __slots__ = ()

    def _rows(self, change: Callable[[Array], Array]) -> Distributions:
        return Distributions(change(self.mid), change(self.rad))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Enclosure:
        """Sum along axes; exactly one along the last."""
        if is_last(axis, self.ndim):
            return Enclosure(np.ones((*self.shape[:-1], 1) if keepdims else self.shape[:-1]))
        return super().sum(axis, keepdims)

    def __getitem__(self, index: Any) -> Enclosure:
        parts = index if isinstance(index, tuple) else (index,)
        if parts and parts[-1] is Ellipsis and sum(map(_axes, parts[:-1])) < self.ndim:  # the rows stay whole
            return self._rows(lambda table: table[index])
        return super().__getitem__(index)

    def broadcast(self, shape: tuple[int, ...]) -> Enclosure:
        """The same distributions repeated, as views."""
        if shape[-1] != self.shape[-1]:
            return super().broadcast(shape)
        return self._rows(lambda table: np.broadcast_to(table, shape))


class Weights(Enclosure):
    """Numbers that are positive because of what they are, exponentials, however little is known of them."""

    __slots__ = ()


class Law(Distributions):
    """Distributions along the last axis: the exact normalisation of the rows of a float table.

    Parameters
    ----------
    table
        Nonnegative floats [..., n] whose rows sum nearly to one.
    """

    __slots__ = ("table",)

    def __init__(self, table: Array) -> None:
        table = np.asarray(table, dtype=float)
        super().__init__(table, _off_normalised(table))
        self.table = table

    def _rows(self, change: Callable[[Array], Array]) -> Law:
        law = object.__new__(Law)
        law.mid, law.rad, law.table = change(self.mid), change(self.rad), change(self.table)
        return law


def _axes(part: Any) -> int:
    """How many axes a part of an index is about."""
    return np.ndim(part) if np.asarray(part).dtype == bool else int(part is not None)


def _off_normalised(rows: Array) -> Array:
    """How far the entries of a table [..., n] may be from those of the normalised rows."""
    batch, core = tuple(rows.shape[:1]) if rows.ndim > 1 else (), tuple(rows.shape[1:]) if rows.ndim > 1 else rows.shape
    off = empty(batch, core)
    divergences.off_normalised(expanded(matrix(rows, batch, len(core)), len(off)), rows.shape[-1], off)
    return table(off, batch, core)


class Visits(Distributions):
    """Visits of a policy, normalised, that know where another's are the same numbers: ``where`` [*B] of ``other``."""

    __slots__ = ("other", "where")

    def __init__(self, mid: Array, rad: Array, other: Enclosure, where: NDArray[np.bool_]) -> None:
        super().__init__(mid, rad)
        self.other, self.where = other, where
