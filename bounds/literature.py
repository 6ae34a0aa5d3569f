"""Bounds of other papers on the same gap."""

from __future__ import annotations

import numpy as np

from bounds.catalogue import bound, lemma
from bounds.comparison import Comparison
from bounds.divergences import mean, shift, times
from bounds.steps import visits
from bounds.tables import dot, total
from mdps.mdp import Array


@bound(
    "gap-occ-eps",
    source="Hoelder; cf. Touati et al. 2020",
    formula=r"\epsilon_g\|\rho'-\rho\|_1,\ \epsilon_g=\max_s|E_{\tilde\pi}A|",
)
def gap_occ_eps(c: Comparison) -> Array:
    """The gap is (rho' - rho) . g."""
    return 2 * c.eps_g * (c.occupancy_tv + c.occupancy_error) * c.horizon


@bound("cpo-tv", source="Achiam et al. 2017 (CPO), Thm 1 and Cor 1", formula=r"\frac{2\gamma\epsilon_g}{(1-\gamma)^2}E_d TV")
def cpo_tv(c: Comparison) -> Array:
    """Mean TV under old's d; approached by ``fam_cpo`` for every gamma."""
    return 2 * c.gamma * c.eps_g * c.horizon**2 * c.tv_mean


@bound(
    "cpo-tv-newocc",
    source="Achiam et al. 2017 (CPO), policies exchanged",
    formula=r"\frac{2\gamma\epsilon_g}{(1-\gamma)^2}E_{d'}TV",
)
def cpo_tv_newocc(c: Comparison) -> Array:
    """Mean TV under new's d."""
    return 2 * c.gamma * c.eps_g * c.horizon**2 * c.tv_mean_new


@bound(
    "cpo-tv-span",
    source="Metelli et al. 2018 (SPMI), policy part",
    formula=r"\frac{\gamma\,\mathrm{span}(g)}{(1-\gamma)^2}E_d TV",
)
def cpo_tv_span(c: Comparison) -> Array:
    """cpo-tv with half the span of g in place of its maximum."""
    return c.gamma * c.span_g * c.horizon**2 * c.tv_mean


@bound(
    "cpo-kl12",
    source="Achiam et al. 2017 (CPO), Cor 3 and Prop 1",
    formula=r"\frac{2\gamma\epsilon_g}{(1-\gamma)^2}\sqrt{\frac{1}{2}E_d KL(\pi\|\tilde\pi)}",
)
def cpo_kl12(c: Comparison) -> Array:
    """cpo-tv, Pinsker and Jensen."""
    return times(2 * c.gamma * c.eps_g * c.horizon**2, np.sqrt(c.kl_mean / 2))


@bound(
    "cpo-kl21",
    source="Achiam et al. 2017 (CPO), Cor 3",
    formula=r"\frac{2\gamma\epsilon_g}{(1-\gamma)^2}\sqrt{\frac{1}{2}E_d KL(\tilde\pi\|\pi)}",
)
def cpo_kl21(c: Comparison) -> Array:
    """The same in the other direction of the divergence."""
    return times(2 * c.gamma * c.eps_g * c.horizon**2, np.sqrt(c.kl_reverse_mean / 2))


@bound("spi-span-maxtv", source="Pirotta et al. 2013 (SPI)", formula=r"\frac{\gamma}{(1-\gamma)^2}\,\alpha\,\mathrm{span}(g)")
def spi_span_maxtv(c: Comparison) -> Array:
    """alpha = max TV."""
    return c.gamma * c.horizon**2 * c.tv_max * c.span_g


@bound(
    "spi-Q", source="Pirotta et al. 2013 (SPI)", formula=r"\frac{2\gamma\alpha^2}{(1-\gamma)^2}\max_s\mathrm{span}_a Q(s,\cdot)"
)
def spi_q(c: Comparison) -> Array:
    """From span(g) <= 2 alpha max span Q."""
    return 2 * c.gamma * c.horizon**2 * c.tv_max**2 * c.span_A


@lemma(
    "geppo",
    source="Queeney et al. 2021 (GePPO), Thm 1",
    formula=r"|\eta(\pi')-\eta(\pi)-E_{i\sim\nu}\sum_s\rho_{\pi_i}g|\leq\frac{2\gamma\epsilon_g}{(1-\gamma)^2}E_{i\sim\nu}E_{d_{\pi_i}}TV(\pi',\pi_i)",
)
def geppo(c: Comparison) -> tuple[Array, Array]:
    """Samples of earlier policies pi_i: here old itself (weight 1/3) and the average of old and uniform (weight 2/3)."""
    reference = c.old.pi / 2 + 0.5 / c.mdp.A
    rho, moved = visits(c, reference), shift(reference, c.new.pi)
    difference, error = c.visits_moved(rho, moved)
    by_reference = dot(difference, c.gain)
    rounding = c.gap_error + error * c.eps_g * c.horizon
    lhs = np.maximum(np.abs(c.gap / 3 + 2 * by_reference / 3) - rounding, 0.0)
    tv_mean = mean(rho, total(np.abs(moved)) / 2) / c.horizon
    return lhs, 2 * c.gamma * c.eps_g * c.horizon**2 * (c.tv_mean / 3 + 2 * tv_mean / 3)
