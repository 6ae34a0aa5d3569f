"""The way between tables and gymnasium: an environment's own table as an MDP, and any MDP as an environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from mdps.mdp import MDP, Array
from mdps.terminal import terminal

Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


def from_gymnasium(id_or_env: str | gymnasium.Env[Any, Any], *, gamma: ArrayLike, **make_kwargs: Any) -> MDP:
    """Read an environment's own transition table: FrozenLake-v1, CliffWalking-v1, Taxi-v4 and whatever has the same form.

    ``unwrapped.P[s][a]`` is a list of (probability, next state, reward, terminated), ``unwrapped.initial_state_distrib`` the law
    of the first state. The reward becomes its expectation R[s,a]. A time limit is no part of the process and is left out.

    Where an episode terminates, the MDP goes to an absorbing state with reward 0. That is the state entered, if the table
    enters it in no other way. Taxi-v4 does: its four drop-off states are also entered by moves that do not terminate. Then
    termination leads to one more state, the last, and all others keep their index and their transitions.

    Parameters
    ----------
    id_or_env
        An environment id, or an environment, which is only read.
    gamma
        Discount factor, scalar or [*B].
    make_kwargs
        For ``gymnasium.make``, e.g. ``is_slippery=False``; only with an id.

    Raises
    ------
    ValueError
        If gymnasium cannot make the environment, it has no table or an incomplete one, ``make_kwargs`` come with an
        environment, or gamma lies outside [0, 1).
    """
    if not isinstance(id_or_env, str):
        if make_kwargs:
            raise ValueError(f"{sorted(make_kwargs)} given together with an environment; they only apply where an id is given")
        return _read(id_or_env, str(id_or_env), gamma)
    try:
        env = gymnasium.make(id_or_env, **make_kwargs)
    except (gymnasium.error.Error, TypeError) as error:
        raise ValueError(f"gymnasium cannot make {id_or_env!r}: {error}") from error
    try:
        return _read(env, id_or_env, gamma)
    finally:
        env.close()


def _read(env: gymnasium.Env[Any, Any], name: str, gamma: ArrayLike) -> MDP:
    source: Any = env.unwrapped
    missing = [field for field in ("P", "initial_state_distrib") if not hasattr(source, field)]
    if missing:
        raise ValueError(
            f"{name} has no {' and no '.join(missing)}; expected a tabular environment with both, such as FrozenLake-v1, "
            "CliffWalking-v1 or Taxi-v4. For any other, build MDP(P, R, rho0, gamma) from your own tables"
        )
    start, states, actions = np.asarray(source.initial_state_distrib, dtype=float), len(source.P), len(source.P[0])
    try:
        outcomes = [
            (s, a, *outcome) for s in range(states) for a in range(actions) for outcome in source.P[s][a] if outcome[0] > 0
        ]
    except (KeyError, IndexError) as error:
        raise ValueError(
            f"{name}: P has no entry {error}; expected P[s][a] for all {states} states and {actions} actions"
        ) from None
    s, a, probability, to, reward, ends = (np.array(column) for column in zip(*outcomes, strict=True))

    absorbing = np.zeros(states, dtype=bool)
    absorbing[to[ends]] = True
    while True:  # what an absorbing state's own row says does not count, so each one less may expose another
        entered = start > 0
        entered[to[~ends & ~absorbing[s]]] = True
        if not (absorbing & entered).any():
            break
        absorbing &= ~entered
    live = ~absorbing[s]
    outside = ends & ~absorbing[to]
    size = states + bool((live & outside).any())
    absorbing = np.concatenate([absorbing, np.ones(size - states, dtype=bool)])
    P, R = np.zeros((size, actions, size)), np.zeros((size, actions))
    np.add.at(P, (s[live], a[live], np.where(outside, states, to)[live]), probability[live])
    np.add.at(R, (s[live], a[live]), (probability * reward)[live])
    P[absorbing, :, absorbing] = 1
    return MDP(P, R, np.concatenate([start, np.zeros(size - states)]), gamma)


class TabularEnv(gymnasium.Env[np.int64, np.int64]):
    """One MDP as a gymnasium environment.

    Observations are state indices, ``Discrete(S)``; actions ``Discrete(A)``; the reward is the expected reward R[s,a]. An episode
    terminates on entering a state that is absorbing with reward 0 under every action. It is never truncated: wrap it in
    ``gymnasium.wrappers.TimeLimit`` for that. gamma plays no part in it.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (as gymnasium declares it)

    def __init__(self, mdp: MDP) -> None:
        """Wrap a single MDP; a batch raises ValueError."""
        self.mdp = mdp
        self.observation_space = Discrete(mdp.S)
        self.action_space = Discrete(mdp.A)
        self._sampler = _Sampler(mdp)
        self._state: Integers | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.int64, dict[str, Any]]:
        """Draw the first state from rho0. ``options`` is ignored."""
        super().reset(seed=seed)
        self._state = self._sampler.start(self.np_random.random(1))
        return self._state[0], {}

    def step(self, action: np.int64) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Draw s' ~ P[s,a]; return s', R[s,a], whether s' is terminal, False and {}.

        Raises
        ------
        gymnasium.error.ResetNeeded
            Before the first ``reset``.
        ValueError
            If the action is not one of 0..A-1.
        """
        if self._state is None:
            raise gymnasium.error.ResetNeeded("step() before reset(); call reset() first")
        state, reward, terminated = self._sampler.step(self._state, _actions(action, self.mdp.A, 1), self.np_random.random(1))
        self._state = state
        return state[0], float(reward[0]), bool(terminated[0]), False, {}


class TabularVectorEnv(VectorEnv[Integers, Integers, Any]):
    """``num_envs`` independent copies of one MDP, stepped together by array operations.

    As :class:`TabularEnv`, with autoreset in the mode NEXT_STEP: the step after a termination ignores the action of that copy and
    returns its new first state with reward 0. A copy draws one uniform number a step or reset, so one copy walks the path of
    a ``TabularEnv`` with the same seed.
    """

    def __init__(self, mdp: MDP, num_envs: int) -> None:
        """Wrap ``num_envs`` copies of a single MDP; a batch, or a number below 1, raises ValueError."""
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; expected at least 1")
        self.mdp = mdp
        self.num_envs = num_envs
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space = Discrete(mdp.S)
        self.single_action_space = Discrete(mdp.A)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._sampler = _Sampler(mdp)
        self._state: Integers | None = None
        self._ended = np.zeros(num_envs, dtype=bool)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Integers, dict[str, Any]]:
        """Draw every copy's first state from rho0, [num_envs]. ``options`` is ignored."""
        super().reset(seed=seed)
        self._ended = np.zeros(self.num_envs, dtype=bool)
        self._state = self._sampler.start(self.np_random.random(self.num_envs))
        return self._state.copy(), {}

    def step(self, actions: Integers) -> tuple[Integers, Array, Booleans, Booleans, dict[str, Any]]:
        """Step every copy, or start it anew where it terminated in the step before; all arrays are [num_envs].

        Raises
        ------
        gymnasium.error.ResetNeeded
            Before the first ``reset``.
        ValueError
            If there is not one action of 0..A-1 a copy.
        """
        if self._state is None:
            raise gymnasium.error.ResetNeeded("step() before reset(); call reset() first")
        u, anew = self.np_random.random(self.num_envs), self._ended
        state, reward, terminated = self._sampler.step(self._state, _actions(actions, self.mdp.A, self.num_envs), u)
        state[anew] = self._sampler.start(u[anew])
        terminated[anew] = False  # the reward, that of a terminal state, is 0 already
        self._state, self._ended = state, terminated
        return state.copy(), reward, terminated.copy(), np.zeros(self.num_envs, dtype=bool), {}


class _Sampler:
    """Draws from the tables of one MDP, for n copies at a time, from n uniform numbers."""

    def __init__(self, mdp: MDP) -> None:
        if mdp.batch:
            raise ValueError(f"the MDP is a batch of shape {mdp.batch}; an environment needs a single instance: pass mdp[i]")
        self._start = cumulative(mdp.rho0)
        self._next = cumulative(mdp.P)
        self._reward = mdp.R
        self._terminal = terminal(mdp)

    def start(self, u: Array) -> Integers:
        return invert(self._start, u)

    def step(self, state: Integers, action: Integers, u: Array) -> tuple[Integers, Array, Booleans]:
        to = invert(self._next[state, action], u)
        return to, self._reward[state, action], self._terminal[to]


def cumulative(table: Array) -> Array:
    """Return cumulative probabilities along the last axis, the last of them 1."""
    total = table.cumsum(-1)
    return total / total[..., -1:]


def invert(table: Array, u: Array) -> Integers:
    """Return the index of the first entry of ``cumulative`` laws [N,K] (or [K]) above u [N] in [0, 1): never of probability 0."""
    return (table <= u[:, None]).sum(-1)


def _actions(actions: Any, count: int, copies: int) -> Integers:
    given = np.asarray(actions)
    if (
        given.size != copies
        or given.ndim > 1
        or not np.issubdtype(given.dtype, np.integer)
        or (given < 0).any()
        or (given >= count).any()
    ):
        raise ValueError(f"action is {actions!r}; expected {copies} integer(s) from 0 to {count - 1}")
    return given.reshape(copies)
