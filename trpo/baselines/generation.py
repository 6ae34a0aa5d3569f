"""What a search over parameter vectors reports of each of its generations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Score = Callable[[Array], float]
"""Maps parameters [P] to what is to be large, such as a mean return (:class:`trpo.baselines.returns.MeanReturn`)."""


@dataclass(frozen=True, eq=False)
class Generation:
    """One generation of a search that draws parameter vectors from a normal law and moves the law to the better ones."""

    iteration: int  # from 1
    evaluations: int  # of the score, this generation and all before
    scores: Array  # [population] of this generation
    best: float  # largest score so far; of a noisy score, an estimate that is too high
    best_theta: Array  # [P] where it was seen
    theta: Array  # [P] mean of the law for the next generation: the search's answer
    spread: float  # root mean square of that law's standard deviations

    @property
    def mean(self) -> float:
        """Mean score of this generation."""
        return float(self.scores.mean())


def check_start(theta0: ArrayLike) -> Array:
    """Return theta0 as a vector of its own.

    Raises
    ------
    ValueError
        If it is no vector of finite numbers, or an empty one.
    """
    theta = np.array(theta0, dtype=np.float64)
    if theta.ndim != 1 or not theta.size or not np.isfinite(theta).all():
        raise ValueError(f"theta0 has shape {theta.shape}; expected a vector of at least one number, all finite")
    return theta


def score_all(score: Score, candidates: Array, evaluated: int) -> Array:
    """Return the scores of candidates [population, P].

    Raises
    ------
    ValueError
        If a score is nan; the message names its evaluation.
    """
    scores = np.empty(len(candidates))
    for k, theta in enumerate(candidates):
        scores[k] = score(theta)
        if np.isnan(scores[k]):
            raise ValueError(
                f"evaluation {evaluated + k + 1} of the score gave nan; expected a number, -inf for what must not be"
            )
    return scores
