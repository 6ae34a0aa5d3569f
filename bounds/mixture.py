"""Bounds for mixture policies, new = (1-alpha) old + alpha target: conservative policy iteration.

Every pair of policies is such a mixture, with ``alpha = c.mixture`` the largest share that any action loses and the target
read off the pair, so these bounds speak of every comparison.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bounds.catalogue import ROUNDING, bound, guarantee
from bounds.comparison import Comparison, once
from bounds.steps import step
from bounds.tables import normalised, stacked
from mdps.mdp import Array


class Target(NamedTuple):
    """What the policy that is mixed in does: its share and its gain over old. All [*B]."""

    alpha: Array
    eps: Array  # max_s |E_{a~target} A_old|
    span: Array  # span over s of E_{a~target} A_old
    tv: Array  # max_s TV(target, old)
    mean_gain: Array  # E_{s~d_old, a~target} A_old


@once
def target(c: Comparison) -> Target:
    """Read the mixed-in policy off a comparison; all zero where new = old."""
    alpha = np.where(c.mixture >= c.roundoff.tiny, c.mixture, 0.0)
    per = np.divide(1.0, alpha, out=np.zeros_like(alpha), where=alpha > 0)
    return Target(alpha, c.eps_g * per, c.span_g * per, c.tv_max * per, c.surrogate_gain / c.horizon * per)


@bound(
    "cpi-kl02-resolvent",
    source="Kakade & Langford 2002, Thm 4.1, in unnormalised units",
    formula=r"\frac{2\epsilon\gamma\alpha^2}{(1-\gamma)(1-\gamma(1-\alpha))}",
)
def cpi_kl02_resolvent(c: Comparison) -> Array:
    """Attained for every gamma and alpha by ``fam_cpi``."""
    t = target(c)
    return 2 * t.eps * c.gamma * t.alpha**2 * c.horizon / ((1 - c.gamma) + c.gamma * t.alpha)


@bound("cpi-trpo", source="TRPO arXiv:1502.05477v5, eq. 6", formula=r"\frac{2\epsilon\gamma\alpha^2}{(1-\gamma)^2}")
def cpi_trpo(c: Comparison) -> Array:
    """Weaker than Kakade and Langford's by the factor (1-gamma)/(1-gamma(1-alpha)); for any target, not only argmax L."""
    t = target(c)
    return 2 * t.eps * c.gamma * t.alpha**2 * c.horizon**2


@bound(
    "cpi-span",
    source="zero-sum refinement of Kakade & Langford 2002, Thm 4.1",
    formula=r"\frac{\gamma\alpha^2\,\mathrm{span}(\bar g)}{(1-\gamma)(1-\gamma(1-\alpha))}",
)
def cpi_span(c: Comparison) -> Array:
    """At most the previous: span <= 2 eps."""
    t = target(c)
    return c.gamma * t.alpha**2 * t.span * c.horizon / ((1 - c.gamma) + c.gamma * t.alpha)


@bound(
    "cpi-span-tv",
    source="cpi-span with the TV distance b of the target from old",
    formula=r"\frac{\gamma\alpha^2 b\,\mathrm{span}(\bar g)}{(1-\gamma)(1-\gamma(1-\alpha b))}",
)
def cpi_span_tv(c: Comparison) -> Array:
    """Chains coupled through the target's TV b separate with probability alpha b a step: the best of the family."""
    t = target(c)
    moved = t.alpha * t.tv
    return c.gamma * t.alpha * t.span * moved * c.horizon / ((1 - c.gamma) + c.gamma * moved)


@bound(
    "uspi",
    source="Pirotta et al. 2013, unique-parameter safe policy iteration (USPI)",
    formula=r"\frac{\gamma\alpha^2 b\,\mathrm{span}(\bar g)}{(1-\gamma)^2}",
)
def uspi(c: Comparison) -> Array:
    """b = max_s TV(target, old)."""
    t = target(c)
    return c.gamma * t.alpha**2 * t.tv * t.span * c.horizon**2


@once
def best_alpha(c: Comparison) -> Array:
    """The alpha [*B] that Kakade and Langford's bound allows to gain most: ``cpi-alpha-star``, 0 without a mean gain.

    ``min(1, (1-gamma)/gamma (1/sqrt(1 - Ab/(2 eps)) - 1))`` with ``Ab`` the target's mean gain under d.
    """
    t = target(c)
    share = np.divide(t.mean_gain, 2 * t.eps, out=np.zeros_like(t.eps), where=t.eps > 0)
    root = np.expm1(-0.5 * np.log1p(-np.clip(share, 0.0, 0.5)))  # Ab <= eps, so the share is at most 1/2
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = np.where(root > 0, root * (1 - c.gamma) / c.gamma, 0.0)
    return np.minimum(alpha, 1.0)


def guaranteed_gain(c: Comparison, alpha: Array) -> Array:
    """``(alpha Ab - 2 alpha^2 gamma eps / (1 - gamma + gamma alpha)) / (1-gamma)`` [*B]: what Thm 4.1 promises for this alpha."""
    t = target(c)
    return (alpha * t.mean_gain - 2 * alpha**2 * c.gamma * t.eps / ((1 - c.gamma) + c.gamma * alpha)) * c.horizon


def mixed_improvement(c: Comparison, alpha: Array) -> Array:
    """eta((1-alpha) old + alpha target) - eta(old) [*B], for alpha [*B]; the target is the one read off ``c``."""
    t = target(c)
    per = np.divide(1.0, t.alpha, out=np.zeros_like(t.alpha), where=t.alpha > 0)
    pi = np.maximum(c.old.pi + (alpha * per)[..., None, None] * c.shift, 0.0)
    return step(c, normalised(pi)).improvement


def _mixed_scale(c: Comparison) -> Array:
    """Size of a gain of :func:`mixed_improvement`: its target, read off a difference of size alpha, is known to eps/alpha."""
    readable = np.divide(c.roundoff.eps, c.mixture, out=np.zeros_like(c.mixture), where=c.mixture > 0)
    return c.eps_A * c.horizon * (1 + readable / ROUNDING)


@guarantee(
    "cpi-alpha-star",
    source="maximiser of the bound of Kakade & Langford 2002, Thm 4.1",
    formula=r"\alpha^\star = \min\{1, \frac{1-\gamma}{\gamma}(\frac{1}{\sqrt{1-\bar A/(2\epsilon)}}-1)\}",
)
def cpi_alpha_star(c: Comparison) -> tuple[Array, Array]:
    """What is promised is concave in alpha: no neighbour within 1 % and 10 %, and no end of [0, 1], is promised more."""
    best = best_alpha(c)
    rivals = [np.zeros_like(best), np.ones_like(best), *(np.minimum(best * near, 1.0) for near in (0.9, 0.99, 1.0, 1.01, 1.1))]
    rival = np.stack([guaranteed_gain(c, alpha) for alpha in rivals]).max(0)
    return guaranteed_gain(c, best) - rival, target(c).tv * c.eps_A * c.horizon


@guarantee(
    "cpi-improvement",
    source="Kakade & Langford 2002, Thm 4.1 and Cor 4.2, in unnormalised units",
    formula=r"\eta(\pi_{\alpha^\star})-\eta(\pi)"
    r"\geq \frac{1}{1-\gamma}[\alpha^\star\bar A-\frac{2\gamma\epsilon\alpha^{\star 2}}"
    r"{1-\gamma+\gamma\alpha^\star}] \geq \frac{\bar A^2}{8\epsilon}\ (\alpha^\star<1)",
)
def cpi_improvement(c: Comparison) -> tuple[Array, Array]:
    """The mixture at alpha* gains what Thm 4.1 promises, and that is at least Ab^2 / (8 eps) where alpha* < 1."""
    t = target(c)
    best = best_alpha(c)
    promised = guaranteed_gain(c, best)
    floor = t.mean_gain * np.divide(
        t.mean_gain, 8 * t.eps, out=np.zeros_like(t.eps), where=(t.eps > 0) & (t.mean_gain > 0) & (best < 1)
    )
    slack = stacked(mixed_improvement(c, best) - promised, promised - floor)
    return slack, _mixed_scale(c)[..., None]


@guarantee(
    "uspi-improvement",
    source="Pirotta et al. 2013 (USPI)",
    formula=r"\alpha^\star=\min\{1,\frac{\bar A(1-\gamma)}{2\gamma b\,\mathrm{span}(\bar g)}\}:\ "
    r"\eta(\pi_{\alpha^\star})-\eta(\pi)\geq\frac{\bar A^2}{4\gamma b\,\mathrm{span}(\bar g)}\ (\alpha^\star<1)",
)
def uspi_improvement(c: Comparison) -> tuple[Array, Array]:
    """The mixture at USPI's own alpha gains at least what its bound promises at that alpha."""
    t = target(c)
    curvature = c.gamma * t.tv * t.span
    gain = np.maximum(t.mean_gain, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = np.where(gain > 0, np.minimum(1.0, gain / (2 * curvature * c.horizon)), 0.0)
        floor = np.where((gain > 0) & (alpha < 1), gain * (gain / (4 * curvature)), 0.0)
    promised = alpha * gain * c.horizon - alpha**2 * curvature * c.horizon**2
    slack = stacked(mixed_improvement(c, alpha) - promised, promised - floor)
    return slack, _mixed_scale(c)[..., None]
