"""What a claim is, and the catalogue of all of them.

Every claim says ``lhs <= rhs`` about a :class:`~bounds.comparison.Comparison`, and ``usage = lhs / rhs`` has no scale: above 1
the claim is broken, at 1 it is tight, near 0 it is loose. There are four kinds, by what their statement returns:

========== ==================== ===========================================================================
kind       returns              says
========== ==================== ===========================================================================
bound      penalty              ``|eta(new) - L_old(new)| <= penalty``: a guarantee of improvement and its mirror
lemma      lhs, rhs             ``lhs <= rhs``
identity   lhs, rhs, scale      ``lhs == rhs``; in floats ``|lhs - rhs| <= ROUNDING * scale``
guarantee  gain, scale          ``gain >= 0``; in floats ``-gain <= ROUNDING * scale``
========== ==================== ===========================================================================

A statement may return arrays [*B] or, for claims about each state, [*B,S] or more; usage is then the largest. A ``premise``
[*B] says where the claim speaks at all. A left-hand side that is known only up to
rounding enters with its rounding error taken off. The status is ``theorem`` (nothing may break it), ``false`` (something must
break it: a check that breaks nothing proves nothing) or ``open`` (reported, never asserted).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bounds.comparison import Comparison
from bounds.enclosure import distance
from bounds.tables import largest
from bounds.usage import usage as usage_of
from bounds.usage import usage_of_difference
from mdps.mdp import Array
from mdps.numbers import Numbers

Kind = Literal["bound", "lemma", "identity", "guarantee"]
Status = Literal["theorem", "false", "open"]
Statement = Callable[[Comparison], Array | tuple[Array, ...]]
Mask = NDArray[np.bool_] | np.bool_
Premise = Callable[[Comparison], Mask]

ROUNDING = 1e-13
"""What an identity may miss by, in units of its own scale: some hundred roundings."""

TOLERANCE = 1e-9
"""Relative accuracy asked of a usage before a float comparison calls a claim broken."""

_RETURNED = {"bound": 1, "lemma": 2, "identity": 3, "guarantee": 2}
_ARRAYS = (np.ndarray, np.number, Numbers, float, int)


@dataclass(frozen=True)
class Claim:
    """One identity, lemma, bound or guarantee, true or false."""

    id: str
    kind: Kind
    status: Status
    source: str
    formula: str
    """LaTeX, without dollar signs."""
    statement: Statement
    premise: Premise | None = None

    def penalty(self, c: Comparison) -> Array:
        """The right-hand side, [*B] for a bound: the most that eta(new) may differ from L_old(new)."""
        return self.sides(c)[1]

    def lower(self, c: Comparison) -> Array:
        """``L_old(new) - penalty`` [*B], what a bound guarantees eta(new) to be at least.

        Raises
        ------
        TypeError
            If the claim is not a bound.
        """
        if self.kind != "bound":
            raise TypeError(f"claim {self.id!r} is of kind {self.kind}; only bounds have a lower side")
        return c.L - self.penalty(c)

    def sides(self, c: Comparison) -> tuple[Array, Array]:
        """``(lhs, rhs)`` of ``lhs <= rhs``, both [*B] or with further axes; both 0 where the premise does not hold.

        Raises
        ------
        ValueError
            If the statement returns the wrong number of arrays, a nan, a negative penalty or a shape that does not fit.
        """
        return self._sides(c, self.applies(c))

    def _sides(self, c: Comparison, applies: Mask) -> tuple[Array, Array]:
        if self._idle(applies):
            return np.zeros(c.batch), np.zeros(c.batch)
        return self._checked(*self._stated(c, self._parts(c)), c.batch, applies)

    def _idle(self, applies: Mask) -> bool:
        """Whether the claim applies nowhere, and its statement is not to be asked."""
        return self.premise is not None and bool((~applies).all())

    def _parts(self, c: Comparison) -> tuple[Array, ...]:
        """What the statement returns, as many arrays as its kind has."""
        value = self.statement(c)
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(part, _ARRAYS) for part in parts):
            raise ValueError(
                f"claim {self.id!r} returned {', '.join(type(p).__name__ for p in parts)}; expected arrays or numbers"
            )
        if len(parts) != (expected := _RETURNED[self.kind]):
            raise ValueError(
                f"claim {self.id!r} is of kind {self.kind} and has to return {expected} array(s); it returned {len(parts)}"
            )
        return parts

    def _stated(self, c: Comparison, parts: tuple[Array, ...]) -> tuple[Array, Array]:
        """Both sides [*B, ...] of what the statement returned, of one shape."""
        if self.kind == "bound":
            lhs, rhs = c.gap_least, parts[0]
        elif self.kind == "lemma":
            lhs, rhs = parts
        elif self.kind == "identity":
            lhs, rhs = distance(parts[0], parts[1]), ROUNDING * parts[2]
        else:
            lhs, rhs = np.maximum(-parts[0], 0.0), ROUNDING * parts[1]
        return self._broadcast(lhs, rhs, c.batch)

    def _checked(self, lhs: Array, rhs: Array, batch: tuple[int, ...], applies: Mask) -> tuple[Array, Array]:
        """Both sides, 0 where the claim does not apply; none of them nan or negative."""
        if self.premise is not None:
            applies = applies.reshape(batch + (1,) * (lhs.ndim - len(batch)))
            lhs, rhs = np.where(applies, lhs, 0.0), np.where(applies, rhs, 0.0)
        for name, side in (("left", lhs), ("right", rhs)):
            middle = getattr(side, "mid", side)  # of an enclosure: where that is not negative, its upper end is not
            if isinstance(middle, np.ndarray) and middle.min() >= 0:
                continue
            if np.isnan(side).any():
                where = np.argwhere(np.isnan(side))[0].tolist()
                raise ValueError(
                    f"claim {self.id!r}: its {name} side is nan at {where}; write 0 * inf as 0 (see bounds.divergences.times)"
                )
            negative = _upper(side) < 0
            if negative.any():
                where = np.argwhere(negative)[0].tolist()
                raise ValueError(
                    f"claim {self.id!r}: its {name} side is negative at {where}; both sides of lhs <= rhs have to be >= 0"
                )
        return lhs, rhs

    def _broadcast(self, lhs: Array, rhs: Array, batch: tuple[int, ...]) -> tuple[Array, Array]:
        if batch and np.shape(lhs) == np.shape(rhs) == batch:
            return lhs, rhs
        try:
            together = np.broadcast_shapes(np.shape(lhs), np.shape(rhs))
            shape = np.broadcast_shapes(together, batch) if len(together) <= len(batch) else together
        except ValueError:
            shape = ()
        if shape[: len(batch)] != batch or 0 in shape:
            raise ValueError(
                f"claim {self.id!r}: its sides have shapes {np.shape(lhs)}, {np.shape(rhs)}; expected [*B] = {batch} or [*B, ...]"
            )
        left, right = (side if np.shape(side) == shape != () else np.broadcast_to(side, shape) for side in (lhs, rhs))
        return left, right

    def usage(self, c: Comparison) -> Array:
        """``lhs / rhs`` [*B], the largest over further axes; 0 where both are 0 or the premise does not hold."""
        return self.check(c)[0]

    def check(self, c: Comparison) -> tuple[Array, NDArray[np.bool_]]:
        """:meth:`usage` and :meth:`applies` at once, [*B] each."""
        applies = self.applies(c)
        if self._idle(applies):
            return np.zeros(c.batch), np.asarray(applies)
        parts = self._parts(c)
        if self.kind == "identity" and (used := usage_of_difference(parts, ROUNDING, applies)) is not None:
            return used, np.asarray(applies)
        sides = self._stated(c, parts)
        used = usage_of(*sides, applies)
        if used is None:  # other numbers than floats, or no sides
            lhs, rhs = self._checked(*sides, c.batch, applies)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                ratio = np.fmax(lhs / rhs, 0.0)  # neither side is nan: only 0/0 and inf/inf are
            further = ratio.ndim - len(c.batch)
            used = np.asarray(largest(ratio, further) if further else ratio)
        return used, np.asarray(applies)

    def applies(self, c: Comparison) -> Mask:
        """Where the premise holds [*B]; everywhere without one.

        Raises
        ------
        TypeError
            If ``c`` is no comparison.
        ValueError
            If the premise has another shape.
        """
        if not isinstance(c, Comparison):
            raise TypeError(f"claim {self.id!r} got {type(c).__name__}; expected a comparison: compare(mdp, old, new)")
        if self.premise is None:
            return c.everywhere
        holds = self.premise(c)
        if np.shape(holds) not in ((), c.batch):
            raise ValueError(f"claim {self.id!r}: its premise has shape {np.shape(holds)}; expected [*B] = {c.batch}")
        return holds if np.shape(holds) == c.batch != () else np.broadcast_to(holds, c.batch)

    def holds(self, c: Comparison) -> Mask:
        """``usage <= 1`` up to the accuracy of a usage [*B]. An observation in floats, not a certificate."""
        return self.usage(c) <= 1 + TOLERANCE


def _upper(side: Any) -> Any:
    """The upper end of what is known of a side."""
    return side if isinstance(side, np.ndarray) else side.bounds()[1]


CATALOGUE: dict[str, Claim] = {}
"""Every registered claim by its id, in the order of registration."""


def bound(
    id: str, *, source: str, formula: str, status: Status = "theorem", premise: Premise | None = None
) -> Callable[[Statement], Statement]:
    """Register ``penalty(c) -> [*B]`` as the claim ``|eta(new) - L_old(new)| <= penalty``; see :func:`register`."""
    return register("bound", id, source=source, formula=formula, status=status, premise=premise)


def lemma(
    id: str, *, source: str, formula: str, status: Status = "theorem", premise: Premise | None = None
) -> Callable[[Statement], Statement]:
    """Register ``sides(c) -> (lhs, rhs)`` as the claim ``lhs <= rhs``; see :func:`register`."""
    return register("lemma", id, source=source, formula=formula, status=status, premise=premise)


def identity(
    id: str, *, source: str, formula: str, status: Status = "theorem", premise: Premise | None = None
) -> Callable[[Statement], Statement]:
    """Register ``sides(c) -> (lhs, rhs, scale)`` as the claim ``lhs == rhs``; see :func:`register`."""
    return register("identity", id, source=source, formula=formula, status=status, premise=premise)


def guarantee(
    id: str, *, source: str, formula: str, status: Status = "theorem", premise: Premise | None = None
) -> Callable[[Statement], Statement]:
    """Register ``sides(c) -> (gain, scale)`` as the claim ``gain >= 0``; see :func:`register`."""
    return register("guarantee", id, source=source, formula=formula, status=status, premise=premise)


def register(
    kind: Kind, id: str, *, source: str, formula: str, status: Status = "theorem", premise: Premise | None = None
) -> Callable[[Statement], Statement]:
    """Decorator that files a statement in :data:`CATALOGUE` and returns it unchanged.

    Raises
    ------
    ValueError
        If the id is taken, or the kind or status is unknown.
    """
    if status not in get_args(Status):
        raise ValueError(f"claim {id!r} has status {status!r}; expected one of {get_args(Status)}")
    if kind not in get_args(Kind):
        raise ValueError(f"claim {id!r} is of kind {kind!r}; expected one of {get_args(Kind)}")
    if id in CATALOGUE:
        raise ValueError(f"a claim with id {id!r} is already registered ({CATALOGUE[id].source}); choose another id")

    def file(statement: Statement) -> Statement:
        CATALOGUE[id] = Claim(id, kind, status, source, formula, statement, premise)
        return statement

    return file
