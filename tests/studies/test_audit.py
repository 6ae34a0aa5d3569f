"""The audit: it passes a correct agent and catches each defect, and says of published agents what they do."""

import copy
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from audited import DEFECTS, INFORMED, NORMAL, Normal, Tabular
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from mdps.families import garnet
from studies import audit, outputs, run
from studies.adapters import AGENTS, Categorical, Gaussian, Policy, Update, agent
from studies.adapters.laws import ROUNDINGS
from studies.adapters.worlds import discount_probe, environment, tabular, vectors
from studies.audit_summary import direction
from studies.docs import section
from studies.figures import save
from studies.present import present
from studies.promises import PROMISES, Step

ROOT = pathlib.Path(__file__).parents[2]
MDP = garnet(5, 3, 2, gamma=0.9, seed=1)


def table_of(defect=""):
    """A table of the agent that has the defect; of the tabular and the normal one where there is none."""
    parts = []
    if defect not in NORMAL:
        small = {"updates": 12, "horizon": 20, "stress": [0.05, 0.1, 0.2]}
        parts.append(audit.run({"x": Tabular(defect)}, {"garnet": MDP}, env=[], **small).astype(object))
    if not defect or defect in NORMAL:
        rows = audit.examine("x", Normal(defect), "ordinary", environment("Pendulum-v1", 0.9), 0.01, 0, 5)
        parts.append(pd.DataFrame(rows).assign(study="audit"))
    return pd.concat(parts).astype({"value": float, "limit": float, "delta": float})


def verdicts(table):
    return audit.summary(table).set_index("promise")["verdict"]


@pytest.fixture(scope="module")
def correct():
    return table_of()


def test_a_correct_agent_keeps_every_promise(correct):
    said = verdicts(correct)
    assert said["direction"] == "KL(old||new)"
    for id, promise in PROMISES.items():
        assert said[id] == ("kept" if promise.asserted else "information"), id
    assert audit.summary(correct)["first"].fillna("").eq("").all()


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_caught(defect):
    promise, expected = DEFECTS[defect]
    table = table_of(defect)
    assert verdicts(table)[promise] == expected
    if expected == "broken":
        row = audit.summary(table).set_index("promise").loc[promise]
        wrong = table[(table["promise"] == promise) & (table["verdict"] == "broken")].iloc[0]
        assert row["broken"] > 0
        assert row["first"] == f"{wrong['world']}, {wrong['scenario']}, seed 0, update {wrong['iteration']}"


@pytest.mark.parametrize("defect", INFORMED)
def test_what_nobody_can_promise_is_reported_without_a_verdict(defect, correct):
    """At any fixed radius an estimate may raise its own surrogate and lower L, and L may rise where eta falls."""
    promise = INFORMED[defect]
    for table, falls in ((table_of(defect), True), (correct, False)):
        row = audit.summary(table).set_index("promise").loc[promise]
        assert row["verdict"] == "information"
        value = table[table["promise"] == promise]["value"].dropna()
        assert row["evidence"].startswith(f"value: least {value.min():.3g}, median {value.median():.3g}")
        assert (value.min() < 0) == falls


def test_every_promise_has_a_defect_that_breaks_it():
    assert {promise for promise, _ in DEFECTS.values()} == {"direction", *(id for id, p in PROMISES.items() if p.asserted)}


def test_what_an_agent_does_not_say_is_seen_where_every_step_has_to_be_rejected():
    world = tabular("garnet", MDP, 20)
    for defect, verdict in (("", "kept"), ("left applied", "broken")):
        rows = pd.DataFrame(audit.examine("x", Tabular(defect, says=False), "rejected", world, 0.01, 0, 2))
        assert set(rows["accepted"]) == {"unsaid"}
        assert set(rows[rows["promise"] == "restore"]["verdict"]) == {verdict}


def test_an_unchecked_step_bounds_neither_direction():
    said = audit.summary(table_of("no KL check")).set_index("promise")
    assert said.loc["direction", "verdict"] == "neither"
    assert float(said.loc["kl", "evidence"].split()[-1]) > 1.5
    slack = audit.summary(table_of("1.5 delta")).set_index("promise")
    assert 1.2 < float(slack.loc["kl", "evidence"].split()[-1]) <= 1.5


def test_the_direction_needs_enough_discordant_updates():
    def rows(forward, backward):
        both = {"kl": forward, "kl_reverse": backward}
        keys = {"agent": "x", "world": "w", "scenario": "stress", "delta": 1.0, "seed": 0}
        return pd.DataFrame(
            {**keys, "iteration": i, "promise": id, "value": value, "limit": 1.0}
            for id, values in both.items()
            for i, value in enumerate(values)
        )

    few, many = [2.0] * 5, [2.0] * 6
    assert direction(rows(few, [0.5] * 5))["verdict"] == "not told apart"  # 2^-4 = 0.0625
    assert direction(rows(many, [0.5] * 6))["verdict"] == "KL(new||old)"  # 2^-5 = 0.03125
    assert direction(rows([0.5] * 6, many))["verdict"] == "KL(old||new)"
    assert direction(rows([2.0, 0.5], [0.5, 2.0]))["verdict"] == "neither"
    assert direction(rows([0.5], [0.5]))["verdict"] == "not told apart"
    found = direction(rows([*many, *([0.5] * 94)], [0.5] * 100))
    assert f"less than {100 * (1 - 0.05 ** (1 / 100)):.2g} %" in found["evidence"]  # none of n: (1 - p)^n = 0.05


def test_report_and_figures_need_the_table_alone(correct, tmp_path):
    text = audit.report(correct)
    assert all(promise.statement.replace("|", "\\|") in text for promise in PROMISES.values())
    assert "KL(old\\|\\|new)" in text
    drawn = audit.figures(correct)
    assert set(drawn) == {"verdicts", "divergences", "returns"}
    for stem, figure in drawn.items():
        assert all(path.stat().st_size > 1000 for path in save(figure, tmp_path / stem))


def test_the_step_size_of_the_log_std_tells_its_metric():
    """For one mean m and one log-std the Fisher matrix is diag(1/s^2, 2)."""
    rng = np.random.default_rng(0)
    m, log_s, n, beta = 0.3, -0.4, 500, 1e-6
    a = m + np.exp(log_s) * rng.normal(size=(n, 1))
    A, z = rng.normal(size=n), (a - m) * np.exp(-log_s)
    gradient = np.array([np.mean(A * z[:, 0] * np.exp(-log_s)), np.mean(A * (z[:, 0] ** 2 - 1))])

    def policy(theta):
        return Policy(lambda x: Gaussian(np.full((len(x), 1), theta[0]), np.full((len(x), 1), theta[1])), theta)

    for metric, ratio in ((2.0, 1.0), (1.0, 2.0)):
        old = np.array([m, log_s])
        new = old + beta * gradient / np.array([np.exp(-2 * log_s), metric])
        update = Update(policy(old), policy(new), np.zeros((n, 1)), a, A)
        step = Step(update, None, environment("Pendulum-v1", 0.9), 0.01, "ordinary")
        assert PROMISES["log_std_metric"].measure(step)[0] == pytest.approx(ratio, rel=1e-6)


# -- laws and worlds -----------------------------------------------------------------------------------------


def test_laws_against_scipy():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(4), 7), rng.dirichlet(np.ones(4), 7)
    a = rng.integers(4, size=7)
    np.testing.assert_allclose(Categorical(p).kl(Categorical(q)), [scipy.stats.entropy(x, y) for x, y in zip(p, q, strict=True)])
    np.testing.assert_allclose(Categorical.of_logits(np.log(p) + 3).log_prob(a), np.log(p[np.arange(7), a]))
    m, s, n, t = (rng.normal(size=(7, 2)) for _ in range(4))
    old, new = Gaussian(m, s), Gaussian(n, t)
    x = rng.normal(size=(7, 2))
    np.testing.assert_allclose(old.log_prob(x), scipy.stats.norm(m, np.exp(s)).logpdf(x).sum(1))
    z = rng.normal(size=(40_000, 1, 1))  # by sampling, to the error of that
    draws = m + np.exp(s) * z
    ratio = scipy.stats.norm(m, np.exp(s)).logpdf(draws) - scipy.stats.norm(n, np.exp(t)).logpdf(draws)
    assert (np.abs(ratio.mean(0).sum(1) - old.kl(new)) <= 6 * ratio.std(0).sum(1) / np.sqrt(len(z))).all()
    with pytest.raises(ValueError, match="rows that sum to 1"):
        Categorical(2 * p)


def test_single_precision_stays_within_the_rounding_allowed():
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=3, size=(2000, 5)).astype(np.float32)
    moved = logits + rng.normal(scale=0.1, size=logits.shape).astype(np.float32)

    def log_softmax(z):
        shifted = z - z.max(-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))

    log_p, log_q = log_softmax(logits), log_softmax(moved)
    single = (np.exp(log_p) * (log_p - log_q)).sum(-1)
    assert single.dtype == np.float32
    old, new = Categorical.of_logits(logits), Categorical.of_logits(moved)
    error, allowed = np.abs(single - old.kl(new)), old.rounding(new)
    assert (error <= allowed).all()
    assert (allowed < 20 * ROUNDINGS).all()  # and what is allowed is a matter of rounding: 1e-5 nats

    s, t = (rng.normal(scale=0.5, size=(2000, 1)).astype(np.float32) for _ in range(2))
    m, n = (rng.normal(size=(2000, 1)).astype(np.float32) for _ in range(2))
    ratio, shift = (np.exp(s) / np.exp(t)) ** 2, ((m - n) / np.exp(t)) ** 2  # as torch.distributions computes it
    single = (0.5 * (ratio + shift - 1 - np.log(ratio)))[:, 0]
    old, new = Gaussian(m, s), Gaussian(n, t)
    assert (np.abs(single - old.kl(new)) <= old.rounding(new)).all()


def test_the_probe_pulls_both_ways():
    world = discount_probe()
    R, gamma = world.mdp.R[:-1, 1], world.gamma
    assert R.sum() < 0 < (gamma ** np.arange(len(R)) * R).sum()
    env = world.make()
    assert env.reset(seed=0)[0] == 0
    assert [env.step(np.int64(1))[1] for _ in R] == list(R)
    with pytest.raises(ValueError, match="smaller gamma"):
        discount_probe(gamma=0.9999)


def test_an_index_becomes_one_hot_and_comes_back():
    made = vectors(tabular("garnet", MDP, 20))
    states = np.arange(MDP.S)
    np.testing.assert_array_equal(made.features(states), np.eye(MDP.S))
    np.testing.assert_array_equal(made.raw(made.features(states)), states)
    env = made.make()
    assert env.reset(seed=0)[0] in env.observation_space


# -- agents --------------------------------------------------------------------------------------------------

MINE = section((ROOT / "docs/audit.md").read_text(), "agent").removeprefix("```py\n").removesuffix("```")


def test_a_users_own_agent_takes_twenty_lines(tmp_path, monkeypatch):
    (tmp_path / "my_agent.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    table = audit.run({"mine": agent("my_agent:train")}, {"garnet": MDP}, env=["CartPole-v1"], updates=15, horizon=20)
    said = verdicts(table)
    assert said["kl"] == "broken"
    assert said["direction"] == "neither"
    assert said["restore"] == "not observed"
    assert said["log_std"] == "not observed"
    assert set(table["world"]) == {"garnet", "discount_probe"}


def test_the_study_is_run_from_its_configuration(tmp_path):
    pytest.importorskip("torch")
    small = ["study.env=[]", "study.stress=[]", "study.updates=1", "agent.notebook.episodes=8", "mdp=forest"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        both = compose("config", ["study=audit", "agent=[sb3,notebook]"])
        config = compose("config", ["study=audit", "agent=notebook", *small])
    assert list(both.agent) == list(both.study.agent) == ["sb3", "notebook"]
    assert list(both.study.mdp) == ["garnet", "frozenlake"]
    table = outputs.read_table(run.compute(config, tmp_path, []))
    assert set(table["agent"]) == {"notebook"}
    assert set(table["world"]) == {"forest", "discount_probe"}
    present(table, tmp_path)
    assert (tmp_path / "divergences.pdf").exists()
    assert len(pd.read_csv(tmp_path / "summary.csv")) == len(PROMISES) + 1


def test_an_error_ends_a_run_and_is_told_and_one_at_the_start_is_raised():
    world = tabular("garnet", MDP, 20)
    rows = pd.DataFrame(audit.examine("x", Tabular("raises"), "ordinary", world, 0.01, 0, 5))
    failed = rows[rows["verdict"] == "broken"]
    assert list(zip(failed["promise"], failed["iteration"], strict=True)) == [("finite", 3)]
    with pytest.raises(TypeError):
        audit.examine("x", lambda world, **options: iter([1 + None]), "ordinary", world, 0.01, 0, 5)


def test_an_agent_whose_module_cannot_be_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "unread_agent.py").write_text("one = 1\ndef train(:\n")
    with pytest.raises(ValueError, match=r"agent 'unread_agent:train' names .* imported: unread_agent\.py, line 2: SyntaxError"):
        agent("unread_agent:train")
    (tmp_path / "poor_agent.py").write_text("import tianshou_of_another_name\n")
    with pytest.raises(ValueError, match=r"poor_agent\.py, line 1: ModuleNotFoundError: No module named 'tianshou_of_another"):
        agent("poor_agent:train")
    with pytest.raises(ValueError, match=r"Expected a file my_agent\.py in .*; write its name without \.py"):
        agent("my_agent.py:train")


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="unknown agent 'sb4'; expected one of ours, sb3"):
        agent("sb4")
    with pytest.raises(ValueError, match=r"agent 'no_such:train' names the module 'no_such', which cannot be found.*no_such\.py"):
        agent("no_such:train")
    with pytest.raises(ValueError, match="has no 'nothing'"):
        agent("audited:nothing")
    with pytest.raises(ValueError, match="updates is 0"):
        audit.run({"x": Tabular()}, {"garnet": MDP}, updates=0)
    with pytest.raises(ValueError, match="no agent"):
        audit.run({}, {"garnet": MDP})
    with pytest.raises(ValueError, match="no update was made"):
        audit.run({"x": Normal()}, {"garnet": MDP}, env=[])


def test_a_missing_package_is_named_with_the_way_to_install_it():
    code = (
        "import sys; sys.modules['sb3_contrib'] = None\n"
        "from studies.adapters import agent\n"
        "try: agent('sb3')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "agent 'sb3' needs the package sb3_contrib" in done.stdout
    assert ".[audit]" in done.stdout


def test_the_registry_alone_imports_no_agent():
    code = "import sys, studies.audit; print(sorted({'torch', 'sb3_contrib', 'tianshou'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PACKAGES = {"ours": "torch", "sb3": "sb3_contrib", "tianshou": "tianshou", "notebook": "torch"}
SMALL = {"ours": {"n_steps": 256}, "sb3": {"n_steps": 256}, "tianshou": {"n_steps": 256}, "notebook": {"episodes": 1}}


@pytest.fixture(params=AGENTS)
def published(request):
    pytest.importorskip(PACKAGES[request.param])
    return request.param, agent(request.param, **SMALL[request.param])


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_hands_over_what_was_done(published):
    _, train = published
    for world in (tabular("garnet", MDP, 50), environment("Pendulum-v1", 0.9)):
        kept, last = [], None
        for update in train(world, delta=0.05, updates=3, seed=0):
            n = len(update.inputs)
            assert len(update.actions) == len(update.advantages) == len(update.observations) == n
            assert update.accepted == (update.moved > 0)
            law = update.before.at(update.observations)
            np.testing.assert_allclose(law.kl(update.before.law(update.inputs)), 0, atol=1e-12)
            assert np.isfinite(law.log_prob(update.actions)).all()
            if world.mdp is not None:
                assert world.table(update.before).shape == (MDP.S, MDP.A)
            if last is not None:
                np.testing.assert_array_equal(last.after.parameters, update.before.parameters)
            kept.append((update.before, update.inputs, law))
            last = update
        for policy, inputs, law in kept:  # later training has not changed what was kept
            np.testing.assert_array_equal(policy.law(inputs).kl(law), 0)


def test_our_adapter_hands_over_what_was_done_on_a_gpu():
    if not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("needs a GPU")
    train = agent("ours", n_steps=64, normalise_observations=True, device="cuda")
    for update in train(environment("Pendulum-v1", 0.9), delta=0.05, updates=2, seed=0):
        law = update.before.at(update.observations)
        np.testing.assert_allclose(law.kl(update.before.law(update.inputs)), 0, atol=1e-12)


@pytest.fixture(scope="module")
def ours_and_sb3():
    """The two agents as they are configured, in smaller batches, at radii where the two directions of the KL differ often."""
    pytest.importorskip("sb3_contrib")
    small = ["study=audit", "agent=[ours,sb3]", "+agent.ours.n_steps=256", "agent.sb3.n_steps=256"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        agents = instantiate(compose("config", small).agent, _convert_="all")
    table = audit.run(agents, {"garnet": MDP}, env=["Pendulum-v1"], horizon=50, stress=[1.0, 2.0])
    return audit.summary(table).set_index(["agent", "promise"])["verdict"]


def test_our_agent_keeps_every_promise(ours_and_sb3):
    said = ours_and_sb3["ours"]
    assert {id for id, promise in PROMISES.items() if promise.asserted and said[id] != "kept"} == set()
    assert said["direction"] == "KL(old||new)"


def test_the_reversed_divergence_of_sb3_is_found(ours_and_sb3):
    said = ours_and_sb3["sb3"]
    assert said["direction"] == "KL(new||old)"
    assert (said["kl"], said["discount"]) == ("broken", "broken")
    assert (said["restore"], said["surrogate"], said["log_std"]) == ("kept", "kept", "kept")


@pytest.mark.filterwarnings("ignore")
def test_our_adapter_copies_a_policy_once(monkeypatch):
    copied, deepcopy = [], copy.deepcopy
    monkeypatch.setattr(copy, "deepcopy", lambda x, *memo: copied.append(type(x).__name__) or deepcopy(x, *memo))
    updates = list(
        agent("ours", n_steps=64, normalise_observations=True)(environment("Pendulum-v1", 0.9), delta=0.05, updates=2, seed=0)
    )
    assert copied.count("Policy") == 2 * len(updates)
    for update in updates:
        np.testing.assert_array_equal(update.before.features(update.observations), update.inputs)


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_can_make_its_agent_reject(published):
    _, train = published
    updates = list(train(tabular("garnet", MDP, 50), delta=0.05, updates=2, seed=0, reject=True))
    assert [update.accepted for update in updates] == [False, False]
    assert [update.moved for update in updates] == [0, 0]


def test_a_seed_gives_the_same_updates_again(published):
    name, train = published
    if name == "tianshou":
        pytest.skip("collects with unseeded parts")
    world = tabular("garnet", MDP, 50)
    first, again = ([u.after.parameters for u in train(world, delta=0.05, updates=2, seed=3)] for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(("name", "options"), [("sb3", {"normalise": True}), ("ours", {"normalise_observations": True})])
def test_a_running_normaliser_moves_the_policy_between_updates(name, options):
    pytest.importorskip(PACKAGES[name])
    train = agent(name, **SMALL[name], **options)
    rows = pd.DataFrame(audit.examine(name, train, "ordinary", environment("Pendulum-v1", 0.9), 0.05, 0, 3))
    assert set(rows[(rows["promise"] == "drift") & (rows["iteration"] > 0)]["verdict"]) == {"broken"}


def test_our_agent_weights_states_by_the_discount_if_told():
    pytest.importorskip("torch")
    said = {}
    for discounted in (False, True):
        train = agent("ours", n_steps=512, discounted=discounted)
        rows = audit.examine("ours", train, "discount", discount_probe(), 0.001, 0, 8)
        said[discounted] = verdicts(pd.DataFrame(rows).assign(study="audit"))["discount"]
    assert said == {False: "broken", True: "kept"}
