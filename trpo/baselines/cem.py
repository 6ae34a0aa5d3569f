"""The cross-entropy method with noise (Szita and Lorincz 2006, Neural Computation 18:2936-2941)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from trpo.baselines.generation import Generation, Score, check_start, score_all


def cross_entropy(
    score: Score,
    theta0: ArrayLike,
    *,
    std: float = 1.0,
    population: int = 40,
    elite: float = 0.2,
    noise: float = 0.0,
    noise_decay: float = 0.0,
    iterations: int = 50,
    seed: int = 0,
) -> Iterator[Generation]:
    """Maximise a score: draw parameters from a normal law, then fit the law to the best of them.

    After generation t, variances are those of the elite plus max(noise - noise_decay t, 0): without it the law may shrink before
    it has found anything. The authors take 5 - t/10 for Tetris; the unit is that of the parameters squared.

    Parameters
    ----------
    score
        Called ``population`` times a generation.
    theta0
        Mean of the first law [P].
    std
        Standard deviation of the first law, the same for all parameters.
    population
        Candidates a generation.
    elite
        Share of them that the next law is fitted to; at least one.
    noise, noise_decay
        Added to the variances, see above.
    iterations
        Generations.
    seed
        For the candidates.

    Yields
    ------
    generation
        After every generation.

    Raises
    ------
    ValueError
        If a number is out of range, at the call; or a score is nan.
    """
    mean = check_start(theta0)
    if not (std > 0 and noise >= 0 and noise_decay >= 0):
        raise ValueError(f"std is {std}, noise {noise}, noise_decay {noise_decay}; expected std > 0, the others >= 0")
    if population < 1 or iterations < 1 or not 0 < elite <= 1:
        raise ValueError(f"population is {population}, elite {elite}, iterations {iterations}; expected >= 1, in (0, 1] and >= 1")

    def generations() -> Iterator[Generation]:
        rng, keep = np.random.default_rng(seed), max(1, round(elite * population))
        centre, variance = mean, np.full(mean.shape, std**2)
        best, best_theta = -np.inf, mean
        for t in range(1, iterations + 1):
            candidates = centre + np.sqrt(variance) * rng.standard_normal((population, len(centre)))
            scores = score_all(score, candidates, (t - 1) * population)
            order = np.argsort(-scores, kind="stable")
            chosen = candidates[order[:keep]]
            centre, variance = chosen.mean(0), chosen.var(0) + max(noise - noise_decay * t, 0.0)
            if scores[order[0]] > best:
                best, best_theta = float(scores[order[0]]), candidates[order[0]]
            yield Generation(t, t * population, scores, best, best_theta, centre, float(np.sqrt(variance.mean())))

    return generations()
