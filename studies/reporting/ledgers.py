"""The ledger as a section: which theorems held and how tight they are, and which sentences on experiments the tables bear out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd

from bounds import CATALOGUE
from studies.reporting.content import Block, Download, Grid, Notice, Section, grid, number, plain, slug
from studies.reporting.sections import unmarked

Tables = Mapping[str, Sequence[pd.DataFrame]]

THEOREMS = (
    "Each claim of the catalogue: its status, the comparisons it was held against, its largest certified usage, left side over "
    "right side, and how much sharper it could be at most."
)
EMPIRICAL = (
    "What the paper and the note say of experiments, and the verdict of a rule on what was measured here. The second run has "
    "other seeds."
)
WHERE = (
    "The sentences of the paper and the note on experiments in a word or two each, and the settings in which a rule came to each "
    "verdict; whole sentences, effects and rules stand in the [ledger](#empirical)."
)
VERDICTS = ("supported", "not supported", "undecided here")
RULES = "What was measured for each of these sentences, the rule that gives the verdict, and the table that it reads."


def claim_id(claim: str) -> str:
    """Anchor of a claim in the ledger."""
    return slug("claim", claim.replace("/", "-over-").replace("=", "-is-"))


def ledger_section(theorems: pd.DataFrame | str, empirical: pd.DataFrame | str) -> Section:
    """Return the section of both tables of :mod:`studies.ledger`; a text in the place of one says why there is none."""
    first: Block = Notice(theorems) if isinstance(theorems, str) else theorem_grid(theorems)
    second = (Notice(empirical),) if isinstance(empirical, str) else empirical_blocks(empirical)
    parts = (Section("theorems", "Theorems", (first,)), Section("empirical", "Empirical claims", second))
    return Section("ledger", "Ledger", (), parts)


def theorem_grid(table: pd.DataFrame) -> Grid:
    """Return the table of theorems, a row and an anchor a claim."""
    shown = table.assign(
        formula=[statement(str(claim), str(formula)) for claim, formula in zip(table["claim"], table["formula"], strict=True)]
    )
    shown = unmarked(shown, but=["claim", "formula"])
    data = Download("ledger.theorems.csv", table.to_csv(index=False))
    return grid(
        "theorems.table",
        shown,
        THEOREMS,
        math=["formula"],
        code=["claim"],
        data=data,
        anchors=[claim_id(str(claim)) for claim in table["claim"]],
    )


def empirical_blocks(table: pd.DataFrame) -> tuple[Block, ...]:
    """Return the verdicts as a table, then for each sentence what was measured and the rule."""
    shown = pd.DataFrame(
        {
            "id": [plain(str(id)) for id in table["id"]],
            "sentence": [plain(str(sentence)) for sentence in table["sentence"]],
            "source": [plain(str(source)) for source in table["source"]],
            "effect [95 %]": [_effect(row, "") for row in table.to_dict("records")],
            "verdict": table["verdict"].astype(str),
            "second run [95 %]": [_effect(row, "second_") for row in table.to_dict("records")],
            "second verdict": ["" if pd.isna(cell) else str(cell) for cell in table["second_verdict"].astype(object)],
        }
    )
    rules = unmarked(table[["id", "measured", "rule", "table"]])
    data = Download("ledger.empirical.csv", table.to_csv(index=False))
    return (
        grid("empirical.table", shown, EMPIRICAL, data=data),
        grid("empirical.rules", rules, RULES),
    )


def verdict_grid(table: pd.DataFrame) -> Grid:
    """Return where each sentence got which verdict: a row a sentence, its settings being what its ids say behind a colon."""
    places: dict[str, dict[str, list[str]]] = {}
    for id, verdict in zip(table["id"].astype(str), table["verdict"].astype(str), strict=True):
        name, _, setting = id.partition(": ")
        places.setdefault(name, {}).setdefault(verdict, []).append(setting or "yes")
    rows = [
        {"sentence": plain(name), **{verdict: plain("; ".join(where.get(verdict, []))) for verdict in VERDICTS}}
        for name, where in places.items()
    ]
    return grid("empirical.places", pd.DataFrame(rows), WHERE)


def statement(claim: str, formula: str) -> str:
    """Return the whole statement of a claim in LaTeX: the formula of a bound is its right-hand side."""
    known = CATALOGUE.get(claim)
    whole = known is None or known.kind != "bound" or r"\leq" in formula
    return formula if whole else rf"|\eta(\tilde\pi)-L_\pi(\tilde\pi)|\leq {formula}"


def _effect(row: Mapping[Hashable, object], prefix: str) -> str:
    effect, low, high = (row.get(f"{prefix}{name}") for name in ("effect", "low", "high"))
    if effect is None or pd.isna(effect):  # type: ignore[call-overload]
        return ""
    return plain(f"{number(effect)} [{number(low)}, {number(high)}] {row.get('unit') or ''}".strip())
