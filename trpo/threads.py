"""How many threads torch uses, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the number of torch's threads, and put it back. The last bits of sums and factorisations depend on it.

    Raises
    ------
    ValueError
        If the number is not positive.
    """
    if count < 1:
        raise ValueError(f"threads is {count}; expected at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
