"""Environments so small that what a sampler should make of them can be written down."""

import threading

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv


class Scripted(gymnasium.Env):
    """Episodes of given lengths that end as given, in turn; what it shows and pays depends on its clock alone.

    The observation is (episode, age), the reward of a step 1 + episode + age^2.
    """

    observation_space = spaces.Box(-np.inf, np.inf, (2,))
    action_space = spaces.Discrete(2)

    def __init__(self, *ends):
        self.ends = ends  # (length, "terminated" or "truncated")
        self.episode, self.age = -1, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.age = self.episode + 1, 0
        return self._show(), {}

    def step(self, action):
        reward = 1.0 + self.episode + self.age**2
        self.age += 1
        length, how = self.ends[self.episode % len(self.ends)]
        over = self.age >= length
        return self._show(), reward, over and how == "terminated", over and how == "truncated", {}

    def _show(self):
        return np.array([self.episode, self.age], dtype=np.float32)


class Random(gymnasium.Env):
    """Any spaces: observations drawn from one, actions checked against the other; episodes of 7 steps."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space
        self.age = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.age = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), (action, self.action_space)
        self.age += 1
        return self.observation_space.sample(), float(self.np_random.normal()), self.age == 7, False, {}


class Match(gymnasium.Env):
    """Pays 1 where the action says the sign of the observation; episodes of 10 steps."""

    observation_space = spaces.Box(-1, 1, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self):
        self.age = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.age = 0
        return self._draw(), {}

    def step(self, action):
        reward = float((self.shown[0] > 0) == action)
        self.age += 1
        return self._draw(), reward, False, self.age == 10, {}

    def _draw(self):
        self.shown = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.shown


class Locked(Match):
    """Holds what no pickle can hold."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class Broken(Match):
    """Shows or pays what is not a number at its third step."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def step(self, action):
        observation, reward, *rest = super().step(action)
        if self.age == 3 and self.what == "observation":
            observation = np.full(1, np.nan, np.float32)
        return observation, np.nan if self.age == 3 and self.what == "reward" else reward, *rest


def copies(make, count=2, mode="NextStep"):
    """A vector environment of separate copies."""
    return SyncVectorEnv([make] * count, autoreset_mode=mode)
