"""What independent estimates of a known vector say: bias, error, and whether theory is borne out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from mdps.mdp import Array

VISITS = 40
"""What a verdict needs: then actions of probability 1/10 are taken a few times in the state least visited."""


def compared(x: Array, exact: Array) -> dict[str, Any]:
    """Return mean and spread of independent estimates, relative to the exact value.

    Parameters
    ----------
    x
        Estimates [B,C] of a vector.
    exact
        The vector, [C].
    """
    count, norm2 = len(x), float(exact @ exact)
    along = x @ exact / norm2 - 1
    spread = np.append(x.std(0, ddof=1), along.std(ddof=1)) / np.sqrt(count)
    off = np.abs(np.append(x.mean(0) - exact, along.mean()))
    square = ((x - exact) ** 2).sum(1) / norm2
    half = student.ppf(0.975, count - 1) * square.std(ddof=1) / np.sqrt(count)
    return {
        "batches": count,
        "bias": along.mean(),
        "bias_error": spread[-1],
        "error": np.sqrt(square.mean()),
        "error_low": np.sqrt(max(0.0, square.mean() - half)),
        "error_high": np.sqrt(square.mean() + half),
        "z": (off[spread > 0] / spread[spread > 0]).max(initial=0.0),
        "numbers": len(off),
    }


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of :mod:`studies.estimators` from rows of :func:`compared` and their labels.

    Adds intervals that hold for all rows together with probability 0.99, and verdicts.
    """
    freedom = table["batches"] - 1
    table["critical"] = student.isf(0.005 / len(table) / table["numbers"], freedom)
    half = table["bias_error"] * student.isf(0.005 / len(table), freedom)
    table["bias_low"], table["bias_high"] = table["bias"] - half, table["bias"] + half
    seen, unbiased = table["z"] > table["critical"], table["theory"] == "unbiased"
    against, unseen = seen & unbiased, (~seen & ~unbiased) | (table["visits"] < VISITS)
    answers = ["not judged", "not resolved", "AGAINST THE THEORY"]
    table["verdict"] = np.select([table["theory"] == "consistent", unseen, against], answers, "as the theory says")
    table.insert(0, "study", "estimators")
    order = ["study", "mdp", "estimator", "quantity", "budget", "steps", "states", "rollouts", "batches", "visits"]
    order += ["bias", "bias_low", "bias_high", "error", "error_low", "error_high", "z", "critical", "theory", "verdict"]
    return table[order].astype(dict.fromkeys(("study", "mdp", "estimator", "quantity", "theory", "verdict"), "category"))
