"""What an empirical sentence of the paper or of the note is here: words, a number that measures them, and a rule that decides.

A rule is one :class:`Range`, the values of the effect for which the sentence is true. It decides by the effect's 95 % interval:

=============== =======================================
verdict         where the interval lies
=============== =======================================
supported       wholly in the range
not supported   wholly outside
undecided here  partly in it, or there is no interval
=============== =======================================

So "similar" has a range around zero and is never the mere lack of a difference; and a difference too small to matter does not
support "slower". The text of a rule is made of the range's own numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from studies.effects import Effect

Verdict = Literal["supported", "not supported", "undecided here"]
Measure = Callable[[pd.DataFrame], Effect | None]

PAPER = "TRPO arXiv:1502.05477v5"
NOTE = "the note"

MATTERS = 0.02
"""A difference below this share of the range of a task is none."""
SIMILAR = 0.1
"""Two results are alike that differ by at most this share of the range of a task."""
FAR = 0.5
"""Share of the range of a task by which a method has to fall short to have done poorly."""
RARELY = 0.02
"""What happens in at most this share of runs is called never."""


@dataclass(frozen=True)
class Range:
    """Values of an effect for which a sentence is true, ends included."""

    low: float = -np.inf
    high: float = np.inf

    def verdict(self, effect: Effect) -> Verdict:
        """Decide by the effect's interval, as in the module's table."""
        if np.isnan([effect.low, effect.high]).any():
            return "undecided here"
        if self.low <= effect.low and effect.high <= self.high:
            return "supported"
        if effect.high < self.low or effect.low > self.high:
            return "not supported"
        return "undecided here"

    def rule(self, unit: str) -> str:
        """Say the same in words; nothing where every value is in the range."""
        if np.isinf([self.low, self.high]).all():
            return ""
        if np.isinf(self.low):
            inside, outside = f"at or below {self.high:g}", f"above {self.high:g}"
        elif np.isinf(self.high):
            inside, outside = f"at or above {self.low:g}", f"below {self.low:g}"
        else:
            inside, outside = f"in [{self.low:g}, {self.high:g}]", "outside that"
        return (
            f"supported if the whole 95 % interval is {inside} ({unit}), "
            f"not supported if all of it is {outside}, else undecided here"
        )


@dataclass(frozen=True)
class Sentence:
    """One empirical sentence, and how a study's table decides it."""

    id: str
    sentence: str
    source: str
    study: str
    """Whose tables are asked."""
    command: str
    """That makes such a table."""
    measured: str
    """What the effect is, in words."""
    unit: str
    true: Range
    measure: Measure
    """Effect in a table of that study; None where the table has nothing of it."""

    @property
    def rule(self) -> str:
        """The rule in words."""
        return self.true.rule(self.unit)


def alike(margin: float) -> Range:
    """Within a margin of zero, either way."""
    return Range(-margin, margin)


def unmeasured(id: str, sentence: str, source: str, why: str) -> Sentence:
    """Return a sentence that no study here measures, with the reason."""
    return Sentence(id, sentence, source, "", "", why, "", Range(), lambda table: None)
