"""Whatever a user calls an environment, as a vector environment."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, find_highest_version, get_env_id, parse_env_id
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit

from mdps.gym_bridge import TabularEnv, TabularVectorEnv
from mdps.mdp import MDP

EnvLike = str | MDP | gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]


class _Copies(SyncVectorEnv):
    """Copies of an environment stepped in turn, autoreset NEXT_STEP, without infos, which no sampler reads in this mode.

    Gathering them from all copies takes about a twentieth of the time of a MuJoCo step.
    """

    def __init__(self, makers: Sequence[Callable[[], gymnasium.Env[Any, Any]]]) -> None:
        super().__init__(makers, autoreset_mode=AutoresetMode.NEXT_STEP)

    def _add_info(self, vector_infos: dict[str, Any], env_info: dict[str, Any], env_num: int) -> dict[str, Any]:
        return vector_infos


def vector_env(
    env: EnvLike, num_envs: int = 8, *, max_episode_steps: int | None = None, **make_kwargs: Any
) -> VectorEnv[Any, Any, Any]:
    """Return copies of an environment, stepped together.

    Parameters
    ----------
    env
        An id as ``gymnasium.make`` takes it (its own vectorised form is taken where it registers one), an MDP or a
        ``TabularEnv``, one environment (which is used as it is, in one copy), or a vector environment, which is returned.
    num_envs
        Copies, where they can be made.
    max_episode_steps
        Where episodes are truncated, in place of the environment's own limit; only with an id, an MDP or a ``TabularEnv``.
    make_kwargs
        For ``gymnasium.make_vec``; only with an id.

    Raises
    ------
    ValueError
        If gymnasium cannot make the environment, or ``env`` is something else.
    """
    if not isinstance(num_envs, int | np.integer) or num_envs < 1:
        raise ValueError(f"num_envs is {num_envs!r}; expected an integer of at least 1")
    if make_kwargs and not isinstance(env, str):
        raise ValueError(f"{sorted(make_kwargs)} given together with an environment; they only apply where an id is given")
    if max_episode_steps is not None and max_episode_steps < 1:
        raise ValueError(f"max_episode_steps is {max_episode_steps}; expected at least 1")
    if max_episode_steps is not None and isinstance(env, gymnasium.Env | VectorEnv) and not isinstance(env, TabularEnv):
        raise ValueError(f"max_episode_steps is given together with {env}; wrap that in gymnasium.wrappers.TimeLimit")
    if isinstance(env, VectorEnv):
        return env
    if isinstance(env, MDP | TabularEnv):
        mdp = env if isinstance(env, MDP) else env.mdp
        if max_episode_steps is None:
            return TabularVectorEnv(mdp, num_envs)
        return _Copies([lambda: TimeLimit(TabularEnv(mdp), max_episode_steps)] * num_envs)
    if isinstance(env, gymnasium.Env):
        return _Copies([lambda: env])
    if not isinstance(env, str):
        raise ValueError(f"env is {env!r}; expected an id, an MDP, an environment or a vector environment")
    try:
        if max_episode_steps is not None:
            make_kwargs["max_episode_steps"] = max_episode_steps
        spec = _spec(env)
        if spec.vector_entry_point is not None and set(make_kwargs) <= {"max_episode_steps"}:
            return gymnasium.make_vec(spec.id, num_envs, vectorization_mode="vector_entry_point", **make_kwargs)
        return _Copies([lambda: gymnasium.make(spec.id, **make_kwargs)] * num_envs)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise ValueError(f"gymnasium cannot make {env!r}: {error}") from error


def mdp_of(env: VectorEnv[Any, Any, Any]) -> MDP | None:
    """Return the MDP that a vector environment plays, whatever its wrappers make of it; None where it plays none."""
    base = env.unwrapped
    played = base.envs[0].unwrapped if isinstance(base, SyncVectorEnv) else base
    return played.mdp if isinstance(played, TabularEnv | TabularVectorEnv) else None


def _spec(id: str) -> EnvSpec:
    """What is registered under an id: after the import of "module:id", the newest version where it names none."""
    module, _, name = id.rpartition(":")
    if module:
        importlib.import_module(module)
    namespace, name, version = parse_env_id(name)
    return gymnasium.spec(get_env_id(namespace, name, find_highest_version(namespace, name) if version is None else version))
