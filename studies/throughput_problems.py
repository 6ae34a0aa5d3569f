"""The problems that the study ``throughput`` times: each one quantity at one size, and the work of every path that does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

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
from trpo.exact import region_step
from trpo.region import Region


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


def machine() -> Problem:
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


def evaluation(S: int, A: int, B: int, gamma: float, sample: int, seed: int) -> Problem:
    """Values and visits of one policy in each of B processes; loops do ``sample`` of them."""
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


def checking(pairs: int, certified: int, claims: int, seed: int, quantity: str = "check") -> Problem:
    """The first ``claims`` of the catalogue on every pair, from P and two tables; with certificates on ``certified`` pairs."""
    mdp, (old, new) = _drawn(5, 3, pairs, 0.9, seed, 2)
    few = min(pairs, certified)
    part, part_old, part_new = mdp[:few], old[:few], new[:few]
    chosen = list(CATALOGUE)[:claims]
    work: dict[str, tuple[Work | None, int]] = {"ours": (lambda: check(chosen, mdp, old, new), pairs)}
    if quantity == "check":
        work["two evaluations"] = (lambda: (evaluate(mdp, old), evaluate(mdp, new)), pairs)
        work["certified"] = (lambda: certify_batch(chosen, compare(part, part_old, part_new)), few)
    return Problem(quantity, 5, 3, pairs, 0.9, claims, work)


def steps(B: int, reduce: Any, sample: int, seed: int) -> Problem:
    """An exact KL step in each of B processes, ``reduce`` being "max" or "mean"; cvxpy does a twentieth of ``sample``."""
    mdp, (pi,) = _drawn(10, 4, B, 0.9, seed, 1)
    old, few = evaluate(mdp, pi), min(B, max(1, sample // 20))
    work = {
        "ours": (lambda: region_step(old, Region("kl", reduce, 0.01)), B),
        "cvxpy": (peers.cvxpy_step(old.pi[:few], old.A[:few], old.d[:few], 0.01, reduce), few),
    }
    return Problem(f"{reduce}-KL step", 10, 4, B, 0.9, 0, work)


def optimum(B: int, sample: int, seed: int) -> Problem:
    """An optimal policy of each of B processes; loops do ``sample`` of them."""
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


def sparse(S: int, direct: int, seed: int) -> Problem:
    """V and rho of a large process, by ours to a residual of 1e-10, V alone by the others; five successors, gamma = 0.99."""
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


def sparse_optimum(S: int, seed: int) -> Problem:
    """An optimal policy of a large process: values within 1e-6 of the best."""
    mdp = sparse_garnet(S, 4, 5, gamma=0.99, seed=seed)
    work: dict[str, tuple[Work | None, int]] = {
        "ours": (lambda: optimal_policy_sparse(mdp, epsilon=1e-6), 1),
        "quantecon": (peers.quantecon_sparse_optimal(mdp.P, mdp.R, 0.99, 1e-6), 1),
    }
    return Problem("sparse optimal policy", S, 4, 1, 0.99, 0, work)


def scaling(seed: int) -> Iterator[partial[Problem]]:
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
        yield partial(checking, 8000, 1, claims, seed, "scaling claims")


def _ours(axis: str, S: int, A: int, B: int, gamma: float, seed: int) -> Problem:
    mdp, (pi,) = _drawn(S, A, B, gamma, seed, 1)
    return Problem(f"scaling {axis}", S, A, B, gamma, 0, {"ours": (lambda: evaluate(mdp, pi), B)})
