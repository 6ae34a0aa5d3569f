"""Instances side by side: a vector type for kernels. Code that reads as scalar algebra then works on many at once.

A *tile* is an array [..., WIDTH] whose last axis counts instances. Small matrices leave nothing to vectorise along their own
rows; across instances each operation is the same, and an instance's own order of operations does not change: its numbers are the
same alone and in a batch.

Within compiled functions: ``get(tile, index)`` and ``put(tile, index, x)`` read and write a number of each instance,
``lanes(1.0)`` repeats one, ``+ - * /`` work on them. ``gather`` and ``scatter`` carry rows of a table [N, K] into a tile
[K, WIDTH] and back; ``load`` and ``store`` do so for a table in planes, [K, N].
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


def _intrinsic(function: Any) -> Any:
    return intrinsic(function)  # with a type of its own a call would have to name numba's typing context


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__("Lanes")


LANES = _Lanes()
_DOUBLES = ir.VectorType(ir.DoubleType(), WIDTH)


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _DOUBLES)


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


@_intrinsic
def lanes(typing: Any, number: Any) -> Any:
    """Repeat one number."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first = builder.insert_element(ir.Constant(_DOUBLES, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))

    return LANES(types.float64), code


def _address(context: Any, builder: Any, array: Any, kind: Any, index: list[Any], width: int) -> Any:
    """Address of ``width`` numbers at an index into the leading axes of a contiguous array."""
    table = context.make_array(kind)(context, builder, array)
    shape = [builder.extract_value(table.shape, axis) for axis in range(kind.ndim)]
    offset = index[0]
    for axis in range(1, kind.ndim):
        offset = builder.mul(offset, shape[axis] if axis < kind.ndim - 1 or width == 1 else ir.Constant(offset.type, width))
        if axis < len(index):
            offset = builder.add(offset, index[axis])
    return builder.bitcast(builder.gep(table.data, [offset]), _DOUBLES.as_pointer())


def _parts(builder: Any, value: Any, kind: Any) -> list[Any]:
    return [builder.extract_value(value, i) for i in range(len(kind))] if isinstance(kind, types.BaseTuple) else [value]


@_intrinsic
def get(typing: Any, tile: Any, index: Any) -> Any:
    """Read the numbers at an index into the leading axes of a tile."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, args[0], sig.args[0], _parts(builder, args[1], sig.args[1]), WIDTH)
        return builder.load(address, align=ALIGNMENT)

    return LANES(tile, index), code


@_intrinsic
def put(typing: Any, tile: Any, index: Any, value: Any) -> Any:
    """Write numbers at an index into the leading axes of a tile."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, args[0], sig.args[0], _parts(builder, args[1], sig.args[1]), WIDTH)
        builder.store(args[2], address, align=ALIGNMENT)
        return context.get_dummy_value()

    return types.none(tile, index, LANES), code


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose a square of numbers in rounds, which exchange halves, then quarters, and at last neighbours."""
    kind = ir.VectorType(ir.IntType(32), WIDTH)
    for half in (WIDTH >> i for i in range(1, WIDTH.bit_length())):
        low = [i if not i & half else i - half + WIDTH for i in range(WIDTH)]
        high = [i + half if not i & half else i + WIDTH for i in range(WIDTH)]
        pairs = [(i, i + half) for i in range(WIDTH) if not i & half]
        for i, j in pairs:
            x, y = rows[i], rows[j]
            rows[i] = builder.shuffle_vector(x, y, ir.Constant(kind, low))
            rows[j] = builder.shuffle_vector(x, y, ir.Constant(kind, high))
    return rows


@_intrinsic
def positive(typing: Any, test: Any, yes: Any, no: Any) -> Any:
    """``yes`` where ``test`` is above zero, ``no`` elsewhere."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        above = builder.fcmp_ordered(">", args[0], ir.Constant(_DOUBLES, [0.0] * WIDTH))
        return builder.select(above, args[1], args[2])

    return LANES(LANES, LANES, LANES), code


def _first(builder: Any, count: Any) -> Any:
    """A mask of the first ``count`` entries of a vector."""
    kind = ir.VectorType(count.type, WIDTH)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), count, ir.Constant(ir.IntType(32), 0))
    repeated = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))
    return builder.icmp_signed("<", ir.Constant(kind, list(range(WIDTH))), repeated)


def _masked(builder: Any, name: str, result: Any, *args: Any) -> Any:
    function = ir.FunctionType(result, [x.type for x in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.masked.{name}.v{WIDTH}f64.p0"), args)


@_intrinsic
def _gather_block(typing: Any, table: Any, rows: Any, column: Any, tile: Any, k: Any, count: Any) -> Any:
    """Read ``count`` columns, WIDTH at most, of as many rows as there are lanes into a tile from k on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        table, which, column, tile, k, count = args
        mask = _first(builder, count)
        indices = context.make_array(sig.args[1])(context, builder, which).data
        rows = []
        for lane in range(WIDTH):
            row = builder.load(builder.gep(indices, [ir.Constant(k.type, lane)]))
            address = _address(context, builder, table, sig.args[0], [row, column], 1)
            empty = ir.Constant(_DOUBLES, [0.0] * WIDTH)
            rows.append(_masked(builder, "load", _DOUBLES, address, ir.Constant(ir.IntType(32), 8), mask, empty))
        for i, row in enumerate(_transposed(builder, rows)):
            with builder.if_then(builder.icmp_signed("<", ir.Constant(k.type, i), count), likely=True):
                at = builder.add(k, ir.Constant(k.type, i))
                builder.store(row, _address(context, builder, tile, sig.args[3], [at], WIDTH), align=ALIGNMENT)
        return context.get_dummy_value()

    return types.none(table, rows, types.intp, tile, types.intp, types.intp), code


@_intrinsic
def _scatter_block(typing: Any, tile: Any, k: Any, count: Any, table: Any, first: Any, lanes: Any) -> Any:
    """Write ``count`` columns from k on, WIDTH at most, of the first ``lanes`` rows."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile, k, count, table, first, lanes = args
        mask = _first(builder, count)
        rows = []
        for i in range(WIDTH):
            within = builder.icmp_signed("<", ir.Constant(k.type, i), count)
            at = builder.select(within, builder.add(k, ir.Constant(k.type, i)), k)
            rows.append(builder.load(_address(context, builder, tile, sig.args[0], [at], WIDTH), align=ALIGNMENT))
        for i, row in enumerate(_transposed(builder, rows)):
            with builder.if_then(builder.icmp_signed("<", ir.Constant(k.type, i), lanes), likely=True):
                instance = builder.add(first, ir.Constant(first.type, i))
                address = _address(context, builder, table, sig.args[3], [instance, k], 1)
                _masked(builder, "store", ir.VoidType(), row, address, ir.Constant(ir.IntType(32), 8), mask)
        return context.get_dummy_value()

    return types.none(tile, types.intp, types.intp, table, types.intp, types.intp), code


TABLE = types.Array(types.float64, 2, "C", readonly=True)
"""Type of a table [N, K] that a kernel reads."""


@inner(types.void(TABLE, types.int64[::1], types.int64, types.int64, types.float64[:, ::1]))
def gather(table: Any, rows: Any, first: Any, stop: Any, tile: Any) -> None:
    """Read the columns from ``first`` to ``stop`` of some rows of a table [N, K] into the same places of a tile."""
    k = first
    while k + WIDTH <= stop:
        _gather_block(table, rows, k, tile, k, WIDTH)
        k += WIDTH
    if k < stop:
        _gather_block(table, rows, k, tile, k, stop - k)


@inner(types.void(types.float64[:, ::1], types.float64[:, ::1], types.int64, types.int64))
def scatter(tile: Any, table: Any, first: Any, count: Any) -> None:
    """Write the first ``count`` lanes of a tile to the rows of a table [N, K] from ``first`` on."""
    k, stop = 0, table.shape[1]
    if count == WIDTH:
        while k + WIDTH <= stop:
            _scatter_block(tile, k, WIDTH, table, first, WIDTH)
            k += WIDTH
    while k < stop:
        _scatter_block(tile, k, min(WIDTH, stop - k), table, first, count)
        k += WIDTH


@_intrinsic
def read(typing: Any, matrix: Any, k: Any, at: Any) -> Any:
    """Read WIDTH numbers of row k of a matrix [K, N], from column ``at`` on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, args[0], sig.args[0], [args[1], args[2]], 1), align=8)

    return LANES(matrix, types.intp, types.intp), code


@_intrinsic
def ahead(typing: Any, matrix: Any, k: Any, at: Any) -> Any:
    """Ask for WIDTH numbers of row k of a matrix [K, N] that will be read soon; they may lie beyond its end."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, args[0], sig.args[0], [args[1], args[2]], 1)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        start = builder.bitcast(address, byte)
        for line in range(0, WIDTH * 8, ALIGNMENT):
            place = builder.gep(start, [ir.Constant(number, line)])
            builder.call(function, [place, ir.Constant(number, 0), ir.Constant(number, 3), ir.Constant(number, 1)])
        return context.get_dummy_value()

    return types.none(matrix, types.intp, types.intp), code


@_intrinsic
def write(typing: Any, matrix: Any, k: Any, at: Any, value: Any) -> Any:
    """Write WIDTH numbers to row k of a matrix [K, N], from column ``at`` on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[3], _address(context, builder, args[0], sig.args[0], [args[1], args[2]], 1), align=8)
        return context.get_dummy_value()

    return types.none(matrix, types.intp, types.intp, LANES), code


@inner(types.void(TABLE, types.int64, types.int64, types.int64, types.float64[:, ::1]))
def load(matrix: Any, at: Any, first: Any, stop: Any, tile: Any) -> None:
    """Read the rows from ``first`` to ``stop`` of a matrix [K, N] into a tile, WIDTH columns from ``at`` on."""
    for k in range(first, stop):
        ahead(matrix, k, at + WIDTH)
        put(tile, (k,), read(matrix, k, at))


@inner(types.void(types.float64[:, ::1], types.float64[:, ::1], types.int64))
def store(tile: Any, matrix: Any, at: Any) -> None:
    """Write a tile to a matrix [K, N], WIDTH columns from ``at`` on."""
    for k in range(matrix.shape[0]):
        write(matrix, k, at, get(tile, (k,)))


@inner(types.float64[::1](types.int64))
def room(size: Any) -> Any:
    """Room for tiles of ``size`` numbers in all, aligned."""
    block = np.empty(size + ALIGNMENT // 8)
    skip = (-block.ctypes.data) % ALIGNMENT // 8
    return block[skip : skip + size]
