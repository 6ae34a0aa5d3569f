"""Memory that is used again: never while anybody looks at it, and not without bound."""

import gc
import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mdps import evaluate, slabs
from mdps.families import garnet


@pytest.fixture(autouse=True)
def none_waits(monkeypatch):
    """A test of its own slabs."""
    gc.collect()
    slabs._WAITING.clear()
    monkeypatch.setattr(slabs, "SMALL", 64)


def begin(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_the_last_view_is_gone():
    array = slabs.empty((30, 20))
    place, view = begin(array), array[3:5].T
    del array
    assert slabs.waiting() == 0
    assert not np.shares_memory(slabs.empty((30, 20)), view)
    view[:] = 7.0
    other = slabs.empty((600,))
    assert begin(other) != place
    assert (view == 7.0).all()
    del view
    assert begin(slabs.empty((600,))) == place


@pytest.mark.parametrize("shape", [(), (0,), (3,), (64,), (65, 1), (100, 5, 3)])
def test_an_array_like_any_other(shape):
    array = slabs.empty(shape)
    assert (array.shape, array.dtype) == (shape, np.float64)
    assert all(array.flags[name] for name in ("C_CONTIGUOUS", "WRITEABLE", "ALIGNED"))
    assert begin(array) % 64 == 0 or not array.size


def test_live_arrays_never_overlap():
    rng = np.random.default_rng(0)
    live = []
    for step in range(2000):
        if len(live) > 20 or (live and rng.random() < 0.4):
            number, array = live.pop(rng.integers(len(live)))
            assert (array == number).all()
            del array
        array = slabs.empty((int(rng.choice([65, 100, 101, 103, 400, 2000])),))
        array[:] = step
        live.append((step, array))
    ends = sorted((begin(array), begin(array) + array.nbytes) for _, array in live)
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(ends))


@pytest.mark.parametrize("count", [65, 100, 1000, 12345, 2**20, 2**20 + 1])
def test_a_slab_is_hardly_larger_than_its_array(count):
    assert count + 8 <= slabs._rounded(count) <= max(1.125 * (count + 8), count + 16)


def test_a_small_array_leaves_a_large_slab_to_a_large_one():
    place = begin(slabs.empty((5000,)))
    small = slabs.empty((100,))
    assert small.size < 128 < slabs.waiting()
    assert begin(slabs.empty((5000,))) == place


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(slabs, "KEPT", 5000)
    arrays = [slabs.empty((1000 + 200 * i,)) for i in range(10)]
    last = begin(arrays[-1])
    while arrays:
        del arrays[0]
        assert slabs.waiting() <= 5000
    assert slabs.waiting() > 2000  # and the newest are kept
    assert begin(slabs.empty((2800,))) == last


def test_too_large_a_slab_does_not_wait(monkeypatch):
    monkeypatch.setattr(slabs, "KEPT", 5000)
    slabs.empty((6000,))
    assert slabs.waiting() == 0


def test_threads_never_get_the_same_memory():
    def work(number):
        for step in range(300):
            array = slabs.empty((100 + step % 3,))
            array[:] = number
            held = array[::2]
            del array
            other = slabs.empty((100,))
            other[:] = -1.0
            assert (held == number).all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_memory_of_its_own():
    array, gone = slabs.empty((500,)), slabs.empty((500,))
    array[:] = 1.0
    del gone
    child = os.fork()
    if not child:
        array[:] = 2.0
        mine = slabs.empty((500,))
        mine[:] = 3.0
        os._exit(0 if (array == 2.0).all() and not np.shares_memory(mine, array) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (array == 1.0).all()


def test_results_stay_what_they_were():
    mdp = garnet(5, 3, 2, gamma=0.9, seed=0, batch=(200,))
    rng = np.random.default_rng(0)
    policies = rng.dirichlet(np.ones(3), (4, 200, 5))
    first = evaluate(mdp, policies[0])
    fields = ("pi", "V", "Q", "A", "rho", "d", "eta")
    copies = [getattr(first, name).copy() for name in fields]
    views = [getattr(first, name)[50:] for name in fields]
    del first
    for pi in policies[1:]:
        evaluate(mdp, pi)
    for view, copy in zip(views, copies, strict=True):
        np.testing.assert_array_equal(view, copy[50:])
