"""False statements that look plausible, among them the errors of the TRPO paper and of the note on it.

A harness that breaks none of these has shown nothing by breaking no theorem.
"""

from __future__ import annotations

import numpy as np

from bounds.catalogue import bound, guarantee, identity, lemma
from bounds.comparison import Comparison
from bounds.divergences import mean, times
from bounds.guarantees import _covered, _largest_Q, _limit, _q_scale, importance, return_scale
from bounds.optimum import optimal_values
from bounds.steps import step
from bounds.tables import divided, dot, first_largest, largest, normalised, one_hot, total, weighted
from bounds.trpo_paper import coefficient
from mdps.mdp import Array

Sides = tuple[Array, Array]


@bound("G1", source="tv-trpo with one horizon dropped", formula=r"\frac{4\epsilon\gamma}{1-\gamma}\alpha^2", status="false")
def g1(c: Comparison) -> Array:
    """Needs both factors 1/(1-gamma)."""
    return 4 * c.eps_A * c.gamma * c.tv_max**2 * c.horizon


@bound("G2", source="tv-trpo with the epsilon of CPI", formula=r"\frac{4\epsilon_g\gamma}{(1-\gamma)^2}\alpha^2", status="false")
def g2(c: Comparison) -> Array:
    """eps_g is itself of order alpha for two general policies."""
    return 4 * c.eps_g * c.gamma * c.tv_max**2 * c.horizon**2


@bound(
    "G3",
    source="TRPO eq. 6 applied to policies that are no mixture",
    formula=r"\frac{2\epsilon_g\gamma}{(1-\gamma)^2}\alpha^2",
    status="false",
)
def g3(c: Comparison) -> Array:
    """With max TV as alpha and the new policy's own eps_g."""
    return 2 * c.eps_g * c.gamma * c.tv_max**2 * c.horizon**2


@bound("G3-epsA", source="half of tv-trpo", formula=r"\frac{2\epsilon\gamma}{(1-\gamma)^2}\alpha^2", status="false")
def g3_eps_a(c: Comparison) -> Array:
    """CPI's constant with TRPO's epsilon."""
    return 2 * c.eps_A * c.gamma * c.tv_max**2 * c.horizon**2


@bound("G4", source="tv-trpo with the mean TV", formula=r"\frac{4\epsilon\gamma}{(1-\gamma)^2}(E_d TV)^2", status="false")
def g4(c: Comparison) -> Array:
    """States that only the new policy visits do not count in the mean."""
    return 4 * c.eps_A * c.gamma * c.horizon**2 * c.tv_mean**2


@bound(
    "G4-sq", source="tv-trpo with the mean squared TV", formula=r"\frac{4\epsilon\gamma}{(1-\gamma)^2}E_d[TV^2]", status="false"
)
def g4_sq(c: Comparison) -> Array:
    """As G4."""
    return 4 * c.eps_A * c.gamma * c.horizon**2 * mean(c.old.d, c.tv**2)


@bound(
    "G5", source="cpo-tv with the mean TV squared", formula=r"\frac{2\gamma\epsilon_g}{(1-\gamma)^2}(E_d TV)^2", status="false"
)
def g5(c: Comparison) -> Array:
    """cpo-tv is first order in TV."""
    return 2 * c.gamma * c.eps_g * c.horizon**2 * c.tv_mean**2


@bound("G5-h", source="cpo-tv with one horizon dropped", formula=r"\frac{2\gamma\epsilon_g}{1-\gamma}E_d TV", status="false")
def g5_h(c: Comparison) -> Array:
    """Needs both factors 1/(1-gamma)."""
    return 2 * c.gamma * c.eps_g * c.horizon * c.tv_mean


@bound(
    "G6",
    source="TRPO's C with the mean of the reversed KL",
    formula=r"\frac{4\epsilon\gamma}{(1-\gamma)^2}E_d KL(\tilde\pi\|\pi)",
    status="open",
)
def g6(c: Comparison) -> Array:
    """The mean, and the other direction: refuted below 1/5 (``ladder``), open above."""
    return times(coefficient(c), c.kl_reverse_mean)


@bound(
    "G9",
    source="kl-trpo with one horizon dropped",
    formula=r"\frac{4\epsilon\gamma}{1-\gamma}\max_s KL(\pi\|\tilde\pi)",
    status="false",
)
def g9(c: Comparison) -> Array:
    """The right power is 3/2 (kl-three-halves)."""
    return times(4 * c.eps_A * c.gamma * c.horizon, c.kl_max)


@bound(
    "G9-epsg",
    source="kl-trpo with the epsilon of CPI",
    formula=r"\frac{4\epsilon_g\gamma}{(1-\gamma)^2}\max_s KL(\pi\|\tilde\pi)",
    status="false",
)
def g9_eps_g(c: Comparison) -> Array:
    """eps_g is itself of the order of the square root of KL."""
    return times(4 * c.eps_g * c.gamma * c.horizon**2, c.kl_max)


@bound(
    "G9-0.9",
    source="kl-tight-pinsker with a smaller constant",
    formula=r"\frac{0.9\,\epsilon\gamma}{(1-\gamma)^2}\max_s KL(\pi\|\tilde\pi)",
    status="false",
)
def g9_constant(c: Comparison) -> Array:
    """As gamma -> 0 the best constant tends to 2."""
    return times(0.9 * c.eps_A * c.gamma * c.horizon**2, c.kl_max)


@guarantee(
    "G10",
    source="the note's last remark, without its condition rho > 0",
    formula=r"\tilde\pi\in\arg\max L_\pi\Rightarrow\eta(\tilde\pi)\geq\eta(\pi)",
    status="false",
    premise=lambda c: c.surrogate_gain >= (1 - 1e-12) * c.greedy_gain,
)
def g10(c: Comparison) -> Sides:
    """L says nothing of states with rho = 0, and argmax L may do anything there."""
    return c.improvement, c.eps_A * c.horizon


@guarantee(
    "G11",
    source="the note, sec. 1 (2); TRPO arXiv:1502.05477v5 claims it of Algorithm 1 only",
    formula=r"L(\tilde\pi)>\eta(\pi),\ \max_s KL(\pi\|\tilde\pi)\leq\delta=0.2\Rightarrow\eta(\tilde\pi)\geq\eta(\pi)",
    status="false",
    premise=lambda c: (c.surrogate_gain > 0) & (c.kl_max <= 0.2 + 1e-12),
)
def g11(c: Comparison) -> Sides:
    """A trust region of fixed radius does not make a step monotone, be it on the max or on the mean KL."""
    return c.improvement, c.eps_A * c.horizon


@guarantee(
    "G13",
    source="TRPO arXiv:1502.05477v5, after eq. 2",
    formula=r"\max_a A_\pi(s,a)\leq 0\ \forall s:\rho(s)>0\Rightarrow\pi\ \mathrm{optimal}",
    status="false",
    premise=lambda c: largest(np.where(c.old.rho > 0, c.best_A, 0.0)) <= 0,
)
def g13(c: Comparison) -> Sides:
    """A better action may lead where the policy never goes, past a state where it looks indifferent."""
    return c.old.eta - dot(c.mdp.rho0, optimal_values(c)), return_scale(c)


@guarantee(
    "G14",
    source="PPO's clipped objective (Schulman et al. 2017, eq. 7, clip 0.2) read as a lower bound",
    formula=r"\eta(\tilde\pi)\geq\eta(\pi)+\sum_s\rho E_\pi\min(rA,\mathrm{clip}(r,1\pm0.2)A)",
    status="false",
    premise=_covered,
)
def g14(c: Comparison) -> Sides:
    """Inside the clip the objective is L, which is no lower bound."""
    ratio = importance(c)
    clipped = np.minimum(ratio * c.old.A, np.clip(ratio, 0.8, 1.2) * c.old.A)
    return c.improvement - dot(c.old.rho, weighted(c.old.pi, clipped)), c.eps_A * c.horizon


@lemma(
    "G15",
    source="tv-trpo with L from the normalised d",
    formula=r"|\eta(\tilde\pi)-\eta(\pi)-\sum_s d(s)g(s)|\leq\frac{4\epsilon\gamma}{(1-\gamma)^2}\alpha^2",
    status="false",
)
def g15(c: Comparison) -> Sides:
    """L carries the unnormalised rho: with d it lacks the factor 1/(1-gamma)."""
    return np.abs(c.improvement - dot(c.old.d, c.gain)), 4 * c.eps_A * c.gamma * c.tv_max**2 * c.horizon**2


@lemma("G16-quarter", source="Pinsker's inequality with a smaller constant", formula=r"TV^2\leq\frac{1}{4}KL", status="false")
def g16_quarter(c: Comparison) -> Sides:
    """One half is the best constant."""
    return c.tv**2, c.kl / 4


@lemma("G16-linear", source="Pinsker's inequality without its square", formula=r"TV\leq KL", status="false")
def g16_linear(c: Comparison) -> Sides:
    """KL is of second order."""
    return c.tv, c.kl


@lemma("G16-reverse", source="Pinsker's inequality reversed", formula=r"KL\leq 2TV^2", status="false")
def g16_reverse(c: Comparison) -> Sides:
    """No reverse without a floor on the new policy's probabilities."""
    return c.kl, 2 * c.tv**2


@guarantee(
    "G17",
    source="the surrogate taken for the objective; the note, 2.1, on small steps",
    formula=r"L_\pi(\tilde\pi)>\eta(\pi)\Rightarrow\eta(\tilde\pi)\geq\eta(\pi)",
    status="false",
    premise=lambda c: c.surrogate_gain > 0,
)
def g17(c: Comparison) -> Sides:
    """Nor for small steps, without a first-order gain along the path."""
    return c.improvement, c.eps_A * c.horizon


@guarantee(
    "G18",
    source="the note, eq. 32 (and the bars of its eq. 31)",
    formula=r"\theta'=\theta-\lambda F^{-1}\nabla L\Rightarrow\eta(\theta')\geq\eta(\theta)",
    status="false",
)
def g18(c: Comparison) -> Sides:
    """The sign is a relic of minimising a cost. A step of 0.01 in units of eps_A."""
    tilt = c.old.pi * np.exp(-0.01 * c.old.A / np.where(c.eps_A > 0, c.eps_A, 1.0)[..., None, None])
    return step(c, normalised(tilt)).improvement, c.eps_A * c.horizon


@guarantee(
    "note-minimise-L",
    source="the note, end of 2.5",
    formula=r"\tilde\pi\in\arg\min L_\pi\Rightarrow\eta(\tilde\pi)\geq\eta(\pi)",
    status="false",
)
def note_minimise(c: Comparison) -> Sides:
    """Minimising L is policy iteration downwards."""
    worst = one_hot(first_largest(-c.old.A), c.mdp.A)
    return step(c, worst).improvement, c.eps_A * c.horizon


@identity(
    "note-24",
    source="the note, eqs. 24, 25 and 27, with its own unnormalised rho",
    formula=r"\sum_s\rho(s)KL(s)=E_{s\sim d}KL(s)",
    status="false",
)
def note_24(c: Comparison) -> tuple[Array, Array, Array]:
    """An expectation needs the normalised d; with rho the radius delta means delta/(1-gamma)."""
    kl = np.where(np.isfinite(c.kl), c.kl, 1.0)
    return mean(c.old.rho, kl), mean(c.old.d, kl), np.ones(())


@identity(
    "note-27",
    source="the note, eq. 27; TRPO arXiv:1502.05477v5, eq. 14, 'exactly equivalent'",
    formula=r"\sum_s\rho(s)E_{\tilde\pi}A=E_{s\sim d}E_{\tilde\pi}Q",
    status="false",
)
def note_27(c: Comparison) -> tuple[Array, Array, Array]:
    """Equal only up to the scale 1/(1-gamma) and the constant of A-to-Q."""
    return c.surrogate_gain, dot(c.old.d, c.Q_new), _largest_Q(c) * c.horizon


@identity(
    "is-any-support",
    source="TRPO arXiv:1502.05477v5, sec. 5, and the note, 2.4, without the support condition",
    formula=r"E_{a\sim q}[\frac{\tilde\pi}{q}A]=E_{\tilde\pi}A\ \forall q",
    status="false",
)
def is_any_support(c: Comparison) -> tuple[Array, Array, Array]:
    """q = old has to cover the *new* policy; see is-identity for what is missed."""
    return total(np.where(c.old.pi > 0, c.new.pi * c.old.A, 0.0)), weighted(c.new.pi, c.old.A), (c.eps_A)[..., None]


@identity(
    "trpo-eq16",
    source="TRPO arXiv:1502.05477v5, eq. 16, as printed",
    formula=r"\lim_{K\to\infty}\frac{\sum_k\frac{\tilde\pi}{\pi}Q}{\sum_k\frac{\tilde\pi}{\pi}}=E_{\tilde\pi}Q,\ a_k\sim q=U",
    status="false",
    premise=lambda c: (c.old.pi > 0).all((-2, -1)),
)
def trpo_eq16(c: Comparison) -> tuple[Array, Array, Array]:
    """The weights have to be pi_new/q; pi_new/pi_old is right for q = pi_old only."""
    ratio = np.where(c.old.pi > 0, importance(c), 1.0)
    limit = _limit(c, ratio, np.broadcast_to(1 / c.mdp.A, c.old.pi.shape))
    return limit, c.Q_new, _q_scale(c)


@identity(
    "vine-unbiased",
    source="TRPO arXiv:1502.05477v5, eq. 16, at finite K",
    formula=r"E[\frac{\sum_{k\leq 2}\frac{\tilde\pi}{q}Q}{\sum_{k\leq 2}\frac{\tilde\pi}{q}}]=E_{\tilde\pi}Q,\ a_k\sim q=U",
    status="false",
    premise=lambda c: (c.new.pi > 0).all((-2, -1)),
)
def vine_unbiased(c: Comparison) -> tuple[Array, Array, Array]:
    """The exact expectation over two draws: self-normalising costs the bias it saves in variance."""
    w, Q = c.new.pi, c.old.Q
    weighed, first, second = w * Q, *np.triu_indices(c.mdp.A, 1)
    value, pair = weighed[..., first] + weighed[..., second], w[..., first] + w[..., second]
    unequal = divided(value, pair, pair > 0)
    estimate = (total(Q) + 2 * total(unequal)) / c.mdp.A**2  # twice the same action says its own Q
    return estimate, c.Q_new, _q_scale(c)
