"""The default runs of the report: told when they start and end, interrupted and killed, and continued."""

import io
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from studies import outputs
from studies.reporting import defaults
from studies.reporting.defaults import Run

ROOT = Path(__file__).resolve().parents[2]
HOOKS = """
import os, time
_replace = os.replace

def replace(source, target):
    _replace(source, target)
    with open("moved.txt", "a") as file:
        file.write(os.path.relpath(target) + "\\n")
    if ".checkpoints" in str(target):
        time.sleep(1)  # so that there is time to interrupt it

os.replace = replace
"""
QUICK = Run("verify", ("bounds=[hooks]", "study.claims=[G11]", "study.mdps=[riverswim]", "study.gammas=[0.9]"), 1)
SEEDS = 6
LONG = Run(
    "figure4",
    (
        *("bounds=[hooks]", "study.methods=[CEM]", "study.iterations=2", "study.paths=2", "study.copies=2", "study.horizon=20"),
        *("study.searches.episodes=1", f"study.seeds={SEEDS}", "study.workers=1"),
    ),
    2,
)
COMMAND = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from studies import report
from studies.reporting import defaults
from studies.reporting.defaults import Run
defaults.RUNS = {(QUICK, LONG)!r}
report.build = lambda folders, out: print("builds on", *folders) or []
report.main()
"""


def started(cwd):
    return subprocess.Popen([sys.executable, "-c", COMMAND], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def moved(cwd):
    """How often each table was put in its place, of runs and of what they keep on their way."""
    path = cwd / "moved.txt"
    names = path.read_text().splitlines() if path.exists() else []
    return Counter(name for name in names if name.endswith(".parquet"))


def kept(cwd):
    return {name for name in moved(cwd) if ".checkpoints" in name}


def running(cwd):
    """Processes of runs that work in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"studies/run.py" in (place / "cmdline").read_bytes() and (place / "cwd").resolve() == cwd:
                found.append(int(place.name))
        except OSError:
            continue  # it has ended
    return found


@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")
def test_interrupted_and_killed_it_goes_on_and_repeats_nothing(tmp_path):
    """Ended gently, as by Ctrl-C, and killed outright: no run that had ended is made again, and the long one goes on."""
    (tmp_path / "hooks.py").write_text(HOOKS)
    quick, long = (run.folder(Path("results")) / outputs.TABLE for run in (QUICK, LONG))
    for sent in (signal.SIGTERM, signal.SIGKILL):
        had, process, until = kept(tmp_path), started(tmp_path), time.monotonic() + 500
        while not (len(kept(tmp_path)) > len(had) and (tmp_path / quick).exists()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(sent)
        out, err = process.communicate()
        assert process.returncode, out
        assert not (tmp_path / long).exists()
        if sent != signal.SIGKILL:
            assert "the same command goes on with the runs that are left" in err
            assert not running(tmp_path)
            assert not list(tmp_path.rglob(outputs.ERROR))
    process = started(tmp_path)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert f"stands   {QUICK.command}" in out
    assert re.search(rf"(ends|stands) +{re.escape(LONG.command)}", out)  # killed outright, we leave it to end by itself
    assert f"builds on {quick.parent} {long.parent}" in out
    made = moved(tmp_path)
    assert set(made.values()) == {1}
    assert len(kept(tmp_path)) == SEEDS
    assert {str(quick), str(long)} <= set(made)
    assert not (tmp_path / "results/.checkpoints").exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Return a function that makes runs, each of which takes some seconds and ends as told, and returns what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(defaults, "LOOK", 0.05)

    def make(runs, ends, seconds=0.0, cores=1):
        def complete(self, command):
            study = command[2].removeprefix("study=")
            time.sleep(seconds)
            path = next(run.folder(Path("results")) for run in runs if run.study == study) / outputs.TABLE
            if not ends.get(study) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("a table")
            return (1, ends[study]) if ends.get(study) else (0, "")

        monkeypatch.setattr(defaults._Processes, "complete", complete)
        monkeypatch.setattr(defaults, "cores", lambda: cores)
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        defaults.run_all(runs, Path("results"))
        return capsys.readouterr().out.splitlines(), terminal.getvalue()

    return make


RUNS = [Run("verify", ("seed=1",), 10), Run("audit", (), 30), Run("train", (), 20)]


def test_each_run_says_when_it_starts_and_how_it_ended_the_longest_first(said):
    lines, _ = said(RUNS, {"train": "where\nValueError: no $ left\nadvice"})
    told = [re.sub(r"\(\d\d:\d\d\)", "(time)", line) for line in lines]
    assert [line for line in told if line.startswith("starts")] == [
        "starts   python studies/run.py study=audit",
        "starts   python studies/run.py study=train",
        "starts   python studies/run.py study=verify seed=1",
    ]
    why = "ValueError: no $ left; results/train/default/error.txt has the whole of it, and the report goes on"
    assert [line for line in told if not line.startswith("starts")] == [
        "ends     python studies/run.py study=audit  (time)  [1 of 3]",
        f"failed   python studies/run.py study=train  (time): {why}  [2 of 3]",
        "ends     python studies/run.py study=verify seed=1  (time)  [3 of 3]",
    ]
    again, _ = said(RUNS, {})
    assert [line.split()[0] for line in again].count("stands") == 2
    assert not Path("results/train/default/error.txt").exists()


def test_a_bar_says_how_much_is_done_and_how_long_the_rest_will_take(said):
    _, bar = said(RUNS, {}, seconds=1.2)
    drawn = [part for part in bar.split("\r") if "left" in part]
    shares = [int(re.search(r"(\d+)%", part)[1]) for part in drawn]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert "3 of 3 runs" in drawn[-1]
    early = [part for part in drawn if "0 of 3 runs" in part][-1]  # the first run has not ended, and yet
    assert re.search(r"\d\d:\d\d left", early)
    assert int(re.search(r"(\d+)%", early)[1]) > 0


def test_a_run_that_stands_does_not_make_the_rest_look_quick(said):
    said(RUNS[1:2], {})
    _, bar = said(RUNS, {}, seconds=0.3)
    assert "100%" in bar.split("\r")[-1]
    after = next(part for part in bar.split("\r") if "1 of 3 runs" in part)
    assert int(re.search(r"(\d+)%", after)[1]) <= 10  # of what is left, not of all


def test_an_interruption_ends_what_runs_and_lets_nothing_start(tmp_path):
    processes, ended = defaults._Processes(), []
    asleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    thread = threading.Thread(target=lambda: ended.append(processes.complete(asleep)))
    thread.start()
    while not processes.running:
        time.sleep(0.01)
    processes.end()
    thread.join(30)
    assert ended == [None]
    assert processes.complete([sys.executable, "-c", f"open({str(tmp_path / 'trace')!r}, 'w')"]) is None
    assert not (tmp_path / "trace").exists()
