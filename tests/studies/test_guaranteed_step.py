"""The largest steps that bounds allow: against closed forms, against plain linear algebra, and against the truth."""

import math

import mpmath
import numpy as np
import pytest

from bounds import CATALOGUE, bound
from mdps.families import chain_walk
from studies import guaranteed_step
from studies.figures import save
from studies.guaranteed_step import between, crossing
from studies.guaranteed_step_figures import TRUTH

GAMMAS = (0.3, 0.9, 0.999)
FOUND = 2.5e-3  # what the module promises of a size


@pytest.fixture(scope="module")
def table():
    return guaranteed_step.run(2, 0, gammas=GAMMAS, mdps=["chain-walk", "garnet"], aggregations=2)


def sizes(table, mdp, path, claim, column="size"):
    """[G] for a process of one instance."""
    rows = table[(table["mdp"] == mdp) & (table["path"] == path) & (table["claim"] == claim)]
    return rows.set_index("gamma")[column].loc[list(GAMMAS)].to_numpy()


@pytest.mark.parametrize(
    ("claim", "column", "expected"),
    [  # gain alpha/(1-gamma), max|A| = max|g|/alpha = 1, TV = alpha/2
        ("cpi-trpo", "size", lambda g: (1 - g) / (2 * g)),
        ("cpi-kl02-resolvent", "size", lambda g: (1 - g) / g),
        ("tv-trpo", "tv_max", lambda g: (1 - g) / (2 * g)),
        ("tv-exact-worst", "tv_max", lambda g: (1 - g) / g),
        ("cpo-tv", "tv_max", lambda g: (1 - g) / (2 * g)),
        ("cpi-span", "size", lambda g: 1.0),
    ],
)
def test_mixtures_of_the_best_case_in_closed_form(table, claim, column, expected):
    largest = 0.5 if column == "tv_max" else 1.0
    exact = [min(expected(g), largest) for g in GAMMAS]
    assert sizes(table, "best-case", "mixture", claim, column) == pytest.approx(exact, rel=FOUND)
    whole = sizes(table, "best-case", "mixture", claim, "whole")
    assert whole.tolist() == [expected(g) >= largest for g in GAMMAS]


HORIZONS = {  # penalty = H(gamma) KL, for max|A| = 1
    "kl-trpo": lambda g: 4 * g / (1 - g) ** 2,
    "kl-tight-pinsker": lambda g: 2 * g / (1 - g) ** 2,
    "kl-three-halves": lambda g: 2 * mpmath.sqrt(g) / (1 - g) ** 1.5,
    "kl-sqrt-horizon": lambda g: 2 * mpmath.polylog(-0.5, g),
    "meankl-linear": lambda g: g / (1 - g) ** 2 + 2 * mpmath.sqrt(2 * g) / (1 - g) ** 1.5,
    "meankl-linear-bernstein": lambda g: g / (1 - g) ** 2 + 2 * mpmath.sqrt(g) / (1 - g) ** 1.5,
}


@pytest.mark.parametrize("claim", HORIZONS)
@pytest.mark.parametrize("path", ["max-kl", "mean-kl"])
def test_trust_regions_of_the_best_case_by_bisection(table, claim, path):
    """From (1/2, 1/2) to (1/2 - x, 1/2 + x) the gain is 2x/(1-gamma), and KL = -log(1 - 4x^2)/2."""
    for gamma, found in zip(GAMMAS, sizes(table, "best-case", path, claim), strict=True):
        cost = float(HORIZONS[claim](gamma))
        low, high = 0.0, 0.5
        for _ in range(60):
            x = (low + high) / 2
            kl = -math.log1p(-4 * x * x) / 2
            low, high = (x, high) if 2 * x / (1 - gamma) > cost * kl else (low, x)
        assert found == pytest.approx(-math.log1p(-4 * low * low) / 2, rel=FOUND)


def test_the_worst_case_is_what_kakade_and_langford_allow(table):
    exact = np.array([min((1 - g) / g, 1) for g in GAMMAS])
    assert sizes(table, "worst-case", "mixture", TRUTH) == pytest.approx(exact, rel=FOUND)
    assert sizes(table, "worst-case", "mixture", "cpi-kl02-resolvent") == pytest.approx(exact, rel=FOUND)
    assert sizes(table, "worst-case", "mixture", "cpi-trpo") == pytest.approx(
        [min((1 - g) / (2 * g), 1) for g in GAMMAS], rel=FOUND
    )
    for path in ("max-kl", "mean-kl"):  # to (1-x, x) from (1, 0): KL = -log(1-x)
        nats = [-math.log1p(-a) for a in exact[1:]]
        assert sizes(table, "worst-case", path, TRUTH)[1:] == pytest.approx(nats, rel=FOUND)
        assert (sizes(table, "worst-case", path, "kl-trpo") == 0).all()  # KL > x: C KL > x/(1-gamma) at every x


def solved(mdp, pi):
    """V, Q and unnormalised rho by a plain linear solve."""
    transition = np.einsum("sa,sat->st", pi, mdp.P)
    inverse = np.linalg.inv(np.eye(mdp.S) - float(mdp.gamma) * transition)
    V = inverse @ (pi * mdp.R).sum(1)
    return V, mdp.R + float(mdp.gamma) * mdp.P @ V, mdp.rho0 @ inverse


@pytest.mark.parametrize("gamma", [0.3, 0.9])
def test_a_mixture_of_tied_states_by_plain_linear_algebra(table, gamma):
    mdp = chain_walk(4, gamma=gamma)
    for tie in range(2):
        drawn = guaranteed_step.draw("chain-walk", [gamma], 2, 2, 0, tie)
        assert sorted(np.bincount(drawn.groups)) == [2, 2]
        for number, old in enumerate(drawn.old):
            V, Q, rho = solved(mdp, old)
            A = Q - V[:, None]
            best = [int((rho[drawn.groups == group] @ A[drawn.groups == group]).argmax()) for group in drawn.groups]
            target = np.eye(2)[best]
            gain = rho @ (target * A).sum(1)
            tv = np.abs(target - old).sum(1).max() / 2
            allowed = min(1, gain / (4 * np.abs(A).max() * gamma / (1 - gamma) ** 2 * tv**2))  # gain a = penalty a^2
            alphas = np.linspace(1e-3, 1, 1000)
            etas = [mdp.rho0 @ solved(mdp, (1 - a) * old + a * target)[0] for a in alphas]
            falls = np.array(etas) < mdp.rho0 @ V - 1e-12
            true = alphas[falls.argmax()] if falls.any() else 1.0
            rows = table[
                (table["mdp"] == "chain-walk")
                & (table["path"] == "mixture")
                & (table["gamma"] == gamma)
                & (table["instance"] == 2 * tie + number)
            ].set_index("claim")
            assert rows.loc["tv-trpo", "size"] == pytest.approx(allowed, rel=FOUND)
            assert rows.loc["tv-trpo", "tv_max"] == pytest.approx(allowed * tv, rel=FOUND)
            assert rows.loc[TRUTH, "size"] == pytest.approx(true, rel=FOUND, abs=1e-3)
            assert rows.loc[TRUTH, "whole"] == (not falls.any())
            assert rows["share"].to_numpy() == pytest.approx(rows["size"].to_numpy(), rel=1e-9)  # L is linear in the weight


@pytest.mark.parametrize(("path", "measure"), [("max-kl", "kl_max"), ("mean-kl", "kl_mean")])
def test_a_trust_region_is_used_up(table, path, measure):
    rows = table[(table["path"] == path) & (table["claim"] == "tv-trpo") & (table["mdp"] == "garnet")]
    assert len(rows) == 2 * 2 * 3
    assert rows[measure].to_numpy() == pytest.approx(rows["size"].to_numpy(), rel=1e-5)


def test_no_theorem_allows_a_step_that_loses_and_a_false_bound_does(table):
    summary = guaranteed_step.summary(table)
    assert (summary["too_far"] == 0).all()
    assert set(summary["claim"]) == {TRUTH} | {c.id for c in CATALOGUE.values() if c.kind == "bound" and c.status != "false"}
    false = guaranteed_step.run(1, gammas=[0.9], mdps=["garnet"], aggregations=1, claims=["G1", "tv-trpo"])
    lost = guaranteed_step.summary(false).set_index(["path", "claim"])["too_far"]
    assert lost["mixture", "G1"] == 1  # the worst case: 4 gamma alpha^2/(1-gamma) lets alpha go to 1/(4 gamma)
    assert lost["mixture", "tv-trpo"] == 0


def test_a_summary_row_is_a_median_over_random_processes_alone(table):
    row = guaranteed_step.summary(table).set_index(["path", "claim"]).loc["max-kl", "kl-trpo"]
    rows = table[(table["path"] == "max-kl") & (table["claim"] == "kl-trpo") & (table["gamma"] == 0.9)]
    own = rows[rows["mdp"].isin(["chain-walk", "garnet"])]["size"]
    assert len(own) == 2 * 2 * 2
    assert row["gamma 0.9"] == np.median(own)
    assert row["best case 0.9"] == rows[rows["mdp"] == "best-case"]["size"].item()


def test_a_crossing_is_found_between_two_points():
    ratio = np.array([[0.2, 0.2, 2.0, 0.5, 0.0], [0.6, 0.4, 3.0, np.inf, 0.0], [1.6, 0.8, 0.1, 0.5, 1.0]])
    last, share, whole = crossing(ratio)
    assert last.tolist() == [1, 2, -1, 0, 2]
    assert whole.tolist() == [False, True, False, False, True]
    assert share == pytest.approx([0.4, 0, 0, 0, 0])
    values = np.array([[1.0] * 5, [2.0, 2.0, 2.0, np.inf, 2.0], [4.0] * 5])
    assert between(values, last, share) == pytest.approx([2.8, 4, 0, 1, 4])


def test_a_row_depends_on_its_own_names_only(table):
    alone = guaranteed_step.run(2, 0, gammas=[0.9], mdps=["garnet"], aggregations=2, claims=["kl-trpo"])
    keys = ["mdp", "path", "instance", "claim"]
    beside = table[(table["gamma"] == 0.9) & table["claim"].isin(["kl-trpo", TRUTH]) & (table["mdp"] != "chain-walk")]
    both = alone.astype({k: object for k in keys}).merge(beside.astype({k: object for k in keys}), on=keys)
    assert len(both) == len(alone) == len(beside)
    assert np.array_equal(both["size_x"], both["size_y"])
    other = guaranteed_step.run(2, 1, gammas=[0.9], mdps=["garnet"], aggregations=2, claims=["kl-trpo"])
    assert not np.array_equal(other["size"], alone["size"])


def test_a_users_bound_is_drawn_with_the_others(tmp_path):
    before = dict(CATALOGUE)
    try:
        bound("mine", source="a test", formula="x", status="open")(lambda c: c.eps_A * c.kl_max * c.horizon)
        rows = guaranteed_step.run(2, gammas=[0.5, 0.9], mdps=["garnet"], aggregations=1, claims=["mine", "kl-trpo"])
    finally:
        CATALOGUE.clear()
        CATALOGUE.update(before)
    drawn = guaranteed_step.figures(rows)
    assert list(drawn) == ["steps", "share", "limits"]
    for axes in drawn["steps"].axes:
        assert "mine" in [text.get_text() for text in axes.get_legend().get_texts()]
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        save(guaranteed_step.plot(rows), tmp_path / str(number) / "main")
    assert (tmp_path / "0/main.pdf").read_bytes() == (tmp_path / "1/main.pdf").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mdps": ["nope"]}, "unknown MDP 'nope'"),
        ({"instances": 0}, "instances is 0"),
        ({"aggregations": 0}, "aggregations is 0"),
        ({"group_size": 0}, "group_size is 0"),
        ({"resolution": 0}, "resolution is 0"),
        ({"gammas": []}, "gammas is empty"),
        ({"claims": ["pdl"]}, "'pdl' is of kind identity; only bounds"),
        ({"claims": ["nope"]}, "unknown claim 'nope'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        guaranteed_step.run(**{"mdps": ["garnet"], **arguments})
