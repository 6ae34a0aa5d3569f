"""What the TRPO paper's Figure 4 compares (arXiv:1502.05477v5, section 8.1), on one task: a run of a method is a list of rows.

TRPO's relatives are points of one product, and :data:`VARIANTS` is that product as data. The searches and the regression
(:data:`SEARCHES`, ``"RWR"``) are loops of their own over the same policy, environment and budget.

================== ==================================================================================================
method             what it is
================== ==================================================================================================
single path        TRPO: mean KL <= delta, analytic Fisher matrix, line search
vine               the same with rollouts from chosen states, common random numbers and self-normalised weights
natural gradient   the natural gradient of the single path's batch times a fixed step, and no acceptance
max KL             the largest KL over the batch's states <= delta
empirical FIM      the covariance of scores in place of the analytic matrix
CEM, CMA           search of the policy's parameters by return alone; candidates play the random policy too
RWR                regression on the single path's batch, the better actions weighted more
================== ==================================================================================================

An iteration is ``paths`` paths of ``horizon`` steps, new episodes beginning where one ends. Vine takes the steps that its own
numbers say. Each candidate of a search plays as many whole episodes as held an equal share of these steps in the generation
before, and at least one: fewer steps in the first generation, and more where episodes are longer than a candidate's share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trpo.agent import TRPO
from trpo.baselines import Generation, MeanReturn, covariance_adaptation, cross_entropy, reward_weighted_regression
from trpo.environments import vector_env
from trpo.neural import StepOptions
from trpo.normaliser import Normaliser
from trpo.region import Measure, Reduce, Region
from trpo.samplers.sample import Sampler
from trpo.samplers.single_path import SinglePath
from trpo.samplers.vine import Vine
from trpo.single_env import single_env
from trpo.threads import threads
from trpo.values import fit_values

Row = dict[str, float]
"""``iteration`` from 1, ``steps`` of the environment so far, ``return_mean``, ``kl_mean`` and ``kl_max`` (nan where unknown)."""


@dataclass(frozen=True)
class Task:
    """An environment, a policy and a budget: all that a run depends on besides its method and its seed.

    Raises
    ------
    ValueError
        If a number is not positive, or ``copies`` does not divide ``paths``.
    """

    name: str  # of the panel
    env: Mapping[str, Any]  # id, normalise_observations, normalise_rewards
    policy: Mapping[str, Any]  # kind and shape, of trpo.policies.make_policy
    learner: Mapping[str, Any]  # gamma, estimator, lam, value_iterations, value_damping
    options: Mapping[str, Any] = field(default_factory=dict)  # of trpo.neural.StepOptions
    vine: Mapping[str, Any] = field(default_factory=dict)  # of trpo.samplers.vine.Vine, and its own options
    searches: Mapping[str, Any] = field(default_factory=dict)  # of CEM and CMA each; and the episodes that their answer plays
    rwr: Mapping[str, Any] = field(default_factory=dict)  # of trpo.baselines.reward_weighted_regression
    delta: float = 0.01  # nats
    iterations: int = 50
    paths: int = 10
    horizon: int = 500  # steps: the time limit of an episode
    copies: int = 10  # of the environment, stepped together

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("iterations", "paths", "horizon", "copies"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.paths % self.copies:
            raise ValueError(f"paths is {self.paths} and copies {self.copies}; give copies that divide the paths")

    def of(self, method: str) -> Task:
        """Return the task as one method sees it: without what is for others only."""
        searches = {key: value for key, value in self.searches.items() if key not in SEARCHES or key == method}
        return replace(
            self,
            vine=self.vine if method in VARIANTS and VARIANTS[method].vine else {},
            searches=searches if method in SEARCHES else {},
            rwr=self.rwr if method == "RWR" else {},
        )


@dataclass(frozen=True)
class Variant:
    """A point of the product sampler x region x curvature x acceptance."""

    measure: Measure = "kl"
    reduce: Reduce = "mean"
    vine: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    sized: bool = False  # whether it has a step size, which is swept


VARIANTS: dict[str, Variant] = {
    "single path": Variant(),
    "vine": Variant(vine=True),
    "natural gradient": Variant(measure="none", options={"line_search": None}, sized=True),
    "max KL": Variant(reduce="max"),
    "empirical FIM": Variant(options={"curvature": "empirical"}),
}
SEARCHES: dict[str, Callable[..., Iterator[Generation]]] = {"CEM": cross_entropy, "CMA": covariance_adaptation}
METHODS = (*VARIANTS, *SEARCHES, "RWR")


def rows(task: Task, method: str, step: float, seed: int, file: Path | None = None) -> list[Row]:
    """Run one method and return a row for each iteration.

    ``return_mean`` is the mean undiscounted return of the episodes that ended in the iteration's batch, before its update; of
    CEM and CMA that of the search's answer before the generation, the mean of its law, over episodes of its own, which are not
    counted in ``steps``. So every method's first row is the same policy's.

    Parameters
    ----------
    task, method
        What is run; a name of ``METHODS``.
    step
        Step size of the natural gradient; the others do not read it.
    seed
        The policy's first weights and all else that is random.
    file
        Where an agent saves itself as it goes, and goes on from; None saves nothing.

    Raises
    ------
    ValueError
        If the method is unknown, or its parts refuse their arguments.
    """
    with threads(1):
        if method in VARIANTS:
            return _learn(task, VARIANTS[method], step, seed, file)
        if method in SEARCHES:
            return _search(task, method, seed)
        if method == "RWR":
            return _regress(task, seed)
    raise ValueError(f"unknown method {method!r}; expected one of {', '.join(METHODS)}")


def _learn(task: Task, variant: Variant, step: float, seed: int, file: Path | None) -> list[Row]:
    """Train a relative of TRPO."""
    if file is not None and file.exists():
        env, sampler = _world(task, variant, seed)
        agent = TRPO.load(file, env, sampler=sampler)
    else:
        agent = _agent(task, variant, step, seed)
    agent.learn(updates=task.iterations, checkpoint=file)
    agent.env.close()
    return [_row(i.iteration + 1, i.steps, i.return_mean, i.step.kl_mean, i.step.kl_max) for i in agent.history]


def _search(task: Task, method: str, seed: int) -> list[Row]:
    """Search the parameters of the policy that TRPO starts from."""
    given = dict(task.searches)
    episodes, population = int(given.pop("episodes", 5)), int(given.pop("population", None) or task.paths)
    candidates, scored, watched = (int(s) for s in np.random.SeedSequence([seed, 3]).generate_state(3))
    policy = _agent(task, Variant(), 1.0, seed).policy
    single = vector_env(task.env["id"], 1, max_episode_steps=task.horizon)
    score = MeanReturn(policy, single, 1, seed=scored)
    many = vector_env(task.env["id"], min(task.copies, episodes), max_episode_steps=task.horizon)
    shown = MeanReturn(policy, many, episodes, seed=watched)
    theta, found = score.start, []
    search = SEARCHES[method](
        score, theta, population=population, iterations=task.iterations, seed=candidates, **given.get(method, {})
    )
    for t in range(1, task.iterations + 1):
        reached = shown(theta)
        before = score.steps
        generation = next(search, None)  # CMA ends where its own criteria say so: its answer stays
        if generation is not None:
            theta = generation.theta
            length = (score.steps - before) / (population * score.episodes)
            score.episodes = max(1, round(task.paths * task.horizon / (population * length)))
        found.append(_row(t, score.steps, reached))
    return found


def _regress(task: Task, seed: int) -> list[Row]:
    """Regress on single paths: an agent's loop with another update."""
    agent = _agent(task, Variant(), 1.0, seed)
    found, steps = [], 0
    for t in range(1, task.iterations + 1):
        sample = agent.sampler.collect(agent.policy, agent.value)
        done = reward_weighted_regression(agent.policy, sample.batch, **task.rwr)
        if agent.value is not None and sample.targets is not None:
            fit_values(
                agent.value,
                sample.batch.inputs,
                sample.targets,
                iterations=agent.value_iterations,
                damping=agent.value_damping,
                fraction=agent.options.fraction,
                generator=agent.generator,
            )
        if agent.policy.normaliser is not None:
            agent.policy.normaliser.update(agent.policy.encode(sample.observations).numpy())
        steps += sample.steps
        found.append(_row(t, steps, _mean(sample.returns), done.kl_mean))
    agent.env.close()
    return found


def _agent(task: Task, variant: Variant, step: float, seed: int) -> TRPO:
    env, sampler = _world(task, variant, seed)
    shape = {("policy" if key == "kind" else key): value for key, value in task.policy.items()}
    options = {**task.options, **variant.options, **({"step_size": step} if variant.sized else {})}
    if variant.vine:
        options |= {"fraction": 1.0, **task.vine.get("options", {})}
    return TRPO(
        env,
        region=Region(variant.measure, variant.reduce, task.delta),
        sampler=sampler,
        options=StepOptions(**options),
        value_iterations=task.learner.get("value_iterations", 0),
        value_damping=task.learner.get("value_damping", 1.0),
        normalise_observations=bool(task.env.get("normalise_observations")),
        seed=seed,
        **shape,
    )


def _world(task: Task, variant: Variant, seed: int) -> tuple[Any, Sampler]:
    """Copies of the environment, and what samples from them, or from others like them."""
    how = task.learner
    env = vector_env(task.env["id"], 1 if variant.vine else task.copies, max_episode_steps=task.horizon)
    if variant.vine:
        own = {key: value for key, value in task.vine.items() if key != "options"}
        made = partial(single_env, task.env["id"], max_episode_steps=task.horizon)
        return env, Vine(made, gamma=how["gamma"], horizon=task.horizon, self_normalised=True, seed=seed, **own)
    return env, SinglePath(
        env,
        steps=task.paths * task.horizon,
        horizon=task.horizon,
        gamma=how["gamma"],
        estimator=how.get("estimator", "monte_carlo"),
        lam=how.get("lam", 1.0),
        reward_scale=Normaliser(centre=False) if task.env.get("normalise_rewards") else None,
        seed=seed,
    )


def _row(iteration: int, steps: int, reached: float, kl_mean: float = math.nan, kl_max: float = math.nan) -> Row:
    return {"iteration": iteration, "steps": steps, "return_mean": reached, "kl_mean": kl_mean, "kl_max": kl_max}


def _mean(returns: Any) -> float:
    return float(np.mean(returns)) if len(returns) else math.nan
