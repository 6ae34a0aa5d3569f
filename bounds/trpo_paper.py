"""The bounds of the TRPO paper (arXiv:1502.05477v5), as printed, and as its note restates them."""

from __future__ import annotations

from bounds.catalogue import bound
from bounds.comparison import Comparison, once
from bounds.divergences import times
from mdps.mdp import Array


@bound(
    "tv-trpo",
    source="TRPO arXiv:1502.05477v5, Thm 1, eq. 8; the note's eq. 19",
    formula=r"\frac{4\epsilon\gamma}{(1-\gamma)^2}\alpha^2,\ \alpha=\max_s TV,\ \epsilon=\max|A|",
)
def tv_trpo(c: Comparison) -> Array:
    """Any two policies. For alpha <= 1/2 its best usage is (1-gamma)/(1-gamma+gamma alpha)."""
    return 4 * c.eps_A * c.gamma * c.tv_max**2 * c.horizon**2


@bound(
    "tv-trpo-resolvent",
    source="TRPO arXiv:1502.05477v5, App. A, before its last relaxation",
    formula=r"\frac{4\epsilon\gamma\alpha^2}{(1-\gamma)(1-\gamma(1-\alpha))}",
)
def tv_trpo_resolvent(c: Comparison) -> Array:
    """What the proof gives; attained by ``fam_tv`` for alpha <= 1/2."""
    return 4 * c.eps_A * c.gamma * c.tv_max**2 * c.horizon / ((1 - c.gamma) + c.gamma * c.tv_max)


@once
def coefficient(c: Comparison) -> Array:
    """TRPO's C = 4 eps gamma / (1-gamma)^2 [*B] (eq. 9), the penalty of its Algorithm 1."""
    return 4 * c.eps_A * c.gamma * c.horizon**2


@bound(
    "kl-trpo",
    source="TRPO arXiv:1502.05477v5, eq. 9; the note's eq. 22",
    formula=r"C\,\max_s KL(\pi\|\tilde\pi),\ C=\frac{4\epsilon\gamma}{(1-\gamma)^2}",
)
def kl_trpo(c: Comparison) -> Array:
    """tv-trpo and pinsker-weak; never used beyond one half."""
    return times(coefficient(c), c.kl_max)


@bound("kl-trpo-reverse", source="kl-trpo with the policies exchanged in the divergence", formula=r"C\,\max_s KL(\tilde\pi\|\pi)")
def kl_trpo_reverse(c: Comparison) -> Array:
    """TV is symmetric, so the direction does not matter to the *maximum* form."""
    return times(coefficient(c), c.kl_reverse_max)


@bound(
    "kl-seed-summary",
    source="the note's summary after its eq. 22, read as a two-sided bound",
    formula=r"\frac{2\epsilon}{(1-\gamma)^2}\max_s KL(\pi\|\tilde\pi)",
)
def kl_seed_summary(c: Comparison) -> Array:
    """Printed there as eta <= L + penalty, the wrong side for its argument and without gamma; true as it stands."""
    return times(2 * c.eps_A * c.horizon**2, c.kl_max)
