"""Bounds sharper than the paper's, with their proofs in a line each, and the open ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gamma as gamma_function
from scipy.special import zeta

from bounds.catalogue import bound
from bounds.comparison import Comparison
from bounds.divergences import mean, times
from bounds.tables import span
from bounds.trpo_paper import coefficient
from mdps.kernels import kernel
from mdps.mdp import Array


@bound("gap-occ-span", source="zero-sum refinement of gap-occ-eps", formula=r"\frac{1}{2}\mathrm{span}(g)\,\|\rho'-\rho\|_1")
def gap_occ_span(c: Comparison) -> Array:
    """rho' - rho sums to zero, so only differences of g count. Attained."""
    return c.span_g * (c.occupancy_tv + c.occupancy_error) * c.horizon


@bound("gap-value-span", source="gap-identity", formula=r"\gamma\sum_s\rho(s)TV(s)\;\mathrm{span}(V'-V)")
def gap_value_span(c: Comparison) -> Array:
    """|gap| = |gamma rho (P'-P)(V'-V)|. Attained."""
    return c.gamma * c.tv_mean * c.horizon * span(c.value_shift)


@bound("gap-ergodic", source="occ-ergodic", formula=r"\gamma\,\tau_1((I-\gamma P')^{-1})\,\mathrm{span}(g)\sum_s\rho(s)TV(s)")
def gap_ergodic(c: Comparison) -> Array:
    """gap-occ-span and occ-ergodic. Attained."""
    return c.gamma * c.ergodicity * c.span_g * c.tv_mean * c.horizon


@bound(
    "tv-exact-worst",
    source="exact minimax value; attained by fam_tv",
    formula=r"\frac{2\epsilon\min(1,2\alpha)\gamma\alpha}{(1-\gamma)(1-\gamma(1-\alpha))}",
)
def tv_exact_worst(c: Comparison) -> Array:
    """|g| <= min(1, 2 alpha) eps and occ-tv-max. No function of gamma, alpha and eps can be smaller."""
    return 2 * c.eps_A * np.minimum(1, 2 * c.tv_max) * c.gamma * c.tv_max * c.horizon / ((1 - c.gamma) + c.gamma * c.tv_max)


@bound(
    "tv-spanA",
    source="tv-trpo-resolvent with E_pi A = 0",
    formula=r"\frac{2\gamma\alpha^2\max_s\mathrm{span}_aA}{(1-\gamma)(1-\gamma(1-\alpha))}",
)
def tv_span_a(c: Comparison) -> Array:
    """|g| <= TV span_a A."""
    return 2 * c.gamma * c.tv_max**2 * c.span_A * c.horizon / ((1 - c.gamma) + c.gamma * c.tv_max)


@bound(
    "kl-tight-pinsker",
    source="tv-trpo and pinsker-tight",
    formula=r"\frac{2\epsilon\gamma}{(1-\gamma)^2}\max_s KL(\pi\|\tilde\pi)",
)
def kl_tight_pinsker(c: Comparison) -> Array:
    """Half of TRPO's C."""
    return times(2 * c.eps_A * c.gamma * c.horizon**2, c.kl_max)


@bound("kl-bh", source="tv-trpo and bh-sqrt", formula=r"\frac{4\epsilon\gamma}{(1-\gamma)^2}(1-e^{-\max_s KL})")
def kl_bh(c: Comparison) -> Array:
    """Finite even where the divergence is not."""
    return coefficient(c) * -np.expm1(-c.kl_max)


@bound(
    "kl-sqrt-horizon",
    source="KL of whole paths and Pinsker at each time",
    formula=r"2\epsilon\,(\sum_{t\geq1}\gamma^t\sqrt{t})\,\max_s KL(\pi\|\tilde\pi)",
)
def kl_sqrt_horizon(c: Comparison) -> Array:
    """1/2 ||d_t' - d_t||_1 <= sqrt(t KL/2), as KL adds up along a path: the horizon enters as sqrt t, not t."""
    return times(2 * c.eps_A * sqrt_horizon(c.gamma), c.kl_max)


@bound(
    "kl-three-halves",
    source="Jensen on kl-sqrt-horizon",
    formula=r"\frac{2\epsilon\sqrt\gamma}{(1-\gamma)^{3/2}}\max_s KL(\pi\|\tilde\pi)",
)
def kl_three_halves(c: Comparison) -> Array:
    """The KL form needs the horizon to the power 3/2 only."""
    return times(2 * c.eps_A * np.sqrt(c.gamma) * c.horizon**1.5, c.kl_max)


@bound(
    "kl-three-halves-jensen",
    source="Jensen on kl-sqrt-horizon, with the weights (1-gamma) gamma^(t-1) of t = 1, 2, ...",
    formula=r"\frac{2\epsilon\gamma}{(1-\gamma)^{3/2}}\max_s KL(\pi\|\tilde\pi)",
)
def kl_three_halves_jensen(c: Comparison) -> Array:
    """kl-three-halves times sqrt(gamma)."""
    return times(2 * c.eps_A * c.gamma * c.horizon**1.5, c.kl_max)


@bound(
    "meankl-joint",
    source="gap-occ-eps and occ-tv-klmean-joint",
    formula=r"\frac{2\gamma\epsilon_g}{(1-\gamma)^{3/2}}\sqrt{\frac{1}{2}E_d KL(\pi\|\tilde\pi)}",
)
def meankl_joint(c: Comparison) -> Array:
    """meankl-chain times sqrt(gamma), and cpo-kl12 times sqrt(1-gamma): never worse than either."""
    return times(2 * c.gamma * c.eps_g * c.horizon**1.5, np.sqrt(c.kl_mean / 2))


@bound(
    "meankl-chain",
    source="gap-occ-eps and occ-tv-klmean",
    formula=r"\frac{2\epsilon_g}{1-\gamma}\sqrt{\frac{\gamma E_d KL(\pi\|\tilde\pi)}{2(1-\gamma)}}",
)
def meankl_chain(c: Comparison) -> Array:
    """Better than cpo-kl12 iff gamma > 1/2."""
    return times(2 * c.eps_g * c.horizon, np.sqrt(times(c.gamma * c.horizon, c.kl_mean) / 2))


@bound(
    "meankl-chain-bh",
    source="gap-occ-eps and occ-tv-bh",
    formula=r"\frac{2\epsilon_g}{1-\gamma}\sqrt{1-e^{-\gamma E_d KL(\pi\|\tilde\pi)/(1-\gamma)}}",
)
def meankl_chain_bh(c: Comparison) -> Array:
    """Finite even where the divergence is not."""
    return 2 * c.eps_g * c.horizon * np.sqrt(-np.expm1(-times(c.gamma * c.horizon, c.kl_mean)))


@bound(
    "meankl-linear",
    source="Hellinger distance of visits, from occ-kl-chain",
    formula=r"\epsilon[\frac{\gamma}{(1-\gamma)^2}+\frac{2\sqrt{2\gamma}}{(1-\gamma)^{3/2}}]E_d KL(\pi\|\tilde\pi)",
)
def meankl_linear(c: Comparison) -> Array:
    """Linear in mean KL: |E_d'g - E_d g| <= H (|g|_d + |g|_d'), H^2 <= gamma E_d KL/(1-gamma), |g|_d^2 <= 2 eps^2 E_d KL."""
    return times(c.eps_A * (c.gamma * c.horizon**2 + 2 * np.sqrt(2 * c.gamma) * c.horizon**1.5), c.kl_mean)


@bound(
    "meankl-bernstein",
    source="Bernstein's inequality for a change of law, from occ-kl-chain",
    formula=r"\frac{1}{1-\gamma}[\sqrt{2\kappa E_d g^2}+\kappa\epsilon_g],\ \kappa=\frac{\gamma}{1-\gamma}E_d KL(\pi\|\tilde\pi)",
)
def meankl_bernstein(c: Comparison) -> Array:
    """E_d' g - E_d g <= kappa/t + t E_d g^2 / (2 (1-t)) for 0 < t < 1 and g <= 1, at its best t; kappa >= KL(d || d').

    For kappa + log E_d'(1 - t g) >= E_d log(1 - t g) (Donsker and Varadhan 1975), and log(1 - y) <= -y on the left,
    log(1 - y) >= -y - y^2 / (2 (1-t)) for y = t g <= t on the right.
    """
    moved = times(c.gamma * c.horizon, c.kl_mean)
    size = np.where(np.equal(c.eps_g, 0), 1.0, c.eps_g)
    share = c.gain / size[..., None]  # whose square neither overflows nor is lost
    return c.horizon * (size * np.sqrt(2 * times(mean(c.old.d, share * share), moved)) + times(c.eps_g, moved))


@bound(
    "meankl-linear-bernstein",
    source="meankl-bernstein",
    formula=r"\epsilon[\frac{\gamma}{(1-\gamma)^2}+\frac{2\sqrt\gamma}{(1-\gamma)^{3/2}}]E_d KL(\pi\|\tilde\pi)",
)
def meankl_linear_bernstein(c: Comparison) -> Array:
    """E_d g^2 <= 4 eps^2 E_d TV^2 <= 2 eps^2 E_d KL. Never worse than meankl-linear."""
    return times(c.eps_A * (c.gamma * c.horizon**2 + 2 * np.sqrt(c.gamma) * c.horizon**1.5), c.kl_mean)


@bound(
    "meankl-trpoC",
    source="TRPO's C with the mean in place of the max",
    formula=r"\frac{4\epsilon\gamma}{(1-\gamma)^2}E_d KL(\pi\|\tilde\pi)",
    status="open",
)
def meankl_trpo_c(c: Comparison) -> Array:
    """True for gamma >= 4/13 (by meankl-linear-bernstein), refuted below 1/5 (``ladder``), open between."""
    return times(coefficient(c), c.kl_mean)


@bound(
    "meankl-trpoC/2",
    source="half of TRPO's C with the mean in place of the max",
    formula=r"\frac{2\epsilon\gamma}{(1-\gamma)^2}E_d KL(\pi\|\tilde\pi)",
    status="open",
)
def meankl_trpo_half_c(c: Comparison) -> Array:
    """True for gamma >= 4/5 (by meankl-linear-bernstein), refuted below 1/2 (``ladder``), open between."""
    return times(2 * c.eps_A * c.gamma * c.horizon**2, c.kl_mean)


def sqrt_horizon(gamma: ArrayLike) -> Array:
    """``sum_{t>=1} gamma^t sqrt(t)`` = Li_{-1/2}(gamma) for gamma in [0, 1), to a few ulps.

    Below 1/2 the series itself. Above, with u = -log gamma, Gamma(3/2) u^{-3/2} + sum_k zeta(-1/2-k) (-u)^k / k!, which
    converges for u < 2 pi (DLMF 25.12.12).
    """
    return _sqrt_horizon(gamma)


def _zeta(s: NDArray[np.floating]) -> NDArray[np.floating]:
    """Riemann's zeta at negative non-integers, by its functional equation (DLMF 25.4.2)."""
    return 2 * (2 * np.pi) ** (s - 1) * np.sin(np.pi * s / 2) * gamma_function(1 - s) * zeta(1 - s)


_ORDERS = np.arange(20)
_EXPANSION = _zeta(-0.5 - _ORDERS) / np.cumprod(np.maximum(_ORDERS, 1), dtype=float)


@kernel("(f8,f8[:])", "()->()")
def _sqrt_horizon(gamma: float, out: Array) -> None:
    total = 0.0
    if gamma < 0.5:
        for t in range(64, 0, -1):
            total += gamma**t * np.sqrt(t)
    else:
        u = -np.log1p(-(1 - gamma))
        for k in range(len(_EXPANSION) - 1, -1, -1):
            total = _EXPANSION[k] - u * total
        total += np.sqrt(np.pi) / 2 * u**-1.5
    out[0] = total
