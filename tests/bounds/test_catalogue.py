"""How claims are registered and read, and what a faulty one is told."""

import numpy as np
import pytest

from bounds import CATALOGUE, bound, compare, guarantee, identity, lemma
from bounds.bank import random_cells
from mdps import MDP
from mdps.families import fam_tv


@pytest.fixture
def registered():
    """Registers claims for one test only."""
    before = dict(CATALOGUE)
    yield
    CATALOGUE.clear()
    CATALOGUE.update(before)


def pair():
    return compare(*fam_tv(0.9, [0.01, 0.25]))


def claim(statement, kind=bound, **options):
    kind("mine", source="a test", formula="x", **options)(statement)
    return CATALOGUE["mine"]


def test_every_claim_is_documented():
    for c in CATALOGUE.values():
        assert c.source, c.id
        assert c.formula, c.id
        assert c.statement.__doc__, c.id
        assert c.formula.count("{") == c.formula.count("}"), c.id


def test_a_users_own_bound(registered):
    mine = claim(lambda c: 4 * c.eps_A * c.gamma * c.tv_max**2 * c.horizon**2)
    c = pair()
    np.testing.assert_array_equal(mine.usage(c), CATALOGUE["tv-trpo"].usage(c))
    np.testing.assert_array_equal(mine.lower(c), c.L - mine.penalty(c))
    assert mine.status == "theorem"
    with pytest.raises(ValueError, match="'mine' is already registered"):
        bound("mine", source="again", formula="x")(lambda c: c.tv_max)
    with pytest.raises(ValueError, match=r"status 'true'; expected one of \('theorem', 'false', 'open'\)"):
        bound("other", source="", formula="", status="true")


FAULTY = {
    "nan": (bound, lambda c: np.full(2, np.nan), r"'mine'.*right side is nan at \[0\]"),
    "negative": (bound, lambda c: np.array([1.0, -1.0]), r"right side is negative at \[1\]"),
    "shape": (bound, lambda c: np.ones(3), r"sides have shapes \(2,\), \(3,\); expected \[\*B\] = \(2,\)"),
    "empty": (bound, lambda c: np.ones((2, 0)), r"expected \[\*B\]"),
    "one side": (lemma, lambda c: c.tv_max, r"is of kind lemma and has to return 2 array\(s\); it returned 1"),
    "no scale": (identity, lambda c: (c.tv_max, c.tv_max), r"has to return 3"),
    "three": (guarantee, lambda c: (c.tv_max, c.tv_max, c.tv_max), r"has to return 2"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_faulty_claims_are_told_so(registered, fault):
    kind, statement, message = FAULTY[fault]
    with pytest.raises(ValueError, match=message):
        claim(statement, kind).usage(pair())


def test_usage_at_zero_and_infinity(registered):
    c = pair()
    assert (claim(lambda c: np.full(2, np.inf)).usage(c) == 0).all()
    CATALOGUE.pop("mine")
    assert (claim(lambda c: np.zeros(2)).usage(c) == np.inf).all()
    CATALOGUE.pop("mine")
    assert (claim(lambda c: (np.zeros(2), np.zeros(2)), lemma).usage(c) == 0).all()


def test_kinds(registered):
    c = pair()
    assert claim(lambda c: (c.tv_max, c.tv_max + 1e-12, np.ones(2)), identity).usage(c) == pytest.approx([10, 10], rel=1e-3)
    CATALOGUE.pop("mine")
    assert claim(lambda c: (np.array([-1e-12, 1.0]), 1.0), guarantee).usage(c) == pytest.approx([10, 0], rel=1e-3)
    CATALOGUE.pop("mine")
    premised = claim(lambda c: (np.array([-1.0, -1.0]), 1.0), guarantee, premise=lambda c: np.array([True, False]))
    assert (premised.usage(c) > 1).tolist() == [True, False]
    with pytest.raises(TypeError, match=r"'pdl' is of kind identity; only bounds"):
        CATALOGUE["pdl"].lower(c)


def test_the_bank_names_what_it_does_not_know():
    with pytest.raises(ValueError, match=r"unknown MDP 'river' in the bank; known: garnet"):
        next(random_cells(1, 0, mdps=["river"]))
    with pytest.raises(ValueError, match="instances is 0"):
        next(random_cells(0, 0))


def test_the_bank_is_reproducible_cell_by_cell():
    whole = {(c.mdp, c.pairing): c.comparison for c in random_cells(2, 5)}
    for cell in random_cells(2, 5, mdps=["forest", "garnet"]):
        np.testing.assert_array_equal(cell.comparison.new.pi, whole[cell.mdp, cell.pairing].new.pi)
    other = next(iter(random_cells(2, 6)))
    assert (other.comparison.new.pi != whole[other.mdp, other.pairing].new.pi).any()


def test_usage_of_infinite_kl_is_zero():
    mdp = MDP([[[1.0], [1.0]]], [[0.0, 1.0]], [1.0], 0.9)
    c = compare(mdp, [[0.5, 0.5]], [[0.0, 1.0]])
    assert c.kl_max == np.inf
    assert CATALOGUE["kl-trpo"].penalty(c) == np.inf
    assert CATALOGUE["kl-trpo"].usage(c) == 0
    assert CATALOGUE["kl-trpo"].lower(c) == -np.inf
