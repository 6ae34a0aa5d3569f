"""The user's commands, as they are typed: what they write, what they refuse, and what they do not do twice."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from studies import figures, outputs, run
from studies.present import present
from studies.records import COLUMNS, CONTRACT

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "mdp=[riverswim]",
    "study.iterations=3",
    "study.starts=1",
    "study.aggregations=1",
    "study.claims=[kl-trpo,cpo-tv]",
]
TINY_NAME = "mdp=riverswim__study.iterations=3__study.starts=1__study.aggregations=1__study.claims=kl-trpo+cpo-tv"

SMALL = ["study=verify", "study.claims=[G11]", "study.mdps=[riverswim]", "study.gammas=[0.9]"]  # one figure only


def command(script, *arguments, cwd):
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "PYTHONPATH")}
    return subprocess.run(
        [sys.executable, str(ROOT / "studies" / script), *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def typed(monkeypatch, capsys):
    """A function that takes a command's words in this process, and returns its exit status and what it prints as errors."""

    def run_it(main, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{main.__module__}.py", *arguments])
        monkeypatch.setattr(sys, "path", list(sys.path))
        GlobalHydra.instance().clear()
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        said = capsys.readouterr().err
        return (1, f"{said}{status}") if isinstance(status, str) else (status, said)

    return run_it


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One run of the default study, made small."""
    cwd = tmp_path_factory.mktemp("single")
    done = command("run.py", *TINY, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd, cwd / "results/trust_region" / TINY_NAME, done


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep over delta with the launcher that runs one job after the other."""
    cwd = tmp_path_factory.mktemp("sweep")
    done = command("run.py", "-m", "delta=0.1,0.01", *TINY, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd, cwd / "results/trust_region" / f"delta=0.1,0.01__{TINY_NAME}", done


def test_a_run_leaves_its_table_its_figures_and_where_they_are(single):
    _, folder, done = single
    names = {path.name for path in folder.iterdir()}
    stems = ("progress", "divergence", "gain", "falls", "guarantees")
    figures = {f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png")}
    assert names == {"table.parquet", "made.json", "summary.csv", *figures}
    assert f"results/trust_region/{TINY_NAME}/table.parquet" in done.stdout
    assert "progress.pdf" in done.stdout


def test_the_table_keeps_the_contract_and_what_made_it(single):
    _, folder, _ = single
    table = outputs.read_table(folder / "table.parquet")
    assert tuple(table.columns) == COLUMNS
    assert COLUMNS[: len(CONTRACT)] == CONTRACT
    assert set(table["verdict"]) <= {"holds", "violated"}
    assert len(table) == 2 * 3 * (2 + 2) * table["claim"].nunique()  # regions, updates; tied or not, neural starts
    assert table.attrs["study"] == "trust_region"
    assert table.attrs["config"]["study"]["iterations"] == 3
    assert table.attrs["config"]["mdp"]["riverswim"]["gamma"] == 0.9
    assert table.attrs["command"] == " ".join(["python studies/run.py", *TINY])
    assert "results" not in table.attrs["config"]


def test_the_command_of_a_table_can_be_typed():
    """A shell reads back the words that were given."""
    words = ["study=figure4", "study.methods=[single path,CEM]", "mdp=forest,garnet", "+a={b:1,c:2}", "note=it's $5"]
    command = outputs.provenance({}, "figure4", words)["command"]
    assert shlex.split(command)[2:] == words
    assert command.startswith("python studies/run.py study=figure4 'study.methods=[single path,CEM]' mdp=forest,garnet ")


def computed(overrides, folder):
    """The table of one job, without a command line."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides)
    folder.mkdir(exist_ok=True)
    return run.compute(config, folder, overrides)


def test_a_job_is_computed_once_and_again_for_another_configuration(tmp_path, caplog):
    caplog.set_level("INFO", logger="studies")
    path = computed([*SMALL, "study.instances=2"], tmp_path)
    before, table = path.stat().st_mtime_ns, outputs.read_table(path)
    assert not caplog.text
    computed([*SMALL, "study.instances=2", f"results={tmp_path}"], tmp_path)
    assert "stands already" in caplog.text
    assert path.stat().st_mtime_ns == before

    caplog.clear()
    computed([*SMALL, "study.instances=3"], tmp_path)
    assert not caplog.text
    assert set(outputs.read_table(path)["instances"]) > {3}

    path.write_bytes(path.read_bytes()[:3000])  # damaged: made anew
    computed([*SMALL, "study.instances=2"], tmp_path)
    pd.testing.assert_frame_equal(outputs.read_table(path), table)


def test_one_value_needs_no_brackets_where_a_study_takes_several(tmp_path):
    plain = ["study=verify", "study.claims=kl-trpo", "study.mdps=garnet", "study.gammas=0.5", "study.instances=1"]
    table = outputs.read_table(computed(plain, tmp_path))
    assert set(table["claim"]) == {"kl-trpo"}
    assert "garnet" in set(table["mdp"])
    assert set(table["gamma"]) == {0.5}


def test_a_job_that_fails_leaves_no_table_of_another_configuration(tmp_path):
    path = computed([*SMALL, "study.instances=2"], tmp_path)
    with pytest.raises(Exception, match="instances is 0"):
        computed([*SMALL, "study.instances=0"], tmp_path)
    assert not path.exists()


def test_a_sweep_combines_its_jobs_and_gather_alone_does_the_same(sweep):
    cwd, folder, done = sweep
    jobs = [f"delta={delta}__{TINY_NAME}" for delta in ("0.01", "0.1")]
    combined = outputs.read_table(folder / "table.parquet")
    assert list(combined["job"].unique()) == jobs  # in the order of the names, not of the command
    assert list(combined.attrs["jobs"]) == jobs
    for job in jobs:
        own = outputs.read_table(folder / job / "table.parquet")
        part = combined[combined["job"] == job].drop(columns="job").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, own, check_categorical=False, check_dtype=False)
    assert (folder / "falls.pdf").exists()
    assert "combined 2 of 2 jobs" in done.stdout
    figure = (folder / "progress.pdf").read_bytes(), (folder / "progress.png").read_bytes()

    (folder / "table.parquet").unlink()
    (folder / "progress.pdf").unlink()
    alone = command("gather.py", str(folder), cwd=cwd)
    assert alone.returncode == 0, alone.stderr
    pd.testing.assert_frame_equal(outputs.read_table(folder / "table.parquet"), combined)
    assert ((folder / "progress.pdf").read_bytes(), (folder / "progress.png").read_bytes()) == figure


UNREADABLE = {
    "unread": "one = 1\ndef two(:\n",
    "unnamed": "one = 1\n\nthree = two\n",
    "lacking": "import no_such_thing\n",
    "ending": "import sys\n\nsys.exit(0)\n",
}
"""Modules of claims that cannot be imported, by name."""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study=verfiy"], "Could not find 'study/verfiy'"),
        (["mdp=[riverswin]"], "Could not load 'mdp/riverswin'"),
        (["detla=0.1"], "Key 'detla' is not in struct"),
        (["study.claims=[kl-trop]", *TINY[:1]], "unknown claim 'kl-trop'"),
        (["bounds=[no_such_bounds]", *TINY[:1]], "no_such_bounds.py"),
        (["bounds=no_such_bounds.py"], "Expected a file no_such_bounds.py in"),
        (["bounds=[unread]"], "module 'unread', which cannot be imported: unread.py, line 2: SyntaxError: invalid syntax"),
        (["bounds=[unnamed]"], "module 'unnamed', which cannot be imported: unnamed.py, line 3: NameError: name 'two' is not"),
        (["bounds=[lacking]"], "cannot be imported: lacking.py, line 1: ModuleNotFoundError: No module named 'no_such_thing'"),
        (["bounds=[ending]"], "module 'ending', which cannot be imported: ending.py, line 3: SystemExit: 0. Mend it"),
        (["-m", "delta=0.1,0.01", "bounds=[unread]"], "which cannot be imported: unread.py, line 2: SyntaxError"),
        (["mdp=[]"], "mdp is empty; choose at least one"),
        (["region=[]"], "region is empty; choose at least one"),
        (["seed=-1"], "seed is -1; expected an integer"),
        (["seed=null"], "seed is None; expected an integer"),
        (["results=null"], "results is null; give the folder"),
        (["results=taken/inside"], "cannot write results to taken/inside"),
    ],
)
def test_a_mistake_is_named_before_anything_is_computed(arguments, message, typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file where a folder should be")
    for name, text in UNREADABLE.items():
        (tmp_path / f"{name}.py").write_text(text)
    status, said = typed(run.main, *arguments)
    assert status != 0
    assert message in said
    assert "bounds=" not in "".join(arguments) or "Traceback" not in said
    assert not list(tmp_path.rglob("table.parquet"))


def test_a_sweep_into_a_place_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "taken").write_text("a file")
    done = command("run.py", "-m", "delta=0.1,0.01", "results=taken", cwd=tmp_path)
    assert done.returncode != 0
    assert "cannot write results to taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_improvement_runs_from_the_command_line_and_its_figures_can_be_drawn_again(tmp_path):
    done = command(
        "run.py",
        "study=improvement",
        "mdp=riverswim",
        "study.iterations=5",
        "study.starts=2",
        "study.updates=[alg1-trpo,max-kl]",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "results/improvement").iterdir()
    assert tuple(outputs.read_table(folder / "table.parquet").columns) == COLUMNS
    before = {path.name: path.read_bytes() for path in folder.glob("*.p*") if path.suffix in (".pdf", ".png")}
    assert {"distance.pdf", "arrival.pdf", "promise.png"} <= set(before)
    for path in folder.glob("*.pdf"):
        path.unlink()
    present(outputs.read_table(folder / "table.parquet"), folder)
    assert {path.name: path.read_bytes() for path in folder.glob("*.p*") if path.suffix in (".pdf", ".png")} == before


def test_figures_of_what_is_no_table_say_so(typed, tmp_path):
    np.save(tmp_path / "table.npy", np.zeros(3))
    outputs.write_table(pd.DataFrame({"study": ["verify"]}), tmp_path / "old.parquet")
    for path, said in {
        tmp_path / "table.npy": "damaged or half-written",
        tmp_path / "old.parquet": "not as this version of its study writes it",
        tmp_path: "is a folder; give the table in it",
    }.items():
        status, told = typed(figures.main, str(path))
        assert status != 0
        assert said in told
        assert "Traceback" not in told
