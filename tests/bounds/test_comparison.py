"""Comparisons against 80-digit arithmetic: ingredients, gap and usages, down to TV 1e-6 and 1 - gamma = 1e-12."""

import pickle

import mpmath as mp
import numpy as np
import oracle
import pytest

from bounds import CATALOGUE, certify, compare
from mdps import MDP, evaluate
from mdps.families import fork, garnet, ladder

GAMMAS = (0.0, 0.5, 0.9, 0.99, 1 - 1e-6, 1 - 1e-10, 1 - 1e-12)

PENALTIES = {
    "tv-trpo": lambda x: 4 * x.eps_A * x.gamma * x.tv_max**2 / x.h**2,
    "tv-trpo-resolvent": lambda x: 4 * x.eps_A * x.gamma * x.tv_max**2 / (x.h * (1 - x.gamma * (1 - x.tv_max))),
    "kl-trpo": lambda x: 4 * x.eps_A * x.gamma * x.kl_max / x.h**2,
    "kl-trpo-reverse": lambda x: 4 * x.eps_A * x.gamma * x.kl_reverse_max / x.h**2,
    "kl-sqrt-horizon": lambda x: 2 * x.eps_A * mp.polylog(mp.mpf(-1) / 2, x.gamma) * x.kl_max,
    "meankl-linear": lambda x: x.eps_A * (x.gamma / x.h**2 + 2 * mp.sqrt(2 * x.gamma) / x.h ** (mp.mpf(3) / 2)) * x.kl_mean,
    "meankl-linear-bernstein": lambda x: x.eps_A * (x.gamma / x.h**2 + 2 * mp.sqrt(x.gamma / x.h**3)) * x.kl_mean,
    "cpo-tv": lambda x: 2 * x.gamma * x.eps_g * x.tv_mean / x.h**2,
    "cpo-kl21": lambda x: 2 * x.gamma * x.eps_g * mp.sqrt(x.kl_reverse_mean / 2) / x.h**2,
    "cpi-trpo": lambda x: 2 * x.eps_g * x.gamma * x.mixture / x.h**2,
    "gap-occ-span": lambda x: x.span_g * x.occupancy_tv / x.h,
}
"""A bound of each kind, from its formula."""


def case(states, gamma, distance, seed):
    rng = np.random.default_rng(seed)
    mdp = MDP(rng.dirichlet(np.ones(states), (states, 3)), rng.random((states, 3)), rng.dirichlet(np.ones(states)), gamma)
    old = rng.dirichlet(np.ones(3), states)
    new = old * np.exp(distance * rng.standard_normal(old.shape))
    return mdp, old, new / new.sum(-1, keepdims=True)


def relative(computed, exact):
    return float(abs(mp.mpf(float(computed)) / exact - 1)) if abs(exact) > 1e-60 else float(abs(computed))


@pytest.mark.parametrize("distance", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize(("states", "gammas"), [(5, GAMMAS), (12, GAMMAS), (50, (0.9, 1 - 1e-12))])
def test_against_80_digits(states, gammas, distance):
    for gamma in gammas:
        mdp, old, new = case(states, gamma, distance, states)
        c = compare(mdp, old, new)
        with mp.workdps(oracle.DIGITS):
            x = oracle.compare(mdp, old, new)
            for name in ("tv_max", "tv_mean", "kl_max", "kl_mean", "kl_reverse_max", "kl_reverse_mean", "mixture"):
                assert relative(getattr(c, name), getattr(x, name)) < 1e-8, (name, gamma)
            for name in ("eps_A", "eps_g", "span_g", "surrogate_gain", "improvement", "occupancy_tv", "gap"):
                assert relative(getattr(c, name), getattr(x, name)) < 1e-7, (name, gamma)
            for name, penalty in PENALTIES.items():
                usage = abs(x.gap) / penalty(x) if gamma else mp.mpf(0)
                assert relative(CATALOGUE[name].usage(c), usage) < 1e-7, (name, gamma)
                assert relative(CATALOGUE[name].lower(c), x.eta + x.surrogate_gain - penalty(x)) < 1e-7


@pytest.mark.parametrize("gamma", [0.9, 1 - 1e-8])
def test_rounding_errors_cover_the_truth(gamma):
    """The stated errors of gap and T are not exceeded, also where the chains end in different places for good."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        mdp = garnet(5, 3, 1, gamma=gamma, seed=rng)  # deterministic moves: several closed classes
        old, new = (np.eye(3)[rng.integers(3, size=5)] * 0.9 + rng.dirichlet(np.ones(3), 5) * 0.1 * (seed % 2) for _ in range(2))
        old, new = (pi / pi.sum(-1, keepdims=True) for pi in (old, new))
        c = compare(mdp, old, new)
        with mp.workdps(oracle.DIGITS):
            x = oracle.compare(mdp, old, new)
            assert abs(x.gap - mp.mpf(float(c.gap))) <= mp.mpf(float(c.gap_error)) + mp.mpf(10) ** -30, seed
            assert abs(x.occupancy_tv - mp.mpf(float(c.occupancy_tv))) <= mp.mpf(float(c.occupancy_error)) + mp.mpf(10) ** -30, (
                seed
            )


@pytest.mark.parametrize(("name", "gamma"), [("meankl-trpoC", 0.058), ("G6", 0.058), ("meankl-trpoC/2", 0.199)])
def test_open_claims_fail_for_small_gamma(name, gamma):
    """In 80 digits, just below 1/17 and 1/5: the mean KL times TRPO's C, or C/2, does not cover the gap of ``fork``."""
    mdp, old, new = fork(gamma, 1e-3)
    with mp.workdps(oracle.DIGITS):
        x = oracle.compare(mdp, old, new)
        mean = x.kl_reverse_mean if name == "G6" else x.kl_mean
        usage = abs(x.gap) / ((2 if name.endswith("/2") else 4) * x.eps_A * x.gamma / x.h**2 * mean)
        assert usage > 1
        assert relative(CATALOGUE[name].usage(compare(mdp, old, new)), usage) < 1e-9


@pytest.mark.parametrize(
    ("name", "gamma", "stages"),
    [("meankl-trpoC", 0.16, 8), ("meankl-trpoC", 0.18, 18), ("G6", 0.16, 8), ("meankl-trpoC/2", 0.45, 16)],
)
def test_open_claims_fail_further_up_a_ladder(name, gamma, stages):
    """Certified, near 1/5 and 1/2; half as many stages do not do it there."""
    mdp, old, new = ladder(gamma, stages, 0.1)
    assert 1 + stages * (stages - 1) == mdp.S
    verdict = certify(name, mdp, old, new)
    assert verdict.outcome == "VIOLATED"
    assert 1 < verdict.usage.lower < np.sqrt((1 - gamma) / gamma) / (1 if name.endswith("/2") else 2)
    assert CATALOGUE[name].usage(compare(*ladder(gamma, stages // 2, 0.1))) < 1


def test_a_ladder_of_two_stages_is_a_fork():
    ours, theirs = compare(*ladder(0.3, 2, 0.01)), compare(*fork(0.3, 0.01))
    for name in ("gap", "kl_mean", "tv_max", "eps_A", "eps_g"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0.5, 1), "stages is 1"), ((1.5, 3), "gamma is 1.5"), ((0.5, 3, 0.0), "y is 0"), ((0.5, 3, 0.9), "y is 0.9")],
)
def test_a_ladder_that_cannot_be_says_why(arguments, message):
    with pytest.raises(ValueError, match=message):
        ladder(*arguments)


@pytest.mark.parametrize("gamma", [0.1, 0.3, 0.8])
def test_bernstein_bounds_meet_the_ladder_they_were_made_for(gamma):
    """With many stages and small tilts the gap is 2 e sum_t gamma^t sqrt(k_t S_t), which Cauchy and Schwarz bound as they do."""
    usages = [float(CATALOGUE["meankl-bernstein"].usage(compare(*ladder(gamma, stages, 1e-4)))) for stages in (3, 8, 16)]
    assert usages == sorted(usages)
    assert 0.9 < usages[-1] < 1


def test_plain_definitions():
    """Against dense solves in double precision, every field of a batch."""
    rng = np.random.default_rng(0)
    mdp = garnet(4, 3, 2, gamma=0.8, seed=1, batch=(6,))
    old, new = rng.dirichlet(np.ones(3), (2, 6, 4))
    c = compare(mdp, old, new)
    for i in range(6):
        step = [np.einsum("sa,sat->st", pi, mdp.P[i]) for pi in (old[i], new[i])]
        inverse = [np.linalg.inv(np.eye(4) - 0.8 * p) for p in step]
        V = [inv @ (pi * mdp.R[i]).sum(-1) for inv, pi in zip(inverse, (old[i], new[i]), strict=True)]
        rho = [mdp.rho0[i] @ inv for inv in inverse]
        A = mdp.R[i] + 0.8 * mdp.P[i] @ V[0] - V[0][:, None]
        g = (new[i] * A).sum(-1)
        np.testing.assert_allclose(c.gain[i], g, atol=1e-13)
        np.testing.assert_allclose(c.L[i], mdp.rho0[i] @ V[0] + rho[0] @ g, atol=1e-12)
        np.testing.assert_allclose(c.gap[i], mdp.rho0[i] @ (V[1] - V[0]) - rho[0] @ g, atol=1e-12)
        np.testing.assert_allclose(c.occupancy_shift[i], rho[1] - rho[0], atol=1e-12)
        np.testing.assert_allclose(np.ptp(c.value_shift[i]), np.ptp(V[1] - V[0]), atol=1e-12)
        np.testing.assert_allclose(c.tv_mean_new[i], 0.2 * rho[1] @ np.abs(old[i] - new[i]).sum(-1) / 2, atol=1e-13)
        rows = np.abs(inverse[1][:, None] - inverse[1][None]).sum(-1).max() / 2
        np.testing.assert_allclose(c.ergodicity[i], rows, rtol=1e-12)
        np.testing.assert_allclose(c.span_A[i], np.ptp(A, axis=-1).max(), rtol=1e-12)


def test_evaluations_are_used_as_they_are():
    mdp, old, new = case(4, 0.9, 1.0, 0)
    e = evaluate(mdp, old)
    c = compare(mdp, e, new)
    assert c.old is e
    np.testing.assert_array_equal(c.gap, compare(mdp, old, new).gap)
    other = MDP(mdp.P, mdp.R, mdp.rho0, 0.5)
    with pytest.raises(ValueError, match="old was evaluated in another MDP"):
        compare(other, e, new)
    with pytest.raises(ValueError, match=r"expected \[\*B, S, A\]"):
        compare(mdp, old, new[:, :2])


def test_a_comparison_that_claims_have_used_survives_a_pickle():
    mdp = garnet(4, 3, 2, gamma=0.9, seed=1, batch=(3,))
    c = compare(mdp, *np.random.default_rng(2).dirichlet(np.ones(3), (2, 3, 4)))
    usage = {id: claim.check(c)[0] for id, claim in CATALOGUE.items()}
    again = pickle.loads(pickle.dumps(c))
    for id, claim in CATALOGUE.items():
        np.testing.assert_array_equal(claim.check(again)[0], usage[id], err_msg=id)


def test_slices():
    mdp = garnet(4, 3, 2, gamma=[0.5, 0.9], seed=0, batch=(2,))
    rng = np.random.default_rng(0)
    old, new = rng.dirichlet(np.ones(3), (2, 2, 4))
    np.testing.assert_array_equal(compare(mdp, old, new)[1].gap, compare(mdp[1], old[1], new[1]).gap)


@pytest.mark.parametrize("batch", [2, 6])
def test_one_process_and_many_policies(batch):
    """Whatever is a batch and whatever is single, every claim says of each instance what it says of it alone."""
    rng = np.random.default_rng(0)
    mdp = garnet(4, 3, 2, gamma=0.8, seed=1)
    old, new = rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(3), (batch, 4))
    for together, alone in (
        (compare(mdp, old, new), [compare(mdp, old, pi) for pi in new]),
        (compare(mdp, new, old), [compare(mdp, pi, old) for pi in new]),
    ):
        for claim in CATALOGUE.values():
            usages = claim.usage(together)
            assert usages.shape == (batch,), claim.id
            expected = [float(claim.usage(c)) for c in alone]
            rough = claim.kind in ("identity", "guarantee")  # usages there are rounding itself
            np.testing.assert_allclose(usages, expected, rtol=1e-9, atol=0.2 if rough else 1e-12, err_msg=claim.id)
        np.testing.assert_array_equal(together[1].gap, alone[1].gap)


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_policy_that_does_not_fit_is_named(which):
    mdp = garnet(4, 3, 2, gamma=0.9, seed=0)
    policies = {"old": np.full((4, 3), 1 / 3), "new": np.full((4, 3), 1 / 3), which: np.full((4, 2), 0.5)}
    with pytest.raises(ValueError, match=rf"^{which} has shape \(4, 2\)"):
        compare(mdp, policies["old"], policies["new"])


def test_a_claim_names_what_is_no_comparison():
    mdp = garnet(4, 3, 2, gamma=0.9, seed=0)
    with pytest.raises(TypeError, match=r"claim 'kl-trpo' got MDP; expected a comparison: compare\(mdp, old, new\)"):
        CATALOGUE["kl-trpo"].usage(mdp)


def test_iterating():
    mdp = garnet(3, 2, 2, gamma=0.9, seed=0, batch=(2,))
    old, new = np.full((3, 2), 0.5), np.full((3, 2), [0.4, 0.6])
    c = compare(mdp, old, new)
    np.testing.assert_array_equal([one.gap for one in c], c.gap)
    with pytest.raises(TypeError, match="this Comparison is of a single process"):
        list(c[0])
