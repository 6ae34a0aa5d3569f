"""Families of action distributions, each a few pure functions of its parameters z.

A network puts out one row z a state; everything a trust region needs of the policy is a function of z:

================== ================= ==========================================================================
family             z, K columns      action, D columns
================== ================= ==========================================================================
Categorical        n logits          1 index in 0..n-1
MultiCategorical   logits, in turn   one index a factor; factors are independent
Bernoulli          n logits          n bits, independent
DiagonalGaussian   d means, d log    d reals, independent; not squashed and not clipped: the distribution is the one that
                   deviations        the paper's KL and Fisher matrix are of (arXiv:1502.05477v5, appendix D)
================== ================= ==========================================================================

``z`` is [N,K], actions are [N,M,D] (M actions for one state), laws factorise over D. The KL divergence is computed without
cancellation, so it is right however near the two laws are.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def _excess(d: Tensor) -> Tensor:
    """exp(d) - 1 - d >= 0, to full relative accuracy: by its series where the difference would cancel."""
    series = d * d * (0.5 + d * (1 / 6 + d * (1 / 24 + d * (1 / 120 + d / 720))))
    return torch.where(d.abs() < 0.03, series, torch.expm1(d) - d)


class Distribution(ABC):
    """A family of laws over actions. It has no state: its members' parameters z are passed to every function."""

    @property
    @abstractmethod
    def K(self) -> int:
        """Number of parameters of one law: columns of z."""

    @property
    @abstractmethod
    def D(self) -> int:
        """Number of columns of an action."""

    @abstractmethod
    def noise(self, count: int, rng: np.random.Generator) -> Tensor:
        """Draw what ``sample`` turns into actions, [count, D]: uniform numbers, or normal ones for reals."""

    @abstractmethod
    def sample(self, z: Tensor, noise: Tensor) -> Tensor:
        """Turn noise [N,D] into actions [N,D] by the inverse of the distribution function: the same noise, a like action."""

    @abstractmethod
    def mode(self, z: Tensor) -> Tensor:
        """Return the likeliest action of every law, [N,D]."""

    @abstractmethod
    def log_prob(self, z: Tensor, actions: Tensor) -> Tensor:
        """Log-probability (density for reals) of actions [N,M,D], [N,M]."""

    @abstractmethod
    def score(self, z: Tensor, actions: Tensor) -> Tensor:
        """Gradient in z of ``log_prob``, [N,M,K]."""

    @abstractmethod
    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old || new) of every pair of laws in nats, [N], double precision."""

    @abstractmethod
    def fisher(self, z: Tensor, v: Tensor) -> Tensor:
        """Product of every law's Fisher matrix in z, the Hessian of its KL, with v [N,K], [N,K]."""

    @abstractmethod
    def root(self, z: Tensor, v: Tensor) -> Tensor:
        """R v, [N,K], for a matrix R with R'R the Fisher matrix of ``fisher``: v' F v = |R v|^2, with no cancellation."""

    @abstractmethod
    def entropy(self, z: Tensor) -> Tensor:
        """Entropy of every law in nats (differential for reals), [N]."""


@dataclass(frozen=True)
class MultiCategorical(Distribution):
    """Independent choices, one a factor. ``sizes`` holds the number of options of each."""

    sizes: tuple[int, ...]

    @property
    def K(self) -> int:
        """All logits, factor by factor."""
        return sum(self.sizes)

    @property
    def D(self) -> int:
        """One index a factor."""
        return len(self.sizes)

    def noise(self, count: int, rng: np.random.Generator) -> Tensor:
        """Uniform numbers."""
        return torch.from_numpy(rng.random((count, self.D)))

    def sample(self, z: Tensor, noise: Tensor) -> Tensor:
        """First index at which the distribution function exceeds the noise."""
        drawn = []
        for column, logits in enumerate(self._split(z)):
            cumulative = torch.softmax(logits, -1).double().cumsum(-1)
            u = noise[:, column, None].to(cumulative.device) * cumulative[:, -1:]
            drawn.append((cumulative <= u).sum(-1).clamp_(max=logits.shape[-1] - 1))
        return torch.stack(drawn, -1)

    def mode(self, z: Tensor) -> Tensor:
        """First largest logit."""
        return torch.stack([logits.argmax(-1) for logits in self._split(z)], -1)

    def log_prob(self, z: Tensor, actions: Tensor) -> Tensor:
        """Sum over factors."""
        parts = zip(self._split(z), actions.unbind(-1), strict=True)
        return torch.stack([torch.log_softmax(logits, -1).gather(-1, a) for logits, a in parts]).sum(0)

    def score(self, z: Tensor, actions: Tensor) -> Tensor:
        """One-hot minus probabilities."""
        parts = zip(self._split(z), actions.unbind(-1), strict=True)
        return torch.cat(
            [functional.one_hot(a, logits.shape[-1]) - torch.softmax(logits, -1).unsqueeze(-2) for logits, a in parts], -1
        )

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """Sum of p (e^x - 1 - x), x = log q - log p, over options: all terms are nonnegative."""
        total = torch.zeros(old.shape[0], dtype=torch.float64, device=old.device)
        for a, b in zip(self._split(old.double()), self._split(new.double()), strict=True):
            log_p = torch.log_softmax(a, -1)
            total += (log_p.exp() * _excess(torch.log_softmax(b, -1) - log_p)).sum(-1)
        return total

    def fisher(self, z: Tensor, v: Tensor) -> Tensor:
        """(diag p - p p') v."""
        parts = []
        for logits, u in zip(self._split(z), self._split(v), strict=True):
            p = torch.softmax(logits, -1)
            parts.append(p * (u - (p * u).sum(-1, keepdim=True)))
        return torch.cat(parts, -1)

    def root(self, z: Tensor, v: Tensor) -> Tensor:
        """sqrt(p) (v - E_p v)."""
        parts = []
        for logits, u in zip(self._split(z), self._split(v), strict=True):
            p = torch.softmax(logits, -1)
            parts.append(p.sqrt() * (u - (p * u).sum(-1, keepdim=True)))
        return torch.cat(parts, -1)

    def entropy(self, z: Tensor) -> Tensor:
        """Sum over factors."""
        return torch.stack([torch.special.entr(torch.softmax(logits, -1)).sum(-1) for logits in self._split(z)]).sum(0)

    def _split(self, z: Tensor) -> tuple[Tensor, ...]:
        return (z,) if len(self.sizes) == 1 else z.split(self.sizes, -1)


class Categorical(MultiCategorical):
    """One choice among n."""

    def __init__(self, n: int) -> None:
        super().__init__((n,))


@dataclass(frozen=True)
class Bernoulli(Distribution):
    """n independent bits; z are their log-odds."""

    n: int

    @property
    def K(self) -> int:
        """One log-odds a bit."""
        return self.n

    @property
    def D(self) -> int:
        """One bit a column."""
        return self.n

    def noise(self, count: int, rng: np.random.Generator) -> Tensor:
        """Uniform numbers."""
        return torch.from_numpy(rng.random((count, self.n)))

    def sample(self, z: Tensor, noise: Tensor) -> Tensor:
        """1 where the noise is below the probability of 1."""
        return (noise.to(z.device) < torch.sigmoid(z.double())).long()

    def mode(self, z: Tensor) -> Tensor:
        """1 where the log-odds are positive."""
        return (z > 0).long()

    def log_prob(self, z: Tensor, actions: Tensor) -> Tensor:
        """Sum over bits."""
        return -functional.softplus(torch.where(actions > 0, -z.unsqueeze(-2), z.unsqueeze(-2))).sum(-1)

    def score(self, z: Tensor, actions: Tensor) -> Tensor:
        """Bit minus its probability."""
        return actions - torch.sigmoid(z).unsqueeze(-2)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """As of a choice between two options, summed over bits."""
        a, b = old.double(), new.double()
        total = torch.zeros_like(a)
        for sign in (1, -1):
            log_p = functional.logsigmoid(sign * a)
            total += log_p.exp() * _excess(functional.logsigmoid(sign * b) - log_p)
        return total.sum(-1)

    def fisher(self, z: Tensor, v: Tensor) -> Tensor:
        """P (1 - p) v."""
        p = torch.sigmoid(z)
        return p * (1 - p) * v

    def root(self, z: Tensor, v: Tensor) -> Tensor:
        """sqrt(p (1 - p)) v."""
        p = torch.sigmoid(z)
        return (p * (1 - p)).sqrt() * v

    def entropy(self, z: Tensor) -> Tensor:
        """Sum over bits."""
        p = torch.sigmoid(z)
        return (torch.special.entr(p) + torch.special.entr(1 - p)).sum(-1)


@dataclass(frozen=True)
class DiagonalGaussian(Distribution):
    """d independent normal variables; z holds their means, then the logarithms of their standard deviations."""

    d: int

    @property
    def K(self) -> int:
        """Means and log deviations."""
        return 2 * self.d

    @property
    def D(self) -> int:
        """One real a column."""
        return self.d

    def noise(self, count: int, rng: np.random.Generator) -> Tensor:
        """Standard normal numbers."""
        return torch.from_numpy(rng.standard_normal((count, self.d)))

    def sample(self, z: Tensor, noise: Tensor) -> Tensor:
        """Mean + deviation x noise."""
        mean, log_std = z.chunk(2, -1)
        return mean + log_std.exp() * noise.to(z)

    def mode(self, z: Tensor) -> Tensor:
        """The mean."""
        return z.chunk(2, -1)[0]

    def log_prob(self, z: Tensor, actions: Tensor) -> Tensor:
        """Sum of log densities over columns."""
        mean, log_std = z.unsqueeze(-2).chunk(2, -1)
        x = (actions - mean) * torch.exp(-log_std)
        return (-0.5 * x * x - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def score(self, z: Tensor, actions: Tensor) -> Tensor:
        """(a - mean)/std^2 for the means, x^2 - 1 for the log deviations, x the standardised action."""
        mean, log_std = z.unsqueeze(-2).chunk(2, -1)
        inverse = torch.exp(-log_std)
        x = (actions - mean) * inverse
        return torch.cat([x * inverse, x * x - 1], -1)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """(e^{2x} - 1 - 2x)/2 + ((difference of means)/std_new)^2/2, x = log std_old - log std_new: never negative."""
        a, b = old.double(), new.double()
        mean_a, log_a = a.chunk(2, -1)
        mean_b, log_b = b.chunk(2, -1)
        x = (mean_a - mean_b) * torch.exp(-log_b)
        return 0.5 * (_excess(2 * (log_a - log_b)) + x * x).sum(-1)

    def fisher(self, z: Tensor, v: Tensor) -> Tensor:
        """v/std^2 for the means, 2 v for the log deviations."""
        log_std = z.chunk(2, -1)[1]
        mean, spread = v.chunk(2, -1)
        return torch.cat([mean * torch.exp(-2 * log_std), 2 * spread], -1)

    def root(self, z: Tensor, v: Tensor) -> Tensor:
        """v/std for the means, sqrt(2) v for the log deviations."""
        log_std = z.chunk(2, -1)[1]
        mean, spread = v.chunk(2, -1)
        return torch.cat([mean * torch.exp(-log_std), math.sqrt(2) * spread], -1)

    def entropy(self, z: Tensor) -> Tensor:
        """Sum of log std + (1 + log 2 pi)/2."""
        return (z.chunk(2, -1)[1] + 0.5 * (1 + math.log(2 * math.pi))).sum(-1)
