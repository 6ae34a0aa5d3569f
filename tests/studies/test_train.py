"""Training runs: their table, what is said of it, and that a killed one ends with the table it would have had."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from mdps.families import riverswim
from studies import outputs, run, train
from studies.figures import save
from studies.train_figures import _curves
from studies.train_summary import interval, recent
from trpo.agent import TRPO
from trpo.environments import vector_env
from trpo.penalty import Penalty
from trpo.region import Region

ROOT = Path(__file__).resolve().parents[2]
CARTPOLE = {"id": "CartPole-v1", "num_envs": 4, "normalise_observations": False, "normalise_rewards": False}
POLICY = {"kind": "mlp", "hidden": [8], "activation": "tanh", "std": "free", "init_log_std": 0.0}
LEARNER = {"gamma": 0.99, "lam": 0.95, "steps_per_update": 128}
MEAN = {"mean_kl": Region("kl", "mean", 0.01)}
RIVER = {"river": riverswim("osband-2013", gamma=0.9)}


@pytest.fixture(scope="module")
def table():
    regions = {**MEAN, "max_kl": Region("kl", "max", 0.02)}
    return train.run(CARTPOLE, POLICY, regions, LEARNER, seed=3, seeds=2, steps=700)


def test_a_row_is_what_the_agent_reports(table):
    assert list(table.columns[:9]) == [
        "study", "env", "region", "delta", "seed", "printed", "iteration", "steps", "episodes",
    ]  # fmt: skip
    agent = TRPO(vector_env("CartPole-v1", 4), region=Region("kl", "max", 0.02), seed=4, hidden=[8], **LEARNER).learn(700)
    own = table[(table["region"] == "max_kl") & (table["seed"] == 4)].reset_index(drop=True)
    expected = pd.DataFrame([iteration.row() for iteration in agent.history])
    pd.testing.assert_frame_equal(own[expected.columns], expected.astype({"reason": own["reason"].dtype}), check_exact=True)
    assert (own["delta"] == 0.02).all()
    assert table["printed"].isna().all()
    assert table.groupby("seed")["steps"].max().between(700, 830).all()


def test_the_summary_has_one_row_for_each_region(table):
    said = train.summary(table).set_index("region")
    assert list(said.index) == ["mean_kl", "max_kl"]
    for region, row in said.iterrows():
        own = table[table["region"] == region]
        ends = own.groupby("seed")["return_last"].last()
        assert row["return"] == pytest.approx(ends.mean())
        assert row["worst"] == ends.min()
        assert row["low"] <= row["return"] <= row["high"]
        assert (row["updates"], row["rejected"]) == (len(own), (~own["accepted"]).sum())
        assert row["each"] == " ".join(f"{value:.0f}" for value in ends)
    assert "printed" not in said


def invented(returns, episodes, printed, seed=0):
    """A table of one run with these returns of updates and episodes so far."""
    done = np.array(episodes)
    return pd.DataFrame(
        {
            "study": "train", "env": "e", "region": "r", "delta": 0.1, "seed": seed, "printed": printed,
            "iteration": range(len(done)), "steps": 10 * done, "episodes": done, "return_mean": returns, "return_last": returns,
            "accepted": [True] * (len(done) - 1) + [False], "backtracks": 0, "kl_mean": 0.1, "kl_max": 0.1,
        }
    )  # fmt: skip


def test_printed_returns_are_compared_with_the_last_ten_episodes():
    nan = np.nan
    one = invented([1.0, 2.0, nan, 4.0, 8.0], [5, 10, 10, 15, 20], [nan, 7.0, nan, nan, 9.0])
    assert recent(one)["return"].tolist() == [1.5, 6.0]
    uneven = invented([1.0, 2.0, 4.0], [4, 8, 18], [nan, nan, 9.0])
    assert recent(uneven)["return"].tolist() == [4.0]
    weighed = invented([1.0, 6.0], [8, 10], [nan, 9.0])
    assert recent(weighed)["return"].tolist() == [2.0]
    two = invented([3.0, 4.0, nan, 0.0, 0.0], [5, 10, 10, 15, 20], [nan, 7.0, nan, nan, 9.0], seed=1)
    said = train.summary(pd.concat([one, two], ignore_index=True))
    assert said["printed"].tolist()[:2] == [7.0, 9.0]
    assert said["over"].tolist() == [10, 10, 100]
    assert said["return"].tolist() == [(1.5 + 3.5) / 2, 3.0, 4.0]
    assert said["worst"].tolist() == [1.5, 0.0, 0.0]
    assert said["updates"].tolist() == [4, 10, 10]
    assert said["rejected"].tolist() == [0, 2, 2]


def test_printed_returns_stand_at_equal_parts_of_the_episodes():
    table = train.run(
        CARTPOLE, POLICY, MEAN, {"episodes_per_update": 4}, seeds=1, steps=None, episodes=24, printed=[1.0, 2.0, 3.0]
    )
    marked = table.dropna(subset="printed")
    assert marked["episodes"].tolist() == [8, 16, 24]
    assert marked["printed"].tolist() == [1.0, 2.0, 3.0]
    assert set(train.figures(table)) == {"returns", "steps"}


def test_an_interval_is_the_percentiles_of_means_of_resampled_seeds():
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    rng = np.random.default_rng(1)
    means = rng.choice(values, size=(20000, 5)).mean(1)
    low, high = interval(values)
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.5)
    assert np.isnan(interval(values[:1])[0])
    np.testing.assert_array_equal(interval(np.full((5, 3), 7.0)), 7)


def test_curves_are_means_over_equal_parts():
    one, two = invented([1.0, np.nan, 3.0], [20, 20, 100], np.nan), invented([5.0, 7.0], [50, 100], np.nan, seed=1)
    at, curves = _curves(pd.concat([one, two]), "episodes")
    assert (at[0], at[-1], len(at)) == (50, 100, 26)  # from where both seeds have ended an episode
    assert curves[:, 0].tolist() == [1 + 2 * 30 / 80, 5.0]
    assert curves[:, -1].tolist() == [3.0, 7.0]


@pytest.mark.parametrize("others", [0, 2])
def test_a_run_in_which_no_episode_ended_is_drawn_without_a_curve(others):
    runs = [invented([np.nan] * 2, [0, 0], np.nan).assign(steps=[10, 20])]
    runs += [invented([1.0, 2.0], [5, 9], np.nan, seed=1 + k) for k in range(others)]
    table = pd.concat(runs)
    assert len(_curves(table, "steps")[0]) == 0
    assert set(train.figures(table)) == {"returns", "steps"}
    assert len(train.summary(table)) == 1


def test_figures_have_the_same_bytes_each_time(table, tmp_path):
    drawn = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        for stem, figure in train.figures(table).items():
            drawn.append([path.read_bytes() for path in save(figure, tmp_path / str(number) / stem)])
    assert drawn[:2] == drawn[2:]


def test_one_mdp_is_an_environment_too():
    env = {"id": RIVER, "num_envs": 2, "max_episode_steps": 7}
    table = train.run(env, {"kind": "tabular"}, MEAN, {"steps_per_update": 40}, seeds=1, steps=80)
    assert set(table["env"]) == {"river, 7 steps"}
    assert (table["length_mean"] == 7).all()


WORLDS = {
    "cartpole": (CARTPOLE, POLICY),
    "tabular": ({"id": RIVER, "num_envs": 3, "max_episode_steps": 9}, {"kind": "tabular"}),
    "hopper": (
        {"id": "Hopper-v5", "num_envs": 2, "normalise_observations": True, "normalise_rewards": True},
        {**POLICY, "std": "state"},
    ),
}
SCRIPT = """
import os, signal, sys
sys.path[:0] = {path!r}
from test_train import LEARNER, MEAN, WORLDS
from studies import train
from trpo.samplers.single_path import SinglePath
collect = SinglePath.collect
def fatal(self, policy, value):
    agents = fatal.batches.setdefault(id(self), []), len(fatal.batches)
    agents[0].append(self)
    if agents[1] == 2 and len(agents[0]) == 15:  # in the middle of the second seed
        os.kill(os.getpid(), signal.SIGKILL)
    return collect(self, policy, value)
fatal.batches = {{}}
SinglePath.collect = fatal
train.run(*WORLDS[{world!r}], MEAN, LEARNER, seeds=2, steps={steps}, checkpoints={folder!r})
"""


@pytest.mark.parametrize("world", WORLDS)
def test_a_run_that_is_killed_ends_with_the_table_it_would_have_had(world, tmp_path, caplog):
    if world == "hopper" and importlib.util.find_spec("mujoco") is None:
        pytest.skip("needs mujoco")
    steps = 3000
    script = SCRIPT.format(path=[str(ROOT), str(Path(__file__).parent)], world=world, steps=steps, folder=str(tmp_path))
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    env, policy = WORLDS[world]
    (saved,) = tmp_path.glob("mean_kl-1-*.pt")
    assert len(TRPO.load(saved, train.make_world(env)[1]).history) == 10  # four updates are lost
    caplog.set_level("INFO", logger="studies")
    resumed = train.run(env, policy, MEAN, LEARNER, seeds=2, steps=steps, checkpoints=tmp_path)
    assert [seed for seed in (0, 1) if f"seed {seed}: continues after" in caplog.text] == [0, 1]
    whole = train.run(env, policy, MEAN, LEARNER, seeds=2, steps=steps)
    pd.testing.assert_frame_equal(resumed, whole, check_exact=True)


def test_a_folder_of_files_is_not_taken_for_another_configuration(tmp_path):
    """Whatever an agent is made of tells its file; the end of a run does not, so that a longer one goes on from a shorter."""

    def rows(env=CARTPOLE, policy=POLICY, region=MEAN, learner=LEARNER, options=None, steps=300, folder=tmp_path):
        return train.run(env, policy, region, learner, options, seeds=1, steps=steps, checkpoints=folder)

    first = rows()
    for change in (
        {"env": {**CARTPOLE, "max_episode_steps": 9}},
        {"policy": {**POLICY, "hidden": [9]}},
        {"region": {"mean_kl": Region("kl", "mean", 0.02)}},
        {"learner": {**LEARNER, "lam": 0.5}},
        {"options": {"damping": 0.2}},
    ):
        pd.testing.assert_frame_equal(rows(**change), rows(**change, folder=None), check_exact=True)
    assert len(list(tmp_path.iterdir())) == 6
    pd.testing.assert_frame_equal(rows(policy=dict(reversed(POLICY.items()))), first, check_exact=True)
    pd.testing.assert_frame_equal(rows(steps=600), rows(steps=600, folder=None), check_exact=True)
    assert len(list(tmp_path.iterdir())) == 6


def test_files_tell_processes_apart():
    same, other = riverswim("osband-2013", gamma=0.9), riverswim("osband-2013", gamma=0.8)
    assert train._text(RIVER) == train._text({"river": same}) != train._text({"river": other})
    assert train._text([1, (2.0, "a")]) == train._text((1, [2.0, "a"])) != train._text([1, 2.0, "a"])


COMMAND = ["study=train", "study.seeds=2", "study.steps=12000", "study.learner.steps_per_update=256", "env.num_envs=4"]


def test_the_command_goes_on_where_it_was_killed_and_clears_up(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "PYTHONPATH")}
    typed = [sys.executable, str(ROOT / "studies/run.py"), *COMMAND]
    killed = subprocess.Popen(typed, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("results/.checkpoints/*/mean_kl-1-*.pt")) and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not list(tmp_path.rglob("table.parquet"))
    done = subprocess.run(typed, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mean_kl, seed 1: continues after" in done.stderr
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["train"]
    (path,) = tmp_path.rglob("table.parquet")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", [*COMMAND, f"results={tmp_path / 'other'}"])
    (tmp_path / "whole").mkdir()
    whole = outputs.read_table(run.compute(config, tmp_path / "whole", COMMAND))
    pd.testing.assert_frame_equal(outputs.read_table(path), whole, check_exact=True)
    assert not (tmp_path / "other/.checkpoints").exists()


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf/experiment").glob("note_*.yaml")))
def test_the_notes_presets_keep_what_the_notebook_ran(name, tmp_path):
    short = [f"experiment={name}", "study.episodes=20", "study.seeds=1"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        whole, config = compose("config", short[:1]), compose("config", short)
    gamma, lam, episodes = {"note_cartpole": (0.98, 0.95, 500), "note_pendulum": (0.9, 0.9, 2000)}[name]
    study = whole.study
    assert (study.learner.gamma, study.learner.lam, study.episodes) == (gamma, lam, episodes)
    assert (list(whole.policy.hidden), whole.policy.activation, study.seeds, len(study.printed)) == ([128], "relu", 5, 10)
    assert 10 % study.learner.episodes_per_update == 0  # so that the last ten episodes are whole updates
    assert config.study.learner == study.learner
    table = outputs.read_table(run.compute(config, tmp_path, short))
    assert table["episodes"].max() == 20
    assert table["length_mean"].max() <= 200
    assert len(train.summary(table)) >= 3


def test_a_penalty_is_trained_beside_a_region(tmp_path):
    """It adapts toward the region's radius, which is its delta in the table, in the summary and in the figures."""
    short = ["experiment=penalty", "delta=0.02", "study.seeds=1", "study.steps=3000", "study.learner.steps_per_update=256"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", short)
    table = outputs.read_table(run.compute(config, tmp_path, short))
    assert set(table["region"]) == {"mean_kl", "penalty"}
    assert (table["delta"] == 0.02).all()
    own = table[table["region"] == "penalty"]
    assert own["coefficient"].iloc[0] == 1.0
    assert own["coefficient"].min() < own["coefficient"].max()
    assert table[table["region"] == "mean_kl"]["coefficient"].isna().all()
    assert train.summary(table)["region"].tolist() == ["mean_kl", "penalty"]
    assert len(train.figures(table)["steps"].axes) == 4


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf/env").glob("*.yaml")))
def test_every_environment_of_the_configuration_can_be_made(name):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", ["study=train", f"env={name}", "mdp=[riverswim]"])
    env = instantiate(config.env, _convert_="all")
    if env["id"] in ("Hopper-v5", "Swimmer-v5", "Walker2d-v5"):
        pytest.importorskip("mujoco")
    if str(env["id"]).startswith("trpo.atari:"):
        pytest.importorskip("ale_py")
    _, made = train.make_world(env)
    assert made.num_envs == env["num_envs"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region": {}}, "region is empty"),
        ({"region": {**MEAN, "fixed": Penalty(1.0)}}, "region fixed is a penalty without a target; give the KL it aims at"),
        ({"seeds": 0}, "seeds is 0"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": None}, "both null"),
        ({"printed": [1.0]}, "printed is given without episodes"),
        ({"env": {"id": {**RIVER, "again": RIVER["river"]}}}, "river, again; give one"),
        ({"env": {"id": 3}}, "env.id is 3"),
        ({"env": {"id": "Nope-v0"}}, "cannot make 'Nope-v0'"),
        ({"policy": {"kind": "tabular"}}, "needs a Discrete observation space"),
        ({"learner": {"gamma": 2}}, "gamma is 2"),
        ({"options": {"fraction": 0}}, "fraction is 0"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        train.run(**{"env": CARTPOLE, "policy": POLICY, "region": MEAN, "seeds": 1, "steps": 10, **change})
