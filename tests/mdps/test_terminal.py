"""Which states end an episode."""

import numpy as np

from mdps import MDP, stack
from mdps.gym_bridge import TabularEnv, from_gymnasium
from mdps.terminal import terminal


def process(P2, R2):
    """States 0 and 1 are left; state 2 is as given."""
    return MDP([[[0.5, 0, 0.5]] * 2, [[0, 1, 0], [0, 0, 1]], P2], [[0, 0], [0, 0], R2], [1, 0, 0], 0.9)


def test_terminal_states_are_never_left_and_pay_nothing():
    stays, leaves = [0, 0, 1], [1e-30, 0, 1]
    ends = process([stays, stays], [0, 0])
    assert terminal(ends).tolist() == [False, False, True]
    assert not terminal(process([stays, stays], [0, 1])).any()
    assert not terminal(process([stays, leaves], [0, 0])).any()  # a leak too small to change the sum of its row
    both = stack([ends, process([stays, stays], [0, 1])])
    assert terminal(both).tolist() == [[False, False, True], [False, False, False]]


def test_an_environment_terminates_there():
    lake = from_gymnasium("FrozenLake-v1", gamma=0.9)
    env = TabularEnv(lake)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(300):
        state, _, terminated, _, _ = env.step(rng.integers(4))
        assert terminated == terminal(lake)[state]
        if terminated:
            env.reset()
