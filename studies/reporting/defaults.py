"""The runs behind the default report, and how they are started, watched and ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from studies import folders, outputs
from studies.outputs import shown
from studies.runs import cores


@dataclass(frozen=True)
class Run:
    """One run of a study."""

    study: str
    overrides: tuple[str, ...]
    seconds: float
    """About what it takes beside another one, on one core each: for the time left, and to start the longest first."""

    @property
    def command(self) -> str:
        """What one would type."""
        return " ".join(["python studies/run.py", f"study={self.study}", *self.overrides])

    def folder(self, results: Path) -> Path:
        """Where its table goes."""
        return results / self.study / folders.name(self.overrides)


RUNS = (
    Run("trust_region", (), 50),
    Run("trust_region", ("seed=1",), 50),
    Run("neural_truth", (), 110),
    Run("neural_truth", ("seed=1",), 110),
    Run("figure4", (), 460),
    Run("verify", (), 150),
    Run("tightness", (), 200),
    Run("guaranteed_step", (), 20),
    Run("guaranteed_step", ("seed=1",), 20),
    Run("estimators", (), 400),
    Run("audit", ("agent=[ours]",), 60),
)
"""Minutes on two cores, all together below twenty."""

COMMITTED = outputs.ROOT / "docs" / "results"
"""Tables that come with the project, of runs that take longer than a report may."""

LOOK = 1.0
"""Seconds between two looks at what has ended, and between two drawings of the bar."""


@dataclass
class _Processes:
    """Those that are running; once they have been ended, no more start."""

    running: set[subprocess.Popen[str]] = field(default_factory=set)
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def complete(self, command: Sequence[str]) -> tuple[int, str] | None:
        """Run a command to its end; return its status and what it wrote to stderr, or None if it was ended from here."""
        with self.lock:
            if self.ended:
                return None
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                process_group=0,  # an interruption from the terminal is for us alone, who then end them
                env={**os.environ, "HYDRA_FULL_ERROR": "1"},  # so that the error comes last, not advice
            )
            self.running.add(process)
        with process:
            _, said = process.communicate()
        with self.lock:
            self.running.discard(process)
            return None if self.ended else (process.returncode, said)

    def end(self) -> None:
        """End all that are running; what they have kept stays."""
        with self.lock:
            self.ended = True
            for process in self.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)  # and those that it started


def run_all(runs: Sequence[Run], results: Path) -> list[Path]:
    """Run each, the longest first and one a core at a time; return their folders and that of the committed tables.

    Says when each starts and ends, and draws a bar with the time left where one is looking. One whose table stands is skipped
    by run.py itself. One that fails leaves its last words in ``error.txt`` of its folder.

    Raises
    ------
    KeyboardInterrupt
        If interrupted. The runs are ended then; called again, this skips those that had ended and goes on with the others.
    """
    processes = _Processes()
    total = sum(run.seconds for run in runs)
    bar = tqdm(total=total, desc="report", disable=None, bar_format=_BAR)
    begun: dict[Run, float] = {}

    def say(text: str) -> None:
        bar.write(text, file=sys.stdout)
        sys.stdout.flush()

    def one(run: Run) -> str:
        """Return what became of a run, in words; "" if it was ended from here."""
        elsewhere = [] if results == Path("results") else [f"results={results}"]
        say(f"starts   {run.command}")
        begun[run] = time.monotonic()
        table = run.folder(results) / outputs.TABLE
        before = _inode(table)
        ended = processes.complete(
            [sys.executable, str(outputs.ROOT / "studies" / "run.py"), f"study={run.study}", *run.overrides, *elsewhere]
        )
        if ended is None:
            return ""
        took = tqdm.format_interval(time.monotonic() - begun[run])
        if why := _note(run.folder(results), *ended):
            return f"failed   {run.command}  ({took}): {why}"
        return f"{'stands' if before == _inode(table) else 'ends':9}{run.command}  ({took})"

    with ThreadPoolExecutor(cores()) as pool, bar:
        order = sorted(runs, key=lambda run: -run.seconds)
        left: dict[Future[str], Run] = {pool.submit(one, run): run for run in order}
        done = 0.0
        try:
            while left:
                for future in wait(left, LOOK, FIRST_COMPLETED).done:
                    run, said = left.pop(future), future.result()
                    say(f"{said}  [{len(runs) - len(left)} of {len(runs)}]")
                    if said.startswith("stands"):
                        total -= run.seconds  # nothing was made, which says nothing of the time that the others take
                    else:
                        done += run.seconds
                    del begun[run]
                now, bar.total = time.monotonic(), total
                bar.n = done + sum(min(now - start, run.seconds) for run, start in list(begun.items()))
                bar.set_postfix_str(f"{len(runs) - len(left)} of {len(runs)} runs", refresh=True)
        except BaseException:
            processes.end()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [*(run.folder(results) for run in runs), *([COMMITTED] if COMMITTED.is_dir() else [])]


_BAR = "{desc}: {percentage:3.0f}% |{bar}| {elapsed} so far, {remaining} left{postfix}"


def _inode(path: Path) -> int:
    """Which file stands at a path; 0 for none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _note(folder: Path, status: int, stderr: str) -> str:
    """Keep why a run failed where the report looks for it, and return it in a line; forget it once a run ended well."""
    error = folder / outputs.ERROR
    if not status:
        error.unlink(missing_ok=True)
        return ""
    lines = [line for line in stderr.strip().splitlines() if line.strip()] or [f"it ended with {status}"]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt|Exit)(:|$)", line)]
    said = raised[0] if raised else lines[-1]  # Hydra's own errors come after that of the study
    folder.mkdir(parents=True, exist_ok=True)
    with outputs.alone(folder):
        outputs.write(error, lambda partial: Path(partial).write_text(f"{said}\n\n{stderr}"))
    return f"{said}; {shown(error)} has the whole of it, and the report goes on"
