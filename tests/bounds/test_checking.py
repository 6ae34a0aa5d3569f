"""A check of many claims at once: the usage of each, bit for bit, however the batch is cut up."""

import numpy as np
import pytest

from bounds import CATALOGUE, bound, certify_all, certify_batch, check, compare
from bounds.pairs import PAIRINGS
from mdps import MDP
from mdps.families import garnet


def pairs(batch=(37,), states=5, actions=3, gamma=0.9, pairing="moved"):
    mdp = garnet(states, actions, 2, gamma=gamma, seed=3, batch=batch)
    return mdp, *PAIRINGS[pairing](mdp, np.full(batch, 0.3), np.random.default_rng(4))


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_it_is_the_usage_of_every_claim_whatever_the_chunks_and_threads(pairing):
    mdp, old, new = pairs(pairing=pairing)
    c = compare(mdp, old, new)
    usage = np.stack([claim.usage(c) for claim in CATALOGUE.values()])
    applies = np.stack([claim.applies(c) for claim in CATALOGUE.values()])
    assert (usage > 0).any(-1).mean() > 0.6  # most claims have something to say here
    for chunk, threads in ((1, 2), (8, 1), (10, 2), (37, 2), (1000, 1)):
        found = check(CATALOGUE.values(), mdp, old, new, chunk=chunk, threads=threads)
        assert found.claims == tuple(CATALOGUE)
        assert not found.errors
        np.testing.assert_array_equal(found.usage, usage, err_msg=f"chunks of {chunk}")
        np.testing.assert_array_equal(found.applies, applies)


def test_nine_states_and_actions():
    """As many as numpy adds up in another order where they lie side by side."""
    mdp, old, new = pairs((20,), states=9, actions=9)
    c = compare(mdp, old, new)
    found = check(CATALOGUE.values(), mdp, old, new, chunk=7)
    assert not found.errors
    for claim in CATALOGUE.values():
        np.testing.assert_array_equal(found[claim.id], claim.usage(c), err_msg=claim.id)


def test_batches_of_every_shape():
    claims = ["tv-trpo", "G13", "npg-rate", "kemeny-gap", "occ-ergodic"]
    mdp, old, new = pairs((2, 3))
    whole = check(claims, mdp, old, new, chunk=4)
    assert whole.usage.shape == whole.applies.shape == (5, 2, 3)
    for i in np.ndindex(2, 3):
        single = check(claims, mdp[i], old[i], new[i])
        assert single.usage.shape == (5,)
        np.testing.assert_array_equal(single.usage, whole.usage[(slice(None), *i)])
    wide = check(claims, mdp[0, 0], old, new[0, 0], chunk=4)  # many old policies, one process and one new policy
    np.testing.assert_array_equal(wide["npg-rate"][1, 2], check(claims, mdp[0, 0], old[1, 2], new[0, 0])["npg-rate"])


def test_one_action_and_one_state():
    one_action = MDP(np.full((2, 1, 2), 0.5), np.zeros((2, 1)), [1, 0], 0.5)
    one_state = MDP(np.ones((1, 2, 1)), [[0, 1]], [1], 0.5)
    for mdp in (one_action, one_state):
        old = np.full((mdp.S, mdp.A), 1 / mdp.A)
        found = check(CATALOGUE, mdp, old, np.eye(mdp.A)[np.zeros(mdp.S, dtype=int)])
        assert not found.errors
        theorems = [claim.status == "theorem" for claim in CATALOGUE.values()]
        assert found.usage[theorems].max() <= 1


@pytest.fixture
def registered():
    before = dict(CATALOGUE)
    yield
    CATALOGUE.clear()
    CATALOGUE.update(before)


def test_a_failing_claim_is_named_and_stops_no_other(registered):
    bound("faulty", source="a test", formula="x")(lambda c: np.where(c.mdp.rho0[..., 0] > 2, 1.0, np.nan))
    mdp, old, new = pairs()
    found = check(["faulty", "tv-trpo"], mdp, old, new, chunk=10)
    assert np.isnan(found["faulty"]).all()
    assert not found.applies[0].any()
    assert "right side is nan" in found.errors["faulty"]
    np.testing.assert_array_equal(found["tv-trpo"], CATALOGUE["tv-trpo"].usage(compare(mdp, old, new)))
    with pytest.raises(KeyError, match="'G1' was not checked; these were: faulty, tv-trpo"):
        found["G1"]


def test_bad_input_is_named():
    mdp, old, new = pairs()
    with pytest.raises(ValueError, match="no claim has the id 'tv-trop'; near it: tv-trpo"):
        check(["tv-trop"], mdp, old, new)
    with pytest.raises(ValueError, match="chunk is 0; give at least 1"):
        check(["tv-trpo"], mdp, old, new, chunk=0)
    with pytest.raises(ValueError, match="threads is -1; give at least 1"):
        check(["tv-trpo"], mdp, old, new, threads=-1)
    wrong = new.copy()
    wrong[20, 3] = [0.5, 0.6, 0.0]
    with pytest.raises(ValueError, match=r"new\[20, 3\] sums to 1.1"):
        check(["tv-trpo"], mdp, old, wrong, chunk=8)


def test_one_claim_needs_no_list():
    mdp, old, new = pairs()
    for claim in ("tv-trpo", CATALOGUE["tv-trpo"]):
        assert check(claim, mdp, old, new).claims == ("tv-trpo",)
        assert [found.claim for found in certify_batch(claim, compare(mdp, old, new))] == ["tv-trpo"]
    assert [found.claim for found in certify_all("tv-trpo", mdp[0], old[0], new[0])] == ["tv-trpo"]
