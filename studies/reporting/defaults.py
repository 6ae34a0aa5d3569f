"""The runs behind the default report, and how they are started."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from studies import folders, outputs
from studies.outputs import shown

RUNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("trust_region", ()),
    ("trust_region", ("seed=1",)),
    ("neural_truth", ()),
    ("neural_truth", ("seed=1",)),
    ("figure4", ()),
    ("verify", ()),
    ("tightness", ()),
    ("guaranteed_step", ()),
    ("guaranteed_step", ("seed=1",)),
    ("estimators", ()),
    ("audit", ("agent=[ours]",)),
)
"""Study and overrides of each run: minutes on two cores, all together below twenty."""

COMMITTED = outputs.ROOT / "docs" / "results"
"""Tables that come with the project, of runs that take longer than a report may."""


def run_all(runs: Sequence[tuple[str, tuple[str, ...]]] = RUNS, results: Path = Path("results")) -> list[Path]:
    """Run each, one a core at a time, and return their folders and that of the committed tables.

    One whose table stands is skipped by run.py itself. One that fails leaves its last words in ``error.txt`` of its folder.
    """

    def one(number: int, study: str, overrides: tuple[str, ...]) -> Path:
        folder = results / study / folders.name(overrides)
        elsewhere = [] if results == Path("results") else [f"results={results}"]
        command = ["studies/run.py", f"study={study}", *overrides, *elsewhere]
        print(f"[{number}/{len(runs)}] python {' '.join(command)}", flush=True)
        ended = subprocess.run(
            [sys.executable, str(outputs.ROOT / command[0]), *command[1:]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HYDRA_FULL_ERROR": "1"},  # so that the error comes last, not advice
        )
        _note(folder, ended)
        return folder

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = [pool.submit(one, number, *run) for number, run in enumerate(runs, 1)]
        try:
            done = [each.result() for each in made]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [*done, *([COMMITTED] if COMMITTED.is_dir() else [])]


def _note(folder: Path, ended: subprocess.CompletedProcess[str]) -> None:
    """Keep why a run failed where the report looks for it; forget it once a run ended well."""
    error = folder / outputs.ERROR
    if not ended.returncode:
        error.unlink(missing_ok=True)
        return
    lines = [line for line in ended.stderr.strip().splitlines() if line.strip()] or [f"it ended with {ended.returncode}"]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt|Exit)(:|$)", line)]
    said = raised[0] if raised else lines[-1]  # Hydra's own errors come after that of the study
    folder.mkdir(parents=True, exist_ok=True)
    with outputs.alone(folder):
        outputs.write(error, lambda partial: Path(partial).write_text(f"{said}\n\n{ended.stderr}"))
    print(f"failed: {said}; {shown(error)} has the whole of it, and the report goes on", file=sys.stderr)
