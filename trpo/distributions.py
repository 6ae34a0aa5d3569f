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
cancellation, so it is right however near the two laws are, and never nan for finite z however far apart.
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
    series = torch.ones_like(d)
    for k in range(10, 2, -1):  # d^2/2 (1 + d/3 (1 + d/4 (...))); what is left out is below 1e-16 of it
        series = 1 + series * d / k
    return torch.where(d.abs() < 0.1, 0.5 * d * d * series, torch.expm1(d) - d)


def _log_excess(d: Tensor) -> Tensor:
    """log(exp(d) - 1 - d), which is finite where exp(d) is not."""
    return torch.where(d > 1, d + torch.log1p(-(1 + d) * torch.exp(-d)), torch.log(_excess(d)))


def _law(z: Tensor) -> Tensor:
    """Softmax over the last axis: over the first it is many times as fast where options are few."""
    return torch.softmax(z.movedim(-1, 0).contiguous(), 0).movedim(0, -1)


def _log_law(z: Tensor) -> Tensor:
    """Its logarithm."""
    return torch.log_softmax(z.movedim(-1, 0).contiguous(), 0).movedim(0, -1)


def _tilted_kl(log_p: Tensor, d: Tensor) -> Tensor:
    """KL(p || q) over the last axis, q proportional to p e^d: log(1 + E_p[e^x - 1 - x]) with x = d - E_p d.

    No term is negative, and the difference of logarithms of p and q, which loses what d has, is never formed.
    """
    d = d - d.gather(-1, log_p.contiguous().argmax(-1, keepdim=True))  # of two shifted logits the same law, exactly
    p = log_p.exp()
    x = d - (p * d).sum(-1, keepdim=True)
    if bool((x.abs() <= 1).all()):
        return torch.log1p((p * _excess(x)).sum(-1))
    y = torch.logsumexp(log_p + _log_excess(x), -1)
    return torch.logaddexp(torch.zeros_like(y), y)


def _choices(p: Tensor) -> Tensor:
    """A root [N,K-1,K] of diag p - p p', laws p [N,K]: the first or one of the rest, the second or one of the rest, and so on.

    Row j is sqrt(p_j Q/(p_j + Q)) (1 at j, -p_k/Q at each k > j), Q the sum of these p_k. Nothing cancels.
    """
    left = p.flip(-1).cumsum(-1).flip(-1)
    share = left.clamp_min(torch.finfo(p.dtype).tiny)  # divides 0 where nothing is left
    rows = -(p.unsqueeze(1) / share[:, 1:].unsqueeze(2)).triu(1)
    rows.diagonal(dim1=1, dim2=2).fill_(1)
    return rows.mul_((p[:, :-1] * (left[:, 1:] / share[:, :-1])).sqrt_().unsqueeze(2))


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
    def root(self, z: Tensor) -> Tensor:
        """R [N,r,K] with R'R every law's Fisher matrix in z, the Hessian of its KL; [N,K] if R is diagonal. Nothing cancels."""

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
            cumulative = torch.softmax(logits, -1, dtype=torch.float64).cumsum(-1)
            u = noise[:, column, None].to(cumulative.device) * cumulative[:, -1:]
            drawn.append((cumulative[:, :-1] <= u).sum(-1))
        return torch.stack(drawn, -1) if len(drawn) > 1 else drawn[0].unsqueeze(-1)

    def mode(self, z: Tensor) -> Tensor:
        """First largest logit."""
        return torch.stack([logits.argmax(-1) for logits in self._split(z)], -1)

    def log_prob(self, z: Tensor, actions: Tensor) -> Tensor:
        """Sum over factors."""
        parts = zip(self._split(z), actions.unbind(-1), strict=True)
        return torch.stack([_log_law(logits).gather(-1, a) for logits, a in parts]).sum(0)

    def score(self, z: Tensor, actions: Tensor) -> Tensor:
        """One-hot minus probabilities."""
        parts = zip(self._split(z), actions.unbind(-1), strict=True)
        return torch.cat([functional.one_hot(a, logits.shape[-1]) - _law(logits).unsqueeze(-2) for logits, a in parts], -1)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """Sum over factors, from differences of logits."""
        pairs = zip(self._split(old.double()), self._split(new.double()), strict=True)
        return torch.stack([_tilted_kl(_log_law(a), b - a) for a, b in pairs]).sum(0)

    def root(self, z: Tensor) -> Tensor:
        """Of diag p - p p', a block a factor, of one row fewer than it has options."""
        blocks = [_choices(_law(logits)) for logits in self._split(z)]
        if len(blocks) == 1:
            return blocks[0]
        starts = [sum(self.sizes[:k]) for k in range(len(self.sizes))]
        return torch.cat([functional.pad(R, (at, self.K - at - R.shape[-1])) for R, at in zip(blocks, starts, strict=True)], 1)

    def entropy(self, z: Tensor) -> Tensor:
        """Sum over factors."""
        return torch.stack([torch.special.entr(_law(logits)).sum(-1) for logits in self._split(z)]).sum(0)

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
        """1 where the noise is not below the probability of 0."""
        return (noise.to(z.device) >= torch.sigmoid(-z.double())).long()

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
        """As of a choice between two options with logits z and 0, summed over bits."""
        a, b = old.double(), new.double()
        log_p = torch.stack([functional.logsigmoid(a), functional.logsigmoid(-a)], -1)
        return _tilted_kl(log_p, torch.stack([b - a, torch.zeros_like(a)], -1)).sum(-1)

    def root(self, z: Tensor) -> Tensor:
        """Of a bit, sqrt(p (1 - p))."""
        return (torch.sigmoid(z) * torch.sigmoid(-z)).sqrt()

    def entropy(self, z: Tensor) -> Tensor:
        """Sum over bits."""
        return -(torch.sigmoid(z) * functional.logsigmoid(z) + torch.sigmoid(-z) * functional.logsigmoid(-z)).sum(-1)


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
        moved = mean_a - mean_b
        x = torch.where(moved == 0, 0.0, moved * torch.exp(-log_b))  # 0 * inf is 0
        return 0.5 * (_excess(2 * (log_a - log_b)) + x * x).sum(-1)

    def root(self, z: Tensor) -> Tensor:
        """1/std for the means, sqrt(2) for the log deviations."""
        inverse = torch.exp(-z.chunk(2, -1)[1])
        return torch.cat([inverse, torch.full_like(inverse, math.sqrt(2))], -1)

    def entropy(self, z: Tensor) -> Tensor:
        """Sum of log std + (1 + log 2 pi)/2."""
        return (z.chunk(2, -1)[1] + 0.5 * (1 + math.log(2 * math.pi))).sum(-1)
