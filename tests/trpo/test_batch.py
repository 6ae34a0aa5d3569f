"""Surrogates and their gradients against loops over states and actions, and what a batch refuses."""

import numpy as np
import pytest
import torch
from policy_cases import FAMILIES, law_log_prob, parameters

from trpo.batch import Batch
from trpo.distributions import Categorical

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def make(family, n=6, m=3, seed=0, **changes):
    rng = np.random.default_rng(seed)
    z = parameters(family, n, 1.0, seed)
    actions = torch.stack([family.sample(z, family.noise(n, rng)) for _ in range(m)], 1)
    fields = {
        "inputs": torch.as_tensor(rng.normal(size=(n, 2))),
        "actions": actions,
        "log_q": torch.as_tensor(rng.normal(size=(n, m))),
        "advantages": torch.as_tensor(rng.normal(size=(n, m))),
        "weights": torch.as_tensor(rng.dirichlet(np.ones(n))),
    }
    return Batch(**{**fields, **changes})


def surrogate(family, batch, z):
    """The estimate by torch.distributions, differentiable: TRPO eq. 14 and, self-normalised, eq. 16."""
    ratio = torch.exp(law_log_prob(family, z, batch.actions)) / torch.exp(batch.log_q)
    if batch.self_normalised:
        ratio = ratio / ratio.sum(1, keepdim=True)
    return sum(
        batch.weights[n] * ratio[n, m] * batch.advantages[n, m] for n in range(ratio.shape[0]) for m in range(ratio.shape[1])
    )


@families
@pytest.mark.parametrize("self_normalised", [False, True])
@pytest.mark.parametrize("m", [1, 4])
def test_gain_and_gradient(family, self_normalised, m):
    batch = make(family, m=m, self_normalised=self_normalised)
    z = parameters(family, len(batch), 1.0, 5).requires_grad_()
    expected = surrogate(family, batch, z)
    assert batch.gain(family, z.detach()) == pytest.approx(float(expected), rel=1e-11, abs=1e-14)
    (gradient,) = torch.autograd.grad(expected, z)
    torch.testing.assert_close(batch.gradient(family, z.detach()), gradient, rtol=1e-9, atol=1e-12)


def test_an_exact_batch_gives_the_surrogate_itself():
    """All actions with q = 1: sum_s d(s) sum_a pi'(a|s) A(s,a)."""
    rng = np.random.default_rng(0)
    n, a = 5, 3
    d, A, z = rng.dirichlet(np.ones(n)), rng.normal(size=(n, a)), rng.normal(size=(n, a))
    actions = torch.arange(a)[None, :, None].expand(n, -1, -1)
    batch = Batch(torch.eye(n).double(), actions, torch.zeros(n, a).double(), torch.as_tensor(A), torch.as_tensor(d))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert batch.gain(Categorical(a), torch.as_tensor(z)) == pytest.approx((d[:, None] * p * A).sum(), rel=1e-12)


def test_self_normalisation_does_not_see_the_scale_of_q():
    family = FAMILIES["multi"]
    plain = make(family, self_normalised=True)
    scaled = make(family, self_normalised=True, log_q=plain.log_q + 700)
    z = parameters(family, len(plain), 1.0, 1)
    assert scaled.gain(family, z) == pytest.approx(plain.gain(family, z), rel=1e-12)
    torch.testing.assert_close(scaled.gradient(family, z), plain.gradient(family, z))


def test_self_normalised_ratios_that_all_underflow_have_no_nan():
    batch = make(Categorical(3), log_q=torch.full((6, 3), 2000.0).double(), self_normalised=True)
    z = parameters(Categorical(3), 6, 1.0, 0)
    assert np.isfinite(batch.gain(Categorical(3), z))
    assert torch.isfinite(batch.gradient(Categorical(3), z)).all()


def test_single_precision_networks_take_advantages_in_double():
    batch = make(Categorical(4))
    assert batch.gradient(Categorical(4), parameters(Categorical(4), 6, 1.0, 0).float()).dtype == torch.float32


def test_mean_and_largest_do_not_see_states_of_no_weight():
    batch = make(Categorical(4), n=3, weights=torch.tensor([0.25, 0.0, 0.75]).double())
    each = torch.tensor([2.0, np.inf, 4.0]).double()
    assert batch.mean(each) == 3.5
    assert batch.largest(each) == 4.0
    assert batch.mean(each.flip(0).roll(1)) == np.inf
    assert batch.mean(torch.tensor([2.0, np.nan, 4.0])) == 3.5


def test_rows():
    batch = make(Categorical(4), self_normalised=True)
    part = batch.rows(torch.tensor([4, 1]))
    assert len(part) == 2
    assert part.self_normalised
    for name in ("inputs", "actions", "log_q", "advantages"):
        assert torch.equal(getattr(part, name), getattr(batch, name)[[4, 1]])
    torch.testing.assert_close(part.weights, batch.weights[[4, 1]] / (batch.weights[4] + batch.weights[1]))


def test_rows_without_weight_are_refused():
    batch = make(Categorical(4), n=3, weights=torch.tensor([0.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="the 2 rows chosen have no weight"):
        batch.rows(torch.tensor([0, 1]))


def _bad(shape, index, value):
    x = torch.ones(shape).double()
    x[index] = value
    return x


REFUSED = {
    "no states": ({"inputs": torch.zeros(0, 2)}, r"batch of 0 inputs"),
    "other length": ({"inputs": torch.zeros(5, 2)}, r"batch of 5 inputs and actions \(6, 3, 1\)"),
    "flat actions": ({"actions": torch.zeros(6, 3, dtype=torch.long)}, r"actions \(6, 3\)"),
    "no actions": ({"actions": torch.zeros(6, 0, 1, dtype=torch.long)}, r"actions \(6, 0, 1\)"),
    "log_q": ({"log_q": torch.zeros(6)}, r"log_q has shape \(6,\); expected \(6, 3\)"),
    "advantages": ({"advantages": torch.zeros(6, 2)}, r"advantages has shape \(6, 2\); expected \(6, 3\)"),
    "weights": ({"weights": torch.ones(6, 1) / 6}, r"weights has shape \(6, 1\); expected \(6,\)"),
    "nan input": ({"inputs": _bad((6, 2), (2, 1), np.nan)}, r"inputs has a nan or infinite entry, first at state 2"),
    "infinite log_q": ({"log_q": _bad((6, 3), (3, 0), -np.inf)}, r"log_q .* first at state 3"),
    "nan advantage": ({"advantages": _bad((6, 3), (5, 2), np.nan)}, r"advantages .* first at state 5"),
    "infinite action": ({"actions": _bad((6, 3, 1), (1, 0, 0), np.inf)}, r"actions .* first at state 1"),
    "nan weight": ({"weights": _bad((6,), 4, np.nan)}, r"weights .* first at state 4"),
    "sum of weights": ({"weights": torch.ones(6).double()}, r"weights sum to 6"),
    "negative weight": ({"weights": torch.tensor([1.5, -0.5, 0, 0, 0, 0]).double()}, r"least -0.5"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    changes, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make(Categorical(4), **changes)
