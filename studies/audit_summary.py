"""What an audit's table says: one row an agent and promise, and the same as text."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from studies.promises import PROMISES

LEVEL = 0.05
"""An observation that chance alone makes rarer than this decides a verdict that counts updates."""
RUN = ["agent", "world", "scenario", "delta", "seed", "iteration"]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each agent and promise, and one for the direction of the KL that the agent bounds.

    ``updates`` counts those that the promise says something of, ``broken`` those that break it, and ``first`` says where the
    first of these is. A promise that holds of each update is broken by one; "discount", whose updates are noisy, by a sign test.
    """
    rows = []
    for name, own in table.groupby("agent", observed=True, sort=False):
        for id, promise in PROMISES.items():
            part = own[(own["promise"] == id) & (own["verdict"] != "not applicable")]
            row: dict[str, object] = {"agent": name, "promise": id, "verdict": "not observed", "updates": len(part)}
            if len(part):
                row |= _counted(part) if id == "discount" else _judged(part, promise.asserted)
            rows.append(row)
            if id == "kl_reverse":
                rows.append({"agent": name, "promise": "direction", **direction(own)})
    columns = ["agent", "promise", "verdict", "updates", "broken", "evidence", "first"]
    return pd.DataFrame(rows).reindex(columns=columns)


def direction(own: pd.DataFrame) -> dict[str, object]:
    """Say which mean KL the rows of one agent bound by delta: "KL(old||new)", "KL(new||old)", "neither" or "not told apart".

    One update with a KL above delta shows that this direction is not bounded: that is no matter of chance. That the other one
    is bounded is an observation over the updates at which the two directions disagree about delta. If an agent bounded
    neither, and either direction were as likely to be the larger, all k of these falling on one side would have the
    probability 2^(1-k) (McNemar's exact test); the verdict needs that below :data:`LEVEL`. Both this and the limit on the share
    of updates that may still exceed delta unseen take updates for independent trials. An agent that looks at neither KL exceeds
    delta in both at the radii of the scenario "stress", and is then told by that.
    """
    pair = {id: own[own["promise"] == id].set_index(RUN) for id in ("kl", "kl_reverse")}
    seen = pair["kl"]["value"].notna()
    over = {id: (rows["value"] > rows["limit"])[seen].to_numpy() for id, rows in pair.items()}
    count, forward, backward = int(seen.sum()), int(over["kl"].sum()), int(over["kl_reverse"].sum())
    if not count:
        return {"verdict": "not observed", "updates": 0}
    only = int((over["kl"] != over["kl_reverse"]).sum())
    evidence = f"KL(old||new) > delta in {forward}, KL(new||old) > delta in {backward} of {count} updates"
    if forward and backward:
        verdict = "neither"
    elif not (forward or backward):
        verdict, evidence = "not told apart", evidence + "; at most one of them is looked at"
    else:
        chance = min(1.0, 2.0 ** (1 - only))
        most = float(binomtest(0, count).proportion_ci(0.9).high)
        verdict = ("KL(new||old)" if forward else "KL(old||new)") if chance < LEVEL else "not told apart"
        evidence += (
            f"; all {only} discordant ones on one side, p = {chance:.2g}; 0 of {count} means less than {100 * most:.2g} % (95 %)"
        )
    return {"verdict": verdict, "updates": count, "evidence": evidence}


def report(table: pd.DataFrame) -> str:
    """Return the summary as Markdown, a table for each agent."""
    parts = ["# Audit"]
    said = summary(table).fillna({"evidence": "", "first": ""})
    runs = table.drop_duplicates(RUN).groupby("agent", observed=True, sort=False)
    statements = {id: promise.statement for id, promise in PROMISES.items()} | {"direction": "the KL that is bounded by delta"}
    for name, own in said.groupby("agent", sort=False):
        group = runs.get_group(name)
        accepted = group["accepted"].value_counts()
        says = ", ".join(f"{accepted[key]} {what}" for key, what in SAID.items() if accepted.get(key, 0))
        radii = ", ".join(f"{delta:g}" for delta in sorted(group["delta"].unique()))
        parts.append(f"## {name}\n\n{len(group)} updates in {', '.join(group['world'].unique())}; delta {radii}; {says}.")
        lines = ["| promise | verdict | evidence | first failure |", "|---|---|---|---|"]
        for _, row in own.iterrows():
            emphasis = "**" if row["verdict"] in ("broken", "neither", "KL(new||old)") else ""
            cells = [statements[row["promise"]], emphasis + row["verdict"] + emphasis, row["evidence"], row["first"]]
            lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


SAID = {"yes": "called accepted by the agent", "no": "called rejected", "unsaid": "of which it says nothing"}


def _judged(part: pd.DataFrame, asserted: bool) -> dict[str, object]:
    """Verdict of a promise that each update keeps or breaks; of information, its spread."""
    if not asserted:
        share = (part["value"] / part["limit"].where(part["limit"] != 0, 1.0)).to_numpy()
        what = "value" if (part["limit"] == 0).all() else "value/reference"
        low, middle, high = np.nanquantile(share, [0, 0.5, 1])
        return {"verdict": "information", "evidence": f"{what}: least {low:.3g}, median {middle:.3g}, largest {high:.3g}"}
    wrong = part[part["verdict"] == "broken"]
    sense, relative = PROMISES[str(part["promise"].iloc[0])].sense, bool((part["limit"] > 0).all())
    size = part["value"] / part["limit"] if relative else part["value"]
    worst = f"largest {size.max():.4g}" if sense == "at most" else f"smallest {size.min():.4g}"
    evidence = f"broken in {len(wrong)} of {len(part)} updates{_shares(part) if len(wrong) else ''}; "
    evidence += f"{'value/limit' if relative else 'value'}: {worst}"
    verdict = "broken" if len(wrong) else "kept"
    return {"verdict": verdict, "broken": len(wrong), "evidence": evidence, "first": _where(wrong)}


def _counted(part: pd.DataFrame) -> dict[str, object]:
    """Verdict by a two-sided sign test: do updates break the promise more often, or less, than chance would have it?"""
    wrong = part[part["verdict"] == "broken"]
    chance = binomtest(len(wrong), len(part)).pvalue
    decided = "broken" if 2 * len(wrong) > len(part) else "kept"
    evidence = f"the discounted return fell in {len(wrong)} of {len(part)} updates of the probe, sign test p = {chance:.2g}"
    verdict = decided if chance < LEVEL else "not observed"
    return {"verdict": verdict, "broken": len(wrong), "evidence": evidence, "first": _where(wrong) if verdict == "broken" else ""}


def _shares(part: pd.DataFrame) -> str:
    """Count failures by radius: that a step of 1 nat breaks something says little of one of 0.01."""
    counted = (part["verdict"] == "broken").groupby(part["delta"]).agg(["sum", "size"])
    return " (" + ", ".join(f"{row['sum']} of {row['size']} at delta {delta:g}" for delta, row in counted.iterrows()) + ")"


def _where(wrong: pd.DataFrame) -> str:
    """World, scenario and number of the first update that breaks a promise."""
    if wrong.empty:
        return ""
    row = wrong.iloc[0]
    return f"{row['world']}, {row['scenario']}, seed {row['seed']}, update {row['iteration']}"
