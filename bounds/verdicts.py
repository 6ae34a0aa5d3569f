"""What is known of a claim: verdicts, and the enclosures they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mdps.mdp import Array


class Outcome(StrEnum):
    """What is known of a claim on one instance."""

    HOLDS = "HOLDS"
    VIOLATED = "VIOLATED"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Interval:
    """Two floats with the true number between them, rounded outwards."""

    lower: float
    upper: float


@dataclass(frozen=True)
class Verdict:
    """A rigorous answer, and the enclosures it rests on.

    The two sides are those of ``lhs <= rhs``; where a claim speaks of each state they are of the entry with the largest usage.
    """

    claim: str
    outcome: Outcome
    lhs: Interval
    rhs: Interval
    usage: Interval
    """lhs / rhs; 0 where both are 0, where rhs is infinite, or where the premise does not hold."""
    layer: Literal["float", "exact"]
    bits: int
    """Precision of the balls; 0 where both sides are rational, or where floats were enough."""
    reason: str
    """Why there is no answer; empty where there is one."""

    @property
    def gap(self) -> Interval:
        """``|eta(new) - L_old(new)|``, the left-hand side of a bound."""
        return self.lhs

    @property
    def penalty(self) -> Interval:
        """The right-hand side of a bound."""
        return self.rhs


@dataclass(frozen=True, eq=False)
class Verdicts:
    """The verdicts of one claim on a batch of instances; see :func:`certify_batch`."""

    claim: str
    holds: NDArray[np.bool_]  # [*B]
    violated: NDArray[np.bool_]  # [*B]
    usage: Array  # [*B] what lhs / rhs certainly reaches, its lower end
    exact: NDArray[np.bool_]  # [*B] whether exact numbers were asked, floats having left it open
    error: str  # what is wrong with the claim, which is then undecided; empty where nothing is

    @property
    def undecided(self) -> NDArray[np.bool_]:
        """Where there is no answer [*B]."""
        return ~(self.holds | self.violated)


def outcomes(lhs: Any, rhs: Any) -> np.ndarray[Any, Any]:
    """The verdict on each entry of ``lhs <= rhs``, an array of :class:`Outcome`, for numbers that know their ``bounds()``."""
    (left, left_most), (right, right_most) = lhs.bounds(), rhs.bounds()
    holds, violated = left_most <= right, left > right_most
    return np.where(holds, Outcome.HOLDS, np.where(violated, Outcome.VIOLATED, Outcome.UNDECIDED)).astype(object)


def together(each: np.ndarray[Any, Any]) -> Outcome:
    """The verdict on all entries at once: violated if one is, undecided if one is and none is violated."""
    return next((x for x in (Outcome.VIOLATED, Outcome.UNDECIDED) if (each == x).any()), Outcome.HOLDS)
