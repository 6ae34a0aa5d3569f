"""Batches of numbers known to within a radius, which run every claim as it stands and know what they may be off by.

An :class:`Enclosure` takes part in numpy's protocols, so :func:`bounds.comparison.compare` and every statement of the catalogue
compute with it; a comparison of two enclosures is a :class:`Maybe`. :func:`enclose` lifts a float comparison. The float tables
are read as their exact row-normalisation: a :class:`Law` remembers the table it normalises, because the kernels that normalise by
themselves lose less on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from bounds import enclosed_kernels as kernels
from bounds import rounding
from bounds.comparison import Comparison, compare
from bounds.sharper import sqrt_horizon
from mdps.mdp import MDP, Array
from mdps.numbers import Numbers

Axis = int | tuple[int, ...] | None


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
            return Maybe(ufunc(inputs[0].possibly), ufunc(inputs[0].certainly))
        kwargs.pop("out", None)  # of an in-place &=, whose name is bound to the result
        if method != "__call__" or kwargs or name not in ("bitwise_and", "bitwise_or", "bitwise_not", "invert"):
            return NotImplemented
        ends = [(x.possibly, x.certainly) if isinstance(x, Maybe) else (x, x) for x in inputs]
        if len(ends) == 1:
            return Maybe(~ends[0][1], ~ends[0][0])
        combine = np.logical_and if name == "bitwise_and" else np.logical_or
        return Maybe(*(combine(x, y) for x, y in zip(*ends, strict=True)))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _FUNCTIONS[function](*args, **kwargs) if function in _FUNCTIONS else NotImplemented


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
        radius = np.asarray(rad, dtype=float)
        self.rad: Array = radius if radius.shape == self.mid.shape else np.broadcast_to(radius, self.mid.shape)

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
        with np.errstate(all="ignore"):
            low, high = _apply(rounding.ends, self.mid, self.rad)
        return low, high

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
        return _reduced(rounding.total, self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Enclosure:
        """Mean along axes."""
        result = self.sum(axis, keepdims)
        return result / (self.size / max(result.size, 1))

    def max(self, axis: Axis = None, keepdims: bool = False) -> Enclosure:
        """Maximum along axes."""
        return _reduced(rounding.largest, self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Enclosure:
        """Minimum along axes."""
        return -_reduced(rounding.largest, -self, axis, keepdims)

    def clip(self, low: Any, high: Any) -> Enclosure:
        """The numbers, moved to the nearest end where they lie outside [low, high]."""
        return cast(Enclosure, np.minimum(np.maximum(self, low), high))

    def argmax(self, axis: int) -> NDArray[np.intp]:
        """Index of the first largest entry along an axis.

        Raises
        ------
        ArithmeticError
            If the radii leave open which entry that is.
        """
        index = np.expand_dims(self.mid.argmax(axis), axis)
        low, high = self.bounds()
        top, least = np.take_along_axis(self.mid, index, axis), np.take_along_axis(low, index, axis)
        tied = (self.mid == top) & (self.rad == 0) & (np.take_along_axis(self.rad, index, axis) == 0)
        others = np.arange(self.shape[axis]).reshape([-1 if a == axis % self.ndim else 1 for a in range(self.ndim)]) != index
        rival = (high >= least) & ~tied & others
        if rival.any():
            where = np.argwhere(rival)[0].tolist()
            raise ArithmeticError(f"which entry is the largest is open: the one at {where} may be; decide it with exact numbers")
        return np.squeeze(index, axis)

    def argmin(self, axis: int) -> NDArray[np.intp]:
        """Index of the first smallest entry along an axis; raises as :meth:`argmax` does."""
        return (-self).argmax(axis)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise TypeError("an enclosure is no float array; take its .mid, its .bounds() or compute with it as it is")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        answer = _UFUNCS.get(ufunc.__name__)
        if answer is None or any(np.iscomplexobj(x) for x in inputs if not isinstance(x, Numbers | Maybe)):
            return NotImplemented
        out, where = kwargs.pop("out", None), kwargs.pop("where", True)
        if kwargs or (out is not None and not isinstance(out[0], Enclosure)):
            return NotImplemented
        with np.errstate(all="ignore"):  # what overflows or is nan is known to be unknown
            value = answer(*inputs)
        return value if out is None else _where(where, value, out[0])

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _FUNCTIONS[function](*args, **kwargs) if function in _FUNCTIONS else NotImplemented


class Law(Enclosure):
    """Distributions along the last axis: the exact normalisation of the rows of a float table.

    Parameters
    ----------
    table
        Nonnegative floats [..., n] whose rows sum nearly to one.
    """

    __slots__ = ("table",)

    def __init__(self, table: Array) -> None:
        table = np.asarray(table, dtype=float)
        off = kernels.off_one(table)[..., None]
        super().__init__(table, np.where(off == 0.0, 0.0, table * (off * 1.01) + rounding.TINY * (table > 0)))
        self.table = table

    def _rows(self, change: Callable[[Array], Array]) -> Law:
        law = object.__new__(Law)
        law.mid, law.rad, law.table = change(self.mid), change(self.rad), change(self.table)
        return law

    def __getitem__(self, index: Any) -> Enclosure:
        parts = index if isinstance(index, tuple) else (index,)
        if parts and parts[-1] is Ellipsis:  # the rows stay whole
            return self._rows(lambda table: table[index])
        return super().__getitem__(index)

    def broadcast(self, shape: tuple[int, ...]) -> Enclosure:
        """The same distributions repeated, as views."""
        if shape[-1] != self.shape[-1]:
            return super().broadcast(shape)
        return self._rows(lambda table: np.broadcast_to(table, shape))


class Factors(Numbers):
    """A factored resolvent [*B,S,S] and what its solves are known to; it answers the kernels it is handed to."""

    __slots__ = ("errors", "table")

    def __init__(self, table: Array, errors: kernels.Errors) -> None:
        self.table, self.errors = table, errors

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the factors."""
        return self.table.shape

    def either(self, other: Any) -> Any:
        """Factors are no numbers to choose from."""
        raise TypeError("either takes enclosures of numbers, not the factors of a resolvent")

    def near(self) -> Any:
        """Nor to be near to."""
        raise TypeError("near takes enclosures of numbers, not the factors of a resolvent")

    def bounds(self) -> Any:
        """Nor with ends."""
        raise TypeError("bounds are those of enclosures of numbers, not of the factors of a resolvent")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs or ufunc.__name__ not in _UFUNCS:
            return NotImplemented
        with np.errstate(all="ignore"):
            return _UFUNCS[ufunc.__name__](*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is not np.broadcast_to:
            return NotImplemented
        shape = tuple(args[1])
        errors = (np.broadcast_to(x, shape[:-2]) for x in (self.errors.solve, self.errors.relative, self.errors.floor))
        return Factors(np.broadcast_to(self.table, shape), kernels.Errors(*errors))


def enclose(c: Comparison) -> Comparison:
    """The same comparison on enclosures: of the MDP and the policies whose rows are the exact normalisation of c's tables.

    Every quantity and every side of a claim computed from it contains the true number. Where a premise is undecided a
    side contains zero besides.
    """
    mdp = MDP(Law(c.mdp.P), Enclosure(c.mdp.R), Law(c.mdp.rho0), Enclosure(c.mdp.gamma))
    return compare(mdp, Law(c.old.pi), Law(c.new.pi))


# -- functions ---------------------------------------------------------------------------------------------------------------


def _pair(x: Any) -> tuple[Any, Any]:
    return (x.mid, x.rad) if isinstance(x, Enclosure) else (x, 0.0)


def _apply(operation: Any, *tables: Any) -> tuple[Array, Array]:
    """Run an elementwise kernel on tables that broadcast, each as one long row: many short ones would cost more than the work."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in tables))
    size = math.prod(shape)
    first, second = operation(*(_row(x, shape, size) for x in tables))
    return first.reshape(shape), second.reshape(shape)


def _row(x: Any, shape: tuple[int, ...], size: int) -> Array:
    x = np.asarray(x)
    if x.size and not any(x.strides):
        return np.broadcast_to(x[(0,) * x.ndim], (size,))
    return (x if x.shape == shape else np.broadcast_to(x, shape)).reshape(size)


def _elementwise(operation: Any) -> Callable[..., Enclosure]:
    def apply(*inputs: Any) -> Enclosure:
        return Enclosure(*_apply(operation, *(part for x in inputs for part in _pair(x))))

    return apply


def _decision(operation: Any, *, swap: bool = False, negate: bool = False) -> Callable[[Any, Any], Maybe]:
    def decide(x: Any, y: Any) -> Maybe:
        x, y = (y, x) if swap else (x, y)
        possibly, certainly = _apply(operation, *_pair(x), *_pair(y))
        return ~Maybe(possibly, certainly) if negate else Maybe(possibly, certainly)

    return decide


def _power(base: Any, exponent: Any) -> Enclosure:
    if isinstance(exponent, Enclosure):
        raise TypeError("an enclosure can only be raised to an exact power")
    return Enclosure(*_apply(rounding.power, *_pair(base), exponent))


def _matmul(x: Any, y: Any) -> Enclosure:
    if np.ndim(x) < 2 or np.ndim(y) < 2:
        raise TypeError("a matrix product of enclosures needs two axes on either side; write (x * y).sum(-1)")
    return _multilinear(np.matmul, np.shape(x)[-1], x, y)


def _einsum(subscripts: str, *operands: Any) -> Enclosure:
    inputs, output = subscripts.split("->")
    sizes = {
        label: size
        for part, x in zip(inputs.split(","), operands, strict=True)
        for label, size in zip(part.replace("...", "")[::-1], np.shape(x)[::-1], strict=False)
    }
    terms = math.prod(size for label, size in sizes.items() if label not in output)
    return _multilinear(lambda *tables: np.einsum(subscripts, *tables), terms, *operands)


def _multilinear(contract: Callable[..., Array], terms: int, *operands: Any) -> Enclosure:
    """A sum of products, linear in each operand: it moves by at most what it gains when every factor is as large as it can be.

    A term costs as many roundings as it has factors and as there are terms, in each of the three sums taken here.
    """
    pairs = [(np.asarray(m, dtype=float), r) for m, r in map(_pair, operands)]
    mid = contract(*(m for m, _ in pairs))
    size = contract(*(np.abs(m) for m, _ in pairs)) if any((m < 0).any() for m, _ in pairs) else mid
    whole = contract(*(np.abs(m) + r for m, r in pairs)) if any(np.any(r) for _, r in pairs) else size
    rad = whole - size + 4 * (terms + len(pairs) + 1) * rounding.U * whole
    rad = rad * rounding.GROW + terms * rounding.TINY * (whole > 0)
    known = (rad < np.inf) & np.isfinite(mid)
    return Enclosure(np.where(known, mid, 0.0), np.where(known, rad, np.inf))


def _reduced(operation: Any, x: Any, axis: Axis, keepdims: bool) -> Enclosure:
    x = x if isinstance(x, Enclosure) else Enclosure(x)
    axes = tuple(range(x.ndim)) if axis is None else tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    kept = tuple(a for a in range(x.ndim) if a not in axes)

    def last(table: Array) -> Array:
        if axes == (x.ndim - 1,):
            return table
        return table.transpose(kept + axes).reshape(*(table.shape[a] for a in kept), -1)

    with np.errstate(all="ignore"):
        mid, rad = operation(last(x.mid), last(x.rad))
    if keepdims:
        shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
        mid, rad = np.reshape(mid, shape), np.reshape(rad, shape)
    return Enclosure(mid, rad)


def _where(condition: Any, x: Any, y: Any) -> Any:
    if isinstance(condition, Maybe) and condition.open.any():
        with np.errstate(all="ignore"):
            return Enclosure(*_apply(rounding.select, condition.possibly, condition.certainly, *_pair(x), *_pair(y)))
    condition = condition.certainly if isinstance(condition, Maybe) else condition
    if not isinstance(x, Enclosure) and not isinstance(y, Enclosure):
        return np.where(condition, x, y)
    (a, ra), (b, rb) = _pair(x), _pair(y)
    return Enclosure(np.where(condition, a, b), np.where(condition, ra, rb))


def _joined(join: Any) -> Callable[..., Enclosure]:
    def apply(parts: Any, axis: int = 0) -> Enclosure:
        pairs = [_pair(x) if isinstance(x, Enclosure) else (x, np.zeros(np.shape(x))) for x in parts]
        return Enclosure(join([m for m, _ in pairs], axis), join([r for _, r in pairs], axis))

    return apply


def _broadcast_to(x: Any, shape: Any) -> Any:
    if isinstance(x, Maybe):
        return Maybe(np.broadcast_to(x.possibly, shape), np.broadcast_to(x.certainly, shape))
    return x.broadcast(shape)


def _broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    shape = np.broadcast_shapes(*(np.shape(x) for x in arrays))
    return tuple(np.broadcast_to(x, shape) for x in arrays)


def _ptp(x: Enclosure, axis: Axis = None, keepdims: bool = False) -> Enclosure:
    return _reduced(rounding.span, x, axis, keepdims)


def _finite(x: Enclosure) -> Maybe:
    known = x.rad < np.inf
    return Maybe(np.isfinite(x.mid) | ~known, np.isfinite(x.mid) & known)


def _infinite(x: Enclosure) -> Maybe:
    return Maybe(np.isinf(x.mid) | (x.rad == np.inf), np.isinf(x.mid))


def _moveaxis(x: Enclosure, source: Any, destination: Any) -> Enclosure:
    return Enclosure(np.moveaxis(x.mid, source, destination), np.moveaxis(x.rad, source, destination))


def _take_along_axis(x: Enclosure, indices: Any, axis: int) -> Enclosure:
    return Enclosure(np.take_along_axis(x.mid, indices, axis), np.take_along_axis(x.rad, indices, axis))


# -- kernels -----------------------------------------------------------------------------------------------------------------


def _table(x: Any) -> kernels.Table:
    """Probabilities as the kernels read them; plain floats are normalised by them as a :class:`Law` is."""
    if isinstance(x, Law):
        return kernels.Table(x.table, np.broadcast_to(0.0, x.shape), True)
    if isinstance(x, Enclosure):
        return kernels.Table(x.mid, x.rad, False)
    return kernels.Table(np.asarray(x, dtype=float), np.broadcast_to(0.0, np.shape(x)), True)


def _exact(x: Any, name: str) -> Any:
    if isinstance(x, Enclosure):
        if np.any(x.rad):
            raise TypeError(f"{name} has a radius; the elimination takes exact floats here")
        return x.mid
    return x


def _wide(x: Any) -> tuple[Array, Array]:
    """A right-hand side with its radius in the shape that a kernel wants."""
    m, r = _pair(x)
    m = np.asarray(m, dtype=float)
    return m, r if isinstance(x, Enclosure) else np.broadcast_to(0.0, m.shape)


def _eliminate(P: Any, pi: Any, gamma: Any) -> tuple[Factors, Array, Array]:
    factors, time, reference, errors = kernels.eliminate(_table(P), _table(pi), _exact(gamma, "gamma"))
    return Factors(factors, errors), time, reference


def _values(factors: Factors, reference: Array, reward: Any) -> Enclosure:
    return Enclosure(*kernels.values(factors.table, factors.errors, reference, *_wide(reward)))


def _occupancy(factors: Factors, reference: Array, start: Any) -> Enclosure:
    return Enclosure(*kernels.occupancy(factors.table, factors.errors, reference, *_wide(start)))


def _relative_values(factors: Factors, time: Array, reference: Array, reward: Any, sign: float) -> tuple[Enclosure, Enclosure]:
    h, size, level, share = kernels.relative_values(factors.table, factors.errors, time, reference, *_wide(reward), sign)
    return Enclosure(h, size), Enclosure(level, share)


def _flow(factors: Factors, time: Array, reference: Array, source: Any, sign: float) -> Enclosure:
    return Enclosure(*kernels.flow(factors.table, factors.errors, time, reference, *_wide(source), sign))


def _backup(P: Any, R: Any, gamma: Any, values: Any) -> Enclosure:
    p, rp, _ = _table(P)
    return Enclosure(*kernels.backup(p, rp, *_wide(R), _exact(gamma, "gamma"), *_wide(values)))


def _forward(P: Any, weights: Any) -> Enclosure:
    p, rp, _ = _table(P)
    return Enclosure(*kernels.forward(p, rp, *_wide(weights)))


def _shift(old: Any, new: Any) -> Enclosure:
    p, q = _table(old), _table(new)
    if p.raw and q.raw:
        return Enclosure(*kernels.shift(p.mid, q.mid))
    return Enclosure(*rounding.subtract(*_wide(new), *_wide(old)))


def _kl(p: Any, q: Any) -> Enclosure:
    first, second = _table(p), _table(q)
    raw = first.raw and second.raw
    if not raw:
        first, second = (kernels.Table(*_pair(x if isinstance(x, Enclosure) else Law(x)), False) for x in (p, q))
    return Enclosure(*kernels.kl(first.mid, first.rad, second.mid, second.rad, float(raw)))


def _sqrt_horizon_(gamma: Any) -> Enclosure:
    value = sqrt_horizon(_exact(gamma, "gamma"))
    return Enclosure(value, 256 * rounding.U * value)


_UFUNCS: dict[str, Callable[..., Any]] = {
    "add": _elementwise(rounding.add),
    "subtract": _elementwise(rounding.subtract),
    "multiply": _elementwise(rounding.multiply),
    "divide": _elementwise(rounding.divide),
    "maximum": _elementwise(rounding.maximum),
    "minimum": lambda x, y: -np.maximum(-x, -y),
    "negative": lambda x: Enclosure(-x.mid, x.rad),
    "positive": lambda x: x,
    "absolute": _elementwise(rounding.absolute),
    "sqrt": _elementwise(rounding.square_root),
    "square": lambda x: _power(x, 2),
    "exp": _elementwise(rounding.exponential),
    "expm1": _elementwise(rounding.exponential_less_one),
    "log": _elementwise(rounding.logarithm),
    "log1p": _elementwise(rounding.logarithm_of_one_more),
    "power": _power,
    "matmul": _matmul,
    "less": _decision(rounding.less),
    "less_equal": _decision(rounding.less_equal),
    "greater": _decision(rounding.less, swap=True),
    "greater_equal": _decision(rounding.less_equal, swap=True),
    "equal": _decision(rounding.equal),
    "not_equal": _decision(rounding.equal, negate=True),
    "isnan": lambda x: np.zeros(x.shape, dtype=bool),
    "isfinite": _finite,
    "isinf": _infinite,
    "_eliminate": _eliminate,
    "_values": _values,
    "_occupancy": _occupancy,
    "_relative_values": _relative_values,
    "_flow": _flow,
    "_backup": _backup,
    "_forward": _forward,
    "_shift": _shift,
    "_kl": _kl,
    "_sqrt_horizon": _sqrt_horizon_,
}

_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.broadcast_to: _broadcast_to,
    np.broadcast_arrays: _broadcast_arrays,
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.stack: _joined(np.stack),
    np.concatenate: _joined(np.concatenate),
    np.zeros_like: lambda x: Enclosure(np.zeros(x.shape)),
    np.ones_like: lambda x: Enclosure(np.ones(x.shape)),
    np.sum: lambda x, axis=None, keepdims=False: x.sum(axis, keepdims),
    np.max: lambda x, axis=None, keepdims=False: x.max(axis, keepdims),
    np.min: lambda x, axis=None, keepdims=False: x.min(axis, keepdims),
    np.mean: lambda x, axis=None, keepdims=False: x.mean(axis, keepdims),
    np.all: lambda x, axis=None, keepdims=False: x.all(axis, keepdims),
    np.any: lambda x, axis=None, keepdims=False: x.any(axis, keepdims),
    np.ptp: _ptp,
    np.clip: lambda x, low, high: x.clip(low, high),
    np.reshape: lambda x, shape: x.reshape(shape),
    np.moveaxis: _moveaxis,
    np.take_along_axis: _take_along_axis,
    np.einsum: _einsum,
}
