"""How far a sweep is: a bar where one is looking, a line a job where not.

Jobs may run in other processes or on other machines, so what is counted is their files: a job has ended when its folder holds a
table of this very code, or the error that ended it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from studies import outputs

log = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two looks at the files."""


@contextmanager
def counted(jobs: Sequence[Path], code: str) -> Iterator[None]:
    """Tell, while the context lasts and once more at its end, how many of these folders' jobs have ended.

    ``code`` is :func:`studies.outputs.sources`: tables of other code will be made anew, so they do not count.
    """
    left, failed, over = list(jobs), 0, threading.Event()
    bar = tqdm(total=len(left), desc="sweep", unit="job", disable=None)

    def look() -> None:
        nonlocal left, failed
        ends = {job: end for job in left if (end := ended(job, code))}
        if not ends:
            return
        left = [job for job in left if job not in ends]
        failed += sum(end == "failed" for end in ends.values())
        bar.set_postfix_str(f"{failed} failed" if failed else "", refresh=False)
        bar.update(len(ends))
        if bar.disable:
            log.info("%d of %d jobs have ended%s", len(jobs) - len(left), len(jobs), f", {failed} failed" if failed else "")

    def watch() -> None:
        while not over.wait(INTERVAL):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        look()
        bar.close()


def ended(job: Path, code: str) -> str:
    """Return "done" or "failed" for the folder of a job that has ended, "" for one that has not."""
    if outputs.read_attributes(job / outputs.TABLE).get("sources") == code:
        return "done"
    return "failed" if (job / outputs.ERROR).exists() else ""
