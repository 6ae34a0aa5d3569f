"""The agent from end to end: it learns, reports, stops when told, and goes on from a file as if it had never stopped."""

import math
import sys
from types import ModuleType

import gymnasium
import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from tiny_envs import Broken, Locked, Match, Random, copies

from mdps import MDP, evaluate
from mdps.families import riverswim
from mdps.gym_bridge import TabularEnv
from mdps.optimal import optimal_policy
from trpo.agent import TRPO
from trpo.environments import vector_env
from trpo.neural import StepOptions
from trpo.penalty import Penalty
from trpo.policies import make_policy
from trpo.region import Region
from trpo.samplers.exact import Exact
from trpo.samplers.single_path import SinglePath
from trpo.tables import tabulate

SMALL = {"steps_per_update": 64, "num_envs": 4, "hidden": (8,)}
RIVER = riverswim("osband-2013", gamma=0.95)
MIXED = MDP(np.full((5, 2, 5), 0.2), np.arange(10.0).reshape(5, 2), np.full(5, 0.2), 0.9)
OBSERVATIONS = {
    "box": spaces.Box(-2, 2, (3,)),
    "matrix": spaces.Box(-2, 2, (2, 2)),
    "discrete": spaces.Discrete(4, start=3),
    "multidiscrete": spaces.MultiDiscrete([2, 3], start=[1, 2]),
    "multibinary": spaces.MultiBinary(3),
}
ACTIONS = {
    "discrete": spaces.Discrete(3, start=5),
    "multidiscrete": spaces.MultiDiscrete([2, 3], start=[1, 4]),
    "multibinary": spaces.MultiBinary(2),
    "box": spaces.Box(-0.5, 0.5, (2,)),
    "matrix": spaces.Box(np.array([[-1, 0]], np.float32), np.array([[1, 2]], np.float32)),
    "unbounded": spaces.Box(-np.inf, np.inf, (1,), np.float64),
}


def rows(agent):
    return pd.DataFrame([iteration.row() for iteration in agent.history])


def same(one, two):
    """All rows and all parameters, bit for bit."""
    pd.testing.assert_frame_equal(rows(one), rows(two), check_exact=True)
    for left, right in zip(one.policy.parameters(), two.policy.parameters(), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("actions", ACTIONS)
@pytest.mark.parametrize("observations", OBSERVATIONS)
def test_every_pair_of_spaces_trains_and_predicts(observations, actions):
    space, acts = OBSERVATIONS[observations], ACTIONS[actions]
    agent = TRPO(copies(lambda: Random(space, acts)), steps_per_update=30, hidden=(8,)).learn(updates=2)
    assert len(agent.history) == 2
    shown = [space.sample() for _ in range(5)]
    for deterministic in (False, True):
        assert acts.contains(agent.predict(shown[0], deterministic=deterministic))
        batch = agent.predict(np.stack(shown), deterministic=deterministic)
        assert len(batch) == 5
        assert all(acts.contains(action) for action in batch)
    together = agent.predict(np.stack(shown), deterministic=True)
    alone = [agent.predict(one, deterministic=True) for one in shown]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    assert np.array_equal(agent.predict(shown[0], deterministic=True), alone[0])


def test_images_train_with_convolutions():
    image = spaces.Box(0, 255, (16, 16, 1), np.uint8)
    agent = TRPO(copies(lambda: Random(image, spaces.Discrete(2)), 1), policy="conv", steps_per_update=12).learn(updates=1)
    assert agent.value is not None
    assert agent.predict(image.sample()) in (0, 1)


@pytest.mark.parametrize("normalise", [False, True])
def test_it_learns_what_there_is_to_learn(normalise):
    agent = TRPO(
        copies(Match, 8), hidden=(16,), steps_per_update=400, normalise_observations=normalise, normalise_rewards=normalise
    ).learn(updates=16)
    assert agent.history[0].return_mean < 7  # at random 5 of 10
    assert agent.history[-1].return_mean > 9
    assert agent.predict(np.array([[0.5], [-0.5]], np.float32), deterministic=True).tolist() == [1, 0]
    assert max(i.step.kl_mean for i in agent.history) <= 0.01


def test_exact_updates_on_a_process_come_near_its_optimum():
    agent = TRPO(RIVER, policy="tabular", sampler="exact", region=Region("kl", "mean", 0.05)).learn(updates=100)
    best = optimal_policy(RIVER)[1].eta
    etas = [float(evaluate(RIVER, pi).eta) for pi in (np.full((RIVER.S, RIVER.A), 0.5), tabulate(agent.policy, RIVER))]
    assert etas[0] < 0.2 * best
    assert etas[1] > 0.97 * best
    assert agent.steps == 0
    assert math.isnan(agent.history[-1].return_last)


def test_a_record_counts_steps_and_episodes_and_returns():
    shown = []
    agent = TRPO(copies(Match, 4), steps_per_update=100, hidden=(8,))
    agent.learn(updates=6, callback=shown.append)
    assert [i.iteration for i in agent.history] == list(range(6))
    assert np.diff([0, *(i.steps for i in agent.history)]).tolist() == [u.sample.steps for u in shown]
    assert np.diff([0, *(i.episodes for i in agent.history)]).tolist() == [len(u.sample.returns) for u in shown]
    ended = np.concatenate([u.sample.returns for u in shown])
    assert agent.history[-1].return_last == pytest.approx(ended[-100:].mean())
    assert agent.history[-1].return_mean == pytest.approx(shown[-1].sample.returns.mean())
    row = agent.history[-1].row()
    assert {"iteration", "steps", "return_last", "kl_mean", "kl_max", "reason", "backtracks", "value_explained"} <= set(row)
    assert not any(isinstance(value, dict | tuple | torch.Tensor) for value in row.values())


def test_the_callback_sees_the_policy_before_and_ends_the_run():
    seen = []

    def stop(update):
        seen.append(update)
        assert not torch.equal(update.before, torch.cat([p.detach().reshape(-1) for p in update.agent.policy.parameters()]))
        return len(seen) < 3

    agent = TRPO("CartPole-v1", **SMALL).learn(total_steps=10**6, callback=stop)
    assert len(agent.history) == len(seen) == 3


def test_ends_are_counted_from_birth():
    agent = TRPO("CartPole-v1", **SMALL).learn(200)
    done = len(agent.history)
    assert agent.steps >= 200 > agent.history[-2].steps
    agent.learn(200).learn(updates=done).learn(episodes=agent.history[-1].episodes)
    assert len(agent.history) == done
    assert len(agent.learn(10**9, updates=done + 2).history) == done + 2
    episodes = agent.learn(episodes=60).history
    assert episodes[-1].episodes >= 60 > episodes[-2].episodes


def test_updates_of_whole_episodes():
    agent = TRPO(copies(Match, 3), episodes_per_update=6, hidden=(8,)).learn(updates=3)
    assert [i.episodes for i in agent.history] == [6, 12, 18]
    assert [i.steps for i in agent.history] == [60, 120, 180]


def test_normalisers_and_values_learn_of_a_batch_only_after_the_step_on_it():
    agent = TRPO(copies(Match, 4), steps_per_update=80, hidden=(8,), normalise_observations=True)
    update = agent.update()
    raw = torch.as_tensor(update.sample.observations, dtype=torch.float32)
    assert torch.equal(update.sample.batch.inputs, raw)  # not moved by what it holds itself
    assert float(agent.policy.normaliser.count) == len(raw)
    assert float(agent.policy.normaliser.mean) == pytest.approx(float(raw.mean()), abs=1e-6)
    after = agent.update()
    assert float(agent.policy.normaliser.count) == len(raw) + len(after.sample.observations)
    torch.testing.assert_close(
        after.sample.batch.inputs,
        ((torch.as_tensor(after.sample.observations) - raw.mean()) / raw.std(unbiased=False)).clamp(-10, 10),
    )


def test_an_adaptive_penalty_follows_its_rule():
    agent = TRPO("CartPole-v1", region=Penalty(1.0, target=0.01), **SMALL).learn(updates=6)
    table = rows(agent)
    assert table["accepted"].all()
    for k in range(5):
        kl, factor = table["kl_mean"][k], table["coefficient"][k + 1] / table["coefficient"][k]
        assert factor == (2 if kl > 0.015 else 0.5 if kl < 0.01 / 1.5 else 1)
    assert rows(TRPO("CartPole-v1", **SMALL).learn(updates=1))["coefficient"].isna().all()


def test_a_penalty_stays_as_it_is_where_there_was_no_step():
    still = MDP(MIXED.P, np.zeros((5, 2)), MIXED.rho0, 0.9)
    agent = TRPO(still, policy="tabular", sampler="exact", region=Penalty(0.1, target=0.01)).learn(updates=3)
    assert rows(agent)["reason"].tolist() == ["no gradient"] * 3
    assert rows(agent)["coefficient"].tolist() == [0.1] * 3


def test_the_same_seed_has_the_same_history_and_another_has_not():
    one, two, other = (TRPO("CartPole-v1", seed=seed, **SMALL).learn(updates=3) for seed in (4, 4, 5))
    same(one, two)
    assert not rows(one).equals(rows(other))


def test_predicting_and_watching_change_nothing(tmp_path):
    one, two = (TRPO("CartPole-v1", **SMALL) for _ in range(2))
    one.learn(updates=4)
    two.learn(updates=4, callback=lambda u: u.agent.predict(np.zeros((9, 4), np.float32)), tensorboard=tmp_path / "board")
    same(one, two)
    assert list((tmp_path / "board").glob("events*"))


def test_threads_are_put_back_even_where_training_fails():
    before = torch.get_num_threads()
    seen = []
    TRPO("CartPole-v1", threads=before + 1, **SMALL).learn(updates=1, callback=lambda u: seen.append(torch.get_num_threads()))
    assert seen == [before + 1]
    with pytest.raises(ValueError, match="nan"):
        TRPO(copies(lambda: Broken("reward")), threads=before + 1, steps_per_update=64).learn(updates=1)
    assert torch.get_num_threads() == before


CONTINUED = {
    "cartpole": ("CartPole-v1", {}),
    "linear": ("CartPole-v1", {"policy": "linear"}),
    "cartpole, copies of one": (lambda: gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync"), {}),
    "pendulum, normalised": ("Pendulum-v1", {"normalise_observations": True, "normalise_rewards": True, "std": "state"}),
    "episodes": ("CartPole-v1", {"episodes_per_update": 4, "normalise_rewards": True}),
    "tabular": (MIXED, {"policy": "tabular"}),
    "tabular, cut": (lambda: vector_env(MIXED, 3, max_episode_steps=9), {"policy": "tabular", "discounted": True}),
    "exact": (RIVER, {"policy": "tabular", "sampler": "exact", "steps_per_update": None}),
    "penalty": ("CartPole-v1", {"region": Penalty(1.0, target=0.01)}),
    "max kl, subsampled": ("CartPole-v1", {"region": Region("kl", "max", 0.02), "options": StepOptions(fraction=0.3)}),
}


@pytest.mark.parametrize("case", CONTINUED)
def test_a_loaded_agent_goes_on_as_if_it_had_never_stopped(case, tmp_path):
    env, arguments = CONTINUED[case]

    def made():
        return env() if callable(env) else env

    whole = TRPO(made(), **{**SMALL, **arguments}).learn(updates=6)
    first = TRPO(made(), **{**SMALL, **arguments}).learn(updates=3, checkpoint=tmp_path / "deep/agent.pt")
    first.predict(first.env.single_observation_space.sample())
    again = TRPO.load(tmp_path / "deep/agent.pt", made())
    assert len(again.history) == 3
    same(again.learn(updates=6), whole)
    twice = TRPO.load(tmp_path / "deep/agent.pt", made()).learn(updates=4)
    twice.save(tmp_path / "twice.pt")
    same(TRPO.load(tmp_path / "twice.pt", made()).learn(updates=6), whole)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["agent.pt"]


def test_a_loaded_agent_predicts_in_any_environment_with_its_spaces(tmp_path):
    agent = TRPO("CartPole-v1", normalise_observations=True, **SMALL).learn(updates=2)
    agent.predict(np.zeros((3, 4), np.float32))  # so that its random numbers are not the first
    agent.save(tmp_path / "agent.pt")
    with pytest.warns(UserWarning, match="new episodes begin"):
        other = TRPO.load(tmp_path / "agent.pt", gymnasium.make("CartPole-v1"))
    shown = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    for deterministic in (True, *[False] * 5):
        assert np.array_equal(agent.predict(shown, deterministic), other.predict(shown, deterministic))
    assert len(other.learn(updates=3).history) == 3


def test_environments_that_cannot_be_saved_warn_and_begin_new_episodes(tmp_path):
    agent = TRPO(copies(Locked), steps_per_update=40, hidden=(8,), normalise_rewards=True).learn(updates=2)
    with pytest.warns(UserWarning, match=r"lock.*new episodes"):
        agent.save(tmp_path / "agent.pt")
    with pytest.warns(UserWarning, match="new episodes begin"):
        again = TRPO.load(tmp_path / "agent.pt", copies(Locked))
    assert float(again.sampler.reward_scale.count) == float(agent.sampler.reward_scale.count) > 0
    assert len(again.learn(updates=3).history) == 3


def test_files_that_are_none_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="there is no checkpoint"):
        TRPO.load(tmp_path / "missing.pt", "CartPole-v1")
    path = tmp_path / "agent.pt"
    agent = TRPO("CartPole-v1", **SMALL)
    agent.save(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"not a checkpoint", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged or no checkpoint"):
            TRPO.load(path, "CartPole-v1")
    torch.save({"format": "another"}, path)
    with pytest.raises(ValueError, match="no checkpoint of an agent of this version"):
        TRPO.load(path, "CartPole-v1")
    with monkeypatch.context() as patch:
        former = ModuleType("former")
        former.Options = type("Options", (), {"__module__": "former"})
        patch.setitem(sys.modules, "former", former)
        torch.save({"options": former.Options()}, path)
    with pytest.raises(ValueError, match="saved by another version: No module named 'former'"):
        TRPO.load(path, "CartPole-v1")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write a checkpoint to .*give a folder that can be written"):
        agent.save(tmp_path / "file" / "agent.pt")
    with pytest.raises(OSError, match=r"cannot write a checkpoint to .*: it is a folder; give a file in it"):
        agent.save(tmp_path)


def test_a_save_that_fails_leaves_the_file_before_it(tmp_path, monkeypatch):
    path = tmp_path / "agent.pt"
    agent = TRPO("CartPole-v1", **SMALL)
    agent.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(torch, "save", lambda content, file: file.write(b"half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        agent.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["agent.pt"]


def test_other_spaces_are_refused(tmp_path):
    TRPO("CartPole-v1", **SMALL).save(tmp_path / "agent.pt")
    with pytest.raises(ValueError, match="observation space"):
        TRPO.load(tmp_path / "agent.pt", "Acrobot-v1")
    TRPO(copies(lambda: Random(OBSERVATIONS["box"], ACTIONS["discrete"])), hidden=(8,)).save(tmp_path / "agent.pt")
    with pytest.raises(ValueError, match="action space"):
        TRPO.load(tmp_path / "agent.pt", copies(lambda: Random(OBSERVATIONS["box"], ACTIONS["box"])))


def test_a_sampler_of_ones_own_has_to_be_given_again(tmp_path):
    agent = TRPO(RIVER, policy="tabular", sampler=Exact(RIVER)).learn(updates=2)
    agent.save(tmp_path / "agent.pt")
    with pytest.raises(ValueError, match="give load"):
        TRPO.load(tmp_path / "agent.pt", RIVER)
    again = TRPO.load(tmp_path / "agent.pt", RIVER, sampler=Exact(RIVER))
    same(again.learn(updates=4), agent.learn(updates=4))


def test_a_policy_of_ones_own_is_trained_and_saved(tmp_path):
    space = OBSERVATIONS["box"]
    policy = make_policy(space, spaces.Discrete(2), "linear", dtype=torch.float64)
    agent = TRPO(copies(lambda: Random(space, spaces.Discrete(2))), policy=policy, steps_per_update=30, hidden=(8,))
    before = [p.clone() for p in policy.parameters()]
    agent.learn(updates=1).save(tmp_path / "agent.pt")
    assert not all(torch.equal(p, q) for p, q in zip(before, policy.parameters(), strict=True))
    again = TRPO.load(tmp_path / "agent.pt", copies(lambda: Random(space, spaces.Discrete(2))))
    assert again.predict(space.sample()) in (0, 1)


def test_a_policy_that_does_not_fit_is_refused():
    """A policy for 2 actions would otherwise train where there are 3, and choose among the first 2; one for other states too."""
    box, states = OBSERVATIONS["box"], spaces.Discrete(RIVER.S)
    env = copies(lambda: Random(box, spaces.Discrete(3)))
    for policy in (
        make_policy(box, spaces.Discrete(2)),
        make_policy(box, spaces.MultiBinary(3)),
        make_policy(spaces.Box(-1, 1, (3,)), spaces.Discrete(3)),
    ):
        with pytest.raises(
            ValueError, match=r"the policy observes Box.*; the observation space of env is Box.*action space Disc"
        ):
            TRPO(env, policy=policy)
    with pytest.raises(ValueError, match=r"policy observes Discrete\(7\)"):
        TRPO(RIVER, policy=make_policy(spaces.Discrete(7), spaces.Discrete(2)))
    assert TRPO(RIVER, policy=make_policy(states, spaces.Discrete(2))).learn(updates=1).history
    with pytest.raises(ValueError, match=r"normalise_observations is given together with a policy; make that by make_policy"):
        TRPO(env, policy=make_policy(box, spaces.Discrete(3)), normalise_observations=True)


def test_gamma_is_that_of_the_process():
    assert TRPO(RIVER).sampler.gamma == 0.95
    assert TRPO(TabularEnv(MIXED)).sampler.gamma == 0.9
    assert TRPO(vector_env(RIVER, 2, max_episode_steps=9)).sampler.gamma == 0.95
    assert TRPO(RIVER, gamma=0.5).sampler.gamma == 0.5
    assert TRPO("CartPole-v1").sampler.gamma == 0.99


@pytest.mark.parametrize(("region", "one"), [(Penalty(1.0), False), (Region("kl", "mean", 0.01), True)])
def test_a_penalty_has_advantages_in_units_of_the_return(region, one):
    """Its coefficient is a number in these units; a radius is not, and takes advantages of deviation 1."""
    spread = {}
    for asked in (None, False, True):
        agent = TRPO(copies(Match, 4), region=region, standardise=asked, steps_per_update=200, hidden=(8,))
        spread[asked] = float(agent.update().sample.batch.advantages.square().mean())
    assert spread[True] == pytest.approx(1)
    assert spread[False] != pytest.approx(1, rel=0.1)
    assert spread[None] == spread[one]


def test_wrong_arguments_are_refused_before_anything_moves(tmp_path):
    agent = TRPO("CartPole-v1", **SMALL)
    with pytest.raises(ValueError, match="checkpoint_every is 0"):
        agent.learn(updates=1, checkpoint=tmp_path / "agent.pt", checkpoint_every=0)
    assert not agent.history
    env = copies(Match)
    with pytest.raises(ValueError, match="threads is 0"):
        TRPO(env, threads=0)


@pytest.mark.parametrize("sampler", ["exact", "single_path"])
def test_tensorboard_counts_updates_where_there_are_no_steps(sampler, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    agent = TRPO(RIVER, policy="tabular", sampler=sampler).learn(updates=3, tensorboard=tmp_path)
    board = events.EventAccumulator(str(tmp_path))
    board.Reload()
    expected = [i.iteration if sampler == "exact" else i.steps for i in agent.history]
    assert [event.step for event in board.Scalars("kl_mean")] == expected
    assert len(set(expected)) == 3


def test_global_random_numbers_are_left_alone():
    before = torch.random.get_rng_state()
    TRPO("CartPole-v1", options=StepOptions(fraction=0.5), **SMALL).learn(updates=1).predict(np.zeros(4, np.float32))
    make_policy(spaces.Box(0, 255, (16, 16, 1), np.uint8), spaces.Discrete(2), "conv")
    make_policy(spaces.Discrete(5), spaces.Discrete(2), "tabular")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("id", ["CartPole", "gymnasium:CartPole-v1", "CartPole-v1", "Pendulum", "gymnasium:Pendulum-v1"])
def test_ids_are_those_that_gymnasium_makes(id):
    env = vector_env(id, 2)
    expected = vector_env(f"{id.split(':')[-1].removesuffix('-v1')}-v1", 2)
    assert type(env) is type(expected)
    assert env.single_action_space == expected.single_action_space
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    with pytest.raises(ValueError, match="gymnasium cannot make 'nowhere:Nope-v0': No module named 'nowhere'"):
        vector_env("nowhere:Nope-v0")


def test_a_limit_that_differs_from_the_files_is_told(tmp_path):
    """It would otherwise go on with the file's, silently."""
    for make in (
        lambda limit: vector_env("CartPole-v1", 4, max_episode_steps=limit),
        lambda limit: vector_env(RIVER, 4, max_episode_steps=limit),
    ):
        TRPO(make(9), **SMALL).learn(updates=1).save(tmp_path / "agent.pt")
        with pytest.warns(
            UserWarning, match=r"new episodes begin: the state was saved with max_episode_steps = 9, and .* has 7; make"
        ):
            again = TRPO.load(tmp_path / "agent.pt", make(7))
        assert again.learn(updates=2).history[-1].length_mean <= 7


def test_a_sampler_of_another_kind_is_refused(tmp_path):
    env = vector_env(RIVER, 2)
    TRPO(RIVER, policy="tabular", sampler="exact").learn(updates=1).save(tmp_path / "agent.pt")
    with pytest.raises(ValueError, match=r"had the sampler Exact, and load\(\) was given SinglePath; give one like"):
        TRPO.load(tmp_path / "agent.pt", env, sampler=SinglePath(env))
    TRPO(RIVER, gamma=0.5, num_envs=2).learn(updates=1).save(tmp_path / "agent.pt")
    again = TRPO.load(tmp_path / "agent.pt", env, sampler=SinglePath(env, gamma=0.5))
    assert len(again.learn(updates=2).history) == 2


@pytest.mark.parametrize(
    "make", [lambda: "CartPole-v1", lambda: gymnasium.make("CartPole-v1"), lambda: TabularEnv(RIVER), lambda: RIVER]
)
def test_whatever_is_called_an_environment(make):
    agent = TRPO(make(), num_envs=3, steps_per_update=30, hidden=(8,)).learn(updates=1)
    assert agent.steps >= 24


def test_limits_on_episodes():
    agent = TRPO(vector_env("CartPole-v1", 3, max_episode_steps=5), steps_per_update=60, hidden=(8,)).learn(updates=1)
    assert agent.history[-1].length_mean == 5
    agent = TRPO(vector_env(RIVER, 3, max_episode_steps=4), steps_per_update=60, hidden=(8,)).learn(updates=1)
    assert agent.history[-1].length_mean == 4
    for env in (gymnasium.make("CartPole-v1"), copies(Match)):
        with pytest.raises(ValueError, match="TimeLimit"):
            vector_env(env, max_episode_steps=5)
    with pytest.raises(ValueError, match="max_episode_steps is 0"):
        vector_env("CartPole-v1", max_episode_steps=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="device 'cuda' is not available here"):
        TRPO("CartPole-v1", device="cuda")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TRPO("CartPole-v9"), "cannot make 'CartPole-v9'"),
        (lambda: TRPO(3), "env is 3; expected an id"),
        (lambda: TRPO("CartPole-v1", num_envs=0), "num_envs is 0"),
        (lambda: TRPO("CartPole-v1", num_envs=1.5), "num_envs is 1.5; expected an integer"),
        (lambda: TRPO("CartPole-v1", policy="rnn"), "unknown kind of policy 'rnn'"),
        (lambda: TRPO("CartPole-v1", policy="tabular"), "needs a Discrete observation space"),
        (lambda: TRPO("CartPole-v1", policy="conv"), "needs images"),
        (lambda: TRPO("CartPole-v1", activation="sine"), "unknown activation 'sine'"),
        (lambda: TRPO("Pendulum-v1", std="fixed"), "std is 'fixed'"),
        (lambda: TRPO("CartPole-v1", sampler="vines"), "unknown sampler 'vines'"),
        (lambda: TRPO("CartPole-v1", sampler="exact"), "needs an MDP"),
        (lambda: TRPO("CartPole-v1", gamma=2), "gamma is 2"),
        (lambda: TRPO("CartPole-v1", estimator="td"), "estimator is 'td'"),
        (lambda: TRPO("CartPole-v1", steps_per_update=0), "steps_per_update is 0"),
        (lambda: TRPO("CartPole-v1", steps_per_update=12.5), "steps_per_update is 12.5; expected an integer of at least 1"),
        (lambda: TRPO("CartPole-v1", episodes_per_update=0), "episodes_per_update is 0"),
        (lambda: TRPO("CartPole-v1", value_iterations=-1), "value_iterations is -1; expected an integer of at least 0"),
        (lambda: TRPO("CartPole-v1", value_damping=0), "value_damping is 0; expected a positive number"),
        (lambda: TRPO("CartPole-v1", value_damping=math.nan), "value_damping is nan"),
        (lambda: TRPO("CartPole-v1", threads=0), "threads is 0; expected an integer of at least 1"),
        (lambda: TRPO("CartPole-v1").learn(1, checkpoint_every=0), "checkpoint_every is 0; expected an integer of at least 1"),
        (lambda: TRPO(RIVER, sampler="exact", gamma=0.9), "gamma given together with sampler='exact', which would not use them"),
        (
            lambda: TRPO(RIVER, sampler=Exact(RIVER), lam=0.9, normalise_rewards=True),
            "lam, normalise_rewards given together with",
        ),
        (lambda: TRPO(RIVER, sampler=Exact(MIXED)), r"sampler is Exact\(MDP\(S=5.*env another process, MDP\(S=6"),
        (lambda: TRPO("CartPole-v1", device="toaster"), "device 'toaster' is not available"),
        (lambda: TRPO(RIVER, normalise_observations=True), "only vectors of reals can be normalised"),
        (lambda: TRPO("CartPole-v1").learn(), "learn\\(\\) got no end"),
        (lambda: TRPO("CartPole-v1").learn("100"), "learn\\(\\) got {'total_steps': '100'}; .*none below 0"),
        (lambda: TRPO("CartPole-v1").learn(-1), "none below 0"),
        (lambda: TRPO("CartPole-v1", value_iterations=0).learn(updates=1), "needs a value function"),
        (lambda: TRPO(RIVER, policy="tabular", sampler="exact").learn(100), "takes no environment steps"),
        (lambda: TRPO("CartPole-v1").predict(np.zeros(3)), "shape"),
        (lambda: TRPO("CartPole-v1").predict(np.full(4, np.nan)), "nan or infinite"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("region", ["kl", 0.01])
def test_what_is_no_region_is_refused_before_anything_is_sampled(region):
    with pytest.raises(TypeError, match=f"region is {region!r}; expected a Region"):
        TRPO("CartPole-v1", region=region)


def test_learn_refuses_a_callback_and_a_checkpoint_that_could_not_be_used_later(tmp_path):
    agent = TRPO("CartPole-v1", num_envs=1, steps_per_update=8)
    with pytest.raises(TypeError, match="callback is 5; expected a function"):
        agent.learn(updates=1, callback=5)
    with pytest.raises(IsADirectoryError, match="is a folder; expected the name of a file"):
        agent.learn(updates=1, checkpoint=tmp_path)
    assert not agent.history
