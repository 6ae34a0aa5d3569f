"""What enclosures answer to numpy's functions: filed by :mod:`bounds.enclosed_comparison`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from bounds import rounded, rounding
from bounds.arranged import arrange, in_planes
from bounds.enclosed_laws import Advantages, Distributions, Weights
from bounds.enclosed_products import Product, contracted
from bounds.enclosed_systems import solved
from bounds.enclosure import Axis, Enclosure, Top, Total, binary, decided, middle, pair, reduced, shared, unary
from bounds.maybe import Maybe
from mdps.mdp import Array


def _binary(operation: int) -> Callable[[Any, Any], Enclosure]:
    def answer(x: Any, y: Any) -> Enclosure:
        return Enclosure(*binary(operation, x, y))

    return answer


def _unary(operation: int) -> Callable[[Any], Enclosure]:
    def answer(x: Any) -> Enclosure:
        return Enclosure(*unary(operation, x))

    return answer


def _library(operation: int, function: Any) -> Callable[[Any], Enclosure]:
    def answer(x: Any) -> Enclosure:
        with np.errstate(all="ignore"):  # what overflows or is nan is known to be unknown
            value = function(x.mid)
        return Enclosure(*unary(operation, x, value))

    return answer


def _exponential(x: Any) -> Weights:
    found = _library(rounded.EXP, np.exp)(x)
    return Weights(found.mid, found.rad)


_multiplied, _divided, _subtracted, _fallen, _larger = (
    _binary(x) for x in (rounded.MULTIPLY, rounded.DIVIDE, rounded.SUBTRACT, rounded.FALL, rounded.MAXIMUM)
)


def _multiply(x: Any, y: Any) -> Enclosure:
    if isinstance(x, Enclosure) and isinstance(y, Enclosure) and (x.ndim > 1 or y.ndim > 1 or _probable(x) or _probable(y)):
        return Product(x, y)
    return _multiplied(x, y)


def _probable(x: Enclosure) -> bool:
    return isinstance(x, Distributions)


def _divide(x: Any, y: Any) -> Enclosure:
    if isinstance(y, Total) and y.parts is x:
        return (Distributions if _weighs(x, y) else Enclosure)(*shared(x))
    return x if isinstance(x, Enclosure) and _is_one(y) and np.broadcast_shapes(x.shape, y.shape) == x.shape else _divided(x, y)


def _weighs(x: Enclosure, whole: Total) -> bool:
    """Whether the shares in a sum are distributions: no number is negative, and the sum is not zero."""
    factors = x.factors if isinstance(x, Product) else (x,)
    if any(isinstance(f, Weights) for f in factors) and all(isinstance(f, Weights | Distributions) for f in factors):
        return True
    return bool((x.mid >= x.rad).all() and ((whole.mid > whole.rad) & (whole.mid < np.inf)).all())


def _is_one(x: Any) -> bool:
    return isinstance(x, Enclosure) and bool((x.mid == 1.0).all()) and not x.rad.any()


def _maximum(x: Any, y: Any) -> Enclosure:
    if isinstance(x, Distributions) and isinstance(y, float) and y == 0.0:
        return x  # which is not negative
    return _larger(x, y)


def _subtract(x: Any, y: Any) -> Enclosure:
    return _fallen(x, y) if isinstance(y, Top) and y.parts is x else _subtracted(x, y)


def _decision(question: int, *, swap: bool = False, negate: bool = False) -> Callable[[Any, Any], Maybe]:
    def decide(x: Any, y: Any) -> Maybe:
        x, y = (y, x) if swap else (x, y)
        possibly, certainly = decided(question, x, y)
        return ~Maybe(possibly, certainly) if negate else Maybe(possibly, certainly)

    return decide


def _power(base: Any, exponent: Any) -> Enclosure:
    if isinstance(exponent, Enclosure):
        raise TypeError("an enclosure can only be raised to an exact power")
    if np.ndim(exponent) == 0 and exponent == 2:
        return Enclosure(*unary(rounded.SQUARE, base))
    with np.errstate(all="ignore"):  # what overflows or is nan is known to be unknown
        value = np.power(base.mid, exponent)
    given = arrange((*pair(base), exponent, value))
    mid, rad = given.room()
    rounded.power(*given.matrices, given.rows, mid, rad)
    return Enclosure(given.table(mid), given.table(rad))


def _matmul(x: Any, y: Any) -> Enclosure:
    if np.ndim(x) < 2 or np.ndim(y) < 2:
        raise TypeError("a matrix product of enclosures needs two axes on either side; write (x * y).sum(-1)")
    return cast(Enclosure, contracted("...ij,...jk->...ik", x, y))


def _einsum(subscripts: str, *operands: Any) -> Enclosure:
    if len(operands) == 2 and (found := contracted(subscripts, *operands)) is not None:
        return found
    inputs, output = subscripts.split("->")
    sizes = {
        label: size
        for part, x in zip(inputs.split(","), operands, strict=True)
        for label, size in zip(part.replace("...", "")[::-1], np.shape(x)[::-1], strict=False)
    }
    terms = math.prod(size for label, size in sizes.items() if label not in output)
    return _multilinear(lambda *tables: np.einsum(subscripts, *tables), terms, *operands)


@np.errstate(all="ignore")  # what overflows or is nan is known to be unknown
def _multilinear(contract: Callable[..., Array], terms: int, *operands: Any) -> Enclosure:
    """A sum of products, linear in each operand: it moves by at most what it gains when every factor is as large as it can be.

    A term costs as many roundings as it has factors and as there are terms, in each of the three sums taken here.
    """
    pairs = [(np.asarray(m, dtype=float), r) for m, r in map(pair, operands)]
    mid = contract(*(m for m, _ in pairs))
    size = contract(*(np.abs(m) for m, _ in pairs)) if any((m < 0).any() for m, _ in pairs) else mid
    whole = contract(*(np.abs(m) + r for m, r in pairs)) if any(np.any(r) for _, r in pairs) else size
    rad = whole - size + 4 * (terms + len(pairs) + 1) * rounding.U * whole
    smallest = math.prod(float(np.min(np.abs(m) + r, where=np.abs(m) + r > 0, initial=1.0)) for m, r in pairs)
    some = whole > 0 if smallest > rounding.TINY else contract(*((np.abs(m) + r > 0).astype(float) for m, r in pairs)) > 0
    rad = rad * rounding.GROW + terms * rounding.TINY * some
    known = (rad < np.inf) & np.isfinite(mid)
    return Enclosure(np.where(known, mid, 0.0), np.where(known, rad, np.inf))


def _where(condition: Any, x: Any, y: Any) -> Any:
    if isinstance(condition, Maybe) and (either := condition.open).any():
        known, hull = _where(condition.certainly, x, y), _hull(Enclosure(*pair(x)), Enclosure(*pair(y)))
        return _where(either, hull, known)
    condition = condition.certainly if isinstance(condition, Maybe) else np.asarray(condition)
    if not isinstance(x, Enclosure) and not isinstance(y, Enclosure):
        return np.where(condition, x, y)
    (a, ra), (b, rb) = pair(x), pair(y)
    shape = np.broadcast_shapes(condition.shape, np.shape(a), np.shape(b))
    if condition.all():
        return Enclosure(a, ra).broadcast(shape)
    if not condition.any():
        return Enclosure(b, rb).broadcast(shape)
    return Enclosure(np.where(condition, a, b), np.where(condition, ra, rb))


def _hull(x: Enclosure, y: Enclosure) -> Enclosure:
    """What contains both; of two numbers that are one, the number."""
    same = (x.mid == y.mid) & (x.rad == y.rad)
    (low, high), (least, most) = x.bounds(), y.bounds()
    mid, rad = middle(np.minimum(low, least), np.maximum(high, most))
    return Enclosure(np.where(same, x.mid, mid), np.where(same, x.rad, rad))


def _joined(join: Any) -> Callable[..., Enclosure]:
    def answer(parts: Any, axis: int = 0) -> Enclosure:
        pairs = [pair(x) if isinstance(x, Enclosure) else (x, np.zeros(np.shape(x))) for x in parts]
        mids, rads = [np.asarray(m) for m, _ in pairs], [r for _, r in pairs]
        depth, new = mids[0].ndim, int(join is np.stack)
        if depth + new < 2 or axis % (depth + new) == 0 or not (depth == 1 or any(in_planes(m) for m in mids)):
            return Enclosure(join(mids, axis), join(rads, axis))
        if new:
            at = axis % (depth + 1)
            shape = (*mids[0].shape[:at], len(mids), *mids[0].shape[at:])
        else:
            along = sum(m.shape[axis] for m in mids)
            shape = tuple(along if a == axis % depth else n for a, n in enumerate(mids[0].shape))
        mid, rad = (np.moveaxis(np.empty((*shape[1:], shape[0])), -1, 0) for _ in range(2))  # in planes, as the parts are
        return Enclosure(join(mids, axis, out=mid), join(rads, axis, out=rad))

    return answer


def _broadcast_to(x: Any, shape: Any) -> Any:
    if isinstance(x, Maybe):
        return Maybe(np.broadcast_to(x.possibly, shape), np.broadcast_to(x.certainly, shape))
    return x.broadcast(shape)


def _broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    shape = np.broadcast_shapes(*(np.shape(x) for x in arrays))
    return tuple(np.broadcast_to(x, shape) for x in arrays)


def _ptp(x: Enclosure, axis: Axis = None, keepdims: bool = False) -> Enclosure:
    return reduced(rounded.SPAN, x, axis, keepdims)


def _finite(x: Enclosure) -> Maybe:
    known = x.rad < np.inf
    return Maybe(np.isfinite(x.mid) | ~known, np.isfinite(x.mid) & known)


def _infinite(x: Enclosure) -> Maybe:
    return Maybe(np.isinf(x.mid) | (x.rad == np.inf), np.isinf(x.mid))


def _moveaxis(x: Enclosure, source: Any, destination: Any) -> Enclosure:
    return Enclosure(np.moveaxis(x.mid, source, destination), np.moveaxis(x.rad, source, destination))


def _take_along_axis(x: Enclosure, indices: Any, axis: int) -> Enclosure:
    return Enclosure(np.take_along_axis(x.mid, indices, axis), np.take_along_axis(x.rad, indices, axis))


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": _binary(rounded.ADD),
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "maximum": _maximum,
    "minimum": _binary(rounded.MINIMUM),
    "negative": lambda x: Advantages(-x.mid, x.rad, x.process) if isinstance(x, Advantages) else Enclosure(-x.mid, x.rad),
    "positive": lambda x: x,
    "absolute": _unary(rounded.ABSOLUTE),
    "sqrt": _unary(rounded.ROOT),
    "square": lambda x: _power(x, 2),
    "exp": _exponential,
    "expm1": _library(rounded.EXPM1, np.expm1),
    "log": _library(rounded.LOG, np.log),
    "log1p": _library(rounded.LOG1P, np.log1p),
    "power": _power,
    "matmul": _matmul,
    "less": _decision(rounded.LESS),
    "less_equal": _decision(rounded.LESS_EQUAL),
    "greater": _decision(rounded.LESS, swap=True),
    "greater_equal": _decision(rounded.LESS_EQUAL, swap=True),
    "equal": _decision(rounded.EQUAL),
    "not_equal": _decision(rounded.EQUAL, negate=True),
    "isnan": lambda x: np.zeros(x.shape, dtype=bool),
    "isfinite": _finite,
    "isinf": _infinite,
}

ARRAYWISE: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.broadcast_to: _broadcast_to,
    np.broadcast_arrays: _broadcast_arrays,
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.stack: _joined(np.stack),
    np.concatenate: _joined(np.concatenate),
    np.zeros_like: lambda x: Enclosure(0.0).broadcast(x.shape),
    np.ones_like: lambda x: Enclosure(1.0).broadcast(x.shape),
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
    np.linalg.solve: solved,
}
