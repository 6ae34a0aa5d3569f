"""The matrix that measures a small step: F = sum_n w_n J_n' M_n J_n + damping, as a product with vectors.

M_n = R_n' R_n is given by its root: then F v = J'R' w R J v, and what outputs have no effect on the law costs nothing.

=============== ====================================================================================================
curvature       M_n, in the parameters z of the law at state n
=============== ====================================================================================================
``"fisher"``    the law's own Fisher matrix: actions are integrated out (the analytic estimator of arXiv:1502.05477v5,
                appendix C.1). The second derivative of the mean KL, exactly
``"empirical"`` the outer product of scores of the actions in the batch (the "empirical FIM" of section 8): equal in
                expectation where these were drawn from the old policy, of rank one a drawn action
``"identity"``  F = 1: no geometry, the vanilla gradient
=============== ====================================================================================================
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from trpo.batch import Batch
from trpo.distributions import Distribution
from trpo.linalg import Product
from trpo.linearise import Linearised

Curvature = Literal["fisher", "empirical", "identity"]


def check_curvature(curvature: str) -> None:
    """Raise ValueError for an unknown name."""
    if curvature not in get_args(Curvature):
        raise ValueError(f"curvature is {curvature!r}; expected one of {', '.join(map(repr, get_args(Curvature)))}")


def root(curvature: Curvature, family: Distribution, z: Tensor, batch: Batch) -> Tensor:
    """Return R [N,r,K] with R'R = M in every state, or [N,K] if R is diagonal; for ``"fisher"`` or ``"empirical"``."""
    if curvature == "fisher":
        return family.root(z)
    share = torch.exp(0.5 * (family.log_prob(z, batch.actions) - batch.log_q)).to(z.dtype)
    return family.score(z, batch.actions) * share.unsqueeze(-1)


def matrix(
    curvature: Curvature, linear: Linearised, family: Distribution, batch: Batch, damping: float, weights: Tensor | None = None
) -> Product:
    """Return v -> F v for vectors [P].

    Parameters
    ----------
    linear
        The policy at the inputs of ``batch``.
    damping
        Multiple of the identity that is added (not to the identity itself).
    weights
        Of states [N], in place of the batch's.

    Raises
    ------
    ValueError
        If the name is unknown or damping is negative.
    """
    check_curvature(curvature)
    if not damping >= 0:
        raise ValueError(f"damping is {damping}; expected a number >= 0")
    if curvature == "identity":
        return lambda v: v.clone()
    rows = linear.times(root(curvature, family, linear.outputs, batch))
    w = (batch.weights if weights is None else weights)[:, None].to(linear.outputs.dtype)
    return lambda v: rows.vjp(w * rows.jvp(v)).add_(v, alpha=damping)
