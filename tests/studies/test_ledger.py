"""The ledger: every sentence is decided both ways and left open by noise, and the rows are what the tables say."""

import re
import subprocess
import sys

import ledger_tables as made
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from bounds import CATALOGUE
from studies import ledger, outputs, tightness, verify
from studies.effects import UNKNOWN, Effect, difference, iqm, largest, least, middle, rate, share
from studies.figure4_summary import chosen
from studies.figures import wilson
from studies.sentences import Range
from studies.sentences.learning import TASKS, Curves

SENTENCES = {sentence.id: sentence for sentence in ledger.SENTENCES}
DECIDED = [sentence for sentence in ledger.SENTENCES if sentence.study]
NAMES = {name: task for task, name in TASKS.items()}

# effects that make a sentence true and false, and one at the edge of its range with the spread over runs that hides it
STRENGTHS = {
    "solved": (490, 300, 475, 20),
    "max KL slower": (0.3, -0.1, 0.02, 0.1),
    "mean KL like max KL": (0.0, 0.4, 0.1, 0.1),
    "analytic FIM as good": (0.0, -0.4, 0.1, 0.1),
    "best solutions": (0.1, -0.3, -0.02, 0.05),
    "natural gradient does well": (0.0, 0.5, 0.1, 0.1),
    "natural gradient fails": (0.9, 0.1, 0.5, 0.2),
    "CEM and CMA poor": (0.9, 0.1, 0.5, 0.2),
    "mean KL as safe": (0.0, 0.4, 0.0, 0.4),
    "monotone": (0.0, 0.5, 0.0, 1),
    "mean KL approximates max KL": (1.0, 5.0, 2.0, 1.0),
    "line search acts": (0.4, 0.02, 0.05, 0.1),
    "small steps": (0.001, 0.5, 0.1, 0.05),
    "single path unbiased": (0.0, 0.2, 0.05, 0.03),
    "any q unbiased": (0.0, 0.2, 0.05, 0.03),
    "eq. 16 as printed": (0.0, 0.2, 0.05, 0.03),
    "unweighted states": (0.0, 0.2, 0.05, 0.03),
    "vine less noisy": (0.5, 2.0, 1.0, 0.2),
    "analytic FIM estimate": (0.5, 2.0, 1.1, 0.2),
    "max KL impractical": (30, 3, 10, 5),
    "line search keeps its promise": (0.0, 0.2, 0.0, 1),
    "printed return": (0.0, -0.5, 0.1, 0.2),
}
ASKED = {
    "figure4": ["task", "method"],
    "trust_region": ["algorithm", "region"],
    "neural_truth": ["sampler", "curvature", "region"],
    "guaranteed_step": ["claim", "path"],
    "estimators": ["estimator", "quantity"],
    "audit": ["agent", "promise"],
    "max_kl_cost": [],
    "train": ["env"],
}


def strengths(sentence):
    return next(numbers for words, numbers in STRENGTHS.items() if sentence.id.startswith(words))


def build(sentence, effect, spread, seed=0):
    words = next(w for w, study in made.BUILDERS if study == sentence.study and sentence.id.startswith(w))
    name = sentence.id.partition(": ")[2]
    table = made.BUILDERS[words, sentence.study](effect, spread, NAMES.get(name, name))
    return stamped(table, sentence.study, seed)


def stamped(table, study, seed, **told):
    config = {"seed": seed, "study": {"_target_": f"studies.{study}.run", "seed": seed, **told}}
    table.attrs = {"study": study, "config": config, "command": f"python studies/run.py study={study} seed={seed}"}
    table.attrs["fingerprint"] = f"{study} {seed} {told} {len(table)}"
    return table


def row_of(sentence, *tables):
    table = ledger.empirical({sentence.study: list(tables)}).set_index("id")
    return table.loc[sentence.id]


@pytest.mark.parametrize("sentence", DECIDED, ids=lambda sentence: sentence.id)
def test_a_sentence_is_supported_denied_or_left_open(sentence):
    true, false, edge, spread = strengths(sentence)
    verdicts = [
        sentence.true.verdict(sentence.measure(build(sentence, *case))) for case in ((true, 0), (false, 0), (edge, spread))
    ]
    assert verdicts == ["supported", "not supported", "undecided here"]


@pytest.mark.parametrize("sentence", DECIDED, ids=lambda sentence: sentence.id)
def test_the_effect_is_the_one_that_was_put_in(sentence):
    for effect in strengths(sentence)[:2]:
        found = sentence.measure(build(sentence, effect, 0))
        assert found.value == pytest.approx(effect, rel=0.05, abs=0.03)


@pytest.mark.parametrize("sentence", DECIDED, ids=lambda sentence: sentence.id)
def test_a_table_without_what_is_asked_says_nothing(sentence):
    table = build(sentence, strengths(sentence)[0], 0)
    for column in ASKED[sentence.study]:
        assert sentence.measure(table.assign(**{column: "another"})) is None
    if sentence.study == "train":
        assert sentence.measure(table.assign(printed=np.nan)) is None


def test_ids_are_unique_and_every_sentence_has_words_a_source_and_a_rule():
    assert len(SENTENCES) == len(ledger.SENTENCES) > 50
    assert all(s.sentence and s.source and s.measured for s in ledger.SENTENCES)
    assert all(s.rule and s.command.startswith("python studies/run.py") for s in DECIDED)
    assert sorted(s.id for s in ledger.SENTENCES if not s.study) == ["Atari", "constraint more robust than penalty"]


@pytest.mark.parametrize("sentence", DECIDED, ids=lambda sentence: sentence.id)
def test_the_rule_in_words_is_the_rule(sentence):
    ends = [float(x) for x in re.findall(r"(?<=[\[ ])-?[\d.]+(?=[,\] ])", sentence.rule.split("(")[0].replace("95 %", ""))]
    assert ends == pytest.approx([end for end in (sentence.true.low, sentence.true.high) if np.isfinite(end)], rel=1e-5)
    inside = sentence.rule.split("interval is ")[1]
    expected = {(True, False): "at or above", (False, True): "at or below", (True, True): "in ["}
    assert inside.startswith(expected[bool(np.isfinite(sentence.true.low)), bool(np.isfinite(sentence.true.high))])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.1, 0.1, "supported"),
        (-0.11, 0.1, "undecided here"),
        (-0.1, 0.11, "undecided here"),
        (0.11, 0.2, "not supported"),
        (-0.2, -0.11, "not supported"),
        (-9, 9, "undecided here"),
        (np.nan, np.nan, "undecided here"),
    ],
)
def test_a_range_decides_by_the_whole_interval(low, high, verdict):
    assert Range(-0.1, 0.1).verdict(Effect(0.0, low, high)) == verdict


def test_first_and_second_run_are_by_seed_and_of_one_configuration():
    sentence = SENTENCES["small steps: kl-trpo"]
    first, second, third = (build(sentence, effect, 0, seed) for effect, seed in ((0.001, 3), (0.5, 7), (0.2, 9)))
    row = row_of(sentence, third, second, first)
    assert (row["effect"], row["second_effect"]) == (pytest.approx(0.001), pytest.approx(0.5))
    assert (row["verdict"], row["second_verdict"]) == ("supported", "not supported")
    assert row["table"] == "guaranteed_step: python studies/run.py study=guaranteed_step seed=3"
    other = stamped(build(sentence, 0.5, 0), "guaranteed_step", 4, instances=9)
    row = row_of(sentence, first, other)
    assert np.isnan(row["second_effect"])
    assert row["second_verdict"] == ""
    again = stamped(build(sentence, 0.5, 0), "guaranteed_step", 3, instances=1)
    assert row_of(sentence, first, again)["second_verdict"] == ""
    recomputed = build(sentence, 0.5, 0, seed=3)
    recomputed.attrs["fingerprint"] = "of other code"
    assert row_of(sentence, first, recomputed)["second_verdict"] == ""


def test_a_table_without_the_sentence_is_passed_over():
    sentence = SENTENCES["natural gradient fails: hopper"]
    walker = stamped(made.curves({"single path": 1.0}, "walker"), "figure4", 0)
    hopper = build(sentence, 0.9, 0, seed=5)
    assert row_of(sentence, walker, hopper)["verdict"] == "supported"


def test_a_combined_table_counts_as_its_jobs():
    sentence = SENTENCES["small steps: kl-trpo"]
    jobs = {f"seed={seed}": build(sentence, effect, 0, seed) for effect, seed in ((0.001, 0), (0.5, 1))}
    both = pd.concat([table.assign(job=name) for name, table in jobs.items()], ignore_index=True)
    both.attrs = {"study": "guaranteed_step", "jobs": {name: table.attrs for name, table in jobs.items()}}
    row = row_of(sentence, both, *jobs.values())
    assert (row["verdict"], row["second_verdict"]) == ("supported", "not supported")


def test_a_table_of_older_code_is_left_out_with_a_warning(caplog):
    sentence = SENTENCES["max KL impractical"]
    old = build(sentence, 30, 0).drop(columns="share")
    row = row_of(sentence, old)
    assert row["verdict"] == "undecided here"
    assert "max KL impractical" in caplog.text
    assert "Column not found: share" in caplog.text


def test_without_tables_every_sentence_is_undecided_and_names_its_command():
    table = ledger.empirical({})
    assert (table["verdict"] == "undecided here").all()
    asked = table[table["id"].isin([s.id for s in DECIDED])]
    assert asked["measured"].str.contains("python studies/run.py").all()
    assert (asked["table"] == "").all()
    assert list(table) == [
        *("id", "sentence", "source", "measured", "effect", "low", "high", "unit", "rule", "verdict"),
        *("second_effect", "second_low", "second_high", "second_verdict", "table"),
    ]
    claims = ledger.theorems({})
    assert set(claims["claim"]) == set(CATALOGUE)
    assert (claims["verdict"] == "undecided here").all()


def test_the_natural_gradient_stands_with_its_best_step():
    steps = [made.curves({"natural gradient": level}, step=step) for step, level in ((0.1, 20.0), (0.3, 90.0), (1.0, 40.0))]
    table = pd.concat([made.curves({"single path": 100.0}), *steps])
    found = Curves.of(table, "cartpole")
    assert found.final["natural gradient"].tolist() == [90.0] * made.SEEDS
    assert found.range == 100
    assert Curves.of(made.curves({"single path": 100.0}, start=20.0), "cartpole").range == 80
    assert SENTENCES["natural gradient does well: cart-pole"].measure(table).value == pytest.approx(0.1)


def test_the_natural_gradient_is_judged_at_the_step_that_the_figure_shows():
    """The mean of final returns says 1, their interquartile mean 10."""
    steps = []
    for step, ends in ((1.0, [0, 4, 4, 4, 20]), (10.0, [5, 5, 5, 5, 5])):
        one = made.curves({"natural gradient": 0.0}, seeds=5, step=step)
        steps.append(one.assign(return_mean=one["return_mean"] + one["seed"].map(dict(enumerate(ends)))))
    table = pd.concat([made.curves({"single path": 100.0}), *steps], ignore_index=True)
    shown = chosen(table)
    judged = Curves.of(table, "cartpole").final["natural gradient"]
    assert judged.tolist() == [0, 4, 4, 4, 20]
    assert judged.mean() == shown.loc[(shown["step"] == 1.0) & (shown["iteration"] > 45), "return_mean"].mean()


def test_slower_is_decided_by_the_area_and_similar_by_the_end():
    table = made.curves({"single path": 100.0, "max KL": 100.0})
    late = (table["method"] == "max KL") & (table["iteration"] <= 25)
    table.loc[late, "return_mean"] = 0.0
    assert SENTENCES["max KL slower: cart-pole"].measure(table).value == pytest.approx(0.48)
    assert SENTENCES["mean KL like max KL: cart-pole"].measure(table).value == 0


def test_both_of_ours_have_to_be_ahead_of_every_baseline():
    sentence = SENTENCES["best solutions: hopper"]
    levels = {"single path": 100.0, "vine": 100.0, "natural gradient": 10.0, "CEM": 10.0, "RWR": 10.0}
    assert sentence.measure(made.curves(levels, "hopper")).value == pytest.approx(0.9)
    assert sentence.measure(made.curves({**levels, "vine": 40.0}, "hopper")).value == pytest.approx(0.3)
    assert sentence.measure(made.curves({**levels, "RWR": 90.0}, "hopper")).value == pytest.approx(0.1)
    assert sentence.measure(made.curves({k: v for k, v in levels.items() if k != "vine"}, "hopper")) is None


def test_the_searches_are_cem_and_cma_and_no_other():
    levels = {"single path": 100.0, "CEM": 10.0, "CMA": 40.0, "RWR": 99.0}
    assert SENTENCES["CEM and CMA poor: walker"].measure(made.curves(levels, "walker")).value == pytest.approx(0.6)


def test_where_nothing_is_learned_nothing_is_decided():
    sentence = SENTENCES["mean KL like max KL: walker"]
    flat = made.curves({"single path": 0.0, "max KL": 0.0}, "walker")
    assert sentence.true.verdict(sentence.measure(flat)) == "undecided here"


def test_vine_is_compared_by_the_number_of_its_values():
    table = made.errors("vine, q uniform", "single path", "gradient", values=(4, 100))(2.0, 0.0, "")
    assert SENTENCES["vine less noisy"].measure(table).value == pytest.approx(2.0 * np.sqrt(4 / 100))


# effects


def test_intervals_are_wider_than_the_plain_percentiles_and_reach_over_all_of_five_runs():
    runs = pd.Series([1.0, 2.0, 3.0, 4.0, 10.0])
    found = middle(runs)
    assert found == Effect(3.0, 1.0, pytest.approx(10.0, abs=2.1))
    assert middle(runs) == found
    many = pd.Series(norm.ppf((np.arange(400) + 0.5) / 400))
    half = 1.96 * 1.19 / np.sqrt(400)  # the interquartile mean of a normal has the variance 1.19^2 of a mean, nearly
    assert middle(many).high == pytest.approx(half, rel=0.15)
    assert middle(runs[:4]).low is np.nan or np.isnan(middle(runs[:4]).low)


def test_runs_of_the_same_seeds_are_paired():
    a = pd.Series([1.0, 50.0, 20.0, 90.0, 70.0])
    assert difference(a + 1, a).high == pytest.approx(1.0)
    apart = difference(a + 1, a.set_axis(range(10, 15)))
    assert apart.low < -20 < 20 < apart.high
    assert apart.value == pytest.approx(1.0)


def test_shares_are_wilson_and_rare_things_need_to_be_seen():
    assert share(pd.Series([True] * 3 + [False] * 17)) == Effect(0.15, *wilson(0.15, 20))
    assert np.isnan(share(pd.Series([True] * 3)).low)
    assert np.isnan(rate(pd.Series(np.zeros(100))).high)
    assert rate(pd.Series([0.1] * 5 + [0.0] * 15)).high > 0.025
    assert np.isnan(rate(pd.Series([0.0] * 20 + [np.nan] * 5)).high)  # of what is not there nothing was seen


def test_combinations_decide_as_all_and_any():
    above, below, across = Effect(2, 1, 3), Effect(-2, -3, -1), Effect(0, -1, 1)
    assert least([above, across]) == Effect(0, -1, 1)
    assert least([above, below]).high < 0
    assert largest([above, below, across]) == Effect(2, 1, 3)
    assert least([]) is UNKNOWN
    assert Effect(-2, -3, 1).size == Effect(2, 0, 3)
    assert Effect(-2, -3, -1).size == Effect(2, 1, 3)
    assert iqm(np.array([0.0, 1.0, 2.0, 99.0])) == 1.5


def test_an_unknown_end_stays_unknown():
    assert np.isnan(least([Effect(1, 1, 1), Effect(0, np.nan, np.nan)]).low)
    assert np.isnan(largest([Effect(0, np.nan, np.nan), Effect(1, 1, 1)]).high)


# theorems

CLAIMS = ["kl-trpo", "tv-trpo", "pdl", "G1", "meankl-trpoC"]


@pytest.fixture(scope="module")
def checked():
    return verify.run(instances=3, claims=CLAIMS, gammas=[0.5, 0.9], distances=[0.1], mdps=["bandit", "chain-walk"], exact=2)


@pytest.fixture(scope="module")
def searched():
    return tightness.run(
        claims=["kl-trpo", "meankl-trpoC"], gammas=[0.5], open_gammas=[0.01], starts=["stored", "structured"], budget=500
    )


def test_theorems_take_counts_from_verify_and_the_largest_usage_of_both(checked, searched):
    table = ledger.theorems({"verify": [checked], "tightness": [searched]}).set_index("claim")
    assert list(table.index) == [id for id in CATALOGUE if id in CLAIMS]
    summary = verify.summary(checked).set_index("claim")
    assert (table["instances"] == summary["instances"].reindex(table.index)).all()
    assert (table["certified"] == summary["certified"].reindex(table.index)).all()
    row = table.loc["kl-trpo"]
    best = searched[searched["claim"] == "kl-trpo"].sort_values("usage").iloc[-1]
    assert best["usage"] > summary.loc["kl-trpo", "least"]
    assert (row["usage"], row["gamma"], row["ceiling"]) == (best["usage"], 0.5, best["ceiling"])
    assert row["sharper_by"] == pytest.approx(1 / best["usage"])
    assert np.isnan(table.loc["pdl", ["usage", "ceiling", "sharper_by"]].astype(float)).all()
    assert np.isnan(table.loc["G1", "sharper_by"])
    assert table.loc["G1", "usage"] > 1
    assert table["verdict"].str.split(",").str[0].to_dict() == {
        "kl-trpo": "holds",
        "tv-trpo": "holds",
        "pdl": "holds",
        "G1": "broken",
        "meankl-trpoC": "open: broken",
    }
    assert table.loc["meankl-trpoC", "usage"] == searched.loc[searched["claim"] == "meankl-trpoC", "usage"].max()


def test_a_violation_in_any_run_of_verify_counts(checked):
    """Also of claims whose usage has no scale, and of those that the run of the lowest seed leaves out."""
    other = checked.copy()
    other.attrs = {"config": {"seed": 1}}
    other.loc[(other["claim"] == "pdl").idxmax(), "violations"] = 1
    table = ledger.theorems({"verify": [checked, other]}).set_index("claim")
    assert table["verdict"].eq("VIOLATED").to_dict() == {id: id == "pdl" for id in table.index}
    without = checked[checked["claim"] != "pdl"]
    alone = ledger.theorems({"verify": [without, other]}).set_index("claim")
    assert alone.loc["pdl", "verdict"] == "VIOLATED"
    assert alone.loc["pdl", "instances"] == table.loc["pdl", "instances"] > 0


def test_a_theorem_that_the_adversary_breaks_is_violated(checked, searched):
    broken = searched.assign(usage=np.where(searched["claim"] == "kl-trpo", 1.5, searched["usage"]))
    table = ledger.theorems({"verify": [checked], "tightness": [broken]}).set_index("claim")
    assert table.loc["kl-trpo", "verdict"] == "VIOLATED"
    alone = ledger.theorems({"tightness": [broken]}).set_index("claim")
    assert alone.loc["kl-trpo", "verdict"] == "VIOLATED"


def test_the_command_reads_folders_and_writes_both_tables(tmp_path):
    folder = tmp_path / "results" / "guaranteed_step"
    for name, seed, effect in (("a", 0, 0.001), ("b", 1, 0.5)):
        (folder / name).mkdir(parents=True)
        outputs.write_table(build(SENTENCES["small steps: kl-trpo"], effect, 0, seed), folder / name / "table.parquet")
    (folder / ".hidden").mkdir()
    outputs.write_table(build(SENTENCES["small steps: kl-trpo"], 0.5, 0, -1), folder / ".hidden" / "table.parquet")
    (folder / "half").mkdir()
    (folder / "half" / "table.parquet").write_bytes(b"PAR1")
    command = [sys.executable, outputs.ROOT / "studies/ledger.py", "results", "results", "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.count("left out: results/guaranteed_step/half/table.parquet is damaged") >= 1
    row = pd.read_csv(tmp_path / "out/empirical.csv").set_index("id").loc["small steps: kl-trpo"]
    assert (row["verdict"], row["second_verdict"]) == ("supported", "not supported")
    assert set(pd.read_csv(tmp_path / "out/theorems.csv")["claim"]) == set(CATALOGUE)
    missing = subprocess.run([*command[:2], "nowhere"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert missing.returncode
    assert "there is no folder nowhere" in missing.stderr
