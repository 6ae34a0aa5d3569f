"""Families against hand-written tables, the numbers of their papers, and exact rationals."""

import itertools
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy import stats

from mdps import MDP, evaluate, uniform_policy
from mdps.evaluate import weighted
from mdps.families import (
    FAMILIES,
    Pair,
    bandit,
    chain_walk,
    deep_sea,
    dirichlet,
    fam_cpi,
    fam_cpo,
    fam_tv,
    fam_walk,
    forest,
    garnet,
    greedy_trap,
    hidden_reward,
    kakade_langford_chain,
    leak,
    riverswim,
    shared_law,
    slow_leak,
    two_armed_bandit,
    two_state_plateau,
    windy_gridworld,
)
from mdps.optimal import optimal_policy

# one row a case: the arguments besides gamma, and the resulting (S, A)
CASES = [
    ("garnet", {"states": 6, "actions": 3, "branching": 2, "seed": 0}, (6, 3)),
    ("garnet", {"states": 4, "actions": 2, "branching": 4, "seed": 0}, (4, 2)),
    ("garnet", {"states": 1, "actions": 1, "branching": 1, "seed": 0}, (1, 1)),
    ("dirichlet", {"states": 5, "actions": 2, "seed": 0}, (5, 2)),
    ("dirichlet", {"states": 5, "actions": 2, "seed": 0, "concentration": 1e-3}, (5, 2)),
    ("riverswim", {}, (6, 2)),
    ("riverswim", {"preset": "osband-2013", "states": 12}, (12, 2)),
    ("chain_walk", {}, (4, 2)),
    ("chain_walk", {"states": 50}, (50, 2)),
    ("chain_walk", {"states": 2, "rewarded": [0], "success": 1.0}, (2, 2)),
    ("kakade_langford_chain", {"states": 7}, (7, 3)),
    ("deep_sea", {"size": 4}, (17, 2)),
    ("two_state_plateau", {}, (2, 2)),
    ("forest", {}, (3, 2)),
    ("forest", {"states": 8, "p": 0.5}, (8, 2)),
    ("windy_gridworld", {}, (70, 4)),
    ("windy_gridworld", {"moves": 9}, (70, 9)),
    ("bandit", {"means": [0.1, 0.2, 0.3]}, (1, 3)),
    ("two_armed_bandit", {}, (3, 2)),
]

BAD = [
    (lambda: garnet(5, 3, 6, gamma=0.9, seed=0), r"branching is 6 with 5 states"),
    (lambda: garnet(5, 0, 2, gamma=0.9, seed=0), r"actions is 0; expected a positive integer"),
    (lambda: garnet(5, 3, 2, gamma=0.9, seed=-1), r"seed is -1; expected an integer of at least 0"),
    (lambda: dirichlet(5, 3, gamma=0.9, seed=0, batch=4), r"batch is 4; expected a shape, such as \(1000,\)"),
    (lambda: garnet(5, 3, 2.5, gamma=0.9, seed=0), r"branching is 2.5; expected a positive integer"),
    (lambda: garnet(5, 3, 2, gamma=1.0, seed=0), r"gamma is .*1\.0.*; expected 0 <= gamma < 1"),
    (lambda: dirichlet(5, 3, gamma=0.9, seed=0, concentration=0.0), r"concentration is 0.0"),
    (lambda: dirichlet(5, 3, gamma=0.9, seed=0, concentration=np.nan), r"concentration is nan"),
    (lambda: riverswim("strehl", gamma=0.9), r"preset is 'strehl'; expected one of \['osband-2013', 'strehl-littman-2008'\]"),
    (lambda: riverswim(gamma=0.9, states=2), r"states is 2; expected an integer of at least 3"),
    (lambda: chain_walk(10, gamma=0.9), r"no chain of 10 states"),
    (lambda: chain_walk(10, gamma=0.9, rewarded=[3, 10, -1]), r"rewarded names \[10, -1\]; expected indices from 0 to 9"),
    (lambda: chain_walk(gamma=0.9, success=1.1), r"success is 1.1; expected a probability"),
    (lambda: kakade_langford_chain(1, gamma=0.9), r"states is 1; expected an integer of at least 2"),
    (lambda: deep_sea(1, gamma=0.9), r"size is 1"),
    (lambda: deep_sea(4.0, gamma=0.9), r"size is 4.0"),
    (lambda: forest(gamma=0.9, p=-0.1), r"p is -0.1; expected a probability"),
    (lambda: forest(gamma=0.9, states=1), r"states is 1"),
    (lambda: windy_gridworld(gamma=0.9, moves=5), r"moves is 5; expected 4, 8"),
    (lambda: bandit(0.5, gamma=0.9), r"means has shape \(\)"),
    (lambda: bandit([], gamma=0.9), r"means has shape \(0,\)"),
    (lambda: two_armed_bandit([0.1, 0.2, 0.3], gamma=0.9), r"p has shape \(3,\)"),
    (lambda: two_armed_bandit((0.4, 1.2), gamma=0.9), r"p is \(0.4, 1.2\); expected probabilities"),
    (lambda: fam_cpi(0.9, 1.5), r"alpha is 1.5; expected 0 <= alpha <= 1"),
    (lambda: fam_cpi(1.0, 0.5), r"gamma is .*1\.0.*; expected 0 <= gamma < 1"),
    (lambda: fam_tv(0.9, [0.1, -0.2]), r"alpha is -0.2; expected 0 <= alpha <= 1"),
    (lambda: fam_tv(0.9, np.nan), r"alpha is nan"),
    (lambda: fam_tv([0.9, 0.8], [0.1, 0.2, 0.3]), r"do not broadcast: gamma \(2,\), alpha \(3,\), e \(\)"),
    (lambda: fam_cpo(0.9, 0.0), r"p is 0.0; expected 0 < p <= 1"),
    (lambda: leak(0.9, -0.1), r"p is -0.1; expected 0 <= p <= 1"),
    (lambda: fam_walk(0.9, 0.6, 3), r"alpha is 0.6; expected 0 <= alpha <= 0.5"),
    (lambda: fam_walk(0.9, 0.1, 0), r"n is 0; expected a positive integer"),
    (lambda: slow_leak(0.9, 0.6), r"t is 0.6; expected 0 <= t <= 0.5"),
    (lambda: shared_law(0.9, new_p=2.0), r"new_p is 2.0; expected 0 <= new_p <= 1"),
    (lambda: shared_law(0.9, -1.0, new_p=0.5), r"p is -1.0; expected 0 <= p <= 1"),
]


def test_every_family_has_a_case():
    assert {name for name, _, _ in CASES} == set(FAMILIES)


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES)
def test_one_table_serves_many_gammas(name, arguments, shape):
    single = FAMILIES[name](gamma=0.5, **arguments)
    assert ((single.S, single.A), single.batch) == (shape, ())
    batch = (3,) if {"seed"} <= set(arguments) else ()
    many = FAMILIES[name](gamma=[0.0, 0.5, 0.99], **arguments, **({"batch": batch} if batch else {}))
    assert many.batch == (3,)
    np.testing.assert_array_equal(many.gamma, [0.0, 0.5, 0.99])
    if not batch:
        for field in ("P", "R", "rho0"):
            np.testing.assert_array_equal(getattr(many[1], field), getattr(single, field))
            np.testing.assert_array_equal(getattr(many[2], field), getattr(single, field))


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------------------------------------- random families


def assert_law(sample, cdf):
    """Dvoretzky-Kiefer-Wolfowitz (Massart 1990): Pr(sup |F_n - F| > t) <= 2 exp(-2 n t^2), here at 1e-12."""
    x = np.sort(np.ravel(sample))
    n = x.size
    F = cdf(x)
    distance = max((np.arange(1, n + 1) / n - F).max(), (F - np.arange(n) / n).max())
    assert distance <= np.sqrt(np.log(2e12) / (2 * n))


def test_garnet_has_branching_distinct_successors_with_cut_point_probabilities():
    m = garnet(7, 2, 3, gamma=0.9, seed=0, batch=(20000,))
    assert ((m.P > 0).sum(-1) == 3).all()
    # one row an instance: the rows are independent, and each uniform gap of two cut points is Beta(1, 2)
    row = m.P[:, 0, 0]
    first = row[np.arange(20000), (row > 0).argmax(-1)]
    assert_law(first, stats.beta(1, 2).cdf)
    # any of the C(7,3) = 35 successor sets is equally likely: Hoeffding for each, at 1e-12 together
    sets, counts = np.unique(row > 0, axis=0, return_counts=True)
    assert len(sets) == comb(7, 3)
    assert np.abs(counts / 20000 - 1 / 35).max() <= np.sqrt(np.log(2 * 35e12) / (2 * 20000))


@pytest.mark.parametrize("concentration", [0.05, 1.0, 4.0])
def test_dirichlet_rows_have_beta_marginals(concentration):
    m = dirichlet(5, 2, gamma=0.9, seed=1, concentration=concentration, batch=(20000,))
    assert_law(m.P[:, 3, 1, 2], stats.beta(concentration, 4 * concentration).cdf)


@pytest.mark.parametrize("family", [lambda seed, batch: garnet(5, 3, 2, gamma=0.9, seed=seed, batch=batch),
                                    lambda seed, batch: dirichlet(5, 3, gamma=0.9, seed=seed, batch=batch)])  # fmt: skip
def test_random_families_normal_rewards_uniform_start_and_seeds(family):
    m = family(4, (1000, 2))
    assert m.batch == (1000, 2)
    assert_law(m.R, stats.norm.cdf)
    np.testing.assert_array_equal(m.rho0, 0.2)
    np.testing.assert_array_equal(m.P, family(4, (1000, 2)).P)
    rng = np.random.default_rng(4)
    np.testing.assert_array_equal(m.P, family(rng, (1000, 2)).P)
    assert (m.P != family(rng, (1000, 2)).P).any((-1, -2, -3)).all()  # the Generator moved on
    assert (m.P != family(5, (1000, 2)).P).any((-1, -2, -3)).all()


# ---------------------------------------------------------------------------------------------- chains, grid, bandits

RIVERS = {
    "strehl-littman-2008": (
        [[0.7, 0.3, 0, 0], [0.1, 0.6, 0.3, 0], [0, 0.1, 0.6, 0.3], [0, 0, 0.7, 0.3]],
        [[5, 0], [0, 0], [0, 0], [0, 3000]],
        [0, 0.5, 0.5, 0],
    ),
    "osband-2013": (
        [[0.4, 0.6, 0, 0], [0.05, 0.6, 0.35, 0], [0, 0.05, 0.6, 0.35], [0, 0, 0.4, 0.6]],
        [[0.005, 0], [0, 0], [0, 0], [0, 1]],
        [1, 0, 0, 0],
    ),
}


@pytest.mark.parametrize("preset", RIVERS)
def test_riverswim_tables(preset):
    m = riverswim(preset, gamma=0.9, states=4)
    right, reward, start = RIVERS[preset]
    np.testing.assert_array_equal(m.P[:, 0], [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(m.P[:, 1], right)
    np.testing.assert_array_equal(m.R, reward)
    np.testing.assert_array_equal(m.rho0, start)


def test_riverswim_average_reward():
    """Swimming right for ever is a birth-death chain: its stationary law follows from detailed balance.

    osband-2013: ratios .6/.05 = 12, then .35/.05 = 7 three times, then .35/.4. As gamma -> 1 eta (1-gamma) -> its last entry.
    """
    law = np.cumprod([1, Fraction(12), 7, 7, 7, Fraction(7, 8)])
    m = riverswim("osband-2013", gamma=1 - 1e-10)
    e = evaluate(m, np.eye(2)[[1] * 6])
    assert float(e.eta) * 1e-10 == pytest.approx(float(law[-1] / law.sum()), rel=1e-6)


def test_chain_walk_optimal_policies_of_the_paper():
    """Lagoudakis and Parr (2003), section 9.1: RRLL; and right in states 1-9 and 26-41, left in 10-25 and 42-50."""
    four, fifty = (optimal_policy(chain_walk(n, gamma=0.9))[0].argmax(-1) for n in (4, 50))
    assert four.tolist() == [1, 1, 0, 0]
    assert fifty.tolist() == [1] * 9 + [0] * 16 + [1] * 16 + [0] * 9


def test_chain_walk_table():
    m = chain_walk(3, gamma=0.9, success=0.75, rewarded=[2])
    np.testing.assert_array_equal(m.P[:, 0], [[0.75, 0.25, 0], [0.75, 0, 0.25], [0, 0.75, 0.25]])
    np.testing.assert_array_equal(m.P[:, 1], [[0.25, 0.75, 0], [0.25, 0, 0.75], [0, 0.25, 0.75]])
    np.testing.assert_array_equal(m.R, [[0, 0], [0, 0], [1, 1]])


@pytest.mark.parametrize("states", [2, 3, 8, 12])
def test_kakade_langford_hitting_time(states):
    """3 (2^n - n - 1) steps, the number in the paper; and at gamma = 0.9 the generating function, in rationals.

    From state i one step right takes f_i = E gamma^T = (gamma/3)/(1 - (2 gamma/3) f_{i-1}), f_{-1} = 1, for a try that fails
    costs one step left and the way back.
    """
    m = kakade_langford_chain(states, gamma=1 - 1e-13)
    e = evaluate(m, uniform_policy(m))
    assert e.rho[:-1].sum() == pytest.approx(3 * (2**states - states - 1), rel=1e-8)
    gamma = Fraction(0.9)
    f, product = Fraction(1), Fraction(1)
    for _ in range(states - 1):
        f = (gamma / 3) / (1 - 2 * gamma / 3 * f)
        product *= f
    m = kakade_langford_chain(states, gamma=0.9)
    assert float(evaluate(m, uniform_policy(m)).eta) == pytest.approx(float(product / (1 - gamma)), rel=1e-13)


@pytest.mark.parametrize("size", [2, 5, 9])
@pytest.mark.parametrize("gamma", [0.5, 0.99])
def test_deep_sea_returns(size, gamma):
    m = deep_sea(size, gamma=gamma)
    discounts = gamma ** np.arange(size)
    cost, last = 0.01 / size * discounts.sum(), discounts[-1]
    left, right = (evaluate(m, np.eye(2)[[a] * m.S]).eta for a in (0, 1))
    assert left == 0
    assert right == pytest.approx(last - cost, rel=1e-13)
    assert evaluate(m, uniform_policy(m)).eta == pytest.approx(last / 2**size - cost / 2, rel=1e-13)
    assert optimal_policy(m)[1].eta == pytest.approx(max(last - cost, 0), rel=1e-13)
    one_left = np.eye(2)[[1] * m.S]
    one_left[0] = [1, 0]
    assert evaluate(m, one_left).eta < 0  # a single step left at the start misses the treasure


@pytest.mark.parametrize("gamma", [0.25, 0.75])
def test_plateau_values(gamma):
    """Stay in 0, leave 1: V = (1, gamma)/(1-gamma), A(0, change) = gamma V(1) - V(0) = -(1+gamma), A(1, stay) = 2 - gamma."""
    m = two_state_plateau(gamma=gamma)
    e = evaluate(m, np.eye(2))
    np.testing.assert_allclose(e.V, np.array([1, gamma]) / (1 - gamma), rtol=1e-15)
    np.testing.assert_allclose(e.A, [[0, -(1 + gamma)], [2 - gamma, 0]], rtol=1e-15)
    assert e.eta == pytest.approx((0.8 + 0.2 * gamma) / (1 - gamma), rel=1e-15)
    best = max(1, 2 * gamma)  # from state 0, the way to the better loop pays off above gamma = 1/2
    np.testing.assert_allclose(optimal_policy(m)[1].V, np.array([best, 2]) / (1 - gamma), rtol=1e-15)


def test_forest_optimum_of_the_toolbox_documentation():
    """Always wait: V2 = 4 + V1, V1 = 0.09 V0 + 0.81 V2 and V0 = 0.09 V0 + 0.81 V1, as pymdptoolbox documents for 0.9."""
    pi, e = optimal_policy(forest(gamma=0.9))
    np.testing.assert_array_equal(pi.argmax(-1), 0)
    np.testing.assert_allclose(e.V, [26.244, 29.484, 33.484], rtol=1e-13)
    np.testing.assert_array_equal(forest(gamma=0.9, states=4).R, [[0, 0], [0, 1], [0, 1], [4, 2]])


@pytest.mark.parametrize(("moves", "steps"), [(4, 15), (8, 7), (9, 7)])
def test_windy_gridworld_shortest_ways_of_the_book(moves, steps):
    e = optimal_policy(windy_gridworld(gamma=0.9, moves=moves))[1]
    assert e.eta == pytest.approx(-(1 - 0.9**steps) / 0.1, rel=1e-14)
    assert e.V[37] == 0


def test_windy_gridworld_wind():
    m = windy_gridworld(gamma=0.9)
    # from (5, 6), where the wind is 2: up -> (2, 6), down -> (4, 6), left -> (3, 5), right -> (3, 7), the goal
    assert [m.P[56, a].argmax() for a in range(4)] == [26, 46, 35, 37]
    assert m.R.sum() == -4 * 69


def test_bandits_do_not_steer():
    """By hand: a bandit earns pi.means/(1-gamma); the state that remembers an outcome comes one step after it."""
    means, gamma = np.array([[0.1, -0.4, 2.0], [1.0, 0.0, 0.5]]), 0.8
    m = bandit(means, gamma=gamma)
    pi = np.array([[0.2, 0.3, 0.5]])
    np.testing.assert_allclose(evaluate(m, pi).eta, means @ pi[0] / (1 - gamma), rtol=1e-15)
    np.testing.assert_allclose(optimal_policy(m)[1].eta, [10, 5], rtol=1e-15)
    two = two_armed_bandit((0.4, 0.6), gamma=gamma)
    e = evaluate(two, [[0.25, 0.75]] * 3)
    won = 0.25 * 0.4 + 0.75 * 0.6
    np.testing.assert_allclose(e.d, [0.2, 0.8 * won, 0.8 * (1 - won)], rtol=1e-14)
    assert e.eta == pytest.approx(won / (1 - gamma), rel=1e-15)
    assert two_armed_bandit(np.full((4, 2), 0.5), gamma=gamma).batch == (4,)


# ---------------------------------------------------------------------------------------------- worst cases


def facts(pair: Pair) -> dict:
    """What the closed forms speak about, by evaluation: gap = (rho_new - rho_old).g and its neighbours."""
    old, new = evaluate(pair.mdp, pair.old), evaluate(pair.mdp, pair.new)
    g = weighted(new.pi, old.A)
    tv = np.abs(new.pi - old.pi).sum(-1) / 2
    return {
        "gap": ((new.rho - old.rho) * g).sum(-1),
        "L": (old.rho * g).sum(-1),
        "gain": new.eta - old.eta,
        "V": np.abs(old.V).max(-1),
        "eps_A": np.abs(old.A).max((-1, -2)),
        "eps_g": np.abs(g).max(-1),
        "tv_max": tv.max(-1),
        "tv_mean": (old.d * tv).sum(-1),
    }


def exact_gap(mdp: MDP, old, new) -> Fraction:
    """eta(new) - L_old(new) of the tables as they stand, by Cramer's rule on two states, in rationals."""
    gamma = Fraction(float(mdp.gamma))
    P, R, old, new = (np.vectorize(Fraction, otypes=[object])(x) for x in (mdp.P, mdp.R, old, new))

    def solve(m, r):
        det = m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]
        return np.array([m[1, 1] * r[0] - m[0, 1] * r[1], m[0, 0] * r[1] - m[1, 0] * r[0]]) / det

    def resolvent(pi):
        pi = pi / pi.sum(-1, keepdims=True)
        return np.array([[Fraction(1), 0], [0, Fraction(1)]]) - gamma * (pi[..., None] * P).sum(1), (pi * R).sum(-1), pi

    (m_old, r_old, _), (m_new, r_new, pi_new) = resolvent(old), resolvent(new)
    start = np.array([Fraction(1), Fraction(0)])
    V = solve(m_old, r_old)
    rho = solve(m_old.T, start)
    A = R + gamma * (P * V).sum(-1) - V[:, None]
    return solve(m_new, r_new)[0] - V[0] - (rho * (pi_new * A).sum(-1)).sum()


def horizon(gamma, p):
    return gamma * p / ((1 - gamma) * (1 - gamma + gamma * p))


# builder, closed form of gap, expected (eps_A, eps_g, tv_max, tv_mean) as functions of (gamma, a, e)
WORST = {
    "fam_cpi": (fam_cpi, lambda g, a, e: -2 * e * a * horizon(g, a), lambda g, a, e: (e, a * e, a, a)),
    "fam_tv": (
        fam_tv,
        lambda g, a, e: -2 * e * min(1, 2 * a) * horizon(g, a),
        lambda g, a, e: (e, min(1, 2 * a) * e, a, a),
    ),
    "fam_cpo": (fam_cpo, lambda g, p, e: -2 * e * horizon(g, p), lambda g, p, e: (e / p, e, 1, p)),
    "leak": (leak, lambda g, p, e: -e * horizon(g, p), lambda g, p, e: (e, e, 1, p)),
}
DYADIC = list(itertools.product((0.0, 0.25, 0.5, 0.875), (0.0078125, 0.125, 0.25, 0.5, 0.75, 0.9375, 1.0), (1.0, 0.5, -3.0)))


@pytest.mark.parametrize("name", WORST)
def test_worst_case_gap_is_the_closed_form_in_rationals(name):
    """Dyadic parameters make the tables exact, but fam_cpo rounds e/p, and fam_tv a/(1-a) or (1-a)/a, which moves V_old."""
    build, closed, _ = WORST[name]
    for gamma, a, e in DYADIC:
        want = closed(Fraction(gamma), Fraction(a), Fraction(e))
        slack = {"fam_cpo": 2**-52, "fam_tv": 2**-51 / (1 - gamma)}.get(name, 0)
        assert abs(exact_gap(*build(gamma, a, e)) - want) <= Fraction(slack) * abs(want)


@pytest.mark.parametrize("name", WORST)
def test_worst_case_facts_over_a_batch(name):
    """One batch over gamma, alpha and e, up to 1 - gamma = 1e-10: gap, the eps, the distances, and V_old = 0."""
    build, closed, expected = WORST[name]
    gammas, alphas, scales = (
        np.array([0.0, 0.1, 0.9, 1 - 1e-10]),
        np.array([1e-9, 0.01, 0.3, 0.5, 0.8, 1.0]),
        np.array([1.0, 7.0]),
    )
    pair = build(gammas[:, None, None], alphas[:, None], scales)
    assert pair.mdp.batch == (4, 6, 2)
    f = facts(pair)
    for index in np.ndindex(4, 6, 2):
        parameters = gammas[index[0]], alphas[index[1]], scales[index[2]]
        want = float(closed(*map(Fraction, parameters)))
        h = 1 - parameters[0]
        # rho is right to a few ulp, (rho_new - rho_old).g to a few ulp of max|g|/h; V_old of fam_tv, 0 up to rounding/h, adds
        table = 4e-16 / h if name == "fam_tv" else 0
        assert f["gap"][index] == pytest.approx(want, rel=1e-15 + table, abs=4e-16 * f["eps_g"][index] / h)
        found = [f[key][index] for key in ("eps_A", "eps_g", "tv_max", "tv_mean")]
        assert found == pytest.approx(
            list(expected(*parameters)), rel=1e-15 + table, abs=1e-16 + 1e-15 * table
        )  # of alpha = 1 - (1 - alpha)
        assert f["V"][index] <= (2e-16 * parameters[2] / h if name == "fam_tv" else 0)
        single = build(*parameters)
        np.testing.assert_array_equal(single.mdp.R, pair.mdp.R[index])
        np.testing.assert_array_equal(single.new, pair.new[index])


@pytest.mark.parametrize("build", [fam_cpi, fam_tv, leak, lambda gamma, alpha: fam_walk(gamma, alpha, 3)])
def test_without_a_change_there_is_no_gap(build):
    pair = build(0.9, 0.0)  # fam_cpo has no p = 0, see BAD; leak still moves the unvisited state
    assert facts(pair)["gap"] == 0
    np.testing.assert_array_equal(pair.old[0], pair.new[0])


@pytest.mark.parametrize(("gamma", "n"), [(0.1, 20), (0.5, 40), (0.9, 150)])
def test_walk_gap_to_second_order(gamma, n):
    """4 e alpha^2 sum_t gamma^t E|S_t| with E|S_t| from binomial coefficients; the next term is of relative order alpha^2."""
    steps = 400
    mean_abs = [float(sum(Fraction(comb(t, k), 2**t) * abs(2 * k - t) for k in range(t + 1))) for t in range(steps)]
    series = (gamma ** np.arange(steps) * mean_abs).sum()
    for alpha in (1e-4, 1e-6):
        f = facts(fam_walk(gamma, alpha, n, 3.0))
        assert f["gap"] == pytest.approx(12 * alpha**2 * series, rel=40 * alpha**2 / (1 - gamma) + 2e-16 / alpha / (1 - gamma))
        assert (f["eps_A"], f["V"]) == (3, 0)
        assert f["tv_max"] == pytest.approx(alpha, rel=1e-9)


def test_walk_table():
    pair = fam_walk(0.5, [0.1, 0.2], 1)
    np.testing.assert_array_equal(pair.mdp.P[0].argmax(-1), [[0, 1], [0, 2], [1, 2]])
    np.testing.assert_array_equal(pair.mdp.R[1], [[1, -1], [0, 0], [-1, 1]])
    np.testing.assert_array_equal(pair.mdp.rho0[0], [0, 1, 0])
    np.testing.assert_array_equal(pair.new[1], [[0.3, 0.7]] * 3)
    np.testing.assert_array_equal(pair.old, np.full((2, 3, 2), 0.5))


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
def test_greedy_trap_and_hidden_reward(gamma):
    h = 1 - gamma
    trap = greedy_trap(gamma)
    f = facts(trap)
    assert (f["L"], f["gain"]) == (pytest.approx(0.1 / h, rel=1e-13), pytest.approx(0.1 - gamma / h, rel=1e-13))
    e = evaluate(trap.mdp, trap.old)
    np.testing.assert_array_equal(((e.A.max(-1, keepdims=True) == e.A) | (e.rho == 0)[:, None])[trap.new == 1], True)
    hidden = hidden_reward(gamma)
    e = evaluate(hidden.mdp, hidden.old)
    assert e.eta == 0
    assert (e.A[e.rho > 0] <= 0).all()
    assert optimal_policy(hidden.mdp)[1].eta == pytest.approx(gamma / h, rel=1e-13)


def test_slow_leak_in_rationals():
    """L - eta = e gamma t^2/h and eta' - eta = e gamma t^2 (h - 2)/(h (h + gamma t)); the gap is their difference."""
    for gamma, t, e in itertools.product((0.0, 0.25, 0.875), (0.0, 0.125, 0.5), (1.0, 4.0)):
        pair = slow_leak(gamma, t, e)
        g, x, scale = Fraction(gamma), Fraction(t), Fraction(e)
        h = 1 - g
        L, gain = scale * g * x**2 / h, scale * g * x**2 * (h - 2) / (h * (h + g * x))
        assert exact_gap(*pair) == gain - L
        f = facts(pair)
        assert (f["L"], f["gain"]) == (pytest.approx(float(L), rel=1e-14), pytest.approx(float(gain), rel=1e-14))


@pytest.mark.parametrize(("gamma", "p", "q"), [(0.9, 0.01, 0.2158), (0.9, 0.1, 0.11), (0.5, 0.3, 0.0), (0.99, 0.0, 1.0)])
def test_shared_law(gamma, p, q):
    """By hand: L is the tangent at p of eta(q) = q + (gamma/h) q (1 - 11 q)."""
    weight = gamma / (1 - gamma)
    f = facts(shared_law(gamma, p, new_p=q))
    assert f["L"] == pytest.approx((q - p) * (1 + weight * (1 - 22 * p)), rel=1e-12)
    assert f["gap"] == pytest.approx(-11 * weight * (q - p) ** 2, rel=1e-12)
    assert f["gain"] == pytest.approx((q - p) * (1 + weight) - 11 * weight * (q * q - p * p), rel=1e-12)


def test_shared_law_batch():
    pair = shared_law([0.5, 0.9], 0.01, new_p=np.array([[0.1], [0.2], [0.3]]))
    assert pair.mdp.batch == (3, 2)
    assert pair.old.shape == pair.new.shape == (3, 2, 2, 2)
