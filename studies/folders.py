"""Where a run's files go: ``results/<study>/<name>``, the name made of the overrides as they were typed.

A single run writes straight into its folder. A sweep has a folder too, named by what was swept, with one folder a job in it;
run.py and gather.py both find it here. The jobs' folders are made before the first job starts, so that an empty one says at
any time that its job is still to be done. Nothing has a time in its name, so the same command comes back to the same folder and
finds what is already there.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import logging
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from studies import outputs
from studies.outputs import check_writable, shown
from studies.own_modules import import_bounds
from studies.progress import counted

log = logging.getLogger(__name__)

LAUNCHERS = {
    "hydra_plugins.hydra_joblib_launcher": ("joblib", "hydra-joblib-launcher"),
    "hydra_plugins.hydra_ray_launcher": ("ray", "hydra-ray-launcher"),
    "hydra_plugins.hydra_submitit_launcher": ("slurm", "hydra-submitit-launcher"),
}
"""Hydra's plugins that launch jobs elsewhere: the extra of this project that installs each, and its distribution."""

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
    return _job_folder(Path(hydra.sweep.dir), task, str(hydra.runtime.choices["study"]))


def job_folders(config: DictConfig) -> list[Path]:
    """Folders of all jobs of the sweep that is about to start, in the order in which they are launched.

    ``config`` is what Hydra gives to a callback. The list is empty for another sweeper than Hydra's own, which may choose its
    jobs as it goes.
    """
    target = str(config.hydra.sweeper.get("_target_", ""))
    if not target.endswith("." + BasicSweeper.__name__):
        return []
    swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    typed = OverridesParser.create().parse_overrides([*swept, *config.hydra.overrides.task])
    jobs = (job for batch in BasicSweeper.split_arguments(typed, None) for job in batch)
    root, usual = Path(str(config.hydra.sweep.dir)), str(config.hydra.runtime.choices.study)
    return [_job_folder(root, job, _last(job, "study") or usual) for job in jobs]


class Folders(Callback):
    """Hydra's callback: names the folder before anything runs, and gathers a sweep when all its jobs are done."""

    def __init__(self) -> None:
        self.sweep = ExitStack()
        """What is open while a sweep goes on."""

    def __reduce__(self) -> tuple[type[Folders], tuple[()]]:
        """Go to another process without that: the sweep is at home in this one."""
        return Folders, ()

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Set the folder of a single run, and stop here if it cannot be written to."""
        self._place(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Set the folder of a sweep, also for the launchers that compose each job's configuration in another process.

        Raises
        ------
        SystemExit
            If the folder cannot be written to, or the launcher is not installed.
        """
        check_launcher(config)
        self._place(config, "sweep")
        jobs = job_folders(config)
        for job in jobs:
            job.mkdir(parents=True, exist_ok=True)
        if jobs:
            code = outputs.sources(import_bounds(config.bounds))
            self.sweep.enter_context(counted(jobs, code))
        atexit.register(_cut_short, Path(str(config.hydra.sweep.dir)))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Combine the tables of all jobs that ended well. Exit with an error if one did not.

        Raises
        ------
        SystemExit
            If a job failed, or none has a table.
        """
        from studies.gather import gather  # here, since gather draws and the start of a sweep need not wait for that

        self.sweep.close()
        atexit.unregister(_cut_short)
        root = Path(config.hydra.sweep.dir)
        studies = sorted(child for child in root.iterdir() if child.is_dir() and not child.name.startswith("."))
        try:
            complete = [gather(folder) for folder in (studies if _several_studies(root) else [root])]
        except Exception:  # which Hydra would turn into a warning, and the command into a success
            log.exception("the jobs are done, but combining them failed; python studies/gather.py %s tries again", root)
            raise SystemExit(1) from None
        if not all(complete):
            raise SystemExit(1)

    def _place(self, config: DictConfig, kind: str) -> None:
        if config.results is None:
            raise SystemExit("results is null; give the folder that everything is written under: results=FOLDER")
        typed = [str(override) for override in config.hydra.overrides.task]
        study = _last(typed, "study") or str(config.hydra.runtime.choices.study)
        folder = Path(str(config.results)).absolute() / re.sub(r"^choice|[^\w,-]", "", study) / name(typed)
        given = [override for override in config.hydra.overrides.hydra if override.startswith(f"hydra.{kind}.dir=")]
        with read_write(config), open_dict(config):
            if not given:
                config.hydra[kind].dir = str(folder)
                quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
                config.hydra.overrides.hydra.append(f"hydra.{kind}.dir='{quoted}'")
        check_writable(Path(str(config.hydra[kind].dir)))


def check_launcher(config: DictConfig) -> None:
    """Stop with a message if the plugin of the chosen launcher is not installed.

    Raises
    ------
    SystemExit
        If so.
    """
    choice, target = str(config.hydra.runtime.choices["hydra/launcher"]), str(config.hydra.launcher.get("_target_", ""))
    package = ".".join(target.split(".")[:2])
    if package in LAUNCHERS and importlib.util.find_spec(package) is None:
        extra, distribution = LAUNCHERS[package]
        raise SystemExit(
            f"hydra/launcher={choice} needs {distribution}, which is not installed in {sys.prefix}: pip install -e .[{extra}]"
        )


def _job_folder(root: Path, overrides: Sequence[str], study: str) -> Path:
    return (root / study if _several_studies(root) else root) / name(overrides)


def _last(overrides: Sequence[str], key: str) -> str:
    """Value of the last override of a key, as it was typed; "" without one."""
    return next((value for k, _, value in (o.partition("=") for o in reversed(overrides)) if k == key), "")


def _cut_short(root: Path) -> None:
    """Say what to do after a sweep that did not come to its end: it was interrupted, or a worker died."""
    print(
        f"the sweep was cut short. The same command goes on with the jobs that are left; python studies/gather.py "
        f"{shown(root)} combines what is there",
        file=sys.stderr,
    )


def _several_studies(root: Path) -> bool:
    """Whether a sweep's folder is that of a sweep over studies, ``results/<one>,<other>/<name>``."""
    return "," in root.parent.name
