"""Instances side by side: a vector type for kernels. Code that reads as scalar algebra then works on many at once.

A *tile* is an array [..., WIDTH] whose last axis counts instances. Small matrices leave nothing to vectorise along their own
rows; across instances each operation is the same, and an instance's own order of operations does not change: its numbers are the
same alone and in a batch.

Within compiled functions: ``get(tile, index)`` and ``put(tile, index, x)`` read and write a number of each instance,
``lanes(1.0)`` repeats one, ``+ - * /`` work on them. ``load`` and ``store`` carry a table in planes, [K, N], into a
tile [K, WIDTH] and back; :mod:`mdps.lane_rows` does so for rows.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from mdps.kernels import inner

WIDTH = 16
"""Instances in a tile: two registers of 512 bits, so that one can be worked on while the other waits for its last result."""


ALIGNMENT = 64
"""Of tiles, in bytes: a register is then never loaded from two lines of cache."""


def inlined(function: Any) -> Any:
    """Make an intrinsic of numba's; with a type of its own a call of it would have to name numba's typing context."""
    return intrinsic(function)


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__("Lanes")


LANES = _Lanes()
DOUBLES = ir.VectorType(ir.DoubleType(), WIDTH)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, DOUBLES)


def _arithmetic(function: Any, instruction: str) -> None:
    class Template(ConcreteTemplate):
        cases = (signature(LANES, LANES, LANES),)

    infer_global(function)(Template)

    @lower_builtin(function, LANES, LANES)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)


for _name, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    _arithmetic(getattr(operator, _name), _instruction)
    _arithmetic(getattr(operator, f"i{_name}"), _instruction)


@inlined
def lanes(typing: Any, number: Any) -> Any:
    """Repeat one number."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first = builder.insert_element(ir.Constant(DOUBLES, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))

    return LANES(types.float64), code


def address_of(context: Any, builder: Any, array: Any, kind: Any, index: list[Any], width: int) -> Any:
    """Address of ``width`` numbers at an index into the leading axes of a contiguous array."""
    table = context.make_array(kind)(context, builder, array)
    shape = [builder.extract_value(table.shape, axis) for axis in range(kind.ndim)]
    offset = index[0]
    for axis in range(1, kind.ndim):
        offset = builder.mul(offset, shape[axis] if axis < kind.ndim - 1 or width == 1 else ir.Constant(offset.type, width))
        if axis < len(index):
            offset = builder.add(offset, index[axis])
    return builder.bitcast(builder.gep(table.data, [offset]), DOUBLES.as_pointer())


def _parts(builder: Any, value: Any, kind: Any) -> list[Any]:
    return [builder.extract_value(value, i) for i in range(len(kind))] if isinstance(kind, types.BaseTuple) else [value]


@inlined
def get(typing: Any, tile: Any, index: Any) -> Any:
    """Read the numbers at an index into the leading axes of a tile."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = address_of(context, builder, args[0], sig.args[0], _parts(builder, args[1], sig.args[1]), WIDTH)
        return builder.load(address, align=ALIGNMENT)

    return LANES(tile, index), code


@inlined
def put(typing: Any, tile: Any, index: Any, value: Any) -> Any:
    """Write numbers at an index into the leading axes of a tile."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = address_of(context, builder, args[0], sig.args[0], _parts(builder, args[1], sig.args[1]), WIDTH)
        builder.store(args[2], address, align=ALIGNMENT)
        return context.get_dummy_value()

    return types.none(tile, index, LANES), code


@inlined
def positive(typing: Any, test: Any, yes: Any, no: Any) -> Any:
    """``yes`` where ``test`` is above zero, ``no`` elsewhere."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        above = builder.fcmp_ordered(">", args[0], ir.Constant(DOUBLES, [0.0] * WIDTH))
        return builder.select(above, args[1], args[2])

    return LANES(LANES, LANES, LANES), code


TABLE = types.Array(types.float64, 2, "C", readonly=True)
"""Type of a table [N, K] that a kernel reads."""


@inlined
def read(typing: Any, matrix: Any, k: Any, at: Any) -> Any:
    """Read WIDTH numbers of row k of a matrix [K, N], from column ``at`` on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(address_of(context, builder, args[0], sig.args[0], [args[1], args[2]], 1), align=8)

    return LANES(matrix, types.intp, types.intp), code


@inlined
def ahead(typing: Any, matrix: Any, k: Any, at: Any, count: Any) -> Any:
    """Ask for ``count`` numbers of row k of a matrix [K, N], from column ``at`` on, that will be read soon; in pairs of lines."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start = builder.bitcast(address_of(context, builder, args[0], sig.args[0], args[1:3], 1), ir.IntType(8).as_pointer())
        number, size = ir.IntType(32), args[3].type
        kind = ir.FunctionType(ir.VoidType(), [start.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        stop = builder.mul(args[3], ir.Constant(size, 8))
        with cgutils.for_range_slice(builder, ir.Constant(size, 0), stop, ir.Constant(size, 2 * ALIGNMENT), size) as (line, _):
            for other in (line, builder.add(line, ir.Constant(size, ALIGNMENT))):
                builder.call(function, [builder.gep(start, [other]), *(ir.Constant(number, x) for x in (0, 3, 1))])
        return context.get_dummy_value()

    return types.none(matrix, types.intp, types.intp, types.intp), code


@inlined
def write(typing: Any, matrix: Any, k: Any, at: Any, value: Any) -> Any:
    """Write WIDTH numbers to row k of a matrix [K, N], from column ``at`` on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[3], address_of(context, builder, args[0], sig.args[0], [args[1], args[2]], 1), align=8)
        return context.get_dummy_value()

    return types.none(matrix, types.intp, types.intp, LANES), code


@inner(types.void(TABLE, types.int64, types.int64, types.int64, types.float64[:, ::1]))
def load(matrix: Any, at: Any, first: Any, stop: Any, tile: Any) -> None:
    """Read the rows from ``first`` to ``stop`` of a matrix [K, N] into a tile, WIDTH columns from ``at`` on."""
    for k in range(first, stop):
        ahead(matrix, k, at + WIDTH, WIDTH)
        put(tile, (k,), read(matrix, k, at))


@inner(types.void(types.float64[:, ::1], types.float64[:, ::1], types.int64))
def store(tile: Any, matrix: Any, at: Any) -> None:
    """Write a tile to a matrix [K, N], WIDTH columns from ``at`` on."""
    for k in range(matrix.shape[0]):
        write(matrix, k, at, get(tile, (k,)))


@inner(types.float64[::1](types.int64), allocates=True)
def room(size: Any) -> Any:
    """Room for tiles of ``size`` numbers in all, aligned."""
    block = np.empty(size + ALIGNMENT // 8)
    skip = (-block.ctypes.data) % ALIGNMENT // 8
    return block[skip : skip + size]
