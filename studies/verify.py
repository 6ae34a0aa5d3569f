"""Hold every claim of the catalogue against the bank: random and structured comparisons, and what the update rules make.

The table has one row for each claim, process, pairing, gamma and distance:

============ ==========================================================================================================
column       meaning
============ ==========================================================================================================
study        "verify"
claim        id in the catalogue; then its ``kind``, ``status`` and ``source``
mdp          process of the bank, or a structured family
pairing      how the two policies are related: a way to draw them, "structured", or the rule that made the new one
gamma        discount factor
distance     of a drawn pair, its size (see :mod:`bounds.pairs`); of a rule, its delta; nan where there is none
instances    comparisons
applies      of these, such as the claim's premise speaks of
usage        the largest, as observed in floats; 0 where it applies to none
least        the largest usage that is certain: of enclosures, the lower end
certified    comparisons in which the claim certainly holds (:mod:`bounds.certify`): where no number in the enclosures breaks it
violations   comparisons in which it is certainly broken
undecided    the rest: mostly equalities, which no enclosure in floats can tell from a violation
exact        comparisons that were decided in exact numbers, floats having left them open
verdict      "holds", "violated" or "undecided"; "error" where the claim's own code failed, usage then is nan
============ ==========================================================================================================
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from bounds import CATALOGUE, Claim, certify_batch
from bounds.bank import DISTANCES, GAMMAS, RANDOM, Cell, random_cells, structured_cells
from bounds.instances import STRUCTURED
from bounds.pairs import PAIRINGS
from mdps.mdp import Array
from studies import records
from studies.cells import DELTAS, update_cells
from studies.updates import UPDATES
from studies.verify_figures import by_gamma
from studies.verify_figures import figures as figures

log = logging.getLogger("studies")


def run(
    instances: int = 60,
    seed: int = 0,
    gammas: Sequence[float] | None = None,
    distances: Sequence[float] | None = None,
    deltas: Sequence[float] | None = None,
    mdps: Sequence[str] | None = None,
    claims: Sequence[str] | None = None,
    exact: int = 20,
) -> pd.DataFrame:
    """Return the table above.

    Parameters
    ----------
    instances
        Comparisons for each process, pairing, gamma and distance; the structured families have their own.
    seed
        A row depends on it and on its own names only.
    gammas, distances, deltas
        What varies: discount factors, sizes of drawn pairs, radii of the updates that have one; None for the bank's own.
    mdps
        Names in :data:`bounds.bank.RANDOM`; None for all.
    claims
        Ids; None for the whole catalogue, with the claims of a user's own modules.
    exact
        Comparisons of each claim that are decided in exact numbers where floats leave them open, the first in the order of the
        bank and, in a cell, the nearest to a violation.

    Raises
    ------
    ValueError
        If a name is unknown, a list is empty, ``instances`` is not positive, or a distance or ``exact`` is negative.
    """
    gammas = GAMMAS if gammas is None else gammas
    distances = DISTANCES if distances is None else distances
    deltas = DELTAS if deltas is None else deltas
    for name, values in {"gammas": gammas, "distances": distances, "deltas": deltas}.items():
        if not len(values):
            raise ValueError(f"{name} is empty; give at least one number")
    if wrong := [distance for distance in distances if not distance >= 0]:
        raise ValueError(f"distances has {wrong[0]}; give sizes of at least 0")
    if exact < 0:
        raise ValueError(f"exact is {exact}; give the number of comparisons of each claim to decide in exact numbers, or 0")
    checked = list(CATALOGUE.values()) if claims is None else records.select_claims(claims)
    names = tuple(RANDOM if mdps is None else mdps)
    cells = chain(
        random_cells(instances, seed, mdps=names, gammas=gammas, distances=distances),
        structured_cells(gammas),
        update_cells(instances, seed, mdps=names, gammas=gammas, deltas=deltas),
    )
    tied = sum(rule.ties for rule in UPDATES.values())
    total = len(names) * (len(PAIRINGS) + len(UPDATES) + tied) + len(STRUCTURED)
    failed: set[str] = set()
    budget = {claim.id: exact for claim in checked}
    parts = [_rows(cell, checked, failed, budget) for cell in tqdm(cells, desc="verify", unit="cell", total=total, disable=None)]
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "study", "verify")
    for name in ("source", "status", "kind"):
        table.insert(list(table.columns).index("claim") + 1, name, table["claim"].map({c.id: getattr(c, name) for c in checked}))
    labels = ["study", "claim", "kind", "status", "source", "mdp", "pairing", "verdict"]
    return table.astype(dict.fromkeys(labels, "category"))


def plot(table: pd.DataFrame) -> Figure:
    """Draw the main figure: the largest usage against gamma."""
    return by_gamma(table)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a claim: over how many comparisons, the largest usage, where it is, and the verdict (:func:`verdict`)."""
    rows = []
    for id, group in table.groupby("claim", observed=True, sort=False):
        errors = int((group["verdict"] == "error").sum())
        worst = group.iloc[int(group["usage"].fillna(-1).to_numpy().argmax())]
        counts = {name: int(group[name].sum()) for name in ("applies", "certified", "violations", "undecided", "exact")}
        rows.append(
            {
                "claim": id,
                "kind": worst["kind"],
                "status": worst["status"],
                "instances": int(group["instances"].sum()),
                "applies": counts["applies"],
                "usage": worst["usage"],
                "least": group["least"].max(),
                "mdp": worst["mdp"],
                "pairing": worst["pairing"],
                "gamma": worst["gamma"],
                "distance": worst["distance"],
                **{name: counts[name] for name in ("certified", "violations", "undecided", "exact")},
                "verdict": verdict(str(worst["status"]), counts["applies"], counts["violations"], float(worst["usage"]), errors),
            }
        )
    return pd.DataFrame(rows)


def verdict(status: str, applies: int, violations: int, usage: float, errors: int = 0) -> str:
    """Say in words what is known of a claim; capitals where it is not what its status says. Violations are certified ones."""
    if errors:
        return f"ERROR in {errors} rows"
    if not applies:
        return "NEVER APPLIED"
    if status == "theorem":
        return "VIOLATED" if violations else "holds"
    if status == "false":
        return "broken, as it should be" if violations else "NOT BROKEN"
    return f"open: broken, usage {usage:.3g}" if violations else f"open: largest usage {usage:.3g}"


def _rows(cell: Cell, claims: Sequence[Claim], failed: set[str], budget: dict[str, int]) -> pd.DataFrame:
    """Rows of all claims in one cell, [claims, G, D] flattened; what is decided in exact numbers is taken off the budget."""
    c = cell.comparison
    shape = (len(claims), len(cell.gammas), len(cell.distances))
    usage = np.stack([_usage(claim, cell, failed) for claim in claims])
    certain = certify_batch(claims, c, exact=[budget[claim.id] for claim in claims])
    for claim, verdicts in zip(claims, certain, strict=True):
        budget[claim.id] -= int(verdicts.exact.sum())
        if verdicts.error and claim.id not in failed:
            log.error("%s cannot be certified for %s, %s: %s", claim.id, cell.mdp, cell.pairing, verdicts.error)
            failed.add(claim.id)
    applies = np.stack([claim.applies(c) for claim in claims]) & ~np.isnan(usage)
    counts = {
        name: np.stack([getattr(verdicts, attribute) for verdicts in certain]).sum(-1).ravel()
        for name, attribute in {
            "certified": "holds",
            "violations": "violated",
            "undecided": "undecided",
            "exact": "exact",
        }.items()
    }
    largest = usage.max(-1).ravel()
    index = pd.MultiIndex.from_product(
        [[claim.id for claim in claims], cell.gammas, cell.distances], names=["claim", "gamma", "distance"]
    )
    frame = index.to_frame(index=False)
    frame.insert(1, "mdp", cell.mdp)
    frame.insert(2, "pairing", cell.pairing)
    known = np.where(counts["violations"] > 0, "violated", np.where(counts["undecided"] > 0, "undecided", "holds"))
    return frame.assign(
        instances=np.broadcast_to(c.batch[-1], shape).ravel(),
        applies=applies.sum(-1).ravel(),
        usage=largest,
        least=np.stack([verdicts.usage for verdicts in certain]).max(-1).ravel(),
        **counts,
        verdict=np.where(np.isnan(largest), "error", known),
    )


def _usage(claim: Claim, cell: Cell, failed: set[str]) -> Array:
    """Usage in a cell [G,D,N]; nan where the claim's own code fails, with a message the first time: the others go on."""
    try:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return claim.usage(cell.comparison)
    except Exception as error:
        if claim.id not in failed:
            log.error("%s cannot be computed for %s, %s: %s", claim.id, cell.mdp, cell.pairing, error)
        failed.add(claim.id)
        return np.full(cell.comparison.batch, np.nan)
