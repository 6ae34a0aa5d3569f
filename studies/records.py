"""The rows that every study of updates writes: one a comparison and claim, the same columns for exact and for neural agents.

=============== =====================================================================================================
column          meaning
=============== =====================================================================================================
study, mdp      names
algorithm       the update's name
region, delta   what bounded the step, and its radius in nats (nan for an update that has none)
seed, instance  the run's seed, and the number of the random start in it
iteration       updates done before this one
eta_old/_new    expected discounted return of the old and the new policy
L               surrogate return L_old(new) of the new policy; eta(old) for new = old
gap             eta_new - L, by an identity that subtracts no returns
tv_max          largest total variation between the laws of the two policies over all states
kl_max/_mean    KL(old || new): its maximum over all states, its mean over the old policy's d
claim           id in the catalogue
penalty         of a bound: the most that eta_new may differ from L; nan for a claim of another kind
usage           share of what the claim allows that was used: |gap| / penalty for a bound
verdict         "holds" or "violated", as observed in floats
=============== =====================================================================================================

and after these, for the figures, ``gamma``, ``surrogate_gain`` = L - eta_old and ``improvement`` = eta_new - eta_old, both
without cancellation, and ``eta_star``, the optimal return.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bounds import CATALOGUE, Claim, Comparison
from bounds.catalogue import TOLERANCE

CONTRACT = (
    "study",
    "mdp",
    "algorithm",
    "region",
    "delta",
    "seed",
    "instance",
    "iteration",
    "eta_old",
    "eta_new",
    "L",
    "gap",
    "tv_max",
    "kl_max",
    "kl_mean",
    "claim",
    "penalty",
    "usage",
    "verdict",
)
COLUMNS = (*CONTRACT, "gamma", "surrogate_gain", "improvement", "eta_star")
FALL = 1e-12
"""A loss smaller than this share of the return is rounding."""
LABELS = ("study", "mdp", "algorithm", "region", "claim", "verdict")


def rows(
    c: Comparison,
    claims: Sequence[Claim],
    *,
    study: str,
    mdp: str,
    algorithm: str,
    region: str,
    delta: float,
    seed: int,
    instance: ArrayLike,
    iteration: ArrayLike,
    eta_star: float,
) -> pd.DataFrame:
    """Return one row for each comparison of a batch and each claim; the claims of one comparison stand together.

    Parameters
    ----------
    c
        Comparisons, batch axes ``*B``.
    claims
        What to check.
    instance, iteration
        Integers that broadcast to [*B].
    study, mdp, algorithm, region, delta, seed, eta_star
        As in the module's table, the same for all rows.
    """
    count, size = len(claims), int(np.prod(c.batch))

    def each(values: ArrayLike) -> np.ndarray:
        return np.repeat(np.broadcast_to(values, c.batch).ravel(), count)

    def label(values: str | Sequence[str], codes: ArrayLike = 0) -> Any:
        known = [values] if isinstance(values, str) else list(values)
        return pd.Categorical.from_codes(np.broadcast_to(np.asarray(codes, dtype=np.int16), size * count), pd.Index(known))

    usage = np.stack([claim.usage(c) for claim in claims], -1)
    penalty = np.stack(
        [claim.penalty(c) if claim.kind == "bound" else np.full(c.batch, np.nan) for claim in claims],
        -1,
    )
    return pd.DataFrame(
        {
            "study": label(study),
            "mdp": label(mdp),
            "algorithm": label(algorithm),
            "region": label(region),
            "delta": float(delta),
            "seed": seed,
            "instance": each(instance),
            "iteration": each(iteration),
            "eta_old": each(c.old.eta),
            "eta_new": each(c.new.eta),
            "L": each(c.L),
            "gap": each(c.gap),
            "tv_max": each(c.tv_max),
            "kl_max": each(c.kl_max),
            "kl_mean": each(c.kl_mean),
            "claim": label([claim.id for claim in claims], np.tile(np.arange(count), size)),
            "penalty": penalty.ravel(),
            "usage": usage.ravel(),
            "verdict": label(("holds", "violated"), (usage > 1 + TOLERANCE).ravel()),
            "gamma": each(c.gamma),
            "surrogate_gain": each(c.surrogate_gain),
            "improvement": each(c.improvement),
            "eta_star": float(eta_star),
        }
    )


def stack(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Stack rows; a label column keeps one category for each value met, in the order of first appearance."""
    tables = list(parts)
    known = {column: list(dict.fromkeys(x for t in tables for x in t[column].cat.categories)) for column in LABELS}
    return pd.concat(
        [t.assign(**{column: t[column].cat.set_categories(known[column]) for column in LABELS}) for t in tables],
        ignore_index=True,
    )


def updates_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row an update: the table without its claims, and with

    * ``run``: one number for each sequence of updates,
    * ``distance``: eta* - eta_0, eta_0 the return that the run starts from; nan where that is optimal,
    * ``progress_old``, ``progress_new``: (eta - eta_0)/distance,
    * ``falls``: whether the update lowers eta, by more than rounding.

    Where gamma differs between rows, it joins the process's name: another gamma is another process.
    """
    own = ["claim", "penalty", "usage", "verdict"]
    updates = table[_first(table)].drop(columns=own).reset_index(drop=True)
    if updates["gamma"].min() < updates["gamma"].max():
        names = updates["mdp"].astype(str) + ", \u03b3=" + updates["gamma"].map("{:g}".format)
        updates["mdp"] = names.astype("category")
    updates["run"] = updates.groupby(_run(updates), observed=True, dropna=False, sort=False).ngroup()
    start = updates.sort_values("iteration").groupby("run")["eta_old"].first().loc[updates["run"]].to_numpy()
    size = np.maximum(updates["eta_old"].abs(), updates["eta_star"].abs())
    distance = updates["eta_star"] - start
    updates["distance"] = distance.where(distance > FALL * size)
    for when in ("old", "new"):
        updates[f"progress_{when}"] = (updates[f"eta_{when}"] - start) / updates["distance"]
    updates["falls"] = updates["improvement"] < -FALL * size
    return updates


def moving(table: pd.DataFrame, share: float) -> pd.DataFrame:
    """Return the rows of updates whose surrogate gain exceeds this share of eta* - eta_0: those of runs not yet at their end."""
    updates = updates_of(table)
    keep = (updates["surrogate_gain"] > share * updates["distance"]).to_numpy()
    return table[keep[_first(table).cumsum() - 1]]


def _run(table: pd.DataFrame) -> list[str]:
    """Columns that tell one sequence of updates from another."""
    return ["mdp", "algorithm", "region", "delta", "seed", "instance", *(["job"] if "job" in table else [])]


def _first(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a row is the first of its update: the rows of one update stand together."""
    return ~table.duplicated([*_run(table), "iteration"]).to_numpy()


def select_claims(ids: Sequence[str] | None, *, kinds: Sequence[str] = ("bound",)) -> list[Claim]:
    """Look claims up in the catalogue; all of these kinds that are a theorem or open where ``ids`` is None.

    Raises
    ------
    ValueError
        If an id is unknown, or none is given.
    """
    if ids is None:
        return [claim for claim in CATALOGUE.values() if claim.kind in kinds and claim.status != "false"]
    unknown = [id for id in ids if id not in CATALOGUE]
    if unknown:
        raise ValueError(f"unknown claim {unknown[0]!r}; the catalogue has {', '.join(CATALOGUE)}")
    if not ids:
        raise ValueError("claims is empty; give at least one id of the catalogue, or null for the default")
    return [CATALOGUE[id] for id in ids]
