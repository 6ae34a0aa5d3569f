"""Which of numpy's functions know exact numbers, and what each does with arrays of entries: tables by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import acb, fmpq

from bounds import exact_arithmetic as arithmetic
from bounds import exact_entries as entries


def _elementwise(function: Callable[..., Any], inputs: int = 1) -> Any:
    return np.frompyfunc(function, inputs, 1)


READ = _elementwise(entries.read)
BALL = _elementwise(entries.ball)
LOWER = _elementwise(lambda x: x if isinstance(x, fmpq) else x.lower())
UPPER = _elementwise(lambda x: x if isinstance(x, fmpq) else x.upper())
REAL = _elementwise(lambda x: x.real if isinstance(x, acb) else x)
IMAGINARY = _elementwise(lambda x: x.imag if isinstance(x, acb) else entries.ZERO)
MAXIMUM = _elementwise(arithmetic.larger, 2)
MINIMUM = _elementwise(arithmetic.smaller, 2)
EITHER = _elementwise(arithmetic.either, 2)

PREDICATES: dict[str, Any] = {
    "less": _elementwise(entries.less, 2),
    "less_equal": _elementwise(entries.at_most, 2),
    "greater": _elementwise(lambda x, y: entries.less(y, x), 2),
    "greater_equal": _elementwise(lambda x, y: entries.at_most(y, x), 2),
    "equal": _elementwise(entries.equal, 2),
    "not_equal": _elementwise(lambda x, y: not entries.equal(x, y), 2),
    "isnan": _elementwise(entries.is_nan),
    "isinf": _elementwise(entries.is_infinite),
    "isfinite": _elementwise(entries.is_finite),
}
"""Ufuncs whose answers are true or false."""

OPERATIONS: dict[str, Any] = {
    **PREDICATES,
    "add": np.add,
    "subtract": np.subtract,
    "negative": np.negative,
    "matmul": np.matmul,
    "multiply": _elementwise(arithmetic.multiply, 2),
    "divide": _elementwise(arithmetic.divide, 2),
    "power": _elementwise(arithmetic.power, 2),
    "square": _elementwise(arithmetic.square),
    "absolute": _elementwise(arithmetic.absolute),
    "maximum": MAXIMUM,
    "minimum": MINIMUM,
    "sqrt": _elementwise(arithmetic.square_root),
    "exp": _elementwise(arithmetic.exponential),
    "expm1": _elementwise(arithmetic.exponential_less_one),
    "log": _elementwise(arithmetic.logarithm),
    "log1p": _elementwise(arithmetic.logarithm_of_one_more),
}
"""All ufuncs that are answered."""

METHODS: dict[Any, str] = {
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
"""numpy's functions that an :class:`bounds.exact.Exact` has as methods."""

READ_OFF: dict[Any, Callable[..., Any]] = {
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
    np.real: lambda x: x.real,
    np.imag: lambda x: x.imag,
    np.ptp: lambda x, axis=None, keepdims=False: x.max(axis, keepdims=keepdims) - x.min(axis, keepdims=keepdims),
}
"""numpy's functions that its attributes and methods answer."""

STRUCTURAL: set[Any] = {
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


def total(table: entries.Entries, axis: Any, keepdims: bool) -> Any:
    """Sum over one axis, several or all (None)."""
    return np.add.reduce(table, axis=_axes(axis, table.ndim), keepdims=keepdims)  # type: ignore[call-overload]


def reduced(operation: Any, table: entries.Entries, axis: Any, keepdims: bool) -> Any:
    """An operation on two entries over one axis, several or all (None)."""
    for i in sorted(_axes(axis, table.ndim), reverse=True):
        table = operation.reduce(table, axis=i, keepdims=keepdims)
    return table


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    every = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(int(i) % ndim for i in every)
