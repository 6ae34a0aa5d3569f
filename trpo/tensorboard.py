"""TensorBoard's event files of a run."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from trpo.history import Iteration


def event_writer(folder: str | Path | None) -> Any:
    """TensorBoard's writer for a folder, or none, to be closed in the end.

    Raises
    ------
    ImportError
        If the package is missing.
    """
    if folder is None:
        return nullcontext()
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError("tensorboard=... needs the package tensorboard: pip install tensorboard") from error
    return SummaryWriter(str(folder))


def write_numbers(writer: Any, record: Iteration, at: int) -> None:
    """Write the numbers of a record, at so many steps or updates."""
    for name, value in record.row().items():
        if isinstance(value, int | float) and name not in ("iteration", "steps"):
            writer.add_scalar(name, float(value), at)
