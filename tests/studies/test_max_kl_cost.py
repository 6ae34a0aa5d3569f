"""The study of what a max-KL step gains, at a small size: its columns against their own definitions."""

import re

import matplotlib.pyplot as plt
import pytest

from studies import max_kl_cost
from trpo.agent import TRPO


@pytest.fixture(scope="module")
def table():
    return max_kl_cost.run(problems=1, states=64, updates=[1], rounds=[0, 2, 4], dampings=[0.01, 0.1], repeats=1)


def test_no_direction_gains_more_than_the_bound_and_rounds_never_lose(table):
    assert len(table) == 2 * 2 * 3
    assert (table["share"] <= 1 + 1e-6).all()
    assert (table["kl_max"] <= table["delta"]).all()
    for _, batch in table.groupby(["problem", "damping"], observed=True):
        assert batch.sort_values("rounds")["predicted"].is_monotonic_increasing
        assert batch["bound"].nunique() == 1


def test_a_policy_has_had_as_many_updates_as_its_problem_says(monkeypatch):
    """And its batch has as many states as asked for, although environment steps that only begin an episode are none."""
    done, update = [], TRPO.update
    monkeypatch.setattr(TRPO, "update", lambda agent: done.append(agent) or update(agent))
    seen = []
    for name, _, _, batch in max_kl_cost._problems("CartPole-v1", 0, 1, 64, [4, 1]):
        seen.append((name, len(done)))
        assert len(batch) == 64
        assert float(batch.weights.sum()) == pytest.approx(1)
    assert seen == [("1 update", 1), ("4 updates", 4), ("random", 4)]


def test_more_damping_leaves_less_to_gain(table):
    best = table.groupby(["problem", "damping"], observed=True)["predicted"].max().unstack()
    assert (best[0.1] < best[0.01]).all()


def test_summary_compares_with_no_rounds(table):
    summary = max_kl_cost.summary(table).set_index(["problem", "damping", "rounds"])
    assert (summary.xs(0, level="rounds")["predicted_ratio"] == 1).all()
    row = table[(table["problem"] == "random") & (table["damping"] == 0.01)].set_index("rounds")["predicted"]
    assert summary.loc[("random", 0.01, 4), "predicted_ratio"] == pytest.approx(row[4] / row[0])


def test_every_damping_has_its_panels(table):
    figure = max_kl_cost.plot(table)
    assert [a.get_ylabel().splitlines()[-1] for a in figure.axes[::2]] == ["(damping 0.01)", "(damping 0.1)"]
    plt.close(figure)


@pytest.mark.parametrize("wrong", [{"rounds": []}, {"dampings": []}, {"dampings": [0.0]}, {"problems": 0}])
def test_wrong_inputs_are_named(wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(ValueError, match=re.escape(f"{name}={value}")):
        max_kl_cost.run(**wrong)
