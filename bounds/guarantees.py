"""What the algorithms promise: statements about the policies an update produces, and about estimators.

Where a statement needs an update's own result, it is built here from its closed form, independently of the code in ``trpo/``.
"""

from __future__ import annotations

import numpy as np

from bounds.catalogue import Mask, guarantee, identity, lemma
from bounds.comparison import Comparison, once
from bounds.divergences import times
from bounds.optimum import optimal_values
from bounds.steps import gain, visits, worth
from bounds.tables import centred, dot, joined, largest, normalised, span, stacked, total, weighted
from bounds.tables import step as next_law
from bounds.trpo_paper import coefficient
from mdps.mdp import Array, uniform_policy

Sides = tuple[Array, Array]


def return_scale(c: Comparison) -> Array:
    """``(max |R| + span V) / (1-gamma)`` [*B]: the size of a return, by which a difference of returns is rounded."""
    return c.reward_scale * c.horizon


@once
def _interior(c: Comparison) -> Mask:
    """Whether both policies give every action a positive probability: they have softmax parameters [*B]."""
    return ((c.old.pi > 0) & (c.new.pi > 0)).all((-2, -1))


@once
def _width(c: Comparison) -> Array:
    """``max R - min R`` [*B]."""
    return span(c.mdp.R, 2)


@once
def _parameter_step(c: Comparison) -> Array:
    """The least softmax parameter step that leads from old to new, [*B,S,A]; zero where a probability is."""
    inside = (c.old.pi > 0) & (c.new.pi > 0)
    ratio = np.divide(c.shift, c.old.pi, out=np.zeros_like(c.shift), where=inside)
    plain = np.log(np.where(inside, c.new.pi, 1.0)) - np.log(np.where(inside, c.old.pi, 1.0))
    log_ratio = np.where(np.abs(ratio) < 0.5, np.log1p(np.clip(ratio, -0.5, 0.5)), plain)
    return log_ratio - total(log_ratio)[..., None] / c.mdp.A


@once
def _policy_gradient(c: Comparison) -> Array:
    """Gradient of eta in the softmax parameters of old, rho pi A, [*B,S,A]."""
    return c.old.rho[..., None] * c.old.pi * c.old.A


@once
def _slope(c: Comparison) -> Array:
    """What the policy gradient makes of the parameter step, [*B]."""
    return total(_policy_gradient(c) * _parameter_step(c), 2)


def _norm(x: Array) -> Array:
    """Euclidean norm over states and actions, [*B,S,A] -> [*B], without under- or overflow."""
    most = largest(np.abs(x), 2)
    unit = np.where(most > 0, most, 1.0)
    return most * np.sqrt(total((x / unit[..., None, None]) ** 2, 2))


@once
def _minoriser_rises(c: Comparison) -> Mask:
    return c.surrogate_gain >= times(coefficient(c), c.kl_max)


@guarantee(
    "alg1-monotone",
    source="TRPO arXiv:1502.05477v5, Algorithm 1 and eq. 10",
    formula=r"M(\tilde\pi)\geq M(\pi)\Rightarrow\eta(\tilde\pi)-\eta(\pi)\geq M(\tilde\pi)-M(\pi)\geq 0,\ M=L-C\max KL",
    premise=_minoriser_rises,
)
def alg1_monotone(c: Comparison) -> Sides:
    """Any step that raises the minoriser M raises eta by at least as much; it need not maximise it."""
    promised = c.surrogate_gain - np.where(_minoriser_rises(c), times(coefficient(c), c.kl_max), 0.0)
    return c.improvement - promised, c.eps_A * c.horizon


@guarantee(
    "policy-improvement",
    source="policy improvement theorem, Howard 1960; mirror learning, Kuba et al. 2022",
    formula=r"g(s)\geq 0\ \forall s\Rightarrow V_{\tilde\pi}\geq V_\pi",
    premise=lambda c: (c.gain >= 0).all(-1),
)
def policy_improvement(c: Comparison) -> Sides:
    """At every state."""
    return c.new.V - c.old.V, return_scale(c)[..., None]


@guarantee(
    "tabular-monotone-any-delta",
    source="separability of the exact tabular update",
    formula=r"p_a\propto\frac{\pi_a}{\nu-A_a}\Rightarrow g(s)\geq 0,\ \eta(p)\geq\eta(\pi)\ \forall\delta",
)
def tabular_monotone(c: Comparison) -> Sides:
    """Whatever the radius, a max-KL, mean-KL or KL-penalised maximiser of L has this form where old takes a best action."""
    below_best = c.best_A[..., None] - c.old.A
    unit, results = np.where(c.eps_A > 0, c.eps_A, 1.0)[..., None, None], []
    for radius in (1e-3, 0.1, 10.0):
        p = normalised(c.old.pi / (radius * unit + below_best))
        gained = gain(c, p)
        results.append(gained)
        if radius == 0.1:  # a mean of gains, whatever the visits
            results.append((dot(visits(c, p), gained) / c.horizon)[..., None])
    return joined(*results), c.eps_A[..., None]


@lemma(
    "unconstrained=PI",
    source="TRPO arXiv:1502.05477v5, sec. 7",
    formula=r"L_\pi(\tilde\pi)-\eta(\pi)\leq\sum_s\rho(s)\max_a A_\pi(s,a)",
)
def unconstrained_is_policy_iteration(c: Comparison) -> Sides:
    """With equality for a greedy policy: maximising L alone is policy iteration where rho > 0, anything elsewhere."""
    lhs = np.maximum(c.surrogate_gain - c.surrogate_error, 0.0)
    return lhs, np.maximum(c.greedy_gain, 0.0)


@lemma(
    "npg-rate",
    source="Agarwal et al. 2021, Thm 16",
    formula=r"r\in[0,1],\ \pi_0\ \mathrm{uniform},\ \theta\leftarrow\theta+\frac{\beta A}{1-\gamma}"
    r":\ V^*-V_T\leq\frac{\log|A|}{\beta T}+\frac{1}{(1-\gamma)^2T}",
)
def npg_rate(c: Comparison) -> Sides:
    """After T = 1, 2 and 4 steps with beta = (1-gamma)^2 log|A| (the paper's) and beta = 1, at every state."""
    unit = np.where(_width(c) > 0, _width(c), 1.0)  # in units of which the rewards lie in an interval of length 1
    best, start = optimal_values(c), worth(c.mdp, uniform_policy(c.mdp))
    actions = c.mdp.A * np.ones_like(c.gamma)
    regret, rate = [], []
    for beta in ((1 - c.gamma) ** 2 * np.log(np.maximum(actions, 2)), np.ones_like(c.gamma)):
        step, theta = (beta * c.horizon / unit)[..., None, None], np.zeros_like(c.mdp.R)
        V, A = start
        for t in range(1, 5):
            theta = theta + step * A
            V, A = worth(c.mdp, normalised(np.exp(centred(theta))))
            if t in (1, 2, 4):
                regret.append(largest(np.maximum(best - V, 0.0)) / unit)
                rate.append(np.log(actions) / (beta * t) + c.horizon**2 / t)
    return stacked(*regret), stacked(*rate)


@lemma(
    "softmax-smooth",
    source="Agarwal et al. 2021, Lemma 7 of Mei et al. 2020",
    formula=r"|\eta(\theta')-\eta(\theta)-\nabla\eta(\theta)(\theta'-\theta)|\leq\frac{4\,\mathrm{span}(R)}{(1-\gamma)^3}\|\theta'-\theta\|_2^2",
    premise=lambda c: _interior(c) & (_width(c) > 0),
)
def softmax_smooth(c: Comparison) -> Sides:
    """eta is 8/(1-gamma)^3-smooth in softmax parameters for rewards in [0,1], so steps up to (1-gamma)^3/8 are monotone."""
    return np.abs(c.improvement - _slope(c)), 4 * _width(c) * c.horizon**3 * total(_parameter_step(c) ** 2, 2)


@lemma(
    "l2-step",
    source="TRPO arXiv:1502.05477v5, eq. 18; the note's eq. 33",
    formula=r"\nabla L\cdot\Delta\leq\sqrt{2\delta}\,\|\nabla L\|_2,\ \delta=\frac{1}{2}\|\Delta\|_2^2",
    premise=_interior,
)
def l2_step(c: Comparison) -> Sides:
    """With equality along the vanilla gradient: an l2 ball on the parameters gives that step."""
    return np.maximum(_slope(c), 0.0), _norm(_policy_gradient(c)) * _norm(_parameter_step(c))


@lemma(
    "natural-step",
    source="TRPO arXiv:1502.05477v5, eq. 17 and App. C; the note's eq. 31",
    formula=r"b\cdot\Delta\leq\sqrt{2\delta\,b^TF^+b},\ b=\nabla L,\ \delta=\frac{1}{2}\Delta^TF\Delta",
    premise=_interior,
)
def natural_step(c: Comparison) -> Sides:
    """With equality along F^+ b, upwards: the sign in the note's eq. 32 leads down. b'F^+b = E_d E_pi A^2 / (1-gamma)^2."""
    step = _parameter_step(c)
    score = step - weighted(c.old.pi, step)[..., None]
    measure = np.sqrt(c.old.d[..., None] * c.old.pi)
    return np.maximum(_slope(c), 0.0), _norm(measure * score) * _norm(measure * c.old.A) * c.horizon


@once
def _covered(c: Comparison) -> Mask:
    """Whether old takes every action that new takes [*B]."""
    return ((c.new.pi == 0) | (c.old.pi > 0)).all((-2, -1))


@once
def _largest_Q(c: Comparison) -> Array:
    """``max |Q_old|`` [*B]."""
    return largest(np.abs(c.old.Q), 2)


@once
def importance(c: Comparison) -> Array:
    """``new / old`` [*B,S,A], the weight of a sampled action; 0 where old never goes."""
    return np.divide(c.new.pi, c.old.pi, out=np.zeros_like(c.shift), where=c.old.pi > 0)


@lemma(
    "single-path",
    source="TRPO arXiv:1502.05477v5, sec. 5.1",
    formula=r"|E_\pi\sum_{t<K}\gamma^t\frac{\tilde\pi}{\pi}(a_t|s_t)G_t-\sum_s\rho(s)E_{\tilde\pi}Q|\leq\frac{\gamma^K\max|Q|}{1-\gamma}",
    premise=_covered,
)
def single_path(c: Comparison) -> Sides:
    """With the weights gamma^t it is unbiased up to its truncation, here K = 4; time by time, without the resolvent."""
    each = dot(c.old.pi * importance(c), c.old.Q)
    law, estimate = np.broadcast_to(c.mdp.rho0, each.shape), np.zeros(c.batch)
    for t in range(4):
        estimate = estimate + c.gamma**t * dot(law, each)
        law = next_law(law, c.chain_old)
    full = dot(c.old.rho, c.Q_new)
    bias = np.abs(estimate - full)
    rounding = 64 * c.roundoff.eps * _largest_Q(c) * c.horizon
    return np.maximum(bias - rounding, 0.0), c.gamma**4 * _largest_Q(c) * c.horizon


def _limit(c: Comparison, weight: Array, q: Array) -> Array:
    """Limit of the self-normalised estimate of E Q at each state, [*B,S]: weights w, actions from q, samples without end."""
    return weighted(q * weight, c.old.Q)


def _q_scale(c: Comparison) -> Array:
    return _largest_Q(c)[..., None]


@identity(
    "vine-enumerated", source="TRPO arXiv:1502.05477v5, eq. 15", formula=r"E_{a\sim U}[\frac{\tilde\pi}{U}Q]=E_{\tilde\pi}Q"
)
def vine_enumerated(c: Comparison) -> tuple[Array, Array, Array]:
    """All actions rolled out once, from uniform: unbiased at each state."""
    q = 1 / c.mdp.A
    return dot(q * (c.new.pi / q), c.old.Q), c.Q_new, _q_scale(c)


@identity(
    "vine-self-normalised",
    source="TRPO arXiv:1502.05477v5, eq. 16, with the weights pi/q",
    formula=r"\lim_{K\to\infty}\frac{\sum_k\frac{\tilde\pi}{q}Q}{\sum_k\frac{\tilde\pi}{q}}=E_{\tilde\pi}Q,\ a_k\sim q",
)
def vine_self_normalised(c: Comparison) -> tuple[Array, Array, Array]:
    """Consistent with the weights pi_new / q, q proportional to 1, ..., A; biased at finite K, see ``vine-unbiased``."""
    q = np.broadcast_to(np.arange(1, c.mdp.A + 1) / (c.mdp.A * (c.mdp.A + 1) / 2), c.old.pi.shape)
    return _limit(c, c.new.pi / q, q), c.Q_new, _q_scale(c)
