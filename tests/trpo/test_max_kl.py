"""The max-KL program against a conic solver, closed forms and its own bound."""

import math

import cvxpy as cp
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from trpo.batch import Batch
from trpo.curvature import matrix
from trpo.linalg import conjugate_gradients
from trpo.linearise import flat_parameters, linearise, set_parameters
from trpo.max_kl import max_kl_direction
from trpo.policies import make_policy
from trpo.region import Region
from trpo.step import StepOptions, step

torch.set_num_threads(1)
DELTA = 0.01
ACTIONS = {
    "categorical": spaces.Discrete(2),
    "three-actions": spaces.Discrete(3),
    "multicategorical": spaces.MultiDiscrete([2, 3]),
    "bernoulli": spaces.MultiBinary(2),
    "gaussian": spaces.Box(-1.0, 1.0, (2,)),
}
LONG = {"rounds": 40, "cg_iterations": 200, "tolerance": 1e-3}


def problem(action="categorical", states=200, features=4, hidden=(8,), seed=0, dtype=torch.float64, std="free", wild=0.5):
    """A random policy and batch: normal features, advantages and shifts of the weights; one state in ten has weight 0."""
    generator = torch.Generator().manual_seed(seed)
    box = spaces.Box(-np.inf, np.inf, (features,))
    policy = make_policy(
        box, ACTIONS[action], "mlp" if hidden else "linear", hidden=hidden, seed=seed, dtype=torch.float64, std=std
    )
    theta = flat_parameters(policy)
    set_parameters(policy, theta + wild * torch.randn(theta.shape, generator=generator, dtype=torch.float64))
    x = torch.randn(states, features, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        z = policy(x)
        noise = torch.from_numpy(np.random.default_rng(seed).random((states, policy.family.D)))
        if action == "gaussian":
            noise = torch.randn(states, 2, generator=generator, dtype=torch.float64)
        a = policy.family.sample(z, noise)[:, None]
        log_q = policy.family.log_prob(z, a)
    weights = torch.rand(states, generator=generator, dtype=torch.float64) * (torch.arange(states) % 10 > 0)
    if states == 1:
        weights = torch.ones(1, dtype=torch.float64)
    advantages = torch.randn(states, 1, generator=generator, dtype=torch.float64)
    numbers = [t.to(dtype) for t in (log_q, advantages, weights / weights.sum())]
    return policy.to(dtype), Batch(x.to(dtype), a.to(dtype) if a.is_floating_point() else a, *numbers)


def parts(policy, batch):
    model = linearise(policy, batch.inputs)
    return model, policy.family, batch, model.vjp(batch.gradient(policy.family, model.outputs))


def dense_root(policy, batch, curvature="fisher"):
    """Rows [N, R, P] of the states of positive weight, by autograd and from the definition of the two metrics."""
    theta, x = flat_parameters(policy), batch.inputs
    shapes = [(name, p.shape, p.numel()) for name, p in policy.named_parameters()]

    def run(t):
        named = {n: part.view(s) for (n, s, _), part in zip(shapes, t.split([k for *_, k in shapes]), strict=True)}
        return torch.func.functional_call(policy, named, (x,))

    J = torch.func.jacrev(run)(theta).detach()  # [N, K, P]
    z = policy(x).detach()
    if curvature == "empirical":
        ratio = torch.exp(policy.family.log_prob(z, batch.actions) - batch.log_q)
        rows = ratio.sqrt()[..., None] * torch.einsum("nmk,nkp->nmp", policy.family.score(z, batch.actions), J)
    else:
        eye = torch.eye(z.shape[1], dtype=z.dtype)
        fisher = torch.stack([policy.family.fisher(z, e.expand_as(z)) for e in eye], -1)  # [N, K, K]
        values, vectors = torch.linalg.eigh(fisher)
        rows = torch.einsum("nkr,nkp->nrp", vectors * values.clamp_min(0).sqrt()[:, None], J)
    return rows[batch.weights > 0].numpy()


def optimum(rows, gradient, damping, delta=DELTA):
    """The full program by Clarabel. u^2 + damping |x|^2 <= 1 and |rows_s x| <= u for all s are its cones."""
    n, r, size = rows.shape
    x, u = cp.Variable(size), cp.Variable()
    length = cp.norm(cp.reshape(rows.reshape(n * r, size) @ x, (n, r), order="C"), 2, axis=1)
    cones = [length <= u, cp.norm(cp.hstack([u, math.sqrt(damping) * x])) <= 1]
    value = cp.Problem(cp.Maximize((gradient / np.linalg.norm(gradient)) @ x), cones).solve(solver="CLARABEL")
    return value * np.linalg.norm(gradient) * math.sqrt(2 * delta)


def forms(rows, x, damping):
    return ((rows @ x) ** 2).sum(1) + damping * x @ x


JUDGED = [
    ("categorical", 300, (8,), "fisher", 1e-4),
    ("categorical", 400, (), "fisher", 1e-6),
    ("three-actions", 250, (6,), "fisher", 1e-3),
    ("gaussian", 200, (6,), "fisher", 1e-5),
    ("multicategorical", 200, (5,), "fisher", 1e-4),
    ("bernoulli", 300, (8,), "empirical", 1e-3),
]


@pytest.mark.parametrize("case", JUDGED, ids=lambda c: "-".join(map(str, c[:4])))
def test_a_long_run_attains_the_optimum_and_its_bound_is_one(case):
    action, states, hidden, curvature, damping = case
    policy, batch = problem(action, states, 8 if not hidden else 4, hidden, seed=states)
    given = parts(policy, batch)
    g = given[-1].numpy()
    rows = dense_root(policy, batch, curvature)
    best = optimum(rows, g, damping)
    found = max_kl_direction(*given, DELTA, curvature=curvature, damping=damping, **LONG)
    assert 0.98 * best <= found.gain <= (1 + 1e-6) * best
    assert best <= (1 + 1e-6) * found.bound
    assert found.gap < 0.02
    assert found.gain == pytest.approx(g @ found.x.numpy(), rel=1e-9)
    assert forms(rows, found.x.numpy(), damping).max() == pytest.approx(2 * DELTA, rel=1e-9)
    rescaled = max_kl_direction(*given, DELTA, curvature=curvature, damping=damping, rounds=0, cg_iterations=200)
    assert rescaled.gain < 0.9 * best  # or the problem would not tell


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(4))
def test_a_short_run_lies_between_the_rescaling_and_its_bound(seed, dtype):
    policy, batch = problem(seed=seed, states=150, dtype=dtype)
    given = parts(policy, batch)
    rows = dense_root(policy, batch).astype(float)
    best = optimum(rows, given[-1].double().numpy(), 1e-3)
    gains, bounds = [], []
    for rounds in range(5):
        found = max_kl_direction(*given, DELTA, damping=1e-3, rounds=rounds, cg_iterations=6, tolerance=0.0)
        gains.append(found.gain)
        bounds.append(found.bound)
        assert found.rounds == max(rounds, 1)
        assert found.iterations <= 6 * max(rounds, 1)
        assert forms(rows, found.x.double().numpy(), 1e-3).max() <= 2 * DELTA * (1 + 1e-5)
    assert min(gains[1:]) >= gains[0]
    assert max(gains) <= best * (1 + 1e-5) <= min(bounds) * (1 + 2e-5)
    assert bounds == sorted(bounds, reverse=True)
    assert gains[4] > 1.3 * gains[0]
    assert gains[4] > 0.75 * best
