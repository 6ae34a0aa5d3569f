"""Pairs of policies on which a bound on ``gap = eta(new) - L_old(new)`` is tight, or a false one breaks.

Unless a docstring says otherwise V_old = 0 everywhere, so that the rewards *are* the advantages A_old, every run starts
in state 0, and h = 1 - gamma. ``rho`` is unnormalised, ``alpha`` is max_s TV(new, old), and e is the scale of the rewards.
The gap follows by hand from gap = (rho_new - rho_old).g with g(s) = E_{a~new} A_old(s, a).

Parameters may be scalars or arrays that broadcast together; their common shape is the batch ``*B``. A negative e turns the
sign of the gap. In floats V_old is zero up to the rounding of E_{a~old} R.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mdps.mdp import MDP, Array


class Pair(NamedTuple):
    """A process and an update of its policy."""

    mdp: MDP
    old: Array  # [*B, S, A]
    new: Array  # [*B, S, A]


def fam_cpi(gamma: ArrayLike, alpha: ArrayLike, e: ArrayLike = 1.0) -> Pair:
    """Attain the conservative policy iteration bound in its resolvent form for every gamma and alpha.

    State 0: action 0 stays, reward 0; action 1 leads to state 1, reward e. State 1 is absorbing: rewards 0 and -e.
    old = action 0, new = (1 - alpha) old + alpha (action 1).  gap = -2 e gamma alpha^2 / (h (1 - gamma (1 - alpha))).

    Attains the penalty behind Kakade and Langford (2002), Theorem 4.1, and TRPO (arXiv:1502.05477v5) eq. 6, before the latter
    replaces 1 - gamma (1 - alpha) by h.

    Raises
    ------
    ValueError
        If alpha lies outside [0, 1] or the parameters do not broadcast.
    """
    g, a, scale = _parameters(gamma=gamma, alpha=alpha, e=e)
    _within("alpha", a, 0, 1)
    zero = np.zeros_like(a)
    R = _table([[zero, scale], [zero, -scale]])
    return Pair(_leaving(R, g), _table([[1 + zero, zero]] * 2), _table([[1 - a, a]] * 2))


def fam_tv(gamma: ArrayLike, alpha: ArrayLike, e: ArrayLike = 1.0) -> Pair:
    """Attain the largest gap that any two policies with max TV alpha and max |A_old| = e can have.

    Actions (b, c, d), in both states old = (alpha, 0, 1 - alpha) and new = (0, alpha, 1 - alpha). A_old in state 0 is
    (-e, e, e alpha/(1 - alpha)) for alpha <= 1/2 and (-e (1 - alpha)/alpha, e, e) above; in state 1 its negative. Only c in
    state 0 leads to state 1, which is absorbing.  gap = -2 e min(1, 2 alpha) gamma alpha / (h (1 - gamma (1 - alpha))).

    The penalty of TRPO (arXiv:1502.05477v5) Theorem 1, 4 e gamma alpha^2 / h^2, is met up to the factor h / (h + gamma alpha) for
    alpha <= 1/2.

    Raises
    ------
    ValueError
        If alpha lies outside [0, 1] or the parameters do not broadcast.
    """
    g, a, scale = _parameters(gamma=gamma, alpha=alpha, e=e)
    _within("alpha", a, 0, 1)
    zero = np.zeros_like(a)
    small = a <= 0.5
    down = np.where(small, 1.0, (1 - a) / np.where(small, 1.0, a))
    up = np.where(small, a / np.where(small, 1 - a, 1.0), 1.0)
    R = _table([[-scale * down, scale, scale * up], [scale * down, -scale, -scale * up]])
    return Pair(_leaving(R, g), _table([[a, zero, 1 - a]] * 2), _table([[zero, a, 1 - a]] * 2))


def fam_cpo(gamma: ArrayLike, p: ArrayLike, e: ArrayLike = 1.0) -> Pair:
    """Approach the bound of constrained policy optimisation, which has the mean TV over the old visits.

    As :func:`fam_cpi`, except that new takes action 1 with probability p in state 0, where it pays e/p, and always in state 1,
    which old never visits: E_d TV = p, max TV = 1 and max |g| = e.  gap = -2 e gamma p / (h (h + gamma p)),
    a share h / (h + gamma p) -> 1 of the penalty 2 gamma e p / h^2 (Achiam et al. 2017, arXiv:1705.10528, Corollary 1).

    Raises
    ------
    ValueError
        If p lies outside (0, 1] or the parameters do not broadcast.
    """
    g, p, scale = _parameters(gamma=gamma, p=p, e=e)
    _within("p", p, 0, 1, open_below=True)
    return _deviating(g, p, scale / p, scale)


def leak(gamma: ArrayLike, p: ArrayLike, e: ArrayLike = 1.0) -> Pair:
    """Lose in a state that the old policy never visits: no mean over old's visits sees how far new has moved there.

    :func:`fam_cpo` with A_old = 0 for leaving state 0, so max |g| = max |A_old| = e.  gap = -e gamma p / (h (h + gamma p)),
    linear in p: it breaks every penalty that is quadratic in E_d TV.

    Raises
    ------
    ValueError
        If p lies outside [0, 1] or the parameters do not broadcast.
    """
    g, p, scale = _parameters(gamma=gamma, p=p, e=e)
    _within("p", p, 0, 1)
    return _deviating(g, p, np.zeros_like(p), scale)


def fam_walk(gamma: ArrayLike, alpha: ArrayLike, n: int, e: ArrayLike = 1.0) -> Pair:
    """Collect the KL divergence along a path: the largest known gap for a given max KL.

    A counter on -n..n (state n + counter, held at the ends) starts at 0; actions 0 and 1 subtract and add 1; old is uniform
    and new = (1/2 - alpha, 1/2 + alpha) everywhere. A_old = e sign(counter) action with action -1 or 1. The gap is positive,
    4 e alpha^2 sum_t gamma^t E|S_t| + O(alpha^4) with S_t the counter under old, never held, and KL(old || new) =
    2 alpha^2 + O(alpha^4). As E|S_t| ~ sqrt(2t/pi), the ratio grows as h^(-3/2), not as the h^-2 of eq. 9 of TRPO.

    Parameters
    ----------
    gamma, alpha, e
        Scalars or arrays that broadcast; alpha in [0, 1/2].
    n
        The counter's range; the ends matter little once n exceeds a few sqrt(1/h).

    Raises
    ------
    ValueError
        If alpha lies outside [0, 1/2], n is not a positive integer, or the parameters do not broadcast.
    """
    g, a, scale = _parameters(gamma=gamma, alpha=alpha, e=e)
    _within("alpha", a, 0, 0.5)
    if not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n is {n!r}; expected a positive integer, the counter's range")
    counter = np.arange(-n, n + 1)
    states = 2 * n + 1
    steps = np.array([-1, 1])
    P = np.eye(states)[np.clip(counter[:, None] + steps, -n, n) + n]
    R = scale[..., None, None] * (np.sign(counter)[:, None] * steps)
    new = _table([[0.5 - a, 0.5 + a]] * states)
    return Pair(MDP(P, R, np.eye(states)[n], g), np.full_like(new, 0.5), new)


def greedy_trap(gamma: ArrayLike = 0.9) -> Pair:
    """Follow a maximiser of L_old to a policy worse than old: L is blind where old never goes.

    The process of :func:`fam_cpi` with rewards (0, 0.1) in state 0 and (0, -1) in state 1. old = action 0; new = action 1
    everywhere, which maximises L_old, as anything does in state 1, where rho_old = 0.  L - eta(old) = 0.1/h, and
    eta(new) - eta(old) = 0.1 - gamma/h.
    """
    (g,) = _parameters(gamma=gamma)
    return Pair(_leaving(np.array([[0.0, 0.1], [0.0, -1.0]]), g), _always(0), _always(1))


def shared_law(gamma: ArrayLike = 0.9, p: ArrayLike = 0.01, *, new_p: ArrayLike) -> Pair:
    """Share one action law between two states: a step that a trust region allows and L_old likes may still lose.

    Action 0 leads to state 0 and pays 0; action 1 leads to state 1 and pays 1 in state 0 and -10 in state 1. old takes
    action 1 with probability p in both states, new with new_p. V_old is *not* zero here: with q for the probability of action 1,
    eta(q) = q + (gamma/h) q (1 - 11 q), of which L is the tangent at p:  gap = -11 (gamma/h) (new_p - p)^2.

    Raises
    ------
    ValueError
        If p or new_p lies outside [0, 1] or the parameters do not broadcast.
    """
    g, before, after = _parameters(gamma=gamma, p=p, new_p=new_p)
    _within("p", before, 0, 1)
    _within("new_p", after, 0, 1)
    P = np.broadcast_to(np.eye(2), (2, 2, 2))
    mdp = MDP(P, [[0, 1], [0, -10]], [1, 0], g)
    return Pair(mdp, _table([[1 - before, before]] * 2), _table([[1 - after, after]] * 2))


def slow_leak(gamma: ArrayLike, t: ArrayLike, e: ArrayLike = 1.0) -> Pair:
    """Let L rise and eta fall along a path however short the step: the gain of L is of second order, and so is the loss.

    State 0: action 0 stays, reward 0; action 1 leads to the absorbing state 1, reward 0; action 2 stays, reward e gamma.
    State 1: rewards 0, -2 e and 0. old = action 0; new = (1 - t - t^2, t, t^2) in state 0 and (1 - t, t, 0) in state 1.
    L - eta(old) = e gamma t^2 / h, and eta(new) - eta(old) = e gamma t^2 (h - 2) / (h (h + gamma t)) < 0.

    Raises
    ------
    ValueError
        If t lies outside [0, 1/2] or the parameters do not broadcast.
    """
    g, t, scale = _parameters(gamma=gamma, t=t, e=e)
    _within("t", t, 0, 0.5)
    zero, one = np.zeros_like(t), np.ones_like(t)
    R = _table([[zero, zero, scale * g], [zero, -2 * scale, zero]])
    return Pair(_leaving(R, g), _table([[one, zero, zero]] * 2), _table([[1 - t - t**2, t, t**2], [1 - t, t, zero]]))


def fork(gamma: ArrayLike, y: ArrayLike, e: ArrayLike = 1.0) -> Pair:
    """Change the policy most where old hardly is: for small gamma no multiple of the mean KL covers what that costs.

    State 0: action 0 leads to the absorbing state 1, action 1 to the absorbing state 2; rewards (0, 0), then (e, -e) in both.
    old is uniform; new = (1/2 + x, 1/2 - x), then (1/2 + y, 1/2 - y) and (1/2 - y, 1/2 + y), with x = y sqrt(gamma/h), which
    balances the two terms of E_d KL = 2 h x^2 + 2 gamma y^2 + ...  gap = 4 e gamma x y / h.

    For y -> 0 that is the share sqrt(h/gamma)/4 of 4 e gamma/h^2 E_d KL, above 1 where gamma < 1/17.

    Raises
    ------
    ValueError
        If y or x is not in (0, 1/2] or the parameters do not broadcast.
    """
    g, y, scale = _parameters(gamma=gamma, y=y, e=e)
    x = y * np.sqrt(g / (1 - g))
    _within("y", y, 0, 0.5, open_below=True)
    _within("x = y sqrt(gamma/(1 - gamma))", x, 0, 0.5)
    zero, half = np.zeros_like(y), np.full_like(y, 0.5)
    P = np.eye(3)[[[1, 2], [1, 1], [2, 2]]]
    R = _table([[zero, zero], [scale, -scale], [scale, -scale]])
    new = _table([[half + x, half - x], [half + y, half - y], [half - y, half + y]])
    return Pair(MDP(P, R, [1, 0, 0], g), np.full_like(new, 0.5), new)


def ladder(gamma: ArrayLike, stages: int, y: ArrayLike = 1e-2, e: ArrayLike = 1.0) -> Pair:
    """Go on from :func:`fork`: change the policy more at every stage, in proportion to how far the visits have moved by then.

    State 0 leads by its two actions to two copies of a ladder, the second with all rewards and tilts reversed. State (t, i) of a
    ladder, 1 <= t < stages, i < t, has the rewards (e, -e) and leads by action 0 to (t + 1, i + 1), by action 1 to (t + 1, i);
    at the last stage it stays. old is uniform. A state tells its likelihood ratio to first order,
    new / old = 1 + l with l(1, 0) = b and l(t + 1, i + 1) = (1 + c) l, l(t + 1, i) = (1 - c) l, for new = (1 + c l, 1 - c l)/2;
    at the last stage, c/2 in the place of c. c = sqrt(h/gamma) (1 + 1/stages), with at most 100 for the root; for two stages
    the root in the place of c/2.

    As b -> 0 with S_t the KL of visits at stage t and k_t = c^2 S_t the mean KL there, S grows by the factor 1 + c^2 and
    gap = 2 e sum_t gamma^t sqrt(k_t S_t), which for many stages is sqrt(h/gamma)/2 of 4 e gamma/h^2 E_d KL: above 1 where
    gamma < 1/5. With two stages it is ``fork``, half as much.

    Parameters
    ----------
    gamma, e
        As above; a scalar each, or arrays.
    stages
        At least 2; there are 1 + stages (stages - 1) states.
    y
        The largest tilt: new is at most (1/2 + y, 1/2 - y).

    Raises
    ------
    ValueError
        If there are fewer than two stages, y is not in (0, 1/2] or the parameters do not broadcast.
    """
    if stages < 2:
        raise ValueError(f"stages is {stages}; a ladder has at least 2")
    g, y, scale = _parameters(gamma=gamma, y=y, e=e)
    _within("y", y, 0, 0.5, open_below=True)
    with np.errstate(divide="ignore", invalid="ignore"):  # MDP names a gamma that is no discount factor
        rate = np.minimum(np.sqrt((1 - g) / g), 100)
    c, last = (rate * (1 + 1 / stages), rate * (1 + 1 / stages) / 2) if stages > 2 else (rate, rate)
    places = [(t, i) for t in range(1, stages) for i in range(t)]
    count = len(places)
    number = {place: k for k, place in enumerate(places)}
    P = np.zeros((1 + 2 * count, 2, 1 + 2 * count))
    P[0, [0, 1], [1, 1 + count]] = 1
    tilt = np.empty((*y.shape, count))
    for (t, i), k in number.items():
        tilt[..., k] = np.where(t < stages - 1, c, last) * (1 + c) ** i * (1 - c) ** (t - 1 - i)
        for copy in (1, 1 + count):
            for action in (0, 1):
                P[copy + k, action, copy + number.get((t + 1, i + 1 - action), k)] = 1
    b = y / np.maximum(1, np.abs(tilt).max(-1))
    x = np.concatenate([b[..., None], b[..., None] * tilt, -b[..., None] * tilt], axis=-1)
    reward = scale[..., None] * np.repeat([0.0, 1.0, 1.0], [1, count, count])
    new = np.stack([0.5 + x, 0.5 - x], axis=-1)
    return Pair(MDP(P, np.stack([reward, -reward], axis=-1), np.eye(1 + 2 * count)[0], g), np.full_like(new, 0.5), new)


def hidden_reward(gamma: ArrayLike = 0.9) -> Pair:
    """Give a policy no positive advantage in any state it visits, though it is not optimal: the reward is one blind step away.

    The process of :func:`fam_cpi` with rewards (0, 0) in state 0 and (0, 1) in state 1. old = new = action 0, so eta = 0 and
    A_old = 0 in state 0, while action 1 everywhere earns gamma/h. It contradicts the remark after eq. 2 of TRPO
    (arXiv:1502.05477v5), that without a positive advantage in a visited state the policy is optimal.
    """
    (g,) = _parameters(gamma=gamma)
    return Pair(_leaving(np.array([[0.0, 0.0], [0.0, 1.0]]), g), _always(0), _always(0))


def _leaving(R: Array, gamma: Array) -> MDP:
    """Two states: action 1 leads from state 0 to the absorbing state 1, the other actions stay. R [*B, 2, A]."""
    P = np.zeros((2, R.shape[-1], 2))
    P[0, :, 0] = P[1, :, 1] = 1
    P[0, 1] = 0, 1
    return MDP(P, R, [1, 0], gamma)


def _deviating(gamma: Array, p: Array, gain: Array, loss: Array) -> Pair:
    """Pay ``gain`` for leaving state 0, as new does with probability p; charge ``loss`` in state 1, where new always deviates."""
    zero, one = np.zeros_like(p), np.ones_like(p)
    R = _table([[zero, gain], [zero, -loss]])
    return Pair(_leaving(R, gamma), _table([[one, zero]] * 2), _table([[1 - p, p], [zero, one]]))


def _always(action: int) -> Array:
    return np.eye(2)[[action, action]]


def _table(rows: list[list[Array]]) -> Array:
    """Turn rows of entries [*B] into a table [*B, rows, columns]."""
    return np.moveaxis(np.array(rows, dtype=float), (0, 1), (-2, -1))


def _parameters(**values: ArrayLike) -> list[Array]:
    arrays = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    try:
        return [np.array(a) for a in np.broadcast_arrays(*arrays.values())]
    except ValueError:
        raise ValueError(f"parameters do not broadcast: {', '.join(f'{k} {a.shape}' for k, a in arrays.items())}") from None


def _within(name: str, value: Array, low: float, high: float, *, open_below: bool = False) -> None:
    good = (value > low if open_below else value >= low) & (value <= high)
    if not good.all():
        raise ValueError(f"{name} is {value[~good].flat[0]}; expected {low} {'<' if open_below else '<='} {name} <= {high}")
