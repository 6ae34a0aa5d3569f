"""Updates: what is accepted keeps its promises by independent computations, what is not changes no bit."""

import copy
import math
from dataclasses import astuple, replace
from typing import get_args

import numpy as np
import pytest
import torch
from gymnasium import spaces
from policy_cases import POLICIES, build, draw_batch, fisher_matrices, jacobian, law_kl, law_log_prob, laws

from trpo.batch import Batch
from trpo.linearise import flat_parameters
from trpo.neural import LineSearch, Reason, Step, StepOptions, step
from trpo.penalty import Penalty
from trpo.policies import make_policy
from trpo.region import Region

REGIONS = {
    "mean": Region("kl", "mean", 0.02),
    "max": Region("kl", "max", 0.02),
    "tight": Region("kl", "mean", 1e-6),
    "wide": Region("kl", "mean", 0.5),
    "l2": Region("l2", "mean", 0.01),
    "none": Region("none"),
    "mean-penalty": Penalty(0.3),
    "max-penalty": Penalty(0.3, "max"),
}
policies = pytest.mark.parametrize(("kind", "action"), POLICIES, ids=map("-".join, POLICIES))
regions = pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
SMALL = StepOptions(step_size=0.1)


def copied(policy):
    return {name: x.clone() for name, x in policy.state_dict().items()}


def unchanged(policy, before):
    after = policy.state_dict()
    return before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def surrogate(policy, batch):
    """By torch.distributions, differentiable in the policy's parameters."""
    log_prob = law_log_prob(policy.family, policy(batch.inputs), batch.actions)
    ratio = torch.exp(log_prob - batch.log_q)
    if batch.self_normalised:
        ratio = ratio / ratio.sum(1, keepdim=True)
    return (batch.weights[:, None] * ratio * batch.advantages).sum()


def gradient(policy, batch):
    grads = torch.autograd.grad(surrogate(policy, batch), list(policy.parameters()))
    return torch.cat([g.ravel() for g in grads])


def fisher(policy, batch):
    J, M = jacobian(policy, batch.inputs), fisher_matrices(policy.family, policy(batch.inputs).detach())
    return torch.einsum("nip,nij,njq->npq", J, M, J)


# ------------------------------------------------------------------------------------------------- what an accepted step promises


def check_record(policy, batch, region, what, old_z, old_gain, before):
    """Everything a record says, computed again from the two policies."""
    family, live = policy.family, batch.weights > 0
    with torch.no_grad():
        new_z = policy(batch.inputs)
        forward, reverse = law_kl(family, old_z, new_z), law_kl(family, new_z, old_z)
        entropy = sum(float(batch.weights @ law.entropy()) for law in laws(family, new_z))
        gain = float(surrogate(policy, batch)) - old_gain
    close = lambda a, b: a == pytest.approx(b, rel=1e-5, abs=1e-13)  # noqa: E731  torch's own formula cancels
    assert close(what.entropy, entropy)
    if not what.accepted:
        assert unchanged(policy, before)
        assert (what.kl_mean, what.kl_max, what.kl_reverse_mean, what.kl_reverse_max, what.gain) == (0, 0, 0, 0, 0)
        return
    assert what.reason == "accepted"
    assert close(what.kl_mean, float(batch.weights @ forward))
    assert close(what.kl_max, float(forward[live].max()))
    assert close(what.kl_reverse_mean, float(batch.weights @ reverse))
    assert close(what.kl_reverse_max, float(reverse[live].max()))
    assert what.gain == pytest.approx(gain, rel=1e-6, abs=1e-12)
    assert what.gain > 0
    if isinstance(region, Penalty):
        assert gain - region.coefficient * (what.kl_max if region.reduce == "max" else what.kl_mean) > 0
    elif region.measure == "kl":
        assert float(forward[live].max() if region.reduce == "max" else batch.weights @ forward) <= region.delta * (1 + 1e-7)


@policies
@regions
def test_a_step_keeps_its_promises(kind, action, region):
    accepted = 0
    for seed in range(2):
        policy = build(kind, action, seed)
        batch = draw_batch(policy, 15, 1 + 2 * seed, seed, self_normalised=bool(seed))
        before, old_gain = copied(policy), float(surrogate(policy, batch).detach())
        old_z = policy(batch.inputs).detach()
        what = step(policy, batch, region, SMALL)
        check_record(policy, batch, region, what, old_z, old_gain, before)
        accepted += what.accepted
    assert accepted == 2


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_kl_of_old_and_new_never_exceeds_delta(seed, reduce):
    rng = np.random.default_rng(seed)
    kind, action = POLICIES[seed % len(POLICIES)]
    kind = "mlp" if kind == "conv" else kind
    dtype = torch.float32 if seed % 2 else torch.float64
    policy = build(kind, action, seed, dtype, spread=2.0)
    batch = draw_batch(policy, 12, 1, seed)
    old_z = policy(batch.inputs).detach().double()
    region = Region("kl", reduce, 10 ** rng.uniform(-4, 1))
    what = step(policy, batch, region, StepOptions(curvature=["fisher", "empirical", "identity"][seed % 3]))
    kl = law_kl(policy.family, old_z, policy(batch.inputs).detach().double())
    moved = float(kl.max() if reduce == "max" else batch.weights.double() @ kl)
    assert moved <= region.delta * (1 + 1e-5)
    assert what.accepted == (moved > 0)


def shrinking_gaussian():
    """One state, one real action, symmetric about the mean: the surrogate wants a smaller deviation and nothing else."""
    policy = make_policy(spaces.Discrete(1), spaces.Box(-1, 1, (1,)), "tabular", dtype=torch.float64)
    actions = torch.tensor([[[0.5], [-0.5], [2.0], [-2.0]]]).double()
    inputs = policy.inputs(np.zeros(1, int))
    log_q = policy.family.log_prob(policy(inputs).detach(), actions) + math.log(4)
    return policy, Batch(inputs, actions, log_q, torch.tensor([[1.0, 1, -1, -1]]).double(), torch.ones(1).double())


def test_the_direction_of_the_kl_divergence_decides():
    """KL(old || new) of the full step is beyond delta, KL(new || old) within: only the first counts.

    With x = log(std_old/std_new) > 0, KL(old || new) = (e^{2x} - 1 - 2x)/2 > x^2 = delta > (e^{-2x} - 1 + 2x)/2 = KL(new || old).
    """
    delta = 0.04
    for region in (Region("kl", "mean", delta), Region("kl", "max", delta)):
        options = StepOptions(damping=0.0 if region.reduce == "mean" else 1e-9, cg_iterations=20, line_search=None)
        policy, batch = shrinking_gaussian()
        full = step(policy, batch, region, options)
        x = -policy.log_std.item()
        assert x == pytest.approx(math.sqrt(delta), rel=1e-3)  # half of x' 2 x is delta
        assert full.kl_mean == pytest.approx((math.exp(2 * x) - 1 - 2 * x) / 2, rel=1e-9)
        assert full.kl_reverse_mean == pytest.approx((math.exp(-2 * x) - 1 + 2 * x) / 2, rel=1e-9)
        assert full.kl_reverse_mean < delta < full.kl_mean
        policy, batch = shrinking_gaussian()
        careful = step(policy, batch, region, replace(options, line_search=LineSearch()))
        assert careful.accepted
        assert careful.backtracks > 0
        assert careful.kl_mean <= delta
        policy, batch = shrinking_gaussian()
        once = step(policy, batch, region, replace(options, line_search=LineSearch(attempts=1)))
        assert (once.accepted, once.reason, once.backtracks) == (False, "kl", 1)


# ------------------------------------------------------------------------------------------------- rejected steps


def overshooting_gaussian():
    """An action at +1 is better: a mean that goes far beyond it gives it less probability than before."""
    policy, batch = shrinking_gaussian()
    actions = torch.ones(1, 1, 1).double()
    log_q = policy.family.log_prob(policy(batch.inputs).detach(), actions)
    return policy, Batch(batch.inputs, actions, log_q, torch.ones(1, 1).double(), batch.weights)


def _flat():
    policy, batch = shrinking_gaussian()
    return policy, replace(batch, advantages=torch.zeros(1, 4).double())


def _nan():
    policy, batch = shrinking_gaussian()
    with torch.no_grad():
        policy.log_std.fill_(math.nan)
    return policy, batch


def _single():
    policy, batch = overshooting_gaussian()
    return policy.float(), Batch(*(x.float() for x in astuple_of(batch)))


def astuple_of(batch):
    return (batch.inputs, batch.actions, batch.log_q, batch.advantages, batch.weights)


ONCE = StepOptions(line_search=LineSearch(attempts=1), damping=1e-6)
REJECTED = {
    "kl, mean": (shrinking_gaussian, Region("kl", "mean", 0.04), ONCE, "kl", 1),
    "kl, max": (shrinking_gaussian, Region("kl", "max", 0.04), ONCE, "kl", 1),
    "kl, every attempt": (
        shrinking_gaussian,
        Region("kl", "mean", 0.5),
        replace(ONCE, line_search=LineSearch(0.999, 7)),
        "kl",
        7,
    ),
    "surrogate": (overshooting_gaussian, Region("none"), replace(ONCE, step_size=20.0), "surrogate", 1),
    "surrogate, l2": (overshooting_gaussian, Region("l2", "mean", 200.0), ONCE, "surrogate", 1),
    "surrogate, inside the kl region": (
        overshooting_gaussian,
        Region("kl", "mean", 1e4),
        replace(ONCE, curvature="identity"),
        "surrogate",
        1,
    ),
    "share of the prediction": (
        overshooting_gaussian,
        Region("none"),
        replace(ONCE, line_search=LineSearch(attempts=3, least_share=5.0)),
        "surrogate",
        3,
    ),
    "penalty": (overshooting_gaussian, Penalty(1e-3), ONCE, "surrogate", 1),
    "max penalty": (overshooting_gaussian, Penalty(1e-3, "max"), ONCE, "surrogate", 1),
    "not finite: parameters": (_nan, Region(), ONCE, "not finite", 0),
    "not finite: direction": (_single, Region("none"), replace(ONCE, step_size=1e300), "not finite", 0),
    "not finite: candidate": (shrinking_gaussian, Region("none"), replace(ONCE, step_size=1e200), "not finite", 1),
    "not finite, no line search": (
        shrinking_gaussian,
        Region("none"),
        StepOptions(line_search=None, step_size=1e200),
        "not finite",
        1,
    ),
    "no gradient": (_flat, Region(), ONCE, "no gradient", 0),
    "no gradient, max": (_flat, Region("kl", "max"), ONCE, "no gradient", 0),
    "no gradient, l2": (_flat, Region("l2"), ONCE, "no gradient", 0),
    "no gradient, penalty": (_flat, Penalty(1.0), ONCE, "no gradient", 0),
    "no gradient, max penalty": (_flat, Penalty(1.0, "max"), ONCE, "no gradient", 0),
    "no radius": (shrinking_gaussian, Region("kl", "mean", 0.0), ONCE, "no gradient", 0),
    "no radius, max": (shrinking_gaussian, Region("kl", "max", 0.0), ONCE, "no gradient", 0),
    "no radius, l2": (shrinking_gaussian, Region("l2", "mean", 0.0), ONCE, "no gradient", 0),
}


@pytest.mark.parametrize("name", REJECTED)
def test_a_rejected_step_changes_no_bit(name):
    case, region, options, reason, backtracks = REJECTED[name]
    policy, batch = case()
    before, kept = copied(policy), copy.deepcopy(astuple_of(batch))
    what = step(policy, batch, region, options)
    assert (what.accepted, what.reason, what.backtracks) == (False, reason, backtracks)
    after = policy.state_dict()
    assert all(torch.equal(before[n].nan_to_num(7.5), after[n].nan_to_num(7.5)) for n in before)
    assert (what.kl_mean, what.kl_max, what.kl_reverse_mean, what.kl_reverse_max, what.gain) == (0, 0, 0, 0, 0)
    assert all(torch.equal(a, b) for a, b in zip(kept, astuple_of(batch), strict=True))
    assert all(p.grad is None for p in policy.parameters())


def test_every_reason_is_tried():
    assert {row[3] for row in REJECTED.values()} | {"accepted"} == set(get_args(Reason))


def test_without_a_line_search_the_full_step_is_taken_whatever_it_does():
    policy, batch = overshooting_gaussian()
    what = step(policy, batch, Region("kl", "mean", 50.0), StepOptions(line_search=None))
    assert what.accepted
    assert what.backtracks == 0
    assert what.gain < 0 or what.kl_mean > 50


def test_states_of_no_weight_do_not_bound_the_step():
    """The second state has weight 0: its KL divergence may be anything, infinite too."""
    policy = make_policy(spaces.Discrete(2), spaces.Box(-1, 1, (1,)), "tabular", dtype=torch.float64)
    one, batch = shrinking_gaussian()
    inputs = policy.inputs(np.arange(2))
    both = Batch(
        inputs,
        batch.actions.repeat(2, 1, 1),
        batch.log_q.repeat(2, 1),
        batch.advantages.repeat(2, 1),
        torch.tensor([1.0, 0.0]).double(),
    )
    for region in (Region("kl", "mean", 0.02), Region("kl", "max", 0.02)):
        what, alone = step(copy.deepcopy(policy), both, region), step(copy.deepcopy(one), batch, region)
        assert what.kl_mean == pytest.approx(alone.kl_mean, rel=1e-9)
        assert what.kl_max == pytest.approx(alone.kl_max, rel=1e-9)


# ------------------------------------------------------------------------------------------------- lengths and directions


@policies
def test_natural_gradient_is_the_dense_solve(kind, action):
    policy = build(kind, action)
    batch = draw_batch(policy, 6, 2)
    theta, g, damping = flat_parameters(policy), gradient(policy, batch), 0.2
    J, M = jacobian(policy, batch.inputs), fisher_matrices(policy.family, policy(batch.inputs).detach())
    options = StepOptions(damping=damping, cg_iterations=200, line_search=None, step_size=0.01, cg_tolerance=1e-12)
    what = step(policy, batch, Region("none"), options)
    x = (flat_parameters(policy) - theta) / 0.01
    Fx = torch.einsum("n,nip,nij,nj->p", batch.weights, J, M, J @ x) + damping * x
    torch.testing.assert_close(Fx, g, rtol=1e-6, atol=1e-9)
    if kind != "conv":  # its matrix has 4,800 rows
        F = torch.einsum("n,nip,nij,njq->pq", batch.weights, J, M, J) + damping * torch.eye(len(theta)).double()
        np.testing.assert_allclose(x, np.linalg.solve(F.numpy(), g.numpy()), rtol=1e-6, atol=1e-9)
    assert what.residual <= 1e-12
    assert what.gain_predicted == pytest.approx(0.01 * float(g @ x), rel=1e-8)
    assert math.isnan(what.bound)


@pytest.mark.parametrize("damping", [0.3, 1e-3])
def test_a_mean_kl_step_has_the_length_of_its_model(damping):
    policy = build("mlp", "categorical")
    batch = draw_batch(policy, 10, 2)
    theta, g = flat_parameters(policy), gradient(policy, batch)
    F = torch.einsum("n,npq->pq", batch.weights, fisher(policy, batch)) + damping * torch.eye(len(theta)).double()
    delta = 1e-5
    what = step(policy, batch, Region("kl", "mean", delta), StepOptions(damping=damping, cg_iterations=100, line_search=None))
    x = flat_parameters(policy) - theta
    assert float(x @ F @ x) == pytest.approx(2 * delta, rel=1e-6)
    optimum = math.sqrt(2 * delta * float(g @ torch.linalg.solve(F, g)))
    assert what.gain_predicted == pytest.approx(optimum, rel=1e-6)
    assert what.bound == pytest.approx(optimum, rel=1e-3)
    assert what.bound >= optimum * (1 - 1e-9)
    assert what.gain == pytest.approx(what.gain_predicted, rel=0.05)  # delta is small: the models are exact to first order


@pytest.mark.parametrize("cg_iterations", [1, 2, 5, 10])
@pytest.mark.parametrize("curvature", ["fisher", "empirical", "identity"])
@pytest.mark.parametrize("damping", [0.05, 4.0])
def test_the_bound_holds_for_any_number_of_iterations(cg_iterations, curvature, damping):
    """No step within the quadratic region gains more: the exact optimum is below it, what was found too."""
    policy = build("mlp", "bernoulli")
    batch = draw_batch(policy, 10, 2)
    g = gradient(policy, batch)
    options = StepOptions(curvature, damping=damping, cg_iterations=cg_iterations, line_search=None)
    what = step(policy, batch, Region("kl", "mean", 1e-3), options)
    if curvature == "identity":
        exact = float(g @ g)
    else:
        policy = build("mlp", "bernoulli")
        if curvature == "fisher":
            F = torch.einsum("n,npq->pq", batch.weights, fisher(policy, batch))
        else:
            J, share = jacobian(policy, batch.inputs), 1 / batch.actions.shape[1]
            score = torch.einsum("nmk,nkp->nmp", policy.family.score(policy(batch.inputs).detach(), batch.actions), J)
            F = share * torch.einsum("n,nmp,nmq->pq", batch.weights, score, score)
        exact = float(g @ torch.linalg.solve(F + damping * torch.eye(len(g)).double(), g))
    assert what.bound >= math.sqrt(2e-3 * exact) * (1 - 1e-9)
    assert what.gain_predicted <= what.bound * (1 + 1e-9)


@pytest.mark.parametrize("curvature", ["fisher", "identity"])
def test_penalised_steps_maximise_their_quadratic_model(curvature):
    c, damping = 200.0, 0.1
    policy = build("linear", "gaussian")
    batch = draw_batch(policy, 10, 2)
    theta, g = flat_parameters(policy), gradient(policy, batch)
    one = torch.eye(len(theta)).double()
    F = torch.einsum("n,npq->pq", batch.weights, fisher(policy, batch)) + damping * one if curvature == "fisher" else one
    step(policy, batch, Penalty(c), StepOptions(curvature, damping=damping, cg_iterations=100, line_search=None))
    expected = np.linalg.solve(F.numpy(), g.numpy()) / c
    np.testing.assert_allclose(flat_parameters(policy) - theta, expected, rtol=1e-5, atol=1e-12)


def test_a_max_penalty_has_the_best_length_along_its_direction():
    """Along the max-KL direction x: t g.x - c t^2/2 max_s x'(F_s + damping)x is largest at t = g.x/(c max_s ...)."""
    c, damping = 200.0, 0.1
    policy = build("linear", "categorical")
    batch = draw_batch(policy, 10, 2)
    theta, g, F = flat_parameters(policy), gradient(policy, batch), fisher(policy, batch)
    step(policy, batch, Penalty(c, "max"), StepOptions(damping=damping, line_search=None))
    x = flat_parameters(policy) - theta
    worst = float((torch.einsum("p,npq,q->n", x, F, x) + damping * x @ x).max())
    assert float(g @ x) == pytest.approx(c * worst, rel=1e-4)


def test_l2_steps_follow_the_gradient_to_the_given_length():
    policy = build("mlp", "multi")
    batch = draw_batch(policy, 10)
    theta, g = flat_parameters(policy), gradient(policy, batch)
    what = step(policy, batch, Region("l2", "mean", 1e-4), StepOptions(line_search=None))
    x = flat_parameters(policy) - theta
    torch.testing.assert_close(x, g * math.sqrt(2e-4) / g.norm(), rtol=1e-8, atol=1e-12)
    assert (what.iterations, what.residual) == (0, 0)


@pytest.mark.parametrize("measure", ["kl", "l2"])
@pytest.mark.parametrize("reduce", ["mean", "max"])
def test_an_infinite_radius_is_no_region(measure, reduce):
    results = []
    for region in (Region(measure, reduce, math.inf), Region("none")):
        policy = build("mlp", "categorical")
        results.append((astuple(step(policy, draw_batch(policy, 10), region, SMALL))[:-2], flat_parameters(policy)))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


# ------------------------------------------------------------------------------------------------- line search


def test_backtracking_shrinks_by_the_given_factor():
    policy, batch = shrinking_gaussian()
    options = StepOptions(damping=1e-9, line_search=LineSearch(shrink=0.9))
    what = step(policy, batch, Region("kl", "mean", 0.04), options)
    x = -policy.log_std.item()
    assert x == pytest.approx(0.2 * 0.9**what.backtracks, rel=1e-6)
    beyond = x / 0.9
    assert (math.exp(2 * beyond) - 1 - 2 * beyond) / 2 > 0.04  # the attempt before was outside


def test_the_gain_must_be_a_share_of_what_is_predicted_for_that_candidate():
    for share in (0.0, 0.3, 0.9):
        policy, batch = overshooting_gaussian()
        options = StepOptions(step_size=2.0, line_search=LineSearch(least_share=share))
        what = step(policy, batch, Region("none"), options)
        assert what.accepted
        assert what.gain > share * what.gain_predicted * 0.8**what.backtracks
    assert what.backtracks > 0


# ------------------------------------------------------------------------------------------------- subsampled curvature


def subsampled(fraction, seed, damping=0.1):
    policy = build("linear", "categorical")
    batch = draw_batch(policy, 20)
    options = StepOptions(fraction=fraction, damping=damping, line_search=None, step_size=0.01, cg_iterations=100)
    step(policy, batch, Region("none"), options, generator=torch.Generator().manual_seed(seed))
    return flat_parameters(policy)


def test_a_region_that_is_none_is_named():
    policy = build("linear", "categorical")
    with pytest.raises(TypeError, match=r"region is 'kl'; expected a Region or a Penalty, such as Region"):
        step(policy, draw_batch(policy, 20), "kl")


def test_a_fraction_of_the_states_is_drawn_by_the_generator():
    assert torch.equal(subsampled(0.3, 1), subsampled(0.3, 1))
    assert not torch.equal(subsampled(0.3, 1), subsampled(0.3, 2))
    assert torch.equal(subsampled(1.0, 1), subsampled(1.0, 2))
    policy = build("linear", "categorical")
    before = flat_parameters(policy)
    with pytest.raises(ValueError, match=r"fraction is 0.5 without a generator to draw the states; give generator"):
        step(policy, draw_batch(policy, 20), Region(), StepOptions(fraction=0.5))
    assert torch.equal(flat_parameters(policy), before)


def test_the_curvature_is_that_of_some_fifth_of_the_states_and_the_gradient_of_all():
    policy = build("linear", "categorical")
    batch = draw_batch(policy, 20)
    theta, g, F = flat_parameters(policy), gradient(policy, batch), fisher(policy, batch)
    x = (subsampled(0.05, 3) - theta) / 0.01  # one state of 20: its weight is 1
    left = [float((F[n] @ x + 0.1 * x - g).norm() / g.norm()) for n in range(20)]
    assert sorted(left)[0] < 1e-6 < 1e-3 < sorted(left)[1]
    x = (subsampled(0.1, 3) - theta) / 0.01  # two states
    w = batch.weights
    pairs = [
        float((((w[a] * F[a] + w[b] * F[b]) / (w[a] + w[b])) @ x + 0.1 * x - g).norm() / g.norm())
        for a in range(20)
        for b in range(a)
    ]
    assert sum(value < 1e-6 for value in pairs) == 1


def test_states_without_weight_are_not_drawn_for_the_curvature():
    policy = build("linear", "categorical")
    batch = draw_batch(policy, 20)
    weights = torch.zeros(20).double()
    weights[7] = 1.0
    batch = replace(batch, weights=weights)
    for seed in range(5):
        what = step(
            build("linear", "categorical"),
            batch,
            Region(),
            StepOptions(fraction=0.05),
            generator=torch.Generator().manual_seed(seed),
        )
        assert what.accepted


@regions
def test_updates_are_deterministic(region):
    results = []
    for _ in range(2):
        policy = build("mlp", "gaussian")
        options = replace(SMALL, fraction=0.5)
        what = step(policy, draw_batch(policy, 20), region, options, generator=torch.Generator().manual_seed(4))
        results.append((repr(what), flat_parameters(policy)))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


# ------------------------------------------------------------------------------------------------- refusals

MISTAKES = [
    (LineSearch, {"shrink": 1.0}, "expected 0 < shrink < 1"),
    (LineSearch, {"shrink": 0.0}, "shrink=0.0"),
    (LineSearch, {"attempts": 0}, "attempts=0"),
    (LineSearch, {"least_share": -0.1}, "least_share=-0.1"),
    (StepOptions, {"curvature": "hessian"}, "curvature is 'hessian'"),
    (StepOptions, {"fraction": 0.0}, "fraction is 0.0; expected 0 < fraction <= 1"),
    (StepOptions, {"fraction": 1.1}, "fraction is 1.1"),
    (StepOptions, {"cg_iterations": 0}, "cg_iterations=0"),
    (StepOptions, {"damping": -1.0}, "damping=-1.0"),
    (StepOptions, {"step_size": 0.0}, "step_size=0.0"),
    (StepOptions, {"step_size": math.nan}, "step_size=nan"),
]


@pytest.mark.parametrize(("record", "fields", "message"), MISTAKES)
def test_mistakes(record, fields, message):
    with pytest.raises(ValueError, match=message):
        record(**fields)


def test_a_step_is_a_record_of_numbers():
    policy, batch = shrinking_gaussian()
    what = step(policy, batch, Region())
    assert isinstance(what, Step)
    assert all(isinstance(value, bool | int | float | str) for value in astuple(what))
