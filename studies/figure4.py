"""The comparison of the TRPO paper's Figure 4: eight methods, the same policy and budget (arXiv:1502.05477v5, section 8.1).

The table has one row an iteration of a run:

=============== =======================================================================================================
column          meaning
=============== =======================================================================================================
study           ``"figure4"``
task, env       the panel; gymnasium's id of the environment
method          one of :data:`studies.figure4_methods.METHODS`
step            step size of the natural gradient, one of a sweep in factors of about three; nan for the others
seed            of the run
iteration       from 1
steps           of the environment so far, vine's rollouts included
return_mean     mean undiscounted return of the episodes that ended in this iteration, all before its update; of CEM and CMA that
                of the answer they had then (see :func:`studies.figure4_methods.rows`); nan where no episode ended
kl_mean, kl_max KL(old || new) of the update over the batch's states, in nats; nan where a method does not report it
scale           how sizes compare with the paper's, a text for figures; empty for the paper's own
=============== =======================================================================================================

A run depends on its task, method, step and seed only. Each is kept as it ends, and TRPO's relatives save themselves on the way: a
study that was killed goes on, and ends with the same table. What today's environments and the paper's have in common is their
names: rewards and dimensions differ, so that levels of returns cannot be compared with the paper's.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from studies.figure4_figures import figures as figures
from studies.figure4_figures import returns
from studies.figure4_methods import METHODS, SEARCHES, VARIANTS, Task, rows
from studies.figure4_summary import summary as summary
from studies.runs import tables

log = logging.getLogger("studies")

COLUMNS = (
    *("study", "task", "env", "method", "step", "seed", "iteration"),
    *("steps", "return_mean", "kl_mean", "kl_max", "scale"),
)
LABELS = ("study", "task", "env", "method", "scale")


def run(
    env: Mapping[str, Any],
    policy: Mapping[str, Any],
    learner: Mapping[str, Any],
    task: str = "cartpole",
    methods: Sequence[str] = METHODS,
    step_sizes: Sequence[float] = (0.1, 0.3, 1.0, 3.0, 10.0),
    options: Mapping[str, Any] | None = None,
    vine: Mapping[str, Any] | None = None,
    searches: Mapping[str, Any] | None = None,
    rwr: Mapping[str, Any] | None = None,
    delta: float = 0.01,
    iterations: int = 50,
    paths: int = 10,
    horizon: int = 500,
    copies: int = 10,
    seed: int = 0,
    seeds: int = 5,
    scale: str = "",
    workers: int | None = None,
    checkpoints: str | Path | None = None,
) -> pd.DataFrame:
    """Return the table above.

    Parameters
    ----------
    env
        ``id``, the environment's; ``normalise_observations`` and ``normalise_rewards``, of TRPO's relatives and RWR: a search
        learns no moments of observations.
    policy
        ``kind``, ``hidden``, ``activation``, ``std`` and ``init_log_std`` of :func:`trpo.policies.make_policy`.
    learner
        ``gamma``; ``estimator`` and ``lam`` of the single path (the paper's: ``"monte_carlo"``); ``value_iterations`` and
        ``value_damping`` (:func:`trpo.values.fit_values`; 0 iterations for no values, as in the paper).
    task
        Name of the panel.
    methods
        Some of :data:`studies.figure4_methods.METHODS`.
    step_sizes
        Of the natural gradient, each of them run. They multiply the natural gradient of standardised advantages.
    options
        Of :class:`trpo.neural.StepOptions`.
    vine
        ``states``, ``rollouts``, ``length``, ``paths``, ``q``, ``copies`` of :class:`trpo.samplers.vine.Vine`; and ``options`` of
        its own: unless they say otherwise, curvatures are computed on all of its states, which are few.
    searches
        ``episodes`` that an answer is shown in, the ``population``, and under ``CEM`` and ``CMA`` more arguments of
        :func:`trpo.baselines.cross_entropy` and :func:`trpo.baselines.covariance_adaptation`.
    rwr
        Arguments of :func:`trpo.baselines.reward_weighted_regression`.
    delta
        Radius of the trust regions, in nats.
    iterations, paths, horizon
        How many iterations, and the paths of each: so many of ``horizon`` steps, which is also the time limit of episodes.
    copies
        Of the environment, stepped together.
    seed, seeds
        The first seed, and how many.
    scale
        Text of the column.
    workers
        Processes; None for one a core.
    checkpoints
        Folder of what runs keep; None keeps nothing.

    Raises
    ------
    ValueError
        If a name is unknown, a number out of range, or an environment or a method cannot be made of these parts.
    """
    if unknown := [name for name in methods if name not in METHODS]:
        raise ValueError(f"unknown method {unknown[0]!r}; expected some of {', '.join(METHODS)}")
    sized = [name for name in methods if name in VARIANTS and VARIANTS[name].sized]
    if not methods or seeds < 1 or (sized and not step_sizes):
        raise ValueError(f"methods {list(methods)}, seeds {seeds}, step_sizes {list(step_sizes)}; give at least one of each")
    parts: dict[str, Any] = {"options": options, "vine": vine, "searches": searches, "rwr": rwr}
    given = {name: value for name, value in parts.items() if value is not None}
    what = Task(
        task, env, policy, learner, **given, delta=delta, iterations=iterations, paths=paths, horizon=horizon, copies=copies
    )
    runs = {}
    longest = sorted(methods, key=lambda name: name not in SEARCHES)  # first: so no core waits long in the end
    for own in range(seed, seed + seeds):  # one after the other: a study that is cut short has all of its first seeds
        for method in longest:
            for step in step_sizes if method in sized else (float("nan"),):
                head = {"study": "figure4", "task": task, "env": str(env["id"]), "method": method, "step": step, "seed": own}
                runs[stem(what.of(method), head)] = partial(one, what.of(method), head)
    made = tables(runs, None if checkpoints is None else Path(checkpoints), workers, "figure4")
    table = pd.concat(made.values(), ignore_index=True).assign(scale=scale)[list(COLUMNS)]
    order = table.assign(method=table["method"].map(list(methods).index))
    index = order.sort_values(["method", "step", "seed", "iteration"]).index
    return table.loc[index].reset_index(drop=True).astype(dict.fromkeys(LABELS, "category"))


def one(task: Task, head: Mapping[str, Any], file: Path | None) -> pd.DataFrame:
    """Return the rows of one run, all but their scale; ``head`` holds the columns up to the seed, ``file`` is the agent's."""
    found = rows(task, str(head["method"]), float(head["step"]), int(head["seed"]), file)
    return pd.DataFrame(found).assign(**head).astype({"iteration": int, "steps": int})


def stem(task: Task, head: Mapping[str, Any]) -> str:
    """Name the file of one run after all that it depends on: its method, step and seed, and a hash of its task."""
    tag = hashlib.sha256(json.dumps(asdict(task), sort_keys=True, default=str).encode()).hexdigest()[:8]
    return f"{str(head['method']).replace(' ', '-')}-{head['step']:g}-{head['seed']}-{tag}"


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: return by iteration."""
    return returns(table)
