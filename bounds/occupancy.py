"""How far the visits can move when the policy does: ``T = 1/2 ||d_new - d_old||_1``."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np

from bounds import divergences, enclosed_solves
from bounds.catalogue import Mask, lemma
from bounds.comparison import Comparison, once, unit_values
from bounds.enclosure import Enclosure
from bounds.planar_average import Average, average
from bounds.spreads import overlap
from bounds.tables import connected, dot, floats_in_planes, largest, normalised, total
from mdps.elimination import Resolvent, backup, eliminate, forward
from mdps.mdp import Array
from mdps.numbers import Numbers

Sides = tuple[Array, Array]


@once
def _moved(c: Comparison) -> Array:
    """T less its rounding error [*B]."""
    return np.maximum(c.occupancy_tv - c.occupancy_error, 0.0)


@lemma(
    "occ-tv-max",
    source="coupling; Kakade & Langford 2002, TRPO arXiv:1502.05477v5, Lemma 3",
    formula=r"T\leq\frac{\gamma\alpha}{1-\gamma(1-\alpha)}",
)
def occ_tv_max(c: Comparison) -> Sides:
    """alpha = max TV: coupled chains separate with probability at most alpha a step."""
    return _moved(c), c.gamma * c.tv_max / ((1 - c.gamma) + c.gamma * c.tv_max)


@lemma("occ-tv-mean", source="Achiam et al. 2017 (CPO), Lemma 3", formula=r"T\leq\frac{\gamma}{1-\gamma}E_d TV")
def occ_tv_mean(c: Comparison) -> Sides:
    """Mean TV under old's d."""
    return _moved(c), c.gamma * c.horizon * c.tv_mean


@lemma(
    "occ-tv-mean-newocc",
    source="Achiam et al. 2017 (CPO), Lemma 3, policies exchanged",
    formula=r"T\leq\frac{\gamma}{1-\gamma}E_{d'}TV",
)
def occ_tv_mean_newocc(c: Comparison) -> Sides:
    """Mean TV under new's d."""
    return _moved(c), c.gamma * c.horizon * c.tv_mean_new


@lemma("occ-ergodic", source="in the spirit of Dai & Gluzman 2021", formula=r"T\leq\gamma\,\tau_1((I-\gamma P')^{-1})\,E_d TV")
def occ_ergodic(c: Comparison) -> Sides:
    """Stays finite as gamma -> 1 for a chain that mixes."""
    return _moved(c), c.gamma * c.ergodicity * c.tv_mean


@lemma(
    "occ-dobrushin",
    source="occ-ergodic with Dobrushin's coefficient of P'",
    formula=r"\tau_1((I-\gamma P')^{-1})\leq\frac{1}{1-\gamma\,\tau_1(P')}",
)
def occ_dobrushin(c: Comparison) -> Sides:
    """The ergodicity coefficient of the resolvent from that of one step."""
    return c.ergodicity, 1 / ((1 - c.gamma) + c.gamma * overlap(c.chain_new))  # 1 - tau_1(P') without the subtraction


@lemma(
    "occ-kl-chain",
    source="chain rule over a geometric horizon and data processing",
    formula=r"KL(d\|d')\leq\frac{\gamma}{1-\gamma}E_d KL(\pi\|\pi')",
)
def occ_kl_chain(c: Comparison) -> Sides:
    """The direction matters: with KL(new || old) the mean would have to be under d'."""
    mass = total(c.old.d)[..., None], total(c.new.d)[..., None]
    # a product of tiny probabilities may underflow; where new's visits are truly zero the right side is infinite
    lhs = divergences.kl(c.old.d / mass[0], np.maximum(c.new.d / mass[1], c.roundoff.tiny))
    # KL is quadratic in d' - d, which is known up to the rounding of two solves
    rounding = 64 * c.roundoff.eps
    return np.maximum(np.sqrt(lhs) - rounding, 0.0) ** 2, divergences.times(c.gamma * c.horizon, c.kl_mean)


@lemma("occ-tv-klmean", source="Pinsker on occ-kl-chain", formula=r"T\leq\sqrt{\frac{\gamma E_d KL}{2(1-\gamma)}}")
def occ_tv_klmean(c: Comparison) -> Sides:
    """Beats occ-tv-mean followed by Pinsker iff gamma > 1/2."""
    return _moved(c), np.sqrt(divergences.times(c.gamma * c.horizon, c.kl_mean) / 2)


@lemma(
    "occ-tv-klmean-joint",
    source="Pinsker and the chain rule on the laws of state and action",
    formula=r"T\leq\gamma\sqrt{\frac{E_d KL}{2(1-\gamma)}}",
)
def occ_tv_klmean_joint(c: Comparison) -> Sides:
    """d = (1-gamma) rho0 + gamma d P, so T <= gamma TV(d pi, d' pi'), and KL(d pi || d' pi') = KL(d || d') + E_d KL."""
    return _moved(c), divergences.times(c.gamma, np.sqrt(c.horizon * c.kl_mean / 2))


@lemma("occ-tv-bh", source="Bretagnolle & Huber 1979 on occ-kl-chain", formula=r"T\leq\sqrt{1-e^{-\gamma E_d KL/(1-\gamma)}}")
def occ_tv_bh(c: Comparison) -> Sides:
    """Never above one."""
    return _moved(c), np.sqrt(-np.expm1(-divergences.times(c.gamma * c.horizon, c.kl_mean)))


@once
def _irreducible(c: Comparison) -> Mask:
    """Whether both chains reach every state from every state [*B], by moves of probability 1e-12 or more."""
    return connected(c.chain_old > 1e-12) & connected(c.chain_new > 1e-12)


class Undiscounted(NamedTuple):
    """Both chains at gamma = 1, of which only relative values, levels and flows have a meaning."""

    old: Resolvent
    new: Resolvent


@once
def _undiscounted(c: Comparison) -> Undiscounted:
    """Eliminate both chains at gamma = 1; an all-uniform chain stands in where they are not irreducible."""
    proper = np.reshape(_irreducible(c), (*c.batch, 1, 1))
    one, single = np.ones(c.batch), np.ones((c.mdp.S, 1))
    chains = (np.where(proper, chain, 1 / c.mdp.S) for chain in (c.chain_old, c.chain_new))
    return Undiscounted(*(eliminate(chain[..., :, None, :], single, one) for chain in chains))


def _stationary(chain: Resolvent) -> Array:
    """The stationary law [*B,S] of an irreducible chain at gamma = 1.

    In proportion to the visits between two of the reference; for other numbers than floats the unit rewards' levels.
    """
    enclosed: Any = enclosed_solves.unit_levels(chain.factors)
    if enclosed is not None:
        return cast(Array, Enclosure(*enclosed))
    units = np.eye(chain.time.shape[-1])
    if isinstance(chain.time, Numbers) or isinstance(chain.factors, Numbers):
        return np.stack([chain.relative_values(unit)[1] for unit in units], -1)
    return normalised(chain.occupancy(units[chain.reference]))


@once
def _average(c: Comparison) -> Average:
    """How the average reward moves.

    Kemeny's constant less one is the trace of the unit rewards' biases. Any bias will do: the unit rewards sum to a constant,
    whose bias is constant. The gain is that of the advantages: relative values and the level cancel.
    """
    if floats_in_planes(c.chain_old, c.chain_new):
        found = average(c.mdp, (c.chain_old, c.chain_new), np.asarray(_irreducible(c)), c.shift, c.tv, c.reward)
        if found is not None:
            return found
    chains = _undiscounted(c)
    stationary, bias = _stationary(chains.old), unit_values(chains.new)
    moved = chains.new.flow(forward(c.mdp.P, stationary[..., None] * c.shift))
    h = chains.old.relative_values(c.reward)[0]
    gain = dot(c.shift, backup(c.mdp.P, c.mdp.R, 1.0, h))
    kemeny = cast(Array, sum(bias[..., k, k] for k in range(c.mdp.S)))
    return Average(moved, kemeny, dot(stationary, c.tv), gain)


@lemma(
    "kemeny-zhang-ross",
    source="Zhang & Ross 2021, Lemma 1; Seneta 1993 for the coefficient",
    formula=r"\frac{1}{2}\|d'_\infty-d_\infty\|_1\leq(\mathrm{tr}Z'-1)\,E_{d_\infty}TV",
    premise=_irreducible,
)
def kemeny_zhang_ross(c: Comparison) -> Sides:
    """Average reward: stationary laws of two irreducible chains; tr Z' - 1 is Kemeny's constant without the mean return."""
    found = _average(c)
    return total(np.abs(found.moved)) / 2, found.kemeny * found.tv_mean


@lemma(
    "kemeny-gap",
    source="Zhang & Ross 2021, Thm 1",
    formula=r"|\sum_s(d'_\infty-d_\infty)g_\infty|\leq 2\epsilon_g(\mathrm{tr}Z'-1)\,E_{d_\infty}TV",
    premise=_irreducible,
)
def kemeny_gap(c: Comparison) -> Sides:
    """The gap of the average reward from its surrogate; g and eps_g are of the average-reward advantages."""
    found = _average(c)
    return np.abs(dot(found.moved, found.gain)), 2 * largest(np.abs(found.gain)) * (found.kemeny * found.tv_mean)
