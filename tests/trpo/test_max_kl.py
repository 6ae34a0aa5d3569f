"""The max-KL program against a conic solver, closed forms and its own bound."""

import math

import cvxpy as cp
import numpy as np
import pytest
import torch
from gymnasium import spaces
from policy_cases import fisher_matrices, law_kl, law_log_prob
from torch import nn

from trpo.batch import Batch
from trpo.curvature import matrix
from trpo.linalg import conjugate_gradients
from trpo.linearise import flat_parameters, linearise, set_parameters
from trpo.max_kl import max_kl_direction
from trpo.neural import StepOptions, step
from trpo.policies import make_policy
from trpo.region import Region

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
        log_q = law_log_prob(policy.family, z, a) + 0.5 * torch.randn(states, 1, generator=generator, dtype=torch.float64)
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
        z.requires_grad_()
        log_p = law_log_prob(policy.family, z, batch.actions)  # [N, M]
        score = torch.stack([torch.autograd.grad(column.sum(), z, retain_graph=True)[0] for column in log_p.T], 1)
        ratio = torch.exp(log_p.detach() - batch.log_q)
        rows = ratio.sqrt()[..., None] * torch.einsum("nmk,nkp->nmp", score, J)
    else:
        values, vectors = torch.linalg.eigh(fisher_matrices(policy.family, z))
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


def gain(policy, batch, z):
    """The mean surrogate of laws z, by torch.distributions."""
    ratio = torch.exp(law_log_prob(policy.family, z.double(), batch.actions) - batch.log_q.double())
    return float((batch.weights.double() * (ratio * batch.advantages.double()).sum(1)).sum())


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


def test_one_state_has_a_closed_form():
    policy, batch = problem(states=1)
    model, family, batch, g = parts(policy, batch)
    rows = dense_root(policy, batch)[0]
    inverse = np.linalg.solve(rows.T @ rows + 0.01 * np.eye(len(g)), g.numpy())
    best = math.sqrt(2 * DELTA * (g.numpy() @ inverse))
    found = max_kl_direction(model, family, batch, g, DELTA)
    assert found.gain == pytest.approx(best, rel=1e-9)
    assert found.bound == pytest.approx(best, rel=1e-9)
    np.testing.assert_allclose(found.x.numpy(), inverse * 2 * DELTA / best, rtol=1e-6, atol=1e-12)


def test_x_grows_with_the_root_of_delta_and_shrinks_to_nothing():
    given = parts(*problem())
    one, four, none = (max_kl_direction(*given, delta) for delta in (DELTA, 4 * DELTA, 0.0))
    np.testing.assert_allclose(four.x.numpy(), 2 * one.x.numpy(), rtol=1e-12)
    assert (four.gain, four.bound) == (pytest.approx(2 * one.gain), pytest.approx(2 * one.bound))
    assert not none.x.any()
    assert (none.gain, none.bound) == (0, 0)


def test_the_same_input_gives_the_same_bits():
    given = parts(*problem(dtype=torch.float32))
    assert torch.equal(max_kl_direction(*given, DELTA).x, max_kl_direction(*given, DELTA).x)


def test_no_gradient_no_direction_and_a_nan_is_not_hidden():
    model, family, batch, g = parts(*problem())
    still = max_kl_direction(model, family, batch, torch.zeros_like(g), DELTA)
    assert not still.x.any()
    assert (still.gain, still.bound, still.gap) == (0, 0, 0)
    assert max_kl_direction(model, family, batch, g * math.nan, DELTA).x.isnan().all()


def test_rounds_0_is_the_rescaled_mean_kl_direction():
    model, family, batch, g = parts(*problem())
    solution = conjugate_gradients(matrix("fisher", model, family, batch, 0.01), g, iterations=10, smallest=0.01)
    found = max_kl_direction(model, family, batch, g, DELTA, rounds=0)
    torch.testing.assert_close(found.x / found.x.norm(), solution.x / solution.x.norm())
    assert found.bound == pytest.approx(math.sqrt(2 * DELTA * solution.energy_bound))


def test_identity_is_the_gradient_of_the_right_length():
    model, family, batch, g = parts(*problem())
    found = max_kl_direction(model, family, batch, g, DELTA, curvature="identity")
    torch.testing.assert_close(found.x, g * math.sqrt(2 * DELTA) / g.norm())
    assert found.gap == 0


def test_states_of_no_weight_are_no_constraint():
    policy, batch = problem()
    inputs = batch.inputs.clone()
    inputs[batch.weights == 0] *= 3
    loud = Batch(inputs, batch.actions, batch.log_q, batch.advantages, batch.weights)
    heard = max_kl_direction(*parts(policy, batch.rows(batch.weights.nonzero().squeeze(1))), DELTA)
    torch.testing.assert_close(max_kl_direction(*parts(policy, loud), DELTA).x, heard.x, rtol=1e-6, atol=1e-9)


def test_without_damping_there_is_a_direction_but_no_bound():
    found = max_kl_direction(*parts(*problem(features=3, hidden=())), DELTA, damping=0.0)
    assert found.gain > 0
    assert math.isinf(found.bound)


@pytest.mark.parametrize("fields", [{"rounds": -1}, {"curvature": "hessian"}])
def test_what_cannot_be_is_refused(fields):
    with pytest.raises(ValueError, match=f"{next(iter(fields))} is"):
        max_kl_direction(*parts(*problem()), DELTA, **fields)


@pytest.mark.parametrize("delta", [1e-4, 0.01, 0.3])
@pytest.mark.parametrize("std", ["free", "state"])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_step_stays_within_delta_in_every_state(action, std, delta):
    taken = 0
    for seed in range(8):
        dtype = torch.float64 if seed % 2 else torch.float32
        policy, batch = problem(action, 120, seed=seed, dtype=dtype, std=std, wild=0.3)
        with torch.no_grad():
            old = policy(batch.inputs)
            done = step(policy, batch, Region("kl", "max", delta), StepOptions(curvature="empirical" if seed == 7 else "fisher"))
            new = policy(batch.inputs)
        largest = float(law_kl(policy.family, old.double(), new.double())[batch.weights > 0].max())
        assert largest <= delta
        assert done.kl_max == pytest.approx(largest, rel=1e-3, abs=1e-12)
        assert done.gain_predicted <= done.bound * (1 + 1e-5)
        if done.accepted:
            assert gain(policy, batch, new) > gain(policy, batch, old)
        taken += done.accepted
    assert taken >= 6


def test_a_small_step_is_as_long_as_the_model_says():
    """The twin of the test above: KL/delta tends to 1 with delta, so the constraint is not met by short steps."""
    policy, batch = problem(dtype=torch.float64)
    done = step(policy, batch, Region("kl", "max", 1e-8), StepOptions(damping=1e-8))
    assert 0.6 < done.kl_max / 1e-8 <= 1


def test_other_networks_take_the_same_step():
    """A module that is no chain goes through torch.func."""
    policy, batch = problem(dtype=torch.float64)
    first = max_kl_direction(*parts(policy, batch), DELTA)

    class Wrapped(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)

    model = linearise(Wrapped(policy.network), batch.inputs)
    g = model.vjp(batch.gradient(policy.family, model.outputs))
    torch.testing.assert_close(max_kl_direction(model, policy.family, batch, g, DELTA).x, first.x, rtol=1e-5, atol=1e-8)
