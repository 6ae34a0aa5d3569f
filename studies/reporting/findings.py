"""What the tables say in a few sentences, each computed from them: a sentence without its table is not written.

A finding of a study that was run twice, with other seeds, gives the second number beside the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bounds import CATALOGUE
from studies import guaranteed_step, records, tightness, verify
from studies.figures import wilson
from studies.guaranteed_step_figures import TRUTH
from studies.ledger import seed_of
from studies.reporting.content import number, plain
from studies.reporting.ledgers import VERDICTS

Tables = Mapping[str, Sequence[pd.DataFrame]]

TIGHT = 0.999
"""Certified usage from which on a bound counts as one that no constant improves."""

CLAIMED, TRUE, FALSE, KINDS = QUESTIONS = (
    "What was claimed",
    "What is true",
    "What is false",
    "What max-KL and mean-KL regions do",
)


@dataclass(frozen=True)
class Finding:
    """A sentence, and the question that it answers, one of :data:`QUESTIONS`."""

    question: str
    text: str


def findings(tables: Tables, empirical: pd.DataFrame | None = None) -> list[Finding]:
    """Return what the tables say, in the order of the questions.

    Parameters
    ----------
    tables
        By study, those of one study in the order of their seeds.
    empirical
        The ledger's verdicts on the paper's sentences, :func:`studies.ledger.empirical`.
    """
    said = [finding for find in _FINDERS for finding in _tried(find, tables)]
    if empirical is not None and len(empirical):
        said.append(_verdicts(empirical))
    return sorted(said, key=lambda finding: QUESTIONS.index(finding.question))


def _tried(find: Callable[[Tables], list[Finding]], tables: Tables) -> list[Finding]:
    try:
        return find(tables)
    except Exception as error:  # of a table of another version, in any way
        said = plain(f"{type(error).__name__}: {' '.join(str(error).split())}")
        return [Finding(TRUE, f"One finding cannot be computed of these tables, which another version wrote ({said}).")]


def _claimed(tables: Tables) -> list[Finding]:
    text = (
        r"TRPO (arXiv:1502.05477v5) proves $|\eta(\tilde\pi)-L_\pi(\tilde\pi)|\leq C\,\max_s KL(\pi\|\tilde\pi)$ with "
        r"$C=\frac{4\epsilon\gamma}{(1-\gamma)^2}$ (its eq. 9, here `kl-trpo`), so that maximising $L_\pi-C\,\max_s KL$ never "
        r"lowers the return $\eta$ (Algorithm 1). In practice it bounds the mean KL by a fixed radius $\delta$ instead, and "
        "reports that this has a similar effect as bounding the largest."
    )
    return [Finding(CLAIMED, text)]


def _theorems(tables: Tables) -> list[Finding]:
    table = _verified(tables, "theorem")
    if table is None:
        return []
    broken = table[table["violations"] > 0]
    verdict = f"**{len(broken)} violated: {_names(broken['claim'])}**" if len(broken) else "none was violated"
    counts = {name: int(table[name].sum()) for name in ("instances", "certified", "undecided")}
    text = (
        f"{len(table)} theorems were held against up to {number(int(table['instances'].max()))} comparisons each, and {verdict}. "
        f"{number(counts['certified'])} of {number(counts['instances'])} verdicts are certified by rigorous error bounds; "
        f"{counts['undecided'] / counts['instances']:.1%} are left open by floats ([verify](#verify))."
    )
    return [Finding(TRUE, text)]


def _broken(tables: Tables) -> list[Finding]:
    table = _verified(tables, "false")
    if table is None:
        return []
    broken, left = table[table["violations"] > 0], table[table["violations"] == 0]
    text = f"{len(broken)} of {len(table)} plausible statements that are false were broken by certified instances"
    text += f", all but {_names(left['claim'])}" if len(left) else ""
    printed = [id for id in broken["claim"] if id in CATALOGUE and CATALOGUE[id].source.startswith("TRPO arXiv")]
    text += f"; {len(printed)} of them stand in the paper itself: {_names(printed)} ([errata](#errata))." if printed else "."
    return [Finding(FALSE, text)]


def _used(tables: Tables) -> list[Finding]:
    if not tables.get("tightness"):
        return []
    table = tightness.summary(tables["tightness"][0])
    proven = table[table["status"] == "theorem"]
    least = proven.groupby("claim", observed=True, sort=False)["usage"].min()
    text = (
        f"An adversary brings {int((least >= TIGHT).sum())} of {least.size} bounds to a certified usage of {TIGHT} or more at "
        "every discount factor tried, so that no smaller factor sharpens these"
    )
    own = proven[proven["claim"] == "kl-trpo"].sort_values("gamma").to_dict("records")
    each = ", ".join(f"{number(row['usage'])} at gamma {row['gamma']:g} (at most {number(row['ceiling'])})" for row in own)
    text += f". Of the penalty of eq. 9 the most that it found used is {each}" if own else ""
    return [Finding(TRUE, f"{text} ([tightness](#tightness)).")]


def _steps(tables: Tables) -> list[Finding]:
    if not tables.get("guaranteed_step"):
        return []
    table, column = guaranteed_step.summary(tables["guaranteed_step"][0]), "gamma 0.99"
    if column not in table:
        return []
    rows = table[table["path"] == "max-kl"]
    sizes = {claim: number(size) for claim, size in zip(rows["claim"], rows[column], strict=True)}
    own = {"eq. 9": "kl-trpo", "`kl-sqrt-horizon`": "kl-sqrt-horizon"}
    each = " and ".join(f"{name} up to {sizes[claim]} nats" for name, claim in own.items() if claim in sizes)
    if not each or TRUTH not in sizes:
        return []
    text = (
        f"At {column}, along exact max-KL updates of the median policy with tied states, improvement is guaranteed by {each}; in "
        f"truth the return does not fall up to {sizes[TRUTH]} nats (the largest radius tried is 10) "
        "([guaranteed_step](#guaranteed_step))."
    )
    return [Finding(TRUE, text)]


def _by_seed(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """One table a seed, in their order: of those with the same seed the longest, which rests on most."""
    longest: dict[int, pd.DataFrame] = {}
    for table in tables:
        seed = seed_of(table)
        if seed not in longest or len(table) > len(longest[seed]):
            longest[seed] = table
    return list(longest.values())


def _falls(tables: Tables) -> list[Finding]:
    runs = [records.updates_of(table) for table in _by_seed(tables.get("trust_region", ()))]
    names = {
        "exact": "exact updates of the whole table",
        "exact-tied": "exact updates whose states share action laws",
        "neural": "updates of the neural agent given exact advantages",
    }
    said = []
    for algorithm, name in names.items():
        parts = [updates.loc[updates["algorithm"] == algorithm, "falls"] for updates in runs]
        parts = [falls for falls in parts if len(falls)]
        if parts:
            said.append(f"{_both([f'{falls.mean():.1%} of {number(len(falls))}' for falls in parts])} {name}")
    if not said:
        return []
    falls = any(updates["falls"].any() for updates in runs)
    lead = "A fixed radius does not make every step monotone" if falls else "With a fixed radius no step lowered the return here"
    return [
        Finding(KINDS, f"{lead}. Share of updates in which the return fell: {'; '.join(said)} ([trust_region](#trust_region)).")
    ]


def _regions(tables: Tables) -> list[Finding]:
    runs = [records.updates_of(table) for table in _by_seed(tables.get("neural_truth", ()))]
    runs = [updates[updates["accepted"] & (updates["sampler"] != "exact")] for updates in runs]
    runs = [updates for updates in runs if {"max_kl", "mean_kl"} <= set(updates["region"])]
    if not runs:
        return []
    shares = {
        region: _both([_fallen(updates[updates["region"] == region]) for updates in runs]) for region in ("max_kl", "mean_kl")
    }
    mean = [updates[(updates["region"] == "mean_kl") & (updates["curvature"] == "fisher")] for updates in runs]
    sizes = _both([number(float((own["kl_max"] / own["delta"]).median())) for own in mean])
    text = (
        f"From sampled batches a mean-KL step of radius delta with the analytic Fisher matrix has a true max KL of {sizes} delta "
        f"in the median. The true return fell in {shares['max_kl']} of the accepted max-KL updates and in {shares['mean_kl']} of "
        "the mean-KL ones (95 % Wilson intervals that take updates as independent) ([neural_truth](#neural_truth))."
    )
    return [Finding(KINDS, text)]


def _verdicts(empirical: pd.DataFrame) -> Finding:
    """Count the verdicts."""
    counts = empirical["verdict"].astype(str).value_counts()
    said = ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
    text = f"Of {len(empirical)} sentences on experiments, decided by rules that stand beside them, **{said}**"
    return Finding(KINDS, f"{text}; the table says where ([ledger](#empirical)).")


def _verified(tables: Tables, status: str) -> pd.DataFrame | None:
    """Claims of a status in the first run of verify, a row each, or None where there is none."""
    if not tables.get("verify"):
        return None
    table = verify.summary(tables["verify"][0])
    own = table[table["status"] == status]
    return own if len(own) else None


def _fallen(updates: pd.DataFrame) -> str:
    share = float(updates["falls"].mean())
    low, high = wilson(share, len(updates))
    return f"{share:.1%} [{low:.1%}, {high:.1%}]"


def _both(values: Sequence[str]) -> str:
    """The first value, with those of further runs beside it."""
    return values[0] if len(values) == 1 else f"{values[0]} (with other seeds {', '.join(values[1:])})"


def _names(ids: Sequence[str] | pd.Series) -> str:
    return ", ".join(f"`{id}`" for id in ids)


_FINDERS: tuple[Callable[[Tables], list[Finding]], ...] = (_claimed, _theorems, _used, _steps, _broken, _falls, _regions)
