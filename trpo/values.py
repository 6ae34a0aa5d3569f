"""State values, learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ValueFunction(nn.Module):
    """V(s): a network with one output; ``forward`` maps inputs [N,...] to values [N]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Return values [N]."""
        values: Tensor = self.network(inputs)
        return values.squeeze(-1)

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Return values [N], without a graph."""
        return self(inputs)
