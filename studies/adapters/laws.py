"""Action laws of a batch of observations, and the two divergences between them, in float64 whatever the agent computes in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bounds import divergences
from mdps.mdp import Array

ROUNDINGS = 4 * float(np.finfo(np.float32).eps)
"""Share of the terms of a KL that single precision may lose, eps = 2^-23. A log-probability is a logit less the largest, less the
log of a sum of exponentials: at most half an eps of its size and of the shift's, and one or two eps for the log of the sum.
That is below 2 eps (|log p| + 1) for each of the two laws; twice this leaves room for the mean over the batch."""


@dataclass(frozen=True, eq=False)
class Categorical:
    """Laws over finitely many actions."""

    p: Array  # [N, A]

    def __post_init__(self) -> None:
        """Check the rows; they may miss 1 by the rounding of single precision and are then normalised."""
        p = np.asarray(self.p, dtype=float)
        if p.ndim != 2 or not (p >= 0).all() or (np.abs(p.sum(-1) - 1) > 1e-5).any():
            raise ValueError(f"p has shape {p.shape}; expected [N, A], entries at least 0, rows that sum to 1")
        object.__setattr__(self, "p", p / p.sum(-1, keepdims=True))

    @staticmethod
    def of_logits(logits: ArrayLike) -> Categorical:
        """Laws proportional to exp(logits) [N, A]."""
        z = np.asarray(logits, dtype=float)
        weights = np.exp(z - z.max(-1, keepdims=True))
        return Categorical(weights / weights.sum(-1, keepdims=True))

    def kl(self, other: Law) -> Array:
        """KL(self || other) at each observation [N]."""
        assert isinstance(other, Categorical), f"no KL between {type(self).__name__} and {type(other).__name__} laws"
        return divergences.kl(self.p, other.p)

    def log_prob(self, actions: ArrayLike) -> Array:
        """Log-probability of the integer ``actions`` [N] or [N, 1], one an observation [N]."""
        chosen = np.asarray(actions).astype(int).reshape(len(self.p), 1)
        with np.errstate(divide="ignore"):
            return np.log(np.take_along_axis(self.p, chosen, -1)[:, 0])

    def rounding(self, other: Law) -> Array:
        """How far KL(self || other) [N] may be off in single precision: by its terms p (|log p| + |log q| + 1)."""
        assert isinstance(other, Categorical), f"no KL between {type(self).__name__} and {type(other).__name__} laws"
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.where(self.p > 0, self.p * (np.abs(np.log(self.p)) + np.abs(np.log(other.p)) + 1), 0.0)
        return ROUNDINGS * size.sum(-1)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Normal laws with independent components, before any clipping or squashing by the environment."""

    mean: Array  # [N, d]
    log_std: Array  # [N, d]

    def __post_init__(self) -> None:
        """Check and widen the fields."""
        mean, log_std = np.asarray(self.mean, dtype=float), np.asarray(self.log_std, dtype=float)
        if mean.ndim != 2 or mean.shape != log_std.shape:
            raise ValueError(f"mean and log_std have shapes {mean.shape} and {log_std.shape}; expected [N, d] both")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "log_std", log_std)

    def kl(self, other: Law) -> Array:
        """KL(self || other) at each observation [N]: ``sum_j (e^2x - 1)/2 - x + (m - m')^2/(2 s'^2)``, x = log s - log s'."""
        assert isinstance(other, Gaussian), f"no KL between {type(self).__name__} and {type(other).__name__} laws"
        x = self.log_std - other.log_std
        shift = (self.mean - other.mean) * np.exp(-other.log_std)
        return (np.expm1(2 * x) / 2 - x + shift**2 / 2).sum(-1)

    def log_prob(self, actions: ArrayLike) -> Array:
        """Log-density of ``actions`` [N, d] (or [N] where d = 1), one an observation [N]."""
        z = (np.asarray(actions, dtype=float).reshape(self.mean.shape) - self.mean) * np.exp(-self.log_std)
        return (-(z**2) / 2 - self.log_std - np.log(2 * np.pi) / 2).sum(-1)

    def rounding(self, other: Law) -> Array:
        """How far KL(self || other) [N] may be off in single precision: by its terms log s, log s', s^2/2s'^2 and 1/2."""
        assert isinstance(other, Gaussian), f"no KL between {type(self).__name__} and {type(other).__name__} laws"
        x = self.log_std - other.log_std
        size = np.abs(self.log_std) + np.abs(other.log_std) + np.exp(2 * x) / 2 + 0.5
        return ROUNDINGS * (size.sum(-1) + self.kl(other))


Law = Categorical | Gaussian
