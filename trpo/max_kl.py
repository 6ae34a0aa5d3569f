"""The max-KL step: maximise g'x subject to x'F_s x <= 2 delta in every state s (placeholder: the rescaled mean-KL direction)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from trpo.batch import Batch
from trpo.curvature import Curvature, matrix
from trpo.distributions import Distribution
from trpo.linalg import conjugate_gradients
from trpo.linearise import Linearised


@dataclass(frozen=True)
class MaxKL:
    """What was found."""

    x: Tensor  # [P]
    residual: float
    iterations: int
    bound: float


def max_kl_direction(
    model: Linearised,
    family: Distribution,
    batch: Batch,
    gradient: Tensor,
    delta: float,
    *,
    curvature: Curvature = "fisher",
    damping: float = 1e-2,
    rounds: int = 4,
    cg_iterations: int = 10,
) -> MaxKL:
    """Rescale the mean-KL direction."""
    s = conjugate_gradients(matrix(curvature, model, family, batch, damping), gradient, iterations=cg_iterations)
    forms = (family.root(model.outputs, model.jvp(s.x)) ** 2).sum(1) + damping * float(s.x.dot(s.x))
    worst = float(forms.max())
    return MaxKL(s.x * (math.sqrt(2 * delta / worst) if worst > 0 else 0.0), s.residual, s.iterations, math.inf)
