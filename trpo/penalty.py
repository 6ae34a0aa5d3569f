"""A penalty on the KL divergence in place of a bound on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real

from trpo.region import Reduce


@dataclass(frozen=True)
class Penalty:
    """Maximise the mean surrogate gain less ``coefficient`` times a KL divergence, KL(old || new).

    With w the states' weights, which sum to one, the objective is ``sum w g - coefficient KL``. In the units of the return it
    is (1 - gamma)(L - C KL), so Algorithm 1 of arXiv:1502.05477v5 has the coefficient (1 - gamma) C:
    :func:`theoretical_penalty`.

    Parameters
    ----------
    coefficient
        Positive. It weighs nats against the advantages as they are: scaled advantages, such as standardised ones, are as good as
        another coefficient. (An agent therefore leaves them as they are, :class:`trpo.agent.TRPO`.)
    reduce
        ``"max"`` over states (Algorithm 1), or ``"mean"`` over them (eq. 17, the natural gradient, whose 1/lambda is this
        coefficient's inverse).
    target
        KL in nats aimed at, for an adaptive penalty: after an update the coefficient doubles where the KL was more than 1.5
        times this, and halves where less than 1/1.5 (the rule of Schulman et al. 2017, arXiv:1707.06347, section 4). None
        keeps it.

    Raises
    ------
    ValueError
        If a number is not positive or a name is unknown.
    """

    coefficient: float
    reduce: Reduce = "mean"
    target: float | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        for name, value in (("coefficient", self.coefficient), ("target", self.target)):
            if (value is not None or name == "coefficient") and not (isinstance(value, Real) and 0 < value < math.inf):
                raise ValueError(f"Penalty {name} is {value!r}; expected a positive number")
        if self.reduce not in ("mean", "max"):
            raise ValueError(f"Penalty reduce is {self.reduce!r}; expected 'mean' or 'max'")

    def adapted(self, kl: float) -> Penalty:
        """Return the penalty for the next update, after one that moved the policy by ``kl``."""
        if self.target is None:
            return self
        factor = 2.0 if kl > 1.5 * self.target else 0.5 if kl < self.target / 1.5 else 1.0
        return replace(self, coefficient=min(max(self.coefficient * factor, 1e-12), 1e12))


def theoretical_penalty(eps: float, gamma: float) -> Penalty:
    """Return Algorithm 1's penalty, C = 4 eps gamma/(1-gamma)^2 (arXiv:1502.05477v5, eq. 9), on the mean's scale: C (1-gamma).

    Algorithm 1 takes eps anew at each of its policies. This penalty keeps the number given, for as long as it is used: an agent
    that trains with it has the guarantee only while its max|A| is no larger.

    Parameters
    ----------
    eps
        max|A| of the old policy, positive, in units of the return.
    gamma
        Discount factor, positive: at 0 the penalty is none.

    Raises
    ------
    ValueError
        If eps or gamma is not positive, eps is infinite, or gamma is 1 or more.
    """
    if not (0 < eps < math.inf and 0 < gamma < 1):
        raise ValueError(f"eps is {eps}, gamma {gamma}; expected 0 < eps < inf and 0 < gamma < 1")
    return Penalty(4 * eps * gamma / (1 - gamma), "max")
