"""How fast the exact half is beside what a user would pick instead, and beside what the machine allows.

Every quantity is timed in turns, one path after the other, ``repeats`` times, so that a busy machine slows all of them. One row
each time:

========= ============================================================================================================
column    meaning
========= ============================================================================================================
study     "throughput"
quantity  "evaluation", "check", "max-KL step", "mean-KL step", "optimal policy", "sparse evaluation", "sparse optimal policy",
          "machine"; or "scaling S", "A", "B", "horizon", "claims": our cost along one axis, of an evaluation or a check
path      who did it: "ours", or as in :data:`PATHS`
S, A      states and actions; ``B``, instances in the problem
gamma     discount factor
claims    held against each pair, of a check
threads   cores that a path may use (Python loops and SuperLU use one)
repeat    which turn
instances that were done in it: a slow peer does a sample of the problem
seconds   what it took
rate      instances a second; for the machine, operations ("dgemm") or bytes read and written ("copy") a second
========= ============================================================================================================

"ours" gives V, Q, A, rho and eta. A peer gives V and rho, or V alone where its description says so, so the comparison favours it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from bounds import CATALOGUE
from mdps.mdp import Array
from studies import throughput_problems as problems
from studies.runs import cores
from studies.throughput_figures import figures as figures
from studies.throughput_figures import speeds as plot_speeds
from studies.throughput_problems import Problem

PATHS = {
    "numpy": "numpy's batched solve, from P: V and rho",
    "numpy, one solve": "numpy's batched solve of a system that stands ready: V",
    "numpy loop": "a Python loop over numpy's solve: V and rho",
    "torch": "torch's batched solve, from P: V and rho",
    "quantecon": "quantecon, a Python loop: V of a deterministic policy; policy iteration (sparse: modified)",
    "mdptoolbox": "pymdptoolbox, a Python loop: policy iteration",
    "mdpsolver": "mdpsolver, a Python loop over new models: modified policy iteration",
    "two evaluations": "ours, of both policies of a pair: what a check cannot do without",
    "certified": "ours, rigorous: certify_batch on enclosures of floats",
    "cvxpy": "cvxpy with Clarabel, a Python loop",
    "bicgstab": "scipy's BiCGSTAB: V",
    "spsolve": "scipy's sparse factorisation: V",
    "dgemm": "a product of two matrices",
    "copy": "a copy of a large array",
}
"""What the paths other than ours are."""

EVALUATIONS = {5: 60_000, 10: 20_000, 20: 5_000, 50: 800}
SEED = 0


def run(
    evaluations: Mapping[int, int] = EVALUATIONS,
    pairs: int = 20_000,
    certified: int = 16_000,
    steps: int = 10_000,
    optima: int = 1_000,
    sparse: Sequence[int] = (10_000, 100_000),
    direct: int = 2_000,
    scaling: bool = True,
    sample: int = 400,
    repeats: int = 5,
    seed: int = SEED,
) -> pd.DataFrame:
    """Return the table above; the parameters are described in ``conf/study/throughput.yaml``.

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    numbers = {"pairs": pairs, "certified": certified, "steps": steps, "optima": optima, "sample": sample, "repeats": repeats}
    wrong = [f"{name} is {value}" for name, value in numbers.items() if value < 1]
    if wrong:
        raise ValueError(f"{wrong[0]}; give at least 1")
    asked: list[partial[Problem]] = [partial(problems.machine)]
    asked += [partial(problems.evaluation, S, 3, B, 0.9, sample, seed) for S, B in evaluations.items()]
    asked += [partial(problems.checking, pairs, certified, len(CATALOGUE), seed)]
    asked += [partial(problems.steps, steps, reduce, sample, seed) for reduce in ("max", "mean")]
    asked += [partial(problems.optimum, optima, sample, seed)]
    asked += [partial(problems.sparse, S, direct, seed) for S in ([direct] if direct else []) + list(sparse)]
    asked += [partial(problems.sparse_optimum, S, seed) for S in sparse]
    asked += list(problems.scaling(seed)) if scaling else []
    rows: list[dict[str, Any]] = []
    for problem in tqdm(asked, desc="throughput", disable=None):
        rows += _timed(problem(), repeats)
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a problem and path: median rate, its least and most, and the median of our rate over it, turn by turn."""
    keys = ["quantity", "S", "A", "B", "gamma", "claims"]
    ours = table[table["path"] == "ours"].set_index([*keys, "repeat"])["rate"]
    with_ours = table.join(ours.rename("ours"), on=[*keys, "repeat"])
    with_ours["ratio"] = with_ours["ours"] / with_ours["rate"]
    found = with_ours.groupby([*keys, "path"], sort=False).agg(
        threads=("threads", "first"),
        instances=("instances", "first"),
        rate=("rate", "median"),
        rate_least=("rate", "min"),
        rate_most=("rate", "max"),
        ours_over_it=("ratio", "median"),
        ratio_least=("ratio", "min"),
        ratio_most=("ratio", "max"),
    )
    return found.reset_index()


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """Fit how our cost grows with each axis: ``log(seconds an instance) = exponent * log(axis) + constant``, by least squares.

    One row a quantity and axis: ``S``, ``A``, ``B``, the horizon ``1/(1-gamma)`` and ``claims``. ``error`` is the exponent's
    standard error from the residuals. For B the cost is that of the whole batch, and the ideal exponent is 1.
    """
    ours = table[(table["path"] == "ours") & table["quantity"].str.startswith("scaling ")]
    rows = []
    for quantity, part in ours.groupby("quantity", sort=False):
        axis = str(quantity).removeprefix("scaling ")
        x = 1 / (1 - part["gamma"]) if axis == "horizon" else part[axis].astype(float)
        y = part["seconds"] / (1 if axis == "B" else part["instances"])
        slope, error = _slope(np.log(x.to_numpy()), np.log(y.to_numpy()))
        rows.append({"axis": axis, "exponent": slope, "error": error, "points": len(part)})
    return pd.DataFrame(rows, columns=["axis", "exponent", "error", "points"])


def report(table: pd.DataFrame) -> str:
    """Say in words what is in the table: the paths, and the exponents."""
    threads = int(table["threads"].max())
    lines = [f"# Throughput, {threads} threads", "", "| path | what it does |", "|---|---|"]
    lines += [f"| {path} | {PATHS[path]} |" for path in table["path"].unique() if path in PATHS]
    fitted = exponents(table)
    if len(fitted):
        lines += ["", "| our cost against | exponent | standard error |", "|---|---|---|"]
        lines += [f"| {row.axis} | {row.exponent:.2f} | {row.error:.2f} |" for row in fitted.itertuples()]
    return "\n".join(lines) + "\n"


def plot(table: pd.DataFrame) -> Any:
    """Draw the speeds of an evaluation."""
    return plot_speeds(table)


def _slope(x: Array, y: Array) -> tuple[float, float]:
    """Slope of the least-squares line and its standard error."""
    dx = x - x.mean()
    slope = float(dx @ y / (dx @ dx))
    residual = y - y.mean() - slope * dx
    return slope, float(np.sqrt(residual @ residual / (len(x) - 2) / (dx @ dx)))


def _timed(problem: Problem, repeats: int) -> Iterator[dict[str, Any]]:
    works = {path: (work, count) for path, (work, count) in problem.work.items() if work is not None}
    for work, _ in works.values():
        work()  # compiles, and touches its memory for the first time
    for repeat in range(repeats):
        for path, (work, count) in works.items():
            start = perf_counter()
            work()
            seconds = perf_counter() - start
            yield {
                "study": "throughput",
                "quantity": problem.quantity,
                "path": path,
                "S": problem.S,
                "A": problem.A,
                "B": problem.B,
                "gamma": problem.gamma,
                "claims": problem.claims,
                "threads": cores(),
                "repeat": repeat,
                "instances": count,
                "seconds": seconds,
                "rate": count / seconds,
            }
