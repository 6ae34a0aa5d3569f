"""What a user would pick instead of us, each as a function from a problem to a piece of work that can be timed.

Every function returns ``None`` where its package is not installed, having said so once. The work is what a user of that
package would write, with tables made ready outside of it where the package wants them in a form of its own.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import linalg

from mdps.mdp import MDP, Array

log = logging.getLogger(__name__)

Work = Callable[[], object]


@functools.cache
def package(name: str) -> Any:
    """Import an optional package; None, with a line in the log, where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        log.info("left out: %s is not installed (pip install -r requirements-bench.txt)", name)
        return None


def systems(mdp: MDP, pi: Array) -> tuple[Array, Array]:
    """``I - gamma P_pi`` [*B,S,S] and the reward of pi [*B,S], as numpy makes them."""
    transitions = np.einsum("...sa,...sat->...st", pi, mdp.P)
    return np.eye(mdp.S) - mdp.gamma[..., None, None] * transitions, np.einsum("...sa,...sa->...s", pi, mdp.R)


def numpy_one_solve(mdp: MDP, pi: Array) -> Work:
    """One batched solve of systems that stand ready: V alone, the least that numpy can do."""
    matrix, reward = systems(mdp, pi)
    return lambda: np.linalg.solve(matrix, reward[..., None])


def numpy_batched(mdp: MDP, pi: Array) -> Work:
    """V and rho of a whole batch by batched solves, from P."""

    def work() -> None:
        matrix, reward = systems(mdp, pi)
        np.linalg.solve(matrix, reward[..., None])
        np.linalg.solve(np.swapaxes(matrix, -1, -2), mdp.rho0[..., None])

    return work


def numpy_loop(mdp: MDP, pi: Array) -> Work:
    """V and rho, one process after another."""

    def work() -> None:
        for P, R, rho0, gamma, law in zip(mdp.P, mdp.R, mdp.rho0, mdp.gamma, pi, strict=True):
            matrix = np.eye(mdp.S) - gamma * np.einsum("sa,sat->st", law, P)
            np.linalg.solve(matrix, (law * R).sum(-1))
            np.linalg.solve(matrix.T, rho0)

    return work


def torch_batched(mdp: MDP, pi: Array) -> Work:
    """V and rho of a whole batch by torch's batched solves, from P."""
    P, R, rho0, gamma, law = (torch.tensor(np.array(x)) for x in (mdp.P, mdp.R, mdp.rho0, mdp.gamma, pi))

    def work() -> None:
        matrix = torch.eye(mdp.S, dtype=P.dtype) - gamma[:, None, None] * torch.einsum("bsa,bsat->bst", law, P)
        torch.linalg.solve(matrix, (law * R).sum(-1))
        torch.linalg.solve(matrix.mT, rho0)

    return work


def quantecon_evaluation(mdp: MDP, pi: Array) -> Work | None:
    """V of deterministic policies, which are the only ones that quantecon evaluates, one process after another."""
    quantecon = package("quantecon")
    if quantecon is None:
        return None
    problems = [quantecon.markov.DiscreteDP(R, P, float(g)) for P, R, g in zip(mdp.P, mdp.R, mdp.gamma, strict=True)]
    actions = pi.argmax(-1)
    return lambda: [problem.evaluate_policy(a) for problem, a in zip(problems, actions, strict=True)]


def quantecon_optimal(mdp: MDP) -> Work | None:
    """Policy iteration, one process after another."""
    quantecon = package("quantecon")
    if quantecon is None:
        return None
    problems = [quantecon.markov.DiscreteDP(R, P, float(g)) for P, R, g in zip(mdp.P, mdp.R, mdp.gamma, strict=True)]
    return lambda: [problem.solve(method="policy_iteration") for problem in problems]


def mdptoolbox_optimal(mdp: MDP) -> Work | None:
    """Policy iteration, one process after another."""
    if package("mdptoolbox") is None:
        return None
    toolbox = package("mdptoolbox.mdp")
    tables = [(np.swapaxes(P, 0, 1), R, float(g)) for P, R, g in zip(mdp.P, mdp.R, mdp.gamma, strict=True)]
    return lambda: [toolbox.PolicyIteration(*table).run() for table in tables]


def mdpsolver_optimal(mdp: MDP) -> Work | None:
    """Its modified policy iteration, one process after another, each a model of its own: a second solve would start warm."""
    mdpsolver = package("mdpsolver")
    if mdpsolver is None:
        return None
    tables = [(R.tolist(), P.tolist(), float(g)) for P, R, g in zip(mdp.P, mdp.R, mdp.gamma, strict=True)]

    def work() -> None:
        for rewards, transitions, discount in tables:
            model = mdpsolver.model()
            model.mdp(discount=discount, rewards=rewards, tranMatWithZeros=transitions)
            model.solve()

    return work


def cvxpy_step(pi: Array, A: Array, d: Array, delta: float, reduce: str) -> Work | None:
    """The exact trust-region step as a cone program, by Clarabel, one process after another."""
    cvxpy = package("cvxpy")
    if cvxpy is None:
        return None

    def work() -> None:
        for law, advantage, weight in zip(pi, A, d, strict=True):
            new = cvxpy.Variable(law.shape, nonneg=True)
            kl = cvxpy.sum(cvxpy.rel_entr(law, new), axis=1)
            limit = cvxpy.max(kl) if reduce == "max" else weight @ kl
            gain = cvxpy.sum(cvxpy.multiply(weight[:, None] * advantage, new))
            problem = cvxpy.Problem(cvxpy.Maximize(gain), [cvxpy.sum(new, axis=1) == 1, limit <= delta])
            problem.solve(solver=cvxpy.CLARABEL)

    return work


def _quantecon_sparse(P: Any, R: Array, gamma: float) -> Any:
    quantecon = package("quantecon")
    if quantecon is None:
        return None
    states, actions = R.shape
    taken = np.repeat(np.arange(states), actions), np.tile(np.arange(actions), states)
    return quantecon.markov.DiscreteDP(R.ravel(), sparse.csr_matrix(P), gamma, *taken)


def quantecon_sparse_evaluation(P: Any, R: Array, gamma: float) -> Work | None:
    """V of a deterministic policy, by scipy's sparse factorisation."""
    problem = _quantecon_sparse(P, R, gamma)
    return None if problem is None else lambda: problem.evaluate_policy(np.zeros(len(R), dtype=int))


def quantecon_sparse_optimal(P: Any, R: Array, gamma: float, epsilon: float) -> Work | None:
    """Modified policy iteration to values within ``epsilon / 2``."""
    problem = _quantecon_sparse(P, R, gamma)
    return None if problem is None else lambda: problem.solve(method="modified_policy_iteration", epsilon=epsilon)


def sparse_system(P: Any, R: Array, pi: Array, gamma: float) -> tuple[Any, Array]:
    """``I - gamma P_pi`` and the reward of pi, from P [S*A,S] as scipy makes them."""
    states, actions = pi.shape
    average = sparse.csr_array((pi.ravel(), (np.repeat(np.arange(states), actions), np.arange(states * actions))))
    return sparse.eye_array(states, format="csr") - gamma * (average @ sparse.csr_array(P)), (pi * R).sum(-1)


def scipy_bicgstab(P: Any, R: Array, pi: Array, gamma: float, tolerance: float) -> Work:
    """One solve: V alone, to a relative residual that scipy estimates."""
    matrix, reward = sparse_system(P, R, pi, gamma)
    return lambda: linalg.bicgstab(matrix, reward, rtol=tolerance)


def scipy_direct(P: Any, R: Array, pi: Array, gamma: float) -> Work:
    """One solve by a sparse factorisation: V alone. Its fill makes it hopeless beyond some thousand states."""
    matrix, reward = sparse_system(P, R, pi, gamma)
    return lambda: linalg.spsolve(matrix.tocsc(), reward)
