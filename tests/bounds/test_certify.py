"""Verdicts against Fractions and mpmath, at equality, and on claims and instances that are faulty."""

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import oracle
import pytest
from agreement import disagreements

from bounds import CATALOGUE, Outcome, certify, certify_all, certify_batch, compare
from bounds.by_exact_numbers import _interval, _usage, exact_comparison
from bounds.catalogue import Claim
from bounds.exact import Exact, exact, precision
from bounds.instances import STRUCTURED
from bounds.pairs import PAIRINGS
from bounds.verdicts import Interval, outcomes, together
from mdps import MDP
from mdps.families import fam_cpi, fam_tv, fork, garnet

ALL = list(CATALOGUE.values())


def claim(statement, kind="bound", **options):
    return Claim("mine", kind, "theorem", "a test", "x", statement, **options)


def instances(name, gamma):
    """First and last pair of a structured family."""
    pair = STRUCTURED[name](gamma)
    size = math.prod(np.broadcast_shapes(pair.mdp.batch, np.shape(pair.old)[:-2], np.shape(pair.new)[:-2]))
    for i in sorted({0, size - 1}):
        tables = (np.broadcast_to(x, (size, *np.shape(x)[-2:]))[i] for x in (pair.old, pair.new))
        yield (pair.mdp[i] if pair.mdp.batch else pair.mdp, *tables)


@pytest.fixture(scope="module")
def verdicts():
    """Every claim on the structured families."""
    names = [name for name in STRUCTURED if name != "fam_walk"]
    cells = [(name, gamma) for name in names for gamma in (0.0, 0.5, 0.9, 1 - 1e-10)] + [("fam_walk", 0.9)]
    return [v for cell in cells for instance in instances(*cell) for v in certify_all(ALL, *instance, max_bits=512)]


def test_no_theorem_is_violated_and_every_false_claim_is(verdicts):
    violated = {v.claim for v in verdicts if v.outcome is Outcome.VIOLATED}
    assert not [name for name in violated if CATALOGUE[name].status == "theorem"]
    assert {c.id for c in ALL if c.status == "false"} <= violated


def test_only_equality_of_irrational_sides_is_undecided(verdicts):
    """At gamma = 0 a shared law's parameters are one number: natural-step is then met with equality, by roots."""
    assert {v.claim for v in verdicts if v.outcome is Outcome.UNDECIDED} == {"natural-step"}
    for v in verdicts:
        assert (v.outcome is Outcome.UNDECIDED) == bool(v.reason)
        if v.outcome is Outcome.UNDECIDED:
            assert v.bits == 512
            assert "at 512 bits" in v.reason
            assert abs(v.lhs.lower / v.rhs.upper - 1) < 1e-14


# -- against a second route ----------------------------------------------------------------------------------------------------


PENALTIES = {
    "tv-trpo": lambda x: 4 * x.eps_A * x.gamma * x.tv_max**2 / x.h**2,
    "cpi-trpo": lambda x: 2 * x.eps_g * x.gamma * x.mixture / x.h**2,
    "cpo-tv": lambda x: 2 * x.gamma * x.eps_g * x.tv_mean / x.h**2,
    "gap-occ-span": lambda x: x.span_g * x.occupancy_tv / x.h,
    "kl-trpo": lambda x: 4 * x.eps_A * x.gamma * x.kl_max / x.h**2,
    "kl-sqrt-horizon": lambda x: 2 * x.eps_A * mp.polylog(mp.mpf(-1) / 2, x.gamma) * x.kl_max,
    "cpo-kl21": lambda x: 2 * x.gamma * x.eps_g * mp.sqrt(x.kl_reverse_mean / 2) / x.h**2,
    "kl-bh": lambda x: 4 * x.eps_A * x.gamma / x.h**2 * -mp.expm1(-x.kl_max),
    "G1": lambda x: 4 * x.eps_A * x.gamma * x.tv_max**2 / x.h,
    "G5-h": lambda x: 2 * x.gamma * x.eps_g * x.tv_mean / x.h,
    "G9": lambda x: 4 * x.eps_A * x.gamma * x.kl_max / x.h,
}


def tilted(states, gamma, distance, seed):
    rng = np.random.default_rng(seed)
    mdp = garnet(states, 3, 2, gamma=gamma, seed=rng)
    old = rng.dirichlet(np.ones(3), states)
    new = old * np.exp(distance * rng.standard_normal(old.shape))
    return mdp, old, new / new.sum(-1, keepdims=True)


HARD = {
    "plain": tilted(4, 0.9, 1.0, 0),
    "two states": tilted(2, 0.5, 0.3, 1),
    "TV 1e-9": tilted(3, 0.9, 1e-9, 2),
    "gamma near 1": tilted(5, 1 - 1e-8, 0.5, 3),
    "rows off one": (lambda m, o, n: (m, o * (1 + 5e-16), n * (1 - 5e-16)))(*tilted(3, 0.9, 1e-12, 4)),
    "tight": tuple(fam_tv(0.9, 1e-6)),
    "fork": tuple(fork(0.058, 1e-3)),
}


def holds(interval, value):
    """Whether a number known to 60 digits lies in an interval."""
    return mp.mpf(interval.lower) <= value * (1 + mp.mpf(10) ** -60) and value * (1 - mp.mpf(10) ** -60) <= mp.mpf(interval.upper)


@pytest.mark.parametrize("name", HARD)
def test_against_80_digits(name):
    """Enclosures hold the numbers of a dense solve in 80 digits and are narrow; verdicts follow."""
    mdp, old, new = HARD[name]
    with mp.workdps(oracle.DIGITS):
        x = oracle.compare(mdp, old, new)
        for v in certify_all(PENALTIES, mdp, old, new):
            penalty, gap = PENALTIES[v.claim](x), abs(x.gap)
            for interval, value in ((v.gap, gap), (v.penalty, penalty), (v.usage, gap / penalty)):
                assert holds(interval, value), (v.claim, interval, value)
                assert interval.upper == interval.lower or interval.upper - interval.lower <= 1e-12 * interval.upper, v.claim
            assert v.outcome is (Outcome.HOLDS if gap <= penalty * (1 + mp.mpf(10) ** -60) else Outcome.VIOLATED), v.claim


@pytest.mark.parametrize(("family", "name", "gamma"), [(fam_cpi, "cpi-kl02-resolvent", 0.5), (fam_tv, "tv-exact-worst", 0.75)])
def test_equality_is_decided_exactly(family, name, gamma):
    """Parameters that floats represent: the usage is one, neither more nor less, and 2^-300 more or less is seen."""
    pair = family(gamma, 0.5)
    v = certify(name, *pair)
    assert (v.outcome, v.usage, v.bits, v.layer) == (Outcome.HOLDS, Interval(1.0, 1.0), 0, "exact")
    penalty = CATALOGUE[name].penalty
    for factor, outcome in ((Fraction(2**300 - 1, 2**300), Outcome.VIOLATED), (Fraction(2**300 + 1, 2**300), Outcome.HOLDS)):
        v = certify(claim(lambda c, factor=factor: penalty(c) * exact(factor)), *pair)
        assert v.outcome is outcome
        assert v.usage.lower <= 1 <= v.usage.upper


def test_the_process_is_the_normalised_one():
    """Rows of floats that do not sum to one are divided by their sums: gap in Fractions, two states, one of them absorbing."""
    rows = [0.1, 0.2, 0.7], [0.3, 0.6, 0.1]
    P = np.array([[[1.0, 0.0], [0.3, 0.7 - 1e-16], [0.0, 1.0]], [[0.0, 1.0]] * 3])
    mdp = MDP(P, [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [1.0, 0.0], 0.5)
    old, new = (np.array([row, [1.0, 0.0, 0.0]]) for row in rows)
    assert all(sum(map(Fraction, row)) != 1 for row in (*rows, P[0, 1].tolist()))
    stay = Fraction(0.3) / (Fraction(0.3) + Fraction(0.7 - 1e-16))
    (o, n), half = ([Fraction(x) / sum(map(Fraction, row)) for x in row] for row in rows), Fraction(1, 2)
    rho = [1 / (1 - half * (p[0] + p[1] * stay)) for p in (o, n)]
    value = rho[0] * o[1]
    advantages = half * value - value, 1 + half * stay * value - value, -value
    gain = sum(x * a for x, a in zip(n, advantages, strict=True))
    c = exact_comparison(mdp, old, new)
    entry = c.gap.entries[()]
    assert Fraction(int(entry.p), int(entry.q)) == (rho[1] - rho[0]) * gain
    floats = certify("tv-trpo", mdp, old, new).gap
    assert Fraction(floats.lower) <= abs((rho[1] - rho[0]) * gain) <= Fraction(floats.upper)


def test_infinite_divergence():
    """A penalty that is infinite is never used; one that bounds the exponential of it is."""
    mdp, old, new = tilted(3, 0.9, 1.0, 0)
    new = np.eye(3)[[0, 1, 2]]
    infinite, finite = certify_all(["kl-trpo", "kl-bh"], mdp, old, new)
    assert infinite.outcome is Outcome.HOLDS
    assert infinite.penalty == Interval(math.inf, math.inf)
    assert infinite.usage == Interval(0.0, 0.0)
    assert 0 < finite.usage.lower < 1
    assert math.isfinite(finite.penalty.upper)


def test_standing_still():
    mdp, old, _ = tilted(3, 0.9, 1.0, 0)
    for v in certify_all([c for c in ALL if c.kind == "bound"], mdp, old, old):
        assert (v.outcome, v.usage) == (Outcome.HOLDS, Interval(0.0, 0.0)), v.claim


def test_shared_evaluation_says_what_single_ones_say():
    instance = tilted(3, 0.9, 1.0, 5)
    names = ["tv-trpo", "kl-trpo", "grad-match", "soft-step-identity", "G16-linear"]
    assert certify_all(names, *instance) == [certify(name, *instance) for name in names]


# -- the rule ------------------------------------------------------------------------------------------------------------------


def test_rule():
    def row(*ends):
        low, high = exact([float(a) for a, b in ends]), exact([float(b) for a, b in ends])

        class Ends:
            def bounds(self):
                return low, high

        return Ends()

    each = outcomes(row((0, 1), (0, 1), (2, 3), (1, 2), (0, 2)), row((1, 2), (0.5, 3), (1, 1.5), (1, 1), (0, 0)))
    assert each.tolist() == ["HOLDS", "UNDECIDED", "VIOLATED", "UNDECIDED", "UNDECIDED"]
    assert together(each) is Outcome.VIOLATED
    assert together(each[:2]) is Outcome.UNDECIDED
    assert together(each[:1]) is Outcome.HOLDS


def test_intervals_are_rounded_outwards():
    with precision(128):
        for value in (Fraction(1, 3), Fraction(-2, 7), Fraction(1, 2), Fraction(10**30 + 1), Fraction(1, 10**330)):
            i = _interval(exact(value).entries[()])
            assert Fraction(i.lower) <= value <= Fraction(i.upper)
            assert i.upper in (i.lower, math.nextafter(i.lower, math.inf))
            assert (i.upper == i.lower) == (Fraction(float(value)) == value)


def test_usage_follows_the_conventions():
    inf, zero, one, ball = (exact(x).entries[()] for x in (math.inf, 0.0, 1.0, 1.0))
    with precision(128):
        vague = (exact(ball).balls() / 3 * 3).entries[()]  # 1, but for what is rounded
    assert _usage(zero, zero) == Interval(0.0, 0.0)
    assert _usage(one, inf) == Interval(0.0, 0.0)
    assert _usage(inf, inf) == Interval(0.0, 0.0)
    assert _usage(one, zero) == Interval(math.inf, math.inf)
    assert _usage(one, one) == Interval(1.0, 1.0)
    with precision(128):
        near = _usage(one, vague)
    assert near.lower <= 1 <= near.upper < near.lower + 1e-15
    assert _usage(vague, Exact(vague - 1).entries[()]).upper == math.inf


# -- what is faulty ------------------------------------------------------------------------------------------------------------


def unfinished(c):
    raise KeyError("penalty")


FAULTY = {
    "raises": (claim(unfinished), r"'mine' cannot be evaluated on exact numbers: KeyError"),
    "nan": (claim(lambda c: c.tv_max * np.nan), r"'mine': its right side is nan"),
    "negative": (claim(lambda c: -c.tv_max), r"'mine': its right side is negative"),
    "shape": (
        claim(lambda c: c.tv[..., None] + np.ones((2, 2, 2)), premise=lambda c: np.ones(3, bool)),
        r"premise has shape \(3,\)",
    ),
    "count": (claim(lambda c: (c.tv_max, c.tv_max)), r"'mine' is of kind bound and has to return 1"),
    "type": (claim(lambda c: "1"), r"'mine' returned str"),
    "float": (claim(lambda c: math.sqrt(c.tv_max)), r"'mine'.*TypeError: an exact number is no float"),
    "asarray": (claim(lambda c: np.asarray(c.tv_max)), r"'mine'.*TypeError: exact numbers are no array of floats"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_claims_are_named(name):
    mine, message = FAULTY[name]
    with pytest.raises(ValueError, match=message):
        certify(mine, *tilted(3, 0.9, 1.0, 0))


def test_faulty_requests_are_named():
    mdp, old, new = tilted(3, 0.9, 1.0, 0)
    with pytest.raises(ValueError, match=r"no claim has the id 'tv-trop'; near it: tv-trpo"):
        certify("tv-trop", mdp, old, new)
    with pytest.raises(ValueError, match=r"a batch of shape \(2,\).*certify_batch"):
        certify("tv-trpo", mdp, np.stack([old, old]), new)
    with pytest.raises(ValueError, match="max_bits is 64; give at least 128"):
        certify("tv-trpo", mdp, old, new, max_bits=64)
    with pytest.raises(ValueError, match="new has shape"):
        certify("tv-trpo", mdp, old, new[:2])


def test_a_users_own_claim_needs_nothing_more():
    """Roots, exponentials and a maximum, as one writes them for floats."""

    def penalty(c):
        return np.maximum(np.sqrt(c.kl_max), 1 - np.exp(-c.tv_max)) * c.eps_A * c.horizon**2

    mdp, old, new = tilted(3, 0.9, 1.0, 0)
    with mp.workdps(oracle.DIGITS):
        x = oracle.compare(mdp, old, new)
        expected = max(mp.sqrt(x.kl_max), 1 - mp.exp(-x.tv_max)) * x.eps_A / x.h**2
        assert holds(certify(claim(penalty), mdp, old, new).penalty, expected)


def test_floats_are_never_contradicted_by_exact_numbers():
    wrong, said = disagreements(60, seed=3)
    assert not wrong
    assert {outcome for _, outcome in said} == {"HOLDS", "VIOLATED", "undecided"}


def test_a_batch_is_decided_as_its_instances_are():
    mdp = garnet(4, 3, 2, gamma=0.9, seed=0, batch=(6,))
    old, new = PAIRINGS["mixed"](mdp, np.full(6, 0.3), np.random.default_rng(0))
    claims = ["tv-trpo", "G16-linear", "gap-occ-span", "grad-match"]
    floats = certify_batch(claims, compare(mdp, old, new))
    exact = certify_batch(claims, compare(mdp, old, new), exact=[0, 0, 2, 6])
    assert [int(v.exact.sum()) for v in exact] == [0, 0, min(2, int(floats[2].undecided.sum())), 0]
    assert floats[3].holds.all()
    for k, claim in enumerate(claims):
        for i in range(6):
            verdict = certify(claim, mdp[i], old[i], new[i])
            for batch in (floats, exact):
                assert batch[k].usage[i] <= verdict.usage.upper
                if not batch[k].undecided[i]:
                    assert batch[k].holds[i] == (verdict.outcome is Outcome.HOLDS)
                    assert batch[k].violated[i] == (verdict.outcome is Outcome.VIOLATED)


def test_single_verdicts_may_come_from_floats():
    mdp = garnet(4, 3, 2, gamma=0.9, seed=0)
    old, new = PAIRINGS["mixed"](mdp, np.asarray(0.3), np.random.default_rng(0))
    by_floats, exactly = (certify("tv-trpo", mdp, old, new, floats=floats) for floats in (True, False))
    assert (by_floats.layer, exactly.layer) == ("float", "exact")
    assert by_floats.usage.lower <= exactly.usage.lower <= exactly.usage.upper <= by_floats.usage.upper
    still = garnet(4, 3, 2, gamma=0.0, seed=0)  # an equality, which no radius can tell
    assert certify("single-path", still, old, new, floats=True).layer == "exact"


def test_a_claim_that_fails_does_not_stop_the_others(monkeypatch):
    mdp = garnet(3, 2, 2, gamma=0.5, seed=0, batch=(2,))
    old, new = PAIRINGS["mixed"](mdp, np.full(2, 0.3), np.random.default_rng(0))

    def broken(c):
        raise RuntimeError("no such thing")

    def floats_only(c):
        return np.array([math.sqrt(float(x)) for x in c.tv_max])

    faulty = [Claim(name, "bound", "open", "", "", statement) for name, statement in (("a", broken), ("b", floats_only))]
    first, second, third = certify_batch([*faulty, "tv-trpo"], compare(mdp, old, new), exact=1)
    assert "no such thing" in first.error
    assert first.undecided.all()
    assert "claim 'b' cannot be evaluated on exact numbers" in second.error
    assert third.holds.all()
    with pytest.raises(ValueError, match="exact is -1"):
        certify_batch(["tv-trpo"], compare(mdp, old, new), exact=-1)
