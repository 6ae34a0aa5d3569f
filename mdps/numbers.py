"""Tables of other numbers than floats."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any


class Numbers:
    """Base of array types whose entries are exact, or carry an error radius: tables of these are taken as they are given.

    Such a type takes part in numpy's protocols (``__array_ufunc__`` and ``__array_function__``), through which it answers the
    compiled kernels too. Everything that is written for floats then says the same of its numbers: an MDP made of such tables is
    evaluated and compared by the same functions.
    """

    @abstractmethod
    def either(self, other: Any) -> Any:
        """Given two forms of the same numbers, return what both allow: here floats would choose the one that rounds less."""

    @abstractmethod
    def near(self) -> Any:
        """Return numbers near these that are known exactly: any will do, and they widen no radius."""

    @abstractmethod
    def bounds(self) -> Any:
        """Return the lower and the upper ends of what is known, two arrays that can be compared."""
