"""Large processes: against dense solves in 60 digits and in floats, at the hard ends, and what bad input is told."""

import mpmath as mp
import numpy as np
import pytest
from scipy import sparse

import mdps.krylov
from mdps import SparseMDP, evaluate_sparse, optimal_policy_sparse
from mdps.families import gridworld, mountain_car, sparse_garnet
from mdps.rows import depth_first, rows
from mdps.sparse_chain import merged, side_by_side, sides
from mdps.sparse_resolvent import SparseResolvent

GAMMAS = (0.0, 0.5, 0.99, 1 - 1e-9)


def process(P, gamma, seed=0, rho0=None):
    """A process [S,A,S] of random rewards, as a sparse one."""
    states, actions, _ = P.shape
    R = np.random.default_rng(seed).standard_normal((states, actions))
    start = np.full(states, 1 / states) if rho0 is None else rho0
    return SparseMDP(sparse.csr_array(P.reshape(states * actions, states)), R, start, gamma)


def cycle(states):
    P = np.zeros((states, 1, states))
    P[np.arange(states), 0, np.random.default_rng(1).permutation(states)] = 1  # some cycles, in no order
    return P


def islands(states):
    """Two parts that never meet, the second of which absorbs."""
    P, half = np.zeros((states, 2, states)), states // 2
    rng = np.random.default_rng(2)
    P[:half, :, :half] = rng.dirichlet(np.ones(half), (half, 2))
    P[half:, :, states - 1] = 1
    return P


def mixing(states):
    return np.random.default_rng(3).dirichlet(np.ones(states), (states, 3))


def ring(states):
    P = np.zeros((states, 2, states))
    P[np.arange(states), 0, np.arange(1, states + 1) % states] = 1
    P[np.arange(states), 1, np.arange(-1, states - 1)] = 1  # period two where states is even
    return P


CHAINS = {f.__name__: f for f in (cycle, islands, mixing, ring)}


def exact(mdp, pi):
    """V, rho, A and eta by a dense solve in 60 digits, tables read as their exact normalisation."""
    with mp.workdps(60):
        S, A = mdp.R.shape
        table = mdp.P.toarray().reshape(S, A, S)

        def law(row):
            row = [mp.mpf(float(x)) for x in row]
            total = mp.fsum(row)
            return [x / total for x in row]

        P, choice, start = [[law(r) for r in by] for by in table], [law(r) for r in pi], law(mdp.rho0)
        gamma, R = mp.mpf(float(mdp.gamma)), [[mp.mpf(float(x)) for x in r] for r in mdp.R]
        M = mp.matrix(S, S)
        for s in range(S):
            for t in range(S):
                M[s, t] = (s == t) - gamma * mp.fsum(choice[s][a] * P[s][a][t] for a in range(A))
        V = mp.lu_solve(M, mp.matrix([mp.fsum(choice[s][a] * R[s][a] for a in range(A)) for s in range(S)]))
        rho = mp.lu_solve(M.T, mp.matrix(start))
        advantage = [[R[s][a] + gamma * mp.fsum(P[s][a][t] * V[t] for t in range(S)) - V[s] for a in range(A)] for s in range(S)]
        return list(V), list(rho), advantage, mp.fsum(start[s] * V[s] for s in range(S))


def errors(e, truth):
    """How far an evaluation is from the truth, in the norms its radii are of."""
    V, rho, A, eta = truth
    with mp.workdps(60):
        return {
            "V_error": max(abs(mp.mpf(float(x)) - y) for x, y in zip(e.V, V, strict=True)),
            "rho_error": mp.fsum(abs(mp.mpf(float(x)) - y) for x, y in zip(e.rho, rho, strict=True)),
            "A_error": max(abs(mp.mpf(float(x)) - y) for r, t in zip(e.A, A, strict=True) for x, y in zip(r, t, strict=True)),
            "eta_error": abs(mp.mpf(float(e.eta)) - eta),
        }


@pytest.mark.parametrize("tolerance", [1e-3, 1e-15])
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("chain", CHAINS)
def test_radii_contain_the_truth(chain, gamma, tolerance):
    mdp = process(CHAINS[chain](12), gamma)
    pi = np.random.default_rng(4).dirichlet(np.ones(mdp.A), mdp.S)
    e = evaluate_sparse(mdp, pi, tolerance=tolerance)
    for name, error in errors(e, exact(mdp, pi)).items():
        assert error <= getattr(e, name), name
    largest, horizon = np.abs(mdp.R).max(), 1 / (1 - gamma)
    assert e.V_error <= (2 * tolerance + 3e-13) * largest * horizon * max(1, np.ptp(e.h))
    assert e.rho_error <= (2 * tolerance + 3e-13 * horizon) * horizon  # a part of rounding is of d, not of (1-gamma) rho0


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_chain_that_mixes_keeps_its_digits_as_gamma_nears_one(gamma):
    mdp = process(mixing(12), gamma)
    pi = np.random.default_rng(4).dirichlet(np.ones(mdp.A), mdp.S)
    e, truth = evaluate_sparse(mdp, pi), exact(mdp, pi)
    error, largest = errors(e, truth), max(abs(v) for v in truth[0])
    assert error["V_error"] <= 1e-14 * largest
    assert error["A_error"] <= 1e-14 * np.abs(mdp.R).max()
    assert error["rho_error"] * (1 - gamma) <= 1e-14
    assert error["eta_error"] <= 1e-14 * largest


def test_loose_rows_are_read_as_their_normalisation():
    mdp = process(mixing(6), 0.9)
    loose = SparseMDP(mdp.P * (1 + 3e-9), mdp.R, mdp.rho0, 0.9)
    pi = np.full((6, 3), 1 / 3)
    np.testing.assert_allclose(evaluate_sparse(loose, pi).V, evaluate_sparse(mdp, pi).V, rtol=1e-14)


def test_one_state_and_one_action():
    e = evaluate_sparse(SparseMDP(sparse.csr_array([[1.0]]), [[3.0]], [1.0], 0.75), [[1.0]])
    assert (e.V[0], e.rho[0], float(e.eta), e.A[0, 0]) == (12.0, 4.0, 12.0, 0.0)


def test_unreachable_states_are_never_visited():
    states = 100_000
    following = np.minimum(np.arange(states) + 1, states - 1)  # one long way to the last, which absorbs
    P = sparse.csr_array((np.ones(states), following, np.arange(states + 1)), shape=(states, states))
    start = np.zeros(states)
    start[states - 50] = 1
    e = evaluate_sparse(SparseMDP(P, np.ones((states, 1)), start, 0.99), np.ones((states, 1)))
    assert (e.rho[: states - 50] == 0).all()
    np.testing.assert_allclose(e.rho[states - 50 : -1], 0.99 ** np.arange(49), rtol=1e-12)
    np.testing.assert_allclose(e.V, 100.0, rtol=1e-13)
    assert e.V_error < 1e-9
    assert e.rho_error < 1e-8


@pytest.mark.parametrize("gamma", [0.99, 1 - 1e-9])
def test_a_cycle_of_many_states_in_no_order(gamma):
    """Krylov methods take as many products as the cycle has states; a pass in depth-first order takes one."""
    states = 20_000
    order = np.random.default_rng(0).permutation(states)
    following = np.empty(states, dtype=int)
    following[order] = np.roll(order, -1)
    P = sparse.csr_array((np.ones(states), following, np.arange(states + 1)), shape=(states, states))
    reward = np.random.default_rng(1).random(states)
    e = evaluate_sparse(SparseMDP(P, reward[:, None], np.full(states, 1 / states), gamma), np.ones((states, 1)), products=5000)
    discount = gamma ** np.arange(states)
    first = (discount * reward[order]).sum() / -np.expm1(states * np.log1p(-(1 - gamma)))
    assert abs(e.V[order[0]] - first) <= e.V_error + 1e-11 * first
    np.testing.assert_allclose(e.rho, 1 / (states * (1 - gamma)), rtol=1e-9)


def test_spent_products_raise_and_say_what_was_reached():
    with pytest.raises(ArithmeticError, match=r"left a residual of .*products="):
        evaluate_sparse(gridworld(30, 30, gamma=0.999), np.full((900, 4), 0.25), products=10)


@pytest.mark.parametrize("method", ["_krylov", "_swept_krylov"])
def test_without_its_faster_methods_a_solve_still_ends(method, monkeypatch):
    """A method that brings nothing hands over to the next; the last needs no luck."""

    def fails(system, r, ratio, products):
        return np.full_like(r, np.nan), 1

    monkeypatch.setattr(mdps.krylov, "_krylov", fails)
    if method == "_swept_krylov":
        monkeypatch.setattr(mdps.krylov, "_swept_krylov", fails)
    mdp = process(islands(12), 0.9)
    pi = np.full((12, 2), 0.5)
    e = evaluate_sparse(mdp, pi)
    M = np.eye(12) - 0.9 * (mdp.P.toarray().reshape(12, 2, 12) / 2).sum(1)
    np.testing.assert_allclose(e.V, np.linalg.solve(M, mdp.R.mean(1)), rtol=1e-12)
    np.testing.assert_allclose(e.rho, np.linalg.solve(M.T, mdp.rho0), rtol=1e-12, atol=1e-13)


def test_a_start_nearby_saves_products_and_changes_nothing():
    mdp = sparse_garnet(2000, 3, 4, gamma=0.99, seed=0)
    old = np.full((2000, 3), 1 / 3)
    new = old + 1e-6 * np.array([1, -1, 0])
    before = evaluate_sparse(mdp, old, tolerance=1e-10)
    assert np.isfinite(before.eta)  # its visits are known from here on
    with pytest.raises(ArithmeticError):
        evaluate_sparse(mdp, new, tolerance=1e-10, products=18)
    warm = evaluate_sparse(mdp, new, tolerance=1e-10, start=before, products=18)
    cold = evaluate_sparse(mdp, new)
    assert "rho" not in vars(cold)  # solved for when first read
    with pytest.raises(AttributeError, match="no attribute 'roh'"):
        cold.roh  # noqa: B018
    assert np.abs(warm.V - cold.V).max() <= warm.V_error + cold.V_error
    assert np.abs(warm.rho - cold.rho).sum() <= warm.rho_error + cold.rho_error


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("make", [mixing, islands, ring])
def test_optimal_policies_are_within_their_regret(make, gamma):
    mdp = process(make(10), gamma)
    _, e = optimal_policy_sparse(mdp, epsilon=1e-6)
    P, V = mdp.P.toarray().reshape(10, -1, 10), np.zeros(10)
    for _ in range(100):  # Howard's policy iteration, by dense solves
        best = (mdp.R + gamma * P @ V).argmax(1)
        V = np.linalg.solve(np.eye(10) - gamma * P[np.arange(10), best], mdp.R[np.arange(10), best])
    short = (V - e.V).max()
    assert short <= e.regret + 1e-11 / (1 - gamma)
    assert e.regret <= 1e-6
    assert set(np.unique(e.pi)) <= {0.0, 1.0}


def test_the_regret_of_a_poor_policy_is_no_promise():
    mdp = process(mixing(10), 0.9)
    _, best = optimal_policy_sparse(mdp)
    poor = evaluate_sparse(mdp, np.eye(3)[mdp.R.argmin(1)])
    assert (best.V - poor.V).max() <= poor.regret


def test_the_shortest_way_through_a_grid():
    gamma = 0.95
    _, e = optimal_policy_sparse(gridworld(8, 9, gamma=gamma, slip=0.0), epsilon=1e-8)
    steps = 15 - np.add.outer(np.arange(8), np.arange(9))
    np.testing.assert_allclose(e.V.reshape(8, 9), -(1 - gamma**steps) / (1 - gamma), rtol=1e-10, atol=1e-13)


def test_a_grid_with_walls():
    walls = np.zeros((3, 3), dtype=bool)
    walls[1, 1] = True
    mdp = gridworld(3, 3, gamma=0.9, slip=0.2, walls=walls)
    P = mdp.P.toarray().reshape(9, 4, 9)
    np.testing.assert_allclose(P[1, 1], [0.1, 0.8, 0.1, 0, 0, 0, 0, 0, 0])  # down, into the wall
    np.testing.assert_allclose(P[0, 3], [0.1, 0.8, 0, 0.1, 0, 0, 0, 0, 0])  # right, slipping up into the edge
    assert (P[[4, 8]] == np.eye(9)[[4, 8]][:, None]).all()
    assert (P[np.arange(9) != 4][..., 4] == 0).all()


def test_the_car_moves_as_the_environment_does():
    from gymnasium.envs.classic_control.mountain_car import MountainCarEnv

    mdp, env = mountain_car(61, 57, gamma=0.99), MountainCarEnv()
    x, v = np.linspace(-1.2, 0.6, 61), np.linspace(-0.07, 0.07, 57)
    table = mdp.P.tocsr()
    rng = np.random.default_rng(0)
    for i, j, a in zip(rng.integers(0, 50, 200), rng.integers(0, 57, 200), rng.integers(0, 3, 200), strict=True):
        env.state = (x[i], v[j])
        (to_x, to_v), *_ = env.step(int(a))
        row = table[[(i * 57 + j) * 3 + a]]
        mean = row @ np.repeat(x, 57), row @ np.tile(v, 61)
        np.testing.assert_allclose(np.ravel(mean), (to_x, to_v), atol=1e-7)  # its observations are single precision


@pytest.mark.parametrize(
    "make", [lambda s: sparse_garnet(300, 3, 5, gamma=0.9, seed=s), lambda s: gridworld(9, 9, gamma=0.9, walls=0.2, seed=s)]
)
def test_a_seed_makes_one_process(make):
    same, again, other = make(1), make(1), make(2)
    assert (same.P != again.P).nnz == 0
    assert (same.P != other.P).nnz > 0


def test_garnets_have_distinct_successors_drawn_alike():
    mdp = sparse_garnet(4, 10_000 // 4, 2, gamma=0.9, seed=0)
    assert (np.diff(mdp.P.indptr) == 2).all()
    pairs = np.bincount([i * 4 + j for i, j in np.sort(mdp.P.indices.reshape(-1, 2))], minlength=16)
    assert (np.abs(pairs[pairs > 0] - 10_000 / 6) < 5 * np.sqrt(10_000 / 6)).all()
    assert (pairs > 0).sum() == 6


def test_products_in_threads_are_those_of_one():
    matrix = sparse.random_array((4000, 3000), density=0.03, rng=0, format="csr")
    many = rows(matrix)
    assert len(many.cuts) == 3 or len(many.cuts) == 2  # as many cores as there are
    x, y = np.random.default_rng(0).random(3000), np.random.default_rng(1).random(4000)
    np.testing.assert_allclose(many.affine(y, -0.5, x), y - 0.5 * (matrix.toarray() @ x), rtol=1e-13)


def test_tables_that_are_not_contiguous():
    matrix = sparse.random_array((30, 20), density=0.3, rng=0, format="csr")
    x, y = np.random.default_rng(0).random(40)[::2], np.random.default_rng(1).random(60)[::-2]
    np.testing.assert_allclose(rows(matrix).affine(y, -0.5, x), y - 0.5 * (matrix.toarray() @ x), rtol=1e-13)


def few_successors():
    return sparse_garnet(400, 3, 2, gamma=0.9, seed=0), np.random.default_rng(0).dirichlet(np.ones(3), 400)


def some_actions_only():
    mdp, pi = few_successors()
    pi[7] = [0.5, 0.0, 0.5]
    return mdp, pi


def shared_successors():
    return gridworld(20, 20, gamma=0.9), np.random.default_rng(0).dirichlet(np.ones(4), 400)


@pytest.mark.parametrize(("make", "apart"), [(few_successors, True), (some_actions_only, False), (shared_successors, False)])
def test_chains_are_those_of_the_table_merged_or_not(make, apart):
    mdp, pi = make()
    assert (side_by_side(mdp, pi) is not None) == apart
    table = mdp.P.toarray().reshape(400, -1, 400)
    assert mdp.P.apart == np.count_nonzero(table.sum(1)) / mdp.P.nnz
    chain = (table * pi[..., None]).sum(1)
    x = np.random.default_rng(1).random(400)
    ahead, back = sides(mdp, pi)
    np.testing.assert_allclose(ahead.affine(x, 0.7, x), x + 0.7 * chain @ x, rtol=1e-14)
    np.testing.assert_allclose(back.affine(x, 0.7, x), x + 0.7 * x @ chain, rtol=1e-14)
    np.testing.assert_allclose(SparseResolvent(mdp, pi).step(x), x @ chain, rtol=1e-14)
    np.testing.assert_allclose(merged(mdp, pi).toarray(), chain, rtol=1e-14)


def test_depth_first_order_ends_where_ways_end():
    edges = sparse.csr_array((np.ones(5), ([3, 0, 4, 1, 1], [0, 4, 1, 1, 2])), shape=(5, 5))
    place = np.argsort(depth_first(edges.tocsr()))
    assert place[1] < place[4] < place[0] < place[3]
    assert place[2] < place[1]


def test_a_flow_of_a_source_of_sum_zero():
    mdp = process(mixing(8), 0.99)
    pi = np.full((8, 3), 1 / 3)
    source = np.array([1.0, -2, 0, 0, 3, 0, -2, 0])
    M = np.eye(8) - 0.99 * (mdp.P.toarray().reshape(8, 3, 8) / 3).sum(1)
    np.testing.assert_allclose(SparseResolvent(mdp, pi).flow(source), np.linalg.solve(M.T, source), atol=1e-12)


GOOD = {"P": sparse.csr_array(np.full((4, 2), 0.5)), "R": np.zeros((2, 2)), "rho0": [0.5, 0.5], "gamma": 0.9}
BAD = {
    "dense P": ({"P": np.full((4, 2), 0.5)}, TypeError, "P is ndarray; expected a scipy sparse matrix"),
    "P of another shape": ({"P": sparse.eye_array(4)}, ValueError, r"P has shape \(4, 4\).*\(4, 2\)"),
    "negative": (
        {"P": sparse.csr_array([[0.5, 0.5], [0.5, 0.5], [1.5, -0.5], [1, 0]])},
        ValueError,
        r"P\[2, 1\] \(state 1, action 0\)",
    ),
    "nan": ({"P": sparse.csr_array([[0.5, 0.5], [np.nan, 0.5], [1, 0], [1, 0]])}, ValueError, r"P\[1, 0\] \(state 0, action 1\)"),
    "sum": (
        {"P": sparse.csr_array([[0.5, 0.5], [0.5, 0.5], [1, 0], [0.9, 0]])},
        ValueError,
        r"P\[3\] \(state 1, action 1\) sums to 0.9",
    ),
    "empty row": ({"P": sparse.csr_array([[0.5, 0.5], [0, 0], [1, 0], [1, 0]])}, ValueError, r"P\[1\] .* sums to 0.0"),
    "R": ({"R": np.zeros(2)}, ValueError, r"R has shape \(2,\)"),
    "nan in R": ({"R": [[0, 0], [np.nan, 0]]}, ValueError, r"R\[1, 0\] is nan"),
    "rho0": ({"rho0": [1.0]}, ValueError, r"rho0 has shape \(1,\)"),
    "sum of rho0": ({"rho0": [0.5, 0.4]}, ValueError, "rho0 sums to 0.9"),
    "gamma": ({"gamma": 1.0}, ValueError, "gamma is 1.0"),
    "two gammas": ({"gamma": [0.5, 0.9]}, ValueError, r"gamma is \[0.5, 0.9\]"),
    "overflow": ({"R": np.full((2, 2), 1e308), "gamma": 0.999}, ValueError, "overflow"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told(case):
    SparseMDP(**GOOD)
    change, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        SparseMDP(**{**GOOD, **change})


def test_bad_requests_are_told():
    mdp = SparseMDP(**GOOD)
    with pytest.raises(ValueError, match=r"tolerance is 0"):
        evaluate_sparse(mdp, np.full((2, 2), 0.5), tolerance=0)
    with pytest.raises(ValueError, match=r"one policy at a time"):
        evaluate_sparse(mdp, np.full((3, 2, 2), 0.5))
    with pytest.raises(ValueError, match=r"epsilon is -1"):
        optimal_policy_sparse(mdp, epsilon=-1)
    with pytest.raises(ArithmeticError, match=r"ask for a larger epsilon"):
        optimal_policy_sparse(process(mixing(10), 1 - 1e-9), epsilon=1e-9)
    with pytest.raises(ValueError, match="slip is 2"):
        gridworld(3, 3, gamma=0.9, slip=2)
    with pytest.raises(ValueError, match=r"walls has shape \(2, 2\)"):
        gridworld(3, 3, gamma=0.9, walls=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="branching is 9 with 5 states"):
        sparse_garnet(5, 2, 9, gamma=0.9, seed=0)
    with pytest.raises(ValueError, match="two or more"):
        mountain_car(1, 5, gamma=0.9)


def test_tables_are_frozen_and_a_users_own_stay_his():
    P = sparse.csr_array(np.full((4, 2), 0.5))
    mdp = SparseMDP(P, np.zeros((2, 2)), [0.5, 0.5], 0.9)
    P.data[:] = 7
    assert (mdp.P.data == 0.5).all()
    with pytest.raises(ValueError, match="read-only"):
        mdp.P.data[0] = 1
