"""Every claim says of a sparse process what it says of the same process as a dense one, or says why it cannot."""

import numpy as np
import oracle
import pytest
from mpmath import mp

from bounds import CATALOGUE, compare
from bounds.sparse_comparison import SparseComparison, compare_sparse
from mdps import MDP, SparseEvaluation, evaluate, evaluate_sparse, optimal_policy
from mdps.families import gridworld, sparse_garnet

DENSE = ("occ-ergodic", "occ-dobrushin", "kemeny-zhang-ross", "kemeny-gap", "gap-ergodic", "grad-match", "npg-rate")
"""Claims that need a table of S x S numbers, or a process of other rewards."""

PROCESSES = {
    "garnet": lambda: sparse_garnet(12, 3, 4, gamma=0.9, seed=0),
    "grid": lambda: gridworld(4, 4, gamma=0.99),
}


def dense(mdp):
    return MDP(mdp.P.toarray().reshape(mdp.S, mdp.A, mdp.S), mdp.R, mdp.rho0, mdp.gamma)


def pair(mdp, near):
    rng = np.random.default_rng(1)
    old, other = rng.dirichlet(np.ones(mdp.A), (2, mdp.S))
    return old, (1 - near) * old + near * other


@pytest.fixture(scope="module", params=PROCESSES)
def both(request):
    mdp = PROCESSES[request.param]()
    old, new = pair(mdp, 0.1)
    return compare_sparse(mdp, old, new), compare(dense(mdp), old, new)


@pytest.mark.parametrize("name", CATALOGUE)
def test_usage_is_that_of_the_dense_process(name, both):
    claim = CATALOGUE[name]
    if name in DENSE:
        with pytest.raises(TypeError, match="SparseMDP"):
            claim.usage(both[0])
        return
    here, there = (float(claim.usage(c)) for c in both)
    if claim.kind in ("identity", "guarantee") and claim.status == "theorem":
        assert max(here, there) <= 1  # a difference that is zero, in units of rounding
    else:
        assert here == pytest.approx(there, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("near", [1.0, 1e-4, 1e-8])
@pytest.mark.parametrize("make", PROCESSES)
def test_errors_contain_the_truth(make, near):
    mdp = PROCESSES[make]()
    old, new = pair(mdp, near)
    c = compare_sparse(mdp, old, new)
    with mp.workdps(oracle.DIGITS):
        truth = oracle.compare(dense(mdp), old, new)
        assert abs(mp.mpf(float(c.gap)) - truth.gap) <= float(c.gap_error)
        assert abs(mp.mpf(float(c.occupancy_tv)) - truth.occupancy_tv) <= float(c.occupancy_error)
        assert abs(mp.mpf(float(c.surrogate_gain)) - truth.surrogate_gain) <= float(c.surrogate_error)
        assert float(c.gap_error) <= 1e-7 * near


def test_an_evaluation_is_used_as_it_is():
    mdp = PROCESSES["garnet"]()
    old, new = pair(mdp, 0.1)
    e = evaluate_sparse(mdp, old)
    assert compare_sparse(mdp, e, new).old is e
    with pytest.raises(ValueError, match="new was evaluated in another MDP object"):
        compare_sparse(mdp, old, evaluate_sparse(PROCESSES["garnet"](), new))


def test_the_general_functions_take_sparse_processes():
    mdp = PROCESSES["garnet"]()
    old = np.full((mdp.S, mdp.A), 1 / mdp.A)
    pi, best = optimal_policy(mdp)
    assert isinstance(best, SparseEvaluation)
    assert (best.V >= evaluate(mdp, old).V - 1e-9).all()
    c, expected = compare(mdp, old, pi), compare_sparse(mdp, old, pi)
    assert isinstance(c, SparseComparison)
    assert c.gap == expected.gap
