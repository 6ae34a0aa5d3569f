"""Witnesses in files: read as they were written, replayed, and not believed when they were changed."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bounds import CATALOGUE, Claim, witnesses
from bounds.search import search
from bounds.verdicts import Interval, Outcome
from bounds.witnesses import improve, load, path_of, save, stored

FOLDER = Path(__file__).parent / "witnesses"
FILES = list(stored(FOLDER))

LEAST = {
    "tv-trpo": (0.98, 0.90, 0.49),
    "cpi-trpo": (0.98, 0.84, 0.33),
    "cpo-tv": (0.99, 0.99, 0.99),
    "kl-trpo": (0.25, 0.09, 0.02),
    "cpo-kl12": (0.64, 0.28, 0.08),
}
"""Usage that a witness of a theorem at gamma = 0.5, 0.9 and 0.99 has to reach."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_witness_is_confirmed(path):
    witness = load(path)
    stored_usage = float(json.loads(path.read_text())["usage"][0])
    assert witness.usage >= stored_usage
    status = CATALOGUE[witness.claim].status
    if status == "theorem":
        assert witness.usage <= 1
        assert witness.verdict.outcome is not Outcome.VIOLATED
    if status == "false":
        assert witness.usage > 1
        assert witness.verdict.outcome is Outcome.VIOLATED


def test_there_is_a_witness_of_every_bound_and_of_every_false_claim():
    held = {tuple(path.stem.rsplit("@", 1)) for path in FILES}
    for id, claim in CATALOGUE.items():
        stems = [path_of(FOLDER, id, gamma).stem for gamma in (0.5, 0.9, 0.99)]
        if claim.status == "false":
            assert any(name == stems[0].rsplit("@", 1)[0] for name, _ in held), id
        elif claim.kind == "bound":
            assert all(tuple(stem.rsplit("@", 1)) in held for stem in stems), id


@pytest.mark.parametrize("id", LEAST)
def test_witnesses_are_as_tight_as_was_asked(id):
    for gamma, least in zip((0.5, 0.9, 0.99), LEAST[id], strict=True):
        content = json.loads(path_of(FOLDER, id, gamma).read_text())
        assert float(content["usage"][0]) >= least


@pytest.fixture(scope="module")
def witness():
    return search("kl-trpo", gamma=0.9, budget=2_000)


def test_what_is_read_is_what_was_written(witness, tmp_path):
    path = path_of(tmp_path, witness.claim, 0.9)
    save(witness, path)
    read = load(path)
    assert (read.claim, read.usage, read.budget, read.seed) == (witness.claim, witness.usage, witness.budget, witness.seed)
    for name in ("P", "R", "rho0", "gamma"):
        assert np.array_equal(getattr(read.mdp, name), getattr(witness.mdp, name)), name
    assert np.array_equal(read.old, witness.old)
    assert np.array_equal(read.new, witness.new)
    assert path.name == "kl-trpo@0.9.json"


def test_the_stored_ends_contain_the_certified_ones(witness, tmp_path):
    save(witness, tmp_path / "w.json")
    lower, upper = (Fraction(float(end)) for end in json.loads((tmp_path / "w.json").read_text())["usage"])
    assert lower <= Fraction(witness.verdict.usage.lower) <= Fraction(witness.verdict.usage.upper) <= upper
    assert upper - lower < upper / 10**6


@pytest.mark.parametrize("x", [0.0, 1.0, 0.1, 1 / 3, -2 / 7, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e-7, 123456.789])
def test_a_fraction_reads_as_the_float_it_was_written_for(x):
    text = witnesses._fraction(x)
    assert float(Fraction(text)) == x
    assert Fraction(witnesses._fraction(0.1)) == Fraction(1, 10)


def resealed(content):
    return content | {"digest": witnesses._digest(content)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"seed": c["seed"] + 1}, r"w\.json, field 'digest'.* was changed"),
        (lambda c: c | {"digest": "0"}, r"w\.json, field 'digest': '0'"),
        (lambda c: {k: v for k, v in c.items() if k != "old"}, r"w\.json has no field 'old'"),
        (lambda c: [c], r"w\.json holds a list"),
        (lambda c: resealed(c | {"claim": "nope"}), "field 'claim': 'nope' is not in the catalogue"),
        (lambda c: resealed(c | {"claim": ["kl-trpo"]}), "field 'claim'"),
        (lambda c: resealed(c | {"R": [["1", "x"]] * 3}), "field 'R': 'x' is no fraction"),
        (lambda c: resealed(c | {"R": [["1", 0.5]] * 3}), "field 'R': 0.5 is no fraction"),
        (lambda c: resealed(c | {"R": [["1", "1/0"]] * 3}), "field 'R': '1/0' is no fraction"),
        (lambda c: resealed(c | {"R": [["1", "9" * 350]] * 3}), "field 'R': 9+... is too large"),
        (lambda c: resealed(c | {"R": [["1", "1"], ["1"]]}), "field 'R': its rows differ in length"),
        (lambda c: resealed(c | {"R": "1"}), "field 'R': expected lists nested 2 deep"),
        (lambda c: resealed(c | {"gamma": "1"}), "tables: gamma is 1"),
        (lambda c: resealed(c | {"rho0": ["1", "1", "0"]}), "tables: rho0 sums to 2"),
        (lambda c: resealed(c | {"old": c["old"][:2]}), "tables: old has shape"),
        (lambda c: resealed(c | {"usage": ["0.9", "1"]}), "field 'usage': it promises at least 0.9, the certificate gives 0.0"),
        (lambda c: resealed(c | {"usage": ["a", "1"]}), "field 'usage': .*expected two numbers"),
        (lambda c: resealed(c | {"usage": ["1-2", "1"]}), "field 'usage': .*expected two numbers"),
        (lambda c: resealed(c | {"outcome": "VIOLATED"}), "field 'outcome': it says VIOLATED, the certificate HOLDS"),
        (lambda c: resealed(c | {"outcome": "yes"}), "field 'outcome': 'yes'; expected one of HOLDS"),
        (lambda c: resealed(c | {"budget": "1"}), "field 'budget': '1'; expected an integer"),
    ],
)
def test_a_changed_file_is_named_with_its_field(change, message, witness, tmp_path):
    path = tmp_path / "w.json"
    save(witness, path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=message):
        load(path)


def test_a_truncated_file_is_named(witness, tmp_path):
    path = tmp_path / "w.json"
    save(witness, path)
    path.write_text(path.read_text()[:200])
    with pytest.raises(ValueError, match=r"w\.json is no JSON, perhaps truncated"):
        load(path)


def test_a_claim_outside_the_catalogue_cannot_be_saved(tmp_path):
    found = search(Claim("mine", "bound", "open", "", "", lambda c: c.eps_A), budget=600)
    with pytest.raises(ValueError, match="claim 'mine' is not in the catalogue"):
        save(found, tmp_path / "mine.json")


def test_improve_keeps_the_better(tmp_path):
    source = path_of(FOLDER, "tv-trpo", 0.9)
    path = tmp_path / source.name
    shutil.copy(source, path)
    before = path.read_bytes()
    kept = improve(tmp_path, "tv-trpo", 0.9, budget=200, states=2)
    assert kept.usage >= load(source).usage
    assert path.read_bytes() == before or load(path).usage > load(source).usage
    first = improve(tmp_path, "kl-trpo", 0.9, budget=600, states=2)
    second = improve(tmp_path, "kl-trpo", 0.9, budget=5_000, states=2, seed=1)
    assert second.usage > first.usage
    assert load(path_of(tmp_path, "kl-trpo", 0.9)).usage == second.usage


def test_names_of_files_are_safe():
    assert path_of(Path("x"), "meankl-trpoC/2", 0.5) == Path("x/meankl-trpoC_2@0.5.json")


def test_infinite_usage_is_kept(tmp_path):
    found = search("G16-reverse", states=2, actions=2, budget=2_000)
    assert found.verdict.usage == Interval(np.inf, np.inf)
    save(found, tmp_path / "w.json")
    assert load(tmp_path / "w.json").usage == np.inf
    assert "Infinity" not in (tmp_path / "w.json").read_text()  # which is no JSON
