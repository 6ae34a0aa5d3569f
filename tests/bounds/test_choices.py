"""Choices that radii leave open: which they are, by Fractions, who is told, and that nothing is said that rests on one."""

from fractions import Fraction

import numpy as np
import pytest

from bounds import Outcome, certify, certify_batch, compare
from bounds.catalogue import Claim
from bounds.comparison import once
from bounds.enclosed_laws import Advantages
from bounds.enclosure import Enclosure, choices
from mdps import MDP


def tables(count, rng):
    """Rows of four numbers of which some are alike, nearly alike, exact or hardly known."""
    mid = rng.integers(-3, 4, (count, 4)).astype(float)
    mid += rng.choice([0.0, 3e-9, -3e-9], (count, 4))
    rad = rng.choice([0.0, 0.0, 1e-12, 1e-9, 0.4, 1.3], (count, 4))
    return mid, rad


def candidates(mid, rad):
    """The entries of a row that may be the largest; of those that are one exact number only the first."""
    low, high = ([Fraction(m) + sign * Fraction(r) for m, r in zip(mid, rad, strict=True)] for sign in (-1, 1))
    first = [min(j for j in range(len(mid)) if j == i or (mid[i] == mid[j] and rad[i] == rad[j] == 0)) for i in range(len(mid))]
    return {first[i] for i in range(len(mid)) if high[i] >= max(low)}


def test_a_choice_is_open_where_another_entry_may_be_the_largest():
    mid, rad = tables(3000, np.random.default_rng(0))
    with choices() as found:
        index = Enclosure(mid, rad).argmax(-1)
    (unsure,) = found
    assert unsure.shape == (3000,)
    assert 0.2 < unsure.mean() < 0.9
    for row in range(3000):
        may = candidates(mid[row], rad[row])
        assert int(index[row]) in may, (mid[row], rad[row])
        assert unsure[row] == (len(may) > 1), (mid[row], rad[row])
    decided = Enclosure(mid[~unsure], rad[~unsure])
    np.testing.assert_array_equal(decided.argmax(-1), index[~unsure])  # needs nobody to keep a list
    np.testing.assert_array_equal((-decided).argmin(-1), index[~unsure])
    with pytest.raises(ArithmeticError, match="is open"):
        Enclosure(mid, rad).argmax(-1)


def test_actions_that_do_the_same_leave_nothing_open_and_the_first_of_them_is_taken():
    """Action 2 does what action 0 does, in all three states; action 1 something else, and is nearly as good in state 1 alone."""
    P = np.zeros((3, 3, 3))
    P[:, 1, 1] = P[:, [0, 2], 0] = 1
    process = MDP(P, [[1, 2, 1]] * 3, [1, 0, 0], 0.9)
    mid = np.array([[1, 0.5, 1 + 1e-12], [1, 1 + 1e-13, 1 + 1e-12], [0.5, 1, 0.5]])
    A = Advantages(mid, np.full((3, 3), 1e-11), process)
    with choices() as found:
        np.testing.assert_array_equal(A.argmax(-1), [0, 0, 1])
    np.testing.assert_array_equal(found, [[False, True, False]])
    other = Advantages(mid, np.full((3, 3), 1e-11), MDP(P, [[1, 2, 1.5]] * 3, [1, 0, 0], 0.9))
    with choices() as found:
        np.testing.assert_array_equal(other.argmax(-1), [2, 2, 1])
    np.testing.assert_array_equal(found, [[True, True, False]])


def test_who_asked_last_is_told():
    doubtful = Enclosure([1.0, 1.0], [0.0, 0.1])
    with choices() as outer:
        with choices() as inner:
            assert doubtful.argmax(-1) == 0
        assert len(inner) == 1
        assert not outer
        with pytest.raises(ZeroDivisionError), choices():
            raise ZeroDivisionError
        doubtful.argmax(-1)
        assert [bool(where) for where in outer] == [True]
        Enclosure([1.0, 3.0], [0.0, 0.1]).argmax(-1)
        assert len(outer) == 1
        doubtful.argmin(-1)
        assert len(outer) == 2
    with pytest.raises(ArithmeticError, match="is open"):
        doubtful.argmax(-1)


def pairs(leads):
    """One state, two actions of which the second pays more by ``leads`` [N]: how much that is no radius can tell below 1e-16."""
    count = len(leads)
    R = np.stack([np.full(count, 1 / 3), 1 / 3 + leads], -1)[:, None]
    mdp = MDP(np.ones((count, 1, 2, 1)), R, np.ones((count, 1)), np.full(count, 0.5))
    return mdp, np.full((count, 1, 2), 0.5), np.broadcast_to([[0.25, 0.75]], (count, 1, 2))


@once
def best(c):
    """The action of the largest value Q, a choice between numbers with radii; 0 or 1 in floats [*B]."""
    return np.asarray(c.old.Q[..., 0, :].argmax(-1), dtype=float)


def claim(name, statement):
    return Claim(name, "lemma", "open", "a test", "x", statement)


FIRST = claim("first", lambda c: (c.tv_max * 0 + best(c), c.tv_max * 0 + 0.5))
SECOND = claim("second", lambda c: (c.tv_max * 0 + best(c), c.tv_max * 0 + 2.0))
NEITHER = claim("neither", lambda c: (c.tv_max, c.tv_max + 1.0))


@pytest.mark.parametrize("order", [(FIRST, SECOND, NEITHER), (SECOND, NEITHER, FIRST)])
def test_nothing_is_said_that_rests_on_an_open_choice(order):
    """Not by the claim that chose, not by the next one that reads what it found; and the rest of the batch is decided."""
    leads = np.array([0.0, 1e-3, 2.0**-54, -1e-3, 2.0**-53, 0.5])
    mdp, old, new = pairs(leads)
    verdicts = {v.claim: v for v in certify_batch(order, compare(mdp, old, new))}
    assert not any(v.error for v in verdicts.values())
    open_ = np.abs(leads) < 1e-10
    np.testing.assert_array_equal(verdicts["first"].undecided, open_)
    np.testing.assert_array_equal(verdicts["second"].undecided, open_)
    assert verdicts["neither"].holds.all()
    for i in np.flatnonzero(~open_):
        for each in (FIRST, SECOND):
            outcome = Outcome.HOLDS if verdicts[each.id].holds[i] else Outcome.VIOLATED
            assert outcome is (Outcome.HOLDS if each is SECOND or leads[i] <= 0 else Outcome.VIOLATED)
    assert certify(NEITHER, mdp[0], old[0], new[0], floats=True).outcome is Outcome.HOLDS


@pytest.mark.parametrize("failure", [TypeError, ValueError])
def test_a_claim_that_fails_leaves_no_choice_behind(failure):
    """Whether enclosures cannot tell or the claim is wrong: what it found is not there for the next one."""

    def statement(c):
        best(c)
        raise failure

    leads = np.array([0.0, 0.5, 2.0**-54])
    mdp, old, new = pairs(leads)
    verdict = certify_batch((claim("failed", statement), SECOND), compare(mdp, old, new))[1]
    np.testing.assert_array_equal(verdict.undecided, leads < 1e-10)


def test_an_open_choice_of_a_single_instance_is_decided_in_exact_numbers():
    mdp, old, new = (x[0] for x in pairs(np.array([2.0**-54])))
    (verdict,) = certify_batch(SECOND, compare(mdp, old, new), exact=1)
    assert verdict.exact
    assert verdict.holds
