"""Linearised networks against reverse-mode differentiation output by output, finite differences and the forward pass."""

import importlib
from itertools import pairwise

import gymnasium
import pytest
import torch
from policy_cases import POLICIES, build, jacobian, observe
from torch import nn

from trpo.linearise import flat_parameters, linearise, set_parameters
from trpo.policies import make_policy

module = importlib.import_module("trpo.linearise")
policies = pytest.mark.parametrize(("kind", "action"), POLICIES, ids=map("-".join, POLICIES))


def vectors(linear, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x) for x in (linear.theta, linear.outputs))


def check_against_jacobian(network, inputs, rtol=1e-10):
    linear = linearise(network, inputs)
    J = jacobian(network, inputs)
    torch.testing.assert_close(linear.outputs, network(inputs).detach(), rtol=1e-12, atol=1e-13)
    v, u = vectors(linear)
    torch.testing.assert_close(linear.jvp(v), J @ v, rtol=rtol, atol=1e-11)
    torch.testing.assert_close(linear.vjp(u), torch.einsum("nkp,nk->p", J, u), rtol=rtol, atol=1e-11)
    n, K = u.shape
    generator = torch.Generator().manual_seed(3)
    for R in (torch.randn(n, K, generator=generator), torch.randn(n, 1, K, generator=generator), torch.randn(n, 3, K)):
        R = R.double()
        rows, dense = linear.times(R), torch.diag_embed(R) if R.ndim == 2 else R
        u = torch.randn(dense.shape[:2], generator=generator, dtype=torch.float64)
        torch.testing.assert_close(rows.jvp(v), dense @ J @ v, rtol=rtol, atol=1e-11)
        torch.testing.assert_close(rows.vjp(u), torch.einsum("njk,nkp,nj->p", dense, J, u), rtol=rtol, atol=1e-11)
    return linear


@policies
def test_products_are_those_of_the_jacobian(kind, action):
    policy = build(kind, action)
    check_against_jacobian(policy, observe(policy, 7))


@policies
def test_products_agree_with_finite_differences(kind, action):
    """Central differences of step h: error of order h^2 = 1e-12, rounding 1e-16/h = 1e-10."""
    policy = build(kind, action)
    linear = linearise(policy, observe(policy, 7))
    v, u = vectors(linear, 1)
    h = 1e-6
    slope = (linear.at(linear.theta + h * v) - linear.at(linear.theta - h * v)) / (2 * h)
    torch.testing.assert_close(linear.jvp(v), slope, rtol=1e-6, atol=1e-7)
    assert float(linear.vjp(u) @ v) == pytest.approx(float((u * slope).sum()), rel=1e-6, abs=1e-6)


@policies
def test_at_is_the_forward_pass_of_other_parameters(kind, action):
    policy, other = build(kind, action), build(kind, action, seed=1)
    inputs = observe(policy, 7)
    linear = linearise(policy, inputs)
    torch.testing.assert_close(linear.at(flat_parameters(other)), other(inputs).detach(), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(linear.at(linear.theta), policy(inputs).detach(), rtol=1e-12, atol=1e-13)


@policies
def test_blocks_of_rows_make_no_difference(kind, action, monkeypatch):
    policy = build(kind, action)
    inputs = observe(policy, 11)
    whole = linearise(policy, inputs)
    monkeypatch.setattr(module, "BLOCK", 4)
    blocks = linearise(policy, inputs)
    v, u = vectors(whole)
    torch.testing.assert_close(blocks.outputs, whole.outputs, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(blocks.jvp(v), whole.jvp(v), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(blocks.vjp(u), whole.vjp(u), rtol=1e-12, atol=1e-13)
    R = torch.randn(11, 2, u.shape[1], generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    cut, uncut = blocks.times(R), whole.times(R)
    torch.testing.assert_close(cut.jvp(v), uncut.jvp(v), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(cut.vjp(R[:, :, 0]), uncut.vjp(R[:, :, 0]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(blocks.at(whole.theta + v), whole.at(whole.theta + v), rtol=1e-12, atol=1e-13)


def test_more_rows_than_a_block():
    policy = build("linear", "gaussian")
    n = module.BLOCK + 3
    inputs = observe(policy, n)
    linear = linearise(policy, inputs)
    v, u = vectors(linear)
    log_std, weight, bias = v[:2], v[2:8].view(2, 3), v[8:]
    torch.testing.assert_close(linear.jvp(v), torch.cat([inputs @ weight.T + bias, log_std.expand(n, 2)], 1))
    torch.testing.assert_close(linear.vjp(u), torch.cat([u[:, 2:].sum(0), (u[:, :2].T @ inputs).ravel(), u[:, :2].sum(0)]))


@pytest.mark.parametrize("kind", ["tabular", "linear", "mlp", "relu"])
@pytest.mark.parametrize("action", ["categorical", "gaussian"])
def test_chains_are_written_out_and_agree_with_torch(kind, action, monkeypatch):
    policy = build(kind, action)
    inputs = observe(policy, 7)
    by_torch = module._by_torch(policy, inputs)
    monkeypatch.setattr(module, "_by_torch", None)
    by_hand = linearise(policy, inputs)
    v, u = vectors(by_hand)
    torch.testing.assert_close(by_hand.jvp(v), by_torch.jvp(v), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(by_hand.vjp(u), by_torch.vjp(u), rtol=1e-11, atol=1e-12)


class _Skip(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + x


class _Wrapped(nn.Module):
    """Has a ``network``, as a policy does, and does something else with it."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        self.log_std = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.network(x) * self.log_std


def _shared():
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Tanh(), layer)


def _tied():
    network = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    network[2].weight = network[0].weight
    return network


NETWORKS = {
    "bias-free": lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 2, bias=False)),
    "some biases": lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)),
    "ends in an activation": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Tanh()),
    "linear after linear": lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)),
    "no hidden layer": lambda: nn.Sequential(nn.Linear(3, 2)),
    "not a chain": lambda: nn.Linear(3, 2),
    "two activations": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.ReLU(), nn.Linear(4, 2)),
    "another activation": lambda: nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 2)),
    "layer norm": lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2)),
    "starts with an activation": lambda: nn.Sequential(nn.Tanh(), nn.Linear(3, 2)),
    "forward of its own": lambda: _Skip(nn.Linear(3, 3), nn.Tanh()),
    "a shared layer": _shared,
    "a shared weight": _tied,
    "has a network": _Wrapped,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network(name):
    torch.manual_seed(0)
    network = NETWORKS[name]().double()
    kept = list(network.parameters())
    check_against_jacobian(network, torch.randn(6, 3).double())
    assert all(a is b for a, b in zip(kept, network.parameters(), strict=True))


def test_a_policy_whose_forward_was_overridden_is_not_written_out():
    policy = build("mlp", "categorical")

    class Scaled(type(policy)):
        def forward(self, inputs):
            return 2 * super().forward(inputs)

    policy.__class__ = Scaled
    check_against_jacobian(policy, observe(policy, 5))


@policies
def test_it_holds_copies_and_no_graph(kind, action):
    policy = build(kind, action)
    inputs = observe(policy, 5)
    linear = linearise(policy, inputs)
    v, u = vectors(linear)
    before = [linear.theta.clone(), linear.outputs.clone(), linear.jvp(v).clone(), linear.vjp(u).clone()]
    set_parameters(policy, 2 * linear.theta)
    after = [linear.theta, linear.outputs, linear.jvp(v), linear.vjp(u)]
    for x, y in zip(before, after, strict=True):
        assert torch.equal(x, y)
        assert not y.requires_grad
    assert not linear.at(linear.theta).requires_grad
    assert all(p.grad is None for p in policy.parameters())


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_single_precision_stays_single(kind):
    policy = build(kind, "gaussian", dtype=torch.float32)
    linear = linearise(policy, observe(policy, 5))
    v, u = vectors(linear)
    assert {x.dtype for x in (linear.outputs, linear.theta, linear.jvp(v), linear.vjp(u), linear.at(v))} == {torch.float32}


def test_flat_parameters_round_trip_in_the_order_of_parameters():
    policy, other = build("mlp", "gaussian"), build("mlp", "gaussian", seed=1)
    theta = flat_parameters(policy)
    assert torch.equal(theta[:2], policy.log_std.detach())
    assert torch.equal(theta, nn.utils.parameters_to_vector(policy.parameters()).detach())
    set_parameters(other, theta)
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), other.parameters(), strict=True))
    theta.zero_()
    assert policy.log_std.any()


@pytest.mark.parametrize("shape", [(3,), (11,), (10, 1)])
def test_set_parameters_refuses_another_length_and_changes_nothing(shape):
    network = nn.Linear(4, 2)
    before = flat_parameters(network)
    with pytest.raises(ValueError, match=rf"theta has shape \({shape[0]},.*the module has 10 parameters"):
        set_parameters(network, torch.zeros(shape))
    assert torch.equal(flat_parameters(network), before)


@policies
def test_outputs_alone_are_those_of_the_forward_pass(kind, action, monkeypatch):
    policy = build(kind, action)
    inputs = observe(policy, 7)
    monkeypatch.setattr(module, "BLOCK", 3)
    expected, outputs = policy(inputs).detach(), module.forward(policy)
    set_parameters(policy, 2 * flat_parameters(policy))  # no longer read
    assert not outputs(inputs).requires_grad
    torch.testing.assert_close(outputs(inputs), expected, rtol=1e-12, atol=1e-13)


def chain(widths, activation=nn.Tanh, bias=True):
    torch.manual_seed(0)
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b, bias=bias), activation())][:-1]
    return nn.Sequential(*layers).double()


@pytest.fixture
def by_signals(monkeypatch):
    """How often products went by signals, and how often not."""
    taken, original = [], module._by_signals

    def counted(*given):
        found = original(*given)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(module, "_by_signals", counted)
    return taken


@pytest.mark.parametrize("widths", [(3, 40, 40, 1), (3, 64, 64, 2), (2, 33, 65, 49, 3)])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
@pytest.mark.parametrize("bias", [True, False])
def test_few_rows_go_by_signals_and_agree_with_the_jacobian(widths, activation, bias, by_signals):
    network = chain(widths, activation, bias)
    inputs = torch.randn(7, widths[0], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    check_against_jacobian(network, inputs)
    assert any(by_signals)


def test_few_rows_with_free_deviations_agree_with_the_jacobian(by_signals):
    space = gymnasium.spaces.Box(-1, 1, (2,))
    policy = make_policy(gymnasium.spaces.Box(-1, 1, (3,)), space, hidden=(64, 64), dtype=torch.float64)
    inputs = torch.randn(9, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    linear = check_against_jacobian(policy, inputs)
    by_signals.clear()
    linear.times(policy.family.root(linear.outputs))
    assert by_signals == [True]


@pytest.mark.parametrize(
    ("layers", "R", "few"),
    [
        (chain((4, 64, 64, 2)), (1, 2), True),
        (chain((4, 64, 64, 4)), (3, 4), True),
        (chain((4, 64, 64, 4)), (4,), False),  # a pass for each row costs what it saves
        (chain((4, 64, 64, 4)), (4, 4), False),
        (chain((4, 64, 64, 2)), (0, 2), False),
        (chain((4, 64, 2)), (1, 2), False),  # nothing to save between hidden layers
        (
            nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1), nn.Tanh()).double(),
            (1,),
            False,
        ),
    ],
)
def test_signals_are_kept_where_they_save_time(layers, R, few, by_signals):
    linear = linearise(layers, torch.ones(5, 4).double())
    rows = linear.times(torch.ones(5, *R).double())
    assert by_signals == [few]
    assert rows.jvp(linear.theta).shape == (5, R[0])


def test_a_row_that_depends_on_free_parameters_alone_keeps_no_signal():
    """Of six rows one is moved by the network: it alone is carried through hidden layers, and all are right."""
    space = gymnasium.spaces.Box(-1, 1, (3,))
    policy = make_policy(space, space, hidden=(64, 64), dtype=torch.float64)
    inputs = torch.randn(9, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    linear, J = linearise(policy, inputs), jacobian(policy, inputs)
    R = torch.zeros(9, 6, 6).double()
    R[:, 2, 1], R[:, 4, 3:] = 2.0, torch.randn(9, 3).double()
    rows, (v, _) = linear.times(R), vectors(linear)
    torch.testing.assert_close(rows.jvp(v), R @ J @ v, rtol=1e-10, atol=1e-11)
    u = torch.randn(9, 6).double()
    torch.testing.assert_close(rows.vjp(u), torch.einsum("njk,nkp,nj->p", R, J, u), rtol=1e-10, atol=1e-11)
