"""The examples run as their first lines say, and show what their comments say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from studies.docs import section

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SHOWN = {
    "my_agent": ["## mine", r"| mean KL(old\|\|new) over the batch is at most delta | **broken** |"],
    "my_bounds": [],
    "one_figure": ["exact-tied  max_kl", "figure one_figure.pdf", "figure one_figure.png"],
}


def run(example, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, example], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_says_what_it_promises(example, tmp_path):
    said = run(example, tmp_path)
    for words in SHOWN[example.stem]:
        assert " ".join(words.split()) in " ".join(said.split())
    assert all(path.stat().st_size > 5000 for path in tmp_path.iterdir())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_begins_with_what_it_is(example):
    lines = example.read_text().splitlines()
    assert len(lines) <= 45
    assert lines[0].startswith('"""')


def test_the_agent_of_the_page_on_audits_is_the_example():
    shown = section((ROOT / "docs/audit.md").read_text(), "agent").removeprefix("```py\n").removesuffix("```").strip()
    assert shown in (ROOT / "examples/my_agent.py").read_text()
