"""The rules of the ledger on what the studies really write, and from the folder of a run to its verdict."""

import ledger_tables as made
import numpy as np
import pandas as pd
import pytest
from audited import Tabular
from test_ledger import DECIDED, NAMES, SENTENCES, STRENGTHS, stamped, strengths

from mdps.families import garnet
from studies import audit, estimators, ledger, max_kl_cost, outputs, train
from studies.effects import FEWEST
from studies.reporting.document import ledgers
from studies.reporting.found import find, tables
from trpo.region import Region

MDP = garnet(4, 2, 2, gamma=0.7, seed=1)


def trained():
    env = {"id": "CartPole-v1", "num_envs": 1, "max_episode_steps": 10}
    learner = {"episodes_per_update": 1, "gamma": 0.9}
    regions = {"mean_kl": Region("kl", "mean", 0.01)}
    policy = {"kind": "linear"}
    return train.run(env, policy, regions, learner, seeds=FEWEST, steps=None, episodes=20, printed=[5, 9])


def costed():
    return max_kl_cost.run(problems=3, states=64, updates=[1], rounds=[0, 1], dampings=[0.1], repeats=1)


def audited():
    return audit.run({"ours": Tabular(), "another": Tabular("no KL check")}, {"garnet": MDP}, env=[], updates=3, stress=[0.5])


def estimated():
    return estimators.run({"garnet": MDP}, batches=5, budgets=[400, 4000], rollouts=[2], paths=[64], cut=0.01)


WRITTEN = {
    "printed return: CartPole": trained,
    "max KL impractical": costed,
    "line search keeps its promise": audited,
    **dict.fromkeys(("single path unbiased", "any q unbiased", "eq. 16 as printed", "unweighted states"), estimated),
    **dict.fromkeys(("vine less noisy", "analytic FIM estimate"), estimated),
}
"""Sentences that no default run but that of their study decides, by the first words of their ids."""


@pytest.fixture(scope="module")
def written():
    return {make: make() for make in dict.fromkeys(WRITTEN.values())}


@pytest.mark.parametrize("words", WRITTEN)
def test_a_rule_reads_what_its_study_writes(words, written):
    own = [sentence for sentence in DECIDED if sentence.id.startswith(words)]
    assert own
    for sentence in own:
        assert sentence.study == written[WRITTEN[words]]["study"].iloc[0]
        found = sentence.measure(written[WRITTEN[words]])
        assert np.isfinite([found.value, found.low, found.high]).all(), sentence.id
        assert found.low <= found.value <= found.high


def test_the_return_that_is_compared_is_that_of_the_last_episodes(written):
    table = written[trained]
    found = SENTENCES["printed return: CartPole"].measure(table)
    last = [own.loc[own["episodes"] > 10, "return_mean"].mean() for _, own in table.groupby("seed")]
    inner = np.sort(last)[1:-1]  # of five: a quarter is cut off at each end, rounded down
    assert found.value == pytest.approx((inner.mean() - 9) / 4)


ALONE = [sentence for sentence in DECIDED if sentence.study in ("train", "max_kl_cost", "audit", "estimators")]


def put(folder, sentence, effect, spread, seed=0, **told):
    """Write a made-up table as the run of a study would, and return its folder."""
    words = next(w for w, study in made.BUILDERS if study == sentence.study and sentence.id.startswith(w))
    name = sentence.id.partition(": ")[2]
    table = made.BUILDERS[words, sentence.study](effect, spread, NAMES.get(name, name))
    folder.mkdir(parents=True)
    outputs.write_table(stamped(table.reset_index(drop=True), sentence.study, seed, **told), folder / outputs.TABLE)
    return folder


@pytest.mark.parametrize("sentence", ALONE, ids=lambda sentence: sentence.id)
def test_a_folder_given_to_the_report_decides_its_row(sentence, tmp_path):
    true, false, *_ = strengths(sentence)
    first = put(tmp_path / sentence.study / "default", sentence, true, 0)
    second = put(tmp_path / sentence.study / "seed=1", sentence, false, 0, seed=1)
    _, rows = ledgers(tables(find([first, second])))
    row = rows.set_index("id").loc[sentence.id]
    assert (row["verdict"], row["second_verdict"]) == ("supported", "not supported")
    assert row["table"].startswith(f"{sentence.study}: python studies/run.py")
    _, before = ledgers(tables(find([tmp_path / sentence.study / "nothing"])))
    assert before.set_index("id").loc[sentence.id, "verdict"] == "undecided here"


def test_every_kind_of_sentence_has_its_strengths():
    assert {next(words for words in STRENGTHS if sentence.id.startswith(words)) for sentence in DECIDED} == set(STRENGTHS)


def test_more_batches_go_before_more_rows():
    sentence = SENTENCES["single path unbiased"]
    few = made.estimated("single path")(0.2, 0, "").assign(batches=40)
    many = made.estimated("single path")(0.0, 0, "").assign(batches=640).head(4)
    assert len(few) > len(many)
    both = [stamped(few, "estimators", 0), stamped(many, "estimators", 0, batches=640)]
    for order in (both, both[::-1]):
        row = ledger.empirical({"estimators": order}).set_index("id").loc[sentence.id]
        assert row["verdict"] == "supported"


@pytest.mark.parametrize(
    ("told", "paired"), [("workers", True), ("checkpoints", True), ("scale", True), ("step_sizes", True), ("instances", False)]
)
def test_a_second_run_may_keep_its_work_elsewhere_but_not_do_something_else(told, paired):
    sentence = SENTENCES["small steps: kl-trpo"]
    build = made.guaranteed("kl-trpo")
    first = stamped(build(0.001, 0, ""), "guaranteed_step", 0)
    second = stamped(build(0.5, 0, ""), "guaranteed_step", 1, **{told: "x"})
    row = ledger.empirical({"guaranteed_step": [first, second]}).set_index("id").loc[sentence.id]
    assert row["second_verdict"] == ("not supported" if paired else "")
    assert pd.isna(row["second_effect"]) != paired
