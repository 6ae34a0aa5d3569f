"""Batches of numbers known to within a radius, which run every claim as it stands and know what they may be off by.

An :class:`Enclosure` takes part in numpy's protocols, so :func:`bounds.compare.compare` and every statement of the catalogue
compute with it. What it answers to which of numpy's functions is filed in :data:`UFUNCS` and :data:`FUNCTIONS` by
:mod:`bounds.enclosed_comparison`; a comparison of two enclosures is a
:class:`bounds.maybe.Maybe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from bounds import rounded, rounded_shares
from bounds.arranged import arrange, arrange_sums
from bounds.tables import first_largest
from mdps.lanes import WIDTH
from mdps.mdp import Array
from mdps.numbers import Numbers

Axis = int | tuple[int, ...] | None

UFUNCS: dict[str, Callable[..., Any]] = {}
"""What enclosures answer to ufuncs and compiled kernels, by their names."""

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""What they answer to numpy's other functions."""

_CHOICES: ContextVar[list[NDArray[np.bool_]] | None] = ContextVar("choices", default=None)


@contextmanager
def choices() -> Iterator[list[NDArray[np.bool_]]]:
    """Let mids make a choice that radii leave open within the block, and list where: masks of the shapes of the choices.

    What is computed from it says nothing of the instances in the list.
    """
    found: list[NDArray[np.bool_]] = []
    token = _CHOICES.set(found)
    try:
        yield found
    finally:
        _CHOICES.reset(token)


class Enclosure(NDArrayOperatorsMixin, Numbers):
    """An array of real numbers, or inf, each within ``rad`` of ``mid``; see :mod:`bounds.rounding` for what the pair may be.

    Parameters
    ----------
    mid
        Floats of any shape; an inf is that number itself.
    rad
        Radii that broadcast to the shape of ``mid``; 0, the default, where the float is the number.
    """

    __slots__ = ("mid", "rad")

    def __init__(self, mid: Any, rad: Any = 0.0) -> None:
        self.mid: Array = np.asarray(mid, dtype=float)
        self.rad: Array = np.asarray(rad, dtype=float)
        if self.rad.shape != self.mid.shape:
            self.rad = np.broadcast_to(self.rad, self.mid.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.mid.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.mid.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.mid.size

    @property
    def T(self) -> Enclosure:
        """The array with its axes reversed."""
        return self._view(lambda table: table.T)

    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper ends, rounded outwards; -inf and inf where nothing is known."""
        return ends(self.mid, self.rad)

    def either(self, other: Enclosure) -> Enclosure:
        """Of two enclosures of the same numbers, entry by entry the one that says more."""
        better = self.rad <= other.rad
        return Enclosure(np.where(better, self.mid, other.mid), np.where(better, self.rad, other.rad))

    def near(self) -> Enclosure:
        """Numbers near these and known exactly: the mids."""
        return Enclosure(self.mid)

    def _view(self, change: Callable[[Array], Array]) -> Enclosure:
        return Enclosure(change(self.mid), change(self.rad))

    def __len__(self) -> int:
        return len(self.mid)

    def __iter__(self) -> Iterator[Enclosure]:
        return (self[i] for i in range(len(self.mid)))

    def __getitem__(self, index: Any) -> Enclosure:
        return self._view(lambda table: table[index])

    def __repr__(self) -> str:
        worst = float(self.rad.max()) if self.size else 0.0
        return f"{type(self).__name__}(shape={self.shape}, rad up to {worst:.1e})"

    def reshape(self, *shape: Any) -> Enclosure:
        """The same numbers in another shape."""
        return self._view(lambda table: table.reshape(*shape))

    def broadcast(self, shape: tuple[int, ...]) -> Enclosure:
        """The same numbers repeated, as views."""
        return self._view(lambda table: np.broadcast_to(table, shape))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Enclosure:
        """Sum along axes."""
        total = reduced(rounded.TOTAL, self, axis, keepdims)
        return Total(total.mid, total.rad, self) if keepdims and is_last(axis, self.ndim) else total

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Enclosure:
        """Mean along axes."""
        result = self.sum(axis, keepdims)
        return result / (self.size / max(result.size, 1))

    def max(self, axis: Axis = None, keepdims: bool = False) -> Enclosure:
        """Maximum along axes."""
        top = reduced(rounded.MOST, self, axis, keepdims)
        return Top(top.mid, top.rad, self) if keepdims and is_last(axis, self.ndim) else top

    def min(self, axis: Axis = None, keepdims: bool = False) -> Enclosure:
        """Minimum along axes."""
        return -reduced(rounded.MOST, -self, axis, keepdims)

    def clip(self, low: Any, high: Any) -> Enclosure:
        """The numbers, moved to the nearest end where they lie outside [low, high]."""
        return cast(Enclosure, np.minimum(np.maximum(self, low), high))

    def argmax(self, axis: int, alike: Callable[[], NDArray[np.intp]] | None = None) -> NDArray[np.intp]:
        """Index of the first largest entry along an axis; ``alike()``: the first index of an entry that is the same number.

        Raises
        ------
        ArithmeticError
            If the radii leave open which entry that is, and nobody keeps a list of such :func:`choices`.
        """
        index = np.expand_dims(first_largest(self.mid) if axis in (-1, self.ndim - 1) else self.mid.argmax(axis), axis)
        low, high = self.bounds()
        top, least = np.take_along_axis(self.mid, index, axis), np.take_along_axis(low, index, axis)
        tied = (self.mid == top) & (self.rad == 0) & (np.take_along_axis(self.rad, index, axis) == 0)
        others = np.arange(self.shape[axis]).reshape([-1 if a == axis % self.ndim else 1 for a in range(self.ndim)]) != index
        rival = (high >= least) & ~tied & others
        if alike is not None and rival.any():
            first = alike()
            index = np.take_along_axis(first, index, axis)
            rival &= first != index
        if rival.any() and (choices := _CHOICES.get()) is not None:
            choices.append(rival.any(axis))
        elif rival.any():
            where = np.argwhere(rival)[0].tolist()
            raise ArithmeticError(f"which entry is the largest is open: the one at {where} may be; decide it with exact numbers")
        return np.squeeze(index, axis)

    def argmin(self, axis: int) -> NDArray[np.intp]:
        """Index of the first smallest entry along an axis; raises as :meth:`argmax` does."""
        return (-self).argmax(axis)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError("an enclosure is no float array; take its .mid, its .bounds() or compute with it as it is")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        answer = UFUNCS.get(ufunc.__name__)
        if method != "__call__" or answer is None or any([_complex(x) for x in inputs]):
            return NotImplemented
        out, where = (kwargs.pop("out", None), kwargs.pop("where", True)) if kwargs else (None, True)
        if kwargs or (out is not None and not isinstance(out[0], Enclosure)):
            return NotImplemented
        value = answer(*inputs)
        return value if out is None else np.where(where, value, out[0])

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return FUNCTIONS[function](*args, **kwargs) if function in FUNCTIONS else NotImplemented


class Total(Enclosure):
    """A sum, with its axis kept, that knows what it is of: a share in it lies between 0 and 1."""

    __slots__ = ("parts",)

    def __init__(self, mid: Any, rad: Any, parts: Enclosure) -> None:
        super().__init__(mid, rad)
        self.parts = parts


class Top(Enclosure):
    """A maximum, with its axis kept, that knows what it is of: nothing of that lies above it."""

    __slots__ = ("parts",)

    def __init__(self, mid: Any, rad: Any, parts: Enclosure) -> None:
        super().__init__(mid, rad)
        self.parts = parts


def _complex(x: Any) -> bool:
    if isinstance(x, Numbers | float | int):
        return False
    return x.dtype.kind == "c" if isinstance(x, np.ndarray) else isinstance(x, complex | np.complexfloating)


def is_last(axis: Axis, ndim: int) -> bool:
    """Whether that is the last axis and no other."""
    return axis is not None and tuple(a % ndim for a in ((axis,) if isinstance(axis, int) else axis)) == (ndim - 1,)


def pair(x: Any) -> tuple[Any, Any]:
    """The mid and the radius of an enclosure; of a float or an array, itself and 0."""
    return (x.mid, x.rad) if isinstance(x, Enclosure) else (x, 0.0)


def binary(operation: int, x: Any, y: Any) -> tuple[Array, Array]:
    """Two pairs to one, entry by entry: :data:`bounds.rounded.ADD` and what follows it."""
    (a, ra), (b, rb) = pair(x), pair(y)
    given = arrange((a, ra, b, rb))
    mid, rad = given.room()
    rounded.combine(operation, *given.matrices, given.rows, mid, rad)
    return given.table(mid), given.table(rad)


def distance(x: Any, y: Any) -> Any:
    """``abs(x - y)`` of numbers of any kind; of enclosures in one pass."""
    if (isinstance(x, Enclosure) or isinstance(y, Enclosure)) and not (_complex(x) or _complex(y)):
        return Enclosure(*binary(rounded.DISTANCE, x, y))
    return np.abs(x - y)


def unary(operation: int, x: Any, value: Any = 0.0) -> tuple[Array, Array]:
    """A function of a pair, entry by entry: :data:`bounds.rounded.ABSOLUTE` and what follows it."""
    given = arrange((*pair(x), value))
    mid, rad = given.room()
    rounded.apply(operation, *given.matrices, given.rows, mid, rad)
    return given.table(mid), given.table(rad)


def decided(question: int, x: Any, y: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether ``x < y``, or as :data:`bounds.rounded.LESS` and what follows it say, may be and must be."""
    given: Any = arrange((*pair(x), *pair(y)))
    possibly, certainly = given.room(np.bool_)
    rounded.compare(question, *given.matrices, given.rows, possibly, certainly)
    return given.table(possibly), given.table(certainly)


def ends(mid: Array, rad: Array) -> tuple[Array, Array]:
    """Lower and upper ends of pairs, rounded outwards."""
    given = arrange((mid, rad))
    low, high = given.room()
    rounded.ends(*given.matrices, given.rows, low, high)
    return given.table(low), given.table(high)


def reduced(question: int, x: Any, axis: Axis, keepdims: bool) -> Enclosure:
    """What entries along axes come to: :data:`bounds.rounded.TOTAL` and what follows it."""
    x = x if isinstance(x, Enclosure) else Enclosure(x)
    axes = tuple(range(x.ndim)) if axis is None else tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    if not axes or 0 in [x.shape[a] for a in axes]:
        raise ValueError(f"a reduction along axes {axes} of shape {x.shape} is of no entries; give at least one")
    given = arrange_sums((x.mid, x.rad), x.shape, axes)
    mid, rad = given.room()
    rounded.reduce(question, *given.matrices, given.rows, mid, rad)
    mid, rad = given.table(mid), given.table(rad)
    if keepdims:
        for a in sorted(axes):
            mid, rad = np.expand_dims(mid, a), np.expand_dims(rad, a)
    return Enclosure(mid, rad)


def shared(x: Enclosure) -> tuple[Array, Array]:
    """``w / sum w`` along the last axis."""
    given = arrange_sums((x.mid, x.rad), x.shape, (x.ndim - 1,))
    found = []
    mid, rad = (np.empty((given.rows.shape[1], max(given.columns, WIDTH))) for _ in range(2))
    rounded_shares.shares(given.terms, *given.matrices, given.rows, mid, rad)
    for matrix in (mid[:, : given.columns], rad[:, : given.columns]):
        if given.columns == x.shape[0]:  # side by side
            found.append(np.moveaxis(matrix.reshape(*x.shape[1:], given.columns), -1, 0))
        else:
            found.append(matrix.T.reshape(x.shape))
    return found[0], found[1]


def middle(low: Array, high: Array) -> tuple[Array, Array]:
    """Intervals as pairs; the lower end of one stays at or above zero where it was exactly that."""
    given = arrange((low, high))
    mid, rad = given.room()
    rounded.middle(*given.matrices, given.rows, mid, rad)
    return given.table(mid), given.table(rad)
