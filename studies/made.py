"""When and where a table was made: ``made.json`` beside it.

A table says what made it (:mod:`studies.outputs`), and is the same bytes whenever and wherever that is done again. What may
differ stands in this record:

=============== ======================================================================
``fingerprint`` of the table that it speaks of; it says nothing of another one
``command``     that made it
``date``        the day on which it was made, UTC
``machine``     that it was made on (:func:`machine`)
=============== ======================================================================
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from studies import outputs

MADE = "made.json"


def write(folder: Path, attributes: Mapping[Any, Any]) -> None:
    """Write that the table of a folder is made here and today; ``attributes`` are the table's.

    Before the table itself is written, so that none ever stands without its record.
    """
    told = {name: attributes.get(name) for name in ("fingerprint", "command")}
    put(folder, {**told, "date": datetime.now(UTC).date().isoformat(), "machine": machine()})


def put(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a record to a folder, in one move."""
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    outputs.write(folder / MADE, lambda partial: Path(partial).write_text(text, encoding="utf-8"))


def read(folder: Path, attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the record of the table in a folder that has these attributes; ``{}`` where there is none, or it is of another."""
    try:
        record = json.loads((folder / MADE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict) or not record.get("fingerprint"):
        return {}
    return record if record["fingerprint"] == attributes.get("fingerprint") else {}


def origins(folder: Path, attributes: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Return what made a table, with ``date`` and ``machine`` where its record says them: by job of a sweep, by "" of a run.

    Parameters
    ----------
    folder
        Of the table; the jobs of a sweep have theirs in it.
    attributes
        Of the table.
    """
    jobs = attributes.get("jobs")
    if not isinstance(jobs, Mapping):
        jobs = {"": attributes}
    records = {name: read(folder / name, own) for name, own in jobs.items()}
    return {
        str(name): {**own, **{key: records[name][key] for key in ("date", "machine") if key in records[name]}}
        for name, own in jobs.items()
    }


def machine() -> dict[str, str]:
    """Describe this machine: processor, cores, memory, and the versions that numbers and times depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 2**30:.0f} GiB" if memory else "unknown",
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "scipy", "torch", "pandas")},
    }
