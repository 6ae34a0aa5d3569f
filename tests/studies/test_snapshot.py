"""Committed copies of results: small, read as the study's own, of the same summary, and with when and where they were made."""

import numpy as np
import pandas as pd
import pytest

from mdps.families import chain_walk, garnet
from studies import guaranteed_step, made, outputs, snapshot, trust_region, verify
from trpo.region import Region

REGIONS = {"max_kl": Region("kl", "max", 0.05), "mean_kl": Region("kl", "mean", 0.05)}


@pytest.fixture(scope="module")
def tables():
    mdps = {"garnet": garnet(6, 3, 2, gamma=0.9, seed=1), "chain-walk": chain_walk(4, gamma=0.9)}
    return {
        "trust_region": trust_region.run(mdps, REGIONS, iterations=8, starts=2, aggregations=2),
        "verify": verify.run(
            instances=3,
            claims=["kl-trpo", "tv-trpo", "pdl", "G1"],
            gammas=[0.5, 0.9],
            distances=[0.1, 0.5],
            mdps=["forest", "bandit", "garnet"],
            exact=2,
        ),
        "guaranteed_step": guaranteed_step.run(instances=2, gammas=[0.9, 0.99], mdps=["garnet"], aggregations=1, resolution=5),
    }


def stored(table, folder):
    study = str(table["study"].iloc[0])
    table.attrs = {
        "study": study,
        "command": f"python studies/run.py study={study} results=/somewhere",
        "version": "0",
        "fingerprint": "f",
    }
    (folder / "mine").mkdir()
    outputs.write_table(table, folder / "mine" / "table.parquet")
    return folder / "mine"


@pytest.mark.parametrize("study", ["trust_region", "verify", "guaranteed_step"])
def test_a_copy_is_read_and_drawn_as_the_table_and_says_the_same(study, tables, tmp_path, capsys):
    folder = stored(tables[study], tmp_path)
    snapshot.main([str(folder), "--out", str(tmp_path / "docs")])
    target = tmp_path / "docs" / study / "mine"
    copy = outputs.read_table(target / "table.parquet")
    assert f"{len(copy)} of {len(tables[study])} rows" in capsys.readouterr().out
    assert len(copy) < len(tables[study])
    assert (target / "table.parquet").stat().st_size < (folder / "table.parquet").stat().st_size
    assert {**tables[study].attrs, "snapshot": 0}.keys() == copy.attrs.keys()
    assert copy.attrs["command"] == f"python studies/run.py study={study}"
    module = outputs.study_module(study)
    summary, whole = module.summary(copy), module.summary(tables[study])
    both = [name for name in ("path", "claim") if name in summary]
    whole = summary[both].astype(str).merge(whole.astype(dict.fromkeys(both, str)), on=both) if both else whole
    counts = [name for name in summary if pd.api.types.is_integer_dtype(summary[name])]
    assert (summary[counts].to_numpy() == whole[counts].to_numpy()).all()
    numbers = [name for name in summary if pd.api.types.is_float_dtype(summary[name])]
    assert np.allclose(summary[numbers], whole[numbers], rtol=2e-3, atol=1e-6, equal_nan=True)
    assert len(pd.read_csv(target / "summary.csv")) == len(summary)
    assert module.figures(copy).keys() == module.figures(tables[study]).keys()


def test_the_rows_of_verify_are_put_together_and_not_dropped(tables):
    table, copy = tables["verify"], snapshot.reduced(tables["verify"])
    for name in ("instances", "applies", "certified", "violations", "undecided"):
        assert copy[name].sum() == table[name].sum()
    own, whole = verify.summary(copy), verify.summary(table)
    pd.testing.assert_frame_equal(own.astype({"mdp": str}), whole.astype({"mdp": str}), check_categorical=False, rtol=1e-3)


def test_drawn_pairs_stay_apart_and_ties_in_their_order():
    rows = [("forest", "structured", 0.5, 0.3), ("forest", "structured", 0.9, 1.0), ("bandit", "structured", 0.5, 1.0)]
    rows += [("forest", next(iter(snapshot.PAIRINGS)), 0.9, 0.2)]
    table = pd.DataFrame(rows, columns=["mdp", "pairing", "gamma", "usage"]).assign(claim="kl-trpo", distance=0.1, least=0.1)
    copy = snapshot.over_processes(table.assign(**dict.fromkeys(snapshot.COUNTS, 1)))
    assert list(copy["usage"]) == [1.0, 1.0, 0.2]
    assert list(copy["mdp"]) == ["forest", "bandit", "forest"]
    assert list(copy["instances"]) == [1, 2, 1]


def test_words_that_are_missing_in_both_summaries_agree(tables, monkeypatch):
    table = tables["verify"]
    module = outputs.study_module("verify")
    monkeypatch.setattr(module, "summary", lambda _: pd.DataFrame({"claim": ["a", "b"], "evidence": ["much", None]}))
    monkeypatch.setattr(module, "figures", lambda _: {})
    assert len(snapshot.check(table, table)) == 2


def test_violations_are_kept_whatever_bound_they_are_of(tables):
    table = tables["trust_region"].copy()
    other = table.index[table["claim"] == "cpo-tv"][:3]
    assert "cpo-tv" not in snapshot.RENOWNED
    table.loc[other, "verdict"] = "violated"
    copy = snapshot.reduced(table)
    assert (copy["verdict"] == "violated").sum() == 3
    snapshot.check(copy, table)
    with pytest.raises(ValueError, match=r"'violations' where the table's has [123]"):
        snapshot.check(copy[copy["verdict"] == "holds"], table)


def test_settings_stay_exact_and_numbers_are_rounded_to_thirteen_bits(tables):
    copy = snapshot.reduced(tables["guaranteed_step"])
    assert set(copy["gamma"]) == {0.9, 0.99}
    table = tables["guaranteed_step"]
    kept = table[table["claim"].isin(copy["claim"])]
    assert not np.array_equal(copy["size"], kept["size"])
    assert np.allclose(copy["size"], kept["size"], rtol=2.0**-13, atol=0)
    x = np.array([1.0, -np.pi, 1e-300, 5e-324, 0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(float).max])
    rounded = snapshot.rounded(x)
    assert np.allclose(rounded[:3], x[:3], rtol=2.0**-13, atol=0)
    assert np.array_equal(rounded[[0, 4, 5, 6, 7, 9]], x[[0, 4, 5, 6, 7, 9]])
    assert np.isnan(rounded[8])
    assert rounded[1] != x[1]


def test_a_copy_that_is_too_large_is_refused_and_leaves_nothing(tables, tmp_path):
    folder = stored(tables["guaranteed_step"], tmp_path)
    with pytest.raises(SystemExit, match=r"takes \d+ kB, expected at most 1: run the study on a smaller scale"):
        snapshot.main([str(folder), "--out", str(tmp_path / "docs"), "--limit", "1"])
    assert not [path for path in (tmp_path / "docs").rglob("*") if path.is_file()]


def test_a_combined_table_keeps_its_jobs_commands_without_folders(tables):
    table = tables["guaranteed_step"].assign(job="a")
    table.attrs = {
        "study": "guaranteed_step",
        "jobs": {"a": {"command": "python studies/run.py results=/x seed=1", "config": {}}},
    }
    assert snapshot.reduced(table).attrs["jobs"] == {"a": {"command": "python studies/run.py seed=1", "config": {}}}


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(SystemExit, match="does not exist"):
        snapshot.main([str(tmp_path), "--out", str(tmp_path / "docs")])


def test_a_table_that_cannot_be_copied_is_named_and_the_others_are(tables, tmp_path, capsys):
    first, *_ = tables
    whole, old = stored(tables[first], tmp_path), tmp_path / "old"
    old.mkdir()
    outputs.write_table(pd.DataFrame({"study": [first]}), old / "table.parquet")
    with pytest.raises(SystemExit, match=r"old: not as this version of its study writes it: KeyError"):
        snapshot.main([str(old), str(whole), "--out", str(tmp_path / "docs")])
    assert (tmp_path / "docs" / first / "mine" / "table.parquet").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SystemExit, match=r"cannot write results to .*taken.*--out FOLDER"):
        snapshot.main([str(tmp_path), "--out", str(tmp_path / "taken")])


COMMAND = "python studies/run.py study=guaranteed_step"
MAKING = {"fingerprint": "f", "command": COMMAND, "date": "2020-02-29", "machine": {"cores": "3"}}


@pytest.mark.parametrize("told", ["its own", "of another table", "nothing"])
def test_a_copy_says_when_and_where_the_table_was_made(told, tables, tmp_path):
    folder = stored(tables["guaranteed_step"], tmp_path)
    if told != "nothing":
        made.put(folder, {**MAKING, "fingerprint": "f" if told == "its own" else "g"})
    snapshot.main([str(folder), "--out", str(tmp_path / "docs")])
    target = tmp_path / "docs" / "guaranteed_step" / "mine"
    here = {**MAKING, "machine": made.machine()}
    del here["date"]
    record = made.read(target, outputs.read_attributes(target / "table.parquet"))
    assert record == (MAKING if told == "its own" else here)


def test_a_copy_of_a_sweep_says_it_of_every_job(tables, tmp_path):
    jobs = {name: {"study": "trust_region", "fingerprint": name, "command": f"c {name}"} for name in ("a", "b")}
    table = pd.concat([tables["trust_region"].assign(job=name) for name in jobs], ignore_index=True)
    table.attrs = {"study": "trust_region", "jobs": jobs}
    for name in jobs:
        (tmp_path / "mine" / name).mkdir(parents=True)
        made.put(tmp_path / "mine" / name, {**jobs[name], "date": f"2020-02-0{1 + (name == 'b')}", "machine": {"cores": "3"}})
    outputs.write_table(table, tmp_path / "mine" / "table.parquet")
    snapshot.main([str(tmp_path / "mine"), "--out", str(tmp_path / "docs")])
    target = tmp_path / "docs" / "trust_region" / "mine"
    found = made.origins(target, outputs.read_attributes(target / "table.parquet"))
    assert {name: origin["date"] for name, origin in found.items()} == {"a": "2020-02-01", "b": "2020-02-02"}
