"""The adversary breaks what is false, breaks nothing that is true, and does not believe its own floats."""

from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from bounds import CATALOGUE, Claim
from bounds import search as adversary
from bounds.candidates import LOWEST, Layout, Pairs, decode, encode
from bounds.certify import certify
from bounds.moves import fresh, jump
from bounds.search import search
from bounds.verdicts import Interval, Outcome
from mdps.families import fam_cpo, fam_tv, fam_walk
from mdps.mdp import MDP

FALSE = {id: (2, 2, 0.9) for id, claim in CATALOGUE.items() if claim.status == "false"}
FALSE |= {"G1": (2, 3, 0.9), "G3-epsA": (2, 3, 0.9), "G9": (3, 3, 0.99), "G9-0.9": (2, 3, 0.1)}
"""States, actions and gamma at which a false claim is broken. Two states are enough, but for one of them."""


def exact_gap(mdp, old, new):
    """``eta(new) - L`` from its definition, in fractions: values by Gauss's elimination."""
    rows = [[Fraction(float(x)) for x in row] for row in mdp.P.reshape(-1, mdp.S)]
    P = [[[x / sum(rows[s * mdp.A + a]) for x in rows[s * mdp.A + a]] for a in range(mdp.A)] for s in range(mdp.S)]
    R = [[Fraction(float(x)) for x in row] for row in mdp.R]
    gamma, states, actions = Fraction(float(mdp.gamma)), range(mdp.S), range(mdp.A)
    start = [Fraction(float(x)) for x in mdp.rho0]
    start = [x / sum(start) for x in start]

    def policy(table):
        table = [[Fraction(float(x)) for x in row] for row in table]
        return [[x / sum(row) for x in row] for row in table]

    def solve(matrix, right):
        m = [[*row, b] for row, b in zip(matrix, right, strict=True)]
        for k in states:
            pivot = next(i for i in range(k, mdp.S) if m[i][k])
            m[k], m[pivot] = m[pivot], m[k]
            m[k] = [x / m[k][k] for x in m[k]]
            for i in states:
                if i != k:
                    m[i] = [x - m[i][k] * y for x, y in zip(m[i], m[k], strict=True)]
        return [row[-1] for row in m]

    def system(pi):
        chain = [[sum(pi[s][a] * P[s][a][t] for a in actions) for t in states] for s in states]
        return [[(s == t) - gamma * chain[s][t] for t in states] for s in states]

    before, after = policy(old), policy(new)
    values = [solve(system(pi), [sum(pi[s][a] * R[s][a] for a in actions) for s in states]) for pi in (before, after)]
    transposed = [list(column) for column in zip(*system(before), strict=True)]
    rho = solve(transposed, start)
    q = [[R[s][a] + gamma * sum(P[s][a][t] * values[0][t] for t in states) for a in actions] for s in states]
    advantage = [[q[s][a] - values[0][s] for a in actions] for s in states]
    gain = [sum(after[s][a] * advantage[s][a] for a in actions) for s in states]
    eta = [sum(x * y for x, y in zip(start, v, strict=True)) for v in values]
    surrogate = eta[0] + sum(x * y for x, y in zip(rho, gain, strict=True))
    tv = max(sum(abs(x - y) for x, y in zip(before[s], after[s], strict=True)) / 2 for s in states)
    return eta[1] - surrogate, max(abs(x) for row in advantage for x in row), tv


@pytest.mark.parametrize("id", FALSE)
def test_every_false_claim_is_broken_from_random_starts(id):
    states, actions, gamma = FALSE[id]
    witness = search(id, states=states, actions=actions, gamma=gamma, budget=200_000, enough=1.001)
    assert witness.verdict.outcome is Outcome.VIOLATED
    assert witness.usage > 1
    assert (witness.mdp.S, witness.mdp.A, float(witness.mdp.gamma)) == (states, actions, gamma)


@pytest.mark.parametrize("id", [id for id, claim in CATALOGUE.items() if claim.status == "theorem"])
def test_no_theorem_is_broken(id):
    witness = search(id, gamma=0.9, budget=4_000)
    assert witness.verdict.outcome is not Outcome.VIOLATED
    assert witness.usage <= 1


@pytest.mark.parametrize(
    ("id", "gamma", "least"),
    [
        *((id, gamma, 0.97) for id in ("cpi-trpo", "tv-trpo", "cpo-tv") for gamma in (0.5, 0.9, 0.99)),
        *(("kl-trpo", gamma, least) for gamma, least in ((0.5, 0.25), (0.9, 0.07))),
        *(("cpo-kl12", gamma, 0.99 * np.sqrt(1 - gamma)) for gamma in (0.5, 0.9, 0.99)),
    ],
)
def test_bounds_are_found_nearly_as_tight_as_they_can_be(id, gamma, least):
    """By the better of two searches: the last bits of a sum decide which way one goes, and one in five misses 0.99."""
    assert any(search(id, gamma=gamma, budget=100_000, seed=seed, enough=least).usage >= least for seed in (0, 1))


def test_the_usage_returned_is_the_gap_by_definition_over_the_penalty():
    witness = search("tv-trpo", gamma=0.9, budget=20_000)
    gap, eps, alpha = exact_gap(witness.mdp, witness.old, witness.new)
    gamma = Fraction(0.9)
    usage = abs(gap) / (4 * eps * gamma * alpha**2 / (1 - gamma) ** 2)
    assert witness.verdict.usage.lower <= usage <= witness.verdict.usage.upper
    assert witness.usage == witness.verdict.usage.lower
    assert usage > Fraction(1, 2)


def test_a_seed_repeats_a_search_and_another_does_not():
    one, two, other = (search("kl-trpo", budget=3_000, seed=seed) for seed in (5, 5, 6))
    for name in ("P", "R", "rho0"):
        assert np.array_equal(getattr(one.mdp, name), getattr(two.mdp, name))
    assert np.array_equal(one.new, two.new)
    assert (one.usage, one.budget) == (two.usage, two.budget)
    assert one.usage != other.usage


@pytest.mark.parametrize("budget", [1, 7, 1_000, 5_000])
def test_the_budget_is_the_number_of_comparisons(budget, monkeypatch):
    counted = []
    plain = adversary._usage
    monkeypatch.setattr(adversary, "_usage", lambda claim, pairs: counted.append(pairs.mdp.batch) or plain(claim, pairs))
    witness = search("kl-trpo", budget=budget, states=2)
    assert witness.budget == budget == sum(batch[0] for batch in counted if batch)


def test_more_budget_never_finds_less():
    found = [search("kl-trpo", budget=budget).usage for budget in (2_000, 20_000)]
    assert found[1] >= found[0] * (1 - 2e-5)


def test_enough_ends_a_search():
    assert search("G2", budget=100_000, enough=1.0).budget < 10_000


def test_starts_are_used_and_keep_their_usage():
    pair = fam_tv(0.9, np.array([0.3, 1e-4]))
    expected = 0.1 / (0.1 + 0.9 * 1e-4)  # the family's share of tv-trpo
    witness = search("tv-trpo", states=4, actions=3, gamma=0.9, budget=200, starts=[pair])
    assert witness.usage >= expected * (1 - 2e-5)
    assert search("tv-trpo", states=4, actions=3, gamma=0.9, budget=200).usage < expected / 2


def test_encoding_leaves_a_pair_what_it_is():
    layout = Layout(4, 3)
    for mdp, old, new in (fam_cpo(0.9, [0.01, 0.5]), fam_walk(0.9, [1e-4, 0.4], 1)):
        pairs = decode(layout, encode(layout, Pairs(mdp, old, new)), 0.9)
        for id in ("tv-trpo", "kl-trpo", "cpo-tv", "meankl-linear"):
            for i in range(2):
                before = certify(id, mdp[i], old if old.ndim == 2 else old[i], new[i]).usage
                after = certify(id, pairs.mdp[i], pairs.old[i], pairs.new[i]).usage
                assert after.lower == pytest.approx(before.lower, rel=1e-6)


def test_what_a_search_found_is_encoded_as_it_was():
    """Its rounded tables too, the smallest probabilities of which lie on the edge of what a row can say."""
    layout = Layout(2, 3)
    mdp = MDP(np.eye(2)[[[0, 1, 0], [1, 0, 1]]], [[1, -1, 1], [-1, 1, 0]], [1, 0], 0.9)
    old = np.array([[0.5, 1 - 0.5 - 5.6e-8, 5.6e-8], [0, 0, 1]])
    new = np.array([[0.4, 0.6 - 1e-7, 1e-7], [0.1, 0.2, 0.7]])
    pairs = decode(layout, encode(layout, Pairs(mdp, old, new)), 0.9)
    assert np.allclose(pairs.old[0], old, rtol=1e-2, atol=0)
    assert np.allclose(pairs.new[0], new, rtol=1e-2, atol=0)
    assert np.array_equal(pairs.mdp.P[0], mdp.P)


def test_no_other_advantages_make_the_gap_larger():
    rng = np.random.default_rng(3)
    layout = Layout(2, 3)
    rows = fresh(layout, 40, rng)
    layout.parts(rows)["V"][:] = 0
    layout.parts(rows)["mode"][:] = 1
    best = decode(layout, rows, 0.7)
    for i in range(40):
        gap, eps, _ = exact_gap(best.mdp[i], best.old[i], best.new[i])
        assert gap <= 1e-12
        assert eps <= 1 + 1e-9
        for _ in range(30):
            A = rng.uniform(-1, 1, (2, 3))
            A -= (best.old[i] * A).sum(-1, keepdims=True)
            rival = MDP(best.mdp.P[i], A / np.abs(A).max(), best.mdp.rho0[i], 0.7)
            assert abs(exact_gap(rival, best.old[i], best.new[i])[0]) <= abs(gap) + 1e-9


def test_moves_stay_tables_of_distributions():
    rng = np.random.default_rng(0)
    layout = Layout(3, 2)
    rows = fresh(layout, 500, rng)
    for _ in range(20):
        rows = np.clip(jump(layout, rows, rng), *layout.limits)
    mdp, old, new = decode(layout, rows, 0.99)
    for table in (mdp.P, mdp.rho0, old, new):
        assert (table >= 0).all()
        assert np.abs(table.sum(-1) - 1).max() < 1e-14
    assert (mdp.P == 0).any()
    assert (old == 1).any()
    assert rows.min() >= LOWEST


def test_a_usage_that_is_rounding_is_not_returned(monkeypatch):
    """A claim whose usage seems to be 5 in every batch: the certificate sees 1/2."""
    claim = Claim("wobbly", "lemma", "open", "", "", lambda c: (c.eps_A * 0 + 0.5, c.eps_A * 0 + 1))
    plain = claim.usage

    def fooled(self, c):
        return np.where(c.mdp.batch, 5.0, plain(c)) if c.mdp.batch else plain(c)

    monkeypatch.setattr(Claim, "usage", fooled)
    witness = search(claim, budget=600)
    assert witness.usage == 0.5


def test_the_next_best_is_taken_where_a_certificate_disagrees(monkeypatch):
    seen = []

    def doubting(claim, mdp, old, new):
        verdict = certify(claim, mdp, old, new)
        seen.append(verdict.usage.lower)
        return verdict if len(seen) > 3 else replace(verdict, usage=Interval(0.0, 1.0))

    monkeypatch.setattr(adversary, "certify", doubting)
    witness = search("kl-trpo", budget=5_000)
    assert witness.usage == max(seen[3:])
    assert len(seen) > 3


def failing(statement, kind="bound"):
    return Claim("mine", kind, "open", "", "", statement)


@pytest.mark.parametrize(
    ("claim", "kwargs", "message"),
    [
        ("nope", {}, "unknown claim 'nope'; known: .*kl-trpo"),
        ("kl-trpo", {"budget": 0}, "budget is 0; give at least 1"),
        ("kl-trpo", {"budget": 2.5}, "budget is 2.5; expected an integer"),
        ("kl-trpo", {"states": 2.5}, "states is 2.5; expected an integer"),
        ("kl-trpo", {"seed": -1}, "seed is -1; expected an integer"),
        ("kl-trpo", {"states": 1}, "states is 1"),
        ("kl-trpo", {"actions": 0}, "actions is 0"),
        ("kl-trpo", {"gamma": 1.0}, "gamma is 1.0"),
        ("kl-trpo", {"gamma": float("nan")}, "gamma is nan"),
        (failing(lambda c: c.nothing), {}, "claim 'mine' raised AttributeError"),
        (failing(lambda c: c.eps_A * np.nan), {}, "claim 'mine': its right side is nan"),
        (failing(lambda c: c.tv), {}, "claim 'mine'"),
        (failing(lambda c: c.eps_A[:3]), {}, "claim 'mine': its sides have shapes"),
        (failing(lambda c: c.eps_A, "lemma"), {}, "has to return 2"),
        ("kl-trpo", {"states": 2, "starts": [fam_walk(0.9, 0.1, 1)]}, "a start has 3 states and 2 actions, the search 2 and 3"),
    ],
)
def test_bad_input_is_named(claim, kwargs, message):
    with pytest.raises(ValueError, match=message):
        search(claim, **{"budget": 100} | kwargs)


def test_the_kl_form_is_looser_than_its_proven_ceiling():
    """(1-gamma)^2 / (2 gamma) sum gamma^t sqrt t, with mpmath's polylogarithm."""
    for gamma in (0.5, 0.9):
        ceiling = (1 - gamma) ** 2 / (2 * gamma) * mpmath.polylog(-0.5, gamma).real
        usage = search("kl-trpo", gamma=gamma, budget=30_000).usage
        assert ceiling / 4 < usage < ceiling
