"""How far a step may go with a promise of improvement, by each bound and discount factor, and how far it truly may.

From an old policy lead three paths of new policies, each measured by its own size:

======== ================================================================ ==========================================
path     new policies                                                     size
======== ================================================================ ==========================================
mixture  (1-alpha) old + alpha target, target the maximiser of L          alpha, at most 1
max-kl   maximisers of L within max_s KL(old || new) <= delta             delta in nats
mean-kl  maximisers of L within E_d KL(old || new) <= delta               delta in nats
======== ================================================================ ==========================================

A bound guarantees a step where ``L - eta(old) >= penalty``; what it allows is the largest size up to which it guarantees every
step of the path. The row "truth" has the largest up to which eta does not fall. States are tied at random (:mod:`trpo.groups`):
steps of a whole table improve at every size, and would show nothing. Two processes in which the answer is known stand beside
the random ones:

* ``best-case``: two arms, drawn evenly. A step gains as much as one of its distance can in any process, but for terms of higher
  order, so that a penalty made of a distance and max|A| or max|g| allows no larger distance elsewhere. There cpi-trpo allows
  alpha = (1-gamma)/(2 gamma), tv-trpo as much in TV, and kl-trpo about (1-gamma)^2/(8 gamma^2) nats.
* ``worst-case``: :func:`mdps.families.fam_cpi`, both states tied. It attains cpi-kl02-resolvent, which here allows
  (1-gamma)/gamma, exactly what is true. No max-KL bound with gamma > 1/5 allows any step there: from a deterministic policy
  KL grows as alpha, not as its square.

A step that makes only a share x of the gain that its path has is allowed x times the size where penalties are as the square of
the distance: x times alpha, x^2 times delta. How many updates follow from such steps is the study ``improvement``, which runs
Algorithm 1 with the coefficient of each bound, and both forms of conservative policy iteration.

The table has one row for each process, path, discount factor, instance and bound:

=================== ===============================================================================================
column              meaning
=================== ===============================================================================================
study, mdp, path    names
gamma               discount factor
seed, instance      the run's seed, and the number of the process's tie, policy (and process, where it is random)
claim, status       of a bound in the catalogue; "truth" for eta itself
size                largest step allowed, in the unit of the path; 0 if not even the smallest tried is
tv_max              of that step; likewise ``kl_max`` and ``kl_mean``
share               surrogate gain of that step as a share of the largest possible (without a bound on the step)
whole               whether the whole path is allowed, to alpha = 1 or the largest delta tried
=================== ===============================================================================================

Sizes are found on a grid and between its points by interpolation; they are right to a quarter of a percent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from bounds import Claim, Comparison, compare
from bounds.bank import RANDOM, check
from mdps import MDP, Evaluation, evaluate
from mdps.families import bandit, fam_cpi
from mdps.mdp import Array, uniform_policy
from studies import records
from studies.guaranteed_step_figures import TRUTH, random_ones, steps
from studies.guaranteed_step_figures import figures as figures
from trpo.exact import mixture_step, policy_iteration_step, region_step
from trpo.region import Reduce, Region

GAMMAS = (0.5, 0.9, 0.99, 0.999, 0.9999)
PROCESSES = tuple(name for name in RANDOM if not name.endswith("bandit"))
"""Those of the bank in which a step has consequences."""

SMALLEST_ALPHA, SMALLEST_DELTA, LARGEST_DELTA = 1e-9, 1e-18, 10.0


class Instances(NamedTuple):
    """Old policies with tied states, and the processes they act in: the same at every discount factor."""

    mdp: MDP  # batch [G, N]
    old: Array  # [N, S, A]
    groups: NDArray[np.intp]  # [S]


def run(
    instances: int = 5,
    seed: int = 0,
    gammas: Sequence[float] | None = None,
    mdps: Sequence[str] | None = None,
    aggregations: int = 3,
    group_size: int = 2,
    resolution: int = 20,
    claims: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the table above. An instance from which no step gains has no rows.

    Parameters
    ----------
    instances
        Old policies for each tie of states.
    seed
        A row depends on it and on its own names only.
    gammas
        Discount factors; None for :data:`GAMMAS`.
    mdps
        Names in :data:`bounds.bank.RANDOM`; None for those in which a step has consequences.
    aggregations, group_size
        Ties of states for each process, and states in a group on average.
    resolution
        Sizes tried, in each decade.
    claims
        Ids of bounds; None for every one that is a theorem or open, a user's own among them.

    Raises
    ------
    ValueError
        If a name is unknown, a claim is no bound, a list is empty or a number is not positive.
    """
    gammas = GAMMAS if gammas is None else gammas
    names = PROCESSES if mdps is None else tuple(mdps)
    check(names, instances)
    for what, value in {"aggregations": aggregations, "group_size": group_size, "resolution": resolution}.items():
        if value < 1:
            raise ValueError(f"{what} is {value}; give at least 1")
    if not len(gammas):
        raise ValueError("gammas is empty; give at least one number")
    checked = records.select_claims(claims)
    for claim in checked:
        if claim.kind != "bound":
            raise ValueError(f"claim {claim.id!r} is of kind {claim.kind}; only bounds guarantee a step")
    tasks = [("best-case", 0), ("worst-case", 0), *((name, tie) for name in names for tie in range(aggregations))]
    parts = []
    for name, tie in tqdm(tasks, desc="guaranteed_step", unit="tie", disable=None):
        drawn = KNOWN[name](np.asarray(gammas)) if name in KNOWN else draw(name, gammas, instances, group_size, seed, tie)
        old = evaluate(drawn.mdp, drawn.old)
        for path, sizes, policies in paths(old, drawn.groups, resolution):
            rows = _rows(compare(drawn.mdp, old, policies), sizes, checked, np.asarray(gammas))
            parts.append(rows.assign(mdp=name, path=path, seed=seed, instance=rows["instance"] + tie * instances))
    table = pd.concat(parts, ignore_index=True).assign(study="guaranteed_step")
    table["status"] = table["claim"].map({claim.id: claim.status for claim in checked} | {TRUTH: TRUTH})
    columns = ["study", "mdp", "path", "gamma", "seed", "instance", "claim", "status"]
    table = table[[*columns, *(column for column in table if column not in columns)]]
    return table.astype(dict.fromkeys(["study", "mdp", "path", "claim", "status"], "category"))


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: the largest guaranteed step against 1 - gamma."""
    return steps(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each path and bound: the largest step allowed at each discount factor, and ``too_far``.

    Steps are medians over the instances of all random processes, and in columns "best case ..." those of that process.
    ``whole`` is the share of instances, random processes only, in which the whole path is allowed. ``too_far`` counts instances
    in which the bound allows a step at which eta falls; none may for a theorem.
    """
    table = table.astype({"path": str, "claim": str})
    keys = ["path", "claim"]
    order = {key: i for i, key in enumerate(dict.fromkeys(zip(table["path"], table["claim"], strict=True)))}
    case = ["mdp", "path", "gamma", "instance"]
    true = table[table["claim"] == TRUTH].set_index(case)["size"]
    beyond = table["size"] > 1.01 * true.loc[pd.MultiIndex.from_frame(table[case])].to_numpy()
    parts: list[pd.DataFrame | pd.Series] = []
    for name, rows in {"gamma": random_ones(table), "best case": table[table["mdp"] == "best-case"]}.items():
        sizes = rows.pivot_table(index=keys, columns="gamma", values="size", aggfunc="median")
        parts.append(sizes.set_axis([f"{name} {gamma:g}" for gamma in sizes], axis=1))
    parts.append(random_ones(table).groupby(keys)["whole"].mean())
    parts.append(beyond.groupby([table[key] for key in keys]).sum().rename("too_far"))
    joined = pd.concat(parts, axis=1)
    return joined.loc[list(order)].reset_index()


def draw(name: str, gammas: Sequence[float], instances: int, group_size: int, seed: int, tie: int) -> Instances:
    """Draw a tie of the states of a process of the bank, and policies that respect it, uniform on the simplex for each group.

    The states are dealt at random into groups of sizes that differ by one at most.
    """
    rng = np.random.default_rng([seed, tie, zlib.crc32(name.encode())])
    mdp = RANDOM[name](np.zeros(instances), rng)
    groups = rng.permutation(mdp.S) % -(-mdp.S // group_size)
    laws = rng.dirichlet(np.ones(mdp.A), size=(instances, groups.max() + 1))
    return Instances(MDP(mdp.P, mdp.R, mdp.rho0, np.asarray(gammas)[:, None]), laws[:, groups], groups)


def _best_case(gammas: Array) -> Instances:
    mdp = bandit([-1.0, 1.0], gamma=gammas[:, None])
    return Instances(mdp, uniform_policy(mdp)[0], np.zeros(1, dtype=int))


def _worst_case(gammas: Array) -> Instances:
    pair = fam_cpi(gammas[:, None], 1.0)
    return Instances(pair.mdp, pair.old[0], np.zeros(2, dtype=int))


KNOWN: dict[str, Callable[[Array], Instances]] = {"best-case": _best_case, "worst-case": _worst_case}
"""Name -> (gammas [G]) -> instances, for which the largest steps are known in closed form."""


def paths(old: Evaluation, groups: NDArray[np.intp], resolution: int) -> Iterator[tuple[str, Array, Array]]:
    """Yield each path's name, the sizes of its steps [K] and its policies [K,*B,S,A]."""
    alphas = _grid(SMALLEST_ALPHA, 1.0, resolution)
    target = policy_iteration_step(old, groups)
    yield "mixture", alphas, np.stack([mixture_step(old, alpha, target) for alpha in alphas])
    deltas = _grid(SMALLEST_DELTA, LARGEST_DELTA, resolution)
    ways: tuple[tuple[str, Reduce], ...] = (("max-kl", "max"), ("mean-kl", "mean"))
    for name, reduce in ways:
        yield name, deltas, np.stack([region_step(old, Region("kl", reduce, delta), groups) for delta in deltas])


def _grid(low: float, high: float, resolution: int) -> Array:
    return np.geomspace(low, high, round(resolution * np.log10(high / low)) + 1)


def _rows(c: Comparison, sizes: Array, claims: Sequence[Claim], gammas: Array) -> pd.DataFrame:
    """One row for each gamma, instance and claim, from comparisons [K,G,N] along a path of sizes [K]."""
    gain, possible = c.surrogate_gain, c.surrogate_gain[-1]
    moves = possible > records.FALL * np.abs(c.old.eta).max(0)
    grid, instance = np.meshgrid(gammas, np.arange(c.batch[-1]), indexing="ij")
    along = {"size": np.broadcast_to(sizes[:, None, None], c.batch), "tv_max": c.tv_max, "kl_max": c.kl_max, "kl_mean": c.kl_mean}
    parts = []
    for id, cost in ((TRUTH, -c.gap), *((claim.id, claim.penalty(c)) for claim in claims)):
        with np.errstate(divide="ignore", invalid="ignore"):
            last, share, whole = crossing(np.where(gain > 0, cost / gain, 0.0))
            last = np.where(_at(gain, last) > 0, last, -1)  # an update that rounds to old is no step
            found = {name: between(values, last, share) for name, values in along.items()}
            found["share"] = between(gain, last, share) / possible
        columns = {"gamma": grid, "instance": instance, **found, "whole": whole}
        parts.append(pd.DataFrame({name: values[moves] for name, values in columns.items()}).assign(claim=id))
    return pd.concat(parts, ignore_index=True)


def crossing(ratio: Array) -> tuple[NDArray[np.intp], Array, NDArray[np.bool_]]:
    """Find where a ratio first exceeds 1 along the first axis, [K,*B].

    Returns
    -------
    last
        The last point before that, -1 if there is none, [*B].
    share
        How far the crossing is on the way to the next point, by linear interpolation; 0 where the ratio jumps to infinity.
    whole
        Whether the ratio never exceeds 1; ``last`` is then the last point of all.
    """
    beyond = ratio > 1
    whole = np.asarray(~beyond.any(0))
    last = np.where(whole, len(ratio), beyond.argmax(0)) - 1
    before, after = _at(ratio, last), _at(ratio, last + 1)
    inside = (last >= 0) & ~whole
    share = np.divide(1 - before, after - before, out=np.zeros(last.shape), where=inside)
    return last, share, whole


def between(values: Array, last: NDArray[np.intp], share: Array) -> Array:
    """Values [K,*B] at a :func:`crossing`; 0 where it lies before the first point."""
    low, high = _at(values, last), _at(values, last + 1)
    return np.where(last < 0, 0.0, low + np.multiply(share, high - low, out=np.zeros(share.shape), where=share > 0))


def _at(values: Array, index: NDArray[np.intp]) -> Array:
    return np.take_along_axis(values, np.clip(index, 0, len(values) - 1)[None], 0)[0]
