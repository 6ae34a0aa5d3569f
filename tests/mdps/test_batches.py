"""Batches in tiles, chunks and threads: the same bits as alone, and right where chains are hard."""

import multiprocessing

import mpmath as mp
import numpy as np
import oracle
import pytest
from numba import config

from mdps import MDP, batches, evaluate, evaluation_kernel
from mdps.batches import rows
from mdps.distributions import distributions
from mdps.elimination import backup
from mdps.evaluate import evaluate_trusted
from mdps.evaluation_kernel import check_and_evaluate
from mdps.mdp import as_policy
from mdps.planes import unfolded
from mdps.tiles import over, quotient

FIELDS = ("V", "Q", "A", "rho", "d", "eta")
HARD_GAMMAS = (0.0, 0.9, 1 - 1e-9, 1 - 1e-12)


def random_batch(states, actions, count, seed=0):
    """Processes of all kinds of discount, every third with a last state that is hardly ever visited."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.ones(states), (count, states, actions))
    P[::3, ..., -1] *= 1e-6
    P /= P.sum(-1, keepdims=True)
    mdp = MDP(P, rng.random((count, states, actions)), rng.dirichlet(np.ones(states), count), rng.choice(HARD_GAMMAS, count))
    return mdp, rng.dirichlet(np.ones(actions), (count, states))


@pytest.mark.parametrize("actions", [1, 3, 8])
@pytest.mark.parametrize("states", [1, 2, 5, 8, 13])
def test_alone_in_a_batch_and_on_any_number_of_threads(states, actions, monkeypatch):
    mdp, pi = random_batch(states, actions, 43)
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 1)
    e = evaluate(mdp, pi)
    monkeypatch.setattr(batches, "CHUNK", 1)
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 3)
    shared = evaluate(mdp, pi)
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(shared, field), getattr(e, field))
    for i in range(43):
        alone = evaluate(mdp[i], pi[i])
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(alone, field), getattr(e, field)[i])


def cycle(states):
    return np.roll(np.eye(states), 1, 1)


def blocks(states):
    """Two halves that never meet, each mixing within itself."""
    table, half = np.zeros((states, states)), states // 2
    table[:half, :half] = 1 / half
    table[half:, half:] = 1 / (states - half)
    return table


def absorbing(states):
    """A walk to the right that ends in the last state."""
    return np.eye(states, k=1) + np.diag(np.eye(states)[-1])


CHAINS = {"periodic": cycle, "disconnected": blocks, "absorbing": absorbing, "still": np.eye}


@pytest.mark.parametrize("actions", [1, 2])
@pytest.mark.parametrize("chain", CHAINS)
def test_hard_chains_against_80_digits(chain, actions):
    rng = np.random.default_rng(4)
    table = np.repeat(CHAINS[chain](4)[:, None], actions, 1)
    pi, reward, start = rng.dirichlet(np.ones(actions), 4), rng.random((4, actions)), rng.dirichlet(np.ones(4))
    mdp = MDP(table, reward, start, HARD_GAMMAS)
    e = evaluate(mdp, pi)
    for i in range(len(HARD_GAMMAS)):
        with mp.workdps(oracle.DIGITS):
            exact = oracle.evaluate(mdp[i], pi)
            relative = [
                abs(mp.mpf(float(x)) / y - 1) if y else abs(float(x))
                for x, y in zip([*e.V[i], *e.rho[i], e.eta[i]], [*exact.V, *exact.rho, exact.eta], strict=True)
            ]
            error = max(abs(mp.mpf(float(e.A[i, s, a])) - exact.A[s][a]) for s in range(4) for a in range(actions))
            span = max(exact.V) - min(exact.V)
            assert max(relative) < 1e-14
            assert error < 1e-13 * (1 + float(span))


def test_one_table_serves_many_policies_without_a_copy():
    mdp, _ = random_batch(4, 2, 1)
    wide = np.broadcast_to(mdp.P[0], (3, 5, 4, 2, 4))
    flat, which = rows(wide, (3, 5), 3)
    assert np.shares_memory(flat, mdp.P)
    assert flat.shape == (1, 32)
    assert which.tolist() == [0] * 15
    columns = np.broadcast_to(np.arange(5.0), (3, 5))
    flat, which = rows(columns, (3, 5), 0)
    assert flat[which, 0].tolist() == [*range(5)] * 3


def test_a_wrong_row_is_named_wherever_it_is(monkeypatch):
    mdp, pi = random_batch(3, 2, 50)
    monkeypatch.setattr(batches, "CHUNK", 1)
    for value, message in ((0.25, r"pi\[41, 2\] sums to"), (np.nan, r"pi\[41, 2, 1\] is nan"), (-0.5, r"pi\[41, 2, 1\] is -0.5")):
        wrong = pi.copy()
        wrong[41, 2, 1] = wrong[41, 2, 1] + value if value > 0 else value
        with pytest.raises(ValueError, match=message):
            evaluate(mdp, wrong)


@pytest.mark.parametrize("wrong", [[0.5, 0.5 + 1e-7], [1.5, -0.5], [np.inf, 0.0], [np.nan, 1.0]])
def test_what_is_no_distribution(wrong):
    assert distributions(np.array([[0.5, 0.5], wrong]), 1e-8) is None
    mdp, pi = random_batch(3, 2, 20)
    pi[17, 1] = wrong
    with pytest.raises(ValueError, match=r"pi\[17, 1"):
        evaluate(mdp, pi)


def test_distributions_are_copied_and_normalised():
    given = np.array([[0.5, 0.5 + 1e-9], [0.25, 0.75]])
    copy = distributions(given, 1e-8)
    assert not np.shares_memory(copy, given)
    np.testing.assert_array_equal(copy, [given[0] / given[0].sum(), given[1]])


@pytest.mark.parametrize("size", [5, 50, 500])
def test_rows_that_sum_to_one_are_left_alone(size):
    given = np.random.default_rng(0).dirichlet(np.ones(size), 500)
    np.testing.assert_array_equal(distributions(given, 1e-8), given)


def _in_a_child(mdp, pi, eta):
    np.testing.assert_array_equal(evaluate(mdp, pi).eta, eta)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(batches, "CHUNK", 1)
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 2)
    mdp, pi = random_batch(3, 2, 50)
    e = evaluate(mdp, pi)  # the parent's threads are there
    child = multiprocessing.get_context("fork").Process(target=_in_a_child, args=(mdp, pi, e.eta))
    child.start()
    child.join(30)
    stuck = child.is_alive()
    child.kill()
    assert not stuck
    assert child.exitcode == 0


def test_many_results_are_written_past_the_caches_to_the_same_bits(monkeypatch):
    mdp, pi = random_batch(3, 2, 16 * 40 + 5)
    monkeypatch.setattr(config, "NUMBA_NUM_THREADS", 3)
    near = evaluate(mdp, pi)
    monkeypatch.setattr(evaluation_kernel, "LARGE", 0)
    far = evaluate(mdp, pi)
    for field in ("pi", *FIELDS):
        np.testing.assert_array_equal(getattr(far, field), getattr(near, field))


@pytest.mark.parametrize("off", [0.0, 1e-15, 1e-9, 1e-8 / 2])
def test_a_policy_is_kept_as_the_check_makes_it(off):
    mdp, pi = random_batch(5, 3, 43)
    pi[7, 2] *= 1 + off
    pi[20, 0] *= 1 - off
    e, given = evaluate(mdp, pi), pi.copy()
    np.testing.assert_array_equal(e.pi, as_policy(mdp, pi))
    again = evaluate_trusted(mdp, as_policy(mdp, pi))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(e, field), getattr(again, field))
    pi[:] = 0.0
    np.testing.assert_array_equal(e.pi[9], given[9])
    assert not e.pi.flags.writeable


def test_one_pass_is_for_plain_tables():
    mdp, pi = random_batch(5, 3, 16)
    assert check_and_evaluate(mdp, pi) is not None
    assert check_and_evaluate(mdp[0], pi) is not None
    others = (pi.tolist(), pi.astype(np.float32), pi[0], pi[:7], pi[..., :2], pi[:0], np.asfortranarray(pi), pi[None, :8])
    assert [check_and_evaluate(mdp, other) for other in others] == [None] * len(others)


@pytest.mark.parametrize("states", range(1, 10))
def test_rows_in_any_order_are_read_into_tiles(states):
    mdp, pi = random_batch(states, 2, 5)
    which = np.array([3, 1, 4, 1, 0, 2, 3, 3, 0, 4, 2, 1, 1, 0, 3, 2, 4, 4, 0])
    few, many = evaluate(mdp, pi), evaluate(mdp[which], pi[which])
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(many, field), getattr(few, field)[which])
    one = evaluate(mdp[2], pi)  # of which all instances read the same row
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(one, field)[2], getattr(few, field)[2])


@pytest.mark.parametrize("mass", [1.0, 1 - 1e-15, 1 + 3e-9, 1 - 7e-9, 1 + 8e-9, 1 - 1e-7, 0.5, 3.0, 1e-300, 1e300])
def test_over_a_mass(mass):
    for x in (1.0, 0.1, -3.0, mass):
        assert over(x, mass) == pytest.approx(x / mass, rel=2.3e-16)
    assert over(mass, mass) == 1.0
    P, values = np.array([[[mass, 0.0]], [[0.0, 1.0]]]), np.array([2.0, -1.0])
    found = backup(P, np.zeros((2, 1)), 1.0, values)
    np.testing.assert_allclose(found, [[2.0], [-1.0]], rtol=5e-16)
    many = backup(unfolded(np.repeat(P.reshape(-1, 1), 16, 1), P.shape), np.zeros((2, 1)), 1.0, values)
    np.testing.assert_array_equal(many, np.broadcast_to(found, (16, 2, 1)))


@pytest.mark.parametrize("y", [0.1, 0.3, 1 / 7, 5e-16, 7e200])
def test_a_quotient_from_an_inverse(y):
    for x in (3.0, 1.1, y, 5 * y, -y / 4, 0.0):
        assert quotient(x, y, 1 / y) == x / y
