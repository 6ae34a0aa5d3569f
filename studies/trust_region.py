"""What max-KL and mean-KL trust regions do: the updates that TRPO approximates, and TRPO, on MDPs where the truth is known.

From the same random starts, for each process and region: updates of the whole table ("exact"), which never lower eta
whatever the radius, and updates of tables whose states are tied at random ("exact-tied"), which may. From starts of its own
the neural agent ("neural"): a network, conjugate gradients and a line search, given exact advantages and visits, so that what
it shows is what the approximations of the step do, not those of a sample (:mod:`studies.neural_truth` shows these).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from bounds import compare
from mdps import MDP
from mdps.mdp import Array
from mdps.optimal import optimal_policy
from studies import paths, records
from studies.neural import Learner, walks
from studies.trust_region_figures import figures as figures
from studies.trust_region_figures import progress
from trpo.exact import region_step
from trpo.region import Region


def run(
    mdp: Mapping[str, MDP],
    region: Mapping[str, Region],
    seed: int = 0,
    iterations: int = 30,
    starts: int = 2,
    aggregations: int = 3,
    group_size: int = 2,
    neural: Mapping[str, Any] | None = None,
    claims: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the rows of :mod:`studies.records`, one an update and claim.

    Parameters
    ----------
    mdp, region
        By name.
    seed
        For ties and starting policies.
    iterations
        Updates in a row.
    starts, aggregations, group_size
        Random policies for each tie of states, ties, and states a group on average. ``instance`` numbers all starts of an MDP.
    neural
        ``starts`` and ``iterations`` of the neural agent, and fields of :class:`studies.neural.Learner`; None leaves it out.
    claims
        Ids of bounds; None for every one that is a theorem or open.

    Raises
    ------
    ValueError
        If there is no MDP or region, a number is not positive, or a claim is unknown.
    TypeError
        If ``neural`` has an unknown key.
    """
    paths.check_processes(mdp)
    if not region:
        raise ValueError("region is empty; choose at least one, such as region=[max_kl,mean_kl]")
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; give at least 1")
    checked = records.select_claims(claims)
    parts = []
    for name, process in tqdm(mdp.items(), desc="trust_region", unit="mdp", disable=None):
        drawn = paths.starts(name, process, seed, aggregations=aggregations, each=starts, group_size=group_size)
        eta_star = float(optimal_policy(process)[1].eta)
        for region_name, constraint in region.items():
            for algorithm, pi in _walks(name, process, constraint, drawn, iterations, neural, seed):
                parts.append(
                    records.rows(
                        compare(process, pi[:-1], pi[1:]),
                        checked,
                        study="trust_region",
                        mdp=name,
                        algorithm=algorithm,
                        region=region_name,
                        delta=constraint.delta,
                        seed=seed,
                        instance=np.arange(pi.shape[1]),
                        iteration=np.arange(len(pi) - 1)[:, None],
                        eta_star=eta_star,
                    )
                )
    return records.stack(parts)


def _walks(
    name: str,
    mdp: MDP,
    region: Region,
    drawn: Sequence[paths.Start],
    iterations: int,
    neural: Mapping[str, Any] | None,
    seed: int,
) -> Iterator[tuple[str, Array]]:
    """Yield each algorithm with its policies [T+1,N,S,A]."""
    for tied in (False, True):
        steps = [partial(region_step, region=region, groups=start.groups if tied else None) for start in drawn]
        exact = [paths.follow(mdp, start.pi, step, iterations) for start, step in zip(drawn, steps, strict=True)]
        yield "exact-tied" if tied else "exact", np.concatenate(exact, axis=1)
    if neural is not None:
        own = {"starts": 2, "iterations": iterations, **neural}
        counts = own.pop("iterations"), own.pop("starts")
        yield "neural", walks(name, mdp, region, Learner(**own), *counts, seed)[0]


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: the return by iteration."""
    return progress(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each delta, algorithm and region: what the steps did.

    ``falls`` is the share of updates that lower eta, ``runs_with_fall`` that of runs in which one does; the KLs are medians of
    realised KL/delta; ``gap`` is the median |gap| as a share of the surrogate gain; ``progress`` the median over runs of
    (eta - eta_0)/(eta* - eta_0) at the end; ``violations`` counts broken claims, all updates taken together.
    """
    updates = records.updates_of(table)
    keys = ["delta", "algorithm", "region"]
    broken = table.assign(violated=table["verdict"] == "violated").groupby(keys, observed=True)["violated"].sum()
    moving = updates[updates["surrogate_gain"] > 0]
    shares = moving[keys].assign(
        kl_max=moving["kl_max"] / moving["delta"],
        kl_mean=moving["kl_mean"] / moving["delta"],
        gap=moving["gap"].abs() / moving["surrogate_gain"],
    )
    runs = updates.groupby([*keys, "run"], observed=True)["falls"].any().groupby(keys, observed=True).mean()
    last = updates[updates["iteration"] == updates.groupby(keys, observed=True)["iteration"].transform("max")]
    columns = [
        updates.groupby(keys, observed=True).agg(updates=("falls", "size"), falls=("falls", "mean")),
        runs.rename("runs_with_fall"),
        shares.groupby(keys, observed=True).median().rename(columns={"kl_max": "kl_max/delta", "kl_mean": "kl_mean/delta"}),
        last.groupby(keys, observed=True)["progress_new"].median().rename("progress"),
        broken.rename("violations"),
    ]
    return pd.concat(columns, axis=1).reset_index()
