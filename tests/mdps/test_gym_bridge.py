"""The bridge against the raw tables, hand-made tables, statistics, and gymnasium's own vector environment."""

import types
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from mdps import MDP, evaluate, uniform_policy
from mdps.families import deep_sea, forest, garnet, riverswim, two_armed_bandit
from mdps.gym_bridge import TabularEnv, TabularVectorEnv, from_gymnasium
from mdps.optimal import optimal_policy

LAKE8 = {"map_name": "8x8"}
# id, arguments, number of states, and the return of the best policy in the limit gamma -> 1, if known:
# 14/17 on the 4x4 lake, the shortest ways 6, 14 and 13 steps long, 7.93 = mean of 21 - steps over Taxi's 300 starts
TABLES = [
    ("FrozenLake-v1", {}, 16, 14 / 17),
    ("FrozenLake-v1", {"is_slippery": False}, 16, 1.0),
    ("FrozenLake-v1", LAKE8, 64, 1.0),
    ("FrozenLake-v1", {**LAKE8, "is_slippery": False}, 64, 1.0),
    ("CliffWalking-v1", {}, 48, -13.0),
    ("CliffWalking-v1", {"is_slippery": True}, 48, None),
    ("Taxi-v4", {}, 501, 7.93),
    ("Taxi-v4", {"is_rainy": True}, 501, None),
]
SMALL = {
    "garnet": garnet(5, 3, 3, gamma=0.8, seed=0),
    "riverswim": riverswim("osband-2013", gamma=0.8),
    "forest": forest(gamma=0.8),
    "deep_sea": deep_sea(3, gamma=0.8),
    "two_armed_bandit": two_armed_bandit(gamma=0.8),
    "frozen_lake": from_gymnasium("FrozenLake-v1", gamma=0.8),
}


DETERMINISTIC = {
    "deep_sea": deep_sea(3, gamma=0.8),
    "frozen_lake": from_gymnasium("FrozenLake-v1", gamma=0.8, is_slippery=False),
}


def fake(table, start=(1.0,)):
    """An environment that has nothing but a table."""
    env = gymnasium.Env()
    env.P, env.initial_state_distrib = table, np.array(start)
    return env


# ---------------------------------------------------------------------------------------------- reading tables


@pytest.mark.parametrize(("name", "arguments", "states", "_best"), TABLES)
def test_return_is_that_of_the_raw_table(name, arguments, states, _best):
    """Follow the law of running episodes through the raw outcomes, step by step, ending them at ``terminated``."""
    gamma = 0.9
    mdp = from_gymnasium(name, gamma=gamma, **arguments)
    assert states == mdp.S
    env = gymnasium.make(name, **arguments).unwrapped
    outcomes = [(s, a, *outcome) for s, row in env.P.items() for a, outcomes in row.items() for outcome in outcomes]
    s, a, probability, to, reward, ends = (np.array(column) for column in zip(*outcomes, strict=True))
    raw_states, actions = len(env.P), len(env.P[0])
    pi = np.random.default_rng(0).dirichlet(np.ones(actions), size=raw_states)
    running, total = np.array(env.initial_state_distrib), 0.0
    for t in range(400):  # 0.9^400 * 100 / 0.1 < 1e-15
        flow = running[s] * pi[s, a] * probability
        total += gamma**t * (flow * reward).sum()
        running = np.bincount(to[~ends], flow[~ends], minlength=raw_states)
    padded = np.concatenate([pi, np.full((mdp.S - raw_states, actions), 1 / actions)])
    assert evaluate(mdp, padded).eta == pytest.approx(total, rel=1e-13)


@pytest.mark.parametrize(("name", "arguments", "_states", "best"), [row for row in TABLES if row[3] is not None])
def test_best_return_is_the_known_one(name, arguments, _states, best):
    assert optimal_policy(from_gymnasium(name, gamma=1 - 1e-12, **arguments))[1].eta == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("arguments", [{}, LAKE8, {"is_slippery": False}])
def test_frozen_lake_absorbs_in_holes_and_the_goal(arguments):
    mdp = from_gymnasium("FrozenLake-v1", gamma=0.9, **arguments)
    letters = gymnasium.make("FrozenLake-v1", **arguments).unwrapped.desc.ravel()
    stays = (mdp.P[np.arange(mdp.S), :, np.arange(mdp.S)] == 1).all(-1)
    np.testing.assert_array_equal(stays, np.isin(letters, [b"H", b"G"]))


def test_cliff_absorbs_in_the_goal_alone_and_taxi_in_a_state_of_its_own():
    cliff, taxi = from_gymnasium("CliffWalking-v1", gamma=0.9), from_gymnasium("Taxi-v4", gamma=0.9)
    raw = gymnasium.make("Taxi-v4").unwrapped.P
    for mdp, end in ((cliff, 47), (taxi, 500)):
        absorbed = (mdp.P[np.arange(mdp.S), :, np.arange(mdp.S)] == 1).all(-1) & (mdp.R == 0).all(-1)
        assert np.flatnonzero(absorbed).tolist() == [end]
    assert taxi.P[:500, :, 500].sum() == 4  # one drop-off each at the four landmarks
    for s in (0, 85, 410, 475):  # the drop-off states: their own rows are kept
        assert taxi.R[s].tolist() == [raw[s][a][0][2] for a in range(6)]
        assert taxi.P[s].argmax(-1).tolist() == [raw[s][a][0][1] for a in range(6)]


def test_rewards_are_averaged_over_next_states():
    table = {0: {0: [(0.25, 0, 8.0, False), (0.5, 1, -2.0, True), (0.25, 1, 4.0, True)]}, 1: {0: [(1.0, 0, 9.0, False)]}}
    mdp = from_gymnasium(fake(table, (1.0, 0.0)), gamma=0.5)
    np.testing.assert_array_equal(mdp.P[:, 0], [[0.25, 0.75], [0, 1]])
    np.testing.assert_array_equal(mdp.R[:, 0], [2.0, 0.0])  # 0.25 * 8 - 0.5 * 2 + 0.25 * 4; the terminal row's 9 is gone


def go(to, ends, reward=1.0):
    return {0: [(1.0, to, reward, ends)]}


@pytest.mark.parametrize(
    ("table", "start", "next_states", "rewards"),
    [
        # the only way into 1 ends the episode: 1 absorbs
        ({0: go(1, True), 1: go(0, False)}, (1, 0), [1, 1], [1, 0]),
        # an episode may start in 1, so its row counts and the end is a third state
        ({0: go(1, True), 1: go(0, False)}, (0.5, 0.5), [2, 0, 2], [1, 1, 0]),
        # 1 and 2 both end episodes; 2 is entered without an end, but only from 1, which absorbs: both absorb
        ({0: go(1, True), 1: go(2, False), 2: go(2, True)}, (1, 0, 0), [1, 1, 2], [1, 0, 0]),
        # the same where episodes start in 1: it is live, which makes 2 live, and both ends lead to a fourth state
        ({0: go(1, True), 1: go(2, False), 2: go(2, True)}, (0, 1, 0), [3, 2, 3, 3], [1, 1, 1, 0]),
        # nothing ends
        ({0: go(1, False), 1: go(0, False)}, (1, 0), [1, 0], [1, 1]),
        # an outcome of probability 0 does not count
        ({0: {0: [(1.0, 1, 1.0, True), (0.0, 1, 5.0, False)]}, 1: go(0, False)}, (1, 0), [1, 1], [1, 0]),
    ],
)
def test_where_episodes_end(table, start, next_states, rewards):
    mdp = from_gymnasium(fake(table, start), gamma=0.5)
    assert mdp.P[:, 0].argmax(-1).tolist() == next_states
    assert mdp.R[:, 0].tolist() == rewards
    np.testing.assert_array_equal(mdp.rho0, [*start, *[0] * (mdp.S - len(start))])


def test_an_environment_serves_as_well_as_its_id_and_stays_open():
    env = gymnasium.make("FrozenLake-v1")
    np.testing.assert_array_equal(from_gymnasium(env, gamma=0.9).P, from_gymnasium("FrozenLake-v1", gamma=0.9).P)
    assert env.reset(seed=0)[0] == 0
    assert from_gymnasium(env, gamma=[0.0, 0.5]).batch == (2,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: from_gymnasium("CartPole-v1", gamma=0.9),
            r"CartPole-v1 has no P and no initial_state_distrib; expected a tabular",
        ),
        (lambda: from_gymnasium("NoSuchLake-v1", gamma=0.9), r"cannot make 'NoSuchLake-v1': .*NoSuchLake"),
        (lambda: from_gymnasium("FrozenLake-v1", gamma=0.9, slippery=False), r"cannot make 'FrozenLake-v1': .*slippery"),
        (lambda: from_gymnasium(fake({0: go(0, False)}), gamma=0.9, x=1), r"\['x'\] given together with an environment"),
        (lambda: from_gymnasium("FrozenLake-v1", gamma=1.0), r"gamma is .*1\.0.*; expected 0 <= gamma < 1"),
        (lambda: from_gymnasium("FrozenLake-v1", gamma=-0.1), r"gamma is .*-0\.1.*; expected 0 <= gamma < 1"),
        (
            lambda: from_gymnasium(fake({0: go(0, False), 2: go(0, False)}, (1, 0)), gamma=0.9),
            r"P has no entry 1; expected P\[s\]\[a\]",
        ),
        (lambda: TabularEnv(garnet(3, 2, 2, gamma=0.9, seed=0, batch=(4,))), r"batch of shape \(4,\).*pass mdp\[i\]"),
        (lambda: TabularVectorEnv(garnet(3, 2, 2, gamma=[0.5, 0.9], seed=0), 3), r"batch of shape \(2,\)"),
        (lambda: TabularVectorEnv(forest(gamma=0.9), 0), r"num_envs is 0; expected at least 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------------------------------------- environments


@pytest.mark.parametrize("name", SMALL)
def test_env_passes_gymnasium_checker_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # rendering is skipped: the check needs a registered id, and there is nothing to render
        check_env(TabularEnv(SMALL[name]), skip_render_check=True)


@pytest.mark.parametrize("name", SMALL)
def test_vector_env_declares_its_spaces_and_autoreset(name):
    mdp = SMALL[name]
    envs = TabularVectorEnv(mdp, 7)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert (envs.single_observation_space.n, envs.single_action_space.n) == (mdp.S, mdp.A)
    observation, info = envs.reset(seed=0)
    assert observation in envs.observation_space
    assert info == {}
    envs.action_space.seed(0)
    observation, reward, terminated, truncated, info = envs.step(envs.action_space.sample())
    assert observation in envs.observation_space
    assert (reward.shape, reward.dtype) == ((7,), np.float64)
    assert (terminated.shape, terminated.dtype, truncated.any()) == ((7,), np.bool_, np.False_)


@pytest.mark.parametrize("name", SMALL)
def test_frequencies_are_those_of_the_tables(name):
    """Bretagnolle, Huber and Carol: Pr(|p_n - p|_1 > t) <= 2^S exp(-n t^2/2), at 1e-12 for the first n visits of each (s, a)."""
    mdp, copies = SMALL[name], 200
    envs = TabularVectorEnv(mdp, copies)
    rng = np.random.default_rng(1)
    state, _ = envs.reset(seed=3)
    starts, steps = [state], []
    ended = np.zeros(copies, dtype=bool)
    for _ in range(1000):
        action = rng.integers(0, mdp.A, copies)
        to, reward, terminated, _, _ = envs.step(action)
        starts.append(to[ended])
        steps.append(np.stack([state, action, to])[:, ~ended])
        assert (reward == np.where(ended, 0.0, mdp.R[state, action])).all()
        assert not terminated[ended].any()
        state, ended = to, terminated
    s, a, to = np.concatenate(steps, axis=1)
    rows = [(np.concatenate(starts), mdp.rho0)]
    rows += [(to[(s == i) & (a == j)], mdp.P[i, j]) for i in range(mdp.S) for j in range(mdp.A)]
    rows = [(sample[:20000], law) for sample, law in rows]
    assert sum(len(sample) >= 200 for sample, _ in rows) >= len(rows) / 2
    for sample, law in rows:
        counts = np.bincount(sample, minlength=mdp.S)
        assert counts[law == 0].sum() == 0
        if sample.size:
            bound = np.sqrt(2 * (mdp.S * np.log(2) + np.log(1e12)) / sample.size)
            assert np.abs(counts / sample.size - law).sum() <= bound


@pytest.mark.parametrize("name", SMALL)
def test_one_copy_walks_the_path_of_the_single_environment(name):
    mdp = SMALL[name]
    single, vector = TabularEnv(mdp), TabularVectorEnv(mdp, 1)
    state, _ = single.reset(seed=11)
    assert vector.reset(seed=11)[0].tolist() == [state]
    rng = np.random.default_rng(0)
    ended, endings = False, 0
    for _ in range(500):
        action = rng.integers(mdp.A)
        if ended:
            expected = (single.reset()[0], 0.0, False, False)
        else:
            expected = single.step(action)[:4]
            assert expected[1] == mdp.R[state, action]
        state, ended = expected[0], expected[2]
        endings += ended
        assert tuple(x.item() for x in vector.step(np.array([action]))[:4]) == expected
    assert (endings > 10) == (name in ("deep_sea", "frozen_lake"))


@pytest.mark.parametrize("mdp", DETERMINISTIC.values(), ids=DETERMINISTIC)
def test_autoreset_is_that_of_gymnasium(mdp):
    """Deterministic processes leave nothing to the random numbers, so gymnasium's own SyncVectorEnv has to agree in all."""
    ours = TabularVectorEnv(mdp, 5)
    theirs = SyncVectorEnv([lambda: TabularEnv(mdp)] * 5, autoreset_mode=AutoresetMode.NEXT_STEP)
    rng = np.random.default_rng(0)
    endings = 0
    np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    for step in range(1000):
        actions = rng.integers(0, mdp.A, 5)
        if step % 83 == 0:  # a reset in the middle forgets who had ended
            np.testing.assert_array_equal(ours.reset()[0], theirs.reset()[0])
        results = ours.step(actions), theirs.step(actions)
        for mine, other in zip(*results, strict=True):
            np.testing.assert_array_equal(mine, other)
        endings += results[0][2].sum()
    assert endings > 100


def test_overwriting_what_step_returned_does_not_reach_the_environment():
    mdp = deep_sea(3, gamma=0.9)
    envs, control = TabularVectorEnv(mdp, 2), TabularVectorEnv(mdp, 2)
    envs.reset(seed=0)[0][:] = 5
    control.reset(seed=0)
    for _ in range(9):
        got, want = envs.step(np.ones(2, dtype=int)), control.step(np.ones(2, dtype=int))
        for x, y in zip(got[:4], want[:4], strict=True):
            np.testing.assert_array_equal(x, y)
            x[:] = 1


def test_termination_is_on_entering_an_absorbing_state_without_reward():
    """State 1 absorbs but pays for action 1; 2 has no reward but a way out; only 3 is terminal."""
    P = np.zeros((4, 2, 4))
    P[0] = [0, 1 / 3, 1 / 3, 1 / 3]
    P[1, :, 1] = P[2, 0, 2] = P[2, 1, 0] = P[3, :, 3] = 1
    mdp = MDP(P, [[1, 1], [0, 2], [0, 0], [0, 0]], [1, 0, 0, 0], 0.9)
    env = TabularEnv(mdp)
    seen = set()
    for seed in range(50):
        env.reset(seed=seed)
        state, _, terminated, truncated, _ = env.step(0)
        assert terminated == (state == 3)
        assert not truncated
        seen.add(int(state))
    assert seen == {1, 2, 3}
    start_at_the_end = TabularEnv(MDP(P, mdp.R, [0, 0, 0, 1], 0.9))
    assert start_at_the_end.reset(seed=0)[0] == 3
    assert start_at_the_end.step(1)[:3] == (3, 0.0, True)


@pytest.mark.parametrize(("uniform", "states"), [(0.0, [1, 2]), (np.nextafter(1, 0), [3, 2])])
def test_extreme_uniform_numbers_draw_no_impossible_state(uniform, states):
    """rho0 and P have zeros at both ends: the least and the largest uniform number have to fall between them."""
    P = np.zeros((5, 1, 5))
    P[..., 2] = 1
    env = TabularVectorEnv(MDP(P, np.ones((5, 1)), [0, 0.3, 0.6, 0.1, 0], 0.9), 2)
    env.np_random = types.SimpleNamespace(random=lambda n: np.full(n, uniform))
    assert [env.reset()[0][0], env.step(np.zeros(2, dtype=int))[0][0]] == states


def test_time_limit_wraps_it_for_truncation():
    env = gymnasium.wrappers.TimeLimit(TabularEnv(riverswim(gamma=0.9)), max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]


def test_monte_carlo_return_is_eta():
    """Hoeffding at 1e-12: discounted returns of 20000 independent runs, each within sum gamma^t max|R| of zero."""
    mdp, runs = SMALL["garnet"], 20000
    pi = uniform_policy(mdp)
    envs, rng = TabularVectorEnv(mdp, runs), np.random.default_rng(2)
    envs.reset(seed=5)
    total = np.zeros(runs)
    for t in range(120):  # 0.8^120 / 0.2 < 2e-11
        _, reward, *_ = envs.step(rng.integers(0, mdp.A, runs))
        total += 0.8**t * reward
    half_range = np.abs(mdp.R).max() / 0.2
    assert abs(total.mean() - evaluate(mdp, pi).eta) <= half_range * np.sqrt(2 * np.log(2e12) / runs)


@pytest.mark.parametrize("copies", [None, 3])
def test_misuse_is_named(copies):
    mdp = forest(gamma=0.9)
    env = TabularEnv(mdp) if copies is None else TabularVectorEnv(mdp, copies)
    good = 0 if copies is None else np.zeros(copies, dtype=int)
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        env.step(good)
    env.reset(seed=0)
    count = copies or 1
    for bad in (
        np.full(count, 2),
        np.full(count, -1),
        np.full(count, 0.5),
        np.zeros(count + 1, dtype=int),
        np.zeros((count, 1), dtype=int),
    ):
        with pytest.raises(ValueError, match=rf"expected {count} integer\(s\) from 0 to 1"):
            env.step(bad)
    env.step(good)
