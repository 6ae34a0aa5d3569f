"""What is timed is the right work, done by every path on the same numbers; what is reported is what was timed."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mdps.evaluate import evaluate
from mdps.families import dirichlet
from mdps.families.sparse import sparse_garnet
from mdps.optimal import optimal_policy
from studies import peers, throughput
from studies.runs import cores
from trpo.exact import region_step
from trpo.region import Region

SMALL = {"evaluations": {3: 8, 4: 8}, "pairs": 4, "certified": 2, "steps": 5, "optima": 6, "sparse": [60], "direct": 50}


@pytest.fixture(scope="module")
def table():
    return throughput.run(**SMALL, scaling=False, sample=20, repeats=2)


@pytest.fixture(scope="module")
def mdp():
    return dirichlet(4, 3, gamma=0.9, seed=0, batch=(5,))


def returned(monkeypatch, module, name, work):
    """What the calls of ``module.name`` that a piece of work makes return, as arrays."""
    kept, real = [], getattr(module, name)

    def keep(*args, **kwargs):
        kept.append(real(*args, **kwargs))
        return kept[-1]

    with monkeypatch.context() as patch:
        patch.setattr(module, name, keep)
        work()
    return kept


def test_every_path_of_an_evaluation_finds_our_values_and_visits(mdp, monkeypatch):
    pi = np.random.default_rng(0).dirichlet(np.ones(3), size=(5, 4))
    ours = evaluate(mdp, pi)
    (V,) = returned(monkeypatch, np.linalg, "solve", peers.numpy_one_solve(mdp, pi))
    np.testing.assert_allclose(V[..., 0], ours.V, rtol=1e-12, atol=1e-12)
    V, rho = returned(monkeypatch, np.linalg, "solve", peers.numpy_batched(mdp, pi))
    np.testing.assert_allclose(V[..., 0], ours.V, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(rho[..., 0], ours.rho, rtol=1e-12)
    loop = returned(monkeypatch, np.linalg, "solve", peers.numpy_loop(mdp, pi))
    np.testing.assert_allclose(loop[::2], ours.V, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(loop[1::2], ours.rho, rtol=1e-12)
    V, rho = returned(monkeypatch, peers.torch.linalg, "solve", peers.torch_batched(mdp, pi))
    np.testing.assert_allclose(V, ours.V, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(rho, ours.rho, rtol=1e-12)


def test_quantecon_finds_our_values(mdp):
    pytest.importorskip("quantecon", reason="needs requirements-bench.txt")
    pi = np.eye(3)[np.random.default_rng(0).integers(3, size=(5, 4))]
    np.testing.assert_allclose(peers.quantecon_evaluation(mdp, pi)(), evaluate(mdp, pi).V, rtol=1e-12, atol=1e-12)
    best = [solution.v for solution in peers.quantecon_optimal(mdp)()]
    np.testing.assert_allclose(best, optimal_policy(mdp)[1].V, rtol=1e-12, atol=1e-12)


def test_mdptoolbox_finds_our_policies(mdp, monkeypatch):
    toolbox = pytest.importorskip("mdptoolbox.mdp", reason="needs requirements-bench.txt")
    found, run = [], toolbox.PolicyIteration.run
    monkeypatch.setattr(toolbox.PolicyIteration, "run", lambda problem: (run(problem), found.append(problem.policy)))
    peers.mdptoolbox_optimal(mdp)()
    np.testing.assert_array_equal(found, optimal_policy(mdp)[0].argmax(-1))


def test_mdpsolver_finds_our_policies(mdp, monkeypatch):
    mdpsolver = pytest.importorskip("mdpsolver", reason="needs requirements-bench.txt")
    models, model = [], mdpsolver.model
    monkeypatch.setattr(mdpsolver, "model", lambda: models.append(model()) or models[-1])
    peers.mdpsolver_optimal(mdp)()
    np.testing.assert_array_equal([m.getPolicy() for m in models], optimal_policy(mdp)[0].argmax(-1))


@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_cvxpy_solves_the_program_of_our_step(mdp, reduce, monkeypatch):
    cvxpy = pytest.importorskip("cvxpy")
    old = evaluate(mdp, np.random.default_rng(0).dirichlet(np.ones(3), size=(5, 4)))
    gains, solve = [], cvxpy.Problem.solve
    monkeypatch.setattr(cvxpy.Problem, "solve", lambda problem, **kwargs: gains.append(solve(problem, **kwargs)))
    peers.cvxpy_step(old.pi, old.A, old.d, 0.01, reduce)()
    new = region_step(old, Region("kl", reduce, 0.01))
    np.testing.assert_allclose(gains, (old.d[..., None] * old.A * new).sum((1, 2)), rtol=1e-5)  # Clarabel's own tolerance


def test_scipy_solves_the_system_of_the_policy(monkeypatch):
    mdp = sparse_garnet(50, 4, 5, gamma=0.99, seed=0)
    pi = np.random.default_rng(0).dirichlet(np.ones(4), size=50)
    P = np.asarray(mdp.P.todense()).reshape(50, 4, 50)
    V = np.linalg.solve(np.eye(50) - 0.99 * np.einsum("sa,sat->st", pi, P), (pi * mdp.R).sum(-1))
    np.testing.assert_allclose(peers.scipy_direct(mdp.P, mdp.R, pi, 0.99)(), V, rtol=1e-10)
    found, info = peers.scipy_bicgstab(mdp.P, mdp.R, pi, 0.99, 1e-12)()
    assert info == 0
    np.testing.assert_allclose(found, V, rtol=1e-8)


def test_a_missing_peer_is_left_out_and_said_once(caplog):
    caplog.set_level("INFO", logger="studies")
    assert peers.package("no_such_peer") is None
    assert peers.package("no_such_peer") is None
    assert [r.message for r in caplog.records] == [
        "left out: no_such_peer is not installed (pip install -r requirements-bench.txt)"
    ]


def test_one_row_a_turn_and_a_rate_is_instances_a_second(table):
    assert set(table["quantity"]) == {
        *("machine", "evaluation", "check", "max-KL step", "mean-KL step"),
        *("optimal policy", "sparse evaluation", "sparse optimal policy"),
    }
    assert set(table["path"]) - {"ours"} <= set(throughput.PATHS)
    keys = ["quantity", "S", "path"]
    assert (table.groupby(keys)["repeat"].agg(list).map(tuple) == (0, 1)).all()
    np.testing.assert_allclose(table["rate"] * table["seconds"], table["instances"], rtol=1e-12)
    for _, turn in table.groupby(["quantity", "S"], sort=False):  # in turns: no path has two of them running
        assert list(turn["repeat"]) == sorted(turn["repeat"])
    assert (table[table["quantity"] == "check"]["claims"] == len(throughput.CATALOGUE)).all()


def test_a_ratio_is_of_the_same_turn(table):
    told = throughput.summary(table).set_index(["quantity", "S", "path"])
    for (quantity, S, path), row in told.iterrows():
        if quantity == "machine":
            assert np.isnan(row["ours_over_it"])
            continue
        part = table[(table["quantity"] == quantity) & (table["S"] == S)].set_index(["path", "repeat"])["rate"]
        ratios = [part["ours", repeat] / part[path, repeat] for repeat in (0, 1)]
        assert row["ours_over_it"] == pytest.approx(np.mean(ratios), rel=1e-12)
        assert (row["ratio_least"], row["ratio_most"]) == pytest.approx((min(ratios), max(ratios)), rel=1e-12)


def test_exponents_are_those_of_scipys_regression():
    rng, rows = np.random.default_rng(0), []
    for S in (2, 4, 8, 16):
        for seconds in 1e-6 * S**2.5 * rng.lognormal(0, 0.1, 3):
            rows.append({"quantity": "scaling S", "S": S, "gamma": 0.9, "seconds": 7 * seconds, "instances": 7})
    for gamma in (0.5, 0.9, 0.99):
        seconds = (1 - gamma) ** -1.5
        rows.append({"quantity": "scaling horizon", "S": 3, "gamma": gamma, "seconds": seconds, "instances": 1})
    found = throughput.exponents(pd.DataFrame(rows).assign(path="ours")).set_index("axis")
    part = pd.DataFrame(rows[:12])
    expected = stats.linregress(np.log(part["S"].astype(float)), np.log(part["seconds"]))
    assert found.loc["S", "exponent"] == pytest.approx(expected.slope, rel=1e-12)
    assert found.loc["S", "error"] == pytest.approx(expected.stderr, rel=1e-9)
    assert found.loc["horizon", "exponent"] == pytest.approx(1.5, rel=1e-12)


def test_the_figures_are_drawn_and_the_report_states_the_threads(table):
    assert set(throughput.figures(table)) == {"speeds", "ratios"}
    assert f"{cores()} threads" in throughput.report(table)


@pytest.mark.parametrize("name", ["pairs", "steps", "repeats", "sample"])
def test_wrong_numbers_are_named(name):
    with pytest.raises(ValueError, match=f"{name} is 0"):
        throughput.run(**{**SMALL, name: 0})
