"""What an agent has done: one row for each update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # which need torch: a history that is only read does not
    from trpo.neural import Step
    from trpo.values import Fit

LAST = 100
"""Episodes that the running mean of returns is over."""


@dataclass(frozen=True)
class Iteration:
    """One row of an agent's history. It holds nothing that depends on the machine's speed: the same seed gives the same rows."""

    iteration: int
    steps: int  # environment steps so far
    episodes: int  # episodes ended so far
    return_mean: float  # of the episodes that ended in this batch, undiscounted; nan where none did
    return_last: float  # of the last 100 episodes
    length_mean: float  # of the episodes that ended in this batch
    step: Step
    fit: Fit | None
    coefficient: float  # of the penalty; nan for a region

    def row(self) -> dict[str, Any]:
        """Return the record as one flat row of a table."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("step", "fit")}
        fit = {f"value_{k}": v for k, v in vars(self.fit).items()} if self.fit else {}
        return {**own, **vars(self.step), **fit}
