"""Put an agent through the same examination as every other: which promises of a trust-region update does it keep?

Each agent trains in four scenarios: "ordinary", at the radius delta; "stress", at radii so large that the two directions of the
KL differ and the line search has to work; "rejected", where every step has to be rejected; and "discount", a probe that tells
whether states are weighted by gamma^t. MDPs give exact quantities, environments of gymnasium the sampled ones. The table has one
row for each update and promise (:data:`studies.promises.PROMISES`):

============ ==========================================================================================================
column       meaning
============ ==========================================================================================================
study        "audit"
agent        name
world        MDP, environment, or "discount_probe"
scenario     as above
delta        radius that the agent was given, nats
seed         of the run
iteration    updates done before this one
accepted     "yes" or "no" as the agent says, "unsaid" if it does not
promise      name
value, limit what was measured, and what it is held against; nan where the promise says nothing of this update
verdict      "kept", "broken", "information", or "not applicable"
============ ==========================================================================================================
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from mdps import MDP
from studies.adapters import Agent, World
from studies.adapters.worlds import discount_probe, environment, tabular
from studies.audit_figures import divergences
from studies.audit_figures import figures as figures
from studies.audit_summary import report as report
from studies.audit_summary import summary as summary
from studies.promises import PROMISES, Promise, Scenario, Step

log = logging.getLogger("studies")


def run(
    agent: Mapping[str, Agent],
    mdp: Mapping[str, MDP],
    env: Sequence[str] = ("CartPole-v1", "Pendulum-v1"),
    delta: float = 0.01,
    stress: Sequence[float] = (0.1, 0.3, 1.0),
    gamma: float = 0.99,
    seed: int = 0,
    updates: int = 20,
    horizon: int = 100,
) -> pd.DataFrame:
    """Return the table above.

    Parameters
    ----------
    agent
        By name.
    mdp
        Processes with exact quantities, by name; each has its own discount factor.
    env
        Ids of gymnasium's environments.
    delta, stress
        Radius of the scenario "ordinary" and radii of the scenario "stress", nats.
    gamma
        Discount factor of the environments.
    seed
        Of every run.
    updates
        Of every run.
    horizon
        Steps after which an episode in an MDP is cut off.

    Raises
    ------
    ValueError
        If there is no agent or nowhere to train, a number is not positive, or no update was made.
    """
    for name, value in [("delta", delta), ("updates", updates), *(("stress", radius) for radius in stress)]:
        if not value > 0:
            raise ValueError(f"{name} is {value}; expected a positive number")
    if not agent or not (mdp or env):
        raise ValueError(
            "expected at least one agent, and one MDP or environment; got " + ("none of these" if agent else "no agent")
        )
    worlds = [tabular(name, process, horizon) for name, process in mdp.items()] + [environment(id, gamma) for id in env]
    tasks: list[tuple[Scenario, World, float]] = [("ordinary", world, delta) for world in worlds]
    tasks += [("stress", world, radius) for radius in stress for world in worlds]
    tasks += [("rejected", worlds[0], delta), ("discount", discount_probe(), delta / 10)]
    rows: list[dict[str, object]] = []
    for name, train in agent.items():
        for scenario, world, radius in tqdm(tasks, desc=f"audit of {name}", unit="run", disable=None):
            rows += examine(name, train, scenario, world, radius, seed, updates)
    if not rows:
        raise ValueError(f"no update was made: {', '.join(agent)} raised NotImplementedError in each world")
    table = pd.DataFrame(rows)
    table.insert(0, "study", "audit")
    labels = ["study", "agent", "world", "scenario", "accepted", "promise", "verdict"]
    return table.astype(dict.fromkeys(labels, "category"))


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: both directions of the KL, update by update."""
    return divergences(table)


def examine(
    name: str, train: Agent, scenario: Scenario, world: World, delta: float, seed: int, updates: int
) -> list[dict[str, object]]:
    """Return the rows of one run; none, and a warning, where the agent raises NotImplementedError.

    Another error ends the run and breaks the promise "finite", unless it comes at the first update: then it is raised.
    """
    rows: list[dict[str, object]] = []
    previous, count = None, 0
    common = {"agent": name, "world": world.name, "scenario": scenario, "delta": delta, "seed": seed}
    try:
        for update in train(world, delta=delta, updates=updates, seed=seed, reject=scenario == "rejected"):
            step = Step(update, previous, world, delta, scenario)
            own = {**common, "iteration": count, "accepted": {True: "yes", False: "no", None: "unsaid"}[update.accepted]}
            rows += [{**own, "promise": id, **_measured(promise, step)} for id, promise in PROMISES.items()]
            previous, count = update, count + 1
    except NotImplementedError as error:
        log.warning("%s is not observed in %s, %s: %s", name, world.name, scenario, error)
    except Exception:
        if not count:
            raise
        log.exception("%s failed in %s, %s, at update %d", name, world.name, scenario, count)
        failure = {"promise": "finite", "value": np.inf, "limit": 0.0, "verdict": "broken"}
        rows.append({**common, "iteration": count, "accepted": "unsaid", **failure})
    return rows


def _measured(promise: Promise, step: Step) -> dict[str, object]:
    measured = promise.measure(step)
    value, limit = measured or (np.nan, np.nan)
    return {"value": value, "limit": limit, "verdict": promise.verdict(measured)}
