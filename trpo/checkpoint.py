"""Files of an agent: written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

FORMAT = "trpo-bounds agent 3"


def write(path: str | Path, content: dict[str, Any]) -> None:
    """Write a checkpoint in one move: a reader, or an interruption, never sees half of it.

    Raises
    ------
    OSError
        If the folder cannot be written to, or ``path`` is a folder itself; the message names it.
    """
    target = Path(path)
    if target.is_dir():
        raise OSError(f"cannot write a checkpoint to {target}: it is a folder; give a file in it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    except OSError as error:
        raise OSError(
            f"cannot write a checkpoint to {target}: {error.strerror or error}; give a folder that can be written"
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        Path(partial).unlink(missing_ok=True)


def read(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint. It is a pickle: read only files you trust.

    Raises
    ------
    ValueError
        If there is no such file, or it is no checkpoint of an agent.
    """
    target = Path(path)
    if not target.is_file():
        raise ValueError(f"there is no checkpoint {target}")
    try:
        content = torch.load(target, map_location=device, weights_only=False)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{target} is damaged, or was saved by another version: {error}") from error
    except Exception as error:  # pickle raises whatever the damaged bytes suggest
        raise ValueError(f"{target} is damaged or no checkpoint: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{target} is no checkpoint of an agent of this version ({FORMAT})")
    return content
