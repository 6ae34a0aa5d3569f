"""A saved state continues bit for bit; what cannot be saved says so."""

import pickle
import threading

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.wrappers import NormalizeObservation, NormalizeReward, RecordEpisodeStatistics, TransformObservation

from mdps.families import garnet
from mdps.gym_bridge import TabularEnv, TabularVectorEnv, from_gymnasium
from trpo.samplers.restore import CannotRestore, check_restores, restore_state, save_state

MDP = garnet(6, 3, 3, gamma=0.9, seed=0)


def wrapped():
    env = NormalizeReward(NormalizeObservation(RecordEpisodeStatistics(gymnasium.make("CartPole-v1", max_episode_steps=13))))
    return TransformObservation(env, lambda x: 2 * x, env.observation_space)


def registered(id, **kwargs):
    return lambda: gymnasium.make(id, **kwargs)


SINGLE = {
    "tabular": lambda: TabularEnv(MDP),
    "tabular, time limit": lambda: gymnasium.wrappers.TimeLimit(TabularEnv(MDP), 7),
    "wrappers": wrapped,
    **{
        id: registered(id)
        for id in (
            "CartPole-v1",
            "Pendulum-v1",
            "MountainCar-v0",
            "MountainCarContinuous-v0",
            "Acrobot-v1",
            "FrozenLake-v1",
            "CliffWalking-v1",
            "Taxi-v4",
            "Blackjack-v1",
        )
    },
}
MUJOCO = ["Hopper-v5", "Ant-v5", "Humanoid-v5", "HalfCheetah-v5", "Walker2d-v5", "Swimmer-v5", "HumanoidStandup-v5"]
MUJOCO += ["InvertedPendulum-v5", "InvertedDoublePendulum-v5", "Reacher-v5", "Pusher-v5"]
ENDS = from_gymnasium("FrozenLake-v1", gamma=0.9)
VECTOR = {
    "tabular that ends": lambda: TabularVectorEnv(ENDS, 20),
    "tabular": lambda: TabularVectorEnv(MDP, 4),
    "cartpole": lambda: gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="vector_entry_point"),
    "sync": lambda: SyncVectorEnv([registered("FrozenLake-v1", max_episode_steps=9)] * 3),
    "sync of wrappers": lambda: SyncVectorEnv([wrapped] * 2, autoreset_mode="SameStep"),
    "vector wrappers": lambda: gymnasium.wrappers.vector.NormalizeObservation(
        gymnasium.wrappers.vector.RecordEpisodeStatistics(SyncVectorEnv([registered("CartPole-v1")] * 2))
    ),
}


def advance(env, actions):
    """All that the environment says, with resets where an episode of a single one ends."""
    seen = []
    for action in actions:
        outcome = env.step(action)
        seen.append(pickle.dumps([np.asarray(x).tolist() for x in outcome[:4]]))
        if not isinstance(env, gymnasium.vector.VectorEnv) and (outcome[2] or outcome[3]):
            seen.append(pickle.dumps(np.asarray(env.reset()[0]).tolist()))
    return seen


def replays(make, before=17, after=25):
    env = make()
    env.reset(seed=3)
    env.action_space.seed(4)
    actions = [env.action_space.sample() for _ in range(before + after)]
    advance(env, actions[:before])
    state = save_state(env)
    first = advance(env, actions[before:])
    for _ in range(2):  # a state can be restored again
        restore_state(env, state)
        assert advance(env, actions[before:]) == first
    other = make()  # and elsewhere, as from a checkpoint
    other.reset(seed=99)
    advance(other, actions[:3])
    restore_state(other, pickle.loads(pickle.dumps(state)))
    assert advance(other, actions[before:]) == first
    env.close()
    other.close()


@pytest.mark.parametrize("name", SINGLE)
def test_single_environments_continue_bit_for_bit(name):
    replays(SINGLE[name])
    env = SINGLE[name]()
    check_restores(env)


@pytest.mark.parametrize("id", MUJOCO)
def test_mujoco_continues_bit_for_bit(id):
    pytest.importorskip("mujoco")
    replays(registered(id, max_episode_steps=30))


@pytest.mark.parametrize("name", VECTOR)
def test_vector_environments_continue_bit_for_bit(name):
    replays(VECTOR[name])


def test_atari_continues_bit_for_bit():
    ale = pytest.importorskip("ale_py")
    gymnasium.register_envs(ale)
    replays(registered("ALE/Pong-v5"), before=60, after=60)


def test_integration_state_alone_would_not_do():
    """Why MuJoCo's derived arrays are saved: Ant's reward is the distance to where its body was before the last substep."""
    mujoco = pytest.importorskip("mujoco")
    env = gymnasium.make("Ant-v5")
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(8)]
    advance(env, actions)
    base, kind = env.unwrapped, mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.empty(mujoco.mj_stateSize(base.model, kind))
    mujoco.mj_getState(base.model, base.data, state, kind)
    reward = env.step(actions[0])[1]
    mujoco.mj_setState(base.model, base.data, state, kind)
    mujoco.mj_forward(base.model, base.data)
    assert env.step(actions[0])[1] != reward


def test_a_state_does_not_change_when_the_environment_goes_on():
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=0)
    state = save_state(env)
    data = state.data
    env.step(0)
    assert state.data == data
    assert save_state(env).data != data


class Counter(gymnasium.Env):
    """Pays how often it was stepped, which it keeps in a place of its own."""

    observation_space = spaces.Discrete(1000)
    action_space = spaces.Discrete(2)

    def __init__(self, place):
        self.place = place

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place[0] = 0
        return 0, {}

    def step(self, action):
        self.place[0] += 1
        return 0, float(self.place[0]), False, False, {}


ELSEWHERE = [0]


class Hidden(Counter):
    """The same, in a place outside its attributes."""

    def __init__(self):
        pass

    place = ELSEWHERE


def test_a_pure_python_environment_is_copied_whole():
    env = Counter([0])
    check_restores(env)


def test_what_came_after_the_state_goes():
    """RecordEpisodeStatistics counts in attributes that its first reset makes; an environment may test for its own."""
    env = Counter([0])
    env.reset()
    state = save_state(env)
    env.later = 1
    restore_state(env, state)
    assert not hasattr(env, "later")


def test_hidden_state_is_seen_by_the_replay():
    with pytest.raises(CannotRestore, match=r"Hidden.*does not continue as before.*Supported are"):
        check_restores(Hidden())


def test_handles_are_refused_by_name():
    env = gymnasium.wrappers.TimeLimit(Counter([0]), 5)
    env.unwrapped.lock = threading.Lock()
    env.reset()
    with pytest.raises(CannotRestore, match=r"Counter\.lock is lock.*Supported are"):
        save_state(env)


def test_other_processes_are_refused():
    env = AsyncVectorEnv([registered("CartPole-v1")])
    try:
        with pytest.raises(CannotRestore, match=r"AsyncVectorEnv.*other processes.*Supported are"):
            save_state(env)
    finally:
        env.close()


def test_a_state_of_another_environment_is_refused():
    env = gymnasium.make("CartPole-v1")
    env.reset()
    with pytest.raises(CannotRestore, match=r"PendulumEnv.*expected the same environment"):
        restore_state(gymnasium.make("Pendulum-v1"), save_state(env))
    with pytest.raises(CannotRestore, match="expected a gymnasium environment"):
        save_state("CartPole-v1")
