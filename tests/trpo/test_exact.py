"""Exact tabular updates against a conic solver, dual bounds, finite differences and the theory."""

import math
from dataclasses import replace
from functools import cache

import cvxpy as cp
import mpmath
import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from mdps import MDP, evaluate, stack
from trpo.exact import (
    mixture_step,
    natural_gradient_step,
    penalised_step,
    policy_iteration_step,
    region_step,
    vanilla_gradient_step,
)
from trpo.region import Region

DELTAS = (1e-4, 1e-2, 0.3, 5.0)
REGIONS = [Region(measure, reduce, delta) for measure in ("kl", "l2") for reduce in ("mean", "max") for delta in DELTAS]


pytestmark = pytest.mark.filterwarnings("ignore:Solution may be inaccurate:UserWarning")  # compared to 1e-6 all the same


def label(region):
    return f"{region.measure}-{region.reduce}-{region.delta:g}"


# ------------------------------------------------------------------------------------------------- instances


def dirichlet_mdp(seed, states, actions, gamma=0.9, batch=()):
    rng = np.random.default_rng(seed)
    return MDP(
        rng.dirichlet(np.ones(states), (*batch, states, actions)),
        rng.normal(size=(*batch, states, actions)),
        rng.dirichlet(np.ones(states), batch),
        gamma,
    )


def dirichlet_policy(seed, states, actions, concentration=1.0, batch=()):
    return np.random.default_rng(seed).dirichlet(np.full(actions, concentration), (*batch, states))


def _dense():
    return dirichlet_mdp(0, 4, 3), dirichlet_policy(1, 4, 3), None


def _zero_probabilities():
    return (
        dirichlet_mdp(2, 4, 4),
        np.array([[0.5, 0.5, 0, 0], [0, 0.2, 0.8, 0], [0.1, 0, 0, 0.9], [0.25, 0.25, 0.25, 0.25]]),
        None,
    )


def _deterministic():
    return dirichlet_mdp(3, 4, 3), np.eye(3)[[0, 1, 2, 0]], None


def _best_unsupported():
    """The best action of every state is never taken, and several others are."""
    mdp = dirichlet_mdp(4, 3, 4)
    reward = np.array(mdp.R)
    reward[:, 2] += 20.0
    return MDP(mdp.P, reward, mdp.rho0, mdp.gamma), np.array([[0.3, 0.3, 0, 0.4], [0.98, 0.01, 0, 0.01], [0, 1, 0, 0]]), None


def _constant_advantage():
    """State 1 has three actions that do the same."""
    mdp = dirichlet_mdp(5, 3, 3)
    P, R = np.array(mdp.P), np.array(mdp.R)
    P[1], R[1] = P[1, :1], R[1, :1]
    return MDP(P, R, mdp.rho0, mdp.gamma), dirichlet_policy(6, 3, 3), None


def _unvisited():
    """State 3 is never reached, and has the most to gain."""
    mdp = dirichlet_mdp(7, 4, 3)
    P, R, rho0 = np.array(mdp.P), np.array(mdp.R), np.array(mdp.rho0)
    P[..., 3] = 0
    rho0[3] = 0
    R[3] = (0.0, 10.0, 0.0)
    return MDP(P / P.sum(-1, keepdims=True), R, rho0 / rho0.sum(), mdp.gamma), dirichlet_policy(8, 4, 3), None


def _rare_actions():
    return dirichlet_mdp(9, 3, 3), np.array([[1 - 1e-6, 1e-6, 0], [1e-9, 0.5, 0.5 - 1e-9], [1e-3, 1e-3, 0.998]]), None


def _one_state():
    return dirichlet_mdp(10, 1, 5), dirichlet_policy(11, 1, 5), None


def _one_action():
    return dirichlet_mdp(12, 3, 1), np.ones((3, 1)), None


def _many_actions():
    return dirichlet_mdp(13, 2, 50), dirichlet_policy(14, 2, 50, 0.3), None


def _undiscounted_almost():
    return dirichlet_mdp(15, 3, 3, gamma=1 - 1e-9), dirichlet_policy(16, 3, 3), None


def _tied_pairs():
    return dirichlet_mdp(17, 4, 3), dirichlet_policy(18, 2, 3)[[0, 1, 1, 0]], [7, -1, -1, 7]


def _tied_all():
    return dirichlet_mdp(19, 4, 3), np.tile([0.6, 0.4, 0.0], (4, 1)), [0, 0, 0, 0]


def _tied_unvisited():
    """A group with one unvisited member, and a group without visits."""
    mdp, _, _ = _unvisited()
    P, rho0 = np.array(mdp.P), np.array(mdp.rho0)
    P[..., 2] = 0
    rho0[2] = 0
    mdp = MDP(P / P.sum(-1, keepdims=True), mdp.R, rho0 / rho0.sum(), mdp.gamma)
    return mdp, dirichlet_policy(20, 2, 3)[[0, 0, 0, 1]], [0, 0, 0, 1]


CASES = [
    _dense,
    _zero_probabilities,
    _deterministic,
    _best_unsupported,
    _constant_advantage,
    _unvisited,
    _rare_actions,
    _one_state,
    _one_action,
    _many_actions,
    _undiscounted_almost,
    _tied_pairs,
    _tied_all,
    _tied_unvisited,
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__[1:])
each_untied_case = pytest.mark.parametrize(
    "case", [case for case in CASES if case()[2] is None], ids=lambda case: case.__name__[1:]
)


@cache
def instance(case):
    mdp, pi, groups = case()
    return evaluate(mdp, pi), groups


def one_reachable_at_a_time(gamma=0.9):
    """Counterexample G13: at the start nothing is gained by leaving for a state that is never seen."""
    P = np.zeros((2, 2, 2))
    P[0, 0, 0] = P[0, 1, 1] = P[1, :, 1] = 1
    return MDP(P, [[0, 0], [0, 1]], [1, 0], gamma), np.array([[1.0, 0], [1, 0]])


def shared_law_that_falls(a1=0.01):
    """Counterexample G11: a1 pays 1 at s0 and costs 10 at s1, where it leads; both states share one law."""
    P = np.zeros((2, 2, 2))
    P[:, 0, 0] = P[:, 1, 1] = 1
    return MDP(P, [[0, 1], [0, -10]], [1, 0], 0.9), np.tile([1 - a1, a1], (2, 1)), [0, 0]


# ------------------------------------------------------------------------------------------ independent numbers


def advantage_of(old, new):
    """``sum_s d(s) sum_a new(a|s) A(s,a)``, (1-gamma) times the surrogate gain."""
    return (old.d * (new * old.A).sum(-1)).sum(-1)


def kl_rows(old_pi, new_pi):
    """KL(old || new) per state in 50 digits, rows read as their exact normalisation."""
    with mpmath.workdps(50):
        rows = []
        for q, p in zip(old_pi, new_pi, strict=True):
            q, p = [mpmath.mpf(float(x)) for x in q], [mpmath.mpf(float(x)) for x in p]
            q, p = [x / mpmath.fsum(q) for x in q], [x / mpmath.fsum(p) for x in p]
            rows.append(mpmath.fsum(x * mpmath.log(x / y) if y else mpmath.inf for x, y in zip(q, p, strict=True) if x))
        return rows


def distance(old, new, region):
    """Left side of the region's constraint: mean over d, or maximum over visited states."""
    rows = kl_rows(old.pi, new) if region.measure == "kl" else list(map(mpmath.mpf, 0.5 * ((new - old.pi) ** 2).sum(-1)))
    if region.reduce == "max":
        return max(r for r, d in zip(rows, old.d, strict=True) if d > 0)
    return mpmath.fsum(mpmath.mpf(float(d)) * r for r, d in zip(rows, old.d, strict=True) if d > 0)


def conic(old, groups, region=None, coefficient=None, reduce=None):
    """Optimal value by Clarabel of (1-gamma) times the constrained or penalised surrogate gain.

    States are tied by equalities between rows of the whole table, the distances are those of states. The unknowns are
    displacements in units of their expected size, t: q t u, or t^2 u where q = 0.
    """
    states, actions = old.pi.shape
    scale = np.abs(old.A).max()
    price = 0.0 if coefficient is None else coefficient * (1 - float(old.mdp.gamma)) / scale
    t = math.sqrt(min(1.0, region.delta)) if coefficient is None else min(1.0, 1 / price)
    measure = "l2" if region and region.measure == "l2" else "kl"
    unit = np.full(old.pi.shape, t) if measure == "l2" else np.where(old.pi > 0, t * old.pi, t**2)
    u = cp.Variable((states, actions))
    constraints = [cp.sum(cp.multiply(unit / t, u), axis=1) == 0, u >= -old.pi / unit]
    names = list(range(states)) if groups is None else list(groups)
    constraints += [u[s] == u[names.index(names[s])] for s in range(states) if names.index(names[s]) != s]
    visited = [s for s in range(states) if old.d[s] > 0]
    rows = []
    for s in visited:
        support = np.flatnonzero(old.pi[s] > 0)
        rows.append(cp.sum_squares(u[s]) / 2 if measure == "l2" else -old.pi[s][support] @ cp.log1p(t * u[s][support]) / t**2)
    rows = cp.hstack(rows)
    total = cp.max(rows) if (reduce or region.reduce) == "max" else old.d[visited] @ rows
    objective = cp.sum(cp.multiply(old.d[:, None] * old.A / scale * unit / t, u))
    if region is None:
        objective = objective - price * t * total
    else:
        constraints.append(total <= region.delta / t**2)
    problem = cp.Problem(cp.Maximize(objective), constraints)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    assert problem.status in ("optimal", "optimal_inaccurate")
    return problem.value * t * scale


def dual_of_max_kl(q, A, delta):
    """Least dual value at one state, by weak duality no less than the best p.A: nu - exp(-delta) prod_a (nu - A_a)^q_a."""
    scale = np.ptp(A)
    if scale == 0:
        return A.max()
    regret, support = (A.max() - A) / scale, q > 0

    def dual(u):
        return math.exp(u) - math.exp(-delta + (q[support] * np.log(math.exp(u) + regret[support])).sum())

    grid = np.linspace(-40, 12, 300)
    values = [dual(u) for u in grid]
    i = int(np.argmin(values))
    bracket = (grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)])
    refined = minimize_scalar(dual, bounds=bracket, method="bounded", options={"xatol": 1e-12}).fun
    return A.max() + scale * min(refined, values[i])


def dual_of_mean_kl(old, delta):
    """The same for one price shared by all states, each with its best nu."""
    scale = np.ptp(old.A, -1).max()

    def best_nu(q, regret, price):
        excess = lambda y: (q * price / (y + regret)).sum() - 1  # noqa: E731
        return 0.0 if regret.min() > 0 and excess(0.0) <= 0 else brentq(excess, 1e-200, 1.01 * price, xtol=1e-300, rtol=1e-14)

    def dual(u):
        price = math.exp(u)
        total = price * delta
        for q, A, d in zip(old.pi, old.A, old.d, strict=True):
            support = q > 0
            regret = ((A.max() - A) / scale)[support]
            if d > 0 and (regret > 1e-14).any():
                y = best_nu(q[support], regret, price)
                total += d * (y - price + price * (q[support] * np.log(price / (y + regret))).sum())
        return total

    grid = np.linspace(-30, 8, 200)
    values = [dual(u) for u in grid]
    i = int(np.argmin(values))
    bracket = (grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)])
    refined = minimize_scalar(dual, bounds=bracket, method="bounded", options={"xatol": 1e-12}).fun
    return (old.d * old.A.max(-1)).sum() + scale * min(refined, values[i])


def plain_eta(mdp, pi):
    """The return by numpy's linear solve, for one process."""
    P = np.einsum("sa,sat->st", pi, mdp.P)
    return mdp.rho0 @ np.linalg.solve(np.eye(mdp.S) - mdp.gamma * P, (pi * mdp.R).sum(-1))


def ties(states, groups):
    """The matrix T [S, G] by which theta_state = T theta_group."""
    names = list(range(states)) if groups is None else list(groups)
    return (np.array(names)[:, None] == np.unique(names)).astype(float)


def softmax(theta):
    weights = np.exp(theta - theta.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def finite_difference_gradient(mdp, theta, tie):
    """Central differences of eta(softmax(T theta)), [G, A]."""
    gradient = np.empty_like(theta)
    for index in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[index] = 1e-5
        gradient[index] = (plain_eta(mdp, softmax(tie @ (theta + step))) - plain_eta(mdp, softmax(tie @ (theta - step)))) / 2e-5
    return gradient


# ------------------------------------------------------------------------------------------------ trust regions


@each_case
@pytest.mark.parametrize("region", REGIONS, ids=label)
def test_region_step_is_feasible_and_as_good_as_the_conic_solver(case, region):
    old, groups = instance(case)
    new = region_step(old, region, groups)
    assert new.shape == old.pi.shape
    assert (new >= 0).all()
    assert np.abs(new.sum(-1) - 1).max() <= 1e-14
    assert distance(old, new, region) <= region.delta + 1e-12
    scale = np.abs(old.A).max()
    if old.mdp.A > 1:
        assert abs(advantage_of(old, new) - conic(old, groups, region)) <= 1e-6 * scale
    assert advantage_of(old, new) >= -1e-14 * scale
    assert (new[old.d == 0] == old.pi[old.d == 0]).all() or groups is not None
    if groups is not None:
        for name in groups:
            assert (new[np.array(groups) == name] == new[groups.index(name)]).all()


@each_untied_case
@pytest.mark.parametrize("delta", DELTAS)
def test_kl_steps_meet_their_dual_bound(case, delta):
    old, _ = instance(case)
    worst = region_step(old, Region("kl", "max", delta))
    for q, A, d, p in zip(old.pi, old.A, old.d, worst, strict=True):
        bound = dual_of_max_kl(q, A, delta) if d > 0 else q @ A
        assert bound - p @ A <= 1e-12 * np.ptp(A)
    if old.mdp.A > 1:
        bound = dual_of_mean_kl(old, delta)
        assert bound - advantage_of(old, region_step(old, Region("kl", "mean", delta))) <= 1e-12 * np.ptp(old.A, -1).max()


@pytest.mark.parametrize("reduce", ["mean", "max"])
@pytest.mark.parametrize("delta", [1e-14, 1e-9, 1e-4, 0.1, 2.0])
def test_the_whole_radius_is_used(reduce, delta):
    old, _ = instance(_dense)
    for measure in ("kl", "l2") if delta < 0.05 else ("kl",):  # the l2 ball of 0.1 reaches past corners
        region = Region(measure, reduce, delta)
        assert float(distance(old, region_step(old, region), region)) == pytest.approx(
            delta, rel=1e-6 if delta < 1e-12 else 1e-9, abs=0
        )


@pytest.mark.parametrize("measure", ["kl", "l2"])
@pytest.mark.parametrize("reduce", ["mean", "max"])
@each_case
def test_limits_of_the_radius(case, measure, reduce):
    old, groups = instance(case)
    greedy = policy_iteration_step(old, groups)
    assert (region_step(old, Region(measure, reduce, 0.0), groups) == old.pi).all()
    assert (region_step(old, Region(measure, reduce, math.inf), groups) == greedy).all()
    best, scale = advantage_of(old, greedy), np.abs(old.A).max()
    for delta in (800.0, 1e300):
        new = region_step(old, Region(measure, reduce, delta), groups)
        assert best - advantage_of(old, new) <= 1e-14 * scale
        if measure == "kl":
            assert (new[old.pi > 0] > 0).all()
            assert distance(old, new, Region("kl", reduce)) <= delta
    tiny = region_step(old, Region(measure, reduce, 1e-300), groups)
    np.testing.assert_allclose(tiny, old.pi, rtol=1e-15, atol=1e-15)


def test_a_wider_region_gains_more():
    old, _ = instance(_zero_probabilities)
    for measure in ("kl", "l2"):
        for reduce in ("mean", "max"):
            gains = [advantage_of(old, region_step(old, Region(measure, reduce, delta))) for delta in np.geomspace(1e-6, 0.05, 8)]
            assert (np.diff(gains) > 0).all()


def test_mass_left_over_goes_to_the_better_action_that_was_never_taken():
    # One law q = (1, 0): KL(q || p) = -log p_0 = delta, so p = (exp(-delta), 1 - exp(-delta)).
    mdp = MDP(np.ones((1, 2, 1)), [[0, 1]], [1], 0.5)
    for delta in (1e-14, 1e-3, 1.0, 40.0):
        for reduce in ("mean", "max"):
            new = region_step(evaluate(mdp, [[1, 0]]), Region("kl", reduce, delta))
            np.testing.assert_allclose(new[0], [math.exp(-delta), -math.expm1(-delta)], rtol=1e-13, atol=3e-16)


def test_two_actions_in_closed_form():
    # KL((1/2, 1/2) || (1/2 - x, 1/2 + x)) = -log(1 - 4x^2)/2 = delta.
    mdp = MDP(np.ones((1, 2, 1)), [[0, 3]], [1], 0.5)
    for delta in (1e-12, 1e-4, 0.5, 10.0):
        x = 0.5 * math.sqrt(-math.expm1(-2 * delta))
        for reduce in ("mean", "max"):
            new = region_step(evaluate(mdp, [[0.5, 0.5]]), Region("kl", reduce, delta))
            np.testing.assert_allclose(new[0, 1], 0.5 + x, rtol=1e-13)
    for delta in (1e-12, 1e-4, 0.2):  # 1/2 (2 x^2) = delta
        new = region_step(evaluate(mdp, [[0.5, 0.5]]), Region("l2", "max", delta))
        np.testing.assert_allclose(new[0, 1], 0.5 + math.sqrt(delta), rtol=1e-13)


def test_small_radii_follow_the_natural_gradient():
    old, _ = instance(_dense)

    def miss(delta, reduce):
        natural = natural_gradient_step(old, delta=delta)
        return np.abs(region_step(old, Region("kl", reduce, delta)) - natural).max() / np.abs(natural - old.pi).max()

    # both move by sqrt(delta), and differ by delta; the max-KL step goes another way
    assert miss(1e-6, "mean") / miss(1e-8, "mean") == pytest.approx(10, rel=0.05)
    assert miss(1e-8, "mean") < 1e-3
    assert miss(1e-8, "max") > 0.1


def test_units_of_the_reward_do_not_matter():
    mdp, pi, _ = _dense()
    old = evaluate(mdp, pi)
    scaled = evaluate(MDP(mdp.P, 1e3 * mdp.R - 5e3, mdp.rho0, mdp.gamma), pi)
    for region in REGIONS:
        np.testing.assert_allclose(region_step(scaled, region), region_step(old, region), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(penalised_step(scaled, 3e3), penalised_step(old, 3), rtol=1e-9)
    for rule in ("trpo", "kakade-langford"):
        np.testing.assert_allclose(mixture_step(scaled, rule), mixture_step(old, rule), rtol=1e-9)


def test_equal_actions_are_a_tie_whatever_their_last_bits():
    old, _ = instance(_constant_advantage)
    noisy = replace(old, A=old.A + 1e-16 * np.random.default_rng(0).normal(size=old.A.shape))
    steps = [lambda e, r=r: region_step(e, r) for r in [*REGIONS, Region("none")]]
    steps += [lambda e: penalised_step(e, 1.0), lambda e: natural_gradient_step(e, 1.0), lambda e: vanilla_gradient_step(e, 1.0)]
    for step in steps:
        assert (step(noisy)[1] == old.pi[1]).all()
        assert (step(noisy)[0] != old.pi[0]).any()


# ---------------------------------------------------------------------------------------------------- Algorithm 1


@each_case
@pytest.mark.parametrize("reduce", ["max", "mean"])
@pytest.mark.parametrize("relative", [0.02, 1.0, 50.0])
def test_penalised_step_is_as_good_as_the_conic_solver(case, reduce, relative):
    old, groups = instance(case)
    scale = np.abs(old.A).max()
    coefficient = relative * max(scale, 1.0) / (1 - float(old.mdp.gamma))
    new = penalised_step(old, coefficient, reduce=reduce, groups=groups)
    assert np.abs(new.sum(-1) - 1).max() <= 1e-14
    penalty = coefficient * (1 - float(old.mdp.gamma)) * float(distance(old, new, Region("kl", reduce)))
    value = advantage_of(old, new) - penalty
    if old.mdp.A > 1:
        assert abs(value - conic(old, groups, coefficient=coefficient, reduce=reduce)) <= 1e-6 * scale
    assert value >= -1e-14 * scale


@pytest.mark.parametrize("coefficient", [1e-3, 0.3, 10.0, 4e3])
def test_penalised_max_step_is_the_best_of_all_balls(coefficient):
    """M as a function of the radius: none of many radii does better, and the two beside the chosen one do worse."""
    for case in (_dense, _zero_probabilities, _best_unsupported):
        old, _ = instance(case)
        h = 1 - float(old.mdp.gamma)

        def m(radius, old=old, h=h):
            return advantage_of(old, region_step(old, Region("kl", "max", radius))) / h - coefficient * radius

        new = penalised_step(old, coefficient)
        chosen = float(distance(old, new, Region("kl", "max")))
        value = advantage_of(old, new) / h - coefficient * chosen
        scale = np.abs(old.A).max() / h
        assert value == pytest.approx(m(chosen), abs=1e-10 * scale)
        assert max(m(radius) for radius in np.geomspace(1e-12, 600, 200)) <= value + 1e-12 * scale
        assert m(chosen * 1.01) < value
        assert m(chosen * 0.99) < value


def test_limits_of_the_penalty():
    old, groups = instance(_tied_pairs)
    for reduce in ("max", "mean"):
        assert (penalised_step(old, 0.0, reduce=reduce, groups=groups) == policy_iteration_step(old, groups)).all()
        assert (penalised_step(old, math.inf, reduce=reduce, groups=groups) == old.pi).all()
        np.testing.assert_allclose(penalised_step(old, 1e300, reduce=reduce, groups=groups), old.pi, rtol=1e-14)
        gain = advantage_of(old, penalised_step(old, 1e-300, reduce=reduce, groups=groups))
        assert gain == pytest.approx(advantage_of(old, policy_iteration_step(old, groups)), rel=1e-14)


def test_algorithm_1_never_lowers_eta_even_with_ties():
    """Algorithm 1 with C = 4 eps gamma/(1-gamma)^2: eta' - eta >= M(new) - M(old) >= 0 for one law shared by all states."""
    mdp = dirichlet_mdp(21, 4, 3, gamma=0.3, batch=(200,))
    old = evaluate(mdp, np.repeat(dirichlet_policy(22, 1, 3, batch=(200,)), 4, axis=1))
    h = 1 - mdp.gamma
    C = 4 * np.abs(old.A).max((-2, -1)) * mdp.gamma / h**2
    new = penalised_step(old, C, groups=np.zeros(4, dtype=int))
    kl = np.array([max(map(float, kl_rows(q, p))) for q, p in zip(old.pi[:20], new[:20], strict=True)])
    gain = evaluate(mdp, new).eta - old.eta
    m = advantage_of(old, new)[:20] / h[:20] - C[:20] * kl
    assert (m >= 0).all()
    assert m.max() > 1e-4
    assert (gain[:20] >= m - 1e-13).all()
    assert (gain >= -1e-13).all()


# --------------------------------------------------------------------------------------- what updates promise, or not


def untied_updates():
    yield from ((label(region), lambda old, r=region: region_step(old, r)) for region in REGIONS)
    yield "policy iteration", policy_iteration_step
    for C in (0.1, 10.0):
        yield f"penalised max {C}", lambda old, C=C: penalised_step(old, C)
        yield f"penalised mean {C}", lambda old, C=C: penalised_step(old, C, reduce="mean")
    for rule in ("trpo", "kakade-langford", 0.5):
        yield f"mixture {rule}", lambda old, rule=rule: mixture_step(old, rule)
    for step in (0.1, 10.0, 1e4):
        yield f"natural {step}", lambda old, step=step: natural_gradient_step(old, step)
    yield "natural quadratic", lambda old: natural_gradient_step(old, delta=0.5)


@pytest.mark.parametrize(("name", "update"), list(untied_updates()), ids=[name for name, _ in untied_updates()])
def test_untied_exact_updates_lower_the_value_of_no_state(name, update):
    mdp = dirichlet_mdp(23, 5, 3, gamma=0.95, batch=(100,))
    old = evaluate(mdp, dirichlet_policy(24, 5, 3, batch=(100,)))
    new = evaluate(mdp, update(old))
    assert (new.V - old.V >= -1e-12).all()
    assert (new.eta - old.eta).min() > 1e-6


def test_descent_along_the_natural_gradient_lowers_eta():
    old, _ = instance(_dense)
    assert evaluate(old.mdp, natural_gradient_step(old, -0.01)).eta < old.eta - 1e-4


@pytest.mark.parametrize(
    ("update", "surrogate", "truth"),
    [  # claims G11: the surrogate gain and what became of it
        (lambda old, tied: region_step(old, Region("kl", "max", 0.2), tied), 1.65, -2.54),
        (lambda old, tied: region_step(old, Region("kl", "mean", 0.2), tied), 1.65, -2.54),
        (lambda old, tied: region_step(old, Region("kl", "max", 0.05), tied), None, 0.087),
        (lambda old, tied: penalised_step(old, 3599.0, groups=tied), None, 1.8e-4),
    ],
)
def test_with_ties_a_trust_region_may_lower_eta(update, surrogate, truth):
    mdp, pi, tied = shared_law_that_falls()
    old = evaluate(mdp, pi)
    new = update(old, tied)
    if surrogate is not None:
        assert advantage_of(old, new) / 0.1 == pytest.approx(surrogate, abs=0.005)
    assert float(evaluate(mdp, new).eta - old.eta) == pytest.approx(truth, rel=0.03)


def test_a_state_that_is_never_visited_keeps_its_law():
    mdp, pi = one_reachable_at_a_time()
    old = evaluate(mdp, pi)
    for update in (
        policy_iteration_step,
        lambda e: region_step(e, Region("kl", "max", 1.0)),
        lambda e: penalised_step(e, 0.1),
        mixture_step,
        lambda e: natural_gradient_step(e, 10.0),
        lambda e: vanilla_gradient_step(e, 10.0),
    ):
        assert (update(old) == pi).all()
        visited = evaluate(MDP(mdp.P, mdp.R, [0.5, 0.5], mdp.gamma), [[1, 0], [0.5, 0.5]])
        assert update(visited)[1, 1] > 0.5


def test_policy_iteration_ends_at_the_best_of_all_deterministic_policies():
    mdp = dirichlet_mdp(25, 3, 3)
    best = max(plain_eta(mdp, np.eye(3)[list(choice)]) for choice in np.ndindex(3, 3, 3))
    pi = dirichlet_policy(26, 3, 3)
    for _ in range(10):
        before, pi = pi, policy_iteration_step(evaluate(mdp, pi))
        if (before == pi).all():
            break
    else:
        pytest.fail("policy iteration did not stop")
    assert plain_eta(mdp, pi) == pytest.approx(best, rel=1e-13)


def test_ties_between_best_actions():
    mdp = MDP(np.ones((1, 4, 1)), [[0, 1, 1, 0]], [1], 0.5)

    def step(region, pi):
        return region_step(evaluate(mdp, [pi]), region)[0]

    assert step(Region("none"), [0.25, 0.25, 0.25, 0.25]).tolist() == [0, 1, 0, 0]  # the first
    assert step(Region("none"), [0, 0.2, 0.8, 0]).tolist() == [0, 0.2, 0.8, 0]  # nothing to gain
    np.testing.assert_allclose(
        step(Region("kl", "max", 300.0), [0.2, 0.2, 0.6, 0]), [0, 0.25, 0.75, 0], atol=1e-12
    )  # in proportion
    np.testing.assert_allclose(step(Region("kl", "mean", 1e9), [0.2, 0.2, 0.6, 0]), [0, 0.25, 0.75, 0], atol=1e-12)
    assert step(Region("kl", "max", 0.1), [1, 0, 0, 0])[2] == 0  # the first of those not taken
    np.testing.assert_allclose(
        step(Region("l2", "max", 2.0), [0.2, 0.2, 0.6, 0]), [0, 0.3, 0.7, 0], atol=1e-12
    )  # by the same amount


# ------------------------------------------------------------------------------------------------------- mixtures


def lower_bound(rule, alpha, mean, eps, gamma):
    h = 1 - gamma
    penalty = alpha**2 / h if rule == "trpo" else alpha**2 / (1 - gamma * (1 - alpha))
    return (alpha * mean - 2 * eps * gamma * penalty) / h


@pytest.mark.parametrize("rule", ["trpo", "kakade-langford"])
@pytest.mark.parametrize("gamma", [0.05, 0.5, 0.9, 0.999])
def test_the_mixture_rules_maximise_their_lower_bound(rule, gamma):
    inside = 0
    for seed in range(5):
        old = evaluate(dirichlet_mdp(seed, 4, 3, gamma), dirichlet_policy(seed + 50, 4, 3))
        target = dirichlet_policy(seed + 90, 4, 3, 0.3) if seed else policy_iteration_step(old)
        gain = (target * old.A).sum(-1)
        mean, eps = old.d @ gain, np.abs(gain).max()
        new = mixture_step(old, rule, target)
        alpha = ((new - old.pi) * (target - old.pi)).sum() / ((target - old.pi) ** 2).sum()
        np.testing.assert_allclose(new, (1 - alpha) * old.pi + alpha * target, atol=1e-14)
        value = lower_bound(rule, alpha, mean, eps, gamma)
        grid = np.concatenate([np.linspace(0, 1, 20001), np.geomspace(1e-8, 1, 20001)])
        best = lower_bound(rule, grid, mean, eps, gamma)
        assert best.max() <= value + 1e-13 * eps / (1 - gamma)
        if 0 < alpha < 1:
            inside += 1
            assert value - best.max() <= 1e-6 * abs(value)
            assert grid[best.argmax()] == pytest.approx(alpha, abs=1e-4, rel=1e-3)
        assert evaluate(old.mdp, new).eta - old.eta >= value - 1e-12 / (1 - gamma)
    assert inside or gamma == 0.05


def test_mixture_weight_keeps_its_digits_when_little_is_gained():
    # d(s1) is about 1e-13, and only s1 has something to gain: Ab/eps is 1e-13, where 1/sqrt(1-x) - 1 has three digits left.
    P = np.zeros((2, 2, 2))
    P[:, :, 0] = 1
    mdp = MDP(P, [[0, 0], [0, 1]], [1 - 1e-12, 1e-12], 0.9)
    old = evaluate(mdp, [[1, 0], [1, 0]])
    with mpmath.workdps(40):
        x = mpmath.mpf(float(old.d[1])) / 2
        expected = (1 - mpmath.mpf(0.9)) / mpmath.mpf(0.9) * (1 / mpmath.sqrt(1 - x) - 1)
    assert mixture_step(old)[1, 1] == pytest.approx(float(expected), rel=1e-13, abs=0)


def test_edges_of_the_mixture_weight():
    for rule in ("trpo", "kakade-langford"):
        old, _ = instance(_dense)
        worst = np.eye(3)[old.A.argmin(-1)]
        assert (mixture_step(old, rule, worst) == old.pi).all()  # nothing gained on average
        assert (mixture_step(old, rule, old.pi) == old.pi).all()  # eps = 0
        myopic = evaluate(MDP(old.mdp.P, old.mdp.R, old.mdp.rho0, 0.0), old.pi)
        assert (mixture_step(myopic, rule) == policy_iteration_step(myopic)).all()
        assert (mixture_step(myopic, rule, worst) == old.pi).all()
    np.testing.assert_allclose(mixture_step(old, 0.25, worst), 0.75 * old.pi + 0.25 * worst, rtol=1e-15)


# -------------------------------------------------------------------------------------------------- gradient steps


@pytest.mark.parametrize("groups", [None, [0, 1, 1, 0], [0, 0, 0, 0]], ids=["untied", "pairs", "one law"])
class TestGradientSteps:
    def setup(self, groups):
        mdp = dirichlet_mdp(27, 4, 3)
        tie = ties(4, groups)
        theta = np.random.default_rng(28).normal(size=(tie.shape[1], 3))
        old = evaluate(mdp, softmax(tie @ theta))
        return old, tie, theta, finite_difference_gradient(mdp, theta, tie)

    def fisher(self, old, tie):
        """Fisher matrix of the mean KL over d in the parameters of the groups, [G A, G A]."""
        blocks = np.zeros((4, 3, 4, 3))
        for s in range(4):
            blocks[s, :, s] = old.d[s] * (np.diag(old.pi[s]) - np.outer(old.pi[s], old.pi[s]))
        full = np.einsum("sg,satb,th->gahb", tie, blocks, tie)
        return full.reshape(tie.shape[1] * 3, -1)

    def test_vanilla_step(self, groups):
        old, tie, theta, gradient = self.setup(groups)
        expected = softmax(tie @ (theta + 0.7 * gradient))
        np.testing.assert_allclose(vanilla_gradient_step(old, 0.7, groups=groups), expected, atol=1e-8)
        length = math.sqrt(2 * 0.3) / np.linalg.norm(gradient)
        expected = softmax(tie @ (theta + length * gradient))
        np.testing.assert_allclose(vanilla_gradient_step(old, delta=0.3, groups=groups), expected, atol=1e-8)
        assert np.abs(expected - old.pi).max() > 0.01

    def test_natural_step(self, groups):
        old, tie, theta, gradient = self.setup(groups)
        inverse = np.linalg.pinv(self.fisher(old, tie), rcond=1e-10)
        direction = (inverse @ gradient.ravel()).reshape(theta.shape)
        expected = softmax(tie @ (theta + 0.05 * direction))
        np.testing.assert_allclose(natural_gradient_step(old, 0.05, groups=groups), expected, atol=1e-8)
        step = math.sqrt(2 * 0.1 / (gradient.ravel() @ inverse @ gradient.ravel()))
        expected = softmax(tie @ (theta + step * direction))
        np.testing.assert_allclose(natural_gradient_step(old, delta=0.1, groups=groups), expected, atol=1e-8)
        assert np.abs(expected - old.pi).max() > 0.01

    def test_a_zero_step_is_none_and_a_huge_one_is_greedy(self, groups):
        old, _, _, _ = self.setup(groups)
        greedy = policy_iteration_step(old, groups)
        for update in (natural_gradient_step, vanilla_gradient_step):
            assert (update(old, 0.0, groups=groups) == old.pi).all()
            assert (update(old, delta=0.0, groups=groups) == old.pi).all()
        huge = natural_gradient_step(old, 1e6, groups=groups)
        np.testing.assert_allclose(huge, greedy, atol=1e-12)
        assert all(math.isfinite(kl) for kl in kl_rows(old.pi, huge))


def test_gradient_steps_leave_actions_of_probability_zero_alone():
    old, _ = instance(_best_unsupported)
    for update in (natural_gradient_step, vanilla_gradient_step):
        for arguments in ({"step": 0.1}, {"delta": 0.1}):
            new = update(old, **arguments)
            assert (new[old.pi == 0] == 0).all()
            assert (new[2] == old.pi[2]).all()
            assert (new[0] != old.pi[0]).any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("update", [natural_gradient_step, vanilla_gradient_step])
def test_gradient_steps_of_any_finite_size(update):
    old, _ = instance(_dense)
    direction = old.A if update is natural_gradient_step else old.pi * old.A  # per state, up to a positive factor
    for size in (1e200, 1e308):
        for arguments in ({"step": size}, {"delta": size}):
            np.testing.assert_allclose(update(old, **arguments), np.eye(3)[direction.argmax(-1)], atol=1e-290)
        np.testing.assert_allclose(update(old, step=-size), np.eye(3)[direction.argmin(-1)], atol=1e-290)
    for arguments in ({"step": 5e-324}, {"delta": 5e-324}):
        np.testing.assert_allclose(update(old, **arguments), old.pi, rtol=1e-15)
    small = evaluate(MDP(old.mdp.P, 1e-200 * old.mdp.R, old.mdp.rho0, old.mdp.gamma), old.pi)  # its step is beyond all floats
    np.testing.assert_allclose(update(small, delta=1e308), np.eye(3)[direction.argmax(-1)], atol=1e-290)


def test_gradient_steps_stay_where_the_gradient_is_zero():
    old, _ = instance(_one_action)
    assert (natural_gradient_step(old, delta=1.0) == old.pi).all()
    assert (vanilla_gradient_step(old, delta=1.0) == old.pi).all()


def test_the_natural_step_has_the_radius_of_its_quadratic_model_to_first_order():
    old, _ = instance(_dense)
    for delta in (1e-6, 1e-8):
        kl = float(distance(old, natural_gradient_step(old, delta=delta), Region("kl", "mean")))
        assert kl / delta == pytest.approx(1, abs=10 * math.sqrt(delta))


# ---------------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("groups", [None, [3, 1, 3, 1]], ids=["untied", "tied"])
def test_a_batch_is_its_instances_one_by_one(groups):
    mdps = [dirichlet_mdp(seed, 4, 3, gamma) for seed, gamma in enumerate((0.0, 0.3, 0.9, 0.99, 0.9, 0.5))]
    mdp = stack([stack(mdps[:3]), stack(mdps[3:])])
    pi = dirichlet_policy(1, 2, 3, batch=(2, 3))[..., [0, 1, 0, 1], :]
    old = evaluate(mdp, pi)
    per_instance = np.array([[0.0, 0.1, 1.0], [5.0, 0.5, np.inf]])
    finite = np.minimum(per_instance, 9.0)
    updates = [lambda e, x, r=r: region_step(e, r, groups) for r in [*REGIONS, Region("none")]]
    updates += [lambda e, x, r=r: penalised_step(e, x, reduce=r, groups=groups) for r in ("max", "mean")]
    updates += [
        lambda e, x: mixture_step(e),
        lambda e, x: mixture_step(e, "trpo"),
        lambda e, x: mixture_step(e, np.minimum(x, 1.0)),
    ]
    updates += [lambda e, x: natural_gradient_step(e, np.minimum(x, 9.0), groups=groups)]
    updates += [lambda e, x: vanilla_gradient_step(e, delta=np.minimum(x, 9.0), groups=groups)]
    assert (finite != per_instance).any()
    for update in updates:
        batched = update(old, per_instance)
        assert batched.shape == (2, 3, 4, 3)
        for index in np.ndindex(2, 3):
            np.testing.assert_allclose(batched[index], update(old[index], per_instance[index]), rtol=1e-10, atol=1e-14)


def test_many_policies_in_one_process():
    mdp = dirichlet_mdp(29, 4, 3)
    pi = dirichlet_policy(30, 4, 3, batch=(5,))
    old = evaluate(mdp, pi)
    for update in (
        lambda e: region_step(e, Region("kl", "mean", 0.1)),
        lambda e: penalised_step(e, 1.0),
        mixture_step,
        lambda e: natural_gradient_step(e, delta=0.1),
        lambda e: vanilla_gradient_step(e, 0.1),
    ):
        np.testing.assert_allclose(update(old)[3], update(evaluate(mdp, pi[3])), rtol=1e-12)


def test_the_result_is_a_new_table():
    old, _ = instance(_dense)
    for new in (
        region_step(old, Region("kl", "max", 0.0)),
        policy_iteration_step(old),
        penalised_step(old, np.inf),
        mixture_step(old, 0.0),
    ):
        new[:] = 0
        assert (old.pi.sum(-1) > 0.9).all()


# -------------------------------------------------------------------------------------------------------- bad inputs


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda old: region_step(old, Region(), [0, 1]), r"groups has shape \(2,\).*expected 4 integers"),
        (lambda old: region_step(old, Region(), [[0, 1, 2, 3]]), r"groups has shape \(1, 4\).*expected 4 integers"),
        (lambda old: region_step(old, Region(), [0.0, 1.0, 2.0, 3.0]), r"type float64; expected 4 integers"),
        (lambda old: region_step(old, Region(), [True, False, True, False]), r"type bool; expected 4 integers"),
        (lambda old: region_step(old, Region(), np.ma.masked_array(range(4), [0, 0, 1, 0])), r"groups\[2\] is masked"),
        (lambda old: region_step(old, Region(), [0, 1, 2, 1]), r"states 1 and 3 share the label 1 .*old\.pi\[3\]"),
        (lambda old: penalised_step(old, -1.0), r"coefficient is -1\.0; expected 0 <= coefficient"),
        (lambda old: penalised_step(old, math.nan), r"coefficient is nan"),
        (lambda old: penalised_step(old, np.ma.masked), r"coefficient is masked"),
        (lambda old: penalised_step(old, [1.0, 2.0]), r"coefficient has shape \(2,\)"),
        (lambda old: penalised_step(old, "C"), r"coefficient is 'C'; expected one number"),
        (lambda old: penalised_step(old, 1.0, reduce="sum"), r"reduce is 'sum'; expected one of 'max', 'mean'"),
        (lambda old: mixture_step(old, "cpi"), r"alpha is 'cpi'; expected a number in \[0, 1\], 'trpo' or 'kakade-langford'"),
        (lambda old: mixture_step(old, 1.5), r"alpha is 1\.5; expected 0 <= alpha <= 1"),
        (lambda old: mixture_step(old, math.nan), r"alpha is nan"),
        (lambda old: mixture_step(old, 0.5, np.ones((4, 3))), r"target\[0\] sums to .*3"),
        (lambda old: mixture_step(old, 0.5, np.full((2, 4, 3), 1 / 3)), r"target has shape \(2, 4, 3\)"),
        (lambda old: natural_gradient_step(old), r"step=None and delta=None; give exactly one"),
        (lambda old: natural_gradient_step(old, 1.0, delta=1.0), r"give exactly one"),
        (lambda old: natural_gradient_step(old, delta=-1.0), r"delta is -1\.0; expected 0 <= delta < inf"),
        (lambda old: vanilla_gradient_step(old, delta=math.inf), r"delta is inf; expected 0 <= delta < inf"),
        (lambda old: vanilla_gradient_step(old, math.nan), r"step is nan; expected a finite number"),
    ],
)
def test_a_mistake_is_named(call, message):
    old, _ = instance(_dense)
    with pytest.raises(ValueError, match=message):
        call(old)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda old: penalised_step(old, [1.0, -2.0, math.nan]), r"coefficient\[1\] is -2\.0; expected 0 <= coefficient"),
        (lambda old: mixture_step(old, [0.0, 1.0, 1.5]), r"alpha\[2\] is 1\.5; expected 0 <= alpha <= 1"),
        (lambda old: natural_gradient_step(old, [math.inf, 1.0, 1.0]), r"step\[0\] is inf; expected a finite number"),
        (lambda old: vanilla_gradient_step(old, delta=[1.0, 1.0, -1.0]), r"delta\[2\] is -1\.0; expected 0 <= delta < inf"),
        (lambda old: penalised_step(old, None), r"coefficient is None; expected one number, or one per instance \(3,\)"),
        (lambda old: mixture_step(old, None), r"alpha is None; expected one number, or one per instance \(3,\)"),
    ],
)
def test_a_mistake_in_a_batch_is_named_with_its_place(call, message):
    old = evaluate(dirichlet_mdp(31, 4, 3), dirichlet_policy(32, 4, 3, batch=(3,)))
    with pytest.raises(ValueError, match=message):
        call(old)


@pytest.mark.parametrize("step", [natural_gradient_step, vanilla_gradient_step])
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_sized_gradient_steps_do_not_depend_on_the_rewards_scale(step, scale):
    table, pi = np.full((2, 2, 2), 0.5), [[0.3, 0.7], [0.6, 0.4]]
    laws = [
        step(evaluate(MDP(table, np.array([[1.0, 0.0], [0.0, 2.0]]) * c, [0.5, 0.5], 0.9), pi), delta=0.01) for c in (1, scale)
    ]
    np.testing.assert_allclose(laws[1], laws[0], rtol=1e-12)
    assert np.abs(laws[0] - pi).max() > 0.01


def test_wrong_types_are_named():
    mdp = MDP([[[1.0], [1.0]]], [[0.0, 1.0]], [1.0], 0.9)
    with pytest.raises(TypeError, match="old is of type list; expected an Evaluation"):
        region_step([[0.5, 0.5]], Region())
    with pytest.raises(TypeError, match="region is of type str; expected a Region"):
        region_step(evaluate(mdp, [[0.5, 0.5]]), "kl")
