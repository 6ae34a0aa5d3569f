"""Train this project's agent in an environment, for several seeds: how fast it learns, and what its steps did.

The table has one row an update:

================== ====================================================================================================
column             meaning
================== ====================================================================================================
study, env         names
region, delta      what bounded the step, and its radius in nats, or the KL that a penalty aimed at
seed               of the run
printed            return that a publication printed for the episode this update reached (see ``run``); nan elsewhere
iteration, steps   updates before this one; environment steps so far
episodes           episodes ended so far
return_mean        mean undiscounted return of the episodes that ended in this batch; nan where none did
return_last        of the last 100 episodes
the rest           fields of :class:`trpo.history.Iteration`, :class:`trpo.Step` and as ``value_*`` :class:`trpo.values.Fit`
================== ====================================================================================================

Each seed saves its agent as it goes. A run that was killed continues where it was, and ends with the same table. The name of an
agent's file tells its configuration, so that one of another configuration in the same folder is left alone.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from mdps import MDP
from studies.train_figures import figures as figures
from studies.train_figures import returns
from studies.train_summary import summary as summary
from trpo.agent import TRPO, Update
from trpo.environments import vector_env
from trpo.neural import StepOptions
from trpo.penalty import Penalty
from trpo.region import Region

log = logging.getLogger("studies")


def run(
    env: Mapping[str, Any],
    policy: Mapping[str, Any],
    region: Mapping[str, Region | Penalty],
    learner: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    seeds: int = 5,
    steps: int | None = 100_000,
    episodes: int | None = None,
    printed: Sequence[float] | None = None,
    checkpoints: str | Path | None = None,
) -> pd.DataFrame:
    """Return the table above.

    Parameters
    ----------
    env
        ``id``, the environment's, or one MDP by its name; ``num_envs`` copies; ``max_episode_steps``, where that is to differ
        from the environment's own; and ``normalise_observations``, ``normalise_rewards``.
    policy
        ``kind``, ``hidden``, ``activation``, ``std`` and ``init_log_std`` of :func:`trpo.policies.make_policy`.
    region
        Trust regions by name, each of them trained with; or penalties that have a target.
    learner
        More arguments of :class:`trpo.agent.TRPO`, such as ``gamma`` and ``steps_per_update``.
    options
        Arguments of :class:`trpo.neural.StepOptions`.
    seed, seeds
        The first seed, and how many.
    steps, episodes
        When a run ends: after so many environment steps or whole episodes, whichever comes first; None for no limit.
    printed
        Returns that a publication printed after equal parts of ``episodes``, for comparison.
    checkpoints
        Folder of the agents' files; None saves none.

    Raises
    ------
    ValueError
        If there is no region, a penalty has no target, a number is not positive, or the agent cannot be made of these parts.
    """
    if not region:
        raise ValueError("region is empty; choose at least one, such as region=[mean_kl]")
    deltas = {name: one.target if isinstance(one, Penalty) else one.delta for name, one in region.items()}
    if fixed := [name for name, delta in deltas.items() if delta is None]:
        raise ValueError(
            f"region {fixed[0]} is a penalty without a target; give the KL it aims at, for the table's delta: target=0.01"
        )
    for name, value in {"seeds": seeds, "steps": steps, "episodes": episodes}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; give at least 1")
    if steps is None and episodes is None:
        raise ValueError("steps and episodes are both null; a run needs one of them to end")
    if printed is not None and episodes is None:
        raise ValueError("printed is given without episodes; it is compared after equal parts of these")
    main = "steps" if episodes is None else "episodes"
    total = steps if episodes is None else episodes
    tasks = [(name, own) for name in region for own in range(seed, seed + seeds)]
    tables = []
    with tqdm(total=len(tasks) * (total or 0), desc="train", unit=main.removesuffix("s"), disable=None) as bar:
        for number, (name, own) in enumerate(tasks):
            world, agent, path = _agent(env, policy, region[name], learner or {}, options or {}, own, name, checkpoints)

            def shown(update: Update, before: int = number * (total or 0), who: str = f"{name}, seed {own}") -> None:
                record = update.iteration
                bar.update(before + min(getattr(record, main), total or 0) - bar.n)
                bar.set_postfix_str(f"{who}: return {record.return_last:.4g}", refresh=False)

            agent.learn(steps, episodes=episodes, callback=shown, checkpoint=path)
            agent.env.close()
            rows = pd.DataFrame([iteration.row() for iteration in agent.history])
            made: dict[str, Any] = {"study": "train", "env": world, "region": name, "delta": deltas[name], "seed": own}
            heads = {**made, "printed": _printed(rows["episodes"].to_numpy(), episodes, printed)}
            tables.append(rows.assign(**heads)[[*heads, *rows.columns]])
    return pd.concat(tables, ignore_index=True).astype(dict.fromkeys(("study", "env", "region", "reason"), "category"))


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: return by environment steps."""
    return returns(table)


def make_world(env: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the name of an environment and the vector environment, from ``env`` as :func:`run` has it.

    Raises
    ------
    ValueError
        If it names several MDPs, or gymnasium cannot make it.
    """
    given, limit, copies = env["id"], env.get("max_episode_steps"), int(env.get("num_envs", 8))
    name = str(given)
    if isinstance(given, Mapping):
        if len(given) != 1:
            raise ValueError(f"env.id holds the MDPs {', '.join(given) or '(none)'}; give one, such as mdp=[frozenlake]")
        ((name, given),) = given.items()
    if not isinstance(given, str | MDP):
        raise ValueError(f"env.id is {given!r}; expected the id of an environment or one MDP")
    return name + (f", {limit} steps" if limit else ""), vector_env(given, copies, max_episode_steps=limit)


def _agent(
    env: Mapping[str, Any],
    policy: Mapping[str, Any],
    region: Region | Penalty,
    learner: Mapping[str, Any],
    options: Mapping[str, Any],
    seed: int,
    name: str,
    checkpoints: str | Path | None,
) -> tuple[str, TRPO, Path | None]:
    """The name of its environment, an agent, new or from its file, and that file."""
    world, copies = make_world(env)
    parts = {"env": env, "policy": policy, "region": region, "learner": learner, "options": options}
    tag = hashlib.sha256(_text(parts).encode()).hexdigest()[:8]
    path = None if checkpoints is None else Path(checkpoints) / f"{name}-{seed}-{tag}.pt"
    if path is not None and path.exists():
        agent = TRPO.load(path, copies)
        log.info("%s, seed %d: continues after %d steps from %s", name, seed, agent.steps, path)
        return world, agent, path
    shape = {("policy" if key == "kind" else key): value for key, value in policy.items()}
    normalise = {key: value for key, value in env.items() if key.startswith("normalise_")}
    agent = TRPO(copies, region=region, options=StepOptions(**options), seed=seed, **shape, **normalise, **learner)
    return world, agent, path


def _text(value: Any) -> str:
    """Write anything of a configuration out, equal values alike."""
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__ + _text({field.name: getattr(value, field.name) for field in fields(value)})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, np.ndarray):
        return repr(value.tolist()) if value.dtype == object else f"{value.shape} {value.dtype} {value.tobytes().hex()}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_text, value)) + "]"
    return repr(value)


def _printed(done: np.ndarray, episodes: int | None, printed: Sequence[float] | None) -> np.ndarray:
    """The printed return at the first update that reaches each equal part of the episodes; nan elsewhere."""
    column = np.full(len(done), np.nan)
    for k, value in enumerate(printed or ()):
        reached = np.flatnonzero(done >= (episodes or 0) * (k + 1) / len(printed or ()))
        if len(reached):
            column[reached[0]] = value
    return column
