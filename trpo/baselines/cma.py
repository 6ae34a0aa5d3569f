"""Covariance matrix adaptation (Hansen and Ostermeier 1996), by the package ``cma`` of its author."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from trpo.baselines.generation import Generation, Score, check_start, score_all


def covariance_adaptation(
    score: Score,
    theta0: ArrayLike,
    *,
    std: float = 0.5,
    population: int | None = None,
    iterations: int = 50,
    seed: int = 0,
    diagonal: bool = False,
) -> Iterator[Generation]:
    """Maximise a score by CMA-ES.

    Parameters
    ----------
    score
        Called ``population`` times a generation.
    theta0
        Mean of the first law [P].
    std
        Standard deviation of the first law, the same for all parameters.
    population
        Candidates a generation; None for the author's 4 + floor(3 log P).
    iterations
        Generations at most: it ends earlier where one of the package's own criteria says so, such as scores that are all alike.
    seed
        For the candidates. numpy's global generator is neither read nor set.
    diagonal
        Adapt variances alone, for vectors so long that a [P,P] matrix and its eigenvectors cost too much.

    Yields
    ------
    generation
        After every generation.

    Raises
    ------
    ValueError
        If a number is out of range, at the call; or a score is nan.
    ImportError
        If ``cma`` is not installed.
    """
    mean = check_start(theta0)
    if not std > 0 or iterations < 1 or (population is not None and population < 2):
        raise ValueError(f"std is {std}, population {population}, iterations {iterations}; expected > 0, >= 2 and >= 1")
    try:
        cma = importlib.import_module("cma")
    except ImportError as error:
        raise ImportError("covariance_adaptation needs the package cma, which is not installed: pip install cma") from error
    size = population or 4 + math.floor(3 * math.log(len(mean)))

    def generations() -> Iterator[Generation]:
        rng = np.random.default_rng(seed)
        options = {
            "popsize": size,
            "randn": lambda *shape: rng.standard_normal(shape),
            "seed": math.nan,  # leaves the global generator alone
            "CMA_diagonal": diagonal,
            "verbose": -9,
            "verb_log": 0,
        }
        search = cma.CMAEvolutionStrategy(mean, std, options)
        best, best_theta = -np.inf, mean
        for t in range(1, iterations + 1):
            candidates = np.array(search.ask())
            scores = score_all(score, candidates, (t - 1) * size)
            search.tell(list(candidates), list(-scores))  # it minimises
            leader = int(scores.argmax())
            if scores[leader] > best:
                best, best_theta = float(scores[leader]), candidates[leader]
            spread = float(np.sqrt(np.mean(search.result.stds**2)))
            yield Generation(t, t * size, scores, best, best_theta, np.array(search.result.xfavorite), spread)
            if search.stop():
                return

    return generations()
