"""Decisions instance by instance: what :mod:`mdps.lanes` needs beyond arithmetic, so that kernels with cases run side by side.

Within compiled functions ``x < y`` and its like compare lanes and give a mask; ``& | ~`` combine masks; ``choose(mask, x, y)``
takes x where the mask holds and y elsewhere; ``some(mask)`` is whether it holds anywhere. Those functions, ``largest``,
``smallest``, ``fused``, ``root`` and ``abs`` say the same of single floats: one source then serves both.

Matrices [K, N] of at least WIDTH columns are worked through in blocks from ``start(block, N)`` on; ``fetch`` reads one and
``keep`` writes one.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

from mdps.lanes import DOUBLES, LANES, WIDTH, inlined

_BITS = ir.VectorType(ir.IntType(1), WIDTH)
_BYTES = ir.VectorType(ir.IntType(8), WIDTH)


class _Mask(types.Type):
    def __init__(self) -> None:
        super().__init__("LaneMask")


MASK = _Mask()


@register_model(_Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _BITS)


def _repeated(builder: Any, number: Any) -> Any:
    first = builder.insert_element(ir.Constant(DOUBLES, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


_MIXED = ((LANES, types.float64), (types.float64, LANES))


def _binary(function: Any, result: Any, build: Any, kinds: Any) -> None:
    """File an operation on lanes, or on lanes and a number that is repeated."""
    cases_of = tuple(signature(result, *kind) for kind in kinds)

    class Template(ConcreteTemplate):
        cases = cases_of

    infer_global(function)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = [x if kind is LANES else _repeated(builder, x) for x, kind in zip(args, sig.args, strict=True)]
        return build(builder, *wide)

    for kind in kinds:
        lower_builtin(function, *kind)(lower)


for _name, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):

    def _arithmetic(builder: Any, x: Any, y: Any, instruction: str = _instruction) -> Any:
        return getattr(builder, instruction)(x, y)

    _binary(getattr(operator, _name), LANES, _arithmetic, _MIXED)
    _binary(getattr(operator, f"i{_name}"), LANES, _arithmetic, _MIXED)

for _name, _sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!=")):

    def _comparison(builder: Any, x: Any, y: Any, sign: str = _sign) -> Any:
        return builder.fcmp_unordered(sign, x, y) if sign == "!=" else builder.fcmp_ordered(sign, x, y)

    _binary(getattr(operator, _name), MASK, _comparison, ((LANES, LANES), *_MIXED))


def _combined(function: Any, instruction: str) -> None:
    class Template(ConcreteTemplate):
        cases = (signature(MASK, MASK, MASK),)

    infer_global(function)(Template)

    @lower_builtin(function, MASK, MASK)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)


for _name in ("and_", "or_"):
    _combined(getattr(operator, _name), _name)
    _combined(getattr(operator, f"i{_name.rstrip('_')}"), _name)


def _unary(function: Any, kind: Any, build: Any) -> None:
    class Template(ConcreteTemplate):
        cases = (signature(kind, kind),)

    infer_global(function)(Template)

    @lower_builtin(function, kind)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return build(builder, args[0])


def _absolute(builder: Any, x: Any) -> Any:
    return _called(builder, "fabs", x)


def _called(builder: Any, name: str, *args: Any) -> Any:
    """An intrinsic of LLVM's on numbers of one type."""
    kind = args[0].type
    suffix = f"v{WIDTH}f64" if isinstance(kind, ir.VectorType) else "f64"
    function = ir.FunctionType(kind, [kind] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.{suffix}"), args)


_unary(operator.neg, LANES, lambda builder, x: builder.fneg(x))
_unary(abs, LANES, _absolute)
_unary(operator.invert, MASK, lambda builder, x: builder.not_(x))


@inlined
def choose(typing: Any, test: Any, yes: Any, no: Any) -> Any:
    """``yes`` where the test holds, ``no`` elsewhere; either may be a number."""
    kind = yes if test == types.boolean else MASK if MASK in (yes, no) else LANES

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if kind is LANES:
            wide = [x if part is LANES else _repeated(builder, x) for x, part in zip(args[1:], sig.args[1:], strict=True)]
        else:
            wide = list(args[1:])
        return builder.select(args[0], *wide)

    return kind(test, yes, no), code


@inlined
def some(typing: Any, test: Any) -> Any:
    """Whether it holds of some instance."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if sig.args[0] is not MASK:
            return args[0]
        bits = builder.bitcast(args[0], ir.IntType(WIDTH))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(WIDTH), 0))

    return types.boolean(test), code


@inlined
def largest(typing: Any, x: Any, y: Any) -> Any:
    """The larger of two; x where y is nan."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[1], args[0]), args[1], args[0])

    return x(x, x), code


@inlined
def smallest(typing: Any, x: Any, y: Any) -> Any:
    """The smaller of two; x where y is nan."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[1], args[0]), args[1], args[0])

    return x(x, x), code


@inlined
def fused(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """``x y + z``, rounded once."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _called(builder, "fma", *args)

    return x(x, x, x), code


@inlined
def root(typing: Any, x: Any) -> Any:
    """The square root, rounded to nearest."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _called(builder, "sqrt", args[0])

    return x(x), code


@inlined
def fetch(typing: Any, matrix: Any, k: Any, at: Any) -> Any:
    """Read WIDTH numbers of row k of a matrix [K, N], from column ``at`` on; one number for all of them if N is 1."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        table = context.make_array(sig.args[0])(context, builder, args[0])
        width = builder.extract_value(table.shape, 1)
        found = cgutils.alloca_once(builder, DOUBLES)
        with builder.if_else(builder.icmp_signed("==", width, ir.Constant(width.type, 1))) as (single, many):
            with single:
                number = builder.load(builder.gep(table.data, [args[1]]))
                builder.store(_repeated(builder, number), found)
            with many:
                place = builder.gep(table.data, [builder.add(builder.mul(args[1], width), args[2])])
                builder.store(builder.load(builder.bitcast(place, DOUBLES.as_pointer()), align=8), found)
        return builder.load(found)

    return LANES(matrix, types.intp, types.intp), code


@inlined
def keep(typing: Any, x: Any, matrix: Any, k: Any, at: Any) -> Any:
    """Write lanes, or a mask as decisions, to row k of a matrix [K, N] from column ``at`` on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        table = context.make_array(sig.args[1])(context, builder, args[1])
        width = builder.extract_value(table.shape, 1)
        place = builder.gep(table.data, [builder.add(builder.mul(args[2], width), args[3])])
        kind, value, size = (DOUBLES, args[0], 8) if sig.args[0] is LANES else (_BYTES, builder.zext(args[0], _BYTES), 1)
        builder.store(value, builder.bitcast(place, kind.as_pointer()), align=size)
        return context.get_dummy_value()

    return types.none(x, matrix, types.intp, types.intp), code


@inlined
def start(typing: Any, block: Any, count: Any) -> Any:
    """Where a block of WIDTH columns begins: the last one overlaps the one before it, as all have to be whole."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at = builder.mul(args[0], ir.Constant(args[0].type, WIDTH))
        last = builder.sub(args[1], ir.Constant(args[1].type, WIDTH))
        return builder.select(builder.icmp_signed("<", at, last), at, last)

    return types.intp(types.intp, types.intp), code
