"""Conjugate gradients, with a bound on what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""v [P] -> F v [P]"""


@dataclass(frozen=True)
class Solution:
    """What conjugate gradients found for F x = b."""

    x: Tensor  # [P]
    residual: float  # |b - F x| / |b|, by the recurrence; 0 where b = 0
    iterations: int
    energy: float  # x' F x = b' x, a lower bound on b' F^-1 b
    energy_bound: float  # an upper bound on b' F^-1 b (inf where no lower bound on the eigenvalues of F was given)


def conjugate_gradients(
    product: Product, b: Tensor, *, iterations: int = 10, tolerance: float = 1e-10, smallest: float = 0.0
) -> Solution:
    """Solve F x = b for a symmetric positive definite F (Hestenes and Stiefel 1952), from x = 0.

    Parameters
    ----------
    product
        v [P] -> F v [P].
    b
        Right-hand side [P].
    iterations
        At most so many products. TRPO takes 10 (arXiv:1502.05477v5, appendix C).
    tolerance
        Stop where |residual| <= tolerance |b|, or where it is below the precision of ``b`` itself: products in that precision
        cannot tell what is left.
    smallest
        A lower bound on the eigenvalues of F, such as its damping. Where positive, the Gauss-Radau rule with a node there
        gives an upper bound on b' F^-1 b (Golub and Meurant 1994; its recurrence in Meurant and Tichy 2013, section 4).

    Returns
    -------
    solution
        In the precision of ``b``; inner products are taken in double. Where ``b`` or a product is nan, the residual is.
    """
    x = torch.zeros_like(b)
    r = b.clone()
    p = r.clone()
    rr = norm = _dot(r, r)
    if norm == 0:
        return Solution(x, 0.0, 0, 0.0, 0.0)
    energy, radau = 0.0, (1 / smallest if smallest > 0 else float("inf"))
    done, steepest, precision = 0, 0.0, torch.finfo(b.dtype).eps
    tolerance = max(tolerance, precision)
    for done in range(1, iterations + 1):
        Fp = product(p)
        curvature = _dot(p, Fp)
        size = _dot(p, p)
        steepest = max(steepest, curvature / size)
        if not curvature > precision * steepest * size:  # F is singular along p, or not positive: what is solved stands
            done -= 1
            break
        alpha = rr / curvature
        x.add_(p, alpha=alpha)
        r.sub_(Fp, alpha=alpha)
        energy += alpha * rr
        before, rr = rr, _dot(r, r)
        beta = rr / before
        if smallest > 0:
            ahead = max(radau - alpha, 0.0)
            radau = ahead / (smallest * ahead + beta) if ahead > 0 else 1 / smallest
        if rr <= tolerance * tolerance * norm:
            break
        p = r + beta * p
    left = radau * rr if smallest > 0 else float("inf")
    return Solution(x, (rr / norm) ** 0.5, done, energy, energy + left)


def _dot(a: Tensor, b: Tensor) -> float:
    return float(a.double().dot(b.double()))
