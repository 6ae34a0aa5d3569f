"""The identities behind the bounds: equalities, checked by a route that does not share the fast kernel.

Derivatives are those of power series and of Bellman's equation, not differences. They are exact to rounding, so an identity
between derivatives is asserted as sharply as one between numbers.
"""

from __future__ import annotations

import numpy as np

from bounds import divergences
from bounds.catalogue import ROUNDING, identity
from bounds.comparison import Comparison
from bounds.series import exponential, line
from bounds.steps import step
from bounds.tables import divided, dot, joined, largest, normalised, solved, stacked, total, weighted
from bounds.tables import step as next_law
from mdps.elimination import backup
from mdps.mdp import Array


@identity(
    "rho-flow",
    source="balance of visits; TRPO arXiv:1502.05477v5, sec. 2",
    formula=r"\rho=\rho_0+\gamma P_\pi^T\rho,\ \sum_s\rho=\frac{1}{1-\gamma},\ \rho\geq\rho_0",
)
def rho_flow(c: Comparison) -> tuple[Array, Array, Array]:
    """In units of 1-gamma: the balance at each state, the total, and rho >= rho0."""
    rho, start = c.old.rho, c.mdp.rho0
    inflow = next_law(rho, c.chain_old)
    slack = (1 - c.gamma)[..., None]
    mass, lower = total(rho)[..., None], np.minimum(rho, start)
    lhs = joined(rho * slack, mass * slack, lower)
    one = np.ones_like(mass)
    rhs = joined((start + c.gamma[..., None] * inflow) * slack, one, np.broadcast_to(start, lower.shape))
    return lhs, rhs, one


@identity("adv-zero-mean", source="definition of the advantage", formula=r"\sum_a\pi(a|s)A_\pi(s,a)=0")
def adv_zero_mean(c: Comparison) -> tuple[Array, Array, Array]:
    """At every state; A rebuilt from the relative values, before its mean is taken out."""
    h, level = c.relative_values
    A = backup(c.mdp.P, c.mdp.R, c.gamma, h) - h[..., None] - level[..., None, None]
    return weighted(c.old.pi, A), np.zeros(1), c.reward_scale[..., None]


@identity(
    "pdl",
    source="Kakade & Langford 2002, Lemma 6.1; TRPO arXiv:1502.05477v5, eqs. 1-2",
    formula=r"\eta(\tilde\pi)-\eta(\pi)=\sum_s\rho_{\tilde\pi}(s)\sum_a\tilde\pi(a|s)A_\pi(s,a)",
)
def pdl(c: Comparison) -> tuple[Array, Array, Array]:
    """In units of 1-gamma, for eta and for every state as start: V' - V = (I - gamma P')^-1 g."""
    values = joined(c.new.V - c.old.V, (c.new.eta - c.old.eta)[..., None])
    by_gain = joined(c.new.resolvent.values(c.gain), c.improvement[..., None])
    slack = (1 - c.gamma)[..., None]
    return values * slack, by_gain * slack, c.reward_scale[..., None]


@identity("L-at-pi", source="TRPO arXiv:1502.05477v5, eq. 4", formula=r"L_\pi(\pi)=\eta(\pi)")
def l_at_pi(c: Comparison) -> tuple[Array, Array, Array]:
    """L at old itself, in units of 1-gamma, with A written as Q - V."""
    own = dot(c.old.rho, weighted(c.old.pi, c.old.Q) - c.old.V)
    return own * (1 - c.gamma), np.zeros(()), largest(np.abs(c.old.V)) + c.eps_A


@identity(
    "grad-match",
    source="TRPO arXiv:1502.05477v5, eq. 4",
    formula=r"\nabla_\theta L_{\theta_0}(\theta)|_{\theta_0}=\nabla_\theta\eta(\theta)|_{\theta_0}",
)
def grad_match(c: Comparison) -> tuple[Array, Array, Array]:
    """Along a softmax direction and along the mixture direction: Bellman's equation differentiated, and solved densely."""
    direction = c.new.pi  # any direction of the softmax parameters will do
    system = np.eye(c.mdp.S) - c.gamma[..., None, None] * c.chain_old
    softmax = c.old.pi * (direction - weighted(c.old.pi, direction)[..., None])
    slopes = solved(system, stacked(dot(softmax, c.old.Q), dot(c.shift, c.old.Q)))
    numeric = (c.mdp.rho0[..., None] * slopes).sum(-2)
    analytic = stacked(dot(c.old.rho, weighted(c.old.pi, direction * c.old.A)), c.surrogate_gain)
    return numeric, analytic, (c.reward_scale * c.horizon**2)[..., None]


@identity(
    "gap-identity",
    source="resolvent identity; see Kakade & Langford 2002, Lemma 6.1",
    formula=r"\eta(\tilde\pi)-L_\pi(\tilde\pi)=(\tilde\rho-\rho)g=\gamma\rho(\tilde P-P)(\tilde V-V)"
    r"=\gamma\tilde\rho(\tilde P-P)(I-\gamma P)^{-1}g",
)
def gap_identity(c: Comparison) -> tuple[Array, Array, Array]:
    """The four forms of the gap; the last compares with the plain difference of two returns, in units of its own rounding."""
    by_visits = dot(c.occupancy_shift, c.gain)
    h = c.old.resolvent.relative_values(c.gain)[0]
    drift = dot(c.shift, backup(c.mdp.P, np.zeros_like(c.mdp.R), 1.0, h))
    by_new = c.gamma * dot(c.new.rho, drift)
    plain = c.new.eta - c.L
    own = c.gamma * c.horizon**2 * c.eps_g * c.tv_max
    rounding = c.reward_scale * c.horizon
    return stacked(by_visits, by_new, plain), c.gap[..., None], stacked(own, own, rounding) + c.gap_error[..., None] / ROUNDING


@identity(
    "A-to-Q",
    source="TRPO arXiv:1502.05477v5, sec. 5",
    formula=r"\sum_s\rho(s)E_{\tilde\pi}Q_\pi=L_\pi(\tilde\pi)-\eta(\pi)+\sum_s\rho(s)V_\pi(s)",
)
def a_to_q(c: Comparison) -> tuple[Array, Array, Array]:
    """A constant in the new policy; the shift is V(s), a different number at each state. In units of 1-gamma."""
    lhs = dot(c.old.d, c.Q_new)
    rhs = c.surrogate_gain * (1 - c.gamma) + dot(c.old.d, c.old.V)
    return lhs, rhs, largest(np.abs(c.old.V)) + c.eps_A


@identity(
    "is-identity",
    source="importance sampling with its support condition; TRPO arXiv:1502.05477v5, sec. 5",
    formula=r"E_{a\sim q}[\frac{\tilde\pi}{q}A]=E_{\tilde\pi}A-\sum_{a:q=0}\tilde\pi A",
)
def is_identity(c: Comparison) -> tuple[Array, Array, Array]:
    """Sampling from q = old: what new does where old never goes is missed, and exactly that. Each state."""
    q, A = c.old.pi, c.old.A
    weight = divided(c.new.pi, q, q > 0)
    missed = total(np.where(q > 0, 0.0, c.new.pi * A))
    return dot(q, weight * A), weighted(c.new.pi, A) - missed, c.eps_A[..., None]


@identity(
    "fisher-hessian",
    source="TRPO arXiv:1502.05477v5, App. C",
    formula=r"\nabla^2_\theta E_d KL(\pi\|\pi_\theta)=\nabla^2_\theta E_d KL(\pi_\theta\|\pi)"
    r"=E_{d,\pi}[\nabla\log\pi\,\nabla\log\pi^T]",
)
def fisher_hessian(c: Comparison) -> tuple[Array, Array, Array]:
    """Second derivative of either mean KL along a softmax direction, by power series, against the outer product of scores."""
    direction = c.new.pi
    tilt = exponential(direction)
    mass = tilt.mean(c.old.pi)
    forward = mass.log() - line(weighted(c.old.pi, direction))
    backward = ((tilt * direction).mean(c.old.pi) / mass).times_t() - mass.log()
    score = direction - weighted(c.old.pi, direction)[..., None]
    outer = dot(c.old.d, weighted(c.old.pi, score**2))
    return 2 * stacked(dot(c.old.d, forward.c2), dot(c.old.d, backward.c2)), outer[..., None], np.ones(1)


@identity(
    "npg-is-advantage",
    source="Kakade 2001; Agarwal et al. 2021, Lemma 15 (tabular softmax)",
    formula=r"F w=\nabla\eta\ \mathrm{for}\ w=\frac{A_\pi}{1-\gamma}+c(s);\ F\mathbf{1}_s=0",
)
def npg_is_advantage(c: Comparison) -> tuple[Array, Array, Array]:
    """F is singular, with one null vector a state: the inverse in the note's eq. 32 does not exist for a tabular softmax."""
    pi, d = c.old.pi, c.old.d[..., None]
    solution = c.old.A * c.horizon[..., None, None] + 1.0  # any c(s) will do: here 1
    image = d * pi * (solution - dot(pi, solution)[..., None])  # F is d (diag pi - pi pi') at each state
    null = d * (1 - total(pi)[..., None])  # F applied to one at every action of a state, added up
    gradient = c.old.rho[..., None] * pi * c.old.A
    lhs, rhs = joined(image, null), joined(gradient, np.zeros_like(null))
    return lhs, rhs, (c.eps_A * c.horizon + largest(np.abs(c.old.V)) + 1)[..., None, None]


@identity(
    "soft-step-identity",
    source="exponentiated advantages; cf. Kakade 2001, Agarwal et al. 2021",
    formula=r"\pi'\propto\pi e^{A/\tau}:\ g=\tau(KL_{12}+KL_{21}),\ \eta'-\eta=\tau\sum_s\rho'(KL_{12}+KL_{21})\geq 0",
)
def soft_step_identity(c: Comparison) -> tuple[Array, Array, Array]:
    """At the temperature tau = eps_A, which makes the check free of scale."""
    tau = np.where(c.eps_A > 0, c.eps_A, 1.0)
    soft = c.old.pi * np.exp(c.old.A / tau[..., None, None])
    soft = normalised(soft)
    taken = step(c, soft)
    both = tau[..., None] * divergences.both_ways(c.old.pi, soft)
    slack = (1 - c.gamma)[..., None]
    lhs = joined(taken.gain, taken.improvement[..., None] * slack)
    rhs = joined(both, dot(taken.rho, both)[..., None] * slack)
    return lhs, rhs, tau[..., None]
