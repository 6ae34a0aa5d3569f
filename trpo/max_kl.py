"""The max-KL step: maximise g'x subject to x'(F_s + damping)x <= 2 delta in every state s of a batch.

No one Fisher matrix measures the largest KL divergence over states, which TRPO's theory bounds, while its practice bounds the
mean (arXiv:1502.05477v5, sections 3 and 4). With F_s = J_s' M_s J_s that of state s, the program above is the quadratic model of
the theory's region. It is convex, and by duality, for every distribution w over states,

    max g'x  <=  sqrt(2 delta  g'(F_w + damping)^-1 g),    F_w = sum_s w_s F_s,

with equality for the best w (the c-optimal design of statistics, Elfving 1952): max-KL is mean-KL under an adversary's
distribution over states, and a solve with any F_w gives a direction and a bound on all directions.

The solver goes back and forth between a small space and the whole one. In the span of a few directions the largest form
q_s = x'(F_s + damping)x is approached by power means (sum_s q_s^p)^(1/p): p = 1 is mean-KL, and p doubles. The minimiser's
weights q_s^(p-1) are the next w. Conjugate gradients with F_w, started at that minimiser, then find what the span lacks, and
bound the optimum by the Gauss-Radau rule. No product is wasted: J v for their search directions v is all that the forms in the
span are made of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trpo.batch import Batch
from trpo.curvature import Curvature, check_curvature, root
from trpo.distributions import Distribution
from trpo.linalg import Product, conjugate_gradients
from trpo.linearise import Linearised

POWERS = (8, 1024)
"""Power of the mean that the first round ends at, doubled in every round, and the largest."""
DEPENDENT = 1 / 3
"""Unit vectors of which no more than (rounding unit)^DEPENDENT is outside the span stay out: what is left of their rows is not
exact enough. If it is missed it comes back, at full precision, as the first vector of the next round."""
NEGLIGIBLE = 1e-5
"""States with a smaller share of the power sum do not enter its second derivative."""
NEWTON, SLOPE = 12, 0.05
"""Newton steps for one power, at most, and the slope that ends them, relative to the gradient."""
LENGTHS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0)
"""Lengths of a Newton step that are tried, all at once."""


@dataclass(frozen=True)
class MaxKL:
    """What was found."""

    x: Tensor  # [P] feasible: the largest form is 2 delta
    gain: float  # g'x
    bound: float  # no feasible direction gains more, up to rounding; inf without damping
    residual: float  # of the last solve, relative to |g|
    iterations: int  # of conjugate gradients, all solves together
    rounds: int  # done

    @property
    def gap(self) -> float:
        """Share of the bound by which x may miss the optimum, in [0, 1]."""
        return max(0.0, 1 - self.gain / self.bound) if self.bound > 0 else 0.0


def max_kl_direction(
    model: Linearised,
    family: Distribution,
    batch: Batch,
    gradient: Tensor,
    delta: float,
    *,
    curvature: Curvature = "fisher",
    damping: float = 1e-2,
    rounds: int = 3,
    cg_iterations: int = 10,
    tolerance: float = 1e-2,
) -> MaxKL:
    """Solve the program of the module's docstring, up to a gap that is reported.

    Parameters
    ----------
    model
        The policy at the inputs of ``batch``.
    family
        Its laws.
    batch
        The states. Those of weight 0 are no constraint.
    gradient
        g [P].
    delta
        Radius in nats; x is proportional to its square root.
    curvature, damping
        As in :func:`trpo.curvature.matrix`. ``"identity"`` has the form |x|^2 in every state.
    rounds
        Solves by conjugate gradients, the first with the batch's weights, each followed by one in the span. 0 is the rescaling:
        the mean-KL direction, as long as the worst state allows. No number of rounds gains less than that.
    cg_iterations
        Products a solve, at most.
    tolerance
        Stop where the gap is at most this.

    Returns
    -------
    found
        In the precision of ``gradient``; the solve in the span is in double.

    Raises
    ------
    ValueError
        If ``rounds`` is negative or the curvature's name unknown.
    """
    check_curvature(curvature)
    if rounds < 0:
        raise ValueError(f"rounds is {rounds}; expected an integer >= 0")
    norm, radius = float(gradient.double().norm()), math.sqrt(2 * delta)
    if norm == 0 or curvature == "identity" or not math.isfinite(norm):
        return MaxKL(gradient * (radius / norm if norm else 0.0), radius * norm, radius * norm, 0.0, 0, 0)
    gradient = (gradient.double() / norm).to(gradient)  # whose products underflow no more than a large one's
    g = gradient.double()

    live = (batch.weights > 0).nonzero().squeeze(1)
    through = model.times(root(curvature, family, model.outputs, batch))
    seen: list[tuple[Tensor, Tensor]] = []

    def product(w: Tensor) -> Product:
        def apply(v: Tensor) -> Tensor:
            moved = through.jvp(v)
            seen.append((v, moved[live]))
            return through.vjp(w[:, None].to(moved) * moved).add_(v, alpha=damping)

        return apply

    def feasible(x: Tensor) -> tuple[float, Tensor]:
        """Return g'x and x, at the length at which its largest form is 1."""
        worst = float((through.jvp(x)[live].double() ** 2).sum(1).max()) + damping * float(x.double().dot(x.double()))
        x = x * (worst**-0.5 if worst != 0 else 0.0)
        return float(g.dot(x.double())), x

    w, start, rest, span, power = batch.weights, torch.zeros_like(gradient), gradient, None, POWERS[0] // 2
    best, bound, iterations, residual, done = (0.0, start), math.inf, 0, 0.0, 0
    for done in range(1, max(rounds, 1) + 1):
        seen.clear()
        solution = conjugate_gradients(product(w), rest, iterations=cg_iterations, smallest=damping)
        iterations += solution.iterations
        residual = solution.residual * float(rest.double().norm())
        # with rest = g - F start:  g'F^-1 g = start'(g + rest) + rest'F^-1 rest
        bound = min(bound, math.sqrt(max(0.0, float(start.double().dot(g + rest)) + solution.energy_bound)))
        if span is None:
            best = feasible(solution.x)
            if rounds == 0 or solution.iterations == 0 or not math.isfinite(best[0] + solution.residual):
                break
            if 1.5 / float(batch.weights.square().sum()) < len(live):  # rare states bind no less: add a solve that sees them
                equal = (batch.weights > 0).to(w) / len(live)
                second = conjugate_gradients(product(equal), gradient, iterations=cg_iterations, smallest=damping)
                iterations += second.iterations
                bound = min(bound, math.sqrt(second.energy_bound))
                best = max(best, feasible(second.x), key=lambda pair: pair[0])
        if seen:
            span = _extend(span, torch.stack([v for v, _ in seen]), torch.stack([rows for _, rows in seen]), damping)
        assert span is not None
        if done == 1:
            c = (span.directions @ solution.x).double()
        highest = min(power * (8 if done == rounds else 2), POWERS[1])  # nearer the maximum where it is the last
        c, weights, power = _power_mean(span, (span.directions @ gradient).double(), c, max(2, power // 2), highest)
        start = c.to(gradient) @ span.directions
        best = max(best, feasible(start), key=lambda pair: pair[0])
        if done == rounds or best[0] >= (1 - tolerance) * bound:
            break
        w = torch.zeros_like(w).index_put((live,), weights.to(w))
        image = product(w)(start)
        scale = float(g.dot(start.double())) / float(start.double().dot(image.double()))
        start, rest = start * scale, gradient - image * scale
    return MaxKL(best[1] * radius, best[0] * radius * norm, bound * radius * norm, residual, iterations, done)


@dataclass(frozen=True)
class _Span:
    """Orthonormal directions, and what they do to every state."""

    directions: Tensor  # [k, P]
    rows: Tensor  # [k, N, R]: root of M_s times J_s times each
    damping: float

    def forms(self, moved: Tensor, c: Tensor) -> Tensor:
        """Return q [N] of the direction with coordinates c [k] and rows ``moved`` [N,R]."""
        return (moved.double() ** 2).sum(1) + self.damping * c.dot(c)

    def moved(self, c: Tensor) -> Tensor:
        """Rows [N,R] of the direction with coordinates c [k]."""
        return torch.tensordot(c.to(self.rows), self.rows, 1)


def _extend(span: _Span | None, directions: Tensor, rows: Tensor, damping: float) -> _Span:
    """Add directions [m,P] with their rows [m,N,R], as far as they leave the span. Those that it has keep their places."""
    length = directions.norm(dim=1)
    directions, rows, length = directions[length > 0], rows[length > 0], length[length > 0]
    directions, rows = directions / length[:, None], rows / length[:, None, None]
    if span is not None:
        for _ in range(2):  # the second time takes what rounding left the first time
            inside = directions @ span.directions.T
            directions = directions - inside @ span.directions
            rows = rows - torch.tensordot(inside, span.rows, 1)
    values, vectors = torch.linalg.eigh((directions @ directions.T).double())
    outside = values > torch.finfo(rows.dtype).eps ** (2 * DEPENDENT)
    turn = (vectors[:, outside] / values[outside].sqrt()).T.to(directions)
    directions, rows = turn @ directions, torch.tensordot(turn, rows, 1)
    if span is not None:
        directions, rows = torch.cat([span.directions, directions]), torch.cat([span.rows, rows])
    return _Span(directions, rows, damping)


def _power_mean(span: _Span, b: Tensor, c: Tensor, lowest: int, highest: int) -> tuple[Tensor, Tensor, int]:
    """Minimise half the power mean (sum_s q_s^p)^(1/p) less b'c over c [k], for p = lowest, 2 lowest, ..., each from the last.

    A power mean of squared norms is a squared norm, so the minimiser is the direction of most b'c for its size. There
    F_w c = b with w_s = mean^(1-p) q_s^(p-1), so c solves the mean-KL problem of these weights. Newton's method, with the best of
    a few lengths.

    Parameters
    ----------
    b
        The gradient in the span [k].
    c
        Where to start: coordinates in the first directions of the span.
    lowest, highest
        Powers of two.

    Returns
    -------
    c, w, p
        The last minimiser, its weights [N] with sum 1, and its power: ``highest``, or less where Newton's method got no further.
    """
    rows, size = span.rows, len(b)
    p, reached = lowest, lowest
    c = torch.cat([c, c.new_zeros(size - len(c))])
    lengths = b.new_tensor(LENGTHS)
    while True:
        for _ in range(NEWTON):
            moved = span.moved(c)
            mean, _ = _mean(span.forms(moved, c), p)
            scale = float(b.dot(c) / mean)  # the best multiple of c
            c, moved = c * scale, moved * scale
            q = span.forms(moved, c)
            mean, share = _mean(q, p)
            w = mean * share / q.clamp_min(1e-300)
            total = span.damping * w.sum()
            slope = torch.tensordot(rows, w.to(rows)[:, None] * moved, 2).double() + total * c - b
            if float(slope.norm()) <= SLOPE * float(b.norm()):
                reached = p
                break
            near = share > NEGLIGIBLE
            some = rows[:, near].double()
            flat = (some * w[near, None].sqrt()).flatten(1)
            logs = ((some * moved[near].double()).sum(2) + span.damping * c[:, None]) / q[near]  # [k, .] half the slopes of log q
            logs = (logs - (logs @ share[near])[:, None]) * share[near].sqrt()
            hessian = flat @ flat.T + 2 * (p - 1) * mean * logs @ logs.T
            hessian.diagonal().add_(total + 1e-12 * hessian.trace())
            move = -torch.linalg.solve(hessian, slope)
            along = span.moved(move)
            cross = 2 * (moved.double() * along).sum(1) + 2 * span.damping * c.dot(move)
            means, _ = _mean((q + lengths[:, None] * (cross + lengths[:, None] * span.forms(along, move))).clamp_min(0.0), p)
            length = LENGTHS[int((means / 2 - lengths * b.dot(move)).argmin())]
            if length == 0:
                break
            c = c + length * move
        if p >= highest or reached < p:
            return c, w / w.sum(), reached
        p *= 2


def _mean(q: Tensor, p: int) -> tuple[Tensor, Tensor]:
    """Return (sum q^p)^(1/p) over the last axis of [...,N], and the share that each state has in the sum."""
    top = q.amax(-1, keepdim=True)
    logs = p * torch.log(q / top)
    total = torch.logsumexp(logs, -1, keepdim=True)
    return (top * torch.exp(total / p)).squeeze(-1), torch.exp(logs - total)
