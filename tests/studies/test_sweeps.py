"""Sweeps: killed anywhere, doubled, failed, and on every launcher, they end in the same table.

The jobs import a module of bounds of ours, ``hooks``, which watches each file that a study moves into place and, where told,
kills its own process just before or just after.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from studies import folders, gather, outputs, progress, run

ROOT = Path(__file__).resolve().parents[2]
JOB = ["study=verify", "bounds=[hooks]", "study.claims=[G11]", "study.mdps=[riverswim]", "study.gammas=[0.9]"]
SWEEP = ["study.instances=2,3", *JOB]
NAMES = [folders.name([f"study.instances={n}", *JOB]) for n in (2, 3)]
HOOKS = """
import json, os, signal, sys
when, what, _replace = os.environ.get("KILL", ":").split(":")[0], os.environ.get("KILL", ":").split(":")[-1], os.replace

def replace(source, target):
    name = os.path.relpath(target)
    if when == "before" and name.endswith(what):
        os.kill(os.getpid(), signal.SIGKILL)
    _replace(source, target)
    with open("moved.txt", "a") as file:
        file.write(name + "\\n")
    if when == "after" and name.endswith(what):
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace
if "ray" in sys.modules and sys.modules["ray"].is_initialized():
    import time
    node = sys.modules["ray"].get_runtime_context().get_node_id()
    open(f"node-{node}", "w").close()
    end = time.monotonic() + 60
    while len([name for name in os.listdir() if name.startswith("node-")]) < 2 and time.monotonic() < end:
        time.sleep(0.1)  # so that no node takes both jobs
"""


@pytest.fixture
def place(tmp_path):
    """A working directory with the module of hooks."""
    (tmp_path / "hooks.py").write_text(HOOKS)
    return tmp_path


def sweep(cwd, *more, kill="", wait=True, jobs=SWEEP):
    arguments = [sys.executable, str(ROOT / "studies/run.py"), "-m", *jobs, *more]
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"} | {"KILL": kill, "PYTHONPATH": str(cwd)}
    process = subprocess.Popen(arguments, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not wait:
        return process
    said = process.communicate()[0]
    return process.returncode, said


def folder(cwd):
    (only,) = (cwd / "results/verify").iterdir()
    return only


def inodes(cwd):
    return {path.parent.name: path.stat().st_ino for path in folder(cwd).glob("*/table.parquet")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The files of the sweep when nothing happens to it."""
    cwd = tmp_path_factory.mktemp("undisturbed")
    (cwd / "hooks.py").write_text(HOOKS)
    code, said = sweep(cwd)
    assert code == 0, said
    assert re.findall(r"(\d) of 2 jobs have ended", said)[-1] == "2"
    return outputs.read_table(folder(cwd) / "table.parquet"), {
        path.name: path.read_bytes() for path in folder(cwd).glob("*.*") if path.is_file()
    }


def assert_same(cwd, undisturbed):
    table, files = undisturbed
    found = outputs.read_table(folder(cwd) / "table.parquet")
    pd.testing.assert_frame_equal(found, table, check_exact=True)
    assert json.dumps(found.attrs, sort_keys=True) == json.dumps(table.attrs, sort_keys=True)
    for name, content in files.items():
        if name != "multirun.yaml":  # Hydra's own, which names the launcher and the folder
            assert (folder(cwd) / name).read_bytes() == content, name


def test_a_sweep_killed_anywhere_goes_on_and_repeats_nothing(place, undisturbed):
    """Killed while it writes a job's table, between two jobs, and while it combines them."""
    kills = [f"before:{NAMES[0]}/table.parquet", f"after:{NAMES[0]}/table.parquet", "after:jobs.csv", "before:claims.png"]
    standing = {}
    for kill in kills:
        code, said = sweep(place, kill=kill)
        assert code == -signal.SIGKILL, (kill, said)
        now = inodes(place)
        assert standing.items() <= now.items(), kill
        standing = now
    assert set(standing) == set(NAMES)
    code, said = sweep(place)
    assert code == 0, said
    assert said.count("stands already") == 2
    assert inodes(place) == standing
    assert_same(place, undisturbed)
    left = [path.name for path in folder(place).rglob(".*")]
    assert not left  # no locks, nothing half written


def test_two_sweeps_at_once_do_each_job_once(place, undisturbed):
    both = [sweep(place, wait=False) for _ in range(2)]
    ends = [(process.communicate()[0], process.returncode) for process in both]
    assert [code for _, code in ends] == [0, 0], ends
    moved = (place / "moved.txt").read_text().splitlines()
    assert sorted(Path(name).parent.name for name in moved if re.search(r"instances=\d_.*table.parquet$", name)) == NAMES
    assert_same(place, undisturbed)


def test_a_folder_is_one_processs_and_a_dead_one_lets_go(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\nfrom studies import outputs\n"
    code += f"with outputs.alone(Path({str(tmp_path)!r})):\n    print('in', flush=True)\n    input()\n"
    command = [sys.executable, "-c", f"import logging; logging.basicConfig(level='INFO')\n{code}"]
    owner = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    assert owner.stdout.readline() == "in\n"
    (tmp_path / ".table.x.partial").write_text("half")
    waiter = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True)
    assert "waiting for it" in waiter.stderr.readline()
    owner.kill()
    assert waiter.stdout.readline() == "in\n"
    assert not list(tmp_path.glob(".*.partial"))
    waiter.communicate("\n")
    assert waiter.returncode == 0
    assert not list(tmp_path.iterdir())


def test_the_same_job_of_two_sweeps_never_shares_a_scratch_folder_at_once(tmp_path):
    config = OmegaConf.create({"study": {"checkpoints": None}, "results": str(tmp_path)})
    with run._scratch(config, "abc") as settings:
        place = Path(settings["checkpoints"])
        place.mkdir(parents=True)
        (lock,) = [path for path in place.parent.rglob(".lock")]
        done = subprocess.run(["flock", "--nonblock", str(lock), "true"], check=False)
        assert done.returncode == 1  # held
    assert not list(tmp_path.iterdir())

    def fails():
        with run._scratch(config, "abc") as settings:
            Path(settings["checkpoints"]).mkdir(parents=True)
            raise RuntimeError("fails")

    with pytest.raises(RuntimeError, match="fails"):
        fails()
    assert place.is_dir()  # what was saved is there for the next try
    with run._scratch(OmegaConf.create({"study": {"checkpoints": "mine"}}), "abc") as settings:
        assert settings == {}


def test_an_error_of_an_earlier_try_is_forgotten_when_the_job_is_given_again(tmp_path):
    overrides = ["study=verify", "study.claims=[G11]", "study.mdps=[riverswim]", "study.gammas=[0.9]", "study.instances=2"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides)
    job = tmp_path / "sweep" / "job"
    run.compute(config, job, overrides)
    outputs.write_error(job, ValueError("of\nlong ago"))
    assert outputs.read_error(job) == "ValueError: of long ago"
    run.compute(config, job, overrides)
    assert outputs.read_error(job) is None
    assert gather.gather(tmp_path / "sweep") is True


def test_every_job_has_its_row_whatever_became_of_it(place):
    code, said = sweep(place, jobs=["study.instances=0,2", *JOB])
    assert code == 1
    assert re.findall(r"(\d) of 2 jobs have ended, 1 failed", said)[-1] == "2"
    assert "combined 1 of 2 jobs" in said
    where = folder(place)
    (error,) = where.glob("study.instances=0*/error.txt")
    assert error.read_text().startswith("ValueError: instances is 0; give at least 1")
    assert "Traceback" in error.read_text()
    (where / "later").mkdir()
    (where / ".submitit/17").mkdir(parents=True)  # logs of a launcher are no job
    assert gather.gather(where) is False
    jobs = pd.read_csv(where / "jobs.csv", keep_default_na=False).set_index("job")
    assert list(jobs["status"]) == ["not ended", "failed", "done"]
    assert list(jobs["rows"]) == [0, 0, len(outputs.read_table(where / "table.parquet"))]
    assert "ValueError: instances is 0; give at least 1" in jobs["error"].iloc[1]


def test_a_sweep_of_failures_says_why(place):
    code, said = sweep(place, jobs=["study.instances=0,-1", *JOB])
    assert code == 1
    assert "jobs.csv says why" in said
    assert list(pd.read_csv(folder(place) / "jobs.csv")["status"]) == ["failed", "failed"]


def test_tables_of_two_states_of_the_code_are_named(tmp_path, capsys):
    for name in ("a", "b"):
        table = pd.DataFrame({"study": "verify", "x": [1.0]})
        table.attrs = {"study": "verify", "sources": name}
        (tmp_path / name).mkdir()
        outputs.write_table(table, tmp_path / name / "table.parquet")
    with pytest.raises(Exception, match=r"claim|column|key|mdp"):  # no figures of such tables, but all else is written
        gather.gather(tmp_path)
    assert "2 states of the code" in capsys.readouterr().err
    assert list(pd.read_csv(tmp_path / "jobs.csv")["sources"]) == ["a", "b"]


def test_progress_counts_what_this_code_has_made_and_what_failed(tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO", logger="studies")
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    jobs = [tmp_path / str(i) for i in range(4)]
    for job, code in zip(jobs, ("old", "new", "", ""), strict=True):
        table = pd.DataFrame({"x": [1]})
        table.attrs = {"sources": code}
        job.mkdir()
        if code:
            outputs.write_table(table, job / "table.parquet")
    with progress.counted(jobs, "new"):
        outputs.write_error(jobs[2], ValueError("bad"))
    assert caplog.messages[-1] == "2 of 4 jobs have ended, 1 failed"
    assert [progress.ended(job, "new") for job in jobs] == ["", "done", "failed", ""]


def test_a_launcher_that_is_not_installed_is_named(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if "ray" in name else found(name, *rest))
    config = {"hydra": {"runtime": {"choices": {"hydra/launcher": "ray"}}, "launcher": preset("ray")}}
    with pytest.raises(SystemExit, match=r"needs hydra-ray-launcher, .* pip install -e \.\[ray\]"):
        folders.check_launcher(OmegaConf.create(config))


def preset(name):
    return OmegaConf.load(ROOT / f"conf/hydra/launcher/{name}.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "conf/hydra/launcher").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_preset_sets_what_its_plugin_knows(path):
    target = str(preset(path.stem)["_target_"])
    package = ".".join(target.split(".")[:2])
    assert package in folders.LAUNCHERS
    config = pytest.importorskip(f"{package}.config" if "ray" not in package else f"{package}._config")
    (known,) = (
        known for known in vars(config).values() if isinstance(known, type) and getattr(known, "_target_", None) == target
    )
    given = OmegaConf.to_container(preset(path.stem), resolve=False)
    OmegaConf.merge(OmegaConf.structured(known), {key: value for key, value in given.items() if value is not None})


def test_joblib_makes_the_same_files(place, undisturbed):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    code, said = sweep(place, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert code == 0, said
    assert re.findall(r"(\d) of 2 jobs have ended", said)[-1] == "2"
    assert_same(place, undisturbed)


@pytest.mark.parametrize("launcher", ["submitit_local", "submitit_slurm"])
def test_submitit_makes_the_same_files(place, undisturbed, launcher):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra [slurm]")
    if launcher == "submitit_slurm" and (not shutil.which("sinfo") or subprocess.run(["sinfo"], check=False).returncode):
        pytest.skip("needs a machine that submits to a SLURM cluster")
    code, said = sweep(place, f"hydra/launcher={launcher}")
    assert code == 0, said
    assert re.findall(r"(\d) of 2 jobs have ended", said)[-1] == "2"
    assert_same(place, undisturbed)


def test_two_nodes_of_a_ray_cluster_make_the_same_files(place, undisturbed, tmp_path_factory):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="needs the extra [ray]")
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra [ray]")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    here, node = os.getcwd(), {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    os.chdir(elsewhere)  # a node need not have been started where the command is given
    try:
        cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        cluster.add_node(**node)
    finally:
        os.chdir(here)
    try:
        code, said = sweep(place, "hydra/launcher=ray", f"hydra.launcher.ray.init.address='{cluster.address}'")
    finally:
        cluster.shutdown()
    assert code == 0, said
    assert len(list(place.glob("node-*"))) == 2
    assert re.findall(r"(\d) of 2 jobs have ended", said)[-1] == "2"
    assert_same(place, undisturbed)
    assert not list(elsewhere.iterdir())
