"""What the strategies draw, and what is left of a false claim's counterexample."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from bounds import CATALOGUE
from bounds.catalogue import TOLERANCE
from bounds.strategies import GAMMAS, comparisons, mdps, policies
from mdps.families import garnet

STABLE = settings(derandomize=True, deadline=None, database=None, max_examples=150, suppress_health_check=list(HealthCheck))
FOUND = settings(STABLE, max_examples=1500)
THEOREMS = [claim for claim in CATALOGUE.values() if claim.status == "theorem"]


@STABLE
@given(comparisons())
def test_no_drawn_comparison_breaks_a_theorem(c):
    usages = {claim.id: float(claim.usage(c)) for claim in THEOREMS}
    assert max(usages.values()) <= 1 + TOLERANCE, max(usages.items(), key=lambda item: item[1])


BROKEN = {  # id: most states that its smallest counterexample has
    "G5": 2,  # a mean does not see the state that only new visits
    "G16-linear": 1,
}


@pytest.mark.parametrize("id", BROKEN)
def test_a_false_claim_ends_as_a_small_counterexample(id):
    claim = CATALOGUE[id]
    c = find(comparisons(), lambda c: claim.usage(c) > 1.01, settings=FOUND)
    assert claim.usage(c) > 1.01
    assert BROKEN[id] == c.mdp.S
    assert c.mdp.A == 2
    assert c.gamma == 0.5
    assert np.isin(c.mdp.R, (-1, 0, 1)).all()
    for table in (c.mdp.P, c.mdp.rho0, c.old.pi):  # halves, thirds and quarters
        np.testing.assert_allclose(12 * table, np.rint(12 * table), atol=1e-12)


EDGES = {
    "gamma = 0": lambda c: c.gamma == 0,
    "gamma near 1": lambda c: c.gamma == GAMMAS[-1],
    "deterministic": lambda c: (c.old.pi.max(-1) == 1).all() and c.mdp.A > 1 and c.mdp.S > 1,
    "near": lambda c: 0 < c.tv_max < 1e-9,
    "new = old": lambda c: c.tv_max == 0 and c.mdp.A > 1,
    "unreachable": lambda c: (c.old.rho == 0).any(),
    "infinite KL": lambda c: np.isinf(c.kl_max),
    "infinite reverse KL": lambda c: np.isinf(c.kl_reverse_max),
    "dense": lambda c: (c.mdp.P > 0).all() and (c.old.pi > 0).all() and c.mdp.S > 1 and c.mdp.A > 1,
    "four states": lambda c: c.mdp.S == 4,
    "rare": lambda c: ((c.mdp.P > 0) & (c.mdp.P < 0.002)).any(),
}


def test_edge_cases_are_drawn():
    seen = set()

    @settings(STABLE, max_examples=600, phases=[Phase.generate])
    @given(comparisons())
    def look(c):
        seen.update(name for name, edge in EDGES.items() if edge(c))

    look()
    assert seen == set(EDGES)


@STABLE
@given(st.data())
def test_sizes_and_gammas_are_those_asked_for(data):
    mdp = data.draw(mdps(3, st.integers(2, 5), (0.25, 0.75)))
    assert mdp.S == 3
    assert 2 <= mdp.A <= 5
    assert mdp.gamma in (0.25, 0.75)
    pi = data.draw(policies(mdp))
    assert pi.shape == (3, mdp.A)
    c = data.draw(comparisons(2, 3, (0.9,)))
    assert (c.mdp.S, c.mdp.A, float(c.gamma), c.batch) == (2, 3, 0.9, ())


def test_a_failing_test_prints_the_tables(capsys):
    @settings(STABLE, max_examples=1000)
    @given(comparisons(states=1, actions=2, gammas=(0.5,)))
    def claimed(c):
        assert CATALOGUE["G16-linear"].holds(c)

    with pytest.raises(AssertionError) as failure:
        claimed()
    notes = "\n".join(failure.value.__notes__)
    for line in ("P = [[[1.0], [1.0]]]", "R = [[0.0, 0.0]]", "gamma = 0.5", "new = [["):
        assert line in notes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mdps(gammas=()), "gammas is empty"),
        (lambda: mdps(gammas=(0.5, 1.0)), r"gammas has 1.0; expected discount factors"),
        (lambda: mdps(states=0), "states is 0"),
        (lambda: mdps(actions=-1), "actions is -1"),
        (lambda: policies(garnet(3, 2, 2, gamma=0.9, seed=0, batch=(4,))), r"batch of processes, shape \(4,\)"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_hypothesis_the_rest_works_and_the_strategies_say_what_they_need():
    code = "import sys; sys.modules['hypothesis'] = None; import bounds; print('fine'); import bounds.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "fine"
    assert "ImportError: bounds.strategies draws with hypothesis, which is not installed: pip install hypothesis" in done.stderr
