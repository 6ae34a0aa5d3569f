"""What the neural agent's updates truly do, beside what it saw of them: for each sampler, curvature and region.

A row is one of :mod:`studies.records`, an update and claim, with everything in it exact, and after these:

======================= ===================================================================================================
column                  meaning
======================= ===================================================================================================
sampler, curvature      as in :mod:`studies.neural` and :mod:`trpo.curvature`; ``algorithm`` is both
policy                  kind of network
accepted, reason        of the step, as :class:`trpo.neural.Step` has them; a rejected step leaves the policy as it is
backtracks              candidates that the line search rejected
kl_mean/_max_sampled    KL(old || new) over the states of the batch, what the line search held against delta
gain_sampled            surrogate gain by the batch, in units of L: L - eta_old where the batch has all states
gain_predicted          the same by the linear model, for the full step
kl_max_visited          the largest KL over the batch's states, from the tables
visited                 share of the states that are in the batch
outside                 whether the KL that the region bounds exceeds delta in truth, by more than rounding
guaranteed              of a bound: L - penalty - eta_old, what it promises eta to rise by; nan for a claim of another kind
======================= ===================================================================================================

In units of L a mean over d counts 1/(1-gamma). Single paths end in terminal states and do not list them, so there it is the
visits to all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from bounds import Comparison, compare
from mdps import MDP
from mdps.optimal import optimal_policy
from mdps.terminal import terminal
from studies import paths, records
from studies.neural import Learner, Walk, walks
from studies.neural_truth_figures import REGION_KEYS, regions
from studies.neural_truth_figures import figures as figures
from trpo.curvature import Curvature
from trpo.policies import Kind
from trpo.region import Region

CELLS: Mapping[str, Sequence[Curvature]] = {
    "exact": ("fisher", "identity"),
    "single_path": ("fisher", "empirical", "identity"),
    "single_path_undiscounted": ("fisher",),
    "vine": ("fisher", "empirical", "identity"),
}
"""Curvatures of each sampler. Where a batch has all actions, as an exact one, the empirical Fisher matrix is the analytic one."""

ROUNDING = 1e-5
"""Share of delta by which the KL of single precision may differ from that of the tables."""


def run(
    mdp: Mapping[str, MDP],
    region: Mapping[str, Region],
    seed: int = 0,
    iterations: int = 8,
    starts: int = 6,
    cells: Mapping[str, Sequence[Curvature]] | None = None,
    policy: Kind = "mlp",
    hidden: Sequence[int] = (64, 64),
    batch: int = 8,
    claims: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the table above.

    Parameters
    ----------
    mdp, region
        By name.
    seed
        For weights, environments and actions. A row depends on it and on its own names only.
    iterations, starts
        Updates in a row, and random policies to start from: the same ones in all cells of a process.
    cells
        Curvatures by sampler; None for :data:`CELLS`.
    policy, hidden
        See :func:`trpo.policies.make_policy`.
    batch
        Paths a batch; vine has 8 states for each.
    claims
        Ids of bounds; None for every one that is a theorem or open.

    Raises
    ------
    ValueError
        If there is no MDP, region or cell, a number is not positive, or a name is unknown.
    """
    paths.check_processes(mdp)
    chosen = CELLS if cells is None else cells
    learners = [
        Learner(sampler, curvature, policy, tuple(hidden), paths=batch, states=8 * batch)
        for sampler, curvatures in chosen.items()
        for curvature in curvatures
    ]
    if not (region and learners):
        raise ValueError(f"{'cells' if region else 'region'} is empty; choose at least one")
    checked = records.select_claims(claims)
    parts = []
    tasks = [(name, constraint, learner) for name in mdp for constraint in region for learner in learners]
    for name, region_name, learner in tqdm(tasks, desc="neural_truth", unit="cell", disable=None):
        process, constraint = mdp[name], region[region_name]
        pi, walked = walks(name, process, constraint, learner, iterations, starts, seed)
        c = compare(process, pi[:-1], pi[1:])
        rows = records.rows(
            c,
            checked,
            study="neural_truth",
            mdp=name,
            algorithm=f"{learner.sampler} {learner.curvature}",
            region=region_name,
            delta=constraint.delta,
            seed=seed,
            instance=np.arange(starts),
            iteration=np.arange(iterations)[:, None],
            eta_star=float(optimal_policy(process)[1].eta),
        )
        own = seen(process, c, walked, learner).assign(outside=_outside(c, constraint))
        own = own.loc[own.index.repeat(len(checked))].reset_index(drop=True)
        parts.append(rows.join(own).assign(guaranteed=rows["surrogate_gain"] - rows["penalty"]))
    return records.stack(parts).astype(dict.fromkeys(("sampler", "curvature", "policy", "reason"), "category"))


def seen(mdp: MDP, c: Comparison, walked: Sequence[Walk], learner: Learner) -> pd.DataFrame:
    """Return what the agent saw of the updates [T,N] of a comparison, one row each, in the table's columns."""
    steps = [step for row in zip(*(walk.steps for walk in walked), strict=True) for step in row]
    visited = np.stack([walk.visited for walk in walked], axis=1)  # [T, N, S]
    listed = ~terminal(mdp) if learner.sampler.startswith("single_path") else np.ones(mdp.S)
    unit = (c.old.rho * listed).sum(-1).ravel()
    return pd.DataFrame(
        {
            "sampler": learner.sampler,
            "curvature": learner.curvature,
            "policy": learner.policy,
            "accepted": [step.accepted for step in steps],
            "reason": [step.reason for step in steps],
            "backtracks": [step.backtracks for step in steps],
            "kl_mean_sampled": [step.kl_mean for step in steps],
            "kl_max_sampled": [step.kl_max for step in steps],
            "gain_sampled": unit * [step.gain for step in steps],
            "gain_predicted": unit * [step.gain_predicted for step in steps],
            "kl_max_visited": np.where(visited, c.kl, 0.0).max(-1).ravel(),
            "visited": visited.mean(-1).ravel(),
        }
    )


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: max-KL against mean-KL, in truth."""
    return regions(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each delta, sampler, curvature and region.

    ``falls`` counts updates that lower eta, ``L_falls`` those of them in which L falls too; ``accepted`` is a share. Of the
    accepted updates: the medians of the true max and mean KL, in units of delta, and of ``max/sampled``, ``mean/sampled`` and
    ``gain/sampled``, what is true as a multiple of what the batch said; and the share that is ``outside``. ``violations`` counts
    broken claims, all updates together.
    """
    updates = records.updates_of(table)
    updates["L_falls"] = updates["falls"] & (updates["surrogate_gain"] < 0)
    broken = table.assign(violated=table["verdict"] == "violated").groupby(REGION_KEYS, observed=True)["violated"].sum()
    counts = updates.groupby(REGION_KEYS, observed=True).agg(
        updates=("falls", "size"), falls=("falls", "sum"), L_falls=("L_falls", "sum"), accepted=("accepted", "mean")
    )
    moved = updates[updates["accepted"]]
    shares = moved[REGION_KEYS].assign(
        **{
            "kl_max/delta": moved["kl_max"] / moved["delta"],
            "kl_mean/delta": moved["kl_mean"] / moved["delta"],
            "max/sampled": moved["kl_max"] / moved["kl_max_sampled"],
            "mean/sampled": moved["kl_mean"] / moved["kl_mean_sampled"],
            "gain/sampled": moved["surrogate_gain"] / moved["gain_sampled"],
        }
    )
    columns = [
        counts,
        shares.groupby(REGION_KEYS, observed=True).median(),
        moved.groupby(REGION_KEYS, observed=True)["outside"].mean(),
        broken.rename("violations"),
    ]
    return pd.concat(columns, axis=1).reset_index()


def _outside(c: Comparison, region: Region) -> NDArray[np.bool_]:
    if region.measure != "kl":
        return np.zeros(c.kl_max.size, dtype=bool)
    return ((c.kl_max if region.reduce == "max" else c.kl_mean) > region.delta * (1 + ROUNDING)).ravel()
