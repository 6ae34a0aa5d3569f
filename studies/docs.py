"""The parts of the pages in docs/ that are computed: the table of claims with their verdicts, and the errata.

``python studies/docs.py`` writes them between the markers of their pages; a test keeps them current.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # not studies/, where a file would hide the package of its name

import pandas as pd

from bounds import CATALOGUE
from bounds.errata import ERRATA
from studies import verify

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"claims": ROOT / "docs" / "claims.md", "errata": ROOT / "docs" / "errata.md"}
"""Marker of a computed part -> the page it stands in."""
INSTANCES = 20
"""Comparisons for each process, pairing, gamma and distance behind the table."""


def claims_table(summary: pd.DataFrame) -> str:
    """Return one markdown row a claim, from :func:`studies.verify.summary`.

    Usages are given for bounds and lemmas; those of identities and guarantees are in units of rounding.
    """
    left = summary["undecided"].sum() / summary["instances"].sum()
    lines = [
        f"Held against {summary['instances'].max():,} comparisons each. Usages and violations are certified. "
        f"Floats leave {left:.1%} of all verdicts open, equalities mostly.",
        "",
        "| id | statement | source | status | certified usage | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in summary.to_dict("records"):
        claim, largest = CATALOGUE[row["claim"]], float(row["least"])
        side = r"\vert\eta(\tilde\pi)-L_\pi(\tilde\pi)\vert\leq " if claim.kind == "bound" else ""
        measured = claim.kind in ("bound", "lemma")
        usage = "" if not measured else "> 1000" if largest > 1000 else f"{largest:.3g}"
        verdict = re.sub("[:,] (largest )?usage.*", "", row["verdict"])
        lines.append(f"| `{claim.id}` | ${side}{_math(claim.formula)}$ | {claim.source} | {claim.status} | {usage} | {verdict} |")
    return "\n".join(lines)


def errata_table() -> str:
    """Return one markdown row an erratum."""
    lines = ["| | where | printed | instead | claims | shown by |", "|---|---|---|---|---|---|"]
    for e in ERRATA:
        claims, instances = (", ".join(f"`{name}`" for name in names) for names in (e.claims, e.instances))
        lines.append(f"| {e.id} | {e.where} | {_text(e.printed)} | {_text(e.correction)} | {claims} | {instances} |")
    return "\n".join(lines)


def sections() -> dict[str, str]:
    """Compute every generated section: marker -> markdown."""
    own = [claim.id for claim in CATALOGUE.values() if claim.statement.__module__.startswith("bounds.")]  # not a reader's
    summary = verify.summary(verify.run(instances=INSTANCES, claims=own))
    return {"claims": claims_table(summary), "errata": errata_table()}


def section(text: str, marker: str) -> str:
    """Return what stands between the two comments of a marker.

    Raises
    ------
    ValueError
        If the text lacks one of them.
    """
    start, end = f"<!-- {marker} -->\n", f"\n<!-- end of {marker} -->"
    if start not in text or end not in text:
        raise ValueError(f"the page lacks the marker {start.strip()} or {end.strip()}")
    return text.split(start)[1].split(end)[0]


def _math(formula: str) -> str:
    """Write bars by name: a bar would end the cell."""
    return formula.replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def _text(words: str) -> str:
    return words.replace("|", r"\|")


if __name__ == "__main__":
    for marker, content in sections().items():
        text = PAGES[marker].read_text()
        PAGES[marker].write_text(text.replace(section(text, marker), content))
