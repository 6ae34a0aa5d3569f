"""Atari games as stacks of small grey images: ``TRPO("trpo.atari:Screen/Pong-v0", policy="conv")``.

The preprocessing of Mnih et al. (2013, arXiv:1312.5602), which was the usual one when TRPO was run on these games
(arXiv:1502.05477v5, section 8.2): up to 30 idle actions at first, each action held for 4 frames, the larger of the last two
frames, grey, 84 x 84 pixels, and the last 4 such images as one observation [4, 84, 84] of bytes. Rewards are the game's own
points; no action is repeated at random. To import this module is to register the games of the paper's Table 1 with gymnasium,
which imports it by itself where an id begins with its name.
"""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

GAMES = ("BeamRider", "Breakout", "Enduro", "Pong", "Qbert", "Seaquest", "SpaceInvaders")
"""Those of Table 1, as gymnasium spells them."""


def make(game: str, **kwargs: Any) -> gymnasium.Env[Any, Any]:
    """Return one game; ``kwargs`` are for ``gymnasium.make``.

    Raises
    ------
    ImportError
        If the emulator or the library that scales its images is not installed.
    """
    try:
        ale_py = importlib.import_module("ale_py")
        importlib.import_module("cv2")
    except ImportError as error:
        raise ImportError(
            f"the game {game} needs {error.name}, which is not installed; give the extra: pip install -e .[atari]"
        ) from error
    gymnasium.register_envs(ale_py)
    env = gymnasium.make(f"ALE/{game}-v5", frameskip=1, repeat_action_probability=0.0, **kwargs)
    return FrameStackObservation(AtariPreprocessing(env, noop_max=30, frame_skip=4, screen_size=84), 4)


for _game in GAMES:
    gymnasium.register(f"Screen/{_game}-v0", entry_point="trpo.atari:make", kwargs={"game": _game})
