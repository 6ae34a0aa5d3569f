"""Exact numbers in numpy's clothes: rationals while rationals do, balls of a given precision from the first root on.

A table of :class:`Exact` numbers is computed with as a float array is, so a claim written for floats is evaluated exactly as
it stands. Entries are python-flint's numbers: ``fmpq`` (a rational) as long as only ``+ - * / abs max`` occur, ``arb`` (a real
ball, midpoint and radius, that holds the true number) once a root, a logarithm or an exponential does, ``acb`` (a complex ball)
for complex arguments. Infinity and nan are those of arb, and follow the rules of floats.

A comparison has one answer or none: where two balls overlap it raises :class:`Undecided`, and a higher :func:`precision` may
tell. A maximum never raises: that of two overlapping balls is a ball that holds both candidates.

Rows of probabilities are normalised exactly wherever a kernel reads them, as the kernels for floats do up to rounding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from flint import acb, acb_mat, arb, arb_mat, ctx, fmpq, fmpq_mat, fmpz
from numpy.typing import NDArray

from mdps.numbers import Numbers

Entries = NDArray[np.object_]

ZERO, ONE = fmpq(0), fmpq(1)


class Undecided(ArithmeticError):
    """Two balls overlap where one answer is needed; a higher precision may tell them apart."""


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """Work with balls of this many bits within the block. The precision is flint's own, shared by a process.

    Raises
    ------
    ValueError
        If ``bits`` is not at least 2.
    """
    if bits < 2:
        raise ValueError(f"precision is {bits} bits; give at least 2")
    with ctx.workprec(int(bits)):
        yield


class Exact(Numbers, np.lib.mixins.NDArrayOperatorsMixin):
    """An array of exact numbers and balls. Build it with :func:`exact`.

    It indexes, broadcasts and reduces as an array does, a single number being an array without axes. Comparisons give plain
    boolean arrays. Functions that compare or round without saying so are not answered: a TypeError says so.
    """

    __slots__ = ("entries",)

    def __init__(self, entries: Any) -> None:
        array = np.empty((), object)
        array[()] = entries
        self.entries: Entries = entries if isinstance(entries, np.ndarray) else array

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.entries.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.entries.ndim

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.entries.size

    @property
    def rational(self) -> bool:
        """Whether every entry is a rational number: nothing here is rounded."""
        return all(isinstance(x, fmpq) for x in self.entries.flat)

    def bounds(self) -> tuple[Exact, Exact]:
        """Lower and upper ends of each entry."""
        return _wrap(_LOWER(self.entries)), _wrap(_UPPER(self.entries))

    def near(self) -> Exact:
        """The numbers themselves."""
        return self

    def balls(self) -> Exact:
        """The same numbers as balls of the precision that is set: what follows is faster, and equality is out of reach."""
        return _wrap(_BALL(self.entries))

    @property
    def real(self) -> Exact:
        """Real parts."""
        return _wrap(_REAL(self.entries))

    @property
    def imag(self) -> Exact:
        """Imaginary parts."""
        return _wrap(_IMAGINARY(self.entries))

    @property
    def T(self) -> Exact:
        """The array with its axes in reverse."""
        return Exact(self.entries.T)

    def __getitem__(self, index: Any) -> Exact:
        return Exact(self.entries[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.entries[index] = exact(value).entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Exact]:
        return (Exact(part) for part in self.entries)

    def __float__(self) -> float:
        raise TypeError("an exact number is no float; use numpy's functions on it as they are, not float(x) or those of math")

    def __bool__(self) -> bool:
        raise TypeError("an exact number has no truth value; compare it, e.g. x > 0")

    def __repr__(self) -> str:
        return f"Exact({self.entries})"

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        raise TypeError(
            "exact numbers are no array of floats; use numpy's functions on them as they are, np.stack(list) for a list of "
            "them, and leave out np.asarray(x, dtype=float)"
        )

    def reshape(self, *shape: Any) -> Exact:
        """The same entries along other axes."""
        return Exact(self.entries.reshape(*shape))

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Exact:
        """Sum over one axis, several or all."""
        total: Any = np.add.reduce(self.entries, axis=_axes(axis, self.ndim), keepdims=keepdims)  # type: ignore[call-overload]
        return _wrap(total)

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> Exact:
        """Mean over one axis, several or all."""
        total = self.sum(axis, keepdims=keepdims)
        return total / (self.size // max(total.size, 1))

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Exact:
        """Largest entry over one axis, several or all; a hull of the candidates where balls overlap."""
        return _wrap(_reduced(_MAXIMUM, self.entries, axis, keepdims))

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Exact:
        """Smallest entry over one axis, several or all; a hull of the candidates where balls overlap."""
        return _wrap(_reduced(_MINIMUM, self.entries, axis, keepdims))

    def argmax(self, axis: int) -> NDArray[np.intp]:
        """Index of the largest entry along an axis, the first of equal ones. Raises Undecided where balls overlap."""
        return np.asarray(np.apply_along_axis(_first_largest, axis, self.entries), dtype=np.intp)

    def argmin(self, axis: int) -> NDArray[np.intp]:
        """Index of the smallest entry along an axis, the first of equal ones. Raises Undecided where balls overlap."""
        return (-self).argmax(axis)

    def clip(self, low: Any, high: Any) -> Exact:
        """Every entry, moved to the nearest point of [low, high]."""
        return np.minimum(np.maximum(self, low), high)

    def either(self, other: Any) -> Exact:
        """Given two forms of the same numbers, the balls that both allow."""
        return _wrap(_EITHER(self.entries, exact(other).entries))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__
        arrays = [exact(x).entries for x in inputs]
        if name in _KERNELS and method == "__call__":
            core, outputs = _KERNELS[name]
            result = np.vectorize(core, otypes=outputs, signature=ufunc.signature)(*arrays)
            return tuple(map(_output, result)) if isinstance(result, tuple) else _output(result)
        if name in ("add", "maximum", "minimum") and method == "reduce":
            kept = bool(options.get("keepdims", False))
            return {"add": self.sum, "maximum": self.max, "minimum": self.min}[name](options.get("axis", 0), keepdims=kept)
        if name not in _OPERATIONS or method != "__call__":
            raise TypeError(
                f"numpy.{name}{'' if method == '__call__' else f'.{method}'} is not known for exact numbers; "
                f"known are {', '.join(sorted(_OPERATIONS))}"
            )
        out, where = options.get("out", (None,))[0], options.get("where", True)
        if out is not None and not isinstance(out, Exact):
            raise TypeError(
                "a float array cannot hold exact numbers; write x = x + y for x += y, and np.zeros_like(y) for np.zeros(y.shape)"
            )
        operation = _OPERATIONS[name]
        result = operation(*arrays) if out is None else operation(*arrays, out=out.entries, where=where)
        return np.asarray(result, dtype=bool) if name in _PREDICATES else out if out is not None else _wrap(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in _METHODS:
            return getattr(exact(args[0]), _METHODS[function])(*args[1:], **kwargs)
        if function in _READ_OFF:
            return _READ_OFF[function](*args, **kwargs)
        if function not in _STRUCTURAL:
            raise TypeError(
                f"numpy.{function.__name__} is not known for exact numbers; write it with ufuncs, sum, max, min or where"
            )
        result = function(*_entries(args), **_entries(kwargs))
        return type(result)(map(_coerced, result)) if isinstance(result, tuple | list) else _coerced(result)


def exact(value: Any) -> Exact:
    """Read numbers as they are: each float is the rational it stands for.

    Parameters
    ----------
    value
        An array of floats, integers or complex numbers, or a single one, a Fraction, or a number of flint's.

    Raises
    ------
    TypeError
        If it holds anything else, or is a plain array of exact numbers, which numpy would compare as if they were no balls.
    """
    if isinstance(value, Exact):
        return value
    array = np.asarray(value)
    if array.dtype == object and array.ndim:
        raise TypeError("a plain array of objects was given where exact numbers are; stack a list of them with np.stack")
    return _wrap(_ELEMENT(array))


# -- single numbers ------------------------------------------------------------------------------------------------------------


def _element(x: Any) -> Any:
    """One number as fmpq, arb or acb."""
    if isinstance(x, fmpq | arb | acb | _Factored):
        return x
    if isinstance(x, int | np.integer | np.bool_ | fmpz):
        return fmpq(int(x))
    if isinstance(x, float | np.floating):
        return _from_float(float(x))
    if isinstance(x, complex | np.complexfloating):
        return acb(float(x.real), float(x.imag))
    if isinstance(x, Fraction):
        return fmpq(x.numerator, x.denominator)
    raise TypeError(f"{x!r} of type {type(x).__name__} is no number that exact arithmetic knows")


@lru_cache(4096)
def _from_float(x: float) -> Any:
    return fmpq(*x.as_integer_ratio()) if np.isfinite(x) else arb(x)


def _sign(x: Any) -> int:
    """-1, 0 or 1; Undecided for a ball that holds zero and more, or for nan."""
    if x > 0:
        return 1
    if x < 0:
        return -1
    if x == 0:
        return 0
    raise Undecided(f"the sign of {_shown(x)} is not known")


def _decided(x: Any, y: Any, yes: bool, no: bool) -> bool:
    """The answer to a comparison of which python-flint says at most one side; nan compares as nan of floats does."""
    if yes == no and not (_is_nan(x) or _is_nan(y)):
        raise Undecided(f"{_shown(x)} and {_shown(y)} cannot be told apart")
    return yes


def _less(x: Any, y: Any) -> bool:
    return _decided(x, y, x < y, x >= y)


def _at_most(x: Any, y: Any) -> bool:
    return _decided(x, y, x <= y, x > y)


def _equal(x: Any, y: Any) -> bool:
    return _decided(x, y, x == y, x < y or x > y)


def _shown(x: Any) -> str:
    return str(arb(x).str(15)) if isinstance(x, fmpq) else str(x.str(15))


def _straddles(x: Any) -> bool:
    """Whether a ball holds zero and other numbers too."""
    return not isinstance(x, fmpq) and not x.is_exact() and bool(x.contains(0))


def _multiply(x: Any, y: Any) -> Any:
    product = x * y
    if isinstance(product, arb) and product.is_nan() and not (_is_nan(x) or _is_nan(y)) and (_straddles(x) or _straddles(y)):
        raise Undecided(f"infinity times {_shown(x if _straddles(x) else y)}")
    return product


def _divide(x: Any, y: Any) -> Any:
    """x / y, by the rules of floats where y is zero."""
    if y == 0:
        return arb.nan() if _is_nan(x) or isinstance(x, acb) else {1: arb.pos_inf(), 0: arb.nan(), -1: arb.neg_inf()}[_sign(x)]
    if isinstance(y, arb) and _straddles(y):
        raise Undecided(f"a denominator is {_shown(y)}")
    return x / y


def _power(x: Any, y: Any) -> Any:
    """x ** y for whole, half and other exponents."""
    if isinstance(y, fmpq) and y.q == 1:
        return _even(x) if y == 2 else x ** int(y.p)
    if isinstance(y, fmpq) and y.q == 2:
        return _square_root(x) ** int(y.p)
    return _exponential(_multiply(y, _logarithm(x)))


def _even(x: Any) -> Any:
    """x squared, which is not negative."""
    square = x * x
    return _nonnegative(square) if isinstance(square, arb) else square


def _nonnegative(x: Any) -> Any:
    """What is left of a ball without its negative numbers."""
    return x.nonnegative_part() if _straddles(x) else x


def _absolute(x: Any) -> Any:
    return abs(x) if isinstance(x, fmpq) else x.abs_upper() if isinstance(x, acb) else _nonnegative(abs(x))


def _larger(x: Any, y: Any) -> Any:
    if isinstance(x, fmpq) and isinstance(y, fmpq):
        return x if x >= y else y
    for one, other in ((x, y), (y, x)):
        if one == 0 and not _is_nan(other):
            return _nonnegative(other) if _straddles(other) or other >= 0 else ZERO
    return arb.max(arb(x), arb(y))


def _smaller(x: Any, y: Any) -> Any:
    return -_larger(-x, -y)


def _hull_free(x: Any, y: Any) -> Any:
    """What two enclosures of one number both allow; a rational is that number."""
    if isinstance(x, fmpq) or isinstance(y, fmpq):
        return x if isinstance(x, fmpq) else y
    return x.intersection(y) if x.is_finite() and y.is_finite() else x


def _square_root(x: Any) -> Any:
    if isinstance(x, fmpq):
        if x >= 0 and all(int(part.sqrtrem()[1]) == 0 for part in (x.p, x.q)):
            return fmpq(x.p.sqrtrem()[0], x.q.sqrtrem()[0])
        return arb(x).sqrt()
    if isinstance(x, arb) and _straddles(x) and not x >= 0:
        raise Undecided(f"a root of {_shown(x)}")
    return x.sqrt()


def _logarithm(x: Any) -> Any:
    if x == 1:
        return ZERO
    if x == 0:
        return arb.neg_inf()
    if isinstance(x, arb) and _straddles(x):
        raise Undecided(f"a logarithm of {_shown(x)}")
    return (arb(x) if isinstance(x, fmpq) else x).log()


def _logarithm_of_one_plus(x: Any) -> Any:
    if x == 0:
        return ZERO
    return _logarithm(1 + x) if isinstance(x, fmpq) or x <= -1 or _straddles(1 + x) else x.log1p()


def _exponential(x: Any) -> Any:
    return ONE if x == 0 else (arb(x) if isinstance(x, fmpq) else x).exp()


def _exponential_less_one(x: Any) -> Any:
    return ZERO if x == 0 else (arb(x) if isinstance(x, fmpq) else x).expm1()


def _is_nan(x: Any) -> bool:
    return isinstance(x, arb) and bool(x.is_nan())


def _is_finite(x: Any) -> bool:
    if isinstance(x, fmpq) or x.is_finite():
        return True
    if x.is_nan() or x.is_exact():
        return False
    raise Undecided(f"whether {_shown(x)} is finite is not known")


def _is_infinite(x: Any) -> bool:
    return not _is_finite(x) and not x.is_nan()


def _first_largest(row: Entries) -> int:
    best = 0
    for i in range(1, len(row)):
        if _less(row[best], row[i]):
            best = i
    return best


# -- arrays of them ------------------------------------------------------------------------------------------------------------


def _elementwise(function: Callable[..., Any], inputs: int = 1) -> Any:
    return np.frompyfunc(function, inputs, 1)


_ELEMENT = _elementwise(_element)
_LOWER = _elementwise(lambda x: x if isinstance(x, fmpq) else x.lower())
_UPPER = _elementwise(lambda x: x if isinstance(x, fmpq) else x.upper())
_BALL = _elementwise(lambda x: arb(x) if isinstance(x, fmpq) else x)
_REAL = _elementwise(lambda x: x.real if isinstance(x, acb) else x)
_IMAGINARY = _elementwise(lambda x: x.imag if isinstance(x, acb) else ZERO)
_MAXIMUM = _elementwise(_larger, 2)
_MINIMUM = _elementwise(_smaller, 2)
_EITHER = _elementwise(_hull_free, 2)

_PREDICATES: dict[str, Any] = {
    "less": _elementwise(_less, 2),
    "less_equal": _elementwise(_at_most, 2),
    "greater": _elementwise(lambda x, y: _less(y, x), 2),
    "greater_equal": _elementwise(lambda x, y: _at_most(y, x), 2),
    "equal": _elementwise(_equal, 2),
    "not_equal": _elementwise(lambda x, y: not _equal(x, y), 2),
    "isnan": _elementwise(_is_nan),
    "isinf": _elementwise(_is_infinite),
    "isfinite": _elementwise(_is_finite),
}

_OPERATIONS: dict[str, Any] = {
    **_PREDICATES,
    "add": np.add,
    "subtract": np.subtract,
    "negative": np.negative,
    "matmul": np.matmul,
    "multiply": _elementwise(_multiply, 2),
    "divide": _elementwise(_divide, 2),
    "power": _elementwise(_power, 2),
    "square": _elementwise(_even),
    "absolute": _elementwise(_absolute),
    "maximum": _MAXIMUM,
    "minimum": _MINIMUM,
    "sqrt": _elementwise(_square_root),
    "exp": _elementwise(_exponential),
    "expm1": _elementwise(_exponential_less_one),
    "log": _elementwise(_logarithm),
    "log1p": _elementwise(_logarithm_of_one_plus),
}

_METHODS = {
    np.sum: "sum",
    np.mean: "mean",
    np.max: "max",
    np.amax: "max",
    np.min: "min",
    np.amin: "min",
    np.argmax: "argmax",
    np.argmin: "argmin",
    np.clip: "clip",
    np.reshape: "reshape",
}
"""numpy's functions that Exact has as methods."""

_STRUCTURAL = {
    np.where,
    np.stack,
    np.concatenate,
    np.broadcast_to,
    np.broadcast_arrays,
    np.moveaxis,
    np.swapaxes,
    np.transpose,
    np.expand_dims,
    np.squeeze,
    np.ravel,
    np.take_along_axis,
    np.diagonal,
    np.zeros_like,
    np.ones_like,
    np.full_like,
    np.copy,
    np.einsum,
    np.cumsum,
    np.prod,
    np.trace,
}
"""numpy's functions that only move, add and multiply entries, so that numpy's own word on objects is right."""

_READ_OFF: dict[Any, Callable[..., Any]] = {
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.real: lambda x: x.real,
    np.imag: lambda x: x.imag,
    np.ptp: lambda x, axis=None, keepdims=False: x.max(axis, keepdims=keepdims) - x.min(axis, keepdims=keepdims),
    np.linalg.solve: lambda a, b: _wrap(
        np.vectorize(_solve, otypes="O", signature="(n,n),(n,k)->(n,k)")(exact(a).entries, exact(b).entries)
    ),
}


def _wrap(result: Any) -> Exact:
    return Exact(result)


def _coerced(result: Any) -> Any:
    """What a function of numpy's returned, with the zeros and ones it filled in made exact."""
    return result if isinstance(result, np.ndarray) and result.dtype != object else Exact(_ELEMENT(result))


def _output(result: Any) -> Any:
    return result if result.dtype != object else Exact(result)


def _entries(tree: Any) -> Any:
    """Arguments with exact numbers and floats as arrays of entries; indices, masks and names as they are."""
    if isinstance(tree, Exact):
        return tree.entries
    if isinstance(tree, list | tuple):
        return type(tree)(_entries(x) for x in tree)
    if isinstance(tree, dict):
        return {key: _entries(x) for key, x in tree.items()}
    inexact = isinstance(tree, float | complex) or (isinstance(tree, np.ndarray | np.generic) and tree.dtype.kind in "fc")
    return exact(tree).entries if inexact else tree


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    every = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(int(i) % ndim for i in every)


def _reduced(operation: Any, entries: Entries, axis: Any, keepdims: bool) -> Any:
    for i in sorted(_axes(axis, entries.ndim), reverse=True):
        entries = operation.reduce(entries, axis=i, keepdims=keepdims)
    return entries


# -- matrices and kernels ------------------------------------------------------------------------------------------------------


def _matrix(entries: Entries) -> Any:
    """A matrix of flint's own, of the simplest kind that holds the entries."""
    kinds: set[Any] = {type(x) for x in entries.flat}
    kind: Any = acb_mat if acb in kinds else arb_mat if arb in kinds else fmpq_mat
    return kind(*entries.shape, list(entries.flat))


def _product(left: Any, right: Any) -> Entries:
    """``left @ right`` of two of flint's matrices as an array, rational if both are."""
    if isinstance(left, fmpq_mat) != isinstance(right, fmpq_mat):
        left, right = (arb_mat(x) if isinstance(x, fmpq_mat) else x for x in (left, right))
    product = left * right
    table = np.empty(product.nrows() * product.ncols(), object)
    table[:] = product.entries()
    return table.reshape(product.nrows(), product.ncols())


def _inverse(entries: Entries) -> Any:
    try:
        return _matrix(entries).inv()
    except ZeroDivisionError:
        raise Undecided("a linear system is singular, or not known to be regular") from None


def _solve(system: Entries, right: Entries) -> Entries:
    return _product(_inverse(system), _matrix(right))


def _sum_of(row: Entries) -> Any:
    return np.add.reduce(row, axis=-1)


def _normalised(rows: Entries) -> Entries:
    return _OPERATIONS["divide"](rows, np.asarray(_sum_of(rows), dtype=object)[..., None])


@dataclass(frozen=True)
class _Factored:
    """``I - gamma P_pi`` with its last column replaced by ones, inverted.

    For ``V = h + V(s) 1`` with the last state s as reference, ``(I - gamma P_pi) V = r`` reads
    ``(I - gamma P_pi) h + (1 - gamma) V(s) 1 = r``, and h(s) = 0 leaves its column free for the level: one regular system for
    every gamma, 1 included. Entries of ``Resolvent.factors`` are all this one.
    """

    inverse: Any
    slack: Any  # 1 - gamma

    def column(self, reward: Entries) -> Entries:
        """h, with the level in place of its last entry."""
        return _product(self.inverse, _matrix(reward[:, None]))[:, 0]

    def row(self, source: Entries, total: Any) -> Entries:
        """x with ``x (I - gamma P_pi) = source`` and entries that sum to ``total``."""
        known = np.append(source[:-1], [total])
        return _product(_matrix(known[None, :]), self.inverse)[0]


def _eliminate(P: Entries, pi: Entries, gamma: Any) -> tuple[Entries, Entries, int]:
    states = pi.shape[0]
    rows = _normalised(_sum_of(np.moveaxis(pi[:, :, None] * P, 1, -1)))
    system = _ELEMENT(np.eye(states)) - gamma * rows
    system[:, -1] = ONE
    factored = _Factored(_inverse(system), 1 - gamma)
    return np.full((states, states), factored, dtype=object), np.full(states, 1 - gamma, dtype=object), states - 1


def _relative_values(factors: Entries, time: Entries, reference: Any, reward: Entries, sign: Any) -> tuple[Entries, Any]:
    if sign > 0:  # a bound on rounding is asked for, and there is none
        return np.full(len(reward), ZERO, dtype=object), ZERO
    h = factors[0, 0].column(reward)
    level, h[-1] = h[-1], ZERO
    return h, level


def _values(factors: Entries, reference: Any, reward: Entries) -> Entries:
    h, level = _relative_values(factors, reward, reference, reward, -1)
    return h + level / factors[0, 0].slack


def _occupancy(factors: Entries, reference: Any, start: Entries) -> Entries:
    return factors[0, 0].row(start, _sum_of(start) / factors[0, 0].slack)


def _flow(factors: Entries, time: Entries, reference: Any, source: Entries, sign: Any) -> Entries:
    return np.full(len(source), ZERO, dtype=object) if sign > 0 else factors[0, 0].row(source, ZERO)


def _backup(P: Entries, R: Entries, gamma: Any, values: Entries) -> Entries:
    ahead = _product(_matrix(P.reshape(-1, len(values))), _matrix(values[:, None])).reshape(R.shape)
    return R + gamma * (ahead / _sum_of(P))


def _forward(P: Entries, weights: Entries) -> Entries:
    share = weights / _sum_of(P)
    return _product(_matrix(share.reshape(1, -1)), _matrix(P.reshape(-1, P.shape[-1])))[0]


def _shift(old: Entries, new: Entries) -> Entries:
    return _normalised(new) - _normalised(old)


def _kl(p: Entries, q: Entries) -> Any:
    total: Any = ZERO
    for a, b in zip(_normalised(p), _normalised(q), strict=True):
        if a == 0 or (isinstance(a, fmpq) and isinstance(b, fmpq) and a == b):
            continue
        if b == 0:
            return arb.pos_inf()
        total = total + a * _logarithm(a / b)
    return total


def _sqrt_horizon(gamma: Any) -> Any:
    return ZERO if gamma == 0 else arb(gamma).polylog(arb(-0.5))


_KERNELS: dict[str, tuple[Callable[..., Any], str]] = {
    "_eliminate": (_eliminate, "OOl"),
    "_relative_values": (_relative_values, "OO"),
    "_values": (_values, "O"),
    "_occupancy": (_occupancy, "O"),
    "_flow": (_flow, "O"),
    "_backup": (_backup, "O"),
    "_forward": (_forward, "O"),
    "_shift": (_shift, "O"),
    "_kl": (_kl, "O"),
    "_sqrt_horizon": (_sqrt_horizon, "O"),
}
"""The kernels of mdps.elimination, bounds.divergences and bounds.sharper by their definitions, for one instance at a time."""
