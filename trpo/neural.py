"""One update of a policy: gradient, direction, length, line search, and a record of what happened.

The parameters change if and only if the step is accepted: every candidate is evaluated beside the policy, never in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from trpo.batch import Batch
from trpo.curvature import Curvature, check_curvature, matrix
from trpo.linalg import conjugate_gradients
from trpo.linearise import Linearised, linearise, set_parameters
from trpo.max_kl import max_kl_direction
from trpo.penalty import Penalty
from trpo.policies import Policy
from trpo.region import Region

Reason = Literal["accepted", "kl", "surrogate", "not finite", "no gradient"]


@dataclass(frozen=True)
class LineSearch:
    """Shrink a step until it is acceptable (arXiv:1502.05477v5, appendix C).

    Raises
    ------
    ValueError
        If ``shrink`` lies outside (0, 1) or ``attempts`` is below 1.
    """

    shrink: float = 0.8
    """Factor between one attempt and the next."""
    attempts: int = 20
    """Candidates tried."""
    least_share: float = 0.0
    """A candidate must gain more than this share of what the linear model predicts for it."""

    def __post_init__(self) -> None:
        """Check the fields."""
        if not (0 < self.shrink < 1 and self.attempts >= 1 and self.least_share >= 0):
            raise ValueError(f"{self}: expected 0 < shrink < 1, attempts >= 1 and least_share >= 0")


@dataclass(frozen=True)
class Step:
    """What an update did. KL divergences are those of the policy as it is left, in nats, over the batch's states."""

    accepted: bool
    reason: Reason
    """``"accepted"``, or what the last candidate failed: its KL, its surrogate, or a number that was not finite. No candidate was
    tried where the direction is not finite, or is ``"no gradient"``: no gain is predicted, as with a gradient or a delta of 0."""
    backtracks: int  # candidates rejected
    kl_mean: float  # KL(old || new), mean by the batch's weights
    kl_max: float  # KL(old || new), the largest
    kl_reverse_mean: float  # KL(new || old)
    kl_reverse_max: float
    gain_predicted: float  # of the mean surrogate, by the linear model, for the full step
    gain: float  # of the mean surrogate, found: 0 where nothing was accepted
    residual: float  # of conjugate gradients, relative
    iterations: int  # of conjugate gradients, all solves together
    bound: float  # upper bound on the quadratic program's predicted gain (max-KL and mean-KL; nan for other regions)
    entropy: float  # of the policy as it is left, mean, nats


@dataclass(frozen=True)
class StepOptions:
    """How a direction is computed and accepted."""

    curvature: Curvature = "fisher"
    fraction: float = 1.0
    """Share of the states that the curvature is computed on, the policy's and an agent's values'; the paper takes 0.1."""
    damping: float = 0.1
    cg_iterations: int = 10
    cg_tolerance: float = 1e-10
    step_size: float = 1.0
    """Length of the natural gradient where the region has measure "none" (eq. 17: 1/lambda)."""
    line_search: LineSearch | None = field(default_factory=LineSearch)
    """None accepts the full step, whatever it does, so long as all numbers are finite."""
    max_kl_rounds: int = 2
    """Rounds of reweighting in the max-KL program: more come nearer its optimum and cost more."""

    def __post_init__(self) -> None:
        """Check the fields."""
        check_curvature(self.curvature)
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction is {self.fraction}; expected 0 < fraction <= 1")
        if self.cg_iterations < 1 or not self.damping >= 0 or not self.step_size > 0:
            raise ValueError(f"{self}: expected cg_iterations >= 1, damping >= 0 and step_size > 0")


@dataclass(frozen=True)
class _Direction:
    x: Tensor  # [P] the full step
    residual: float
    iterations: int
    bound: float


def step(
    policy: Policy,
    batch: Batch,
    region: Region | Penalty,
    options: StepOptions | None = None,
    *,
    generator: torch.Generator | None = None,
) -> Step:
    """Update a policy on a batch: TRPO and its relatives are the choices of ``region`` and ``options``.

    ============================= =================================================================================
    region                        update
    ============================= =================================================================================
    ``Region("kl", "mean")``      TRPO: natural gradient of length sqrt(2 delta/x'Fx), line search on the mean KL
    ``Region("kl", "max")``       maximise g'x subject to x'F_s x <= 2 delta in every state s (:mod:`trpo.max_kl`), line
                                  search on the largest KL
    ``Region("l2")``              gradient of length sqrt(2 delta) (eq. 18 with a bound)
    ``Region("none")``            natural gradient times ``step_size`` (eq. 17), as for any region with an infinite delta; with
                                  ``line_search=None`` there is no acceptance either
    ``Penalty``                   the same directions, of the length that maximises the penalised model; line search on
                                  the penalised surrogate
    ============================= =================================================================================

    Parameters
    ----------
    policy
        Its parameters are replaced if the step is accepted, and untouched otherwise.
    batch
        States, actions and advantages. The KL divergence is over its states.
    region
        What bounds the step.
    options
        How it is computed.
    generator
        Draws the states of the curvature where ``options.fraction`` < 1.

    Returns
    -------
    what
        A record of what happened.

    Raises
    ------
    ValueError
        If ``options.fraction`` < 1 and there is no generator.
    TypeError
        If ``region`` is none, and no penalty.
    """
    if not isinstance(region, Region | Penalty):
        raise TypeError(f"region is {region!r}; expected a Region or a Penalty, such as Region('kl', 'mean', delta=0.01)")
    options = options or StepOptions()
    if options.fraction < 1 and generator is None:
        raise ValueError(f"fraction is {options.fraction} without a generator to draw the states; give generator=")
    family = policy.family
    with torch.no_grad():
        linear = linearise(policy, batch.inputs)
        z = linear.outputs
        gradient = linear.vjp(batch.gradient(family, z))
        direction = _direction(policy, linear, batch, gradient, region, options, generator)
        predicted = float(gradient.double().dot(direction.x.double()))
        start = batch.gain(family, z)
        reason: Reason = "no gradient" if not predicted > 0 else "surrogate"
        if not (math.isfinite(predicted) and bool(torch.isfinite(direction.x).all())):
            reason = "not finite"
        search = options.line_search or LineSearch(attempts=1)
        attempts = search.attempts if reason == "surrogate" else 0
        for tried in range(attempts):
            share = search.shrink**tried
            candidate = linear.theta + share * direction.x
            new = linear.at(candidate)
            gain = batch.gain(family, new) - start
            kl = family.kl(z, new)
            kl_mean, kl_max = batch.mean(kl), batch.largest(kl)
            if not (math.isfinite(gain) and math.isfinite(kl_mean)):
                reason = "not finite"
            else:
                reason = _judge(gain, share * predicted, kl_mean, kl_max, region, search, options.line_search is None)
            if reason == "accepted":
                set_parameters(policy, candidate)
                reverse = family.kl(new, z)
                return Step(
                    True,
                    reason,
                    tried,
                    kl_mean,
                    kl_max,
                    batch.mean(reverse),
                    batch.largest(reverse),
                    predicted,
                    gain,
                    direction.residual,
                    direction.iterations,
                    direction.bound,
                    batch.mean(family.entropy(new)),
                )
        return Step(
            False,
            reason,
            attempts,
            0.0,
            0.0,
            0.0,
            0.0,
            predicted,
            0.0,
            direction.residual,
            direction.iterations,
            direction.bound,
            batch.mean(family.entropy(z)),
        )


def _judge(
    gain: float, predicted: float, kl_mean: float, kl_max: float, region: Region | Penalty, search: LineSearch, blind: bool
) -> Reason:
    """Whether a candidate is acceptable, or why not."""
    if blind:
        return "accepted"
    if isinstance(region, Penalty):
        gain -= region.coefficient * (kl_max if region.reduce == "max" else kl_mean)
        return "accepted" if gain > 0 else "surrogate"
    if region.measure == "kl" and (kl_max if region.reduce == "max" else kl_mean) > region.delta:
        return "kl"
    return "accepted" if gain > search.least_share * predicted and gain > 0 else "surrogate"


def _direction(
    policy: Policy,
    linear: Linearised,
    batch: Batch,
    gradient: Tensor,
    region: Region | Penalty,
    options: StepOptions,
    generator: torch.Generator | None,
) -> _Direction:
    """The full step: the optimum of the quadratic model."""
    if isinstance(region, Region) and region.measure == "l2" and not region.free:
        norm = float(gradient.double().norm())
        return _Direction(gradient * (math.sqrt(2 * region.delta) / norm if norm > 0 else 0.0), 0.0, 0, math.nan)
    model, part = linear, batch
    if options.fraction < 1:
        live = batch.weights.nonzero().squeeze(1)  # a state of no weight tells nothing of the curvature
        chosen = torch.randperm(len(live), generator=generator)[: max(1, round(options.fraction * len(live)))]
        part = batch.rows(live[chosen.sort().values.to(live.device)])
        model = linearise(policy, part.inputs)
    if region.reduce == "max" and not (isinstance(region, Region) and region.free):
        delta = 0.5 if isinstance(region, Penalty) else region.delta
        solved = max_kl_direction(
            model,
            policy.family,
            part,
            gradient,
            delta,
            curvature=options.curvature,
            damping=options.damping,
            rounds=options.max_kl_rounds,
            cg_iterations=options.cg_iterations,
        )
        found = _Direction(solved.x, solved.residual, solved.iterations, solved.bound)
        if isinstance(region, Penalty):  # along x, the program's optimum for radius 1/2: maximise t g - coefficient t^2/2
            t = float(gradient.double().dot(found.x.double())) / region.coefficient
            return _Direction(found.x * t, found.residual, found.iterations, math.nan)
        return found
    product = matrix(options.curvature, model, policy.family, part, options.damping)
    solution = conjugate_gradients(
        product,
        gradient,
        iterations=options.cg_iterations,
        tolerance=options.cg_tolerance,
        smallest=1.0 if options.curvature == "identity" else options.damping,
    )
    if isinstance(region, Penalty):
        return _Direction(solution.x / region.coefficient, solution.residual, solution.iterations, math.nan)
    if region.free:
        return _Direction(solution.x * options.step_size, solution.residual, solution.iterations, math.nan)
    scale = math.sqrt(2 * region.delta / solution.energy) if solution.energy > 0 else 0.0
    bound = math.sqrt(2 * region.delta * solution.energy_bound)
    return _Direction(solution.x * scale, solution.residual, solution.iterations, bound)
