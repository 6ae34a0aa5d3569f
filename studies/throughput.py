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

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from bounds import CATALOGUE, certify_batch, compare
from bounds.checking import check
from mdps.evaluate import evaluate
from mdps.families import dirichlet
from mdps.families.sparse import sparse_garnet
from mdps.mdp import MDP, Array
from mdps.optimal import optimal_policy
from mdps.sparse_evaluate import evaluate_sparse
from mdps.sparse_optimal import optimal_policy_sparse
from studies import peers
from studies.peers import Work
from studies.throughput_figures import figures as figures
from studies.throughput_figures import speeds as plot_speeds
from trpo.exact import region_step
from trpo.region import Region

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


@dataclass(frozen=True)
class Problem:
    """One quantity at one size, and the work that each path does for it."""

    quantity: str  # as in the table
    S: int
    A: int
    B: int
    gamma: float
    claims: int
    work: Mapping[str, tuple[Work | None, int]]  # path -> what to time, and how many instances that is


def run(
    evaluations: Mapping[int, int] = EVALUATIONS,
    pairs: int = 20_000,
    certified: int = 500,
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
    problems: list[partial[Problem]] = [partial(_machine)]
    problems += [partial(_evaluation, S, 3, B, 0.9, sample, seed) for S, B in evaluations.items()]
    problems += [partial(_check, pairs, certified, len(CATALOGUE), seed)]
    problems += [partial(_steps, steps, reduce, sample, seed) for reduce in ("max", "mean")]
    problems += [partial(_optimum, optima, sample, seed)]
    problems += [partial(_sparse, S, direct, seed) for S in ([direct] if direct else []) + list(sparse)]
    problems += [partial(_sparse_optimum, S, seed) for S in sparse]
    problems += list(_scaling(seed)) if scaling else []
    rows: list[dict[str, Any]] = []
    for problem in tqdm(problems, desc="throughput", disable=None):
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


def threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
                "threads": threads(),
                "repeat": repeat,
                "instances": count,
                "seconds": seconds,
                "rate": count / seconds,
            }


def _machine() -> Problem:
    """What no program can pass: operations a second of a matrix product, bytes a second of a copy (read and written)."""
    n = 1500
    a, b, out = np.ones((n, n)), np.ones((n, n)), np.empty((n, n))
    source, target = torch.ones(2**24, dtype=torch.float64), torch.empty(2**24, dtype=torch.float64)
    work: dict[str, tuple[Work | None, int]] = {
        "dgemm": (lambda: np.matmul(a, b, out=out), 2 * n**3),
        "copy": (lambda: target.copy_(source), 2 * source.numel() * 8),
    }
    return Problem("machine", 0, 0, 0, 0.0, 0, work)


def _drawn(S: int, A: int, B: int, gamma: float, seed: int, policies: int) -> tuple[MDP, list[Array]]:
    rng = np.random.default_rng(seed)
    mdp = dirichlet(S, A, gamma=gamma, seed=rng, batch=(B,))
    return mdp, [rng.dirichlet(np.ones(A), size=(B, S)) for _ in range(policies)]


def _evaluation(S: int, A: int, B: int, gamma: float, sample: int, seed: int) -> Problem:
    mdp, (pi,) = _drawn(S, A, B, gamma, seed, 1)
    few = min(B, sample)
    part, law = mdp[:few], pi[:few]
    work = {
        "ours": (lambda: evaluate(mdp, pi), B),
        "numpy": (peers.numpy_batched(mdp, pi), B),
        "numpy, one solve": (peers.numpy_one_solve(mdp, pi), B),
        "torch": (peers.torch_batched(mdp, pi), B),
        "numpy loop": (peers.numpy_loop(part, law), few),
        "quantecon": (peers.quantecon_evaluation(part, law), few),
    }
    return Problem("evaluation", S, A, B, gamma, 0, work)


def _check(pairs: int, certified: int, claims: int, seed: int, quantity: str = "check") -> Problem:
    """Every claim on every pair, from P and two tables."""
    mdp, (old, new) = _drawn(5, 3, pairs, 0.9, seed, 2)
    few = min(pairs, certified)
    part, part_old, part_new = mdp[:few], old[:few], new[:few]
    chosen = list(CATALOGUE)[:claims]
    work: dict[str, tuple[Work | None, int]] = {"ours": (lambda: check(chosen, mdp, old, new), pairs)}
    if quantity == "check":
        work["two evaluations"] = (lambda: (evaluate(mdp, old), evaluate(mdp, new)), pairs)
        work["certified"] = (lambda: certify_batch(chosen, compare(part, part_old, part_new)), few)
    return Problem(quantity, 5, 3, pairs, 0.9, claims, work)


def _steps(B: int, reduce: Any, sample: int, seed: int) -> Problem:
    mdp, (pi,) = _drawn(10, 4, B, 0.9, seed, 1)
    old, few = evaluate(mdp, pi), min(B, max(1, sample // 20))
    work = {
        "ours": (lambda: region_step(old, Region("kl", reduce, 0.01)), B),
        "cvxpy": (peers.cvxpy_step(old.pi[:few], old.A[:few], old.d[:few], 0.01, reduce), few),
    }
    return Problem(f"{reduce}-KL step", 10, 4, B, 0.9, 0, work)


def _optimum(B: int, sample: int, seed: int) -> Problem:
    mdp, _ = _drawn(10, 4, B, 0.9, seed, 0)
    few = min(B, sample)
    part = mdp[:few]
    work = {
        "ours": (lambda: optimal_policy(mdp), B),
        "quantecon": (peers.quantecon_optimal(part), few),
        "mdptoolbox": (peers.mdptoolbox_optimal(part), few),
        "mdpsolver": (peers.mdpsolver_optimal(part), few),
    }
    return Problem("optimal policy", 10, 4, B, 0.9, 0, work)


def _sparse(S: int, direct: int, seed: int) -> Problem:
    """Five successors, four actions, gamma = 0.99: V and rho by ours, to a residual of 1e-10; V by the others."""
    mdp = sparse_garnet(S, 4, 5, gamma=0.99, seed=seed)
    pi = np.full((S, 4), 0.25)
    work: dict[str, tuple[Work | None, int]] = {
        "ours": (lambda: evaluate_sparse(mdp, pi, tolerance=1e-10).eta, 1),  # which takes both solves
        "bicgstab": (peers.scipy_bicgstab(mdp.P, mdp.R, pi, 0.99, 1e-10), 1),
    }
    if direct >= S:
        work["spsolve"] = (peers.scipy_direct(mdp.P, mdp.R, pi, 0.99), 1)
        work["quantecon"] = (peers.quantecon_sparse_evaluation(mdp.P, mdp.R, 0.99), 1)
    return Problem("sparse evaluation", S, 4, 1, 0.99, 0, work)


def _sparse_optimum(S: int, seed: int) -> Problem:
    """Values within 1e-6 of the best."""
    mdp = sparse_garnet(S, 4, 5, gamma=0.99, seed=seed)
    work: dict[str, tuple[Work | None, int]] = {
        "ours": (lambda: optimal_policy_sparse(mdp, epsilon=1e-6), 1),
        "quantecon": (peers.quantecon_sparse_optimal(mdp.P, mdp.R, 0.99, 1e-6), 1),
    }
    return Problem("sparse optimal policy", S, 4, 1, 0.99, 0, work)


def _scaling(seed: int) -> Iterator[partial[Problem]]:
    """Our evaluation with one axis varied at a time from S = 10, A = 3, B = 4000, gamma = 0.9; our check with the claims."""
    for S in (4, 8, 16, 32, 64):
        yield partial(_ours, "S", S, 3, 4000 if S < 64 else 1000, 0.9, seed)
    for A in (2, 4, 8, 16):
        yield partial(_ours, "A", 10, A, 4000, 0.9, seed)
    for B in (64, 256, 1024, 4096, 16384):
        yield partial(_ours, "B", 10, 3, B, 0.9, seed)
    for gamma in (0.5, 0.9, 0.99, 0.999, 0.9999):
        yield partial(_ours, "horizon", 10, 3, 4000, gamma, seed)
    for claims in (5, 10, 20, 40, len(CATALOGUE)):
        yield partial(_check, 8000, 1, claims, seed, "scaling claims")


def _ours(axis: str, S: int, A: int, B: int, gamma: float, seed: int) -> Problem:
    mdp, (pi,) = _drawn(S, A, B, gamma, seed, 1)
    return Problem(f"scaling {axis}", S, A, B, gamma, 0, {"ours": (lambda: evaluate(mdp, pi), B)})
