"""What every claim of the catalogue has to pass, as functions of a claim: the tests and the mutation script both call them."""

import functools
import math
from fractions import Fraction as F

import numpy as np

from bounds import compare
from bounds.bank import random_cells, structured_cells
from bounds.catalogue import TOLERANCE
from mdps import MDP
from mdps.families import fam_cpi, fam_tv, fam_walk

log = math.log


@functools.cache
def bank():
    """132,000 comparisons, the edge cases among them: zero probabilities, unreachable states, gamma = 0, new = old and more."""
    return (*random_cells(100, seed=0), *structured_cells())


def theorem_holds(claim):
    """No comparison of the bank breaks a theorem, and the premise is met somewhere."""
    applied = 0  # comparisons that the claim speaks of, standing still not counted
    for cell in bank():
        usage = claim.usage(cell.comparison)
        applied += int((claim.applies(cell.comparison) & (cell.comparison.tv_max > 0)).sum())
        worst = np.unravel_index(usage.argmax(), usage.shape)
        assert usage[worst] <= 1 + TOLERANCE, (claim.id, cell.mdp, cell.pairing, worst, usage[worst])
    assert applied > 0, f"{claim.id}: its premise holds nowhere in the bank"


def false_is_broken(claim):
    """A structured family breaks a false claim by far more than rounding."""
    assert max(claim.usage(cell.comparison).max() for cell in structured_cells()) > 1.01, claim.id


SUPREMUM_ONE = [
    "cpi-kl02-resolvent",
    "cpi-trpo",
    "cpi-span",
    "cpi-span-tv",
    "uspi",
    "gap-occ-eps",
    "gap-occ-span",
    "gap-value-span",
    "gap-ergodic",
    "tv-exact-worst",
    "tv-trpo-resolvent",
    "tv-trpo",
    "tv-spanA",
    "spi-span-maxtv",
    "spi-Q",
    "cpo-tv",
    "cpo-tv-newocc",
    "cpo-tv-span",
    "meankl-chain-bh",
    "meankl-joint",
    "kl-three-halves-jensen",
    "occ-tv-klmean-joint",
    "pinsker-tight",
    "bh-sqrt",
    "bh-half",
    "occ-tv-max",
    "occ-tv-mean",
    "occ-tv-mean-newocc",
    "occ-ergodic",
    "occ-dobrushin",
    "occ-kl-chain",
    "occ-tv-bh",
    "kemeny-zhang-ross",
    "single-path",
    "unconstrained=PI",
]
"""Bounds and lemmas that cannot be improved by a constant: their usage reaches 1."""


def supremum_is_reached(claim):
    """A structured family takes the usage to 0.99 or above."""
    assert max(claim.usage(cell.comparison).max() for cell in structured_cells()) >= 0.99, claim.id


# -- one small case, by hand ---------------------------------------------------------------------------------------------------
#
# gamma = 4/5, so h = 1/5 and H = 5. Two states, two actions; in state 0 action 0 stays and 1 leads to state 1, absorbing.
# old = (1/2, 1/2) and (2/3, 1/3); the rewards are advantages, (-2, 2) and (1, -2), with mean 0 under old: V_old = 0, Q = A = R.
# new = (1/5, 4/5) and (3/5, 2/5). Then
#   rho(0) = 1/(1 - 2/5) = 5/3, rho(1) = 5 - 5/3 = 10/3, d = (1/3, 2/3);  rho'(0) = 1/(1 - 4/25) = 25/21, d' = (5/21, 16/21)
#   g = (-2/5 + 8/5, 3/5 - 4/5) = (6/5, -1/5);  TV = (3/10, 1/15);  E_d TV = 1/10 + 2/45 = 13/90;  E_d' TV = 11/90
#   KL(old || new) = (1/2 log(25/16), 2/3 log(10/9) + 1/3 log(5/6)) = (log(5/4), k1)
#   gap = (rho' - rho) . g = -10/21 * 7/5 = -2/3;  L - eta = 5/3 * 6/5 - 10/3 * 1/5 = 4/3;  eta' - eta = 2/3
#   mixture: action 0 of state 0 loses the share 1 - 2/5 = 3/5 = alpha; target: eps = 2, span = 7/3, TV b = 1/2, mean gain 4/9
#   T = h * 10/21 = 2/21;  V' - V: V'(1) = -1, V'(0) (1 - 4/25) = 6/5 - 16/25, V'(0) = 2/3, span 5/3
#   (I - gamma P')^-1 has rows (25/21, 80/21) and (0, 5): tau = 25/21

GAMMA, H = 0.8, 5.0
K = (log(5 / 4), 2 / 3 * log(10 / 9) + 1 / 3 * log(5 / 6))
REVERSE = (log(2 / 5) / 5 + 4 / 5 * log(8 / 5), 3 / 5 * log(9 / 10) + 2 / 5 * log(6 / 5))
K_MEAN, REVERSE_MEAN = K[0] / 3 + 2 * K[1] / 3, REVERSE[0] / 3 + 2 * REVERSE[1] / 3
SQRT_HORIZON = math.fsum(GAMMA**t * math.sqrt(t) for t in range(1, 400))
STEP = 2 * log(2) ** 2 + log(4 / 3) ** 2 / 2  # squared length of the centred softmax step
SCORE = log(2) ** 2 / 3 + 2 / 3 * 2 / 9 * log(4 / 3) ** 2  # its variance under old, averaged over d


def hand_case():
    """The comparison above."""
    P = [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]
    return compare(MDP(P, [[-2, 2], [1, -2]], [1, 0], GAMMA), [[1 / 2, 1 / 2], [2 / 3, 1 / 3]], [[1 / 5, 4 / 5], [3 / 5, 2 / 5]])


def by_hand(claim_id):
    """The right-hand side on the small case, from the numbers above."""
    return {
        "cpi-kl02-resolvent": 2 * 2 * F(4, 5) * F(9, 25) * 5 / (F(1, 5) + F(4, 5) * F(3, 5)),
        "cpi-trpo": 2 * 2 * F(4, 5) * F(9, 25) * 25,
        "cpi-span": F(4, 5) * F(9, 25) * F(7, 3) * 5 / (F(1, 5) + F(4, 5) * F(3, 5)),
        "cpi-span-tv": F(4, 5) * F(9, 25) * F(1, 2) * F(7, 3) * 5 / (F(1, 5) + F(4, 5) * F(3, 10)),
        "uspi": F(4, 5) * F(9, 25) * F(1, 2) * F(7, 3) * 25,
        "tv-trpo": 4 * 2 * F(4, 5) * F(9, 100) * 25,
        "tv-trpo-resolvent": 4 * 2 * F(4, 5) * F(9, 100) * 5 / (F(1, 5) + F(4, 5) * F(3, 10)),
        "kl-trpo": 4 * 2 * 0.8 * 25 * K[0],
        "kl-trpo-reverse": 4 * 2 * 0.8 * 25 * REVERSE[0],
        "kl-seed-summary": 2 * 2 * 25 * K[0],
        "gap-occ-eps": 2 * F(6, 5) * F(2, 21) * 5,
        "cpo-tv": 2 * F(4, 5) * F(6, 5) * 25 * F(13, 90),
        "cpo-tv-newocc": 2 * F(4, 5) * F(6, 5) * 25 * F(11, 90),
        "cpo-tv-span": F(4, 5) * F(7, 5) * 25 * F(13, 90),
        "cpo-kl12": 2 * 0.8 * 1.2 * 25 * math.sqrt(K_MEAN / 2),
        "cpo-kl21": 2 * 0.8 * 1.2 * 25 * math.sqrt(REVERSE_MEAN / 2),
        "spi-span-maxtv": F(4, 5) * 25 * F(3, 10) * F(7, 5),
        "spi-Q": 2 * F(4, 5) * 25 * F(9, 100) * 4,
        # the reference (old + uniform)/2 is (1/2, 1/2), (7/12, 5/12), with old's visits and E_d TV = 1/10 + 2/3 * 1/60 = 1/9
        "geppo": 2 * F(4, 5) * F(6, 5) * 25 * (F(13, 90) / 3 + F(1, 9) * 2 / 3),
        "gap-occ-span": F(7, 5) * F(2, 21) * 5,
        "gap-value-span": F(4, 5) * F(13, 90) * 5 * F(5, 3),
        "gap-ergodic": F(4, 5) * F(25, 21) * F(7, 5) * F(13, 90) * 5,
        "tv-exact-worst": 2 * 2 * F(6, 10) * F(4, 5) * F(3, 10) * 5 / (F(1, 5) + F(4, 5) * F(3, 10)),
        "tv-spanA": 2 * F(4, 5) * F(9, 100) * 4 * 5 / (F(1, 5) + F(4, 5) * F(3, 10)),
        "kl-tight-pinsker": 2 * 2 * 0.8 * 25 * K[0],
        "kl-bh": 4 * 2 * 0.8 * 25 * (1 - 4 / 5),  # exp(-log(5/4)) = 4/5
        "kl-sqrt-horizon": 2 * 2 * SQRT_HORIZON * K[0],
        "kl-three-halves": 2 * 2 * math.sqrt(0.8) * math.sqrt(125) * K[0],
        "kl-three-halves-jensen": 2 * 2 * 0.8 * math.sqrt(125) * K[0],
        "meankl-joint": 2 * 0.8 * 1.2 * math.sqrt(125) * math.sqrt(K_MEAN / 2),
        "meankl-chain": 2 * 1.2 * 5 * math.sqrt(0.8 * K_MEAN * 5 / 2),
        "meankl-chain-bh": 2 * 1.2 * 5 * math.sqrt(1 - math.exp(-0.8 * K_MEAN * 5)),
        "meankl-linear": 2 * (0.8 * 25 + 2 * math.sqrt(1.6) * math.sqrt(125)) * K_MEAN,
        # g = (6/5, -1/5), so E_d g^2 = 1/3 * 36/25 + 2/3 * 1/25 = 38/75
        "meankl-bernstein": 5 * (math.sqrt(2 * 38 / 75 * 4 * K_MEAN) + 1.2 * 4 * K_MEAN),
        "meankl-linear-bernstein": 2 * (0.8 * 25 + 2 * math.sqrt(0.8) * math.sqrt(125)) * K_MEAN,
        "meankl-trpoC": 4 * 2 * 0.8 * 25 * K_MEAN,
        "meankl-trpoC/2": 2 * 2 * 0.8 * 25 * K_MEAN,
        "occ-tv-max": F(4, 5) * F(3, 10) / (F(1, 5) + F(4, 5) * F(3, 10)),
        "occ-tv-mean": F(4, 5) * 5 * F(13, 90),
        "occ-tv-mean-newocc": F(4, 5) * 5 * F(11, 90),
        "occ-ergodic": F(4, 5) * F(25, 21) * F(13, 90),
        "occ-dobrushin": 1 / (1 - F(4, 5) * F(1, 5)),
        "occ-kl-chain": 0.8 * 5 * K_MEAN,
        "occ-tv-klmean-joint": 0.8 * math.sqrt(5 * K_MEAN / 2),
        "occ-tv-klmean": math.sqrt(0.8 * 5 * K_MEAN / 2),
        "occ-tv-bh": math.sqrt(1 - math.exp(-0.8 * 5 * K_MEAN)),
        "kemeny-zhang-ross": 0,  # state 1 is absorbing: the premise does not hold
        "kemeny-gap": 0,
        "pinsker-tight": [K[0] / 2, K[1] / 2],
        "pinsker-weak": list(K),
        "bh-sqrt": [1 - 4 / 5, 1 - math.exp(-K[1])],
        "bh-half": [1 - 2 / 5, 1 - math.exp(-K[1]) / 2],
        "unconstrained=PI": F(5, 3) * 2 + F(10, 3),
        # beta = log 2 / 25: log 2/(beta T) = 25/T; beta = 1: log 2/T
        "npg-rate": [50, 25, 12.5, log(2) + 25, (log(2) + 25) / 2, (log(2) + 25) / 4],
        "softmax-smooth": 4 * 4 * 125 * STEP,
        # rho pi A = +-5/3 and +-20/9
        "l2-step": math.sqrt((2 * 25 / 9 + 2 * 400 / 81) * STEP),
        # E_d E_pi A^2 = 4/3 + 2/3 * 2
        "natural-step": math.sqrt(SCORE * 8 / 3) * 5,
        "single-path": 0.8**4 * 2 * 5,
        "G1": 4 * 2 * F(4, 5) * F(9, 100) * 5,
        "G2": 4 * F(6, 5) * F(4, 5) * F(9, 100) * 25,
        "G3": 2 * F(6, 5) * F(4, 5) * F(9, 100) * 25,
        "G3-epsA": 2 * 2 * F(4, 5) * F(9, 100) * 25,
        "G4": 4 * 2 * F(4, 5) * 25 * F(13, 90) ** 2,
        "G4-sq": 4 * 2 * F(4, 5) * 25 * (F(9, 100) / 3 + F(2, 3) / 225),
        "G5": 2 * F(4, 5) * F(6, 5) * 25 * F(13, 90) ** 2,
        "G5-h": 2 * F(4, 5) * F(6, 5) * 5 * F(13, 90),
        "G6": 4 * 2 * 0.8 * 25 * REVERSE_MEAN,
        "G9": 4 * 2 * 0.8 * 5 * K[0],
        "G9-epsg": 4 * 1.2 * 0.8 * 25 * K[0],
        "G9-0.9": 0.9 * 2 * 0.8 * 25 * K[0],
        "G15": 4 * 2 * F(4, 5) * F(9, 100) * 25,
        "G16-quarter": [K[0] / 4, K[1] / 4],
        "G16-linear": list(K),
        "G16-reverse": [2 * 0.09, 2 / 225],
    }[claim_id]


def _regret_by_hand():
    """Natural gradient with rewards (0, 1) and (3/4, 0): the largest regret after 1, 2 and 4 steps, for both step sizes."""
    regrets = []
    for beta in (log(2) / 25, 1.0):
        x = y = 0.0  # log odds of action 1 in state 0 and of action 0 in state 1
        for step in range(1, 5):
            for final in (False, True):
                p, q = 1 / (1 + math.exp(-x)), 1 / (1 + math.exp(-y))
                v1 = 3.75 * q
                v0 = p * (1 + 0.8 * v1) / (0.2 + 0.8 * p)
                if final:
                    break
                x += 5 * beta * ((1 + 0.8 * v1) - 0.8 * v0)
                y += 5 * beta * 0.75
            if step in (1, 2, 4):
                regrets.append(max(4 - v0, 3.75 - v1))
    return regrets


_T = 2 / 21
LEFT_BY_HAND = {
    "occ-tv-klmean-joint": _T,
    **{name: _T for name in ("occ-tv-max", "occ-tv-mean", "occ-tv-mean-newocc", "occ-ergodic", "occ-tv-klmean", "occ-tv-bh")},
    "occ-dobrushin": 25 / 21,
    "occ-kl-chain": log(7 / 5) / 3 + 2 / 3 * log(7 / 8),  # d/d' = (1/3)/(5/21), (2/3)/(16/21)
    "pinsker-tight": [0.09, 1 / 225],
    "pinsker-weak": [0.09, 1 / 225],
    "bh-sqrt": [0.09, 1 / 225],
    "bh-half": [0.3, 1 / 15],
    "G16-quarter": [0.09, 1 / 225],
    "G16-linear": [0.3, 1 / 15],
    "G16-reverse": list(K),
    "G15": 2 / 3 - 4 / 15,  # improvement less sum d g
    "geppo": 2 / 3,  # both references have old's visits
    "unconstrained=PI": 4 / 3,
    "npg-rate": _regret_by_hand(),
    # eta' - eta = 2/3 less the linear part: +-5/3 and +-20/9 times +-log 2 and +-log(4/3)/2
    "softmax-smooth": abs(2 / 3 - (10 / 3 * log(2) - 20 / 9 * log(4 / 3))),
    "l2-step": 10 / 3 * log(2) - 20 / 9 * log(4 / 3),
    "natural-step": 10 / 3 * log(2) - 20 / 9 * log(4 / 3),
    # each step's mean of Q under new: laws of s_t under old are (2^-t, 1 - 2^-t), means (6/5, -1/5); in full it is 4/3
    "single-path": abs(4 / 3 - math.fsum(0.8**t * (0.5**t * 1.2 - (1 - 0.5**t) * 0.2) for t in range(4))),
}


def right_side_by_hand(claim):
    """A bound or lemma has the right-hand side that was worked out on paper, and the left-hand side where it is a gap."""
    lhs, rhs = claim.sides(hand_case())
    np.testing.assert_allclose(rhs, np.array(by_hand(claim.id), dtype=float), rtol=2e-13, err_msg=claim.id)
    if claim.kind == "bound":
        np.testing.assert_allclose(lhs, 2 / 3, rtol=1e-12, err_msg=claim.id)
    elif claim.id in LEFT_BY_HAND:
        np.testing.assert_allclose(lhs, np.array(LEFT_BY_HAND[claim.id], dtype=float), rtol=1e-12, atol=4e-15, err_msg=claim.id)


def _improvement(x, y):
    """eta(new) - eta(old) on the small case when new takes action 1 with probability x in state 0 and y in state 1."""
    rho = 1 / (1 - 0.8 * (1 - x))
    return rho * (4 * x - 2) + (5 - rho) * (1 - 3 * y)


def _mixed(alpha):
    """The same for (1-alpha) old + alpha target, target = (0, 1) and (5/9, 4/9)."""
    return _improvement(0.5 + alpha / 2, 1 / 3 + alpha / 9)


_ALPHA = 0.25 * (1 / math.sqrt(8 / 9) - 1)  # Ab/(2 eps) = 1/9
_PROMISED = 5 * (_ALPHA * 4 / 9 - 2 * _ALPHA**2 * 0.8 * 2 / (0.2 + 0.8 * _ALPHA))
_UP = 1 / (1 + math.exp(0.02)), math.exp(0.01) / (2 * math.exp(-0.005) + math.exp(0.01))  # old exp(-0.01 A/2), normalised

STATEMENTS = {
    # id: (what the statement returns on the small case, whether its premise holds there); None: only its scale is worked out
    "alg1-monotone": (2 / 3 - 4 / 3, 10, False),
    "policy-improvement": ([2 / 3, -1], 55 / 3, False),
    "tabular-monotone-any-delta": (None, 2, True),
    "cpi-alpha-star": (0, 1 / 2 * 2 * 5, True),  # the best of the grid is the formula's own
    "cpi-improvement": (
        [_mixed(_ALPHA) - _PROMISED, _PROMISED - 16 / 81 / 16],
        10 + 10 * 2.220446049250313e-16 / 0.6 / 1e-13,
        True,
    ),
    "uspi-improvement": ([_mixed(1 / 21) - 10 / 189, 0], 10 + 10 * 2.220446049250313e-16 / 0.6 / 1e-13, True),
    "rho-flow": (None, 1, True),
    "adv-zero-mean": (None, 2 + 5 / 3, True),
    "pdl": (None, 2 + 5 / 3, True),
    "L-at-pi": (None, 2, True),
    "grad-match": (None, 25 * 11 / 3, True),
    "gap-identity": (None, [7.2, 7.2, 55 / 3], True),
    "A-to-Q": (None, 2, True),
    "is-identity": (None, 2, True),
    "fisher-hessian": (None, 1, True),
    "npg-is-advantage": (None, 11, True),
    "soft-step-identity": (None, 2, True),
    "vine-enumerated": (None, 2, True),
    "vine-self-normalised": (None, 2, True),
    "G10": (2 / 3, 10, False),
    "G11": (2 / 3, 10, False),
    "G13": (-6, 55 / 3, False),  # best: leave state 0 for 2, then 1 a step, 2 + 4
    "G14": (2 / 3, 10, True),  # clipped means: (-1.6 + 2.4)/2 and 2/3 * 0.9 - 1/3 * 2.4, which rho weighs to 0
    "G17": (2 / 3, 10, True),
    "G18": (_improvement(*_UP), 10, True),
    "note-minimise-L": (-10, 10, True),
    "note-24": ((5 * K_MEAN, K_MEAN), 1, True),
    "note-27": ((4 / 3, 4 / 15), 10, True),
    "is-any-support": (([6 / 5, -1 / 5], [6 / 5, -1 / 5]), 2, True),
    "trpo-eq16": (([6 / 5, -5 / 7], [6 / 5, -1 / 5]), 2, True),
    "vine-unbiased": (([0.6, -0.35], [6 / 5, -1 / 5]), 2, True),
}


def statement_by_hand(claim):
    """An identity or guarantee says on the small case what was worked out on paper, and forgives no more than it should."""
    c = hand_case()
    value, scale, applies = STATEMENTS[claim.id]
    parts = claim.statement(c)
    forgiven = 2e-2 if claim.id == "gap-identity" else 1e-12  # whose scale includes the rounding error of the gap
    np.testing.assert_allclose(
        np.broadcast_to(parts[-1], np.shape(scale) or parts[-1].shape).squeeze(), scale, rtol=forgiven, err_msg=claim.id
    )
    assert bool(claim.applies(c)) is applies, claim.id
    if value is not None:
        for part, expected in zip(parts, value if isinstance(value, tuple) else (value,), strict=False):
            np.testing.assert_allclose(part, expected, rtol=1e-12, atol=1e-14, err_msg=claim.id)


def minoriser_by_hand(claim):
    """Algorithm 1's premise and promise on a small step, where C max KL = 160 KL is worth it: to (0.495, 0.505)."""
    c = hand_case()
    near = compare(c.mdp, c.old, [[0.495, 0.505], [2 / 3, 1 / 3]])
    kl = -log(1 - 1e-4) / 2
    assert claim.applies(near)
    np.testing.assert_allclose(claim.statement(near)[0], _improvement(0.505, 1 / 3) - (5 / 3 * 0.02 - 160 * kl), rtol=1e-9)


def clip_by_hand(claim):
    """Inside the clip PPO's objective is L: for the same small step it says 5/3 * 0.02."""
    c = hand_case()
    near = compare(c.mdp, c.old, [[0.495, 0.505], [2 / 3, 1 / 3]])
    np.testing.assert_allclose(claim.statement(near)[0], _improvement(0.505, 1 / 3) - 5 / 3 * 0.02, rtol=1e-9)


def missed_by_hand(claim):
    """fam_cpi: old never takes the action that pays, so sampling from old sees nothing of it."""
    lhs, rhs, _ = claim.statement(compare(*fam_cpi(0.9, 0.25)))
    np.testing.assert_allclose(lhs, [0, 0], atol=1e-15)
    np.testing.assert_allclose(rhs, [0.25, -0.25])


def attained_beyond_one_half(claim):
    """The minimax value is met for alpha above 1/2 as well."""
    assert claim.usage(compare(*fam_tv(0.9, [0.6, 0.75, 1.0]))).min() > 0.999999


def horizon_by_hand(claim):
    """The sum over gamma^t sqrt(t) for small gamma too, term by term; fam_walk has eps = 1."""
    for gamma in (0.05, 0.3, 0.6):
        c = compare(*fam_walk(gamma, 0.1, 3))
        total = math.fsum(gamma**t * math.sqrt(t) for t in range(1, 200))
        np.testing.assert_allclose(claim.penalty(c), 2 * total * -log(1 - 0.04) / 2, rtol=1e-13)


def average_reward_by_hand(claim):
    """Two states, gamma aside: action 1 leads to the other state, action 0 stays; rewards 1 in state 0 and 0 in state 1.

    old = (1/2, 1/2): d = (1/2, 1/2), level 1/2, h(0) - h(1) = 1, A = +-1/2 in state 0 (stay, leave), -+1/2 in state 1.
    new leaves state 0 with probability 3/4 and state 1 with 1/2: d' = (2/5, 3/5), g = (-1/4, 0), E_d TV = 1/8,
    and tr Z' - 1 = 1/(3/4 + 1/2) = 4/5.
    """
    stay = np.eye(2)
    mdp = MDP(np.stack([stay, stay[::-1]], 1), [[1, 1], [0, 0]], [1, 0], 0.5)
    lhs, rhs = claim.sides(compare(mdp, np.full((2, 2), 0.5), [[0.25, 0.75], [0.5, 0.5]]))
    np.testing.assert_allclose([lhs, rhs], [1 / 40, 2 / 4 * 4 / 5 / 8], rtol=1e-13)


def cycle_by_hand(claim):
    """A cycle of three states has eigenvalues 1, w, w^2, so Kemeny's constant less one is 1/(1-w) + 1/(1-w^2) = 1."""
    step = np.eye(3)[[1, 2, 0]]
    c = compare(
        MDP(np.stack([step, step], 1), np.zeros((3, 2)), [1, 0, 0], 0.5), np.full((3, 2), 0.5), np.full((3, 2), [0.2, 0.8])
    )
    assert claim.applies(c)
    lhs, rhs = claim.sides(c)
    np.testing.assert_allclose([lhs, rhs], [0, 0.3], atol=1e-15)


BY_HAND_TOO = {
    "kl-sqrt-horizon": horizon_by_hand,
    "kemeny-zhang-ross": cycle_by_hand,
    "kemeny-gap": average_reward_by_hand,
    "alg1-monotone": minoriser_by_hand,
    "G14": clip_by_hand,
    "is-any-support": missed_by_hand,
    "tv-exact-worst": attained_beyond_one_half,
}


def checks_of(claim):
    """The checks that apply to a claim, in the order of their cost."""
    checks = [right_side_by_hand if claim.kind in ("bound", "lemma") else statement_by_hand]
    if claim.id in BY_HAND_TOO:
        checks.append(BY_HAND_TOO[claim.id])
    if claim.status == "false":
        checks.append(false_is_broken)
    if claim.id in SUPREMUM_ONE:
        checks.append(supremum_is_reached)
    if claim.status == "theorem":
        checks.append(theorem_holds)
    return checks
