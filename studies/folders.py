"""Where a run's files go: ``results/<study>/<name>``, the name made of the overrides as they were typed.

A single run writes straight into its folder. A sweep has a folder too, named by what was swept, with one folder a job in it;
run.py and gather.py both find it here. Nothing has a time in its name, so the same command comes back to the same folder and
finds what is already there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from studies.outputs import check_writable

LONGEST = 150
"""Longest name of a folder; a longer one is cut and ends in a hash of the whole."""

_UNNAMED = ("study", "results")  # the study has a folder of its own, and where results are kept does not change them


def name(overrides: Sequence[str]) -> str:
    """Name the folder of a run after its overrides: ``["delta=0.1", "mdp=[a,b]"] -> "delta=0.1__mdp=a+b"``.

    ``default`` without any. Every character but letters, digits and ``=.,+-_`` becomes ``-``; a name that lost something so, or
    is too long, ends in a hash, so that two commands never share a folder.
    """
    kept = [override for override in overrides if override.lstrip("+").partition("=")[0] not in _UNNAMED]
    typed = "__".join(kept).replace(" ", "")
    plain = re.sub(r"\[([^][]*)\]", lambda m: m[1].replace(",", "+"), typed)
    safe = re.sub(r"[^\w=.,+-]", "-", plain, flags=re.ASCII)
    if safe == plain and len(safe) <= LONGEST and not safe.startswith("."):
        return safe or "default"
    return f"{safe.lstrip('.')[: LONGEST - 9]}-{hashlib.sha256(typed.encode()).hexdigest()[:8]}"


def run_folder(hydra: HydraConf) -> Path:
    """Where the job that this process is running writes; ``hydra`` is ``HydraConfig.get()``."""
    task = list(hydra.overrides.task)
    if hydra.mode != RunMode.MULTIRUN:
        return Path(hydra.run.dir)
    root = Path(hydra.sweep.dir)
    return (root / str(hydra.runtime.choices["study"]) if _several_studies(root) else root) / name(task)


class Folders(Callback):
    """Hydra's callback: names the folder before anything runs, and gathers a sweep when all its jobs are done."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Set the folder of a single run, and stop here if it cannot be written to."""
        self._place(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Set the folder of a sweep, also for the launchers that compose each job's configuration in another process."""
        self._place(config, "sweep")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Combine the tables of all jobs that ended well. Exit with an error if one did not.

        Raises
        ------
        SystemExit
            If a job failed, or none has a table.
        """
        from studies.gather import gather  # here, since gather draws and the start of a sweep need not wait for that

        root = Path(config.hydra.sweep.dir)
        parts = sorted(child for child in root.iterdir() if child.is_dir()) if _several_studies(root) else [root]
        complete = [gather(folder) for folder in parts]
        if not all(complete):
            raise SystemExit(1)

    def _place(self, config: DictConfig, kind: str) -> None:
        typed = [str(override) for override in config.hydra.overrides.task]
        chosen = [override.partition("=")[2] for override in typed if override.partition("=")[0] == "study"]
        study = chosen[-1] if chosen else str(config.hydra.runtime.choices.study)
        folder = Path(str(config.results)) / re.sub(r"^choice|[^\w,-]", "", study) / name(typed)
        given = [override for override in config.hydra.overrides.hydra if override.startswith(f"hydra.{kind}.dir=")]
        with read_write(config), open_dict(config):
            if not given:
                config.hydra[kind].dir = str(folder)
                quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
                config.hydra.overrides.hydra.append(f"hydra.{kind}.dir='{quoted}'")
        check_writable(Path(str(config.hydra[kind].dir)))


def _several_studies(root: Path) -> bool:
    """Whether a sweep's folder is that of a sweep over studies, ``results/<one>,<other>/<name>``."""
    return "," in root.parent.name
