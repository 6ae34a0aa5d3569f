"""Usage of a claim from its two sides, and whether they are sides at all: one pass over memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from mdps.kernels import chunked
from mdps.lanes import TABLE
from mdps.mdp import Array


def usage(lhs: Any, rhs: Any, applies: Any) -> Array | None:
    """``lhs / rhs`` [*B], the largest over further axes; 0 where both are 0 or infinite and where the claim does not apply.

    Parameters
    ----------
    lhs, rhs
        Both sides [*B, ...], of one shape.
    applies
        Where the premise holds [*B].

    Returns
    -------
    usage
        None where a side is no table of floats, or is nan or negative somewhere that the claim applies.
    """
    for side in (lhs, rhs):
        if not isinstance(side, np.ndarray) or side.dtype != np.float64:
            return None
    batch = applies.shape
    worst = np.empty(math.prod(batch))
    left, right = (_matrix(side, len(batch), len(worst)) for side in (lhs, rhs))
    fine = _usage(left, right, np.ascontiguousarray(applies).reshape(-1), worst)
    return worst.reshape(batch) if fine else None


def usage_of_difference(parts: tuple[Any, ...], unit: float, applies: Any) -> Array | None:
    """``|lhs - rhs| / (unit scale)`` as :func:`usage` has it, of parts that broadcast to [*B, ...]; None too if they do not."""
    for part in parts:
        if not isinstance(part, np.ndarray) or part.dtype != np.float64:
            return None
    batch = applies.shape
    try:
        shape = np.broadcast_shapes(*(part.shape for part in parts))
    except ValueError:
        return None
    if shape[: len(batch)] != batch or 0 in shape:
        return None
    worst = np.empty(math.prod(batch))
    wide = (part if part.shape == shape else np.broadcast_to(part, shape) for part in parts)
    matrices = (_matrix(part, len(batch), len(worst)) for part in wide)
    fine = _difference(*matrices, unit, np.ascontiguousarray(applies).reshape(-1), worst)
    return worst.reshape(batch) if fine else None


def _matrix(side: Array, axes: int, count: int) -> Array:
    """A side as a matrix [K, N], a row for each number of an instance; one row where they are all the same."""
    if side.ndim == axes == 1:
        return np.ascontiguousarray(side)[None]
    if not any(side.strides[axes:]):
        side = side.reshape(*side.shape[:axes], -1)[..., 0]
    return np.ascontiguousarray(side.reshape(count, -1).T)


_APPLIES = types.Array(types.boolean, 1, "C", readonly=True)


@chunked(types.boolean(TABLE, TABLE, TABLE, types.float64, _APPLIES, types.float64[::1]))
def _difference(lhs: Any, rhs: Any, scale: Any, unit: Any, applies: Any, worst: Any) -> bool:
    worst[:] = 0.0
    wrong = 0
    for k in range(max(lhs.shape[0], rhs.shape[0], scale.shape[0])):
        left, right = lhs[min(k, lhs.shape[0] - 1)], rhs[min(k, rhs.shape[0] - 1)]
        size = scale[min(k, scale.shape[0] - 1)]
        for i in range(worst.shape[0]):
            x = abs(left[i] - right[i]) if applies[i] else 0.0
            y = unit * size[i] if applies[i] else 0.0
            wrong += 0 if x >= 0.0 else 1
            wrong += 0 if y >= 0.0 else 1
            ratio = x / y
            worst[i] = ratio if ratio > worst[i] else worst[i]
    return wrong == 0


@chunked(types.boolean(TABLE, TABLE, _APPLIES, types.float64[::1]))
def _usage(lhs: Any, rhs: Any, applies: Any, worst: Any) -> bool:
    worst[:] = 0.0
    wrong = 0
    for k in range(max(lhs.shape[0], rhs.shape[0])):
        left, right = lhs[min(k, lhs.shape[0] - 1)], rhs[min(k, rhs.shape[0] - 1)]
        for i in range(worst.shape[0]):
            x = left[i] if applies[i] else 0.0
            y = right[i] if applies[i] else 0.0
            wrong += 0 if x >= 0.0 else 1
            wrong += 0 if y >= 0.0 else 1
            ratio = x / y  # nan for 0/0 and inf/inf, which is above nothing
            worst[i] = ratio if ratio > worst[i] else worst[i]
    return wrong == 0
