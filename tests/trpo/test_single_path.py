"""What a single path makes of episodes, against sums written out one term at a time."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from tiny_envs import Broken, Locked, Match, Random, Scripted, copies
from torch import nn

from mdps import MDP
from mdps.gym_bridge import TabularVectorEnv
from trpo.advantages import gae
from trpo.normaliser import Normaliser
from trpo.policies import make_policy
from trpo.samplers.paths import as_env_actions
from trpo.samplers.single_path import SinglePath
from trpo.values import ValueFunction

GAMMA, LAM = 0.9, 0.7
MODES = ["NextStep", "SameStep"]
ENDS = (3, "terminated"), (4, "truncated"), (2, "truncated"), (5, "terminated")


def policy_of(env):
    return make_policy(env.single_observation_space, env.single_action_space, hidden=(8,), seed=1)


def linear_value(*weights, bias=0.0):
    layer = nn.Linear(len(weights), 1)
    layer.weight.data[:] = torch.tensor([weights])
    layer.bias.data[:] = bias
    return ValueFunction(nn.Sequential(layer))


def value(observation):
    """What linear_value(2, -3, bias=1) says."""
    return 2 * observation[0] - 3 * observation[1] + 1


def sampler_of(env, **options):
    return SinglePath(env, **{"gamma": GAMMA, "lam": LAM, "standardise": False, **options})


def test_gae_is_its_sum_term_by_term():
    rng = np.random.default_rng(0)
    T, B = 12, 4
    rewards, values, following = rng.normal(size=(3, T, B))
    terminated = rng.random((T, B)) < 0.2
    ends = terminated | (rng.random((T, B)) < 0.2)
    found = gae(rewards, values, following, terminated, ends, GAMMA, LAM)
    for b in range(B):
        for t in range(T):
            total, factor = 0.0, 1.0
            for k in range(t, T):
                ahead = 0.0 if terminated[k, b] else following[k, b]
                total += factor * (rewards[k, b] + GAMMA * ahead - values[k, b])
                factor *= GAMMA * LAM
                if ends[k, b]:
                    break
            assert found[t, b] == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(("gamma", "lam"), [(1.1, 0.5), (-0.1, 0.5), (0.9, 1.5), (0.9, float("nan"))])
def test_gae_refuses_factors_out_of_range(gamma, lam):
    one = np.zeros((1, 1))
    with pytest.raises(ValueError, match="expected both in"):
        gae(one, one, one, one > 0, one > 0, gamma, lam)


def expected_rows(episodes, estimator="gae"):
    """Rows (episode, age, advantage, target) of whole scripted episodes, by brute force."""
    lam = LAM if estimator == "gae" else 1.0
    rows = []
    for e in range(episodes):
        length, how = ENDS[e % len(ENDS)]
        rewards = [1 + e + t**2 for t in range(length)]
        values = [value((e, t)) for t in range(length)] + [0.0 if how == "terminated" else value((e, length))]
        for t in range(length):
            advantage = sum((GAMMA * lam) ** (k - t) * (rewards[k] + GAMMA * values[k + 1] - values[k]) for k in range(t, length))
            rows.append((e, t, advantage, advantage + values[t]))
    return np.array(rows)


def rows_of(sample):
    rows = np.column_stack([sample.observations, sample.batch.advantages[:, 0].numpy(), sample.targets.numpy()])
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("estimator", ["gae", "monte_carlo"])
def test_whole_episodes_bootstrap_through_truncation_and_not_termination(mode, estimator):
    env = copies(lambda: Scripted(*ENDS), 1, mode)
    sample = sampler_of(env, episodes=4, estimator=estimator).collect(policy_of(env), linear_value(2, -3, bias=1))
    np.testing.assert_allclose(rows_of(sample), expected_rows(4, estimator), rtol=1e-5)
    assert sample.returns.tolist() == [sum(1 + e + t**2 for t in range(ENDS[e][0])) for e in range(4)]
    assert sample.lengths.tolist() == [length for length, _ in ENDS]
    assert sample.steps == sum(length for length, _ in ENDS) == len(sample.batch.inputs)


@pytest.mark.parametrize("mode", MODES)
def test_batches_of_steps_cut_episodes_and_go_on_with_them(mode):
    """Age weighs the states, and each cut is bridged by the value of the state that comes next."""
    env = copies(lambda: Scripted((5, "truncated")), 2, mode)
    sampler = sampler_of(env, steps=8, discounted=True, lam=0.0)
    seen = []
    for _ in range(6):
        sample = sampler.collect(policy_of(env), linear_value(2, -3, bias=1))
        ages = sample.observations[:, 1]
        assert (ages < 5).all()  # the state reached at the end is no state that was acted in
        np.testing.assert_allclose(sample.batch.weights, GAMMA**ages / (GAMMA**ages).sum(), rtol=1e-6)
        for (e, t), advantage in zip(sample.observations, sample.batch.advantages[:, 0], strict=True):
            expected = 1 + e + t**2 + GAMMA * value((e, t + 1)) - value((e, t))
            assert float(advantage) == pytest.approx(expected, rel=1e-5)
        assert sample.steps == len(ages)
        seen += sample.observations.tolist()
    whole = {(e, t): 2 for e in range(3) for t in range(5)}  # both copies
    assert {key: seen.count(list(map(float, key))) for key in whole} == whole


def test_rows_that_only_begin_an_episode_are_left_out_and_not_counted():
    env = copies(lambda: Scripted((3, "terminated")), 1)
    sample = sampler_of(env, steps=8).collect(policy_of(env), linear_value(0, 0))
    assert sample.observations.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert sample.steps == 6
    assert sample.returns.tolist() == [1 + 2 + 5, 2 + 3 + 6]


def test_without_values_monte_carlo_is_the_return_to_go():
    env = copies(lambda: Scripted((3, "terminated"), (4, "truncated")), 1)
    sample = sampler_of(env, episodes=2, estimator="monte_carlo").collect(policy_of(env), None)
    rewards = [[1, 2, 5], [2, 3, 6, 11]]
    expected = [sum(GAMMA ** (k - t) * own[k] for k in range(t, len(own))) for own in rewards for t in range(len(own))]
    np.testing.assert_allclose(sample.batch.advantages[:, 0], expected, rtol=1e-6)
    assert sample.targets is None


def test_a_horizon_begins_anew_in_all_copies():
    cycle = MDP(np.eye(4)[[[1], [2], [3], [0]]], np.zeros((4, 1)), np.eye(4)[0], 0.9)
    env = TabularVectorEnv(cycle, 3)
    sample = sampler_of(env, steps=20, horizon=3, discounted=True).collect(
        make_policy(env.single_observation_space, env.single_action_space, "tabular"), linear_value(0, 0, 0, 0)
    )
    assert sample.observations.reshape(3, 3, 3)[..., 0].tolist() == [[0, 1, 2]] * 3  # three walks of 3 steps of 3 copies
    np.testing.assert_allclose(sample.batch.weights, np.tile(np.repeat(GAMMA ** np.arange(3), 3), 3) / (9 * 2.71), rtol=1e-5)


def test_whole_episodes_are_as_many_from_every_copy_and_so_not_the_short_ones():
    """Episodes end with probability 1/10 a step: 10 steps on average. The first to end would be the shorter ones."""
    P = np.array([[[0.9, 0.1]], [[0, 1]]])
    env = TabularVectorEnv(MDP(P, np.array([[1.0], [0.0]]), np.array([1.0, 0.0]), 0.9), 8)
    policy = make_policy(env.single_observation_space, env.single_action_space, "tabular")
    sampler = sampler_of(env, episodes=10, estimator="monte_carlo", seed=5)
    samples = [sampler.collect(policy, None) for _ in range(100)]
    assert {len(sample.lengths) for sample in samples} == {16}  # rounded up to a multiple of the copies
    lengths = np.concatenate([sample.lengths for sample in samples])
    assert lengths.mean() == pytest.approx(10, abs=5 * np.sqrt(90 / len(lengths)))
    assert np.array_equal(np.concatenate([sample.returns for sample in samples]), lengths)
    assert sum(sample.steps for sample in samples) > lengths.sum() == sum(len(sample.batch) for sample in samples)


@pytest.mark.parametrize(("mode", "steps"), [("NextStep", 3 + 3 + 7), ("SameStep", 3 + 4 + 7)])
def test_steps_of_copies_that_wait_for_the_others_are_counted(mode, steps):
    """Episodes of 3 and of 7 steps: while the second copy ends its first, the first one begins a second, and a third."""
    lengths = iter((3, 7))
    env = copies(lambda: Scripted((next(lengths), "terminated")), 2, mode)
    sample = sampler_of(env, episodes=2, estimator="monte_carlo").collect(policy_of(env), None)
    assert sample.lengths.tolist() == [3, 7]
    assert len(sample.batch) == 10
    assert sample.steps == steps


def test_an_episode_that_never_ends_is_given_up():
    """Fifty steps are allowed where the limit is fifty, and none more."""
    env = copies(lambda: Scripted((50, "terminated")), 2)
    assert sampler_of(env, episodes=2, estimator="monte_carlo", limit=50).collect(policy_of(env), None).steps == 100
    env = copies(lambda: Scripted((51, "terminated")), 2)
    with pytest.raises(ValueError, match=r"an episode is longer than 50 steps; wrap the environment in gymnasium's TimeLimit"):
        sampler_of(env, episodes=2, estimator="monte_carlo", limit=50).collect(policy_of(env), None)


@pytest.mark.parametrize("mode", MODES)
def test_rewards_are_scaled_by_the_deviation_of_the_discounted_return(mode):
    env = copies(lambda: Scripted(*ENDS), 1, mode)
    sampler = sampler_of(env, episodes=4, estimator="monte_carlo", reward_scale=Normaliser(centre=False))
    running = []
    for first in (0, 4 + (mode == "SameStep")):  # which has begun an episode that the reset throws away
        sample = sampler.collect(policy_of(env), None)
        rewards = [[1 + e + t**2 for t in range(ENDS[e % 4][0])] for e in range(first, first + 4)]
        running += [sum(GAMMA ** (t - k) * own[k] for k in range(t + 1)) for own in rewards for t in range(len(own))]
        scaled = [np.clip(np.array(own) / np.std(running), -10, 10) for own in rewards]
        expected = [sum(GAMMA ** (k - t) * own[k] for k in range(t, len(own))) for own in scaled for t in range(len(own))]
        np.testing.assert_allclose(sample.batch.advantages[:, 0], expected, rtol=1e-5)
        assert sample.returns.tolist() == [sum(own) for own in rewards]  # as the environment gave them


def test_advantages_are_standardised_unless_told_otherwise():
    env = copies(lambda: Scripted(*ENDS), 2)
    advantages = sampler_of(env, steps=40, standardise=True).collect(policy_of(env), linear_value(1, 1)).batch.advantages
    assert float(advantages.mean()) == pytest.approx(0, abs=1e-6)
    assert float(advantages.square().mean()) == pytest.approx(1, rel=1e-5)


def test_probabilities_are_those_the_actions_were_drawn_with():
    env = copies(lambda: Random(spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (2,))), 2)
    policy = policy_of(env)
    batch = sampler_of(env, steps=20).collect(policy, linear_value(0, 0, 0)).batch
    with torch.no_grad():
        mean, log_std = policy(batch.inputs).chunk(2, -1)
    normal = torch.distributions.Normal(mean, log_std.exp())
    np.testing.assert_allclose(batch.log_q[:, 0], normal.log_prob(batch.actions[:, 0]).sum(-1), rtol=1e-5, atol=1e-6)
    assert float(batch.actions.abs().max()) > 1  # as drawn; the environment was given them clipped


def test_runs_of_neighbouring_seeds_share_no_episode():
    """Vector environments seed their copies by seed, seed + 1, ...: two runs would have all but one of them in common."""
    starts = []
    for seed in (0, 1, 2):
        env = copies(Match, 4)
        starts.append(sampler_of(env, steps=4, estimator="monte_carlo", seed=seed).collect(policy_of(env), None).observations)
    assert len(np.unique(np.concatenate(starts))) == 12


@pytest.mark.parametrize(
    ("space", "drawn", "given"),
    [
        (spaces.Discrete(3, start=5), [[0], [2]], [5, 7]),
        (spaces.MultiDiscrete([2, 3], start=[1, 4]), [[0, 2]], [[1, 6]]),
        (spaces.MultiBinary(2), [[0.0, 1.0]], [[0, 1]]),
        (spaces.Box(np.array([[-1, 0]], np.float32), np.array([[1, 3]], np.float32)), [[-5.0, 5.0]], [[[-1, 3]]]),
    ],
)
def test_actions_are_shifted_clipped_and_shaped_for_the_environment(space, drawn, given):
    actions = as_env_actions(space, torch.tensor(drawn))
    assert actions.tolist() == given
    assert all(space.contains(action) for action in actions)


@pytest.mark.parametrize(
    "make",
    [
        lambda: copies(Match, 3),
        lambda: copies(Match, 3, "SameStep"),
        lambda: copies(lambda: Scripted(*ENDS), 1),
        lambda: TabularVectorEnv(MDP(np.full((3, 2, 3), 1 / 3), np.arange(6.0).reshape(3, 2), np.full(3, 1 / 3), 0.9), 4),
    ],
)
def test_a_restored_sampler_goes_on_with_the_same_batches(make):
    def new():
        env = make()
        return sampler_of(env, steps=22, reward_scale=Normaliser(centre=False), seed=3, estimator="monte_carlo"), policy_of(env)

    (one, policy), (two, _) = new(), new()
    for _ in range(2):
        one.collect(policy, None)
    two.restore(one.state())
    for _ in range(3):
        left, right = one.collect(policy, None), two.collect(policy, None)
        assert np.array_equal(left.observations, right.observations)
        assert torch.equal(left.batch.actions, right.batch.actions)
        assert torch.equal(left.batch.advantages, right.batch.advantages)
        assert np.array_equal(left.returns, right.returns)


def test_environments_that_cannot_be_saved_or_differ_begin_new_episodes_other_than_the_first():
    env = copies(Locked)
    one, policy = sampler_of(env, steps=8, estimator="monte_carlo"), policy_of(env)
    first = one.collect(policy, None)
    with pytest.warns(UserWarning, match=r"lock.*will begin new episodes"):
        state = one.state()
    for other, said in ((copies(Locked), "were not saved"), (copies(Match, 5), "2 environments were saved, and there are 5")):
        two = sampler_of(other, steps=8, estimator="monte_carlo")
        with pytest.warns(UserWarning, match=f"new episodes begin.*{said}"):
            two.restore(state)
        sample = two.collect(policy, None)
        assert not np.isin(sample.observations[:2], first.observations).any()
    with pytest.warns(UserWarning, match="expected the same environment"):
        sampler_of(copies(lambda: Scripted(*ENDS))).restore(sampler_with_state().state())


def sampler_with_state():
    env = copies(Match)
    sampler = sampler_of(env, steps=4, estimator="monte_carlo")
    sampler.collect(policy_of(env), None)
    return sampler


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("reward", r"reward nan in copy 0 at step 2; nothing was updated"),
        ("observation", r"step 3.*observation 0 of 2 has a nan"),
    ],
)
def test_what_is_not_a_number_is_named(what, message):
    env = copies(lambda: Broken(what))
    with pytest.raises(ValueError, match=message):
        sampler_of(env, steps=20).collect(policy_of(env), linear_value(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"horizon": 0}, "horizon is 0"),
        ({"steps": 10.5}, "steps is 10.5; expected an integer"),
        ({"limit": 0}, "limit is 0"),
        ({"episodes": -1}, "episodes is -1"),
        ({"estimator": "td"}, "estimator is 'td'"),
        ({"gamma": 1.01}, "gamma is 1.01"),
        ({"lam": -1}, "lam -1"),
    ],
)
def test_wrong_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SinglePath(copies(Match), **options)


def test_what_is_no_vector_environment_is_refused():
    with pytest.raises(ValueError, match="expected a gymnasium vector environment"):
        SinglePath(Match())
    with pytest.raises(ValueError, match="autoreset mode"):
        SinglePath(SyncVectorEnv([Match], autoreset_mode="Disabled"))
    with pytest.raises(ValueError, match="needs a value function"):
        SinglePath(copies(Match)).collect(policy_of(copies(Match)), None)
