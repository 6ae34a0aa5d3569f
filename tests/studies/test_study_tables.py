"""What the tables hold, by other routes; names of folders; what gather leaves out."""

import inspect

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from bounds import CATALOGUE
from mdps import MDP, evaluate
from mdps.families import chain_walk, garnet, riverswim
from mdps.gym_bridge import from_gymnasium
from mdps.optimal import optimal_policy
from studies import cells, folders, gather, improvement, outputs, paths, records, trust_region, verify
from studies.figures import save, wilson
from studies.updates import UPDATES
from trpo.region import Region

REGIONS = {"max_kl": Region("kl", "max", 0.05), "mean_kl": Region("kl", "mean", 0.05)}


@pytest.fixture(scope="module")
def table():
    mdps = {"riverswim": riverswim("osband-2013", gamma=0.9), "garnet": garnet(6, 3, 2, gamma=0.9, seed=1)}
    return trust_region.run(mdps, REGIONS, seed=3, iterations=6, starts=2, aggregations=2)


def solved(mdp, pi):
    """V, Q and unnormalised rho by a plain linear solve: nothing of the package."""
    transition = np.einsum("sa,sat->st", pi, mdp.P)
    inverse = np.linalg.inv(np.eye(mdp.S) - float(mdp.gamma) * transition)
    V = inverse @ (pi * mdp.R).sum(1)
    return V, mdp.R + float(mdp.gamma) * mdp.P @ V, mdp.rho0 @ inverse


def test_a_row_says_what_plain_linear_algebra_says():
    mdp = garnet(6, 3, 2, gamma=0.9, seed=1)
    table = trust_region.run({"garnet": mdp}, {"max_kl": REGIONS["max_kl"]}, seed=3, iterations=1, starts=2, aggregations=1)
    (start,) = paths.starts("garnet", mdp, 3, aggregations=1, each=2, group_size=2)
    old = start.pi[1]
    new = trust_region.region_step(evaluate(mdp, old), REGIONS["max_kl"], start.groups)
    V, Q, rho = solved(mdp, old)
    eta, L = mdp.rho0 @ V, mdp.rho0 @ V + rho @ (new * (Q - V[:, None])).sum(1)
    eta_new = mdp.rho0 @ solved(mdp, new)[0]
    kl = (old * np.log(old / new)).sum(1)
    row = table[(table["algorithm"] == "exact-tied") & (table["instance"] == 1) & (table["claim"] == "kl-trpo")].iloc[0]
    expected = {
        "eta_old": eta,
        "eta_new": eta_new,
        "L": L,
        "gap": eta_new - L,
        "tv_max": np.abs(new - old).sum(1).max() / 2,
        "kl_max": kl.max(),
        "kl_mean": 0.1 * rho @ kl,
        "penalty": 4 * 0.9 / 0.1**2 * np.abs(Q - V[:, None]).max() * kl.max(),
        "surrogate_gain": L - eta,
        "improvement": eta_new - eta,
    }
    for column, value in expected.items():
        assert row[column] == pytest.approx(value, rel=1e-9, abs=1e-12), column
    assert row["usage"] == pytest.approx(abs(expected["gap"]) / expected["penalty"], rel=1e-6)


def test_the_regions_are_kept_and_untied_updates_never_fall(table):
    updates = records.updates_of(table)
    assert len(updates) * table["claim"].nunique() == len(table)
    used = updates[updates["region"] == "max_kl"]["kl_max"], updates[updates["region"] == "mean_kl"]["kl_mean"]
    for kl in used:
        assert kl.max() <= 0.05 * (1 + 1e-12)
        assert kl.max() >= 0.05 * (1 - 1e-6)
    assert (updates[updates["region"] == "mean_kl"]["kl_max"] > 0.06).any()
    assert not updates[updates["algorithm"] == "exact"]["falls"].any()


def test_a_fall_is_a_loss_and_not_rounding(table):
    updates = records.updates_of(table)
    lost = table.assign(improvement=-1e-16 * table["eta_star"].abs())
    assert not records.updates_of(lost)["falls"].any()
    assert records.updates_of(table.assign(improvement=-1e-9 * table["eta_star"].abs()))["falls"].all()
    assert updates["progress_old"][updates["iteration"] == 0].abs().max() == 0


def test_iterations_follow_one_another_and_runs_start_together(table):
    updates = records.updates_of(table)
    for _, run in updates.groupby("run"):
        assert np.array_equal(run["iteration"], np.arange(6))
        assert np.array_equal(run["eta_old"].iloc[1:], run["eta_new"].iloc[:-1])
    start = updates[updates["iteration"] == 0]
    assert (start.groupby(["mdp", "instance"], observed=True)["eta_old"].agg(np.ptp) == 0).all()
    assert updates["run"].nunique() == 2 * 2 * 2 * 4


def test_the_same_seed_gives_the_same_table_and_another_does_not():
    mdps = {"chain": chain_walk(4, gamma=0.9)}
    make = [trust_region.run(mdps, REGIONS, seed=seed, iterations=2, starts=1, aggregations=1) for seed in (0, 0, 1)]
    pd.testing.assert_frame_equal(make[0], make[1])
    assert not np.array_equal(make[0]["eta_old"], make[2]["eta_old"])


def test_a_mdp_gives_the_same_rows_whatever_stands_beside_it(table):
    alone = trust_region.run(
        {"garnet": garnet(6, 3, 2, gamma=0.9, seed=1)}, REGIONS, seed=3, iterations=6, starts=2, aggregations=2
    )
    beside = table[table["mdp"] == "garnet"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, beside, check_categorical=False)


@pytest.mark.parametrize("name", [name for name, rule in UPDATES.items() if rule.rests_on])
@pytest.mark.parametrize("gamma", [0.3, 0.9, 0.99])
def test_a_rule_that_rests_on_a_bound_gains_what_that_promises(name, gamma):
    mdp = garnet(5, 3, 2, gamma=gamma, seed=7)
    table = improvement.run({"garnet": mdp}, iterations=5, starts=4, updates=[name], claims=[UPDATES[name].rests_on])
    promised = table["surrogate_gain"] - table["penalty"]
    tolerance = 1e-9 * table["surrogate_gain"].abs().max()
    assert (promised >= -tolerance).all()  # the rule maximises it, and the old policy has 0
    assert (table["improvement"] >= promised - tolerance).all()
    assert promised.max() > 0
    doubled = table["surrogate_gain"] - 2.2 * table["penalty"]  # the twin: no rule of twice the penalty would take this step
    assert (doubled[promised > tolerance] < 0).any()


def test_improvement_finds_when_a_run_arrives():
    mdp = chain_walk(4, gamma=0.9)
    delta = 0.05
    table = improvement.run({"chain": mdp}, delta=delta, iterations=200, starts=3, updates=["max-kl"])
    first = improvement.arrivals(table)
    (start,) = paths.starts("chain", mdp, 0, aggregations=1, each=3, group_size=1)
    best = float(optimal_policy(mdp)[1].eta)
    for instance, pi in enumerate(start.pi):
        eta0 = evaluate(mdp, pi).eta
        count = 0
        while evaluate(mdp, pi).eta < best - 0.01 * (best - eta0):
            pi, count = UPDATES["max-kl"](evaluate(mdp, pi), delta), count + 1
        assert first.loc[first["instance"] == instance, "updates"].item() == count
    assert first["arrived"].all()
    short = improvement.arrivals(improvement.run({"chain": mdp}, delta=1e-4, iterations=4, starts=3, updates=["max-kl"]))
    assert not short["arrived"].any()
    assert set(short["updates"]) == {4}


@pytest.fixture(scope="module")
def verified():
    claims = ["kl-trpo", "tv-trpo-resolvent", "alg1-monotone", "G9-0.9", "G11", "pinsker-tight", "pdl", "meankl-trpoC"]
    return verify.run(4, mdps=["riverswim", "garnet"], gammas=[0.5, 0.9], distances=[0.1], deltas=[0.1], claims=claims)


def test_verify_says_of_every_claim_what_its_status_promises(verified):
    summary = verify.summary(verified).set_index("claim")
    for id, row in summary.iterrows():
        expected = {"theorem": "holds", "false": "broken, as it should be"}.get(CATALOGUE[id].status)
        assert row["verdict"] == (expected or f"open: largest usage {row['usage']:.3g}")
    assert summary.loc["tv-trpo-resolvent", "usage"] == pytest.approx(1, abs=1e-6)
    assert np.ptp(summary["instances"]) == 0


def test_verify_counts_a_cell_as_the_claim_itself_does(verified):
    (cell,) = (
        c for c in cells.update_cells(4, 0, mdps=["garnet"], gammas=[0.5, 0.9], deltas=[0.1]) if c.pairing == "max-kl, tied"
    )
    assert np.array_equal(cell.comparison.new.pi[..., 0, :], cell.comparison.new.pi[..., 1, :])
    assert cell.comparison.kl_max.max() == pytest.approx(0.1, rel=1e-6)
    rows = verified[(verified["mdp"] == "garnet") & (verified["pairing"] == "max-kl, tied") & (verified["claim"] == "G11")]
    claim = CATALOGUE["G11"]
    assert np.array_equal(rows["applies"], claim.applies(cell.comparison).sum(-1)[:, 0])
    assert np.array_equal(rows["usage"], claim.usage(cell.comparison).max(-1)[:, 0])
    assert set(rows["instances"]) == {4}


@pytest.mark.parametrize(
    ("status", "applies", "violations", "expected"),
    [
        ("theorem", 5, 0, "holds"),
        ("theorem", 5, 1, "VIOLATED"),
        ("false", 5, 1, "broken, as it should be"),
        ("false", 5, 0, "NOT BROKEN"),
        ("open", 5, 0, "open: largest usage 0.5"),
        ("open", 5, 2, "open: broken, usage 0.5"),
        ("theorem", 0, 0, "NEVER APPLIED"),
    ],
)
def test_verdicts(status, applies, violations, expected):
    assert verify.verdict(status, applies, violations, 0.5) == expected


def test_a_claim_whose_code_fails_loses_no_other(monkeypatch):
    broken = CATALOGUE["kl-trpo"].__class__("fails", "bound", "theorem", "", "", lambda c: c.kl_max * np.nan)
    monkeypatch.setitem(CATALOGUE, "fails", broken)
    table = verify.run(2, mdps=["riverswim"], gammas=[0.9], distances=[0.1], deltas=[0.1], claims=["fails", "tv-trpo"])
    verdicts = verify.summary(table).set_index("claim")["verdict"]
    assert verdicts["fails"].startswith("ERROR")
    assert verdicts["tv-trpo"] == "holds"


def test_every_named_part_of_the_configuration_makes_what_it_says():
    with initialize_config_dir(str(outputs.ROOT / "conf"), version_base="1.3"):
        for path in sorted((outputs.ROOT / "conf/mdp").glob("*.yaml")):
            if path.stem == "taxi":  # 500 states, checked with the bridge
                continue
            config = compose("config", [f"mdp={path.stem}", "gamma=0.7", "seed=5"])
            assert list(config.mdp) == [path.stem]
            mdp = instantiate(config.mdp, _convert_="all")[path.stem]
            assert isinstance(mdp, MDP)
            assert mdp.gamma == 0.7
        for path in sorted((outputs.ROOT / "conf/region").glob("*.yaml")):
            region = instantiate(compose("config", [f"region={path.stem}", "delta=0.25"]).region, _convert_="all")[path.stem]
            assert region.delta == 0.25
            assert path.stem in (f"{region.reduce}_{region.measure}", region.measure)
        for path in sorted((outputs.ROOT / "conf/study").glob("*.yaml")):
            node = compose("config", [f"study={path.stem}"]).study
            module = outputs.study_module(path.stem)
            assert node._target_ == f"studies.{path.stem}.run"
            defaults = {k: v.default for k, v in inspect.signature(module.run).parameters.items()}
            assert {str(key) for key in node} - {"_target_", "_convert_"} == set(defaults)
            for key in {"iterations", "starts", "aggregations", "group_size", "instances"} & set(defaults):
                assert node[key] == defaults[key], key  # one default, in the study and in its file


def test_frozenlake_of_the_configuration_is_gymnasiums():
    with initialize_config_dir(str(outputs.ROOT / "conf"), version_base="1.3"):
        mdp = instantiate(compose("config", ["mdp=frozenlake"]).mdp, _convert_="all")["frozenlake"]
    expected = from_gymnasium("FrozenLake-v1", gamma=0.9)
    assert np.array_equal(mdp.P, expected.P)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "default"),
        (["study=verify", "results=/tmp/x"], "default"),
        (["delta=0.001,0.01,0.1"], "delta=0.001,0.01,0.1"),
        (["mdp=[a,b]", "delta=0.1"], "mdp=a+b__delta=0.1"),
        (["mdp=a,b"], "mdp=a,b"),
        (["+x=1"], "+x=1"),
    ],
)
def test_names_of_folders(overrides, name):
    assert folders.name(overrides) == name


def test_names_of_folders_are_safe_short_and_apart():
    odd = [["x=a/b"], ["x=a\\b"], ["x=a b/c"], ["x=../.."], ["x='a;b'"], ["seed=range(3)"], ["seed=range[3]"], ["x=" + "a" * 300]]
    names = [folders.name(overrides) for overrides in odd]
    assert len(set(names)) == len(odd)
    for name in names:
        assert len(name) <= folders.LONGEST
        assert not set(name) & set("/\\ ;'()*")
        assert name not in (".", "..")


def test_a_table_is_written_whole_or_not_at_all(table, tmp_path):
    path = tmp_path / "table.parquet"
    table = table.copy()
    table.attrs = {"study": "trust_region", "config": {"delta": 0.1, "list": [1, None]}}
    outputs.write_table(table, path)
    before = path.read_bytes()
    read = outputs.read_table(path)
    assert read.attrs == table.attrs
    assert outputs.read_attributes(path) == table.attrs
    pd.testing.assert_frame_equal(read, table, check_categorical=False)

    def fails(partial):
        with open(partial, "wb") as file:
            file.write(b"half")
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        outputs.write(path, fails)
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["table.parquet"]


def test_a_fingerprint_tells_configurations_apart_and_not_where_results_go():
    def made(**config):
        return outputs.provenance(config, "verify", [])["fingerprint"]

    assert made(delta=0.1, results="a") == made(delta=0.1, results="b")
    assert made(delta=0.1) != made(delta=0.2)
    assert outputs.provenance({}, "verify", [])["fingerprint"] != outputs.provenance({}, "improvement", [])["fingerprint"]
    assert outputs.provenance({}, "verify", [], [records])["fingerprint"] != outputs.provenance({}, "verify", [])["fingerprint"]


def test_gather_names_what_it_leaves_out_and_goes_on(table, verified, tmp_path, capsys):
    small = verified[verified["claim"] == "G11"].reset_index(drop=True)
    for job in ("b", "a"):
        (tmp_path / job).mkdir()
        outputs.write_table(small, tmp_path / job / "table.parquet")
    half = (tmp_path / "a/table.parquet").read_bytes()[:3000]
    for job, content in {"half": half, "nothing": None, "not": b"a,b\n1,2\n"}.items():
        (tmp_path / job).mkdir()
        if content:
            (tmp_path / job / "table.parquet").write_bytes(content)
    (tmp_path / "other").mkdir()
    outputs.write_table(table, tmp_path / "other/table.parquet")
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed/error.txt").write_text("why")
    assert gather.gather(tmp_path) is False
    said = capsys.readouterr()
    for job, why in {
        "half": "half-written",
        "nothing": "no table",
        "not": "half-written",
        "other": "'trust_region'",
        "failed": "failed",
    }.items():
        (line,) = (line for line in said.err.splitlines() if line.startswith(f"left out: {job}:"))
        assert why in line
    combined = outputs.read_table(tmp_path / "table.parquet")
    assert list(combined["job"].unique()) == ["a", "b"]
    assert len(combined) == 2 * len(small)
    first = combined.drop(columns="study")
    assert gather.gather(tmp_path) is False  # its own table is not one of the jobs'
    pd.testing.assert_frame_equal(outputs.read_table(tmp_path / "table.parquet").drop(columns="study"), first)


def test_gather_of_nothing_says_so(table, tmp_path):
    with pytest.raises(SystemExit, match="there is no folder"):
        gather.gather(tmp_path / "missing")
    with pytest.raises(SystemExit, match="no job under"):
        gather.gather(tmp_path)
    outputs.write_table(table, tmp_path / "table.parquet")
    with pytest.raises(SystemExit, match="table of a single run"):
        gather.gather(tmp_path)


def test_rows_of_another_gamma_are_of_another_process():
    parts = [trust_region.run({"m": chain_walk(4, gamma=g)}, REGIONS, iterations=1, starts=1, aggregations=1) for g in (0.5, 0.9)]
    both = gather.combine({"g5": parts[0], "g9": parts[1]})
    assert set(records.updates_of(both)["mdp"]) == {"m, γ=0.5", "m, γ=0.9"}
    assert set(records.updates_of(parts[0])["mdp"]) == {"m"}


def test_jobs_with_different_claims_combine():
    kwargs = {"iterations": 2, "starts": 1, "aggregations": 1}
    one = trust_region.run({"m": chain_walk(4, gamma=0.9)}, REGIONS, claims=["kl-trpo"], **kwargs)
    two = trust_region.run({"m": chain_walk(4, gamma=0.9)}, REGIONS, claims=["tv-trpo", "cpo-tv"], **kwargs)
    both = gather.combine({"one": one, "two": two})
    assert len(records.updates_of(both)) == len(records.updates_of(one)) * 2
    assert len(records.moving(both, 0.0)) == len(records.moving(one, 0.0)) + len(records.moving(two, 0.0))


@pytest.mark.parametrize("study", [trust_region, improvement, verify])
def test_the_main_figure_is_one_of_the_studys_and_has_the_same_bytes_each_time(study, table, verified, tmp_path):
    data = {
        trust_region: lambda: table,
        verify: lambda: verified,
        improvement: lambda: improvement.run({"m": chain_walk(4, gamma=0.9)}, iterations=3, starts=2),
    }[study]()
    bytes_ = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        bytes_.append([path.read_bytes() for path in save(study.plot(data), tmp_path / str(number) / "main")])
    assert bytes_[0] == bytes_[1]
    other = data[data["gamma"] == 0.5] if study is verify else data.iloc[: len(data) // 2]
    assert [path.read_bytes() for path in save(study.plot(other), tmp_path / "other")] != bytes_[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: trust_region.run({}, REGIONS), "mdp is empty"),
        (lambda m: trust_region.run(m, {}), "region is empty"),
        (lambda m: trust_region.run(m, REGIONS, iterations=0), "iterations is 0"),
        (lambda m: trust_region.run(m, REGIONS, starts=0), "starts is 0"),
        (lambda m: trust_region.run(m, REGIONS, claims=[]), "claims is empty"),
        (lambda m: trust_region.run({"b": chain_walk(4, gamma=[0.5, 0.9])}, REGIONS), "is a batch"),
        (lambda m: improvement.run(m, updates=["nope"]), "unknown update 'nope'"),
        (lambda m: improvement.run(m, updates=[]), "updates is empty"),
        (lambda m: improvement.run(m, iterations=0), "iterations is 0"),
        (lambda m: verify.run(mdps=["nope"]), "unknown MDP 'nope'"),
        (lambda m: verify.run(0), "instances is 0"),
        (lambda m: verify.run(gammas=[]), "gammas is empty"),
        (lambda m: verify.run(distances=[0.1, -1]), "distances has -1; give sizes of at least 0"),
        (lambda m: UPDATES["cpi-trpo"](evaluate(m["m"], np.full((4, 2), 0.5)), groups=[0, 0, 1, 1]), "no form for tied states"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call({"m": chain_walk(4, gamma=0.9)})


def test_a_radius_of_zero_moves_nothing_and_is_drawn_all_the_same():
    still = trust_region.run(
        {"garnet": garnet(4, 2, 2, gamma=0.9, seed=1)}, {"max_kl": Region("kl", "max", 0)}, iterations=2, starts=1, aggregations=1
    )
    assert (still["kl_max"] == 0).all()
    assert set(trust_region.figures(still)) == {"progress", "gain", "falls"}
    assert (trust_region.summary(still)["falls"] == 0).all()


def test_wilsons_interval_is_where_the_score_test_just_rejects():
    z = 1.959963984540054
    for share, count in ((0.0, 12), (0.25, 40), (1.0, 7)):
        for end, other in zip(wilson(share, count), (0.0, 1.0), strict=True):
            if end != other:
                assert abs(share - end) == pytest.approx(z * np.sqrt(end * (1 - end) / count), rel=1e-9)
