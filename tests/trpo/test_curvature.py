"""Curvature products against matrices that are written out."""

import numpy as np
import pytest
import torch
from policy_cases import POLICIES, build, draw_batch, fisher_matrices, jacobian, law_kl, law_log_prob
from torch.func import functional_call

from trpo.batch import Batch
from trpo.curvature import check_curvature, matrix
from trpo.linearise import linearise

policies = pytest.mark.parametrize(("kind", "action"), POLICIES, ids=map("-".join, POLICIES))


def product(policy, batch, curvature, damping=0.0, weights=None):
    """F v by the code, and a vector v."""
    linear = linearise(policy, batch.inputs)
    v = torch.randn(linear.theta.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return matrix(curvature, linear, policy.family, batch, damping, weights)(v), v


@policies
def test_fisher(kind, action):
    """sum_n w_n J_n' M_n J_n + damping, M_n the Hessian of the KL divergence by automatic differentiation."""
    policy = build(kind, action)
    batch = draw_batch(policy, 4)
    J, M = jacobian(policy, batch.inputs), fisher_matrices(policy.family, policy(batch.inputs).detach())
    found, v = product(policy, batch, "fisher", 0.3)
    Fv = torch.einsum("n,nip,nij,nj->p", batch.weights, J, M, J @ v)
    torch.testing.assert_close(found, Fv + 0.3 * v, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("kind", "action"), [p for p in POLICIES if p[0] in ("tabular", "linear")])
def test_fisher_is_the_second_derivative_of_the_mean_kl(kind, action):
    policy = build(kind, action)
    batch = draw_batch(policy, 6)
    names, shapes = zip(*((name, p.shape) for name, p in policy.named_parameters()), strict=True)
    theta = torch.cat([p.detach().ravel() for p in policy.parameters()])
    old = policy(batch.inputs).detach()

    def mean_kl(x):
        parts = x.split([shape.numel() for shape in shapes])
        named = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return batch.weights @ law_kl(policy.family, old, functional_call(policy, named, (batch.inputs,)))

    H = torch.autograd.functional.hessian(mean_kl, theta)
    found, v = product(policy, batch, "fisher")
    torch.testing.assert_close(found, H @ v, rtol=1e-8, atol=1e-10)


@policies
@pytest.mark.parametrize("m", [1, 3])
def test_empirical(kind, action, m):
    """Outer products of scores, one backward pass an action; off-policy log_q weigh them."""
    policy = build(kind, action)
    drawn = draw_batch(policy, 3, m)
    batch = Batch(drawn.inputs, drawn.actions, drawn.log_q + 0.2 * torch.randn(3, m).double(), drawn.advantages, drawn.weights)
    log_prob = law_log_prob(policy.family, policy(batch.inputs), batch.actions)
    found, v = product(policy, batch, "empirical", 0.1)
    expected = 0.1 * v
    for n in range(3):
        for k in range(m):
            grads = torch.autograd.grad(log_prob[n, k], list(policy.parameters()), retain_graph=True)
            score = torch.cat([g.ravel() for g in grads])
            expected = expected + batch.weights[n] * torch.exp(log_prob[n, k].detach() - batch.log_q[n, k]) * score * (score @ v)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def test_empirical_equals_fisher_where_all_actions_are_listed():
    policy = build("mlp", "categorical")
    drawn = draw_batch(policy, 5)
    actions = torch.arange(4)[None, :, None].expand(5, -1, -1)
    batch = Batch(drawn.inputs, actions, torch.zeros(5, 4).double(), torch.zeros(5, 4).double(), drawn.weights)
    torch.testing.assert_close(product(policy, batch, "empirical")[0], product(policy, batch, "fisher")[0])


def test_identity_takes_no_damping_and_returns_a_copy():
    policy = build("linear", "gaussian")
    found, v = product(policy, draw_batch(policy, 3), "identity", 0.5)
    assert torch.equal(found, v)
    assert found is not v


@pytest.mark.parametrize("curvature", ["fisher", "empirical"])
def test_other_weights(curvature):
    policy = build("mlp", "bernoulli")
    batch = draw_batch(policy, 5)
    other = torch.as_tensor(np.random.default_rng(9).dirichlet(np.ones(5)))
    expected = Batch(batch.inputs, batch.actions, batch.log_q, batch.advantages, other)
    torch.testing.assert_close(product(policy, batch, curvature, 0.1, other)[0], product(policy, expected, curvature, 0.1)[0])


@pytest.mark.parametrize("curvature", ["fisher", "empirical"])
def test_single_precision_networks_take_batches_in_double(curvature):
    policy = build("mlp", "categorical", dtype=torch.float32)
    drawn = draw_batch(policy, 5)
    batch = Batch(drawn.inputs, drawn.actions, drawn.log_q.double(), drawn.advantages.double(), drawn.weights.double())
    linear = linearise(policy, batch.inputs)
    assert matrix(curvature, linear, policy.family, batch, 0.1)(linear.theta).dtype == torch.float32


def test_refused():
    policy = build("linear", "categorical")
    batch = draw_batch(policy, 3)
    with pytest.raises(ValueError, match="curvature is 'hessian'; expected one of 'fisher', 'empirical', 'identity'"):
        product(policy, batch, "hessian")
    with pytest.raises(ValueError, match="curvature is 'Fisher'"):
        check_curvature("Fisher")
    for damping in (-0.1, float("nan")):
        with pytest.raises(ValueError, match=f"damping is {damping}"):
            product(policy, batch, "fisher", damping)
