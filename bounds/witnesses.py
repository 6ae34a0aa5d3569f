"""Witnesses in files: small, exact, and believed only after they have been certified again.

A file is JSON. Every entry of a table is the simplest fraction that rounds to the float, so ``1/10`` reads as 0.1 and the tables
read are the tables written, bit for bit. ``usage`` holds the certified ends, rounded outwards to eight digits; ``digest`` is the
SHA-256 of all the rest.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from bounds.catalogue import CATALOGUE
from bounds.certify import certify
from bounds.search import Witness, search
from bounds.verdicts import Outcome
from mdps.mdp import MDP, Array, as_policy

FIELDS = ("claim", "gamma", "P", "R", "rho0", "old", "new", "usage", "outcome", "budget", "seed")
TABLES = {"P": 3, "R": 2, "rho0": 1, "old": 2, "new": 2}
"""Fields that are tables, with their number of axes."""

NUMBER = r"\d+(\.\d+)?(e[+-]\d+)?|inf"


def path_of(folder: Path, claim: str, gamma: float) -> Path:
    """Return where a claim's witness at a gamma is kept, e.g. ``kl-trpo@0.9.json``."""
    return folder / f"{re.sub(r'[^A-Za-z0-9.=-]', '_', claim)}@{gamma:g}.json"


def save(witness: Witness, path: Path) -> None:
    """Write a witness, replacing what the file held.

    Raises
    ------
    ValueError
        If its claim is not in the catalogue, where :func:`load` would look for it.
    """
    if witness.claim not in CATALOGUE:
        raise ValueError(
            f"claim {witness.claim!r} is not in the catalogue, so {path} could not be read; register the claim first"
        )
    mdp, usage = witness.mdp, witness.verdict.usage
    content: dict[str, Any] = {
        "claim": witness.claim,
        "gamma": _fraction(float(mdp.gamma)),
        **{
            name: _fractions(table)
            for name, table in zip(TABLES, (mdp.P, mdp.R, mdp.rho0, witness.old, witness.new), strict=True)
        },
        "usage": [repr(_outwards(usage.lower, -1)), repr(_outwards(usage.upper, 1))],
        "outcome": str(witness.verdict.outcome),
        "budget": witness.budget,
        "seed": witness.seed,
    }
    content["digest"] = _digest(content)
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in content.items())
    path.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


def load(path: Path) -> Witness:
    """Read a witness and certify it again.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is no JSON, lacks a field or was changed; if a table is no table, or not one of an MDP; if the claim is unknown; if
        the certificate does not confirm the outcome or at least the lower end of the usage. The message names file and field.
    """
    content = _content(path)
    table = {name: _table(path, name, content[name], axes) for name, axes in TABLES.items()}
    (gamma,) = _numbers(path, "gamma", [content["gamma"]])
    claim = content["claim"]
    if not isinstance(claim, str) or claim not in CATALOGUE:
        raise ValueError(f"{path}, field 'claim': {claim!r} is not in the catalogue; import the module that registers it")
    try:
        mdp = MDP(table["P"], table["R"], table["rho0"], gamma)
        old, new = (as_policy(mdp, table[name], name) for name in ("old", "new"))
    except ValueError as error:
        raise ValueError(f"{path}, tables: {error}") from None
    if mdp.batch:
        raise ValueError(f"{path}, tables: they have batch axes {mdp.batch}; expected a single process")
    verdict = certify(claim, mdp, old, new)
    if verdict.outcome != content["outcome"]:
        raise ValueError(f"{path}, field 'outcome': it says {content['outcome']}, the certificate {verdict.outcome}")
    promised = float(content["usage"][0])
    if not verdict.usage.lower >= promised:
        raise ValueError(
            f"{path}, field 'usage': it promises at least {promised!r}, the certificate gives {verdict.usage.lower!r}"
        )
    return Witness(claim, verdict.usage.lower, mdp, old, new, verdict, content["budget"], content["seed"])


def improve(folder: Path, claim: str, gamma: float, **settings: Any) -> Witness:
    """Search from the witness that a folder keeps of a claim at a gamma, if any, and keep the better of the two.

    ``settings`` are those of :func:`bounds.search.search`; ``states`` and ``actions`` are raised to those of the witness kept.

    Raises
    ------
    ValueError
        As ``search`` and :func:`load` do.
    """
    path = path_of(folder, claim, gamma)
    if not path.exists():
        found = search(claim, gamma=gamma, **settings)
        save(found, path)
        return found
    kept = load(path)
    for name, size in (("states", kept.mdp.S), ("actions", kept.mdp.A)):
        settings[name] = max(settings.get(name, 3), size)
    starts = [*settings.pop("starts", ()), (kept.mdp, kept.old, kept.new)]
    found = search(claim, gamma=gamma, starts=starts, **settings)
    if found.usage <= kept.usage:
        return kept
    save(found, path)
    return found


def stored(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder of witnesses, in the order of their names."""
    yield from sorted(folder.glob("*.json"))


def _content(path: Path) -> dict[str, Any]:
    """The fields of a file, after its digest."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON, perhaps truncated: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected an object with the fields {', '.join(FIELDS)}")
    for name in (*FIELDS, "digest"):
        if name not in content:
            raise ValueError(f"{path} has no field {name!r}")
    found, expected = content["digest"], _digest(content)
    if found != expected:
        raise ValueError(f"{path}, field 'digest': {found!r} is not that of the content, {expected}; the file was changed")
    usage, outcome = content["usage"], content["outcome"]
    if not (isinstance(usage, list) and len(usage) == 2 and all(re.fullmatch(NUMBER, str(end)) for end in usage)):
        raise ValueError(f"{path}, field 'usage': {usage!r}; expected two numbers as strings, its certified ends")
    if outcome not in list(Outcome):
        raise ValueError(f"{path}, field 'outcome': {outcome!r}; expected one of {', '.join(Outcome)}")
    for name in ("budget", "seed"):
        if not isinstance(content[name], int):
            raise ValueError(f"{path}, field {name!r}: {content[name]!r}; expected an integer")
    return content


def _digest(content: dict[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _table(path: Path, name: str, value: Any, axes: int) -> Array:
    """A table of so many axes from nested lists of fractions."""
    shape = []
    rows = value
    for _ in range(axes):
        if not isinstance(rows, list) or not rows:
            raise ValueError(f"{path}, field {name!r}: expected lists nested {axes} deep, none of them empty")
        shape.append(len(rows))
        rows = rows[0]
    flat = value
    for size in shape[1:]:
        if not all(isinstance(row, list) and len(row) == size for row in flat):
            raise ValueError(f"{path}, field {name!r}: its rows differ in length; expected a table of shape {tuple(shape)}")
        flat = [entry for row in flat for entry in row]
    return np.array(_numbers(path, name, flat)).reshape(shape)


def _numbers(path: Path, name: str, entries: list[Any]) -> list[float]:
    numbers = []
    for entry in entries:
        if not isinstance(entry, str) or not re.fullmatch(r"-?\d{1,400}(/[1-9]\d{0,399})?", entry):
            raise ValueError(f"{path}, field {name!r}: {entry!r} is no fraction such as '3/10'")
        try:
            numbers.append(float(Fraction(entry)))
        except OverflowError:
            raise ValueError(f"{path}, field {name!r}: {entry[:20]}... is too large for a float") from None
    return numbers


def _fractions(table: Array) -> Any:
    return [_fractions(row) for row in table] if table.ndim > 1 else [_fraction(float(x)) for x in table]


def _fraction(x: float) -> str:
    """The fraction of least denominator, to a factor of ten, that rounds to x."""
    exact = Fraction(x)
    for digits in range(18):
        simple = exact.limit_denominator(10**digits)
        if float(simple) == x:
            return str(simple)
    return str(exact)


def _outwards(x: float, direction: int) -> float:
    """x rounded to eight significant digits, downwards for direction -1 and upwards for 1."""
    if x == 0 or not math.isfinite(x):
        return x
    unit = Fraction(10) ** (math.floor(math.log10(abs(x))) - 7)
    scaled = Fraction(x) / unit
    rounded = float((math.floor(scaled) if direction < 0 else math.ceil(scaled)) * unit)
    while Fraction(rounded) * direction < Fraction(x) * direction:
        rounded = math.nextafter(rounded, math.inf * direction)
    return rounded
