"""Baselines: searches against functions with a known maximum, returns against hand-counted episodes, regression against numpy."""

import sys
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from policy_cases import build, draw_batch

from mdps.families import riverswim
from mdps.gym_bridge import TabularEnv, TabularVectorEnv
from mdps.mdp import MDP
from trpo.baselines import MeanReturn, covariance_adaptation, cross_entropy, play, reward_weighted_regression
from trpo.batch import Batch
from trpo.linearise import flat_parameters
from trpo.policies import make_policy

SEARCHES = {"cem": partial(cross_entropy, noise=0.5, noise_decay=0.05), "cma": covariance_adaptation}
searches = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
PEAK = np.array([1.0, -2.0, 0.5])


def quadratic(theta):
    return -float(((theta - PEAK) ** 2 * [1, 3, 10]).sum())


# ------------------------------------------------------------------------------------------------- searches


@searches
def test_a_quadratic_is_maximised(search):
    generations = list(search(quadratic, np.zeros(3), iterations=60, population=30, seed=1))
    np.testing.assert_allclose(generations[-1].theta, PEAK, atol=1e-2)
    np.testing.assert_allclose(generations[-1].best_theta, PEAK, atol=1e-2)
    assert generations[-1].spread < 0.1 * generations[0].spread


@searches
def test_generations_say_what_was_evaluated(search):
    seen = []

    def score(theta):
        seen.append((quadratic(theta), theta.copy()))
        return seen[-1][0]

    for t, generation in enumerate(search(score, np.zeros(3), iterations=7, population=12, seed=0), 1):
        scores = [value for value, _ in seen]
        assert (generation.iteration, generation.evaluations) == (t, 12 * t) == (t, len(seen))
        np.testing.assert_array_equal(generation.scores, scores[-12:])
        assert generation.mean == pytest.approx(np.mean(scores[-12:]))
        assert generation.best == max(scores)
        np.testing.assert_array_equal(generation.best_theta, seen[int(np.argmax(scores))][1])
    assert t == 7


@searches
def test_a_seed_fixes_a_search_and_the_global_generator_plays_no_part(search):
    def run(seed):
        return np.array([g.theta for g in search(quadratic, np.zeros(3), iterations=4, seed=seed)])

    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = run(0)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(run(0), first)
    assert (run(1) != first).any()


@searches
def test_the_start_is_left_alone(search):
    start = np.zeros(3)
    list(search(quadratic, start, iterations=2))
    assert not start.any()


def test_cem_fits_mean_and_variance_of_the_elite_and_adds_noise():
    drawn = []

    def score(theta):
        drawn.append(theta)
        return quadratic(theta)

    generation = next(cross_entropy(score, np.zeros(3), population=10, elite=0.3, noise=0.5, noise_decay=0.1, seed=3))
    elite = np.array(sorted(drawn, key=quadratic)[-3:])
    np.testing.assert_allclose(generation.theta, elite.mean(0), rtol=1e-12)
    assert generation.spread == pytest.approx(np.sqrt((elite.var(0) + 0.4).mean()), rel=1e-12)


def test_noise_keeps_cem_searching():
    """From a start far away with a small deviation: alone it shrinks on the way, with decreasing noise it arrives."""

    def end(noise):
        *_, last = cross_entropy(
            lambda x: -abs(float(x[0]) - 20), [0.0], std=0.1, noise=noise, noise_decay=noise / 30, iterations=60
        )
        return float(last.theta[0])

    assert end(0.0) < 2
    assert end(4.0) == pytest.approx(20, abs=0.1)


@searches
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"std": 0.0}, "std is 0.0"),
        ({"std": float("nan")}, "std is nan"),
        ({"iterations": 0}, "iterations 0"),
        ({"population": 0}, "population is 0|population 0"),
        ({"theta0": np.zeros((2, 2))}, r"theta0 has shape \(2, 2\); expected a vector"),
        ({"theta0": []}, r"theta0 has shape \(0,\)"),
        ({"theta0": [0.0, np.nan]}, "all finite"),
    ],
)
def test_mistakes_are_named_at_the_call(search, changes, message):
    arguments = {"theta0": np.zeros(3), **changes}
    with pytest.raises(ValueError, match=message):
        search(quadratic, **arguments)


@pytest.mark.parametrize("changes", [{"elite": 0.0}, {"elite": 1.5}, {"noise": -1.0}, {"noise_decay": -1.0}])
def test_mistakes_of_cem(changes):
    (name, value) = next(iter(changes.items()))
    with pytest.raises(ValueError, match=f"{name} (is )?{value}"):
        cross_entropy(quadratic, np.zeros(3), **changes)


@searches
def test_a_score_of_nan_is_named(search):
    values = iter([1.0, 2.0, float("nan")])
    with pytest.raises(ValueError, match="evaluation 3 of the score gave nan"):
        next(search(lambda theta: next(values), np.zeros(2), population=5))


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cma", None)
    with pytest.raises(ImportError, match="pip install cma"):
        covariance_adaptation(quadratic, np.zeros(2))


def test_cma_of_one_parameter_and_of_variances_alone():
    *_, last = covariance_adaptation(lambda x: -float((x[0] - 3) ** 2), [0.0], iterations=60)
    assert last.theta[0] == pytest.approx(3, abs=1e-2)
    *_, last = covariance_adaptation(quadratic, np.zeros(3), iterations=100, diagonal=True)
    np.testing.assert_allclose(last.theta, PEAK, atol=1e-2)


# ------------------------------------------------------------------------------------------------- returns


class Countdown(gymnasium.Env):
    """Episodes last 3, 4, 5, 3, ... steps and pay 1, 10, 100, ...; action 1 adds 0.5 to each."""

    observation_space = spaces.Box(0, 9, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self, truncates=False):
        self.truncates, self.episode = truncates, -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.episode = -1
        self.episode += 1
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.t += 1
        done = self.t == 3 + self.episode % 3
        reward = 10.0 ** (self.t - 1) + 0.5 * float(action)
        return np.full(1, self.t, np.float32), reward, done and not self.truncates, done and self.truncates, {}


def always(action):
    policy = make_policy(Countdown.observation_space, Countdown.action_space, "linear")
    with torch.no_grad():
        policy.network[0].bias.copy_(torch.tensor([-1.0, 1.0]) * (1 if action else -1) * 50)
    return policy


MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("truncates", [False, True])
@pytest.mark.parametrize("deterministic", [False, True])
def test_returns_and_lengths_are_those_counted_by_hand(mode, truncates, deterministic):
    """Five episodes of two copies: three of the first, two of the second, although the second is ready for more."""
    env = SyncVectorEnv([lambda: Countdown(truncates)] * 2, autoreset_mode=mode)
    played = play(always(1), env, 5, seed=0, deterministic=deterministic)
    lengths = [3, 4, 5, 3, 4]
    assert played.lengths.tolist() == lengths
    np.testing.assert_allclose(played.returns, [int("1" * n) + 0.5 * n for n in lengths])
    assert played.steps == 19
    np.testing.assert_allclose(play(always(0), env, 1, seed=0).returns, [111])


@pytest.mark.parametrize("mode", MODES)
def test_the_mean_return_is_that_of_the_mdp(mode):
    """From state 0: go on with probability 0.7 for a reward of 1, else end. Expected 0.7/0.3 more steps, 7/3."""
    P = np.array([[[0.7, 0.3]], [[0.0, 1.0]]])
    mdp = MDP(P, np.array([[1.0], [0.0]]), np.array([1.0, 0.0]), 0.9)
    env = (
        TabularVectorEnv(mdp, 8)
        if mode == AutoresetMode.NEXT_STEP
        else SyncVectorEnv([lambda: TabularEnv(mdp)] * 8, autoreset_mode=mode)
    )
    policy = make_policy(spaces.Discrete(2), spaces.Discrete(1), "tabular")
    played = play(policy, env, 4000, seed=0)
    # length geometric with mean 10/3 and deviation sqrt(0.7)/0.3 = 2.8; the reward of every step is 1
    assert played.returns.mean() == pytest.approx(10 / 3, abs=5 * 2.8 / 4000**0.5)
    np.testing.assert_array_equal(played.returns, played.lengths)


def test_play_is_seeded():
    env = gymnasium.make_vec("CartPole-v1", num_envs=3)
    policy = make_policy(env.single_observation_space, env.single_action_space, "linear")
    a, b, c = (play(policy, env, 5, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.returns, b.returns)
    assert (a.returns != c.returns).any()


def test_play_mistakes():
    policy = always(0)
    with pytest.raises(ValueError, match="expected a gymnasium vector environment"):
        play(policy, Countdown(), 1, seed=0)
    with pytest.raises(ValueError, match="autoreset NEXT_STEP or SAME_STEP"):
        play(policy, SyncVectorEnv([Countdown], autoreset_mode=AutoresetMode.DISABLED), 1, seed=0)
    env = SyncVectorEnv([Countdown])
    with pytest.raises(ValueError, match="episodes is 0"):
        play(policy, env, 0, seed=0)
    endless = TabularVectorEnv(riverswim(gamma=0.9), 2)
    table = make_policy(endless.single_observation_space, endless.single_action_space, "tabular")
    with pytest.raises(ValueError, match="longer than 50 steps"):
        play(table, endless, 1, seed=0, limit=50)


@searches
def test_a_linear_policy_learns_cart_pole(search):
    env = gymnasium.make_vec("CartPole-v1", num_envs=3, max_episode_steps=100)  # returns are lengths, 100 at most
    policy = make_policy(env.single_observation_space, env.single_action_space, "linear")
    score = MeanReturn(policy, env, 3, seed=0, deterministic=True)
    at_first = score(score.start)
    steps = round(3 * at_first)
    assert score.steps == steps
    for generation in search(score, score.start, std=1.0, population=12, iterations=10, seed=0):
        steps += round(3 * generation.scores.sum())
        assert score.steps == steps  # every step is counted once
    assert at_first < 70
    assert score(generation.theta) > 90
    torch.testing.assert_close(flat_parameters(policy), torch.as_tensor(generation.theta).float())


# ------------------------------------------------------------------------------------------------- regression


def test_rwr_of_a_linear_gaussian_policy_is_weighted_least_squares():
    policy = build("linear", "gaussian")
    batch = draw_batch(policy, 40)
    u = batch.weights.numpy() * np.exp(batch.advantages[:, 0].numpy() / 0.7)
    u /= u.sum()
    X = np.hstack([batch.inputs.numpy(), np.ones((40, 1))])
    actions = batch.actions[:, 0].numpy()
    B = np.linalg.lstsq(np.sqrt(u)[:, None] * X, np.sqrt(u)[:, None] * actions, rcond=None)[0]
    variance = (u[:, None] * (actions - X @ B) ** 2).sum(0)
    what = reward_weighted_regression(policy, batch, temperature=0.7, iterations=50, damping=0.0)
    np.testing.assert_allclose(policy.network[0].weight.detach(), B[:3].T, atol=1e-4)
    np.testing.assert_allclose(policy.network[0].bias.detach(), B[3], atol=1e-4)
    np.testing.assert_allclose(policy.log_std.detach(), np.log(variance) / 2, atol=1e-4)
    assert what.effective == pytest.approx(1 / (u**2).sum())
    expected = -(u[:, None] * ((actions - X @ B) ** 2 / variance + np.log(2 * np.pi * variance)) / 2).sum()
    assert what.likelihood == pytest.approx(expected, rel=1e-6)
    assert what.likelihood > what.likelihood_before


@pytest.mark.parametrize("m", [1, 3])
def test_rwr_of_a_table_is_the_weighted_frequency(m):
    policy = build("tabular", "categorical")
    batch = draw_batch(policy, 300, m)
    u = batch.weights[:, None] * torch.exp(batch.advantages / 2)
    p = torch.zeros(5, 4).double()
    state = batch.inputs.argmax(1)[:, None].expand(-1, m)
    p.index_put_((state.flatten(), batch.actions[..., 0].flatten()), u.flatten(), accumulate=True)
    what = reward_weighted_regression(policy, batch, temperature=2.0, iterations=50, damping=1e-12, cg_iterations=40)
    found = torch.softmax(policy(torch.eye(5).double()), -1).detach()
    torch.testing.assert_close(found, p / p.sum(1, keepdim=True), rtol=0, atol=1e-3)
    assert what.kl_mean > 0


def test_rwr_finds_the_best_arm():
    policy = make_policy(spaces.Discrete(1), spaces.Discrete(3), "tabular", dtype=torch.float64)
    rng, rewards = np.random.default_rng(0), torch.tensor([0.0, 1.0, 0.3]).double()
    inputs = policy.inputs(np.zeros(200, int))
    for _ in range(8):
        z = policy(inputs).detach()
        actions = policy.family.sample(z, policy.family.noise(200, rng))[:, None]
        batch = Batch(
            inputs, actions, policy.family.log_prob(z, actions), rewards[actions[..., 0]], torch.full((200,), 1 / 200).double()
        )
        reward_weighted_regression(policy, batch, temperature=0.5)
    assert torch.softmax(policy(inputs[:1]), -1)[0, 1] > 0.95


def test_rwr_does_not_see_a_constant_added_to_all_returns_nor_overflow():
    results = []
    for shift in (0.0, 1e4):
        policy = build("linear", "gaussian")
        batch = draw_batch(policy, 20)
        moved = Batch(batch.inputs, batch.actions, batch.log_q, batch.advantages + shift, batch.weights)
        reward_weighted_regression(policy, moved)
        results.append(flat_parameters(policy))
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "message"), [({"temperature": 0.0}, "temperature is 0.0"), ({"iterations": 0}, "iterations 0")]
)
def test_rwr_mistakes(changes, message):
    policy = build("linear", "gaussian")
    with pytest.raises(ValueError, match=message):
        reward_weighted_regression(policy, draw_batch(policy, 5), **changes)
