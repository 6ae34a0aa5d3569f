"""What the max-KL step gains for what it costs: from the rescaled mean-KL direction (0 rounds) to the optimum of its program.

The table has one row for each batch and number of rounds:

============ ==========================================================================================================
column       meaning
============ ==========================================================================================================
study        "max_kl_cost"
problem      "random", or how many mean-KL updates the policy has had whose single-path batch it is
instance     number of the batch
damping      added to every state's Fisher matrix
rounds       of :func:`trpo.max_kl.max_kl_direction`
cost         time of the whole step over that of a mean-KL step: medians of ``repeats``, measured in turn in the same run
predicted    gain of the mean surrogate by the linear model; ``bound``, the least bound of all rows of the batch and damping
share        predicted/bound: at least this share of the optimum
gain         of the mean surrogate, found after the line search; ``backtracks``, ``kl_max`` (nats) as in the step's record
============ ==========================================================================================================

Times depend on the machine and on what else it does; everything else depends on the seed alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from studies.batches import collect
from studies.figures import CYCLE, DASHES, DOUBLE, MARKERS, legend_above, style, swatch
from trpo.agent import TRPO
from trpo.batch import Batch
from trpo.linearise import flat_parameters, set_parameters
from trpo.neural import Step, StepOptions, step
from trpo.policies import Policy
from trpo.region import Region


def run(
    env: str = "CartPole-v1",
    delta: float = 0.01,
    seed: int = 0,
    problems: int = 6,
    states: int = 2048,
    updates: Sequence[int] = (1, 5, 20),
    rounds: Sequence[int] = (0, 1, 2, 3, 4, 6),
    dampings: Sequence[float] = (0.01, 0.1),
    repeats: int = 9,
) -> pd.DataFrame:
    """Return the table above; the parameters are described in ``conf/study/max_kl_cost.yaml``.

    Raises
    ------
    ValueError
        If a number is not positive, or ``rounds`` or ``dampings`` is empty.
    """
    if min(problems, states, repeats, *dampings) <= 0 or not len(rounds) or not len(dampings):
        given = f"{problems=}, {states=}, {repeats=}, {rounds=}, {dampings=}"
        raise ValueError(f"{given}; expected positive numbers, at least one of rounds and one of dampings")
    rows = []
    total = problems * (1 + len(updates))
    problem = tqdm(_problems(env, seed, problems, states, updates), desc="max_kl_cost", unit="batch", total=total, disable=None)
    for (name, instance, policy, batch), damping in ((batch, d) for batch in problem for d in dampings):
        cases = [(Region("kl", "mean", delta), StepOptions(damping=damping))]
        cases += [(Region("kl", "max", delta), StepOptions(damping=damping, max_kl_rounds=r)) for r in rounds]
        taken, seconds = _timed(policy, batch, cases, repeats)
        bound = min(s.bound for s in taken[1:])
        for r, s, cost in zip(rounds, taken[1:], seconds[1:] / seconds[0], strict=True):
            rows.append(
                {
                    "study": "max_kl_cost",
                    "problem": name,
                    "instance": instance,
                    "damping": damping,
                    "rounds": r,
                    "cost": cost,
                    "predicted": s.gain_predicted,
                    "bound": bound,
                    "share": s.gain_predicted / bound,
                    "gain": s.gain,
                    "backtracks": s.backtracks,
                    "kl_max": s.kl_max,
                    "delta": delta,
                    "seed": seed,
                }
            )
    return pd.DataFrame(rows).astype({"study": "category", "problem": "category"})


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a problem, damping and number of rounds: medians over batches, the least share, gains over 0 rounds'."""
    first = table[table["rounds"] == table["rounds"].min()].set_index(["problem", "damping", "instance"])
    keys = pd.MultiIndex.from_frame(table[["problem", "damping", "instance"]])
    ratios = table.assign(
        predicted_ratio=table["predicted"].to_numpy() / first["predicted"].reindex(keys).to_numpy(),
        gain_ratio=table["gain"].to_numpy() / first["gain"].reindex(keys).to_numpy(),
    )
    return (
        ratios.groupby(["problem", "damping", "rounds"], observed=True, sort=False)
        .agg(
            batches=("share", "size"),
            cost=("cost", "median"),
            share=("share", "median"),
            share_least=("share", "min"),
            predicted_ratio=("predicted_ratio", "median"),
            predicted_ratio_least=("predicted_ratio", "min"),
            gain_ratio=("gain_ratio", "median"),
            kl_max=("kl_max", "max"),
        )
        .reset_index()
    )


def plot(table: pd.DataFrame) -> Figure:
    """Draw the share of the optimum, predicted and found, against the cost."""
    names = list(dict.fromkeys(table["problem"].astype(str)))
    with style():
        dampings = sorted(table["damping"].unique())
        figure = Figure(figsize=(DOUBLE, 1.1 + 1.8 * len(dampings)))
        grid = figure.subplots(len(dampings), 2, sharex=True, sharey=True, squeeze=False)
        table = table.assign(found=table["gain"] / table["bound"])
        for (damping, column), axes in zip(((d, c) for d in dampings for c in ("share", "found")), grid.flat, strict=True):
            for k, name in enumerate(names):
                grouped = table[(table["problem"] == name) & (table["damping"] == damping)].groupby("rounds")
                low, y, high = (grouped[column].quantile(q) for q in (0.1, 0.5, 0.9))
                x = grouped["cost"].median()
                look = {"color": CYCLE[k % 7], "linestyle": DASHES[k % 5], "marker": MARKERS[k % 9]}
                axes.errorbar(x, y, [y - low, high - y], elinewidth=0.6, capsize=1.5, **look)
            axes.axhline(1, color="0.3", linewidth=0.8)
        for axes, title in zip(grid[0], ("predicted by the model", "found, after the line search"), strict=True):
            axes.set_title(title)
        grid[0, 0].set_ylim(0, 1.05 * max(1.0, float(table["found"].max())))
        for axes, damping in zip(grid[:, 0], dampings, strict=True):
            axes.set_ylabel(f"gain / least upper bound\n(damping {damping:g})")
        figure.supxlabel("time of a step / time of a mean-KL step (same run)", fontsize=8)
        handles = [
            swatch(name, color=CYCLE[k % 7], linestyle=DASHES[k % 5], marker=MARKERS[k % 9]) for k, name in enumerate(names)
        ]
        rounds = ", ".join(str(r) for r in sorted(table["rounds"].unique()))
        caption = (
            f"marks, from the left: {rounds} rounds (0: the rescaled mean-KL direction). Medians of "
            f"{table['instance'].nunique()} batches;\nbars: 10th to 90th percentile. Policies: random, or after mean-KL updates"
        )
        legend_above(figure, handles, len(names), caption)
    return figure


def figures(table: pd.DataFrame) -> dict[str, Figure]:
    """Draw all figures of a table, by the stem of their files."""
    return {"cost": plot(table)}


def _problems(env: str, seed: int, count: int, states: int, updates: Sequence[int]) -> Iterator[tuple[str, int, Policy, Batch]]:
    """Yield batches of so many states: single paths of agents; states, advantages and shifts of the weights drawn as normal."""
    for instance in range(count):
        agent = TRPO(env, seed=seed + instance, steps_per_update=states)
        for target in sorted(updates):
            agent.learn(updates=target)
            yield f"{target} update{'s' * (target > 1)}", instance, agent.policy, collect(agent, states).batch
        policy = TRPO(env, seed=seed + instance).policy
        generator = torch.Generator().manual_seed(seed + instance)
        theta = flat_parameters(policy)
        set_parameters(policy, theta + 0.1 * torch.randn(theta.shape, generator=generator))
        x = torch.randn(states, policy.encode.features, generator=generator)
        with torch.no_grad():
            z = policy(x)
            noise = policy.family.noise(states, np.random.default_rng(seed + instance))
            actions = policy.family.sample(z, noise)[:, None]
            log_q = policy.family.log_prob(z, actions)
        advantages = torch.randn(states, 1, generator=generator)
        yield "random", instance, policy, Batch(x, actions, log_q, advantages, torch.full((states,), 1 / states))


def _timed(
    policy: Policy, batch: Batch, cases: Sequence[tuple[Region, StepOptions]], repeats: int
) -> tuple[list[Step], np.ndarray]:
    """Take each step ``repeats`` times from the same parameters, in turn; return the records and median seconds."""
    theta = flat_parameters(policy)
    seconds = np.empty((repeats, len(cases)))
    taken: list[Step] = []
    for repeat in range(repeats):
        taken = []
        for k, (region, options) in enumerate(cases):
            set_parameters(policy, theta)
            start = time.perf_counter()
            taken.append(step(policy, batch, region, options))
            seconds[repeat, k] = time.perf_counter() - start
    set_parameters(policy, theta)
    return taken, np.median(seconds, axis=0)
