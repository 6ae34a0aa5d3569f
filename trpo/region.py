"""What a trust region is: data, with several readers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Measure = Literal["kl", "l2", "none"]
Reduce = Literal["mean", "max"]


@dataclass(frozen=True)
class Region:
    """How far a new policy may be from the old one.

    ========== ======================================================================================
    measure    the distance at one state s
    ========== ======================================================================================
    ``"kl"``   ``KL(old(.|s) || new(.|s))``, in this direction always (TRPO, arXiv:1502.05477v5, eq. 11-12)
    ``"l2"``   half a squared Euclidean distance. Of the laws ``1/2 ||new(.|s) - old(.|s)||^2`` for an exact
               tabular update; of the parameters, ``1/2 ||theta - theta_old||^2``, for one with parameters
    ``"none"`` no distance: every policy is allowed, ``reduce`` and ``delta`` are not read
    ========== ======================================================================================

    Parameters
    ----------
    measure
        One of the three above.
    reduce
        ``"max"`` bounds the largest distance over the states, ``"mean"`` the mean over the old policy's ``d``, which
        sums to 1. (The paper's rho sums to 1/(1-gamma); its E_{s~rho} is this mean.)
    delta
        The bound: nats for ``"kl"``, no unit for ``"l2"``. 0 allows the old policy only, ``inf`` every policy.

    Raises
    ------
    ValueError
        If a name is unknown, or delta is negative or nan.
    """

    measure: Measure = "kl"
    reduce: Reduce = "mean"
    delta: float = 0.01

    def __post_init__(self) -> None:
        """Check the fields; a region is valid once it exists."""
        for name, value, options in (("measure", self.measure, get_args(Measure)), ("reduce", self.reduce, get_args(Reduce))):
            if value not in options:
                raise ValueError(f"Region {name} is {value!r}; expected one of {', '.join(map(repr, options))}")
        try:
            delta = float(self.delta)
        except (TypeError, ValueError):
            raise ValueError(f"Region delta is {self.delta!r}; expected one number, 0 <= delta <= inf") from None
        if math.isnan(delta) or delta < 0:
            raise ValueError(f"Region delta is {self.delta!r}; expected 0 <= delta <= inf")
        object.__setattr__(self, "delta", delta)

    @property
    def free(self) -> bool:
        """Whether every policy is allowed: measure ``"none"``, or an infinite delta."""
        return self.measure == "none" or math.isinf(self.delta)
