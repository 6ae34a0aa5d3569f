"""optimal_policy against enumeration of all policies, exact rationals, a linear program and value iteration."""

import itertools
from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest

from mdps import MDP, evaluate, stack
from mdps.families import chain_walk, deep_sea, dirichlet, forest, garnet, riverswim, two_state_plateau, windy_gridworld
from mdps.optimal import optimal_policy

GAMMAS = [0.0, 0.5, 0.99, 1 - 1e-10]
NAMED = {
    "garnet": garnet(8, 3, 2, gamma=0.9, seed=0),
    "dirichlet": dirichlet(6, 4, gamma=0.95, seed=1),
    "riverswim": riverswim("osband-2013", gamma=0.95),
    "chain_walk": chain_walk(50, gamma=0.9),
    "deep_sea": deep_sea(5, gamma=0.9),
    "plateau": two_state_plateau(gamma=0.75),
    "forest": forest(gamma=0.96, states=10),
    "windy": windy_gridworld(gamma=0.9),
}


def solve_exactly(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    rows = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    n = len(rows)
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k] != 0)
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(n):
            if i != k:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[n] for row in rows]


def exact_value(mdp: MDP, actions: tuple[int, ...]) -> list[Fraction]:
    """V of a deterministic policy in the exact row-normalisation of the float tables."""
    gamma = Fraction(float(mdp.gamma))
    matrix, right = [], []
    for s, a in enumerate(actions):
        row = [Fraction(x) for x in mdp.P[s, a].tolist()]
        matrix.append([(s == j) - gamma * x / sum(row) for j, x in enumerate(row)])
        right.append(Fraction(float(mdp.R[s, a])))
    return solve_exactly(matrix, right)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_no_policy_is_better_in_any_state_in_exact_rationals(gamma):
    mdps = garnet(3, 2, 2, gamma=gamma, seed=3, batch=(12,))
    pi, _ = optimal_policy(mdps)
    for i in range(12):
        values = {actions: exact_value(mdps[i], actions) for actions in itertools.product(range(2), repeat=3)}
        found = values[tuple(pi[i].argmax(-1).tolist())]
        for other in values.values():
            assert all(v >= w for v, w in zip(found, other, strict=True))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99])
def test_value_is_the_maximum_over_all_policies(gamma):
    mdps = dirichlet(4, 3, gamma=gamma, seed=5, batch=(50,))
    policies = np.eye(3)[np.array(list(itertools.product(range(3), repeat=4)))]  # [81, 4, 3]
    p = np.einsum("ksa,bsat->bkst", policies, mdps.P)
    r = np.einsum("ksa,bsa->bks", policies, mdps.R)
    V = np.linalg.solve(np.eye(4) - gamma * p, r[..., None])[..., 0]
    np.testing.assert_allclose(optimal_policy(mdps)[1].V, V.max(1), rtol=1e-12, atol=1e-13 / (1 - gamma))


@pytest.mark.parametrize("name", NAMED)
def test_linear_program_has_the_same_value(name):
    mdp = NAMED[name]
    V = cp.Variable(mdp.S)
    gamma = float(mdp.gamma)
    constraints = [mdp.R[:, a] + gamma * mdp.P[:, a] @ V <= V for a in range(mdp.A)]
    problem = cp.Problem(cp.Minimize(cp.sum(V)), constraints)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    _, evaluation = optimal_policy(mdp)
    np.testing.assert_allclose(evaluation.V, V.value, atol=1e-7 * (1 + np.abs(V.value).max()))


@pytest.mark.parametrize("name", NAMED)
def test_bellman_optimality_by_value_iteration(name):
    mdp = NAMED[name]
    pi, evaluation = optimal_policy(mdp)
    V = np.zeros(mdp.S)
    for _ in range(1000):  # 0.96^1000 < 1e-17
        V = (mdp.R + mdp.gamma * mdp.P @ V).max(-1)
    np.testing.assert_allclose(evaluation.V, V, rtol=1e-12, atol=1e-12)
    assert (np.sort(pi, -1) == [*[0.0] * (mdp.A - 1), 1.0]).all()
    np.testing.assert_array_equal(evaluation.pi, pi)
    np.testing.assert_array_equal(evaluate(mdp, pi).V, evaluation.V)


def test_gamma_zero_is_greedy_in_the_reward():
    mdps = dirichlet(5, 4, gamma=0, seed=0, batch=(100,))
    pi, evaluation = optimal_policy(mdps)
    np.testing.assert_array_equal(pi.argmax(-1), mdps.R.argmax(-1))
    np.testing.assert_array_equal(evaluation.V, mdps.R.max(-1))


def test_batch_axes_are_independent_instances():
    mdps = garnet(5, 3, 2, gamma=np.array([0.3, 0.9, 1 - 1e-6]), seed=2, batch=(4, 3))
    pi, evaluation = optimal_policy(mdps)
    assert pi.shape == (4, 3, 5, 3)
    for index in np.ndindex(4, 3):
        single, e = optimal_policy(mdps[index])
        np.testing.assert_array_equal(pi[index], single)
        np.testing.assert_array_equal(evaluation.V[index], e.V)


@pytest.mark.timeout(60)
def test_ties_keep_the_first_action_and_terminate():
    """Every action twice, rewards of -1, 0 and 1, ties everywhere: a copy never has an advantage, only rounding says so."""
    rng = np.random.default_rng(0)
    for gamma in (0.9, 1 - 1e-10):
        one = garnet(6, 2, 2, gamma=gamma, seed=rng, batch=(5000,))
        P, R = np.concatenate([one.P, one.P], -2), rng.integers(-1, 2, (5000, 6, 2)).astype(float)
        pi, evaluation = optimal_policy(MDP(P, np.concatenate([R, R], -1), one.rho0, gamma))
        assert (pi.argmax(-1) < 2).all()
        np.testing.assert_allclose(evaluation.V, optimal_policy(MDP(one.P, R, one.rho0, gamma))[1].V, rtol=1e-12, atol=1e-6)


@pytest.mark.timeout(60)
def test_cycles_that_tie_up_to_rounding_terminate_at_an_optimum():
    """Cycles with rewards in thirds: two of equal mean differ by rounding, which 1/(1-gamma) blows up to 1e-6.

    The exact Bellman residual shows that none but such ties was left: different means of up to 7 thirds differ by more than 1e-3.
    """
    rng = np.random.default_rng(1)
    P = np.eye(7)[rng.integers(0, 7, (3000, 7, 3))]
    mdps = MDP(P, rng.integers(-3, 4, (3000, 7, 3)) / 3, np.full(7, 1 / 7), 1 - 1e-10)
    pi, evaluation = optimal_policy(mdps)
    for i in evaluation.A.max((-1, -2)).argsort()[-40:]:
        V = exact_value(mdps[i], tuple(pi[i].argmax(-1).tolist()))
        gamma = Fraction(float(mdps[i].gamma))
        for s, a in itertools.product(range(7), range(3)):
            q = Fraction(float(mdps[i].R[s, a])) + gamma * V[mdps[i].P[s, a].argmax()]
            assert q - V[s] < Fraction(1, 10**6)


@pytest.mark.parametrize("gamma", [0.9, 1 - 1e-10])
@pytest.mark.parametrize("margin", [1e-3, 1e-9, 1e-12])
def test_a_small_advantage_is_not_taken_for_rounding(gamma, margin):
    """State 0 chooses where to spend one step: state 1 pays 1, state 2 pays 1 + margin; both lead back."""
    P = np.zeros((3, 2, 3))
    P[0, 0, 1] = P[0, 1, 2] = 1
    P[1:, :, 0] = 1
    mdp = MDP(P, [[0, 0], [1, 1], [1 + margin, 1 + margin]], [1, 0, 0], gamma)
    assert optimal_policy(mdp)[0][0].tolist() == [0, 1]


def test_named_mdps_of_one_shape_can_be_stacked():
    pair = [riverswim(preset, gamma=0.9) for preset in ("strehl-littman-2008", "osband-2013")]
    np.testing.assert_array_equal(optimal_policy(stack(pair))[0], np.stack([optimal_policy(m)[0] for m in pair]))


def test_what_is_no_process_is_named():
    with pytest.raises(TypeError, match="optimal_policy got list as its mdp; expected an MDP"):
        optimal_policy([])
