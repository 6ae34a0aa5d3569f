"""Exact policy updates on tables: the maximisers that TRPO approximates, without sampling or a conic solver.

Every function takes the old policy's :class:`~mdps.Evaluation`, batch axes ``*B``, and returns the new policy's table
[*B,S,A]. The surrogate is that of the TRPO paper (arXiv:1502.05477v5, eq. 3), up to a constant

    L(p) = sum_s rho(s) sum_a p(a|s) A(s,a),   rho = d/(1-gamma).

Common to all:

* ``groups``, an integer label per state [S], ties states together: those of one group share one law (see
  :mod:`trpo.groups`). Below, "state" means group where groups are given.
* A state of weight d = 0 keeps its old law: L does not see it, so nothing can be gained there. Policy iteration in the
  textbook's sense needs d > 0 everywhere.
* A state where the old law already has all its mass on best actions keeps it, bit for bit. Advantages that differ by
  less than their own rounding error are equal.
* An update untied and exact never lowers eta, whatever its region (each state's gain is >= 0); one of tied states may.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdps.evaluate import Evaluation, weighted
from mdps.mdp import Array, as_policy, unmasked
from trpo.groups import Tied, tie
from trpo.projection import mean_l2_law
from trpo.region import Reduce, Region
from trpo.response import max_kl_law, max_penalised_law, mean_kl_law, priced_law
from trpo.softmax import centred, softmax_law

MixtureRule = Literal["trpo", "kakade-langford"]


def region_step(old: Evaluation, region: Region, groups: ArrayLike | None = None) -> Array:
    """Return the policy that maximises L in a trust region, [*B,S,A].

    ``max_p L(p)`` subject to, with ``reduce`` a maximum over the states with d > 0 or the mean over d,

    ====== ==================================================== =============================================
    kl     reduce_s KL(old(.|s) || p(.|s)) <= delta             TRPO eq. 11-12, not linearised; see
                                                                :mod:`trpo.response`
    l2     reduce_s 1/2 ||p(.|s) - old(.|s)||^2 <= delta        the projected policy gradient in the direct
                                                                parametrisation; see :mod:`trpo.projection`
    none   no constraint (and any measure with delta = inf)     policy iteration
    ====== ==================================================== =============================================

    The l2 ball is one of probability vectors. The paper's (section 4, "vanilla policy gradient") is one of parameters
    theta, with L linearised; for a softmax table that is ``vanilla_gradient_step(old, delta=delta)``.

    Parameters
    ----------
    old
        The old policy's evaluation.
    region
        What is allowed. 0 returns the old policy. A kl region with a finite delta leaves every action the old policy
        takes a probability of at least ``TINY`` (or its old one), so its KL is finite however large delta is.
    groups
        Labels of tied states, [S], or None.

    Notes
    -----
    Where several actions are best: an unconstrained update puts all mass on the first, unless the old law has all its
    mass on best actions already; a kl update shares it between those the old law takes, in the old proportions, and
    puts it on the first if it takes none; an l2 update moves all by the same amount.

    Raises
    ------
    ValueError
        If ``groups`` does not fit; see :func:`trpo.groups.tie`.
    """
    if not isinstance(region, Region):
        raise TypeError(f"region is of type {type(region).__name__}; expected a Region, such as Region('kl', 'max', delta=0.01)")
    tied = tie(old, groups)
    if region.free:
        return tied.spread(_greedy(tied))
    if region.delta == 0:
        return tied.spread(tied.pi)
    if region.reduce == "mean":
        law = (mean_kl_law if region.measure == "kl" else mean_l2_law)(tied.pi, tied.regret, tied.weight, region.delta)
    elif region.measure == "kl":
        law = max_kl_law(tied.pi, tied.regret, region.delta)
    else:  # a ball around each state is the ball around the mean of that state alone
        law = mean_l2_law(tied.pi[..., None, :], tied.regret[..., None, :], np.ones(1), region.delta)[..., 0, :]
    return tied.spread(law)


def policy_iteration_step(old: Evaluation, groups: ArrayLike | None = None) -> Array:
    """Return the maximiser of L without constraint, [*B,S,A]: greedy where d > 0. See :func:`region_step`."""
    return region_step(old, Region("none"), groups)


def penalised_step(old: Evaluation, coefficient: ArrayLike, *, reduce: Reduce = "max", groups: ArrayLike | None = None) -> Array:
    """Return the policy that maximises ``L(p) - coefficient * reduce_s KL(old(.|s) || p(.|s))``, [*B,S,A].

    ``reduce="max"``, over states with d > 0, is the paper's Algorithm 1 (arXiv:1502.05477v5; its maximum is over all
    states, which is the same since states with d = 0 keep their law). There C = 4 eps gamma/(1-gamma)^2 makes the update
    monotone. In the radius r of the KL balls the objective is concave, and best where ``sum_s rho(s) beta_s(r) = C``,
    beta_s being the price of KL at state s. ``reduce="mean"``, over d, has the one price C (1-gamma) everywhere.

    Parameters
    ----------
    old
        The old policy's evaluation.
    coefficient
        C >= 0, one number or [*B]. 0 gives the unconstrained maximiser, ``inf`` the old policy.
    reduce
        ``"max"`` or ``"mean"``.
    groups
        Labels of tied states, [S], or None.

    Raises
    ------
    ValueError
        If the coefficient is negative or nan or does not broadcast, the name is unknown, or ``groups`` does not fit.
    """
    if reduce not in ("max", "mean"):
        raise ValueError(f"reduce is {reduce!r}; expected one of 'max', 'mean'")
    tied = tie(old, groups)
    cost = _per_instance(old, "coefficient", coefficient, "0 <= coefficient <= inf", lambda c: c >= 0)
    price = (cost * (1 - old.mdp.gamma))[..., None, None]  # weights are d = (1-gamma) rho
    inner = np.where((price > 0) & np.isfinite(price), price, 1.0)[..., 0, 0]
    law = (max_penalised_law if reduce == "max" else priced_law)(tied.pi, tied.regret, tied.weight, inner)
    law = np.where(price == 0, _greedy(tied), np.where(np.isinf(price), tied.pi, law))
    return tied.spread(law)


def mixture_step(old: Evaluation, alpha: ArrayLike | MixtureRule = "kakade-langford", target: ArrayLike | None = None) -> Array:
    """Return the mixture ``(1-alpha) old + alpha target`` of conservative policy iteration, [*B,S,A].

    With g(s) = E_{a~target} A(s,a), Ab = sum_s d(s) g(s) and eps = max_s |g(s)|, the two rules maximise a lower bound of
    eta(new) - eta(old) over alpha in [0, 1]:

    ===================== =============================================================== ===============================
    ``"kakade-langford"`` [alpha Ab - 2 alpha^2 gamma eps/(1-gamma(1-alpha))]/(1-gamma)   Kakade and Langford 2002, Thm 4.1,
                                                                                          for unnormalised eta and A
    ``"trpo"``            alpha Ab/(1-gamma) - 2 eps gamma alpha^2/(1-gamma)^2            arXiv:1502.05477v5, eq. 6
    ===================== =============================================================== ===============================

    at min(1, (1-gamma)/gamma (1/sqrt(1 - Ab/(2 eps)) - 1)) and min(1, (1-gamma) Ab/(4 gamma eps)). Both are 0 where
    Ab <= 0 and 1 where gamma = 0 < Ab.

    Parameters
    ----------
    old
        The old policy's evaluation.
    alpha
        A rule's name, or the weight itself, one number or [*B], in [0, 1].
    target
        A policy table [*B,S,A]; None for the maximiser of L, :func:`policy_iteration_step`.

    Raises
    ------
    ValueError
        If alpha is no rule and not in [0, 1], or the target is no policy of this MDP.
    """
    aim = policy_iteration_step(old) if target is None else as_policy(old.mdp, target, "target")
    try:
        aim = np.broadcast_to(aim, old.pi.shape)
    except ValueError:
        raise ValueError(f"target has shape {aim.shape}, which does not broadcast to the old policy's {old.pi.shape}") from None
    if isinstance(alpha, str):
        weight = _mixture_weight(old, aim, alpha)
    else:
        weight = _per_instance(old, "alpha", alpha, "0 <= alpha <= 1", lambda x: (x >= 0) & (x <= 1))
    share = weight[..., None, None]
    return (1 - share) * old.pi + share * aim


def natural_gradient_step(
    old: Evaluation, step: ArrayLike | None = None, *, delta: ArrayLike | None = None, groups: ArrayLike | None = None
) -> Array:
    """Return the softmax table after one natural policy gradient step, [*B,S,A].

    ``theta += step F^+ grad eta`` with F the Fisher matrix of the mean KL over d and F^+ its pseudo-inverse. Exactly,
    F^+ grad eta = A/(1-gamma) up to a constant per state, so ``new(a|s) ~ old(a|s) exp(step A(s,a)/(1-gamma))``
    where d > 0 (Kakade 2001; Agarwal et al. 2021, section 5.3).

    Parameters
    ----------
    old
        The old policy's evaluation.
    step
        The step size, one number or [*B]; negative for descent.
    delta
        In place of ``step``: the radius of the quadratic model 1/2 D'FD = delta, which gives
        step = sqrt(2 delta/(b'F^+ b)), b = grad eta (arXiv:1502.05477v5, appendix C). The KL of the new policy is delta to
        first order only. Nothing moves where b = 0.
    groups
        Labels of tied states, [S], or None: one softmax law per group.

    Raises
    ------
    ValueError
        Unless exactly one of ``step`` and ``delta`` is given, finite, and delta >= 0; or if ``groups`` does not fit.
    """
    tied = tie(old, groups)
    advantage = centred(tied.pi, tied.regret)
    measure = np.sqrt(tied.weight[..., None] * tied.pi)
    size = _step_size(old, step, delta, _norm(measure * advantage) / (1 - old.mdp.gamma))  # sqrt(b'F^+ b)
    direction = advantage / (1 - old.mdp.gamma)[..., None, None]
    return _moved(tied, size, direction)


def vanilla_gradient_step(
    old: Evaluation, step: ArrayLike | None = None, *, delta: ArrayLike | None = None, groups: ArrayLike | None = None
) -> Array:
    """Return the softmax table after one policy gradient step ``theta += step grad eta``, theta = log old, [*B,S,A].

    The gradient is rho(s) old(a|s) A(s,a), so an action of probability 0 keeps it.

    Parameters
    ----------
    old
        The old policy's evaluation.
    step
        The step size, one number or [*B]; negative for descent.
    delta
        In place of ``step``: the radius of the ball 1/2 ||D||^2 = delta of parameters, which makes the step
        D = sqrt(2 delta) b/||b||, b = grad eta (arXiv:1502.05477v5, section 4). Nothing moves where b = 0.
    groups
        Labels of tied states, [S], or None: one softmax law, and one row of parameters, per group.

    Raises
    ------
    ValueError
        Unless exactly one of ``step`` and ``delta`` is given, finite, and delta >= 0; or if ``groups`` does not fit.
    """
    tied = tie(old, groups)
    rho = tied.weight / (1 - old.mdp.gamma)[..., None]
    gradient = rho[..., None] * tied.pi * centred(tied.pi, tied.regret)
    size = _step_size(old, step, delta, _norm(gradient))
    return _moved(tied, size, gradient)


def _greedy(tied: Tied) -> Array:
    """All mass on the first best action, where that is a gain."""
    best = tied.regret == 0
    first = np.arange(best.shape[-1]) == best.argmax(-1)[..., None]
    gains = ((tied.pi > 0) & ~best).any(-1)
    return np.where(gains[..., None], first.astype(float), tied.pi)


def _mixture_weight(old: Evaluation, target: Array, rule: str) -> Array:
    """The alpha of a named rule, [*B]."""
    if rule not in ("trpo", "kakade-langford"):
        raise ValueError(f"alpha is {rule!r}; expected a number in [0, 1], 'trpo' or 'kakade-langford'")
    gain = weighted(target, old.A)
    mean = (old.d * gain).sum(-1)
    eps = np.abs(gain).max(-1)
    gamma = np.broadcast_to(old.mdp.gamma, mean.shape)
    improves = mean > 0
    ratio = np.where(improves, mean, 0.0) / np.where(improves, eps, 1.0)  # in [0, 1]
    root = ratio / 4 if rule == "trpo" else np.expm1(-0.5 * np.log1p(-0.5 * ratio))
    odds = (1 - gamma) / np.where(gamma > 0, gamma, 1.0)
    return np.where(improves, np.where(gamma > 0, np.minimum(1.0, odds * root), 1.0), 0.0)


def _moved(tied: Tied, size: Array, direction: Array) -> Array:
    with np.errstate(over="ignore"):  # a step beyond all floats is one to the best actions
        return tied.spread(softmax_law(tied.pi, direction, size))


def _step_size(old: Evaluation, step: ArrayLike | None, delta: ArrayLike | None, norm: Array) -> Array:
    """The step, or sqrt(2 delta)/norm, [*B]."""
    if (step is None) == (delta is None):
        raise ValueError(f"got step={step!r} and delta={delta!r}; give exactly one of them")
    if step is not None:
        return _per_instance(old, "step", step, "a finite number", np.isfinite)
    size = _per_instance(old, "delta", delta, "0 <= delta < inf", lambda x: (x >= 0) & np.isfinite(x))
    with np.errstate(over="ignore"):  # the same
        step = math.sqrt(2) * np.sqrt(size) / np.where(norm > 0, norm, 1.0)
    return np.where(norm > 0, np.minimum(step, np.finfo(float).max), 0.0)


def _norm(x: Array) -> Array:
    """Euclidean norm over states and actions, [*B,S,A] -> [*B], without under- or overflow."""
    largest = np.abs(x).max((-2, -1))
    unit = np.where(largest > 0, largest, 1.0)
    return largest * np.sqrt(((x / unit[..., None, None]) ** 2).sum((-2, -1)))


def _per_instance(
    old: Evaluation, name: str, value: ArrayLike | None, wanted: str, allowed: Callable[[Array], NDArray[np.bool_]]
) -> Array:
    """Read one number, or one per instance, as [*B]; ``wanted`` says in words which are ``allowed``."""
    shape = old.eta.shape
    if value is None:
        raise ValueError(f"{name} is None; expected one number, or one per instance {shape}")
    value = unmasked(name, value)
    try:
        given = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; expected one number, or one per instance {shape}") from None
    wrong = np.argwhere(~allowed(given))
    if len(wrong):
        index = tuple(int(i) for i in wrong[0])
        where = f"{name}[{', '.join(map(str, index))}]" if index else name
        raise ValueError(f"{where} is {given[index]}; expected {wanted}")
    try:
        return np.broadcast_to(given, shape)
    except ValueError:
        raise ValueError(f"{name} has shape {given.shape}; expected one number, or one per instance {shape}") from None
