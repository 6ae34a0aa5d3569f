"""The study of tightness: its rows are searches, its ceilings are proven, and its figures are drawn."""

import mpmath
import numpy as np
import pytest

from bounds import CATALOGUE
from bounds.search import search
from bounds.verdicts import Outcome
from bounds.witnesses import load
from studies import tightness
from studies.figures import save
from studies.tightness import CEILINGS, ceiling, structured

CLAIMS = ["tv-trpo", "kl-trpo", "cpo-kl12", "meankl-trpoC"]


@pytest.fixture(scope="module")
def table():
    return tightness.run(claims=CLAIMS, gammas=[0.5, 0.9], open_gammas=[0.01, 0.9], budget=2_000)


def test_one_row_for_each_bound_gamma_and_start(table):
    searched = table[table["start"] != "stored"]
    assert len(searched) == 4 * 2 * 2
    assert not table.duplicated(["claim", "gamma", "start"]).any()
    assert set(table.loc[table["claim"] == "meankl-trpoC", "gamma"]) == {0.01, 0.9}
    assert (searched["budget"] == 2_000).all()
    assert (table["usage"] > 0).all()


def test_stored_witnesses_are_certified_again_where_there_are_any(table):
    stored = table[table["start"] == "stored"].set_index(["claim", "gamma"])["usage"]
    kept = {(w.claim, float(w.mdp.gamma)): w.usage for w in map(load, tightness.WITNESSES.glob("[ktcm]*l*@0.[59].json"))}
    expected = {key: usage for key, usage in kept.items() if key in set(zip(table["claim"], table["gamma"], strict=True))}
    assert len(expected) >= 5
    assert stored.to_dict() == expected | {("tv-trpo", g): stored["tv-trpo", g] for g in (0.5, 0.9)}
    assert stored["kl-trpo", 0.5] > 0.29  # 5 states


def test_a_row_is_what_its_search_finds(table):
    row = table[(table["claim"] == "kl-trpo") & (table["gamma"] == 0.9) & (table["start"] == "random")].iloc[0]
    assert row["usage"] == search("kl-trpo", gamma=0.9, budget=2_000, seed=0).usage
    row = table[(table["claim"] == "tv-trpo") & (table["gamma"] == 0.9) & (table["start"] == "structured")].iloc[0]
    assert row["usage"] >= 0.9999  # fam_tv with alpha = 1e-6 is among the starts


def test_no_usage_is_above_a_ceiling(table):
    proven = table[table["ceiling"].notna()]
    assert (proven["usage"] <= proven["ceiling"]).all()
    assert np.allclose(proven["improvable"] * proven["usage"], proven["ceiling"])
    assert np.allclose(table["sharpest"] * table["usage"], 1)


def test_an_open_claim_is_refuted_where_it_is_false(table):
    rows = table[table["claim"] == "meankl-trpoC"].groupby("gamma")["usage"].max()
    assert rows[0.01] > 1 > rows[0.9]
    assert (table["outcome"] == Outcome.VIOLATED).equals(table["usage"] > 1)


@pytest.mark.parametrize("gamma", [0.01, 0.3, 0.5, 0.9, 0.99])
def test_ceilings_are_ratios_of_penalties(gamma):
    """From the formulas of the two penalties, in mpmath, with eps = KL = 1."""
    h, g = 1 - mpmath.mpf(gamma), mpmath.mpf(gamma)
    sqrt_horizon = 2 * mpmath.polylog(-0.5, g).real
    penalties = {
        "kl-trpo": (sqrt_horizon, 4 * g / h**2),
        "kl-trpo-reverse": (sqrt_horizon, 4 * g / h**2),
        "kl-tight-pinsker": (sqrt_horizon, 2 * g / h**2),
        "kl-seed-summary": (sqrt_horizon, 2 / h**2),
        "kl-bh": (2 * sqrt_horizon, 4 * g / h**2),
        "kl-three-halves": (sqrt_horizon, 2 * mpmath.sqrt(g) / h**1.5),
        "kl-three-halves-jensen": (sqrt_horizon, 2 * g / h**1.5),
        "cpo-kl12": (2 / h * g * mpmath.sqrt(1 / (2 * h)), 2 * g / h**2 / mpmath.sqrt(2)),
        "meankl-chain": (2 / h * g * mpmath.sqrt(1 / (2 * h)), 2 / h * mpmath.sqrt(g / (2 * h))),
        "meankl-linear": (g / h**2 + 2 * mpmath.sqrt(g / h**3), g / h**2 + 2 * mpmath.sqrt(2 * g / h**3)),
        "meankl-trpoC": (g / h**2 + 2 * mpmath.sqrt(g / h**3), 4 * g / h**2),
        "meankl-trpoC/2": (g / h**2 + 2 * mpmath.sqrt(g / h**3), 2 * g / h**2),
    }
    assert set(penalties) == set(CEILINGS) - {"meankl-chain-bh"}
    worst = max(g * mpmath.sqrt(mpmath.expm1(-x) / mpmath.expm1(-g * x)) for x in mpmath.linspace(1e-12, 5, 200))
    assert ceiling(CATALOGUE["meankl-chain-bh"], gamma) == pytest.approx(float(worst), rel=1e-9)  # where the mean KL tends to 0
    for id, (sharper, own) in penalties.items():
        assert ceiling(CATALOGUE[id], gamma) == pytest.approx(float(sharper / own), rel=1e-12), id
    assert ceiling(CATALOGUE["tv-trpo"], gamma) == 1
    assert np.isnan(ceiling(CATALOGUE["G6"], gamma))


def test_structured_starts_fit():
    assert {pair.mdp.S for pair in structured(0.9, 2, 3)} == {1, 2}
    assert all(pair.mdp.A <= 2 for pair in structured(0.9, 3, 2))
    assert len(structured(0.9, 2, 2)) < len(structured(0.9, 3, 3))


def test_summary_keeps_the_better_start(table):
    summary = tightness.summary(table)
    assert len(summary) == 8
    for _, row in summary.iterrows():
        own = table[(table["claim"] == row["claim"]) & (table["gamma"] == row["gamma"])]
        found = [row[f"from_{start}"] for start in ("random", "structured", "stored")]
        assert row["usage"] == own["usage"].max() == np.nanmax(found)
        assert row["budget"] == own["budget"].sum()


def test_figures_are_drawn(table, tmp_path):
    drawn = tightness.figures(table)
    assert set(drawn) == {"bounds", "open"}
    assert len(drawn["bounds"].axes) == 2
    assert [text.get_text() for text in drawn["bounds"].axes[0].get_yticklabels()][::-1][0] == "tv-trpo (eq. 8)"
    for name, figure in drawn.items():
        assert all(path.stat().st_size > 1000 for path in save(figure, tmp_path / name))
    alone = table[table["status"] == "open"]
    assert set(tightness.figures(alone)) == {"open"}
    assert tightness.plot(alone).axes


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"claims": ["nope"]}, "unknown claim 'nope'"),
        ({"claims": []}, "claims is empty"),
        ({"gammas": []}, "gammas is "),
        ({"gammas": [1.0]}, "each between 0 and 1"),
        ({"open_gammas": [0.0]}, "open_gammas is .*each between 0 and 1"),
        ({"starts": ["best"]}, "starts is .'best'.; expected some of random, structured"),
        ({"starts": []}, "starts is "),
        ({"budget": 0}, "budget is 0"),
        ({"states": 1}, "states is 1"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        tightness.run(**{"claims": ["kl-trpo"]} | kwargs)
