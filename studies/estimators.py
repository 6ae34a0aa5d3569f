"""What is estimated of the surrogate against what it is: bias and variance of TRPO's samplers, and of its Fisher matrices.

A random softmax table, in processes where the truth is known. Independent batches, each as many environment steps, give the mean
of an estimate with a confidence interval. One row an estimator, quantity and size:

=============== =====================================================================================================
column          meaning
=============== =====================================================================================================
study           "estimators"
mdp             process
estimator       name in :data:`ESTIMATORS` or :data:`CURVATURES`
quantity        "gain" of a policy at a given KL; "gradient"; "Fisher product" F g, g the exact gradient; "natural gradient"
                (F + damping)^-1 g
budget, steps   environment steps a batch, asked for and taken
states          rows of a batch
rollouts        actions a state; nan for single paths
batches         independent ones
visits          expected in all batches together, of the state least visited among those with 1 % of the gradient's norm
bias            relative: mean/exact - 1, of vectors along the exact one
bias_low/_high  its interval; all rows of one table hold together with probability 0.99
error           root mean square distance to the exact value, relative to it
error_low/_high 95 % interval
z, critical     largest |mean - exact| in standard errors, over the components of a vector; what it exceeds with probability
                0.01/rows if there is no bias
theory          "unbiased", "biased", or "consistent": biased in a batch of finite size, which is not asked about
verdict         "as the theory says", "AGAINST THE THEORY", or "not resolved": a bias too small to be seen, or fewer than
                :data:`~studies.bias.VISITS` visits, so that the mean of so few events is not normal and z says nothing; "not
                judged" where theory only says consistent
=============== =====================================================================================================

Theory is that of infinitely long paths and rollouts. They end where gamma^t is at most ``cut``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from mdps import MDP
from mdps.gym_bridge import TabularEnv, TabularVectorEnv
from mdps.mdp import Array
from mdps.terminal import terminal
from studies import paths as named
from studies.bias import compared, judged
from studies.estimators_figures import biases
from studies.estimators_figures import figures as figures
from studies.truth import Truth, curved, surrogate
from trpo.curvature import Curvature
from trpo.samplers.sample import Sample
from trpo.samplers.single_path import SinglePath
from trpo.samplers.vine import Vine

log = logging.getLogger("studies")


@dataclass(frozen=True)
class Estimator:
    """A sampler, and whether theory says that its gain and gradient are without bias."""

    vine: bool
    theory: str
    options: Mapping[str, Any]


ESTIMATORS = {
    "single path": Estimator(False, "unbiased", {"estimator": "monte_carlo"}),
    "single path, GAE, exact V": Estimator(False, "unbiased", {"estimator": "gae", "lam": 0.95}),
    "single path, no gamma^t": Estimator(False, "biased", {"estimator": "gae", "lam": 0.95, "discounted": False}),
    "vine, all actions": Estimator(True, "unbiased", {"q": "all"}),
    "vine, q = pi": Estimator(True, "unbiased", {"q": "policy"}),
    "vine, q uniform": Estimator(True, "unbiased", {"q": "uniform"}),
    "vine, self-normalised": Estimator(True, "biased", {"q": "uniform", "self_normalised": True}),
    "vine, as printed": Estimator(True, "biased", {"q": "uniform", "self_normalised": True, "weights": "paper"}),
}
CURVATURES: dict[str, Curvature] = {"analytic Fisher": "fisher", "empirical Fisher": "empirical"}
Row = dict[str, Any]


def run(
    mdp: Mapping[str, MDP],
    seed: int = 0,
    batches: int = 40,
    budgets: Sequence[int] = (10000, 80000),
    rollouts: Sequence[int] = (2, 8),
    paths: Sequence[int] = (4, 16, 64, 256),
    estimators: Sequence[str] | None = None,
    delta: float = 0.05,
    damping: float = 1e-3,
    cut: float = 1e-3,
) -> pd.DataFrame:
    """Return the table above.

    Parameters
    ----------
    mdp
        By name. Those whose episodes end are left out, with a message: a single path's weights are then relative to how long it
        lived, and no estimate is without bias.
    seed
        For the policy and the batches.
    batches
        Independent ones, at least 3.
    budgets
        Environment steps a batch.
    rollouts
        Actions a state in vine.
    paths
        Single paths in a batch for the Fisher matrix.
    estimators
        Names in :data:`ESTIMATORS`; None for all.
    delta, damping, cut
        See conf/study/estimators.yaml.

    Raises
    ------
    ValueError
        If no process is left, a name is unknown, or a number is out of range.
    """
    named.check_processes(mdp)
    chosen = list(ESTIMATORS) if estimators is None else list(estimators)
    if unknown := [name for name in chosen if name not in ESTIMATORS]:
        raise ValueError(f"unknown estimator {unknown[0]!r}; expected some of {', '.join(ESTIMATORS)}")
    for what, values in {"budgets": budgets, "rollouts": rollouts}.items():
        if not len(values) or min(values) < 1:
            raise ValueError(f"{what} is {list(values)}; expected at least one number, none below 1")
    if not isinstance(batches, Integral) or batches < 3:
        raise ValueError(f"batches={batches}; expected batches >= 3, one number of independent batches")
    if not 0 < cut < 1 or not delta > 0 or not damping > 0:
        raise ValueError(f"cut={cut}, delta={delta}, damping={damping}; expected 0 < cut < 1, the others > 0")
    lasting = {name: process for name, process in mdp.items() if not _ends(process)}
    if left := [name for name in mdp if name not in lasting]:
        log.warning("left out, since their episodes end or gamma is 0: %s", ", ".join(left))
    if not lasting:
        raise ValueError("no process is left: give one whose episodes never end, such as mdp=[garnet,riverswim], and gamma > 0")
    variants = [(name, m) for name in chosen for m in (rollouts if _draws(name) else rollouts[:1])]
    tasks = [(name, *variant, budget) for name in lasting for variant in variants for budget in budgets]
    rows: list[Row] = []
    truths = {name: Truth.of(process, seed, delta, damping, cut) for name, process in lasting.items()}
    for name, estimator, m, budget in tqdm(tasks, desc="estimators", unit="row", disable=None):
        rows += _estimate(truths[name], estimator, m, budget, batches, seed, {"mdp": name, "budget": budget})
    for name in lasting:
        for count in paths:
            rows += _fisher(truths[name], count, batches, seed, damping, {"mdp": name})
    return judged(pd.DataFrame(rows))


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: the bias of every estimator."""
    return biases(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each estimator and quantity: its largest relative bias and error, and how many rows say what."""
    rows = []
    for (estimator, quantity), group in table.groupby(["estimator", "quantity"], observed=True, sort=False):
        counts = group["verdict"].value_counts()
        rows.append(
            {
                "estimator": estimator,
                "quantity": quantity,
                "theory": group["theory"].iloc[0],
                "rows": len(group),
                "bias": group["bias"].iloc[int(group["bias"].abs().to_numpy().argmax())],
                "error": group["error"].max(),
                "z": group["z"].max(),
                "agree": int(counts.get("as the theory says", 0)),
                "not_resolved": int(counts.get("not resolved", 0)),
                "against": int(counts.get("AGAINST THE THEORY", 0)),
            }
        )
    return pd.DataFrame(rows)


def _ends(mdp: MDP) -> bool:
    return bool(terminal(mdp).any()) or float(mdp.gamma) == 0


def _draws(estimator: str) -> bool:
    """Whether it has a number of rollouts."""
    return ESTIMATORS[estimator].options.get("q") in ("policy", "uniform")


def _single(truth: Truth, count: int, options: Mapping[str, Any], seed: int) -> Callable[[], Sample]:
    """So many single paths a batch."""
    mine: dict[str, Any] = {"discounted": True, "standardise": False, **options}
    env = TabularVectorEnv(truth.mdp, count)
    gamma = float(truth.mdp.gamma)
    sampler = SinglePath(env, steps=count * truth.horizon, gamma=gamma, horizon=truth.horizon, seed=seed, **mine)
    value = truth.value if mine["estimator"] == "gae" else None
    return lambda: sampler.collect(truth.policy, value)


def _vine(truth: Truth, m: int, budget: int, options: Mapping[str, Any], seed: int) -> Callable[[], Sample]:
    """A quarter of the steps for the trunk, the others for rollouts."""
    length = truth.horizon
    each = (truth.mdp.A if options["q"] == "all" else m) * length
    paths = max(1, round(budget / 4 / length))
    states = max(1, round((budget - paths * length) / each))
    sampler = Vine(
        TabularEnv(truth.mdp),
        gamma=float(truth.mdp.gamma),
        states=states,
        rollouts=m,
        length=length,
        paths=paths,
        horizon=length,
        discounted=True,
        seed=seed,
        **options,
    )
    return lambda: sampler.collect(truth.policy)


def _estimate(truth: Truth, name: str, m: int, budget: int, batches: int, seed: int, labels: Row) -> list[Row]:
    what = ESTIMATORS[name]
    own = int(np.random.SeedSequence([seed, list(ESTIMATORS).index(name), m, budget]).generate_state(1)[0])
    if what.vine:
        collect = _vine(truth, m, budget, what.options, own)
    else:
        collect = _single(truth, max(1, round(budget / truth.horizon)), what.options, own)
    found, steps = [], []
    for _ in range(batches):  # one batch in memory at a time
        sample = collect()
        found.append(surrogate(truth.policy, sample.batch, truth.target))
        steps.append(sample.steps)
    size: Row = {"steps": np.mean(steps), "states": len(sample.batch)}
    size["rollouts"] = sample.batch.actions.shape[1] if what.vine else np.nan
    heads = {"estimator": name, **labels, "theory": what.theory}
    return [_row({**heads, "quantity": q, **size}, [f[q] for f in found], truth) for q in ("gain", "gradient")]


def _fisher(truth: Truth, count: int, batches: int, seed: int, damping: float, labels: Row) -> list[Row]:
    collect = _single(
        truth, count, ESTIMATORS["single path"].options, int(np.random.SeedSequence([seed, count]).generate_state(1)[0])
    )
    g = truth.numbers["gradient"]
    found: dict[str, list[dict[str, Array]]] = {name: [] for name in CURVATURES}
    for _ in range(batches):
        sample = collect()
        for name, curvature in CURVATURES.items():
            found[name].append(curved(truth.policy, sample.batch, curvature, g, damping))
    size = {"budget": sample.steps, "steps": sample.steps, "states": len(sample.batch), "rollouts": np.nan}
    return [
        _row({"estimator": name, **labels, "theory": theory, "quantity": q, **size}, [f[q] for f in found[name]], truth)
        for name in CURVATURES
        for q, theory in (("Fisher product", "unbiased"), ("natural gradient", "consistent"))
    ]


def _row(heads: Row, found: Sequence[Array], truth: Truth) -> Row:
    """The row of estimates of one quantity, ``heads`` being its labels and sizes."""
    visits = len(found) * heads["states"] * truth.rarest
    return {**heads, "visits": visits, **compared(np.stack(found), truth.numbers[heads["quantity"]])}
