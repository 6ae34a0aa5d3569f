"""Running moments, for inputs and rewards of unit size."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Normaliser(nn.Module):
    """Shifts and scales by the mean and deviation of all rows seen, then clips.

    Its state changes in ``update`` alone. The agent calls that between one update of the policy and the collection of the next
    batch, so the policy before a step and the policy after it are fed the same inputs, and their KL divergence is one of
    laws at the same raw observations.
    """

    mean: Tensor  # [*shape] double precision
    square: Tensor  # [*shape] sum of squared deviations
    count: Tensor  # []

    def __init__(self, shape: tuple[int, ...] = (), clip: float = 10.0, centre: bool = True) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.clip, self.centre = clip, centre
        self._known: tuple[Any, tuple[Tensor, ...], Tensor, Tensor] | None = (
            None  # of the last rows: a step in an environment has a few
        )

    def update(self, rows: NDArray[Any]) -> None:
        """Take in rows [N, *shape] (Chan, Golub and LeVeque 1983: merging two sets of moments).

        Raises
        ------
        ValueError
            If they have another shape, or an entry is nan or infinite: then nothing is taken in.
        """
        given = torch.as_tensor(np.asarray(rows, dtype=np.float64)).to(self.mean.device)
        if not given.ndim or given.shape[1:] != self.mean.shape:
            raise ValueError(
                f"rows have shape {tuple(given.shape)}; expected [N, ...] with {tuple(self.mean.shape)} for each row"
            )
        if not bool(torch.isfinite(given).all()):
            row = int((~torch.isfinite(given)).nonzero()[0, 0])
            raise ValueError(f"row {row} of {len(given)} has a nan or infinite entry; nothing was taken in")
        n = float(len(given))
        if not n:
            return
        mean = given.mean(0)
        square = ((given - mean) ** 2).sum(0)
        total = self.count + n
        shift = mean - self.mean
        self.square += square + shift * shift * (self.count * n / total)
        self.mean += shift * (n / total)
        self.count += n

    @property
    def std(self) -> Tensor:
        """Standard deviation of all rows seen; 1 before any, and where it is 0 or below 1e-8."""
        variance = self.square / self.count.clamp(min=1)
        return torch.where(variance > 1e-16, variance.sqrt(), torch.ones_like(variance))

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise rows [N, *shape], in their own precision."""
        shift, std = self._moments(rows)
        return ((rows - shift) / std).clamp(-self.clip, self.clip)

    def _moments(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What to take off and to divide by, as numbers of the rows' kind: worked out anew where the moments have changed."""
        state, kind = (self.mean, self.square, self.count), (rows.dtype, rows.device, self.centre)
        known = self._known
        if known is None or known[0] != kind or not all(map(torch.equal, known[1], state)):
            with torch.inference_mode(False):  # what is kept may be asked for next where gradients are taken
                shift = self.mean if self.centre else torch.zeros_like(self.mean)
                known = self._known = kind, tuple(x.clone() for x in state), shift.to(rows), self.std.to(rows)
        return known[2:]

    def __getstate__(self) -> dict[str, Any]:
        """All but what is worked out anyway: of tensors made within ``torch.func`` no copy can be made."""
        return {**self.__dict__, "_known": None}
