"""The study of estimators: what its table says, by other routes, and that it would say otherwise of a wrong estimator."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from mdps import evaluate
from mdps.families import forest, garnet, riverswim
from mdps.gym_bridge import from_gymnasium
from studies import estimators
from studies.bias import VISITS
from studies.estimators import ESTIMATORS, Estimator, figures, plot, run, summary
from studies.truth import Truth
from trpo.tables import tabulate

torch.set_num_threads(1)
MDPS = {"garnet": garnet(4, 2, 2, gamma=0.7, seed=1)}
SMALL = {"batches": 20, "budgets": [4000], "rollouts": [2], "paths": [4, 64], "cut": 1e-3}


@pytest.fixture(scope="module")
def table():
    return run(MDPS, **SMALL)


def test_every_estimator_is_as_theory_says_or_not_resolved(table):
    assert (table["study"] == "estimators").all()
    assert table.columns[0] == "study"
    assert set(table["estimator"]) == {*ESTIMATORS, *estimators.CURVATURES}
    assert not (table["verdict"] == "AGAINST THE THEORY").any()
    judged = table[(table["theory"] == "unbiased") & (table["visits"] >= VISITS)]
    assert (judged["verdict"] == "as the theory says").all()
    assert (judged["bias_low"] < 0).all()
    assert (judged["bias_high"] > 0).all()
    printed = table[table["estimator"] == "vine, as printed"]
    assert (printed["verdict"] == "as the theory says").any()


def test_a_wrong_estimator_is_seen(monkeypatch):
    """The twin: what theory calls unbiased, but weighs as the paper prints."""
    wrong = Estimator(True, "unbiased", dict(ESTIMATORS["vine, as printed"].options))
    monkeypatch.setitem(ESTIMATORS, "vine, q uniform", wrong)
    table = run(MDPS, **SMALL | {"paths": []}, estimators=["vine, q uniform"])
    assert (table["verdict"] == "AGAINST THE THEORY").any()


def test_a_row_is_what_numpy_says(monkeypatch):
    """Bias, its interval and the error of one row from the estimates themselves; the exact gradient from d pi A."""
    kept = {}
    real = estimators._row

    def spy(heads, found, truth):
        kept[heads["quantity"]] = np.stack(found), truth
        return real(heads, found, truth)

    monkeypatch.setattr(estimators, "_row", spy)
    table = run(MDPS, **SMALL | {"paths": []}, estimators=["vine, q = pi"])
    (x, truth), row = kept["gradient"], table[table["quantity"] == "gradient"].iloc[0]
    mdp = MDPS["garnet"]
    weights = truth.policy.network[0].weight.detach().numpy().T
    pi = np.exp(weights) / np.exp(weights).sum(1, keepdims=True)
    e = evaluate(mdp, pi)
    g = (e.d[:, None] * e.pi * e.A).T.ravel()
    np.testing.assert_allclose(truth.numbers["gradient"], g, atol=1e-14)
    F = np.zeros((2, 4, 2, 4))
    for s in range(4):
        F[:, s, :, s] = e.d[s] * (np.diag(pi[s]) - np.outer(pi[s], pi[s]))
    F = F.reshape(8, 8)
    np.testing.assert_allclose(truth.numbers["Fisher product"], F @ g, atol=1e-14)
    np.testing.assert_allclose(truth.numbers["natural gradient"], np.linalg.inv(F + 1e-3 * np.eye(8)) @ g, rtol=1e-8)
    along = x @ g / (g @ g) - 1
    assert row["bias"] == pytest.approx(along.mean())
    assert row["error"] == pytest.approx(np.sqrt((((x - g) ** 2).sum(1) / (g @ g)).mean()))
    z = (x.mean(0) - g) / (x.std(0, ddof=1) / np.sqrt(20))
    assert row["z"] == pytest.approx(max(np.abs(z).max(), abs(along.mean()) / (along.std(ddof=1) / np.sqrt(20))))
    assert row["bias_high"] - row["bias"] > 2.5 * along.std(ddof=1) / np.sqrt(20)  # simultaneous, so wider than 95 %


def test_the_analytic_fisher_matrix_has_the_smaller_error(table):
    rows = table[table["estimator"].isin(list(estimators.CURVATURES))]
    error = rows.groupby(["estimator", "quantity", "states"], observed=True)["error"].first()
    assert (error.loc["analytic Fisher"] < error.loc["empirical Fisher"]).all()
    for name in estimators.CURVATURES:
        few, many = error.loc[name, "Fisher product"]
        assert many == pytest.approx(few / 4, rel=0.5)  # of 16 times the paths


def test_single_paths_draw_actions_apart_from_the_environment():
    """The actions of the first batch in each state are as likely as pi says: not so where both draw from one stream.

    Given the states, each count is binomial, and |z| > 6 has probability 2e-9 for each of the 8, nearly.
    """
    truth = Truth.of(MDPS["garnet"], 0, 0.05, 1e-3, 1e-3)
    batch = estimators._single(truth, 500, ESTIMATORS["single path"].options, 7)().batch
    taken = np.zeros((4, 2))
    np.add.at(taken, (batch.inputs.argmax(1).numpy(), batch.actions[:, 0, 0].numpy()), 1)
    pi = tabulate(truth.policy, 4)
    visits = taken.sum(1, keepdims=True)
    assert (np.abs(taken - visits * pi) < 6 * np.sqrt(visits * pi * (1 - pi))).all()


def test_a_seed_gives_a_table_and_another_does_not():
    few = SMALL | {"batches": 3, "paths": [2], "budgets": [500]}
    first = run(MDPS, **few, seed=1)
    pd.testing.assert_frame_equal(first, run(MDPS, **few, seed=1))
    assert not np.array_equal(first["bias"], run(MDPS, **few, seed=2)["bias"])


def test_few_visits_decide_nothing():
    """Riverswim's gradient hangs on a state that is almost never reached: normal statistics would call anything biased."""
    few = SMALL | {"batches": 5, "paths": [], "budgets": [500]}
    table = run({"riverswim": riverswim("osband-2013", gamma=0.9)}, **few, estimators=["vine, q = pi", "vine, as printed"])
    assert (table["visits"] < VISITS).all()
    assert (table["verdict"] == "not resolved").all()


def test_figures_and_summary(table):
    drawn = figures(table)
    assert list(drawn) == ["bias", "error", "fisher"]
    assert plot(table) is not None
    rows = summary(table)
    assert set(rows["quantity"]) == {"gain", "gradient", "Fisher product", "natural gradient"}
    assert (rows["against"] == 0).all()
    several = run(
        {**MDPS, "forest": forest(gamma=0.7)}, **SMALL | {"batches": 3, "rollouts": [1, 3], "budgets": [500], "paths": []}
    )
    names = [text.get_text() for text in figures(several)["bias"].axes[0].get_yticklabels()]
    assert "vine, q uniform, M = 1" in names
    assert len(set(names)) == len(names) == 4 + 2 * 4
    assert list(figures(several)) == ["bias", "error"]


def test_processes_that_end_are_left_out_and_wrong_options_said(caplog):
    lake = from_gymnasium("FrozenLake-v1", gamma=0.7)
    few = SMALL | {"batches": 3, "paths": [], "budgets": [500]}
    table = run({**MDPS, "lake": lake}, **few, estimators=["single path"])
    assert set(table["mdp"]) == {"garnet"}
    assert "left out, since their episodes end or gamma is 0: lake" in caplog.text
    with pytest.raises(ValueError, match="no process is left"):
        run({"lake": lake}, **few)
    with pytest.raises(ValueError, match="unknown estimator 'vine'"):
        run(MDPS, **few, estimators=["vine"])
    with pytest.raises(ValueError, match=r"batches=2.*expected batches >= 3"):
        run(MDPS, **few | {"batches": 2})
    for batches in ([], [10], 3.5):
        with pytest.raises(ValueError, match=re.escape(f"batches={batches}; expected batches >= 3")):
            run(MDPS, **few | {"batches": batches})
    for name, values in (("budgets", []), ("rollouts", []), ("rollouts", [0]), ("budgets", [-1, 10])):
        with pytest.raises(ValueError, match=re.escape(f"{name} is {values}; expected at least one number, none below 1")):
            run(MDPS, **few | {name: values})
