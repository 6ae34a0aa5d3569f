"""How tight every bound is: the largest usage that the adversary finds and certifies, beside the most that is possible.

The table has one row for each bound, gamma and start:

============ ==========================================================================================================
column       meaning
============ ==========================================================================================================
study        "tightness"
claim        id in the catalogue; then its ``kind``, ``status`` and ``source``
gamma        discount factor
start        "random"; "structured", from the families of :mod:`bounds.instances` that fit the states and actions; "stored", the
             witness that is kept of the claim at that gamma, certified again and not searched from: the best of long searches
states       and ``actions`` of the processes searched
usage        certified: the lower end of its enclosure; above 1 the claim is refuted
outcome      of the certificate: HOLDS, VIOLATED or UNDECIDED
ceiling      a proven upper limit of the usage (:data:`CEILINGS`), the supremum where it is known; nan where there is none
improvable   ceiling / usage: what the search leaves open; 1 where the ceiling is met
sharpest     1 / usage: no bound of the same form has a constant smaller by more than this factor
budget       comparisons spent, of a stored witness by the search that found it
seed         of the search; a row depends on it and its own settings only
============ ==========================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from bounds import Claim
from bounds.instances import STRUCTURED
from bounds.search import search
from bounds.sharper import sqrt_horizon
from bounds.witnesses import load, path_of
from mdps.families.worst_case import Pair
from studies import records
from studies.tightness_figures import by_bound
from studies.tightness_figures import figures as figures

GAMMAS = (0.5, 0.9, 0.99)
OPEN_GAMMAS = (0.01, 0.03, 0.05, 0.07, 0.1, 0.13, 0.14, 0.2, 0.25, 0.3, 0.36, 0.4, 0.43, 0.5, 0.7, 0.9, 0.99)
STARTS = ("random", "structured", "stored")
WITNESSES = Path(__file__).resolve().parents[1] / "tests" / "bounds" / "witnesses"
"""Where witnesses are kept, as exact fractions; the tests replay them."""


def _three_halves(gamma: float) -> float:
    """``(1-gamma)^2 / gamma sum_t gamma^t sqrt t``: kl-sqrt-horizon's penalty in units of 2 eps gamma max KL / (1-gamma)^2."""
    return (1 - gamma) ** 2 / gamma * float(sqrt_horizon(np.asarray(gamma)))


def _mean_kl(gamma: float) -> float:
    """meankl-linear-bernstein's penalty in units of TRPO's C times the mean KL."""
    return 0.25 + float(np.sqrt((1 - gamma) / gamma)) / 2


CEILINGS: dict[str, Callable[[float], float]] = {
    "kl-trpo": lambda gamma: _three_halves(gamma) / 2,
    "kl-trpo-reverse": lambda gamma: _three_halves(gamma) / 2,
    "kl-tight-pinsker": _three_halves,
    "kl-seed-summary": lambda gamma: gamma * _three_halves(gamma),
    "kl-bh": _three_halves,
    "kl-three-halves": lambda gamma: _three_halves(gamma) * float(np.sqrt(gamma / (1 - gamma))),
    "kl-three-halves-jensen": lambda gamma: _three_halves(gamma) / float(np.sqrt(1 - gamma)),
    "cpo-kl12": lambda gamma: float(np.sqrt(1 - gamma)),
    "meankl-chain": lambda gamma: float(np.sqrt(gamma)),
    "meankl-chain-bh": lambda gamma: float(np.sqrt(gamma)),
    "meankl-linear": lambda gamma: _mean_kl(gamma) / (0.25 + float(np.sqrt((1 - gamma) / (2 * gamma)))),
    "meankl-trpoC": _mean_kl,
    "meankl-trpoC/2": lambda gamma: 2 * _mean_kl(gamma),
}
"""Upper limits of a usage at 0 < gamma < 1 that follow from another theorem; every other theorem has its own, 1.

Those of max KL follow from kl-sqrt-horizon, whose proof reads the same with KL reversed, or with 1 - exp(-KL) in the place of KL.
Those of meankl-linear and TRPO's C with the mean KL follow from meankl-linear-bernstein, those of cpo-kl12 and meankl-chain from
meankl-joint, and that of meankl-chain-bh as meankl-joint does, by the inequality of Bretagnolle and Huber:
T <= gamma sqrt(1 - exp(-E_d KL / (1-gamma))).
"""


def run(
    claims: Sequence[str] | None = None,
    gammas: Sequence[float] | None = None,
    open_gammas: Sequence[float] | None = None,
    starts: Sequence[str] = STARTS,
    states: int = 3,
    actions: int = 3,
    budget: int = 40_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the table above.

    Parameters
    ----------
    claims
        Ids; None for every bound that is a theorem or open, with those of a user's own modules.
    gammas, open_gammas
        Discount factors of the theorems, and of the open claims; None for the study's own.
    starts
        Some of "random", "structured" and "stored".
    states, actions
        Of the processes searched.
    budget
        Comparisons for each row.
    seed
        Of every search.

    Raises
    ------
    ValueError
        If a name is unknown, a list is empty, a gamma is not in (0, 1), or a number is too small for a search.
    """
    checked = records.select_claims(claims)
    gammas = GAMMAS if gammas is None else gammas
    open_gammas = OPEN_GAMMAS if open_gammas is None else open_gammas
    for name, values in {"gammas": gammas, "open_gammas": open_gammas}.items():
        if not len(values) or not all(0 < gamma < 1 for gamma in values):
            raise ValueError(f"{name} is {list(values)}; give at least one discount factor, each between 0 and 1")
    unknown = [start for start in starts if start not in STARTS]
    if unknown or not len(starts):
        raise ValueError(f"starts is {list(starts)}; expected some of {', '.join(STARTS)}")
    tasks = [
        (claim, gamma, start)
        for claim in checked
        for gamma in (open_gammas if claim.status == "open" else gammas)
        for start in starts
        if start != "stored" or path_of(WITNESSES, claim.id, gamma).exists()
    ]
    rows = []
    for claim, gamma, start in tqdm(tasks, desc="tightness", unit="search", disable=None):
        if start == "stored":
            witness = load(path_of(WITNESSES, claim.id, gamma))
        else:
            given = structured(gamma, states, actions) if start == "structured" else []
            witness = search(claim, states=states, actions=actions, gamma=gamma, budget=budget, seed=seed, starts=given)
        highest = ceiling(claim, gamma)
        rows.append(
            {
                "study": "tightness",
                "claim": claim.id,
                "kind": claim.kind,
                "status": claim.status,
                "source": claim.source,
                "gamma": gamma,
                "start": start,
                "states": witness.mdp.S,
                "actions": witness.mdp.A,
                "usage": witness.usage,
                "outcome": str(witness.verdict.outcome),
                "ceiling": highest,
                "improvable": highest / witness.usage if witness.usage else np.inf,
                "sharpest": 1 / witness.usage if witness.usage else np.inf,
                "budget": witness.budget,
                "seed": witness.seed,
            }
        )
    labels = ["study", "claim", "kind", "status", "source", "start", "outcome"]
    return pd.DataFrame(rows).astype(dict.fromkeys(labels, "category"))


def ceiling(claim: Claim, gamma: float) -> float:
    """Return the most that a claim's usage can be, by what is proven; nan where nothing is."""
    if claim.id in CEILINGS:
        return CEILINGS[claim.id](gamma)
    return 1.0 if claim.status == "theorem" else np.nan


def structured(gamma: float, states: int, actions: int) -> list[Pair]:
    """Return the structured families at a gamma that have at most so many states and actions."""
    pairs = (family(gamma) for family in STRUCTURED.values())
    return [pair for pair in pairs if max(pair.mdp.S - states, pair.mdp.A - actions) <= 0]


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: the largest certified usage of every bound, beside its ceiling."""
    return by_bound(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a bound and gamma: the better of the starts, and what each found."""
    keys = ["claim", "status", "gamma"]
    best = table.loc[table.groupby(keys, observed=True, sort=False)["usage"].idxmax()].set_index(keys)
    found = table.pivot_table("usage", keys, "start", observed=True, sort=False).reindex(best.index)
    spent = table.groupby(keys, observed=True, sort=False)["budget"].sum()
    columns = best[["usage", "outcome", "ceiling", "improvable", "sharpest"]]
    return columns.join(found.add_prefix("from_")).assign(budget=spent).reset_index()
