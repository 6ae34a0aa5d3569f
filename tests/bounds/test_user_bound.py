"""A user's own bound, as in examples/my_bounds.py: the two commands that check it, on a small scale, and what it really is."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bounds import CATALOGUE, compare
from mdps import MDP

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
FEW = ["study.instances=2", "study.mdps=[garnet]", "study.gammas=[0.9]", "study.claims=[my-cpo-resolvent,cpo-tv]"]


def command(*arguments, cwd, path=None):
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "PYTHONPATH")}
    environment |= {"PYTHONPATH": str(path)} if path else {}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture
def mine(monkeypatch):
    """The claim of the example, registered for one test only."""
    before = dict(CATALOGUE)
    CATALOGUE.pop("my-cpo-resolvent", None)  # where pytest was given -p my_bounds
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delitem(sys.modules, "my_bounds", raising=False)
    __import__("my_bounds")
    yield CATALOGUE["my-cpo-resolvent"]
    CATALOGUE.clear()
    CATALOGUE.update(before)


def test_verify_holds_it_against_the_bank(tmp_path):
    done = command(str(ROOT / "studies/run.py"), "study=verify", "bounds=[my_bounds]", f"results={tmp_path}", *FEW, cwd=EXAMPLES)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "verify").iterdir()
    summary = pd.read_csv(folder / "summary.csv").set_index("claim")
    assert summary.loc["my-cpo-resolvent", "verdict"] == "open: largest usage 1"  # the structured families attain it
    assert summary.loc["my-cpo-resolvent", "instances"] == summary.loc["cpo-tv", "instances"]
    assert {"claims.pdf", "gamma.pdf", "distance.png"} <= {path.name for path in folder.iterdir()}


def test_it_gets_the_tests_of_the_others():
    done = command(
        "-m", "pytest", "-p", "my_bounds", "-p", "no:cacheprovider", "-rp",
        "tests/bounds/test_claims.py", "tests/bounds/test_catalogue.py", "-k", "my-cpo-resolvent or documented",
        cwd=ROOT, path=EXAMPLES,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    passed = {line.split("::")[1] for line in done.stdout.splitlines() if line.startswith("PASSED")}
    assert passed >= {
        "test_a_claim_can_be_read_everywhere[my-cpo-resolvent]",
        "test_usage_is_invariant[my-cpo-resolvent]",
        "test_nothing_is_charged_for_standing_still[my-cpo-resolvent]",
        "test_every_claim_is_documented",
    }


FAULTY = {  # what is charged, and the test that it fails
    "undefined": ("c.eps_g * c.tv_mean / 0", "test_a_claim_can_be_read_everywhere"),  # nan where nothing moves
    "squared": ("c.eps_g**2 * c.tv_mean", "test_usage_is_invariant"),  # not of the unit of a return
    "constant": ("c.eps_A * c.horizon", "test_nothing_is_charged_for_standing_still"),
}


def test_faulty_ones_fail_them(tmp_path):
    text = "import numpy as np\nfrom bounds import bound\n"
    for name, (penalty, _) in FAULTY.items():
        text += f"@bound('faulty-{name}', source='x', formula='x', status='open')\n"
        text += f"def {name}(c):\n    with np.errstate(all='ignore'):\n        return {penalty}\n"
    (tmp_path / "faulty_bounds.py").write_text(text)
    done = command(
        "-m", "pytest", "-p", "faulty_bounds", "-p", "no:cacheprovider", "-rf", "tests/bounds/test_claims.py", "-k", "faulty",
        cwd=ROOT, path=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    for name, (_, test) in FAULTY.items():
        assert any(f"{test}[faulty-{name}]" in line for line in failed), done.stdout


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_three_states_break_the_example(mine, gamma):
    """What the bank does not find: new leaves for a state that old never sees, and E_d TV counts the leaving once.

    State 0 leads to state 1 (old) or 2 (new), both absorbing. In state 1 new plays with probability p what pays 1/p there, in
    state 2 what pays -1: g = 0, 1, -1. So gap = -2 gamma/h with E_d TV = h + gamma p, and the usage tends to 1 + gamma.
    """
    p = 1e-6
    P = np.zeros((3, 2, 3))
    P[0, 0, 1] = P[0, 1, 2] = P[1, :, 1] = P[2, :, 2] = 1
    c = compare(MDP(P, [[0, 0], [0, 1 / p], [0, -1]], [1, 0, 0], gamma), np.eye(2)[[0, 0, 0]], [[0, 1], [1 - p, p], [0, 1]])
    assert float(c.gap) == pytest.approx(-2 * gamma / (1 - gamma), rel=1e-9)
    assert float(mine.usage(c)) == pytest.approx(1 + gamma, rel=1e-3)
    assert float(CATALOGUE["cpo-tv"].usage(c)) <= 1
