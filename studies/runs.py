"""Independent runs in several processes, each kept in a file of its own as soon as it ends.

A run is a function of a path: it returns its table, and may keep what it has so far at that path while it goes. It depends on
nothing else, so that its table is the same in whatever process and order it is made. A study that was killed reads the files of
the runs that ended, and gives the others the same paths again.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from studies import outputs

Run = Callable[[Path | None], pd.DataFrame]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def tables(
    runs: Mapping[str, Run], folder: Path | None, workers: int | None = None, name: str = "runs"
) -> dict[str, pd.DataFrame]:
    """Return the table of every run, in their order.

    Parameters
    ----------
    runs
        By the stem of their files; picklable. A stem tells all that its run depends on.
    folder
        Where files are kept; None keeps none.
    workers
        Processes; None for as many as there are cores. With 1 all is done in this one.
    name
        Of the progress bar.

    Raises
    ------
    ValueError
        If ``workers`` is below 1.
    """
    count = cores() if workers is None else workers
    if count < 1:
        raise ValueError(f"workers is {workers}; give at least 1, or null for one a core")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    done = {stem: pd.read_parquet(path) for stem in runs if (path := _file(folder, stem)) is not None and path.exists()}
    left = {stem: run for stem, run in runs.items() if stem not in done}
    with tqdm(total=len(runs), initial=len(done), desc=name, unit="run", disable=None) as bar:
        if count == 1 or len(left) < 2:
            for stem, run in left.items():
                done[stem] = _kept(run, folder, stem)
                bar.update()
        else:
            done |= _in_processes(left, folder, min(count, len(left)), bar)
    return {stem: done[stem] for stem in runs}


def _in_processes(runs: Mapping[str, Run], folder: Path | None, workers: int, bar: tqdm[Any]) -> dict[str, pd.DataFrame]:
    """Spawn processes: a fork would copy the locks of torch's threads. The first run that fails ends them all."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        futures: dict[Future[pd.DataFrame], str] = {pool.submit(_kept, run, folder, stem): stem for stem, run in runs.items()}
        found = {}
        try:
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _kept(run: Run, folder: Path | None, stem: str) -> pd.DataFrame:
    """Make one table and write it in one move; what the run kept on the way is removed then."""
    path = _file(folder, stem)
    if path is None:
        return run(None)
    partial = path.with_suffix(".pt")
    table = run(partial)
    outputs.write_table(table, path)
    partial.unlink(missing_ok=True)
    return table


def _file(folder: Path | None, stem: str) -> Path | None:
    return None if folder is None else folder / f"{stem}.parquet"


def _end_with_parent() -> None:
    """End this process when the one that spawned it does, however that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
