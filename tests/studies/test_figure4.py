"""The paper's Figure 4: what each method is made of, tables that no interruption or number of processes changes, presets."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from studies import figure4, figure4_methods, gather, outputs, run
from studies.figure4_figures import spread
from studies.figure4_methods import METHODS, VARIANTS, Task, _agent, rows
from studies.figure4_summary import chosen, curves, final, interval, iqm
from studies.figures import save
from studies.runs import tables
from trpo.agent import TRPO
from trpo.baselines import covariance_adaptation, play
from trpo.environments import vector_env
from trpo.neural import LineSearch, StepOptions
from trpo.policies import make_policy
from trpo.region import Region
from trpo.samplers.single_path import SinglePath
from trpo.samplers.vine import Vine

ROOT = Path(__file__).resolve().parents[2]
ENV = {"id": "CartPole-v1"}
LINEAR = {"kind": "linear"}
LEARNER = {"gamma": 0.99, "estimator": "monte_carlo"}
SMALL = {
    "options": {"fraction": 0.5, "damping": 0.01},
    "vine": {"states": 3, "rollouts": 2, "length": 5, "paths": 2, "q": "uniform"},
    "searches": {"episodes": 2, "CEM": {"elite": 0.5}, "CMA": {"std": 0.7}},
    "rwr": {"temperature": 0.5},
    "iterations": 3,
    "paths": 4,
    "horizon": 30,
    "copies": 2,
}
TASK = Task("cartpole", ENV, LINEAR, LEARNER, **SMALL)


def run_small(**changes):
    return figure4.run(ENV, LINEAR, LEARNER, **{**SMALL, "step_sizes": [0.5, 1.5], "seeds": 2, "workers": 1, **changes})


@pytest.fixture(scope="module")
def table():
    return run_small(scale="a tenth")


def test_the_table_has_a_row_for_each_iteration_of_each_run(table):
    assert tuple(table.columns) == figure4.COLUMNS
    assert list(dict.fromkeys(table["method"])) == list(METHODS)
    sized = table["method"] == "natural gradient"
    assert set(table["step"][sized]) == {0.5, 1.5}
    assert table["step"][~sized].isna().all()
    for _, own in table.groupby(["method", "step", "seed"], observed=True, dropna=False):
        assert own["iteration"].tolist() == [1, 2, 3]
        assert (own["steps"].diff().dropna() > 0).all()
    counted = table.groupby("method", observed=True)["steps"].max()
    for method in ("single path", "natural gradient", "max KL", "empirical FIM", "RWR"):
        assert 3 * 4 * 30 - 60 <= counted[method] <= 3 * 4 * 30  # less what only began an episode
    assert (table["scale"] == "a tenth").all()
    relative = table["method"].isin(VARIANTS)
    assert table["kl_max"].notna().equals(relative)
    assert (table["kl_max"] >= table["kl_mean"])[relative].all()
    assert table["kl_mean"].notna().equals(relative | (table["method"] == "RWR"))


def test_a_row_is_what_the_agent_reports(table):
    """Max KL by hand."""
    env = vector_env("CartPole-v1", 2, max_episode_steps=30)
    sampler = SinglePath(env, steps=120, horizon=30, gamma=0.99, estimator="monte_carlo", seed=1)
    options = StepOptions(fraction=0.5, damping=0.01)
    agent = TRPO(
        env, policy="linear", region=Region("kl", "max", 0.01), sampler=sampler, options=options, value_iterations=0, seed=1
    )
    agent.learn(updates=3)
    assert agent.value is None
    own = table[(table["method"] == "max KL") & (table["seed"] == 1)]
    for name in ("steps", "return_mean"):
        assert own[name].tolist() == [getattr(i, name) for i in agent.history]
    for name in ("kl_mean", "kl_max"):
        assert own[name].tolist() == [getattr(i.step, name) for i in agent.history]


def test_the_variants_are_what_the_paper_compares():
    agents = {name: _agent(TASK, variant, 0.5, 0) for name, variant in VARIANTS.items()}
    single = agents["single path"]
    assert (single.region, single.options.curvature) == (Region("kl", "mean", 0.01), "fisher")
    assert (single.options.fraction, single.options.line_search) == (0.5, LineSearch())
    assert agents["vine"].region == single.region
    assert agents["vine"].options.fraction == 1
    sampler = agents["vine"].sampler
    assert isinstance(sampler, Vine)
    assert (sampler.q, sampler.rollouts, sampler.self_normalised) == ("uniform", 2, True)
    assert (sampler.rolls.length, sampler.rolls.common, sampler.plan.count, sampler.plan.horizon) == (5, True, 3, 30)
    gradient = agents["natural gradient"]
    assert (gradient.region.free, gradient.options.step_size, gradient.options.line_search) == (True, 0.5, None)
    assert agents["max KL"].region == Region("kl", "max", 0.01)
    assert agents["max KL"].options == single.options
    assert agents["empirical FIM"].options == replace(single.options, curvature="empirical")
    assert agents["empirical FIM"].region == single.region
    for agent in agents.values():
        assert agent.value is None


def test_all_methods_begin_with_the_same_policy():
    """Means of many episodes: the first row of searches and of single paths is the return of the policy that all start from."""
    task = replace(TASK, iterations=1, paths=200, copies=200, horizon=100, searches={"episodes": 400, "population": 2})
    env = vector_env("CartPole-v1", 40, max_episode_steps=100)
    first = make_policy(env.single_observation_space, env.single_action_space, "linear", seed=5)
    played = play(first, env, 800, seed=0).returns
    for method in ("single path", "RWR", "CEM", "CMA"):
        (row,) = rows(task, method, np.nan, 5)
        assert row["return_mean"] == pytest.approx(played.mean(), abs=2.5), method


@pytest.mark.parametrize("method", METHODS)
def test_a_longer_run_begins_as_a_shorter_one(method):
    short, long = (rows(replace(TASK, iterations=n), method, 1.0, 1) for n in (2, 4))
    pd.testing.assert_frame_equal(pd.DataFrame(long[:2]), pd.DataFrame(short), check_exact=True)


@pytest.mark.parametrize("method", ["CEM", "CMA"])
def test_a_search_plays_as_many_steps_as_the_others_where_episodes_let_it(method):
    task = replace(TASK, iterations=6, paths=6, copies=6, horizon=200, searches={"episodes": 1, "CEM": {"elite": 0.5}})
    steps = np.diff([0.0, *(row["steps"] for row in rows(task, method, np.nan, 0))])
    assert steps[0] < 0.3 * 1200  # an episode each
    assert 0.5 * 1200 < np.median(steps[1:]) < 2 * 1200


def test_the_answer_of_a_search_that_ended_stays(monkeypatch):
    def short(*given, **arguments):
        search = covariance_adaptation(*given, **arguments)
        yield next(search)

    monkeypatch.setitem(figure4_methods.SEARCHES, "CMA", short)
    found = rows(replace(TASK, iterations=4), "CMA", np.nan, 0)
    assert [row["iteration"] for row in found] == [1, 2, 3, 4]
    assert len({row["steps"] for row in found}) == 1


def test_regression_is_not_a_step_of_trpo():
    """It follows the batch as far as it says: its KL is not the region's."""
    found = rows(replace(TASK, rwr={"temperature": 0.1}), "RWR", np.nan, 0)
    assert max(row["kl_mean"] for row in found) > 0.02


def test_values_and_moments_are_learned_where_asked_for():
    learner = {"gamma": 0.9, "estimator": "gae", "lam": 0.8, "value_iterations": 2, "value_damping": 0.5}
    task = replace(TASK, env={**ENV, "normalise_observations": True, "normalise_rewards": True}, learner=learner)
    agent = _agent(task, VARIANTS["single path"], 1.0, 0)
    assert agent.value is not None
    assert (agent.value_iterations, agent.value_damping) == (2, 0.5)
    assert (agent.sampler.lam, agent.sampler.gamma) == (0.8, 0.9)
    assert agent.sampler.reward_scale is not None
    assert agent.policy.normaliser is not None
    assert len(rows(task, "RWR", 1.0, 0)) == 3


def test_any_number_of_processes_makes_the_same_table(table, tmp_path):
    parallel = run_small(scale="a tenth", workers=2, checkpoints=tmp_path)
    pd.testing.assert_frame_equal(parallel, table, check_exact=True)
    assert len(list(tmp_path.glob("*.parquet"))) == len(list(tmp_path.iterdir())) == 18
    again = run_small(scale="a tenth", workers=2, checkpoints=tmp_path)  # read from the files
    pd.testing.assert_frame_equal(again, table, check_exact=True)


SCRIPT = """
import os, signal, sys
sys.path[:0] = {path!r}
from test_figure4 import run_small
from trpo.agent import TRPO
update = TRPO.update
def fatal(self):
    fatal.count += 1
    if fatal.count == 3 * 40 + 25:  # in the middle of a run, after some have ended
        os.kill(os.getpid(), signal.SIGKILL)
    return update(self)
fatal.count = 0
TRPO.update = fatal
run_small(iterations=40, methods={methods!r}, checkpoints={folder!r})
"""


def test_a_study_that_is_killed_ends_with_the_table_it_would_have_had(tmp_path, monkeypatch):
    methods = ["single path", "vine", "CMA"]
    script = SCRIPT.format(path=[str(ROOT), str(Path(__file__).parent)], methods=methods, folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list(tmp_path.glob("*.parquet"))) == 5
    (half,) = tmp_path.glob("*.pt")
    assert half.name.startswith("vine-nan-1-")
    done, updates = [], []
    original = TRPO.update
    monkeypatch.setattr(TRPO, "update", lambda self: updates.append(self) or original(self))
    monkeypatch.setattr(figure4_methods, "_search", lambda *given: done.append(given))
    resumed = run_small(iterations=40, methods=methods, checkpoints=tmp_path)
    assert not done
    assert len(updates) == 20  # from the file of its 20th update
    monkeypatch.undo()
    whole = run_small(iterations=40, methods=methods)
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)
    assert not list(tmp_path.glob("*.pt"))


def test_files_of_another_configuration_are_left_alone(tmp_path):
    short = {"methods": ["single path"], "seeds": 1, "iterations": 2}
    run_small(**short, checkpoints=tmp_path)
    for change in ({"delta": 0.1}, {"options": {"damping": 1.0}}, {"horizon": 20}):
        pd.testing.assert_frame_equal(
            run_small(**short, **change, checkpoints=tmp_path), run_small(**short, **change), check_exact=True
        )
    assert len(list(tmp_path.iterdir())) == 4


def test_a_change_for_one_method_leaves_the_others_files(tmp_path):
    small = {"methods": ["single path", "vine", "CMA"], "seeds": 1, "iterations": 1}
    run_small(**small, checkpoints=tmp_path)
    run_small(**small, vine={**SMALL["vine"], "states": 4}, checkpoints=tmp_path)
    run_small(**small, searches={**SMALL["searches"], "CEM": {"elite": 0.9}}, checkpoints=tmp_path)
    assert sorted(path.name.split("-nan")[0] for path in tmp_path.iterdir()) == ["CMA", "single-path", "vine", "vine"]


def sleeper(file):
    file.with_suffix(f".{os.getpid()}").touch()
    time.sleep(300)


ORPHANS = """
import sys
from itertools import pairwise
from pathlib import Path
sys.path[:0] = {path!r}
from studies.runs import tables
from test_figure4 import sleeper
if __name__ == "__main__":
    tables({{"a": sleeper, "b": sleeper}}, Path({folder!r}), 2)
"""


def test_processes_end_with_the_one_that_spawned_them(tmp_path):
    place = tmp_path / "kept"
    (tmp_path / "main.py").write_text(ORPHANS.format(path=[str(ROOT), str(Path(__file__).parent)], folder=str(place)))
    parent = subprocess.Popen([sys.executable, str(tmp_path / "main.py")])
    until = time.monotonic() + 200
    while len(list(place.glob("[ab].[0-9]*"))) < 2 and time.monotonic() < until and parent.poll() is None:
        time.sleep(0.1)
    children = [int(path.suffix[1:]) for path in place.glob("[ab].[0-9]*")]
    parent.kill()
    parent.wait()
    assert len(children) == 2
    while any(map(alive, children)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(alive, children))


def alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def fails(file):
    raise ValueError("this run fails")


def counts(file):
    return pd.DataFrame({"x": [1.0]})


def test_tables_come_in_the_order_of_their_runs(tmp_path):
    tables({"b": counts}, tmp_path, 1)
    assert list(tables({"a": counts, "b": fails, "c": counts}, tmp_path, 1)) == ["a", "b", "c"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_fails_ends_the_study_and_says_why(workers):
    with pytest.raises(ValueError, match="this run fails"):
        tables({"a": fails, "b": fails}, None, workers)


def invented(returns, method="single path", step=np.nan, seed=0, task="t"):
    count = len(returns)
    return pd.DataFrame(
        {
            "study": "figure4", "task": task, "env": "e", "method": method, "step": step, "seed": seed,
            "iteration": range(1, count + 1), "steps": 10 * np.arange(1, count + 1), "return_mean": returns,
            "kl_mean": 0.0, "kl_max": 0.0, "scale": "",
        }
    )  # fmt: skip


def test_the_summary_is_the_interquartile_mean_over_seeds():
    ends = [0.0, 10.0, 20.0, 60.0, 90.0]
    parts = [invented([1.0] * 18 + [end, end + 2], seed=s) for s, end in enumerate(ends)]
    said = figure4.summary(pd.concat(parts)).iloc[0]
    assert said["final"] == pytest.approx((10 + 20 + 60) / 3 + 1)  # the last tenth is two iterations; the middle three seeds
    assert said["area"] == pytest.approx((18 + 2 * said["final"]) / 20)
    assert (said["steps"], said["seeds"]) == (200, 5)
    assert said["each"] == "1 11 21 61 91"
    values = np.array(ends)
    draws = np.random.default_rng(3).choice(values, size=(20000, 5))
    means = np.sort(draws, axis=1)[:, 1:4].mean(1)
    low, high = interval(values)
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=4)
    assert (said["final_low"], said["final_high"]) == pytest.approx((low + 1, high + 1))
    assert np.isnan(interval(values[:1])[0])
    assert iqm(values) == 30


def test_the_natural_gradient_is_shown_at_its_best_step():
    """By the mean of final returns, not by their interquartile mean or the best iteration."""
    parts = [invented([5.0, 6.0])]
    for step, ends in ((0.1, [0, 0, 0, 0, 1]), (1.0, [0, 4, 4, 4, 20]), (10.0, [5, 5, 5, 5, 5])):
        parts += [invented([200.0 - 30 * step, end], "natural gradient", step, seed) for seed, end in enumerate(ends)]
    table = pd.concat(parts, ignore_index=True)
    said = figure4.summary(table).set_index("method")
    assert said.loc["natural gradient", "step"] == 1.0
    assert set(chosen(table)["step"].dropna()) == {1.0}
    assert len(chosen(table)) == 2 + 10


def test_where_no_episode_ended_the_return_before_stands():
    two = pd.concat([invented([np.nan, 2.0, np.nan, 4.0]), invented([1.0, 2.0, 3.0], seed=1)])
    assert curves(two).tolist() == [[2, 2, 2], [1, 2, 3]]
    assert final(np.arange(40.0).reshape(2, 20)).tolist() == [18.5, 38.5]


def test_labels_are_spread_and_keep_their_order():
    rng = np.random.default_rng(0)
    for count in (1, 2, 8):
        for _ in range(50):
            heights = rng.random(count) ** 3
            moved = spread(heights, 0.1)
            assert (np.diff(np.sort(moved)) > 0.1 - 1e-9).all()
            assert (np.argsort(moved) == np.argsort(heights)).all()
            assert moved.min() > -1e-9
            assert moved.max() < 1 + 1e-9
    np.testing.assert_allclose(spread(np.array([0.9, 0.2, 0.5]), 0.1), [0.9, 0.2, 0.5])
    np.testing.assert_allclose(spread(np.array([0.52, 0.5]), 0.1), [0.56, 0.46])


def test_the_tables_of_several_tasks_are_several_panels(table, tmp_path):
    other = table.assign(task="another", scale="").astype({"task": "category", "scale": "category"})
    other.attrs = table.attrs = {"study": "figure4"}
    combined = gather.combine({"a": table, "b": other})
    figures = figure4.figures(combined)
    assert {name: len(figure.axes) for name, figure in figures.items()} == {
        "returns": 2, "returns_by_steps": 2, "step_sizes": 2,
    }  # fmt: skip
    assert "a tenth" in figures["returns"].axes[0].get_title()
    assert "the paper’s sizes" in figures["returns"].axes[1].get_title()
    said = figure4.summary(combined)
    assert said["task"].tolist() == ["cartpole"] * 8 + ["another"] * 8
    assert said["final"].tolist()[:8] == said["final"].tolist()[8:] == figure4.summary(table)["final"].tolist()


def test_figures_name_every_method_and_have_the_same_bytes_each_time(table, tmp_path):
    drawn = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        figures = figure4.figures(table)
        drawn.append([path.read_bytes() for stem in figures for path in save(figures[stem], tmp_path / str(number) / stem)])
    assert drawn[0] == drawn[1]
    best = figure4.summary(table).set_index("method").loc["natural gradient", "step"]
    named = [text.get_text() for text in figures["returns"].axes[0].texts]
    assert named == [name if name != "natural gradient" else f"{name}, {best:g}" for name in METHODS]
    alone = figure4.figures(table[table["method"] == "CEM"])
    assert list(alone) == ["returns", "returns_by_steps"]


PAPER = {  # Table 2 and Figure 4: hidden units, parameters of vine, single paths, iterations
    "figure4_swimmer_paper": (30, (50, 4, 500, 16), (50, 1000)),
    "figure4_hopper_paper": (50, (100, 4, 2500, 16), (1000, 1000)),
    "figure4_walker_paper": (50, (100, 4, 2500, 16), (10000, 1000)),
}
PRESETS = sorted(path.stem for path in (ROOT / "conf/experiment").glob("figure4_*.yaml"))


def configured(*overrides):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", list(overrides))


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_presets_have_the_papers_numbers(name):
    hidden, (length, rollouts, values, paths), single = PAPER[name]
    study = configured(f"experiment={name}").study
    assert list(study.policy.hidden) == [hidden]
    vine = study.vine
    assert (vine.length, vine.rollouts, vine.states * vine.rollouts, vine.paths) == (length, rollouts, values, paths)
    assert (study.paths, study.horizon) == single
    assert (study.delta, study.learner.gamma, study.learner.estimator) == (0.01, 0.99, "monte_carlo")
    assert (study.learner.value_iterations, study.options.fraction, study.iterations) == (0, 0.1, 200)
    assert (vine.q, study.scale) == ("policy", "")


def test_the_atari_preset_has_the_papers_numbers():
    study = configured("experiment=figure4_atari").study
    assert study.policy.kind == "conv"
    assert study.paths * study.horizon == 100_000
    vine = study.vine
    assert 350_000 <= vine.paths * study.horizon + vine.states * vine.rollouts * vine.length <= 450_000
    assert (vine.q, study.iterations, study.options.fraction) == ("uniform", 500, 0.1)


def test_scaled_presets_say_their_scale():
    for name in PRESETS:
        study = configured(f"experiment={name}").study
        assert bool(study.scale) != name.endswith("_paper"), name
        assert {"single path", "vine", "natural gradient", "max KL", "CEM", "RWR"} <= set(study.methods) or "atari" in name
        steps = list(study.step_sizes)
        assert all(2.9 < b / a < 3.4 for a, b in pairwise(steps)), name


TINY = ["study.iterations=1", "study.seeds=1", "study.workers=1", "study.paths=1", "study.copies=1", "study.horizon=12"]
TINY += [
    "study.vine.states=2",
    "study.vine.paths=1",
    "study.vine.length=3",
    "study.step_sizes=[1.0]",
    "study.searches.episodes=1",
]
TINY += ["study.searches.population=2"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs(name, tmp_path):
    needed = "ale_py" if "atari" in name else None if "cartpole" in name else "mujoco"
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"needs {needed}")
    overrides = [f"experiment={name}", *TINY]
    table = outputs.read_table(run.compute(configured(*overrides), tmp_path, overrides))
    assert list(dict.fromkeys(table["method"])) == list(configured(*overrides).study.methods)
    assert (table["iteration"] == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ["TRPO"]}, "unknown method 'TRPO'; expected some of single path"),
        ({"methods": []}, r"methods \[\]"),
        ({"seeds": 0}, "seeds 0"),
        ({"step_sizes": []}, r"step_sizes \[\]"),
        ({"iterations": 0}, "iterations is 0"),
        ({"copies": 3}, "paths is 4 and copies 3; give copies that divide the paths"),
        ({"workers": 0}, "workers is 0; give at least 1, or null"),
        ({"methods": ["vine"], "vine": {"q": "al"}}, "q is 'al'"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        run_small(**change)


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match="unknown method 'TRPO'"):
        rows(TASK, "TRPO", 1.0, 0)
