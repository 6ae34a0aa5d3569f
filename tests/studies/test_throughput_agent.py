"""What the two agents are timed at is the same: their discount factor, and the states of a batch."""

import gymnasium
import pytest
import torch

from studies import throughput_agent
from studies.batches import collect
from trpo.agent import TRPO
from trpo.linearise import flat_parameters
from trpo.samplers.vine import Vine


@pytest.mark.filterwarnings("ignore")
def test_both_are_timed_at_the_same_discount_factor_and_number_of_states(monkeypatch):
    theirs = pytest.importorskip("sb3_contrib").TRPO
    told, sizes, step = [], [], throughput_agent.step

    def made(policy, venv, **settings):
        told.append((settings["gamma"], getattr(venv, "gamma", None)))
        return theirs(policy, venv, **settings)

    def kept(policy, batch, *args, **kwargs):
        sizes.append(len(batch))
        return step(policy, batch, *args, **kwargs)

    monkeypatch.setattr(throughput_agent, "_theirs", lambda: made)
    monkeypatch.setattr(throughput_agent, "step", kept)
    envs = {
        "CartPole-v1": {"num_envs": 4, "gamma": 0.9, "steps_per_update": 256},
        "Pendulum-v1": {"num_envs": 4, "normalise_observations": True, "steps_per_update": 256},
    }
    table = throughput_agent.run(envs, updates=[512], steps=256, repeats=1, fractions=[1.0])
    assert told == [(0.9, None), (0.99, 0.99), (0.99, None), (0.99, None)]
    assert sizes == [512, 512]  # a policy update and a full one
    assert set(table["agent"]) == {"ours", "sb3"}
    assert (table["seconds"] > 0).all()


def test_a_batch_has_the_rows_asked_for_and_the_agent_is_as_before():
    agent = TRPO("CartPole-v1", num_envs=4, steps_per_update=64, hidden=(8,))
    before = flat_parameters(agent.policy)
    for rows in (1, 50, 300):
        sample = collect(agent, rows)
        assert len(sample.batch) == len(sample.targets) == len(sample.observations) == rows
        assert torch.equal(sample.batch.inputs, torch.as_tensor(sample.observations))
    assert torch.equal(flat_parameters(agent.policy), before)
    assert agent.sampler.steps == 64
    with pytest.raises(ValueError, match="expected a SinglePath of a number of steps"):
        collect(TRPO("CartPole-v1", episodes_per_update=2), 10)
    with pytest.raises(ValueError, match="expected a SinglePath"):
        collect(TRPO("CartPole-v1", sampler=Vine(gymnasium.make("CartPole-v1"))), 10)
