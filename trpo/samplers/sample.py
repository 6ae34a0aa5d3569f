"""What every sampler returns: a batch for the step, and what the agent reports and learns values from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from trpo.batch import Batch
from trpo.policies import Policy
from trpo.values import ValueFunction


@dataclass(frozen=True, eq=False)
class Sample:
    """One collection of data with the policy held fixed."""

    batch: Batch
    observations: NDArray[Any]  # [N, *shape] raw, of the batch's states: what a normaliser learns from
    steps: int  # environment steps taken, also those of no state of the batch; 0 where the process is solved exactly
    returns: NDArray[Any]  # [E] undiscounted returns of the episodes that ended, in the environment's own rewards
    lengths: NDArray[Any]  # [E] their lengths in steps
    targets: Tensor | None = None  # [N] value targets for the states; None where values are not learned


class Sampler(Protocol):
    """Collects data. Its state, such as environments that are in the middle of an episode, is what ``state`` returns."""

    def collect(self, policy: Policy, value: ValueFunction | None) -> Sample:
        """Collect one batch with the policy as it is."""
        ...

    def state(self) -> Any:
        """Return everything needed to continue exactly, as picklable data."""
        ...

    def restore(self, state: Any) -> None:
        """Continue from what ``state`` returned."""
        ...
