"""Exact batches against closed forms and finite differences; vine against exact batches.

The z tests: of B independent batches, z = (mean - exact)/(standard error), one for each of C numbers. Were the estimate without
bias, P(max |z| > 5) <= 2 C P(N(0,1) > 5) = 6e-7 C < 1e-4 for the C <= 40 here, nearly; seeds are fixed, so a pass stays one.
Each has a twin with a bias, which must exceed the same bound.
"""

import functools
import pickle
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from mdps import MDP, evaluate
from mdps.families import chain_walk, garnet
from mdps.gym_bridge import TabularEnv, from_gymnasium
from trpo.batch import Batch
from trpo.curvature import matrix
from trpo.exact import natural_gradient_step, region_step
from trpo.linearise import flat_parameters, linearise, set_parameters
from trpo.neural import StepOptions, step
from trpo.policies import make_policy
from trpo.region import Region
from trpo.samplers.exact import Exact
from trpo.samplers.restore import CannotRestore
from trpo.samplers.vine import Vine
from trpo.samplers.worlds import Plan, Rolls, Simulator, Tables
from trpo.tables import tabulate

torch.set_num_threads(1)  # arrays are small
BOUND = 5.0
MDP5 = garnet(5, 3, 2, gamma=0.8, seed=0)
ENDS = MDP(  # state 2 is terminal; half the moves lead there
    P=[[[0.2, 0.5, 0.3], [0.6, 0, 0.4]], [[0.5, 0, 0.5], [0.1, 0.6, 0.3]], [[0, 0, 1], [0, 0, 1]]],
    R=[[1, 0], [-1, 2], [0, 0]],
    rho0=[0.7, 0.3, 0],
    gamma=0.8,
)


def tabular(mdp, seed=0, scale=0.7):
    policy = make_policy(spaces.Discrete(mdp.S), spaces.Discrete(mdp.A), "tabular", dtype=torch.float64)
    set_parameters(policy, scale * torch.from_numpy(np.random.default_rng(seed).normal(size=mdp.S * mdp.A)))
    return policy


def numbers(policy, batch, shift):
    """The surrogate's gain at theta + shift, and its gradient at theta."""
    linear = linearise(policy, batch.inputs)
    gain = batch.gain(policy.family, linear.at(linear.theta + shift)) - batch.gain(policy.family, linear.outputs)
    return np.array([gain, *linear.vjp(batch.gradient(policy.family, linear.outputs)).numpy()])


def shift_of(policy, seed=1):
    return 0.5 * torch.from_numpy(np.random.default_rng(seed).normal(size=len(flat_parameters(policy))))


def eta_at(policy, mdp, theta):
    start = flat_parameters(policy)
    set_parameters(policy, theta)
    eta = float(evaluate(mdp, tabulate(policy, mdp)).eta)
    set_parameters(policy, start)
    return eta


@pytest.mark.parametrize("mdp", [MDP5, ENDS, chain_walk(4, gamma=0.95)], ids=["garnet", "ends", "chain"])
def test_exact_gradient_is_that_of_the_return(mdp):
    """grad-match: by finite differences of eta, and by d(s) pi(a|s) A(s,a)."""
    policy = tabular(mdp)
    e = evaluate(mdp, tabulate(policy, mdp))
    batch = Exact(mdp).collect(policy, None).batch
    gradient = numbers(policy, batch, 0 * flat_parameters(policy))[1:]
    weight = policy.network[0].weight  # [A,S]
    np.testing.assert_allclose(gradient.reshape(weight.shape).T, e.d[:, None] * e.pi * e.A, atol=1e-14)
    theta, h = flat_parameters(policy), 1e-5
    for k in range(len(theta)):
        unit = torch.zeros_like(theta)
        unit[k] = h
        slope = (eta_at(policy, mdp, theta + unit) - eta_at(policy, mdp, theta - unit)) / (2 * h)
        assert gradient[k] == pytest.approx((1 - float(mdp.gamma)) * slope, abs=1e-9)


def test_exact_gradient_of_a_network_is_that_of_the_return():
    policy = make_policy(spaces.Discrete(5), spaces.Discrete(3), "mlp", hidden=(4,), dtype=torch.float64)
    theta = flat_parameters(policy) + 0.3 * torch.from_numpy(np.random.default_rng(0).normal(size=len(flat_parameters(policy))))
    set_parameters(policy, theta)
    gradient = numbers(policy, Exact(MDP5).collect(policy, None).batch, 0 * theta)[1:]
    for k, direction in enumerate(torch.eye(len(theta), dtype=torch.float64)[::3]):
        slope = (eta_at(policy, MDP5, theta + 1e-5 * direction) - eta_at(policy, MDP5, theta - 1e-5 * direction)) / 2e-5
        assert gradient[3 * k] == pytest.approx(0.2 * slope, abs=1e-9)


def test_exact_batch_lists_the_process():
    policy = tabular(MDP5)
    sample = Exact(MDP5).collect(policy, None)
    e = evaluate(MDP5, tabulate(policy, MDP5))
    np.testing.assert_array_equal(sample.batch.weights.numpy(), e.d)
    np.testing.assert_array_equal(sample.batch.advantages.numpy(), e.A)
    assert not sample.batch.log_q.any()
    assert sample.steps == 0
    new = policy.network[0].weight.detach().clone()
    shift = shift_of(policy)
    set_parameters(policy, flat_parameters(policy) + shift)
    pi = tabulate(policy, MDP5)
    set_parameters(policy, new.reshape(-1))
    assert numbers(policy, sample.batch, shift)[0] == pytest.approx(float(e.d @ (pi * e.A).sum(1)), rel=1e-12)
    assert Exact(MDP5).state() is None


def test_a_table_is_the_policys_and_other_spaces_are_refused():
    policy = tabular(MDP5)
    pi = tabulate(policy, 5)
    np.testing.assert_allclose(pi.sum(1), 1, rtol=1e-15)
    theta = policy.network[0].weight.detach().numpy().T
    np.testing.assert_allclose(pi, np.exp(theta) / np.exp(theta).sum(1, keepdims=True), rtol=1e-14)
    single = make_policy(spaces.Discrete(5, start=3), spaces.Discrete(3), "mlp")
    assert tabulate(single, MDP5).dtype == np.float64
    evaluate(MDP5, tabulate(single, MDP5))
    with pytest.raises(ValueError, match="observes 5 states; the process has 3"):
        tabulate(policy, ENDS)
    with pytest.raises(ValueError, match="among 2 actions; the process has 3"):
        tabulate(make_policy(spaces.Discrete(5), spaces.Discrete(2)), MDP5)
    with pytest.raises(ValueError, match="expected Discrete states"):
        tabulate(make_policy(spaces.Box(0, 1, (2,)), spaces.Discrete(2)), 2)
    with pytest.raises(ValueError, match="expected a Categorical"):
        tabulate(make_policy(spaces.Discrete(5), spaces.Box(0, 1, (2,))), 5)
    with pytest.raises(ValueError, match=r"batch of shape \(2,\).*pass mdp\[i\]"):
        Exact(MDP(MDP5.P, MDP5.R, MDP5.rho0, [0.5, 0.9]))
    with pytest.raises(TypeError, match="expected an MDP"):
        Exact("FrozenLake-v1")


def test_a_natural_gradient_step_is_the_closed_form():
    """theta += c F^+ g, and F^+ g is A up to a constant a state (Kakade 2001); also what trpo.exact computes."""
    policy, c = tabular(MDP5), 0.7
    e = evaluate(MDP5, tabulate(policy, MDP5))
    options = StepOptions(damping=1e-13, cg_iterations=500, cg_tolerance=1e-14, step_size=c, line_search=None)
    assert step(policy, Exact(MDP5).collect(policy, None).batch, Region("none"), options).accepted
    new = tabulate(policy, MDP5)
    tilted = e.pi * np.exp(c * e.A)
    np.testing.assert_allclose(new, tilted / tilted.sum(1, keepdims=True), atol=1e-8)
    np.testing.assert_allclose(new, natural_gradient_step(e, c * (1 - float(MDP5.gamma))), atol=1e-8)
    F = np.zeros((15, 15))  # by the pseudo-inverse, nothing of the package's linear algebra; parameters are [S,A] here
    for s in range(5):
        F[3 * s : 3 * s + 3, 3 * s : 3 * s + 3] = e.d[s] * (np.diag(e.pi[s]) - np.outer(e.pi[s], e.pi[s]))
    theta = np.log(e.pi) + c * (np.linalg.pinv(F, hermitian=True) @ (e.d[:, None] * e.pi * e.A).ravel()).reshape(5, 3)
    np.testing.assert_allclose(new, np.exp(theta) / np.exp(theta).sum(1, keepdims=True), atol=1e-8)


SOLVED = StepOptions(damping=1e-12, cg_iterations=500, cg_tolerance=1e-14, line_search=None)


def test_a_small_trust_region_step_approaches_the_exact_one():
    """The neural step linearises L and takes the KL to second order, so it is right to O(sqrt(delta)).

    In the log ratio of the laws, of size sqrt(delta), what is left out is of second order, so the relative difference falls as
    sqrt(delta): by 10 for a delta 100 times smaller.
    """
    start = tabular(MDP5)
    e = evaluate(MDP5, tabulate(start, MDP5))
    batch = Exact(MDP5).collect(start, None).batch
    deltas, differences = np.array([1e-3, 1e-4, 1e-5, 1e-6]), []
    for delta in deltas:
        policy, region = tabular(MDP5), Region("kl", "mean", delta)
        step(policy, batch, region, SOLVED)
        measure = np.sqrt(e.d[:, None] * e.pi)
        took, best = (measure * np.log(new / e.pi) for new in (tabulate(policy, MDP5), region_step(e, region)))
        differences.append(np.linalg.norm(took - best) / np.linalg.norm(best))
    orders = np.diff(np.log(differences)) / np.diff(np.log(deltas))
    assert differences[-1] < 2e-3
    np.testing.assert_allclose(orders, 0.5, atol=0.05)


def test_a_small_max_kl_step_gains_what_the_exact_one_does():
    """Up to the program's own gap of 1 %, and O(sqrt(delta)); rescaling the mean-KL direction gains less."""
    start = tabular(MDP5)
    e = evaluate(MDP5, tabulate(start, MDP5))
    batch = Exact(MDP5).collect(start, None).batch
    shares = {}
    for rounds in (0, 30):
        for delta in (1e-3, 1e-6):
            policy, region = tabular(MDP5), Region("kl", "max", delta)
            what = step(policy, batch, region, replace(SOLVED, max_kl_rounds=rounds))
            best = float(e.d @ (region_step(e, region) * e.A).sum(1))
            shares[rounds, delta] = what.gain / best
            assert what.kl_max == pytest.approx(delta, rel=5 * delta**0.5)
    assert 0.985 < shares[30, 1e-6] < 1.001
    assert abs(shares[30, 1e-3] - shares[30, 1e-6]) < 0.05
    assert shares[0, 1e-6] < 0.97


@pytest.mark.parametrize("kind", ["tabular", "mlp"])
def test_fisher_products_are_the_hessian_of_the_kl_and_the_outer_product_of_scores(kind):
    policy = make_policy(spaces.Discrete(5), spaces.Discrete(3), kind, hidden=(4,), dtype=torch.float64)
    theta = flat_parameters(policy)
    set_parameters(policy, theta + 0.5 * torch.from_numpy(np.random.default_rng(0).normal(size=len(theta))))
    batch = Exact(MDP5).collect(policy, None).batch
    linear, family = linearise(policy, batch.inputs), policy.family
    theta, h = linear.theta, 1e-4

    def kl(point, reverse=False):
        new = linear.at(point)
        return float(batch.weights @ (family.kl(new, linear.outputs) if reverse else family.kl(linear.outputs, new)))

    def hessian_product(v, reverse):  # e_k' H v by the mixed difference of four KLs
        units = torch.eye(len(theta), dtype=torch.float64) * h
        u = h * v
        corners = ((1, 1), (1, -1), (-1, 1), (-1, -1))
        return np.array([sum(i * j * kl(theta + i * e + j * u, reverse) for i, j in corners) / (4 * h * h) for e in units])

    v = torch.from_numpy(np.random.default_rng(1).normal(size=len(theta)))
    analytic = matrix("fisher", linear, family, batch, 0.0)(v).numpy()
    np.testing.assert_allclose(matrix("empirical", linear, family, batch, 0.0)(v).numpy(), analytic, atol=1e-13)
    for reverse in (False, True):
        np.testing.assert_allclose(hessian_product(v, reverse), analytic, atol=1e-6 * np.abs(analytic).max() + 2e-8)
    jacobian = torch.stack([linear.jvp(unit) for unit in torch.eye(len(theta), dtype=torch.float64)], -1)  # [N,K,P]
    pi = tabulate(policy, MDP5)
    total = np.zeros((len(theta), len(theta)))
    for s in range(5):
        for a in range(3):
            score = jacobian[s].numpy().T @ (np.eye(3)[a] - pi[s])
            total += float(batch.weights[s]) * pi[s, a] * np.outer(score, score)
    np.testing.assert_allclose(total @ v.numpy(), analytic, atol=1e-13)


def test_importance_sampling_misses_what_q_misses():
    """is-identity: without support the error is exactly the sum over the missing actions of pi' f."""
    policy = tabular(MDP5)
    full = Exact(MDP5).collect(policy, None).batch
    keep = torch.tensor([0, 2])
    part = Batch(full.inputs, full.actions[:, keep], full.log_q[:, keep], full.advantages[:, keep], full.weights)
    linear = linearise(policy, full.inputs)
    new = linear.at(linear.theta + shift_of(policy))
    pi = torch.softmax(new, -1)
    missing = float(full.weights @ (pi[:, 1] * full.advantages[:, 1]))
    assert part.gain(policy.family, new) - full.gain(policy.family, new) == pytest.approx(-missing, rel=1e-12)
    assert abs(missing) > 1e-3
    with pytest.raises(ValueError, match="log_q has a nan or infinite entry"):
        Batch(full.inputs, full.actions, full.log_q - np.inf, full.advantages, full.weights)


def z_scores(mdp, batches, make, policy=None):
    policy = policy or tabular(mdp)
    shift = shift_of(policy)
    truth = numbers(policy, Exact(mdp).collect(policy, None).batch, shift)
    vine = make()
    found = np.array([numbers(policy, vine.collect(policy, None).batch, shift) for _ in range(batches)])
    error = found.std(0, ddof=1) / np.sqrt(batches)
    moves = error > 1e-12  # a terminal state's parameters change nothing, without error
    assert np.abs((found.mean(0) - truth)[~moves]).max(initial=0) < 1e-12
    return ((found.mean(0) - truth) / np.where(moves, error, 1))[moves]


GOOD = dict(gamma=0.8, states=60, rollouts=3, length=40, paths=12, horizon=40, discounted=True, seed=1)
UNBIASED = {
    "policy": {},
    "uniform": {"q": "uniform"},
    "all": {"q": "all"},
    "one rollout": {"rollouts": 1},
    "own noise": {"q": "uniform", "common_random_numbers": False},
    "no baseline": {"q": "uniform", "baseline": False},
}
BIASED = {
    "gamma^t dropped": {"discounted": False, "q": "all"},
    "paper's weights": {"q": "uniform", "weights": "paper", "self_normalised": True},
    "self-normalised": {"q": "uniform", "self_normalised": True},
    "short rollouts": {"length": 2, "q": "all"},
}


@pytest.mark.parametrize(("mdp", "name"), [*((MDP5, name) for name in UNBIASED), (ENDS, "uniform"), (ENDS, "all")])
def test_vine_has_no_bias(mdp, name):
    """What gamma^40 = 1e-4 cuts off is far below the standard errors."""
    assert np.abs(z_scores(mdp, 80, lambda: Vine(TabularEnv(mdp), **GOOD | UNBIASED[name]))).max() < BOUND


@pytest.mark.parametrize("name", BIASED)
def test_biased_vines_are_seen_to_be(name):
    assert np.abs(z_scores(MDP5, 120, lambda: Vine(TabularEnv(MDP5), **GOOD | BIASED[name]))).max() > BOUND


def test_self_normalised_weights_are_consistent_and_the_papers_are_not():
    """With so many actions a state the bias of the former is gone, that of the latter stays. q = policy makes both the same."""
    many = GOOD | {"rollouts": 100, "states": 20, "self_normalised": True, "q": "uniform"}
    right = np.abs(z_scores(MDP5, 30, lambda: Vine(TabularEnv(MDP5), **many))).max()
    wrong = np.abs(z_scores(MDP5, 30, lambda: Vine(TabularEnv(MDP5), **many | {"weights": "paper"}))).max()
    assert right < BOUND < wrong
    policy = tabular(MDP5)
    same = [
        Vine(TabularEnv(MDP5), **GOOD | {"q": "policy", "weights": weights}).collect(policy, None).batch
        for weights in ("correct", "paper")
    ]
    assert torch.equal(same[0].log_q, same[1].log_q)


@pytest.mark.parametrize("copies", [1, 5])
def test_stepping_an_environment_has_no_bias_either(copies):
    """The other world: saved states of a wrapped environment that terminates."""
    make = functools.partial(gymnasium.wrappers.TimeLimit, TabularEnv(ENDS), 1000)
    env = (lambda: gymnasium.wrappers.TimeLimit(TabularEnv(ENDS), 1000)) if copies > 1 else make()
    small = GOOD | {"states": 10, "rollouts": 2, "paths": 4, "copies": copies, "q": "uniform"}
    assert np.abs(z_scores(ENDS, 60, lambda: Vine(env, **small))).max() < BOUND


WORLDS = {
    "tables": lambda: (Tables(ENDS), lambda s: s),
    "simulator": lambda: (Simulator([TabularEnv(ENDS) for _ in range(20)]), None),
}


@pytest.mark.parametrize("world", WORLDS)
def test_rollouts_estimate_Q_and_share_noise_where_they_should(world):
    policy, n = tabular(ENDS), 300
    played = WORLDS[world]()[0]
    rng = np.random.default_rng(0)
    trunk = played.trunk(policy, Plan(40, 20, n, 0.8), rng)
    at = trunk.observations
    actions = torch.tensor([[0], [1], [1]]).expand(n, 3, 1)
    Q = evaluate(ENDS, tabulate(policy, ENDS)).Q
    for common in (True, False):
        found, steps = played.rollouts(policy, trunk.places, actions, Rolls(40, 0.8, common), rng)
        assert steps > 2 * n
        for s in (0, 1):
            sample = found[at == s]
            z = (sample.mean(0) - Q[s][[0, 1, 1]]) / (sample.std(0, ddof=1) / np.sqrt(len(sample)))
            assert np.abs(z).max() < BOUND
        assert not found[at == 2].any()
        assert np.array_equal(found[:, 1], found[:, 2]) == common
    assert found[at != 2].std() > 0


def test_the_environments_noise_is_shared_only_where_it_should_be():
    """Here actions change nothing: whatever differs between rollouts is the environment's noise."""
    coin = MDP(P=np.full((2, 2, 2), 0.5), R=[[0, 0], [1, 1]], rho0=[0.5, 0.5], gamma=0.8)
    policy, rng = tabular(coin), np.random.default_rng(0)
    for played in (Tables(coin), Simulator([TabularEnv(coin)])):
        trunk = played.trunk(policy, Plan(2, 5, 20, 1.0), rng)
        for common in (True, False):
            found, _ = played.rollouts(policy, trunk.places, torch.zeros(20, 2, 1).long(), Rolls(20, 0.8, common), rng)
            assert np.array_equal(found[:, 0], found[:, 1]) == common


@pytest.mark.parametrize("world", WORLDS)
def test_states_are_chosen_by_their_weights(world):
    """Discounted, the chosen states follow d, with the terminal one; undiscounted, the visits of whole episodes without it."""
    policy = tabular(ENDS)
    played = WORLDS[world]()[0]
    e = evaluate(ENDS, tabulate(policy, ENDS))
    rng = np.random.default_rng(0)
    P = np.einsum("sa,sat->st", e.pi, ENDS.P)[:2, :2]
    visits = np.append(ENDS.rho0[:2] @ np.linalg.inv(np.eye(2) - P), 0)
    for discount, expected in ((0.8, e.d), (1.0, visits / visits.sum())):
        counts, paths = np.zeros(3), 150
        for _ in range(20):
            chosen = played.trunk(policy, Plan(paths, 60, paths, discount), rng).observations
            counts += np.bincount(chosen, minlength=3)
        share = counts / counts.sum()
        # a path visits its states in a row, so the states of 3000 paths are worth 3000/5 at least, 5 a long run
        assert np.abs(share - expected).max() < BOUND * np.sqrt(0.25 / (3000 / 5))
    assert e.d[2] > 0.3  # the twin: leaving the terminal state out is far outside of that


def test_trunks_report_their_episodes():
    policy = tabular(ENDS)
    for make in WORLDS.values():
        trunk = make()[0].trunk(policy, Plan(500, 200, 3, 1.0), np.random.default_rng(0))
        lengths = np.asarray(trunk.lengths)
        assert len(trunk.returns) == len(lengths) == 500
        assert trunk.steps == lengths.sum()
        e = evaluate(MDP(ENDS.P, ENDS.R, ENDS.rho0, 1 - 1e-9), tabulate(policy, ENDS))
        assert abs(trunk.returns.mean() - float(e.eta)) < BOUND * trunk.returns.std() / np.sqrt(500)


CONTROL = ["CartPole-v1", "Pendulum-v1", "MountainCarContinuous-v0", "Acrobot-v1"]


@pytest.mark.parametrize("id", [*CONTROL, "Hopper-v5", "FrozenLake-v1"])
def test_vine_works_on_environments_and_continues_from_its_state(id):
    if id == "Hopper-v5":
        pytest.importorskip("mujoco")
    make = functools.partial(gymnasium.make, id)
    env = make()
    policy = make_policy(env.observation_space, env.action_space, "linear")
    options = dict(gamma=0.9, states=6, rollouts=3, length=5, paths=2, horizon=20)
    vine = Vine(make, **options, copies=3)
    first = vine.collect(policy, None)
    assert first.batch.actions.shape[:2] == (6, 3)
    assert first.observations.shape == (6, *(env.observation_space.shape or ()))
    assert 6 * 3 <= first.steps <= 2 * 20 + 6 * 3 * 5
    state = pickle.loads(pickle.dumps(vine.state()))
    second, other = vine.collect(policy, None), Vine(make, **options, copies=3)
    other.restore(state)
    again = other.collect(policy, None)
    assert torch.equal(second.batch.advantages, again.batch.advantages)
    assert not torch.equal(first.batch.inputs, again.batch.inputs)
    assert step(policy, second.batch, Region("kl", "mean", 0.01)).reason != "not finite"


def test_a_time_limit_cuts_neither_paths_nor_rollouts_short():
    """Pendulum's rewards are negative at every step: a rollout that stopped at the limit would have a lesser cost."""
    env = gymnasium.make("Pendulum-v1", max_episode_steps=12)
    policy = make_policy(env.observation_space, env.action_space, "linear")
    vine = Vine(env, gamma=1.0, states=40, rollouts=1, length=30, paths=3, horizon=50)
    sample = vine.collect(policy, None)
    assert sample.steps == 3 * 50 + 40 * 30
    assert sample.lengths.tolist() == [12] * 3  # what is reported are episodes as the environment has them


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_a_time_limit_leaves_the_choice_of_states_alone(discount):
    """State 0 is never left, 1 at once for 2, which is terminal: d = (1/2, (1-gamma)/2, gamma/2), 60 steps have 0.998 of it."""
    mdp = MDP(P=np.eye(3)[[[0], [2], [2]]], R=[[1], [1], [0]], rho0=[0.5, 0.5, 0], gamma=0.9)
    policy, chosen = tabular(mdp), []
    for limit in (5, 1000):
        played = Simulator([gymnasium.wrappers.TimeLimit(TabularEnv(mdp), limit) for _ in range(10)])
        chosen.append(played.trunk(policy, Plan(400, 60, 400, discount), np.random.default_rng(0)).observations)
    assert np.array_equal(*chosen)
    d = evaluate(mdp, tabulate(policy, mdp)).d if discount < 1 else np.array([60, 1, 0]) / 61
    share = np.bincount(chosen[0], minlength=3) / 400
    assert np.abs(share - d).max() < BOUND * np.sqrt(0.25 / 400 + 0.25 / 400)  # the starts of 400 paths, and 400 draws


def test_no_uniform_number_leads_outside_the_tables():
    """The tables' sums miss 1 by a rounding: the largest number that is drawn, 1 - 2^-53, still has to find a state."""
    P = np.random.default_rng(0).dirichlet(np.ones(20), size=(20, 2))
    mdp = MDP(P, np.ones((20, 2)), np.full(20, 0.05), 0.9)
    assert (mdp.P.cumsum(-1)[..., -1] < mdp.P.sum(-1)).any()  # added up in another order
    for action in (0, 1):
        reached, _ = Tables(mdp)._step(np.arange(20), np.full(20, action), np.full(20, 1 - 2**-53))
        assert (reached < 20).all()


def test_starts_that_are_all_terminal_are_named():
    over = MDP(ENDS.P, ENDS.R, [0, 0, 1], 0.8)
    with pytest.raises(ValueError, match=r"every start of MDP\(S=3.* is terminal, where no action matters; give rho0"):
        Vine(TabularEnv(over), **GOOD)
    rarely = MDP(ENDS.P, ENDS.R, [1e-9, 0, 1 - 1e-9], 0.8)
    assert len(Vine(TabularEnv(rarely), **GOOD).collect(tabular(rarely), None).batch) == GOOD["states"]
    with pytest.raises(ValueError, match="all 12 paths began in terminal states, which equal weights leave out; raise paths"):
        Vine(TabularEnv(rarely), **GOOD | {"discounted": False}).collect(tabular(rarely), None)


def test_every_copy_goes_on_from_its_own_state():
    """A wrapper's running moments differ between copies: all of them are saved."""

    def make():
        return gymnasium.wrappers.NormalizeObservation(gymnasium.make("CartPole-v1"))

    options = dict(gamma=0.9, states=6, rollouts=2, length=5, paths=6, horizon=20, copies=3)
    policy = make_policy(make().observation_space, make().action_space, "linear")
    vine, other = Vine(make, **options), Vine(make, **options)
    for _ in range(2):
        vine.collect(policy, None)
    other.restore(pickle.loads(pickle.dumps(vine.state())))
    for _ in range(2):
        first, second = vine.collect(policy, None), other.collect(policy, None)
        assert np.array_equal(first.observations, second.observations)
        assert torch.equal(first.batch.advantages, second.batch.advantages)
    with pytest.raises(CannotRestore, match=r"3 copies of .*CartPole.* were saved, and there are 2; make as many"):
        Vine(make, **options | {"copies": 2}).restore(vine.state())


def test_q_is_what_it_says():
    """Batch.log_q is log of M q(a): A = 3 actions, M = 3 rollouts; all actions once have q = 1."""
    policy = tabular(MDP5)
    batch = Vine(TabularEnv(MDP5), **GOOD | {"q": "uniform", "states": 1000}).collect(policy, None).batch
    np.testing.assert_allclose(batch.log_q.numpy(), np.log(3 / 3), atol=1e-15)
    share = np.bincount(batch.actions.ravel().numpy()) / 3000
    assert np.abs(share - 1 / 3).max() < BOUND * np.sqrt(2 / 9 / 3000)
    drawn = Vine(TabularEnv(MDP5), **GOOD | {"q": "policy"}).collect(policy, None).batch
    pi = tabulate(policy, MDP5)[drawn.inputs.argmax(1).numpy()[:, None], drawn.actions[..., 0].numpy()]
    np.testing.assert_allclose(drawn.log_q.exp().numpy(), 3 * pi, rtol=1e-12)
    assert not Vine(TabularEnv(MDP5), **GOOD | {"q": "all"}).collect(policy, None).batch.log_q.any()


def test_common_random_numbers_lower_the_variance():
    """Where the noise is the environment's, differences of Q are what remains."""
    policy = tabular(MDP5)
    spread = {}
    for common in (True, False):
        vine = Vine(TabularEnv(MDP5), **GOOD | {"q": "all", "common_random_numbers": common})
        spread[common] = np.array([vine.collect(policy, None).batch.advantages.var() for _ in range(50)]).mean()
    assert spread[True] < spread[False]


def test_what_is_wrong_is_said():
    env = TabularEnv(MDP5)
    box = gymnasium.make("Pendulum-v1")
    policy = make_policy(box.observation_space, box.action_space, "linear")
    wrong = {
        ("q", "best"): "q is 'best'; expected one of 'policy', 'uniform', 'all'",
        ("rollouts", 0): "rollouts is 0; expected at least 1",
        ("gamma", 1.1): r"gamma is 1.1; expected a number in \[0, 1\]",
        ("weights", "printed"): "weights is 'printed'",
    }
    for (name, value), message in wrong.items():
        with pytest.raises(ValueError, match=message):
            Vine(env, **{name: value})
    with pytest.raises(ValueError, match="weights is 'paper' with q='all'"):
        Vine(env, q="all", weights="paper")
    with pytest.raises(ValueError, match="expected a single gymnasium environment"):
        Vine(gymnasium.make_vec("CartPole-v1", 2))
    for q, message in {"all": "q='all' lists the options of one choice", "uniform": "q='uniform' needs finitely many"}.items():
        with pytest.raises(ValueError, match=message):
            Vine(box, q=q, states=2, paths=1, horizon=2, length=1).collect(policy, None)

    class Locked(TabularEnv):
        def __init__(self, mdp):
            super().__init__(mdp)
            self.file = open(__file__)  # noqa: SIM115

    locked = Locked(MDP5)
    with pytest.raises(CannotRestore, match=r"Locked\.file is TextIOWrapper"):
        Vine(locked)
    locked.file.close()


def test_a_frozen_lake_has_its_table():
    """The exact batch of a process read from gymnasium fits a policy of the environment itself."""
    env = gymnasium.make("FrozenLake-v1")
    policy = make_policy(env.observation_space, env.action_space, "tabular")
    batch = Exact(from_gymnasium("FrozenLake-v1", gamma=0.9)).collect(policy, None).batch
    assert len(batch) == 16
    assert float(batch.weights.sum()) == pytest.approx(1, rel=1e-6)
