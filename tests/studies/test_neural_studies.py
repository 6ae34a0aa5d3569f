"""What the neural agent saw of its updates against what they truly did."""

import numpy as np
import pandas as pd
import pytest
import torch

from bounds import CATALOGUE, compare
from mdps import MDP
from mdps.families import garnet, riverswim
from studies import gather, neural, neural_truth, records, trust_region
from studies.neural import Learner
from trpo.region import Region

REGIONS = {"max_kl": Region("kl", "max", 0.05), "mean_kl": Region("kl", "mean", 0.05)}
SMALL = {"hidden": (3,), "iterations": 2, "starts": 2, "batch": 1}
THEOREMS = [id for id, claim in CATALOGUE.items() if claim.status == "theorem"]


def processes():
    return {"garnet": garnet(12, 3, 2, gamma=0.8, seed=1), "riverswim": riverswim("osband-2013", gamma=0.8)}


@pytest.fixture(scope="module")
def table():
    return neural_truth.run(processes(), REGIONS, claims=[*THEOREMS, "G16-linear"], **SMALL)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("policy", ["mlp", "linear", "tabular"])
@pytest.mark.parametrize("region", REGIONS)
def test_an_exact_batch_sees_the_truth(dtype, policy, region):
    """Its means are the exact ones up to rounding: u to the inputs of the sums, and what a network makes of it to its outputs.

    A logit is a sum of 64 products at most, so wrong by 64 u max|z| =: e. That moves a state's KL by 2 TV 2e, and its part of
    the surrogate by 2e max|A|; casts of d and A move both by 3u of themselves, and the surrogate's start, a sum of zero, by
    3u max|A|.
    """
    mdp = processes()["garnet"]
    learner = Learner(policy=policy, hidden=(16,), dtype=dtype)
    walked = neural.walk(mdp, REGIONS[region], learner, 3, seed=5)
    c = compare(mdp, walked.pi[:-1], walked.pi[1:])
    u = torch.finfo(dtype).eps
    e, largest = 64 * u * np.abs(np.log(walked.pi)).max(), np.abs(c.old.A).max()
    for t, step in enumerate(walked.steps):
        assert step.accepted
        kl = 4 * e * c.tv_max[t] + 3 * u * c.kl_max[t]
        assert step.kl_mean == pytest.approx(c.kl_mean[t], abs=kl, rel=0)
        assert step.kl_max == pytest.approx(c.kl_max[t], abs=kl, rel=0)
        assert step.gain == pytest.approx(0.2 * c.surrogate_gain[t], abs=(2 * e + 6 * u) * largest, rel=0)
    assert walked.visited.all()


def test_the_columns_are_those_of_an_exact_update_and_what_the_batch_said(table):
    own = ["sampler", "curvature", "policy", "accepted", "reason", "backtracks", "kl_mean_sampled", "kl_max_sampled"]
    own += ["gain_sampled", "gain_predicted", "kl_max_visited", "visited", "outside", "guaranteed"]
    assert list(table.columns) == [*records.COLUMNS, *own]
    exact = table[table["sampler"] == "exact"]
    for column, truth in {"gain_sampled": "surrogate_gain", "kl_mean_sampled": "kl_mean", "kl_max_sampled": "kl_max"}.items():
        assert np.allclose(exact[column], exact[truth], rtol=1e-4, atol=1e-6), column
    bound = table[table["claim"] == "kl-trpo"]
    promised = bound["L"] - bound["penalty"] - bound["eta_old"]
    assert np.allclose(bound["guaranteed"], promised, rtol=1e-9, atol=1e-12)
    assert (bound["improvement"] >= bound["guaranteed"]).all()


def test_the_sampled_maximum_is_that_over_the_states_of_the_batch(table):
    updates = records.updates_of(table)
    assert np.allclose(updates["kl_max_visited"], updates["kl_max_sampled"], rtol=1e-4, atol=1e-7)
    assert (updates["kl_max"] >= updates["kl_max_visited"]).all()
    assert (updates["visited"] < 1).any()
    unseen = updates["kl_max"] > updates["kl_max_visited"] * (1 + 1e-9)
    assert unseen.any()
    assert (updates["visited"][unseen] < 1).all()
    for region, held in {"max_kl": "kl_max_sampled", "mean_kl": "kl_mean_sampled"}.items():
        assert updates[held][updates["region"] == region].max() <= 0.05
    assert not updates["outside"][updates["sampler"] == "exact"].any()
    assert updates["outside"][updates["sampler"] != "exact"].any()


def test_no_theorem_is_violated_by_a_neural_update_and_a_false_claim_is(table):
    broken = set(table["claim"][table["verdict"] == "violated"])
    assert broken == {"G16-linear"}
    assert set(table["claim"]) == {*THEOREMS, "G16-linear"}


def leaving():
    """State 0 is left for good with probability 0.1; nothing happens in state 1."""
    return MDP([[[0.9, 0.1]] * 2, [[0, 1]] * 2], [[1, -1], [0.1, 0.1]], [1, 0], 0.9)


def ending():
    """As above, but state 1 pays nothing: an episode ends there."""
    return MDP([[[0.9, 0.1]] * 2, [[0, 1]] * 2], [[1, -1], [0, 0]], [1, 0], 0.9)


@pytest.mark.parametrize(("sampler", "follows_d"), [("single_path", True), ("vine", True), ("single_path_undiscounted", False)])
def test_states_follow_d_unless_gamma_is_dropped(sampler, follows_d):
    learner = Learner(sampler, hidden=(8,), paths=1000, states=4000)
    walked = neural.walk(leaving(), REGIONS["mean_kl"], learner, 1, seed=0)
    c = compare(leaving(), walked.pi[:-1], walked.pi[1:])
    assert c.kl[0, 0] != pytest.approx(c.kl[0, 1], rel=0.3)
    # 1000 paths are in state 0 for 5 discounted steps with a deviation of 3: its share is known to 2 % at two deviations
    ratio = walked.steps[0].kl_mean / c.kl_mean[0]
    assert bool(abs(ratio - 1) < 0.04) is follows_d


@pytest.mark.parametrize("sampler", ["exact", "single_path", "vine"])
def test_a_large_batch_knows_the_gain_in_units_of_L(sampler):
    """Also where episodes end, though a single path does not list terminal states: in units of d it would be wrong by 1.9."""
    learner = Learner(sampler, hidden=(8,), paths=1000, states=4000)
    pi, walked = neural.walks("ending", ending(), REGIONS["mean_kl"], learner, 1, 1, 0)
    c = compare(ending(), pi[:-1], pi[1:])
    seen = neural_truth.seen(ending(), c, walked, learner)
    assert seen["gain_sampled"].item() == pytest.approx(c.surrogate_gain.item(), rel=0.1)


def test_the_same_seed_gives_the_same_table_whatever_the_threads_and_the_company(table):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one = {"riverswim": processes()["riverswim"]}
        again = neural_truth.run(one, REGIONS, claims=["kl-trpo"], cells={"vine": ["identity", "fisher"]}, **SMALL)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert len(again) == 16
    keys = ["curvature", "region", "instance", "iteration"]
    there = table[(table["mdp"] == "riverswim") & (table["sampler"] == "vine") & (table["claim"] == "kl-trpo")]
    expected = there.set_index(keys).loc[pd.MultiIndex.from_frame(again[keys].astype({"curvature": str, "region": str}))]
    pd.testing.assert_frame_equal(again, expected.reset_index()[list(again.columns)], check_categorical=False, check_dtype=False)
    other = neural_truth.run(one, REGIONS, seed=1, claims=["kl-trpo"], cells={"vine": ["fisher"]}, **SMALL)
    assert not set(other["eta_old"]) & set(again["eta_old"])


def test_all_cells_start_from_the_same_policies_and_starts_differ(table):
    start = records.updates_of(table).query("iteration == 0")
    assert (start.groupby(["mdp", "instance"], observed=True)["eta_old"].agg(np.ptp) == 0).all()
    assert start["eta_old"].nunique() == 4


def test_a_start_has_the_spread_asked_for():
    mdp = processes()["garnet"]
    for kind in ("mlp", "linear", "tabular"):
        policy = neural._start(mdp, Learner(policy=kind, spread=2.0), 0)
        z = policy(policy.inputs(np.arange(mdp.S))).detach().numpy()
        assert np.std(z, ddof=1) == pytest.approx(2, rel=1e-5)


def test_one_line_for_each_cell_and_figures_of_a_sweep(table):
    summary = neural_truth.summary(table)
    assert len(summary) == 2 * 9
    assert (summary["updates"] == 2 * 2 * 2).all()
    assert summary["violations"].sum() == (table["verdict"] == "violated").sum()
    kept = table[table["claim"].isin(["kl-trpo", "cpo-tv"])].reset_index(drop=True)
    both = gather.combine({"a": kept, "b": kept.assign(delta=0.1)})
    assert list(neural_truth.figures(both)) == ["regions", "improvement", "divergence", "falls", "guarantees"]
    assert len(neural_truth.plot(kept).axes) == 4 * (2 + 2)


def test_trust_region_has_the_neural_agent_beside_the_exact_updates_and_changes_none_of_them():
    mdp = {"garnet": processes()["garnet"]}
    how = {"iterations": 3, "starts": 1, "aggregations": 1, "claims": ["kl-trpo"]}
    alone = trust_region.run(mdp, REGIONS, **how)
    both = trust_region.run(mdp, REGIONS, neural={"starts": 2, "iterations": 2, "policy": "tabular"}, **how)
    exact = both[both["algorithm"] != "neural"].reset_index(drop=True)
    pd.testing.assert_frame_equal(exact, alone, check_categorical=False)
    own = records.updates_of(both[both["algorithm"] == "neural"])
    assert len(own) == 2 * 2 * 2
    assert own["kl_max"][own["region"] == "max_kl"].max() <= 0.05 * (1 + 1e-4)
    assert (own["improvement"] > 0).all()
    summary = trust_region.summary(both)
    assert list(summary["updates"]) == [3, 3, 3, 3, 4, 4]
    assert summary["progress"].notna().all()
    assert len(trust_region.figures(both)["gain"].axes) == 3


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"cells": {"nope": ["fisher"]}}, "unknown sampler 'nope'; expected one of exact, single_path, .*vine"),
        ({"cells": {"exact": ["nope"]}}, "curvature is 'nope'; expected one of 'fisher'"),
        ({"cells": {}}, "cells is empty"),
        ({"region": {}}, "region is empty"),
        ({"mdp": {}}, "mdp is empty"),
        ({"iterations": 0}, "iterations of the neural agent is 0"),
        ({"starts": 0}, "starts of the neural agent is 0"),
        ({"policy": "nope"}, "unknown kind of policy 'nope'"),
        ({"claims": ["nope"]}, "unknown claim 'nope'"),
        ({"mdp": {"b": garnet(3, 2, 2, gamma=0.9, seed=0, batch=(2,))}}, "is a batch"),
        ({"batch": 0, "cells": {"vine": ["fisher"]}}, "paths of a batch is 0; give at least 1"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        neural_truth.run(**{"mdp": processes(), "region": REGIONS, **SMALL, **kwargs})


def test_an_unknown_field_of_the_neural_part_is_named():
    with pytest.raises(TypeError, match="nope"):
        trust_region.run(processes(), REGIONS, iterations=1, neural={"nope": 1})
    with pytest.raises(ValueError, match="tail is 2"):
        Learner(tail=2)
