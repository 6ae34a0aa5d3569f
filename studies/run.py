"""Run a study: ``python studies/run.py [study=...] [key=value ...]``, or a sweep with ``-m`` and values parted by commas.

The job's table goes to ``results/<study>/<name>/table.parquet``, the name being that of the overrides (:mod:`studies.folders`),
and beside it when and where it was made (:mod:`studies.made`).
A job whose table stands already, made of the same configuration by the same code, is not computed again. A study with the key
``checkpoints`` saves its work to ``results/.checkpoints/<fingerprint>``, and goes on from there if it was killed. A single run
then draws its figures; a sweep combines the tables of its jobs and draws those (:mod:`studies.gather`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # not studies/, where a file would hide the package of its name

import contextlib  # noqa: E402
import inspect  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
from collections.abc import Iterator  # noqa: E402

import hydra  # noqa: E402
from hydra.core.hydra_config import HydraConfig  # noqa: E402
from hydra.types import RunMode  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402

from studies import folders, made, outputs  # noqa: E402
from studies.outputs import shown  # noqa: E402
from studies.own_modules import import_bounds  # noqa: E402
from studies.present import present  # noqa: E402

log = logging.getLogger("studies")


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")
def main(config: DictConfig) -> None:
    """Compute the table of one job; draw it too, unless the job is one of a sweep."""
    context = HydraConfig.get()
    folder = folders.run_folder(context)
    overrides = list(context.overrides.task)
    if context.mode != RunMode.MULTIRUN:
        outputs.check_writable(folder)
        present(outputs.read_table(compute(config, folder, overrides)), folder)
        return
    os.chdir(context.runtime.cwd)  # a launcher may have started us elsewhere, and results lie where the command was given
    try:
        compute(config, folder, overrides)
    except (Exception, SystemExit) as error:  # a sweep goes on with its other jobs, and gather names this one
        outputs.write_error(folder, error)
        log.error("the job in %s failed, the sweep goes on: %s", shown(folder), outputs.read_error(folder))


def compute(config: DictConfig, folder: Path, overrides: list[str]) -> Path:
    """Write the table of one job to ``folder``, unless it stands there already; return its path."""
    path = folder / outputs.TABLE
    seed = config.study.get("seed", 0)
    if not isinstance(seed, int) or seed < 0:
        raise SystemExit(f"seed is {seed!r}; expected an integer of at least 0, such as seed=0")
    modules = import_bounds(config.bounds)
    study = str(config.study._target_).split(".")[-2]
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)
    attributes = outputs.provenance({str(key): value for key, value in resolved.items()}, study, overrides, modules)
    with outputs.alone(folder):
        (folder / outputs.ERROR).unlink(missing_ok=True)  # of an earlier try
        if outputs.read_attributes(path).get("fingerprint") == attributes["fingerprint"]:
            log.info(
                "%s stands already, made of this configuration by this code; delete it to have it computed again", shown(path)
            )
            return path
        path.unlink(missing_ok=True)  # of another configuration or code: not to be mistaken for this job's
        with _scratch(config, str(attributes["fingerprint"])) as settings:
            table = hydra.utils.instantiate(config.study, **_listed(config), **settings)
            table.attrs = attributes
            made.write(folder, attributes)
            outputs.write_table(table, path)
    return path


def _listed(config: DictConfig) -> dict[str, list[Any]]:
    """Arguments of which a study takes several, where one was given without brackets: ``study.claims=kl-trpo``."""
    takes = inspect.signature(hydra.utils.get_method(config.study._target_)).parameters
    several = [name for name, parameter in takes.items() if str(parameter.annotation).startswith("Sequence")]
    given = {name: config.study.get(name) for name in several}
    return {name: [value] for name, value in given.items() if isinstance(value, str | int | float)}


@contextlib.contextmanager
def _scratch(config: DictConfig, fingerprint: str) -> Iterator[dict[str, str]]:
    """Arguments for a study that saves its work as it goes: a folder of its own, which is removed once its table stands.

    The folder is the configuration's, so that a job goes on in whatever sweep it comes again; hence a lock of its own.
    """
    if "checkpoints" not in config.study or config.study.checkpoints is not None:
        yield {}
        return
    folder = Path(str(config.results)) / ".checkpoints" / fingerprint
    with outputs.alone(folder.with_suffix(outputs.LOCK)):
        yield {"checkpoints": str(folder)}
        shutil.rmtree(folder, ignore_errors=True)
    for empty in (folder.with_suffix(outputs.LOCK), folder.parent):
        with contextlib.suppress(OSError):
            empty.rmdir()  # unless another job is there


if __name__ == "__main__":
    main()
