"""How fast our agent is beside sb3-contrib's TRPO, as ratios measured in one run.

Every quantity is timed in turns, ours and theirs, ``repeats`` times, so that a busy machine slows both. One row each time:

============= ========================================================================================================
column        meaning
============= ========================================================================================================
study         "throughput_agent"
quantity      "training": environment steps a second, sampling and all updates included, over ``steps`` of them.
              "policy update": one update of the policy alone, "full update": with the values, from data already collected
fraction      share of the states that our curvature is computed on; sb3-contrib takes all
env           environment id
samples       states a batch, N
agent         "ours" or "sb3"
repeat        which turn
seconds       what it took
rate          steps a second for "training", updates a second for an update
============= ========================================================================================================

The two differ in what they are free to choose: sb3-contrib steps 8 copies of an environment and fits its values by 10 epochs of
Adam (its defaults); ours steps as many copies as its configuration says and fits values by Gauss-Newton steps. Network, radius,
discount factor gamma, samples a batch and the most rounds of conjugate gradients are the same (ours end at single precision).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from studies.batches import collect
from studies.throughput_agent_figures import figures as figures
from studies.throughput_agent_figures import ratios as plot_ratios
from trpo.agent import TRPO
from trpo.neural import StepOptions, step
from trpo.region import Region
from trpo.threads import threads as threads_of_torch
from trpo.values import fit_values

GAMMA = 0.99
"""Discount factor of both where an environment's settings name none."""
Timed = dict[str, Callable[[], float]]


def run(
    envs: Mapping[str, Mapping[str, Any]],
    updates: Sequence[int] = (2048, 50000),
    steps: int = 20480,
    repeats: int = 3,
    delta: float = 0.01,
    fractions: Sequence[float] = (1.0, 0.1),
    seed: int = 0,
    threads: int = 1,
) -> pd.DataFrame:
    """Return the table above.

    Parameters
    ----------
    envs
        Environments trained on end to end, by id: arguments of our agent, such as ``num_envs`` or ``fraction``.
    updates
        Batch sizes N that an update alone is timed at, on CartPole-v1.
    steps, repeats
        Environment steps of one training, and turns.
    delta
        Radius of the trust region, nats.
    fractions
        Shares of the batch that our curvature is computed on where an update alone is timed. (sb3-contrib takes it all.)
    seed
        For both.
    threads
        Of torch, for both.

    Raises
    ------
    ImportError
        If sb3-contrib is not installed.
    """
    theirs = _theirs()
    rows = []
    with threads_of_torch(threads):
        tasks: list[tuple[str, str, int, float, Timed]] = []
        for env, settings in envs.items():
            share = float(settings.get("fraction", 1.0))
            tasks.append(("training", env, 2048, share, _training(theirs, env, dict(settings), steps, delta, seed, threads)))
        for n in updates:
            for quantity in ("policy update", "full update"):
                for share in fractions:
                    timed = _updates(theirs, quantity, n, delta, share, seed, threads)
                    tasks.append((quantity, "CartPole-v1", n, share, timed))
        for quantity, env, samples, share, timed in tqdm(tasks, desc="throughput_agent", disable=None):
            for repeat in range(repeats):
                for agent, measure in timed.items():
                    seconds = measure()
                    rate = (steps if quantity == "training" else 1) / seconds
                    rows.append(
                        {
                            "study": "throughput_agent",
                            "quantity": quantity,
                            "env": env,
                            "samples": samples,
                            "fraction": share,
                            "agent": agent,
                            "repeat": repeat,
                            "seconds": seconds,
                            "rate": rate,
                        }
                    )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a quantity: the median rate of each agent, and the ratio of ours to theirs, with its least and most."""
    keys = ["quantity", "env", "samples", "fraction"]
    wide = table.pivot_table(index=[*keys, "repeat"], columns="agent", values="rate", sort=False)
    ratio = wide["ours"] / wide["sb3"]
    grouped = ratio.groupby(keys, sort=False)
    medians = wide.groupby(keys, sort=False).median()
    columns = {"ours": medians["ours"], "sb3": medians["sb3"], "ratio": grouped.median()}
    return pd.DataFrame({**columns, "ratio_least": grouped.min(), "ratio_most": grouped.max()}).reset_index()


def plot(table: pd.DataFrame) -> Figure:
    """Draw the ratios."""
    return plot_ratios(table)


def _theirs() -> Any:
    try:
        from sb3_contrib import TRPO as THEIRS
    except ImportError as error:
        raise ImportError("study=throughput_agent compares with sb3-contrib: pip install -e .[audit]") from error
    return THEIRS


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _sb3(theirs: Any, env: str, samples: int, delta: float, gamma: float, seed: int, **options: Any) -> Any:
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    venv: Any = make_vec_env(env, n_envs=8, seed=seed)
    venv = VecNormalize(venv, gamma=gamma) if options.pop("normalise", False) else venv
    settings = {"n_steps": samples // 8, "gamma": gamma, "target_kl": delta, "cg_max_steps": 10, "seed": seed, "device": "cpu"}
    return theirs("MlpPolicy", venv, **settings, **options)


def _training(theirs: Any, env: str, settings: dict[str, Any], steps: int, delta: float, seed: int, threads: int) -> Timed:
    fraction, gamma = settings.pop("fraction", 1.0), settings.setdefault("gamma", GAMMA)
    normalise = bool(settings.get("normalise_observations", False))

    def ours() -> float:
        options = StepOptions(fraction=fraction)
        agent = TRPO(env, region=Region("kl", "mean", delta), options=options, seed=seed, threads=threads, **settings)
        return _seconds(lambda: agent.learn(steps))

    def sb3() -> float:
        agent = _sb3(theirs, env, 2048, delta, gamma, seed, normalise=normalise)
        return _seconds(lambda: agent.learn(steps))

    return {"ours": ours, "sb3": sb3}


def _updates(theirs: Any, quantity: str, n: int, delta: float, fraction: float, seed: int, threads: int) -> Timed:
    full = quantity == "full update"
    made: dict[str, Any] = {}

    def ours() -> float:
        if "ours" not in made:
            agent = TRPO("CartPole-v1", num_envs=64, gamma=GAMMA, seed=seed, threads=threads)
            made["ours"] = agent, collect(agent, n)
        agent, sample = made["ours"]
        policy, value = copy.deepcopy(agent.policy), copy.deepcopy(agent.value)
        assert sample.targets is not None
        region, options, generator = Region("kl", "mean", delta), StepOptions(fraction=fraction), torch.Generator()

        def work() -> None:
            step(policy, sample.batch, region, options, generator=generator.manual_seed(seed))
            if full:
                fit_values(value, sample.batch.inputs, sample.targets, fraction=fraction, generator=generator)

        return _seconds(work)

    def sb3() -> float:
        if "sb3" not in made:
            agent = _sb3(theirs, "CartPole-v1", n, delta, GAMMA, seed, **({} if full else {"n_critic_updates": 0}))
            _, callback = agent._setup_learn(n)
            agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, n_rollout_steps=agent.n_steps)
            made["sb3"] = agent, copy.deepcopy(agent.policy.state_dict())
        agent, parameters = made["sb3"]
        agent.policy.load_state_dict(parameters)
        return _seconds(agent.train)

    return {"ours": ours, "sb3": sb3}
