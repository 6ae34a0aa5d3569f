"""Atari games as the agent sees them, and single environments by their id."""

import sys

import numpy as np
import pytest

from trpo.agent import TRPO
from trpo.atari import GAMES
from trpo.environments import vector_env
from trpo.samplers.vine import Vine
from trpo.single_env import single_env


def test_without_the_emulator_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    for make in (single_env, vector_env):
        with pytest.raises(ValueError, match=r"the game Pong needs ale_py, .*pip install -e .\[atari\]"):
            make("trpo.atari:Screen/Pong-v0")


def test_an_environment_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="gymnasium cannot make 'Nope-v0'"):
        single_env("Nope-v0")


def test_a_time_limit_is_the_one_asked_for():
    env = single_env("CartPole-v1", max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(3)] == [False, False, True]
    assert single_env("CartPole-v1").spec.max_episode_steps == 500


@pytest.mark.parametrize("game", GAMES)
def test_every_game_of_the_paper_is_a_stack_of_four_grey_images(game):
    pytest.importorskip("ale_py")
    env = vector_env(f"trpo.atari:Screen/{game}-v0", 1)
    assert (env.single_observation_space.shape, env.single_observation_space.dtype) == ((4, 84, 84), np.uint8)
    before, _ = env.reset(seed=0)
    after, *_ = env.step(np.zeros(1, dtype=int))
    np.testing.assert_array_equal(before[0, 1:], after[0, :-1])
    assert env.envs[0].unwrapped._frameskip == 1  # the wrapper skips, not the emulator
    assert env.envs[0].unwrapped.ale.getFloat("repeat_action_probability") == 0


def test_the_papers_network_learns_from_paths_and_from_rollouts():
    pytest.importorskip("ale_py")
    id = "trpo.atari:Screen/Pong-v0"
    agent = TRPO(id, policy="conv", num_envs=2, steps_per_update=40, value_iterations=0, estimator="monte_carlo")
    shapes = [tuple(p.shape) for p in agent.policy.parameters() if p.ndim > 1]
    assert shapes == [(16, 4, 4, 4), (16, 16, 4, 4), (20, 16 * 19 * 19), (6, 20)]
    vine = Vine(lambda: single_env(id, max_episode_steps=20), states=3, rollouts=2, length=3, paths=1, q="uniform", copies=2)
    for one in (agent, TRPO(vector_env(id, 1), policy="conv", sampler=vine)):
        assert len(one.learn(updates=1).history) == 1
