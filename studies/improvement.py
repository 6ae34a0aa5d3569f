"""All update rules from the same start: how fast each comes near eta*, and what it was promised on the way.

Exact quantities, untied tables. Rules that rest on a bound improve at every step; how much of the speed that costs, and how
much of it a sharper bound gives back, is the question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from bounds import compare
from mdps import MDP, Evaluation, evaluate
from mdps.mdp import Array
from mdps.optimal import optimal_policy
from studies import paths, records
from studies.improvement_figures import arrivals, distance
from studies.improvement_figures import figures as figures
from studies.updates import UPDATES, Update, select_updates


def run(
    mdp: Mapping[str, MDP],
    delta: float = 0.01,
    seed: int = 0,
    iterations: int = 1000,
    starts: int = 5,
    updates: list[str] | None = None,
    claims: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the rows of :mod:`studies.records` for some of the updates of each run: ``algorithm`` is the rule's name.

    Kept are updates in steps that grow geometrically, the last, and every one at which a start first comes within 1 % of
    eta* - eta_0, so that the table knows this number exactly. A batch of starts ends early when none of them moves any more,
    or all have gone all but 1e-10 of the way to eta*.

    Parameters
    ----------
    mdp
        By name.
    delta
        Radius of the regions and of the gradient steps, nats (of a squared step / 2 for the vanilla gradient).
    seed
        For the starting policies.
    iterations
        Most updates in a row.
    starts
        Random policies, the same for all rules.
    updates
        Names in :data:`studies.updates.UPDATES`; None for all.
    claims
        Ids of bounds; None for those that the rules rest on.

    Raises
    ------
    ValueError
        If there is no MDP, a number is not positive, or a name is unknown.
    """
    paths.check_processes(mdp)
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; give at least 1")
    rules = select_updates(updates)
    resting = dict.fromkeys(rule.rests_on for rule in UPDATES.values() if rule.rests_on)
    checked = records.select_claims(list(resting) if claims is None else claims)
    parts = []
    tasks = [(name, rule) for name in mdp for rule in rules]
    for name, rule_name in tqdm(tasks, desc="improvement", unit="run", disable=None):
        process, rule = mdp[name], rules[rule_name]
        (start,) = paths.starts(name, process, seed, aggregations=1, each=starts, group_size=1)
        eta_star = float(optimal_policy(process)[1].eta)
        old, new, kept = _follow(process, start.pi, rule, delta, iterations, eta_star)
        parts.append(
            records.rows(
                compare(process, old, new),
                checked,
                study="improvement",
                mdp=name,
                algorithm=rule_name,
                region=rule.region,
                delta=delta if rule.sized else np.nan,
                seed=seed,
                instance=np.arange(starts),
                iteration=np.array(kept)[:, None],
                eta_star=eta_star,
            )
        )
    return records.stack(parts)


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: the distance to eta* by iteration."""
    return distance(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each rule (and delta): how many starts come within 1 % of eta* - eta_0, and after how many updates.

    ``updates`` is the median over starts of all processes, inf where half of them do not arrive; ``smallest_gain`` the least
    eta_new - eta_old met, in units of eta* - eta_0; ``violations`` counts broken claims.
    """
    keys = ["algorithm", "delta"]
    first = arrivals(table)
    first["updates"] = first["updates"].where(first["arrived"], np.inf)
    each = records.updates_of(table)
    each["gain"] = each["improvement"] / each["distance"]
    broken = table.assign(violated=table["verdict"] == "violated")
    how: dict[str, Any] = {"observed": True, "dropna": False}
    columns = [
        first.groupby(keys, **how).agg(runs=("arrived", "size"), arrived=("arrived", "sum"), updates=("updates", "median")),
        each.groupby(keys, **how).agg(smallest_gain=("gain", "min")),
        broken.groupby(keys, **how).agg(violations=("violated", "sum")),
    ]
    joined = pd.concat(columns, axis=1).reset_index()
    order = list(UPDATES)
    return joined.sort_values(
        ["algorithm", "delta"], key=lambda c: c.map(order.index) if c.name == "algorithm" else c, ignore_index=True
    )


def _follow(
    mdp: MDP, start: Array, rule: Update, delta: float, iterations: int, eta_star: float
) -> tuple[Array, Array, list[int]]:
    """Policies before and after each kept update, [K,N,S,A], and the numbers of those updates."""
    steps = set(np.unique(np.geomspace(1, iterations, 40).round().astype(int)) - 1)
    old: list[Array] = []
    new: list[Array] = []
    kept: list[int] = []
    evaluation = evaluate(mdp, start)
    near = eta_star - 0.01 * (eta_star - evaluation.eta)
    for iteration in range(iterations):
        after = rule(evaluation, delta)
        following = evaluate(mdp, after)
        arrives = ((evaluation.eta < near) & (following.eta >= near)).any()
        ends = _still(evaluation, following) or iteration == iterations - 1 or _arrived(following, eta_star, near)
        if iteration in steps or arrives or ends:
            old.append(evaluation.pi)
            new.append(after)
            kept.append(iteration)
        if ends:
            break
        evaluation = following
    return np.stack(old), np.stack(new), kept


def _still(old: Evaluation, new: Evaluation) -> bool:
    return bool((old.pi == new.pi).all())


def _arrived(e: Evaluation, eta_star: float, near: Array) -> bool:
    """Whether every start has gone all but 1e-10 of its way; ``near`` is all but 1e-2."""
    return bool((eta_star - e.eta <= 1e-8 * (eta_star - near)).all())
