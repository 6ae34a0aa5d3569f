"""A batch decided in chunks is the batch decided in one piece, and its instances decided alone: the same verdicts.

The end of a usage may differ by its last bits: numpy's functions do, by where in memory an entry lies.
"""

import gc
import weakref

import numpy as np
import pytest

from bounds import CATALOGUE, by_floats, certify_batch, compare
from bounds.catalogue import Claim
from bounds.enclosed_comparison import enclose
from bounds.enclosed_usage import told, upper_usage
from bounds.enclosure import Enclosure
from bounds.pairs import PAIRINGS
from mdps.families import garnet


def comparison(batch, gamma=0.9, seed=0):
    mdp = garnet(4, 3, 2, gamma=gamma, seed=seed, batch=batch)
    return compare(mdp, *PAIRINGS["moved"](mdp, np.full(batch, 0.3), np.random.default_rng(seed)))


def assert_same(some, others, index=...):
    """The same verdicts, of the instances at an index into others."""
    for one, other in zip(some, others, strict=True):
        assert (one.claim, one.error) == (other.claim, other.error)
        for name in ("holds", "violated", "undecided", "exact"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name)[index], err_msg=f"{one.claim}: {name}")
        np.testing.assert_allclose(one.usage, other.usage[index], rtol=1e-14, atol=0, err_msg=one.claim)


@pytest.fixture(scope="module")
def whole():
    """Every claim on 61 pairs, fewer than a chunk."""
    c = comparison((61,))
    verdicts = certify_batch(CATALOGUE, c)
    assert np.mean([v.holds.mean() for v in verdicts]) > 0.5
    assert any(v.violated.any() for v in verdicts)
    assert any(v.undecided.any() for v in verdicts)
    assert not any(v.error for v in verdicts)
    return c, verdicts


@pytest.mark.parametrize(("chunk", "threads"), [(1, 1), (7, 2), (60, 1), (61, 2)])
def test_chunks_do_not_matter(whole, chunk, threads, monkeypatch):
    c, verdicts = whole
    monkeypatch.setattr(by_floats, "CHUNK", chunk)
    names = list(CATALOGUE)[:: 1 if chunk > 1 else 9]
    kept = [v for v in verdicts if v.claim in names]
    assert_same(certify_batch(names, c, threads=threads), kept)


def test_instances_do_not_matter_to_each_other(whole):
    c, verdicts = whole
    for index in (slice(0, 1), slice(5, 30), np.array([60, 3, 3])):
        assert_same(certify_batch(CATALOGUE, c[index]), verdicts, index)


def test_more_than_a_chunk_as_it_is():
    """No knob is turned here: 9,001 pairs, in pieces of 2,500."""
    c = comparison((9001,), seed=1)
    names = ["tv-trpo", "G16-linear", "gap-occ-span"]
    at_once = certify_batch(names, c, threads=2)
    for start in range(0, 9001, 2500):
        piece = slice(start, min(start + 2500, 9001))
        assert_same(certify_batch(names, c[piece]), at_once, piece)


@pytest.mark.parametrize("other", [np.complex128(1j), np.full(3, 1j)], ids=["number", "table"])
def test_complex_numbers_are_left_to_exact_ones(other):
    """Of which floats would see the real part: 0 is not i."""
    zero = Claim("complex", "identity", "open", "a test", "x", lambda c: (c.old.eta - c.old.eta, other, np.ones(c.batch)))
    (verdict,) = certify_batch(zero, comparison((3,)))
    assert not verdict.error
    assert verdict.undecided.all()


def test_batches_of_several_axes():
    c = comparison((3, 5), gamma=np.linspace(0, 0.99, 15).reshape(3, 5))
    names = ["tv-trpo", "G16-linear", "npg-rate", "grad-match"]
    at_once = certify_batch(names, c)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_floats, "CHUNK", 4)
        in_chunks = certify_batch(names, c, threads=2)
    assert at_once[0].holds.shape == (3, 5)
    assert_same(in_chunks, at_once)
    for index in np.ndindex(3, 5):
        assert_same(certify_batch(names, c[index]), at_once, index)


def test_exact_numbers_are_asked_of_the_same_instances():
    """Those that may be nearest to a violation, wherever the chunks end; equal numbers are so to exact numbers alone."""
    equal, less = (
        Claim(name, "lemma", "open", "a test", "x", lambda c, factor=factor: (c.tv_max, c.tv_max * factor))
        for name, factor in (("equal", 1.0), ("less", 1 - 2.0**-53))
    )
    c = comparison((23,))
    at_once = certify_batch([equal, less], c, exact=5)
    low, high = enclose(c).tv_max.bounds()
    np.testing.assert_array_equal(np.flatnonzero(at_once[0].exact), np.sort(np.argsort(-high / low, kind="stable")[:5]))
    assert at_once[1].exact.sum() == 5
    assert at_once[0].holds[at_once[0].exact].all()
    assert at_once[1].violated[at_once[1].exact].all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_floats, "CHUNK", 4)
        assert_same(certify_batch([equal, less], c, exact=5, threads=1), at_once)


def test_a_claim_that_fails_in_one_chunk_is_named():
    """And is said to hold nowhere it was not decided."""
    c = comparison((12,), gamma=np.where(np.arange(12) < 10, 0.9, 0.5))

    def statement(c):
        if (c.gamma == 0.5).any():
            raise RuntimeError("no such discount")
        return c.tv_max * 1e9

    faulty = Claim("mine", "bound", "open", "a test", "x", statement)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_floats, "CHUNK", 5)  # 5, 5 and 2
        found, other = certify_batch([faulty, "tv-trpo"], c, threads=1)
    assert "no such discount" in found.error
    assert found.undecided[10:].all()
    assert other.holds.all()
    assert not other.error


@pytest.mark.parametrize(
    ("chunk", "numbers", "fewest", "most"), [(8, 10**6, 2, 8), (100, 48 * 10, 5, 9), (100, 48, 20, 15), (14, 48, 20, 12)]
)
def test_chunks_hold_no_more_than_they_may(chunk, numbers, fewest, most, monkeypatch):
    """48 transition probabilities a process: so many at most unless that is fewer than ``FEWEST``, and never above ``CHUNK``."""
    sizes, cut = set(), by_floats.cut
    monkeypatch.setattr(by_floats, "cut", lambda *given: sizes.add(given[-1] - given[-2]) or cut(*given))
    for name, value in (("CHUNK", chunk), ("NUMBERS", numbers), ("FEWEST", fewest)):
        monkeypatch.setattr(by_floats, name, value)
    assert certify_batch(["tv-trpo"], comparison((45,)), threads=1)[0].holds.all()
    assert max(sizes) == most
    assert len(sizes) <= 2  # the last is what is left


@pytest.mark.parametrize(
    ("threads", "share", "sizes"),
    [(1, 10, {23, 22}), (2, 10, {23, 22}), (3, 10, {15}), (3, 16, {23, 22}), (5, 9, {9}), (5, 10, {12, 9})],
)
def test_threads_have_the_same_to_do_unless_that_is_too_little(threads, share, sizes, monkeypatch):
    found, cut = set(), by_floats.cut
    monkeypatch.setattr(by_floats, "cut", lambda *given: found.add(given[-1] - given[-2]) or cut(*given))
    for name, value in (("CHUNK", 25), ("SHARE", share)):
        monkeypatch.setattr(by_floats, name, value)
    assert certify_batch(["tv-trpo"], comparison((45,)), threads=threads)[0].holds.all()
    assert found == sizes


def test_usage_is_between_its_ends():
    """Where the right may be zero, or nothing is known of it, the usage may be anything; where it is infinite, it is zero."""
    left = Enclosure(np.array([0.75, 0.75, 0.75, 0.5, 0.0, 0.75, 0.75]), np.array([0.25, 0.25, 0.25, 0.5, 0.0, 0.25, 0.25]))
    right = Enclosure(np.array([0.75, 0.5, 0.0, 0.75, 0.0, np.inf, 1.0]), np.array([0.75, 1.0, np.inf, 0.25, 0.0, 0.0, 0.5]))
    found, most = told(left, right, (7,)), upper_usage(left, right, (7,))
    np.testing.assert_allclose(found.least, [1 / 3, 1 / 3, 0, 0, 0, 0, 1 / 3], rtol=1e-15)
    np.testing.assert_allclose(most, [np.inf, np.inf, np.inf, 2, 0, 0, 2], rtol=1e-15)
    assert (found.least[[0, 1, 6]] < 1 / 3 + 1e-17).all()
    assert (most[[3, 6]] > 2).all()
    np.testing.assert_array_equal(found.holds, [False, False, False, False, True, True, False])
    assert not found.violated.any()


def test_a_usage_larger_than_any_float_is_no_infinite_one():
    sides = np.array([1.0, np.inf, 1.0]), np.array([1e-310, 1.0, 0.0])
    found, most = told(*sides, (3,)), upper_usage(*sides, (3,))
    np.testing.assert_array_equal(found.least, [np.finfo(float).max, np.inf, np.inf])
    np.testing.assert_array_equal(most, np.inf)


def test_the_same_mids_may_have_other_radii():
    one, off = np.broadcast_to(1.0, (2, 3)), np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    right = np.broadcast_to(1.25, (2, 3))
    np.testing.assert_array_equal(told(Enclosure(one, off), right, (2,)).holds, [False, True])
    np.testing.assert_array_equal(told(one, Enclosure(right, off), (2,)).holds, [False, True])


def test_an_instance_is_broken_by_one_of_its_entries_and_holds_in_all():
    """Entries of an instance are further axes of a side; a side that is the same for all of them is repeated."""
    left = Enclosure(np.array([[0.1, 0.2, 0.9], [0.1, 0.2, 0.3], [0.1, 0.2, 0.5]]), 1e-3)
    right = np.broadcast_to(np.array(0.5), (3, 3))
    for x, y in ((left, right), (Enclosure(np.asfortranarray(left.mid), left.rad), Enclosure(right, 0.0))):
        found, most = told(x, y, (3,)), upper_usage(x, y, (3,))
        np.testing.assert_array_equal(found.holds, [False, True, False])
        np.testing.assert_array_equal(found.violated, [True, False, False])
        np.testing.assert_allclose(found.least, [0.899 / 0.5, 0.299 / 0.5, 0.499 / 0.5], rtol=1e-15)
        np.testing.assert_allclose(most, [0.901 / 0.5, 0.301 / 0.5, 0.501 / 0.5], rtol=1e-15)
    assert told(left.mid[2], right[2], ()).holds  # in floats alone, which are what they say


def test_a_chunk_is_gone_with_its_last_name():
    """Its tables are a hundred megabytes: in a circle of references they would stay until somebody collects them."""
    enclosed = enclose(comparison((17,)))
    for name in ("npg-rate", "kl-trpo"):
        CATALOGUE[name].sides(enclosed)
    gone = weakref.ref(enclosed)
    gc.disable()
    try:
        del enclosed
        assert gone() is None
    finally:
        gc.enable()
