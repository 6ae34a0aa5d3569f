"""The record beside a table: when and where it was made, of that table alone, and the table the same bytes without it."""

import getpass
import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from studies import made, outputs, run

ROOT = Path(__file__).resolve().parents[2]
TINY = ["study=verify", "study.claims=[G11]", "study.mdps=[riverswim]", "study.gammas=[0.9]"]


def test_a_run_leaves_its_record_and_the_table_knows_no_day(tmp_path):
    days = {datetime.now(UTC).date().isoformat()}

    def command():
        done = subprocess.run([sys.executable, str(ROOT / "studies/run.py"), *TINY], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr + done.stdout

    command()
    days.add(datetime.now(UTC).date().isoformat())  # midnight may pass meanwhile
    (folder,) = (tmp_path / "results/verify").iterdir()
    attributes = outputs.read_attributes(folder / "table.parquet")
    record = json.loads((folder / "made.json").read_text())
    assert record["date"] in days
    assert (record["command"], record["fingerprint"]) == (attributes["command"], attributes["fingerprint"])
    assert record["machine"] == made.machine()
    assert set(attributes) == {"study", "config", "version", "sources", "fingerprint", "command"}
    made.put(folder, {**record, "date": "2020-02-29"})
    assert "stands already" in command()
    assert made.read(folder, attributes)["date"] == "2020-02-29"  # the day it was made, not that of the second command


def test_a_table_never_stands_without_its_record(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(outputs, "write_table", lambda table, path: order.append((path.parent / made.MADE).exists()))
    monkeypatch.setattr(run.hydra.utils, "instantiate", lambda study: pd.DataFrame({"study": ["s"]}))
    config = run.OmegaConf.create({"bounds": [], "results": str(tmp_path), "study": {"_target_": "studies.verify.run"}})
    run.compute(config, tmp_path / "x", [])
    assert order == [True]


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"fingerprint": "g", "date": "2020-02-29"}', '{"fingerprint": null}'])
def test_no_record_a_damaged_one_and_that_of_another_table_say_nothing(tmp_path, text):
    if text is not None:
        (tmp_path / made.MADE).write_text(text)
    assert made.read(tmp_path, {"fingerprint": "f"}) == {}
    assert made.read(tmp_path, {}) == {}
    assert made.origins(tmp_path, {"fingerprint": "f"}) == {"": {"fingerprint": "f"}}


def test_the_jobs_of_a_sweep_have_their_own_records(tmp_path):
    jobs = {name: {"fingerprint": name, "command": "c"} for name in ("a", "b/c")}
    (tmp_path / "b/c").mkdir(parents=True)
    made.put(tmp_path / "b/c", {"fingerprint": "b/c", "date": "2020-02-29", "machine": {"cores": "3"}, "command": "another"})
    found = made.origins(tmp_path, {"jobs": jobs})
    assert found == {"a": jobs["a"], "b/c": {**jobs["b/c"], "date": "2020-02-29", "machine": {"cores": "3"}}}


def test_the_machine_is_described_without_its_name():
    said = made.machine()
    assert int(said["cores"]) > 0
    assert said["python"] == platform.python_version()
    assert {"processor", "memory", "numpy", "torch"} <= said.keys()
    text = str(said)
    assert platform.node() not in text
    assert f"{getpass.getuser()}/" not in text
    assert "/home" not in text
