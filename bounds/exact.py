"""Exact numbers in numpy's clothes: rationals while rationals do, balls of a given precision from the first root on.

A table of :class:`Exact` numbers is computed with as a float array is, so a claim written for floats is evaluated exactly as
it stands. Entries (:mod:`bounds.exact_entries`) are rational as long as only ``+ - * / abs max`` occur
(:mod:`bounds.exact_arithmetic`), real balls, midpoint and radius, that hold the true number once a root, a logarithm or an
exponential does, and complex balls for complex arguments. Infinity and nan follow the rules of floats.

A comparison has one answer or none: where two balls overlap it raises :class:`Undecided`, and a higher :func:`precision` may
tell. A maximum never raises: that of two overlapping balls is a ball that holds both candidates.

numpy's functions are answered by the tables of :mod:`bounds.exact_functions`, the compiled kernels by those of
:mod:`bounds.exact_kernels`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from flint import fmpq
from numpy.typing import NDArray

from bounds import exact_functions as functions
from bounds.exact_entries import Entries, first_largest, read
from bounds.exact_entries import Undecided as Undecided
from bounds.exact_entries import precision as precision
from bounds.exact_kernels import KERNELS, Factored, solve
from mdps.numbers import Numbers


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
        return Exact(functions.LOWER(self.entries)), Exact(functions.UPPER(self.entries))

    def near(self) -> Exact:
        """The numbers themselves."""
        return self

    def balls(self) -> Exact:
        """The same numbers as balls of the precision that is set: what follows is faster, and equality is out of reach."""
        return Exact(functions.BALL(self.entries))

    @property
    def real(self) -> Exact:
        """Real parts."""
        return Exact(functions.REAL(self.entries))

    @property
    def imag(self) -> Exact:
        """Imaginary parts."""
        return Exact(functions.IMAGINARY(self.entries))

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
        return Exact(functions.total(self.entries, axis, keepdims))

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> Exact:
        """Mean over one axis, several or all."""
        total = self.sum(axis, keepdims=keepdims)
        return total / (self.size // max(total.size, 1))

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Exact:
        """Largest entry over one axis, several or all; a hull of the candidates where balls overlap."""
        return Exact(functions.reduced(functions.MAXIMUM, self.entries, axis, keepdims))

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Exact:
        """Smallest entry over one axis, several or all; a hull of the candidates where balls overlap."""
        return Exact(functions.reduced(functions.MINIMUM, self.entries, axis, keepdims))

    def argmax(self, axis: int) -> NDArray[np.intp]:
        """Index of the largest entry along an axis, the first of equal ones. Raises Undecided where balls overlap."""
        return np.asarray(np.apply_along_axis(first_largest, axis, self.entries), dtype=np.intp)

    def argmin(self, axis: int) -> NDArray[np.intp]:
        """Index of the smallest entry along an axis, the first of equal ones. Raises Undecided where balls overlap."""
        return (-self).argmax(axis)

    def clip(self, low: Any, high: Any) -> Exact:
        """Every entry, moved to the nearest point of [low, high]."""
        return np.minimum(np.maximum(self, low), high)

    def either(self, other: Any) -> Exact:
        """Given two forms of the same numbers, the balls that both allow."""
        return Exact(functions.EITHER(self.entries, exact(other).entries))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = ufunc.__name__
        arrays = [exact(x).entries for x in inputs]
        if name in KERNELS and method == "__call__":
            core, outputs = KERNELS[name]
            result = np.vectorize(core, otypes=outputs, signature=ufunc.signature)(*arrays)
            return tuple(map(_output, result)) if isinstance(result, tuple) else _output(result)
        if name in ("add", "maximum", "minimum") and method == "reduce":
            kept = bool(options.get("keepdims", False))
            return {"add": self.sum, "maximum": self.max, "minimum": self.min}[name](options.get("axis", 0), keepdims=kept)
        if name not in functions.OPERATIONS or method != "__call__":
            raise TypeError(
                f"numpy.{name}{'' if method == '__call__' else f'.{method}'} is not known for exact numbers; "
                f"known are {', '.join(sorted(functions.OPERATIONS))}"
            )
        out, where = options.get("out", (None,))[0], options.get("where", True)
        if out is not None and not isinstance(out, Exact):
            raise TypeError(
                "a float array cannot hold exact numbers; write x = x + y for x += y, and np.zeros_like(y) for np.zeros(y.shape)"
            )
        operation = functions.OPERATIONS[name]
        result = operation(*arrays) if out is None else operation(*arrays, out=out.entries, where=where)
        return np.asarray(result, dtype=bool) if name in functions.PREDICATES else out if out is not None else Exact(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in functions.METHODS:
            return getattr(exact(args[0]), functions.METHODS[function])(*args[1:], **kwargs)
        if function in functions.READ_OFF:
            return functions.READ_OFF[function](*args, **kwargs)
        if function is np.linalg.solve:
            return _solved(*args, **kwargs)
        if function not in functions.STRUCTURAL:
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
    return Exact(functions.READ(array))


_SOLVE = np.vectorize(solve, otypes="O", signature="(n,n),(n,k)->(n,k)")
_FILLED = np.frompyfunc(lambda x: x if isinstance(x, Factored) else read(x), 1, 1)


def _solved(a: Any, b: Any) -> Exact:
    return Exact(_SOLVE(exact(a).entries, exact(b).entries))


def _coerced(result: Any) -> Any:
    """What a function of numpy's returned, with the zeros and ones it filled in made exact."""
    return result if isinstance(result, np.ndarray) and result.dtype != object else Exact(_FILLED(result))


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
