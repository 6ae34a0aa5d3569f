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
                :data:`VISITS` visits, so that the mean of so few events is not normal and z says nothing; "not judged" where
                theory only says consistent
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
import torch
from matplotlib.figure import Figure
from scipy.stats import t as student
from tqdm import tqdm

from mdps import MDP, evaluate
from mdps.gym_bridge import TabularEnv, TabularVectorEnv
from mdps.mdp import Array
from mdps.terminal import terminal
from studies import paths as named
from studies.estimators_figures import biases
from studies.estimators_figures import figures as figures
from trpo.batch import Batch
from trpo.curvature import Curvature, matrix
from trpo.exact import natural_gradient_step
from trpo.linearise import Linearised, linearise, set_parameters
from trpo.policies import Policy, make_network, make_policy
from trpo.samplers.exact import Exact
from trpo.samplers.sample import Sample
from trpo.samplers.single_path import SinglePath
from trpo.samplers.vine import Vine
from trpo.values import ValueFunction

log = logging.getLogger("studies")
SPREAD = 0.7
"""Deviation of the random logits."""
VISITS = 40
"""What a verdict needs: then actions of probability 1/10 are taken a few times in the state least visited."""


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
    truths = {name: _Truth.of(process, seed, delta, damping, cut) for name, process in lasting.items()}
    for name, estimator, m, budget in tqdm(tasks, desc="estimators", unit="row", disable=None):
        rows += _estimate(truths[name], estimator, m, budget, batches, seed, {"mdp": name, "budget": budget})
    for name in lasting:
        for count in paths:
            rows += _fisher(truths[name], count, batches, seed, damping, {"mdp": name})
    return _judged(pd.DataFrame(rows))


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


@dataclass(frozen=True, eq=False)
class _Truth:
    """A process, a policy in it, and the exact values of what is estimated."""

    mdp: MDP
    policy: Policy
    value: ValueFunction  # the exact one
    target: torch.Tensor  # [P] parameters of the policy whose gain is estimated
    numbers: dict[str, Array]  # quantity -> exact value
    horizon: int
    rarest: float  # least d(s) among the states with 1 % of the gradient's norm

    @staticmethod
    def of(mdp: MDP, seed: int, delta: float, damping: float, cut: float) -> _Truth:
        env, double = TabularEnv(mdp), torch.float64
        policy = make_policy(env.observation_space, env.action_space, "tabular", dtype=double)
        logits = SPREAD * np.random.default_rng([seed, 1]).normal(size=(mdp.S, mdp.A))
        set_parameters(policy, torch.from_numpy(logits.T.copy()).reshape(-1))
        pi = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        e = evaluate(mdp, pi)
        value = ValueFunction(make_network("tabular", policy.encode, 1))
        set_parameters(value, torch.from_numpy(e.V).to(double))
        new = natural_gradient_step(e, delta=delta)
        batch = Exact(mdp).collect(policy).batch
        target = torch.from_numpy(np.log(new).T.copy()).reshape(-1)
        numbers = _numbers(policy, batch, target)
        numbers |= _curved(policy, batch, "fisher", numbers["gradient"], damping)
        part = np.linalg.norm(numbers["gradient"].reshape(mdp.A, mdp.S), axis=0)
        rarest = float(e.d[part >= 0.01 * np.linalg.norm(part)].min())
        return _Truth(mdp, policy, value, target, numbers, int(np.ceil(np.log(cut) / np.log(float(mdp.gamma)))), rarest)


def _ends(mdp: MDP) -> bool:
    return bool(terminal(mdp).any()) or float(mdp.gamma) == 0


def _draws(estimator: str) -> bool:
    """Whether it has a number of rollouts."""
    return ESTIMATORS[estimator].options.get("q") in ("policy", "uniform")


def _numbers(policy: Policy, batch: Batch, target: torch.Tensor) -> dict[str, Array]:
    linear = linearise(policy, batch.inputs)
    gain = batch.gain(policy.family, linear.at(target)) - batch.gain(policy.family, linear.outputs)
    gradient: Array = linear.vjp(batch.gradient(policy.family, linear.outputs)).numpy()
    return {"gain": np.array([gain]), "gradient": gradient}


def _curved(policy: Policy, batch: Batch, curvature: Curvature, g: Array, damping: float) -> dict[str, Array]:
    linear = linearise(policy, batch.inputs)
    F = _dense(linear, policy, batch, curvature)
    solved = np.linalg.solve(F + damping * np.eye(len(F)), g)
    return {"Fisher product": F @ g, "natural gradient": np.asarray(solved, dtype=np.float64)}


def _dense(linear: Linearised, policy: Policy, batch: Batch, curvature: Curvature) -> Array:
    product = matrix(curvature, linear, policy.family, batch, 0.0)
    F: Array = torch.stack([product(unit) for unit in torch.eye(len(linear.theta), dtype=linear.theta.dtype)]).numpy()
    return F


def _single(truth: _Truth, count: int, options: Mapping[str, Any], seed: int) -> Callable[[], Sample]:
    """So many single paths a batch."""
    mine: dict[str, Any] = {"discounted": True, "standardise": False, **options}
    env = TabularVectorEnv(truth.mdp, count)
    gamma = float(truth.mdp.gamma)
    sampler = SinglePath(env, steps=count * truth.horizon, gamma=gamma, horizon=truth.horizon, seed=seed, **mine)
    value = truth.value if mine["estimator"] == "gae" else None
    return lambda: sampler.collect(truth.policy, value)


def _vine(truth: _Truth, m: int, budget: int, options: Mapping[str, Any], seed: int) -> Callable[[], Sample]:
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


def _estimate(truth: _Truth, name: str, m: int, budget: int, batches: int, seed: int, labels: Row) -> list[Row]:
    what = ESTIMATORS[name]
    own = int(np.random.SeedSequence([seed, list(ESTIMATORS).index(name), m, budget]).generate_state(1)[0])
    if what.vine:
        collect = _vine(truth, m, budget, what.options, own)
    else:
        collect = _single(truth, max(1, round(budget / truth.horizon)), what.options, own)
    samples = [collect() for _ in range(batches)]
    found = [_numbers(truth.policy, sample.batch, truth.target) for sample in samples]
    size: Row = {"steps": np.mean([sample.steps for sample in samples]), "states": len(samples[0].batch)}
    size["rollouts"] = samples[0].batch.actions.shape[1] if what.vine else np.nan
    return [
        {"estimator": name, "quantity": q, **labels, "theory": what.theory, **_compared([f[q] for f in found], truth, q, size)}
        for q in ("gain", "gradient")
    ]


def _fisher(truth: _Truth, count: int, batches: int, seed: int, damping: float, labels: Row) -> list[Row]:
    collect = _single(
        truth, count, ESTIMATORS["single path"].options, int(np.random.SeedSequence([seed, count]).generate_state(1)[0])
    )
    samples = [collect() for _ in range(batches)]
    g, rows = truth.numbers["gradient"], []
    for name, curvature in CURVATURES.items():
        found = [_curved(truth.policy, sample.batch, curvature, g, damping) for sample in samples]
        for q, theory in (("Fisher product", "unbiased"), ("natural gradient", "consistent")):
            size = {"budget": samples[0].steps, "steps": samples[0].steps, "states": len(samples[0].batch), "rollouts": np.nan}
            rows.append(
                {
                    "estimator": name,
                    "quantity": q,
                    **labels,
                    **size,
                    "theory": theory,
                    **_compared([f[q] for f in found], truth, q, size),
                }
            )
    return rows


def _compared(found: list[Array], truth: _Truth, quantity: str, size: Row) -> Row:
    """Size, mean and spread of estimates [B,C] of a vector [C], relative to its exact value."""
    exact, x = truth.numbers[quantity], np.stack(found)
    count, norm2 = len(x), float(exact @ exact)
    along = x @ exact / norm2 - 1
    spread = np.append(x.std(0, ddof=1), along.std(ddof=1)) / np.sqrt(count)
    off = np.abs(np.append(x.mean(0) - exact, along.mean()))
    square = ((x - exact) ** 2).sum(1) / norm2
    half = student.ppf(0.975, count - 1) * square.std(ddof=1) / np.sqrt(count)
    return {
        **size,
        "batches": count,
        "visits": count * size["states"] * truth.rarest,
        "bias": along.mean(),
        "bias_error": spread[-1],
        "error": np.sqrt(square.mean()),
        "error_low": np.sqrt(max(0.0, square.mean() - half)),
        "error_high": np.sqrt(square.mean() + half),
        "z": (off[spread > 0] / spread[spread > 0]).max(initial=0.0),
        "numbers": len(off),
    }


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """Add intervals that hold for all rows together, and verdicts."""
    freedom = table["batches"] - 1
    table["critical"] = student.isf(0.005 / len(table) / table["numbers"], freedom)
    half = table["bias_error"] * student.isf(0.005 / len(table), freedom)
    table["bias_low"], table["bias_high"] = table["bias"] - half, table["bias"] + half
    seen, unbiased = table["z"] > table["critical"], table["theory"] == "unbiased"
    against, unseen = seen & unbiased, (~seen & ~unbiased) | (table["visits"] < VISITS)
    answers = ["not judged", "not resolved", "AGAINST THE THEORY"]
    table["verdict"] = np.select([table["theory"] == "consistent", unseen, against], answers, "as the theory says")
    table.insert(0, "study", "estimators")
    order = ["study", "mdp", "estimator", "quantity", "budget", "steps", "states", "rollouts", "batches", "visits"]
    order += ["bias", "bias_low", "bias_high", "error", "error_low", "error_high", "z", "critical", "theory", "verdict"]
    return table[order].astype(dict.fromkeys(("study", "mdp", "estimator", "quantity", "theory", "verdict"), "category"))
