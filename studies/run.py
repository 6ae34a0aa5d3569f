"""Run a study: ``python studies/run.py [study=...] [key=value ...]``, or a sweep with ``-m`` and values parted by commas.

The job's table goes to ``results/<study>/<name>/table.parquet``, the name being that of the overrides (:mod:`studies.folders`).
A job whose table stands already, made of the same configuration by the same code, is not computed again. A study with the key
``checkpoints`` saves its work to ``results/.checkpoints/<fingerprint>``, and goes on from there if it was killed. A single run
then draws its figures; a sweep combines the tables of its jobs and draws those (:mod:`studies.gather`).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # not studies/, where a file would hide the package of its name

import contextlib  # noqa: E402
import importlib  # noqa: E402
import logging  # noqa: E402
import shutil  # noqa: E402
import traceback  # noqa: E402
from types import ModuleType  # noqa: E402

import hydra  # noqa: E402
from hydra.core.hydra_config import HydraConfig  # noqa: E402
from hydra.types import RunMode  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402

from studies import folders, outputs  # noqa: E402
from studies.present import present, shown  # noqa: E402

log = logging.getLogger("studies")


@hydra.main(version_base="1.3", config_path=str(ROOT / "conf"), config_name="config")
def main(config: DictConfig) -> None:
    """Compute the table of one job; draw it too, unless the job is one of a sweep."""
    context = HydraConfig.get()
    folder = folders.run_folder(context)
    outputs.check_writable(folder)
    if context.mode != RunMode.MULTIRUN:
        table = outputs.read_table(compute(config, folder, list(context.overrides.task)))
        present(table, folder)
        return
    try:
        compute(config, folder, list(context.overrides.task))
    except Exception as error:  # a sweep goes on with its other jobs, and gather names this one
        (folder / "error.txt").write_text(traceback.format_exc())
        log.error("the job in %s failed, the sweep goes on: %s", shown(folder), error)


def compute(config: DictConfig, folder: Path, overrides: list[str]) -> Path:
    """Write the table of one job to ``folder``, unless it stands there already; return its path."""
    path = folder / outputs.TABLE
    modules = import_bounds(list(config.bounds))
    study = str(config.study._target_).split(".")[-2]
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)
    made = outputs.provenance({str(key): value for key, value in resolved.items()}, study, overrides, modules)
    if outputs.read_attributes(path).get("fingerprint") == made["fingerprint"]:
        log.info("%s stands already, made of this configuration by this code; delete it to have it computed again", shown(path))
        return path
    path.unlink(missing_ok=True)  # of another configuration or code: not to be mistaken for this job's
    scratch = Path(str(config.results)) / ".checkpoints" / made["fingerprint"]
    saves = "checkpoints" in config.study and config.study.checkpoints is None  # a study that saves its work as it goes
    table = hydra.utils.instantiate(config.study, **({"checkpoints": str(scratch)} if saves else {}))
    table.attrs = made
    outputs.write_table(table, path)
    shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.suppress(OSError):
        scratch.parent.rmdir()  # unless another job's are there
    (folder / "error.txt").unlink(missing_ok=True)
    return path


def import_bounds(names: list[str]) -> list[ModuleType]:
    """Import a user's modules of claims, which register themselves, from the working directory or wherever Python finds them.

    Raises
    ------
    ValueError
        If there is no module of that name.
    """
    if names and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise ValueError(
                f"bounds names the module {name!r}, which cannot be found. Expected a file {name}.py in {Path.cwd()} "
                "or on PYTHONPATH; write bounds=[my_bounds] without .py"
            ) from None
    return modules


if __name__ == "__main__":
    main()
