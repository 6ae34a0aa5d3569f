"""The state of an environment as data: save it, go on, come back, and go on again, bit for bit.

Vine's rollouts need it and so do checkpoints. An environment is a chain of wrappers over a base, a vector environment holds
several. The state is that of all of these objects together: their attributes, the counters of wrappers and the random
generators among them, in one pickle, so that what they share stays shared. Left out is what is no state: specs, functions, the
model of MuJoCo, windows; a state can be restored into another environment made in the same way.

======================================== =============================================================================
environment                              what is saved
======================================== =============================================================================
Python: tables, toy text, classic        attributes. Whether these are all there is, :func:`check_restores` sees by a
control, ``CartPoleVectorEnv``, yours    replay; one that cannot be pickled is refused
MuJoCo                                   and the integration state with all arrays derived from it: some rewards (Ant,
                                         Humanoid) are differences to positions as of the last substep
ALE                                      and the system state of the emulator, with its random numbers
``SyncVectorEnv``, wrappers              and those of all environments inside
``AsyncVectorEnv``, other processes      refused
======================================== =============================================================================
"""

from __future__ import annotations

import functools
import importlib
import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Space
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv, VectorWrapper

from mdps.gym_bridge import TabularEnv, TabularVectorEnv

Env = gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any]

_GENERATOR = ("_np_random", "_np_random_seed")
_FIELDS: dict[type, tuple[str, ...]] = {
    TabularEnv: ("_state", *_GENERATOR),
    TabularVectorEnv: ("_state", "_ended", *_GENERATOR),
}
"""Classes of which these attributes are all the state; the tables beside them are large."""

_KEPT = {"mujoco.MjModel", "mujoco.MjData", "gymnasium.MujocoRenderer", "ale_py.ALEInterface"}
"""Classes whose objects are not pickled: what state they have is read by their own functions."""

_CONSTANTS = ("max_episode_steps", "_max_episode_steps")
"""Attributes that an environment is made with: in a state they have to be those of the environment it is restored to."""

_CODE: tuple[type, ...] = (FunctionType, BuiltinFunctionType, functools.partial, type)


class CannotRestore(Exception):
    """The state of an environment cannot be saved, or does not fit the environment that it is restored to."""


@dataclass(frozen=True)
class EnvState:
    """What :func:`save_state` returns. Picklable; made of bytes, so nothing that happens later changes it."""

    layers: tuple[str, ...]  # class names, outermost first
    data: bytes


def save_state(env: Env) -> EnvState:
    """Save the state of an environment, random generators included.

    Raises
    ------
    CannotRestore
        If it cannot be read: the environment lives in another process, or holds what cannot be pickled.
    """
    parts = _parts(env)
    state = [_saved(part) for part in parts]
    native = [{name: _read(value) for name, value in vars(part).items() if _kept(value)} for part in parts]
    try:
        data = _pickled(parts, (state, native))
    except Exception as error:
        raise CannotRestore(f"{_where(env, parts, state)}: {error}. {_ADVICE}") from error
    return EnvState(tuple(type(part).__name__ for part in parts), data)


def restore_state(env: Env, state: EnvState) -> None:
    """Put an environment into a saved state: what follows is what followed then, given the same actions.

    Parameters
    ----------
    env
        The environment, or another made in the same way.
    state
        From :func:`save_state`; it can be restored any number of times.

    Raises
    ------
    CannotRestore
        If the state is of an environment with other layers, or with another limit on the steps of an episode.
    """
    parts = _parts(env)
    layers = tuple(type(part).__name__ for part in parts)
    if layers != state.layers:
        raise CannotRestore(
            f"a state of {' < '.join(state.layers)} cannot be restored to {env}, which is {' < '.join(layers)}; "
            "expected the same environment in the same wrappers"
        )
    saved, native = _Unpickler(parts, io.BytesIO(state.data)).load()
    for part, attributes in zip(parts, saved, strict=True):
        for name in _CONSTANTS:
            if name in attributes and attributes[name] != vars(part).get(name):
                raise CannotRestore(
                    f"the state was saved with {name.lstrip('_')} = {attributes[name]}, and {env} has {vars(part).get(name)}; "
                    "make the environment as it was made then"
                )
    for part, attributes, foreign in zip(parts, saved, native, strict=True):
        own = vars(part)
        if type(part) in _FIELDS or isinstance(part, Space):
            own.update(attributes)
        else:
            kept = {name: value for name, value in own.items() if _kept(value)}
            own.clear()
            own.update(attributes | kept)
        for name, payload in foreign.items():
            _write(own.get(name), payload)


def check_restores(env: gymnasium.Env[Any, Any], *, steps: int = 10, seed: int = 0) -> None:
    """Replay random actions from a saved state, and compare. The environment is reset.

    Parameters
    ----------
    env
        A single environment.
    steps
        Steps before the state is saved, and after it.
    seed
        For the environment and the actions.

    Raises
    ------
    CannotRestore
        If the state cannot be saved, or the replay differs.
    """
    env.reset(seed=seed)
    env.action_space.seed(seed)
    actions = [env.action_space.sample() for _ in range(2 * steps)]
    for action in actions[:steps]:
        if any(env.step(action)[2:4]):
            env.reset()
    state = save_state(env)

    def replay() -> list[bytes]:
        seen = []
        for action in actions[steps:]:
            outcome = env.step(action)[:4]
            seen.append(pickle.dumps(outcome))
            if any(outcome[2:]):
                break
        return seen

    first = replay()
    restore_state(env, state)
    if first != replay():
        raise CannotRestore(
            f"{env} does not continue as before after its state is restored: some of it is not in its attributes. {_ADVICE}"
        )


_ADVICE = (
    "Supported are Python environments whose attributes can be pickled, MuJoCo, ALE, wrappers of these, SyncVectorEnv, "
    "TabularVectorEnv and CartPoleVectorEnv; use one of these, or do without what needs the state: vine, and checkpoints that "
    "continue in the middle of an episode"
)


def _parts(env: Env) -> list[Any]:
    """All objects that hold state: wrappers from the outside in, the base, and the random generators' owners among spaces."""
    layers: list[Any] = []
    todo: list[Any] = [env]
    while todo:
        layer = todo.pop(0)
        if isinstance(layer, AsyncVectorEnv):
            raise CannotRestore(f"{layer} keeps its environments in other processes, where their state cannot be read. {_ADVICE}")
        if not isinstance(layer, gymnasium.Env | VectorEnv) or not hasattr(layer, "__dict__"):
            raise CannotRestore(f"expected a gymnasium environment, got {layer!r}. {_ADVICE}")
        layers.append(layer)
        if isinstance(layer, gymnasium.Wrapper | VectorWrapper):
            todo.append(layer.env)
        elif isinstance(layer, SyncVectorEnv):
            todo.extend(layer.envs)
    spaces = [leaf for layer in layers for value in vars(layer).values() if isinstance(value, Space) for leaf in _leaves(value)]
    return [*layers, *{id(space): space for space in spaces}.values()]


def _leaves(space: Space[Any]) -> Iterator[Space[Any]]:
    yield space
    inner = getattr(space, "spaces", ())
    for part in inner.values() if isinstance(inner, dict) else inner:
        yield from _leaves(part)


def _saved(part: Any) -> dict[str, Any]:
    """The attributes of a part that are state, and references to what is kept."""
    own = vars(part)
    if isinstance(part, Space):
        return {"_np_random": part._np_random}
    return {name: own[name] for name in _FIELDS.get(type(part), own) if name in own}


def _kept(value: Any) -> bool:
    """Whether an attribute stays as it is: no state, or state that ``_read`` reads."""
    if isinstance(value, (*_CODE, Space, EnvSpec, ModuleType)):
        return True
    if isinstance(value, list | tuple) and value and all(isinstance(part, _CODE) for part in value):
        return True
    root = type(value).__module__.partition(".")[0]
    return root == "pygame" or f"{root}.{type(value).__name__}" in _KEPT


def _read(value: Any) -> Any:
    """The state of an object that is not Python's."""
    name = type(value).__name__
    if name == "MjData":
        mujoco = importlib.import_module("mujoco")
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(value.model, kind))
        mujoco.mj_getState(value.model, value, state, kind)
        return state, {field: getattr(value, field).copy() for field in _arrays(value)}
    return value.cloneState(include_rng=True) if name == "ALEInterface" else None


def _write(value: Any, payload: Any) -> None:
    """Put an object into the state that ``_read`` returned."""
    name = type(value).__name__
    if name == "MjData":
        mujoco = importlib.import_module("mujoco")
        state, derived = payload
        mujoco.mj_setState(value.model, value, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(value.model, value)  # contacts, whose number varies
        for field, array in derived.items():
            live = getattr(value, field)
            if live.shape == array.shape:
                live[...] = array
    elif name == "ALEInterface":
        value.restoreState(payload)


_ARRAYS: list[str] = []
"""Names of the arrays of an MjData, once one was seen."""


def _arrays(data: Any) -> list[str]:
    if not _ARRAYS:
        _ARRAYS.extend(name for name in dir(data) if name[0] != "_" and isinstance(getattr(data, name), np.ndarray))
    return _ARRAYS


class _Pickler(pickle.Pickler):
    """Writes the environment's own objects, and what is kept, as references."""

    def __init__(self, parts: list[Any], file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._known: dict[int, tuple[int, str | None]] = {}
        for k, part in enumerate(parts):
            self._known |= {id(value): (k, name) for name, value in vars(part).items() if _kept(value)}
        self._known |= {id(part): (k, None) for k, part in enumerate(parts)}

    def persistent_id(self, obj: Any) -> tuple[int, str | None] | None:
        """Return where to find an object again, or None for one that is written out."""
        return self._known.get(id(obj))


class _Unpickler(pickle.Unpickler):
    """Reads references as the objects of the environment that is there."""

    def __init__(self, parts: list[Any], file: io.BytesIO) -> None:
        super().__init__(file)
        self._parts = parts

    def persistent_load(self, pid: tuple[int, str | None]) -> Any:
        """Find an object; None for an attribute that is not there, such as a window that is not open."""
        k, name = pid
        return self._parts[k] if name is None else vars(self._parts[k]).get(name)


def _pickled(parts: list[Any], what: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(parts, file).dump(what)
    return file.getvalue()


def _where(env: Env, parts: list[Any], state: list[dict[str, Any]]) -> str:
    """Name the attribute that cannot be pickled."""
    for part, attributes in zip(parts, state, strict=True):
        for name, value in attributes.items():
            try:
                _pickled(parts, value)
            except Exception:
                return f"the state of {env} cannot be saved: {type(part).__name__}.{name} is {type(value).__name__}"
    return f"the state of {env} cannot be saved"
