"""One environment by its id, for samplers that put its state back, as :func:`trpo.environments.vector_env` makes many."""

from __future__ import annotations

from typing import Any

import gymnasium


def single_env(id: str, *, max_episode_steps: int | None = None) -> gymnasium.Env[Any, Any]:
    """Return the environment that gymnasium has under an id, also one of the form ``"module:id"``.

    Parameters
    ----------
    id
        As ``gymnasium.make`` takes it.
    max_episode_steps
        Where episodes are truncated, in place of the environment's own limit; None for that.

    Raises
    ------
    ValueError
        If gymnasium cannot make it.
    """
    try:
        return gymnasium.make(id, max_episode_steps=max_episode_steps)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise ValueError(f"gymnasium cannot make {id!r}: {error}") from error
