"""The identities behind the bounds: equalities, checked by a route that does not share the fast kernel.

Derivatives are taken at complex arguments: the first by a complex step, the second by Cauchy's formula on a circle. Both are
exact to rounding, so an identity between derivatives is asserted as sharply as one between numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bounds import divergences
from bounds.catalogue import ROUNDING, identity
from bounds.comparison import Comparison, compare
from mdps.elimination import backup
from mdps.evaluate import weighted
from mdps.mdp import MDP, Array


def _stack(*parts: Array) -> Array:
    return np.stack(np.broadcast_arrays(*parts), -1)


def _reward_scale(c: Comparison) -> Array:
    """``max |R| + span V`` [*B]: the size of what values are made of, the same on both sides of gamma -> 1."""
    return np.abs(c.mdp.R).max((-2, -1)) + np.ptp(c.old.V, axis=-1) + np.ptp(c.new.V, axis=-1)


@identity(
    "rho-flow",
    source="balance of visits; TRPO arXiv:1502.05477v5, sec. 2",
    formula=r"\rho=\rho_0+\gamma P_\pi^T\rho,\ \sum_s\rho=\frac{1}{1-\gamma},\ \rho\geq\rho_0",
)
def rho_flow(c: Comparison) -> tuple[Array, Array, Array]:
    """In units of 1-gamma: the balance at each state, the total, and rho >= rho0."""
    rho, start = c.old.rho, c.mdp.rho0
    inflow = np.einsum("...s,...sa,...sat->...t", rho, c.old.pi, c.mdp.P)
    slack = (1 - c.gamma)[..., None]
    total, lower = rho.sum(-1)[..., None], np.minimum(rho, start)
    lhs = np.concatenate([rho * slack, total * slack, lower], -1)
    one = np.ones_like(total)
    rhs = np.concatenate([(start + c.gamma[..., None] * inflow) * slack, one, np.broadcast_to(start, lower.shape)], -1)
    return lhs, rhs, one


@identity("adv-zero-mean", source="definition of the advantage", formula=r"\sum_a\pi(a|s)A_\pi(s,a)=0")
def adv_zero_mean(c: Comparison) -> tuple[Array, Array, Array]:
    """At every state; A rebuilt from the relative values, before its mean is taken out."""
    reward = weighted(c.old.pi, c.mdp.R)
    h, level = c.old.resolvent.relative_values(reward)
    A = backup(c.mdp.P, c.mdp.R, c.gamma, h) - h[..., None] - level[..., None, None]
    return weighted(c.old.pi, A), np.zeros(1), _reward_scale(c)[..., None]


@identity(
    "pdl",
    source="Kakade & Langford 2002, Lemma 6.1; TRPO arXiv:1502.05477v5, eqs. 1-2",
    formula=r"\eta(\tilde\pi)-\eta(\pi)=\sum_s\rho_{\tilde\pi}(s)\sum_a\tilde\pi(a|s)A_\pi(s,a)",
)
def pdl(c: Comparison) -> tuple[Array, Array, Array]:
    """In units of 1-gamma, for eta and for every state as start: V' - V = (I - gamma P')^-1 g."""
    values = np.concatenate([c.new.V - c.old.V, (c.new.eta - c.old.eta)[..., None]], -1)
    by_gain = np.concatenate([c.new.resolvent.values(c.gain), (c.new.rho * c.gain).sum(-1)[..., None]], -1)
    slack = (1 - c.gamma)[..., None]
    return values * slack, by_gain * slack, _reward_scale(c)[..., None]


@identity("L-at-pi", source="TRPO arXiv:1502.05477v5, eq. 4", formula=r"L_\pi(\pi)=\eta(\pi)")
def l_at_pi(c: Comparison) -> tuple[Array, Array, Array]:
    """L at old itself, in units of 1-gamma, with A written as Q - V."""
    own = (c.old.rho * (weighted(c.old.pi, c.old.Q) - c.old.V)).sum(-1)
    return own * (1 - c.gamma), np.zeros(()), np.abs(c.old.V).max(-1) + c.eps_A


@identity(
    "grad-match",
    source="TRPO arXiv:1502.05477v5, eq. 4",
    formula=r"\nabla_\theta L_{\theta_0}(\theta)|_{\theta_0}=\nabla_\theta\eta(\theta)|_{\theta_0}",
)
def grad_match(c: Comparison) -> tuple[Array, Array, Array]:
    """Along a softmax direction and along the mixture direction: a complex step through a dense solve against rho pi A."""
    direction = c.new.pi  # any direction of the softmax parameters will do
    step = 1e-30
    softmax = c.old.pi * np.exp(1j * step * direction)
    softmax = softmax / softmax.sum(-1, keepdims=True)
    line = c.old.pi + 1j * step * c.shift
    numeric = _stack(*(_eta(c.mdp, pi).imag / step for pi in (softmax, line)))
    analytic = _stack((c.old.rho * weighted(c.old.pi, direction * c.old.A)).sum(-1), c.surrogate_gain)
    return numeric, analytic, (_reward_scale(c) * c.horizon**2)[..., None]


@identity(
    "gap-identity",
    source="resolvent identity; see Kakade & Langford 2002, Lemma 6.1",
    formula=r"\eta(\tilde\pi)-L_\pi(\tilde\pi)=(\tilde\rho-\rho)g=\gamma\rho(\tilde P-P)(\tilde V-V)"
    r"=\gamma\tilde\rho(\tilde P-P)(I-\gamma P)^{-1}g",
)
def gap_identity(c: Comparison) -> tuple[Array, Array, Array]:
    """The four forms of the gap; the last compares with the plain difference of two returns, in units of its own rounding."""
    by_visits = (c.occupancy_shift * c.gain).sum(-1)
    h = c.old.resolvent.relative_values(c.gain)[0]
    drift = (c.shift * backup(c.mdp.P, np.zeros_like(c.mdp.R), 1.0, h)).sum(-1)
    by_new = c.gamma * (c.new.rho * drift).sum(-1)
    plain = c.new.eta - c.L
    own = c.gamma * c.horizon**2 * c.eps_g * c.tv_max
    rounding = _reward_scale(c) * c.horizon
    return _stack(by_visits, by_new, plain), c.gap[..., None], _stack(own, own, rounding) + c.gap_error[..., None] / ROUNDING


@identity(
    "A-to-Q",
    source="TRPO arXiv:1502.05477v5, sec. 5",
    formula=r"\sum_s\rho(s)E_{\tilde\pi}Q_\pi=L_\pi(\tilde\pi)-\eta(\pi)+\sum_s\rho(s)V_\pi(s)",
)
def a_to_q(c: Comparison) -> tuple[Array, Array, Array]:
    """A constant in the new policy; the shift is V(s), a different number at each state. In units of 1-gamma."""
    lhs = (c.old.d * weighted(c.new.pi, c.old.Q)).sum(-1)
    rhs = c.surrogate_gain * (1 - c.gamma) + (c.old.d * c.old.V).sum(-1)
    return lhs, rhs, np.abs(c.old.V).max(-1) + c.eps_A


@identity(
    "is-identity",
    source="importance sampling with its support condition; TRPO arXiv:1502.05477v5, sec. 5",
    formula=r"E_{a\sim q}[\frac{\tilde\pi}{q}A]=E_{\tilde\pi}A-\sum_{a:q=0}\tilde\pi A",
)
def is_identity(c: Comparison) -> tuple[Array, Array, Array]:
    """Sampling from q = old: what new does where old never goes is missed, and exactly that. Each state."""
    q, A = c.old.pi, c.old.A
    ratio = np.divide(c.new.pi, q, out=np.zeros_like(c.shift), where=q > 0)
    missed = np.where(q > 0, 0.0, c.new.pi * A).sum(-1)
    return (q * (ratio * A)).sum(-1), weighted(c.new.pi, A) - missed, c.eps_A[..., None]


@identity(
    "fisher-hessian",
    source="TRPO arXiv:1502.05477v5, App. C",
    formula=r"\nabla^2_\theta E_d KL(\pi\|\pi_\theta)=\nabla^2_\theta E_d KL(\pi_\theta\|\pi)"
    r"=E_{d,\pi}[\nabla\log\pi\,\nabla\log\pi^T]",
)
def fisher_hessian(c: Comparison) -> tuple[Array, Array, Array]:
    """Second derivative of either mean KL along a softmax direction, by Cauchy's formula, against the outer product of scores."""
    direction = c.new.pi
    radius, points = 0.25, 16
    forward, backward = [], []
    for k in range(points):
        z = radius * np.exp(2j * np.pi * k / points)
        tilted = c.old.pi * np.exp(z * direction)
        mass = tilted.sum(-1)
        cumulant, tilted = np.log(mass), tilted / mass[..., None]
        weight = 2 / (points * z**2)
        forward.append(weight * (c.old.d * (cumulant - z * weighted(c.old.pi, direction))).sum(-1))
        backward.append(weight * (c.old.d * (z * (tilted * direction).sum(-1) - cumulant)).sum(-1))
    score = direction - weighted(c.old.pi, direction)[..., None]
    outer = (c.old.d * weighted(c.old.pi, score**2)).sum(-1)
    return _stack(sum(forward).real, sum(backward).real), outer[..., None], np.ones(1)


@identity(
    "npg-is-advantage",
    source="Kakade 2001; Agarwal et al. 2021, Lemma 15 (tabular softmax)",
    formula=r"F w=\nabla\eta\ \mathrm{for}\ w=\frac{A_\pi}{1-\gamma}+c(s);\ F\mathbf{1}_s=0",
)
def npg_is_advantage(c: Comparison) -> tuple[Array, Array, Array]:
    """F is singular, with one null vector a state: the inverse in the note's eq. 32 does not exist for a tabular softmax."""
    pi = c.old.pi
    fisher = c.old.d[..., None, None] * (pi[..., None] * np.eye(c.mdp.A) - pi[..., :, None] * pi[..., None, :])  # [*B, S, A, A]
    solution = c.old.A * c.horizon[..., None, None] + c.old.V[..., None]  # any c(s) will do: here V
    gradient = c.old.rho[..., None] * pi * c.old.A
    lhs = np.concatenate([(fisher @ solution[..., None])[..., 0], fisher.sum(-1)], -1)
    rhs = np.concatenate([gradient, np.zeros_like(gradient)], -1)
    return lhs, rhs, (c.eps_A * c.horizon + np.abs(c.old.V).max(-1) + 1)[..., None, None]


@identity(
    "soft-step-identity",
    source="exponentiated advantages; cf. Kakade 2001, Agarwal et al. 2021",
    formula=r"\pi'\propto\pi e^{A/\tau}:\ g=\tau(KL_{12}+KL_{21}),\ \eta'-\eta=\tau\sum_s\rho'(KL_{12}+KL_{21})\geq 0",
)
def soft_step_identity(c: Comparison) -> tuple[Array, Array, Array]:
    """At the temperature tau = eps_A, which makes the check free of scale."""
    tau = np.where(c.eps_A > 0, c.eps_A, 1.0)
    soft = c.old.pi * np.exp(c.old.A / tau[..., None, None])
    s = compare(c.mdp, c.old, soft / soft.sum(-1, keepdims=True))
    both = tau[..., None] * (divergences.kl(s.old.pi, s.new.pi) + divergences.kl(s.new.pi, s.old.pi))
    lhs = np.concatenate([s.gain, (s.improvement * (1 - c.gamma))[..., None]], -1)
    rhs = np.concatenate([both, (s.new.d * both).sum(-1)[..., None]], -1)
    return lhs, rhs, tau[..., None]


def _eta(mdp: MDP, pi: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """eta of a policy with complex entries, by a dense linear solve: no code shared with the elimination."""
    chain = np.einsum("...sa,...sat->...st", pi, mdp.P)
    reward = (pi * mdp.R).sum(-1)
    system = np.eye(mdp.S) - mdp.gamma[..., None, None] * chain
    values = np.linalg.solve(system, reward[..., None])[..., 0]
    return (mdp.rho0 * values).sum(-1)
