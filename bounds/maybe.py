"""Decisions about enclosures, of which some may be open."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from bounds.enclosure import FUNCTIONS, Axis, Enclosure
from bounds.tables import connected


class Maybe(NDArrayOperatorsMixin):
    """An array of decisions of which some may be open: ``possibly`` and ``certainly``, with certainly <= possibly.

    As a single truth value, and where it has to index, it is what is certain.
    """

    __slots__ = ("certainly", "possibly")

    def __init__(self, possibly: Any, certainly: Any) -> None:
        self.possibly: NDArray[np.bool_] = np.asarray(possibly, dtype=bool)
        self.certainly: NDArray[np.bool_] = np.asarray(certainly, dtype=bool)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.certainly.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.certainly.ndim

    @property
    def open(self) -> NDArray[np.bool_]:
        """Where nothing is decided."""
        return self.possibly & ~self.certainly

    def __bool__(self) -> bool:
        return bool(self.certainly)

    def __len__(self) -> int:
        return len(self.certainly)

    def __getitem__(self, index: Any) -> Maybe:
        return Maybe(self.possibly[index], self.certainly[index])

    def __repr__(self) -> str:
        return f"Maybe(shape={self.shape}, open at {int(self.open.sum())})"

    def reshape(self, *shape: Any) -> Maybe:
        """The same decisions in another shape."""
        return Maybe(self.possibly.reshape(*shape), self.certainly.reshape(*shape))

    def astype(self, dtype: Any) -> Enclosure:
        """The decisions as numbers 0 and 1; what is open lies between."""
        return Enclosure((self.possibly.astype(dtype) + self.certainly) / 2, self.open / 2)

    def all(self, axis: Axis = None, keepdims: bool = False) -> Maybe:
        """Whether all hold, along an axis."""
        return Maybe(self.possibly.all(axis, keepdims=keepdims), self.certainly.all(axis, keepdims=keepdims))

    def any(self, axis: Axis = None, keepdims: bool = False) -> Maybe:
        """Whether any holds, along an axis."""
        return Maybe(self.possibly.any(axis, keepdims=keepdims), self.certainly.any(axis, keepdims=keepdims))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError("a decision about enclosures may be open and is no bool array; take its .possibly or .certainly")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__.replace("logical_", "bitwise_")
        if name == "_connected" and method == "__call__":  # more edges connect more
            edges = inputs[0]
            certainly = connected(edges.certainly)
            return Maybe(connected(edges.possibly) if edges.open.any() else certainly, certainly)
        kwargs.pop("out", None)  # of an in-place &=, whose name is bound to the result
        if method != "__call__" or kwargs or name not in ("bitwise_and", "bitwise_or", "bitwise_not", "invert"):
            return NotImplemented
        ends = [(x.possibly, x.certainly) if isinstance(x, Maybe) else (x, x) for x in inputs]
        if len(ends) == 1:
            return Maybe(~ends[0][1], ~ends[0][0])
        combine = np.logical_and if name == "bitwise_and" else np.logical_or
        return Maybe(*(combine(x, y) for x, y in zip(*ends, strict=True)))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return FUNCTIONS[function](*args, **kwargs) if function in FUNCTIONS else NotImplemented
