"""Tables in which an effect is as large as one asks, in the columns of each study: what the ledger's tests decide on.

``BUILDERS`` has for each kind of sentence, by the first words of its id and its study, a function of an effect and a spread over
runs. The spread changes sign from run to run, so that it moves intervals and hardly the effect.
"""

import numpy as np
import pandas as pd

ITERATIONS, SEEDS, RUNS = 50, 6, 20


def spread_over(count, spread):
    """Numbers that differ by ``spread`` on average and have nearly the mean 0."""
    return spread * np.resize([1.0, -1.0, 0.6, -0.5, 0.2, -0.3], count)


def curves(levels, task="cartpole", seeds=SEEDS, spread=0.0, start=0.0, step=np.nan):
    """figure4: every method at ``start``, then at its level; the spread is that of single path."""
    rows = []
    for method, level in levels.items():
        for seed, off in enumerate(spread_over(seeds, spread if method == "single path" else 0.0)):
            returns = np.full(ITERATIONS, level + off)
            returns[0] = start
            own = {"task": task, "env": "e", "method": method, "step": step if method == "natural gradient" else np.nan}
            rows.append(pd.DataFrame({**own, "seed": seed, "iteration": np.arange(1, ITERATIONS + 1), "return_mean": returns}))
    return pd.concat(rows, ignore_index=True).assign(study="figure4", steps=0, kl_mean=0.0, kl_max=0.0, scale="")


def ahead(first, second):
    """Single path and others ahead of the second methods by an effect, in units of the range."""

    def build(effect, spread, task):
        ours, theirs = (100.0, 100 * (1 - effect)) if effect >= 0 else (100 * (1 + effect), 100.0)
        return curves({**dict.fromkeys(first, ours), **dict.fromkeys(second, theirs)}, task, spread=100 * spread)

    return build


USUAL = {"level": 0.5, "falls": 0.0, "kl": 1.0, "backtracks": 0.0}


def updates(study, arms, runs=RUNS, iterations=10):
    """trust_region and neural_truth: for each arm its labels, and for each run its level, falls, KL and backtracks."""
    tables = []
    run, iteration = np.repeat(np.arange(runs), iterations), np.tile(np.arange(iterations), runs)
    for labels, numbers in arms:
        of = {name: numbers.get(name, np.full(runs, usual))[run] for name, usual in USUAL.items()}
        tables.append(
            pd.DataFrame(
                {
                    **{"mdp": "m", "algorithm": "a", "region": "mean_kl", **labels},
                    **{"delta": 0.01, "seed": 0, "instance": run, "iteration": iteration},
                    **{"eta_old": np.where(iteration, of["level"], 0.0), "eta_new": of["level"], "L": of["level"], "gap": 0.0},
                    **{"tv_max": 0.1, "kl_max": 0.01 * of["kl"], "kl_mean": 0.01},
                    **{"claim": "kl-trpo", "penalty": 1.0, "usage": 0.1, "verdict": "holds", "gamma": 0.9},
                    **{"surrogate_gain": 0.1, "improvement": np.where(iteration < of["falls"], -0.1, 0.1), "eta_star": 1.0},
                    "backtracks": iteration < of["backtracks"],
                }
            )
        )
    return pd.concat(tables, ignore_index=True).assign(study=study)


WHERE = {
    "tied tables": ("trust_region", {"algorithm": "exact-tied"}),
    "network, exact batches": ("trust_region", {"algorithm": "neural"}),
    "network, single path": ("neural_truth", {"sampler": "single_path", "curvature": "fisher"}),
    "network, vine": ("neural_truth", {"sampler": "vine", "curvature": "fisher"}),
}


def two(other):
    """Mean KL with Fisher's matrix against another arm, by the level of the return."""

    def build(effect, spread, name):
        study, labels = WHERE[name]
        levels = 0.5 * (1 - effect) + spread_over(RUNS, 0.5 * spread)
        return updates(study, [(labels, {}), ({**labels, **other}, {"level": levels})])

    return build


def falling(effect, spread, name):
    """Shares of ten updates that fall, mean KL minus max KL."""
    study, labels = WHERE[name]
    more = np.round(10 * (effect + spread_over(RUNS, max(spread, 0.1))))
    arms = [(labels, {"falls": 4 + more}), ({**labels, "region": "max_kl"}, {"falls": np.full(RUNS, 4)})]
    return updates(study, arms)


def fallen(region):
    """Share of runs that fall; the runs are as many as the spread asks: few leave a share open."""

    def build(effect, spread, name):
        study, labels = WHERE[name]
        runs = 20 if spread else 400
        falls = np.zeros(runs)
        falls[: round(effect * runs)] = 1
        return updates(study, [({**labels, "region": region}, {"falls": falls})], runs, 2)

    return build


def single(number, scale=1.0, iterations=10):
    """One number a run of one arm: its KL in units of delta, or how many of its updates are backtracked."""

    def build(effect, spread, name):
        study, labels = WHERE[name]
        return updates(
            study, [(labels, {number: scale * (effect + spread_over(RUNS, spread or 0.05 * effect))})], RUNS, iterations
        )

    return build


def guaranteed(claim):
    """The steps that a bound allows, in units of delta = 0.01."""

    def build(effect, spread, _):
        sizes = 0.01 * (effect + spread_over(RUNS, spread))
        own = {"study": "guaranteed_step", "mdp": "garnet", "path": "max-kl", "claim": claim, "seed": 0}
        table = pd.DataFrame({**own, "gamma": 0.99, "instance": np.arange(RUNS), "size": sizes})
        far = table.assign(mdp="best-case", size=99.0)
        return pd.concat([table, far, table.assign(gamma=0.9, size=99.0), table.assign(path="mixture", size=99.0)])

    return build


def estimated(estimator):
    """Bias of an estimator; the spread is half the width of its interval. Rows of a smaller budget or few visits differ."""

    def build(effect, spread, _):
        rows = []
        for quantity in ("gain", "gradient"):
            row = {
                "study": "estimators",
                "mdp": "m",
                "estimator": estimator,
                "quantity": quantity,
                "budget": 80000,
                "visits": 999,
            }
            half = spread or 0.01
            row |= {"bias": -effect, "bias_low": -effect - half, "bias_high": -effect + half, "states": 10, "rollouts": 2}
            rows += [row, {**row, "budget": 1, "bias": 9.0, "bias_low": 8.0, "bias_high": 10.0}]
            rows += [{**row, "mdp": "rare", "visits": 1, "bias": 9.0, "bias_low": 8.0, "bias_high": 10.0}]
        return pd.DataFrame(rows).assign(error=0.1, error_low=0.1, error_high=0.1)

    return build


def errors(first, second, quantity, values=(1, 1)):
    """Errors of two estimators in a ratio, of batches that have so many values."""

    def build(effect, spread, _):
        rows = []
        for estimator, error, count in ((first, effect, values[0]), (second, 1.0, values[1])):
            ends = {"error": error, "error_low": error - spread, "error_high": error + spread}
            rows.append(
                {"study": "estimators", "mdp": "m", "estimator": estimator, "quantity": quantity, **ends, "states": count}
            )
        return pd.DataFrame(rows).assign(budget=80000, visits=999, rollouts=np.nan, bias=0.0, bias_low=0.0, bias_high=0.0)

    return build


def costly(effect, spread, _):
    """Costs of steps with 0 rounds, which solve nothing, with 2, which solve it, and with 4, which cost more."""
    rows = []
    for instance, off in enumerate(spread_over(RUNS, spread)):
        for rounds, share, cost in ((0, 0.5, 1.0), (2, 0.95, effect + off), (4, 0.99, 99.0)):
            rows.append({"problem": "p", "instance": instance, "damping": 0.1, "rounds": rounds, "share": share, "cost": cost})
    return pd.DataFrame(rows).assign(study="max_kl_cost")


def audited(promise):
    """Updates that break a promise; few of them where there is a spread. Another agent and another promise differ."""

    def build(effect, spread, _):
        count = 20 if spread else 1000
        verdict = np.where(np.arange(count) < effect * count, "broken", "kept")
        own = pd.DataFrame({"study": "audit", "agent": "ours", "promise": promise, "verdict": verdict})
        return pd.concat([own, own.assign(agent="sb3", verdict="kept"), own.assign(promise="other", verdict="broken")])

    return build


def trained(env):
    """Last ten returns of a run of 20 episodes against printed returns of 100 and 200."""

    def build(effect, spread, _):
        rows = []
        for seed, off in enumerate(spread_over(SEEDS, 100 * spread)):
            episodes = np.arange(1, 21)
            printed = np.where(episodes == 10, 100.0, np.where(episodes == 20, 200.0, np.nan))
            returns = np.where(episodes <= 10, 50.0, 200 + 100 * effect + off)
            own = {"study": "train", "env": f"{env}-v1, 200 steps", "seed": seed, "episodes": episodes, "steps": 200 * episodes}
            rows.append(pd.DataFrame({**own, "iteration": episodes - 1, "return_mean": returns, "printed": printed}))
        return pd.concat(rows, ignore_index=True)

    return build


OURS = ["single path", "vine"]
BASELINES = ["natural gradient", "CEM", "CMA", "RWR"]
BUILDERS = {
    ("solved", "figure4"): lambda effect, spread, task: curves({"single path": effect, "vine": 500.0}, task, spread=spread),
    ("max KL slower", "figure4"): ahead(OURS[:1], ["max KL"]),
    ("mean KL like max KL", "figure4"): ahead(OURS[:1], ["max KL"]),
    ("analytic FIM as good", "figure4"): ahead(OURS[:1], ["empirical FIM"]),
    ("best solutions", "figure4"): ahead(OURS, BASELINES),
    ("natural gradient does well", "figure4"): ahead(OURS, BASELINES[:1]),
    ("natural gradient fails", "figure4"): ahead(OURS, BASELINES[:1]),
    ("CEM and CMA poor", "figure4"): ahead(OURS, ["CEM"]),
    **{
        (words, study): two({"region": "max_kl"})
        for words in ("max KL slower", "mean KL like max KL")
        for study, _ in WHERE.values()
    },
    **{("mean KL as safe", study): falling for study, _ in WHERE.values()},
    **{("monotone, mean KL", study): fallen("mean_kl") for study, _ in WHERE.values()},
    **{("monotone, max KL", study): fallen("max_kl") for study, _ in WHERE.values()},
    **{("mean KL approximates max KL", study): single("kl") for study, _ in WHERE.values()},
    ("analytic FIM as good", "neural_truth"): two({"curvature": "empirical"}),
    ("line search acts", "neural_truth"): single("backtracks", 100.0, 100),
    **{(f"small steps: {claim}", "guaranteed_step"): guaranteed(claim) for claim in ("kl-trpo", "kl-sqrt-horizon")},
    ("single path unbiased", "estimators"): estimated("single path"),
    ("any q unbiased", "estimators"): estimated("vine, q uniform"),
    ("eq. 16 as printed", "estimators"): estimated("vine, as printed"),
    ("unweighted states", "estimators"): estimated("single path, no gamma^t"),
    ("vine less noisy", "estimators"): errors("vine, q uniform", "single path", "gradient"),
    ("analytic FIM estimate", "estimators"): errors("analytic Fisher", "empirical Fisher", "natural gradient"),
    ("max KL impractical", "max_kl_cost"): costly,
    **{(f"line search keeps its promise: {p}", "audit"): audited(p) for p in ("kl", "surrogate")},
    **{(f"printed return: {env}", "train"): trained(env) for env in ("CartPole", "Pendulum")},
}
