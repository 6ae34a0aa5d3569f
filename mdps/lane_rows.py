"""Rows of a table [N, K] into a tile [K, WIDTH] and back (:mod:`mdps.lanes`): transposes, four columns at a time, in registers.

``gather`` reads any rows, ``scatter`` writes neighbouring ones; ``turn`` and ``stream`` do so past the caches, where a table is
so large that it would drive out of them what is still needed.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from mdps.kernels import inner
from mdps.lanes import ALIGNMENT, DOUBLES, TABLE, WIDTH, address_of, inlined

QUARTER = 4
"""Columns that :func:`gather` and :func:`scatter` transpose at a time: with those of half a tile they fill four registers."""

_QUARTER = ir.VectorType(ir.DoubleType(), QUARTER)


def _shuffled(builder: Any, x: Any, y: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))


def _joined(builder: Any, x: Any, y: Any) -> Any:
    """Two vectors as one."""
    return _shuffled(builder, x, y, list(range(x.type.count + y.type.count)))


def _part(builder: Any, x: Any, start: int, size: int) -> Any:
    return _shuffled(builder, x, x, list(range(start, start + size)))


def _columns(builder: Any, rows: list[Any]) -> list[Any]:
    """Four columns of eight rows, from the rows: neighbours are interleaved, then pairs of them put in their order.

    Rows enter two to a register, ``0 2``, ``1 3``, ``4 6`` and ``5 7``, so that either step is one instruction.
    """
    a, b, c, d = (_joined(builder, rows[i], rows[i + 2]) for i in (0, 1, 4, 5))
    even, odd = [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]
    first, second = [0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]
    columns: list[Any] = [None] * QUARTER
    for k, order in enumerate((even, odd)):
        x, y = _shuffled(builder, a, b, order), _shuffled(builder, c, d, order)
        columns[k], columns[k + 2] = _shuffled(builder, x, y, first), _shuffled(builder, x, y, second)
    return columns


def _rows(builder: Any, columns: list[Any]) -> list[Any]:
    """Eight rows of four columns, from the columns."""
    rows: list[Any] = [None] * 8
    for k, order in enumerate(([0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15])):
        x, y = _shuffled(builder, columns[0], columns[1], order), _shuffled(builder, columns[2], columns[3], order)
        for half, pairs in enumerate(([0, 1, 8, 9, 2, 3, 10, 11], [4, 5, 12, 13, 6, 7, 14, 15])):
            both = _shuffled(builder, x, y, pairs)
            rows[4 * half + k], rows[4 * half + k + 2] = _part(builder, both, 0, QUARTER), _part(builder, both, QUARTER, QUARTER)
    return rows


def _first(builder: Any, count: Any) -> Any:
    """A mask of the first ``count`` columns of four."""
    kind = ir.VectorType(count.type, QUARTER)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), count, ir.Constant(ir.IntType(32), 0))
    return builder.icmp_signed("<", ir.Constant(kind, list(range(QUARTER))), _shuffled(builder, one, one, [0] * QUARTER))


def _masked(builder: Any, name: str, result: Any, *args: Any) -> Any:
    function = ir.FunctionType(result, [x.type for x in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.masked.{name}.v{QUARTER}f64.p0"), args)


def _quarter(context: Any, builder: Any, table: Any, kind: Any, row: Any, column: Any) -> Any:
    """Address of four columns of a row."""
    return builder.bitcast(address_of(context, builder, table, kind, [row, column], 1), _QUARTER.as_pointer())


@inlined
def _gather_columns(typing: Any, table: Any, rows: Any, first: Any, stop: Any, tile: Any) -> Any:
    """Read columns of as many rows as there are lanes, four at a time, to the same places of a tile."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        table, rows, first, stop, tile = args
        indices = context.make_array(sig.args[1])(context, builder, rows).data
        which = [builder.load(builder.gep(indices, [ir.Constant(first.type, lane)])) for lane in range(WIDTH)]

        def columns(k: Any, read: Any) -> list[Any]:
            found = [read(_quarter(context, builder, table, sig.args[0], row, k)) for row in which]
            halves = zip(*(_columns(builder, found[i : i + 8]) for i in range(0, WIDTH, 8)), strict=True)
            return [_joined(builder, *parts) for parts in halves]

        def keep(column: Any, k: Any) -> None:
            builder.store(column, address_of(context, builder, tile, sig.args[4], [k], WIDTH), align=ALIGNMENT)

        def plain(address: Any) -> Any:
            return builder.load(address, align=8)

        whole = builder.sub(stop, builder.srem(builder.sub(stop, first), ir.Constant(first.type, QUARTER)))
        with cgutils.for_range_slice(builder, first, whole, ir.Constant(first.type, QUARTER), first.type) as (k, _):
            for i, column in enumerate(columns(k, plain)):
                keep(column, builder.add(k, ir.Constant(k.type, i)))
        left = builder.sub(stop, whole)
        with builder.if_then(builder.icmp_signed(">", left, ir.Constant(left.type, 0))):
            mask, empty = _first(builder, left), ir.Constant(_QUARTER, [0.0] * QUARTER)
            align = ir.Constant(ir.IntType(32), 8)
            found = columns(whole, lambda address: _masked(builder, "load", _QUARTER, address, align, mask, empty))
            for i, column in enumerate(found[: QUARTER - 1]):
                with builder.if_then(builder.icmp_signed("<", ir.Constant(left.type, i), left)):
                    keep(column, builder.add(whole, ir.Constant(left.type, i)))
        return context.get_dummy_value()

    return types.none(table, rows, types.intp, types.intp, tile), code


@inlined
def _scatter_columns(typing: Any, tile: Any, table: Any, first: Any, stop: Any) -> Any:
    """Write the first ``stop`` columns of a tile to as many rows from ``first`` on as there are lanes, four at a time."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile, table, first, stop = args

        def rows(k: Any, last: Any, write: Any) -> None:
            columns = []
            for i in range(QUARTER):
                at = builder.add(k, ir.Constant(k.type, i))
                at = builder.select(builder.icmp_signed("<", at, last), at, k)
                columns.append(builder.load(address_of(context, builder, tile, sig.args[0], [at], WIDTH), align=ALIGNMENT))
            for half in range(0, WIDTH, 8):
                for lane, row in enumerate(_rows(builder, [_part(builder, column, half, 8) for column in columns]), half):
                    instance = builder.add(first, ir.Constant(first.type, lane))
                    write(row, _quarter(context, builder, table, sig.args[1], instance, k))

        whole = builder.sub(stop, builder.srem(stop, ir.Constant(stop.type, QUARTER)))
        zero, step = ir.Constant(stop.type, 0), ir.Constant(stop.type, QUARTER)
        with cgutils.for_range_slice(builder, zero, whole, step, stop.type) as (k, _):
            rows(k, stop, lambda row, address: builder.store(row, address, align=8))
        left = builder.sub(stop, whole)
        with builder.if_then(builder.icmp_signed(">", left, ir.Constant(left.type, 0))):
            mask, align = _first(builder, left), ir.Constant(ir.IntType(32), 8)
            rows(whole, stop, lambda row, address: _masked(builder, "store", ir.VoidType(), row, address, align, mask))
        return context.get_dummy_value()

    return types.none(tile, table, types.intp, types.intp), code


@inner(types.void(TABLE, types.int64[::1], types.int64, types.int64, types.float64[:, ::1]))
def gather(table: Any, rows: Any, first: Any, stop: Any, tile: Any) -> None:
    """Read the columns from ``first`` to ``stop`` of some rows of a table [N, K] into the same places of a tile."""
    _gather_columns(table, rows, first, stop, tile)


@inner(types.void(types.float64[:, ::1], types.float64[:, ::1], types.int64, types.int64))
def scatter(tile: Any, table: Any, first: Any, count: Any) -> None:
    """Write the first ``count`` lanes of a tile to the rows of a table [N, K] from ``first`` on."""
    if count == WIDTH:
        _scatter_columns(tile, table, first, table.shape[1])
    else:
        for lane in range(count):
            for k in range(table.shape[1]):
                table[first + lane, k] = tile[k, lane]


@inner(types.void(types.float64[:, ::1], types.float64[:, ::1]))
def turn(tile: Any, draft: Any) -> None:
    """Write a tile [K, WIDTH] as rows [WIDTH, K]."""
    _scatter_columns(tile, draft, 0, draft.shape[1])


@inlined
def stream(typing: Any, draft: Any, table: Any, first: Any) -> Any:
    """Write the rows that a tile was turned into to those of a table from ``first`` on, whose memory is aligned as tiles are.

    Past the caches: memory is not read before it is written, and caches keep what is still needed. Turn all tables first: what
    has just been written in parts cannot be read whole for a while.
    """

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        draft, table, first = args
        matrix = context.make_array(sig.args[0])(context, builder, draft)
        one, zero = ir.Constant(first.type, 1), ir.Constant(first.type, 0)
        source = builder.bitcast(matrix.data, DOUBLES.as_pointer())
        target = address_of(context, builder, table, sig.args[1], [first, zero], 1)
        mark = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        with cgutils.for_range_slice(builder, zero, builder.extract_value(matrix.shape, 1), one, first.type) as (k, _):
            line = builder.load(builder.gep(source, [k]), align=ALIGNMENT)
            builder.store(line, builder.gep(target, [k]), align=ALIGNMENT).set_metadata("nontemporal", mark)
        return context.get_dummy_value()

    return types.none(draft, table, types.intp), code


@inlined
def settle(typing: Any) -> Any:
    """Have other cores see what was streamed before whatever is written next."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.none(), code
