"""How far apart two policies are: at each state, at the worst, and on average over the states that the old one visits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bounds import divergences, tables
from mdps.evaluate import Evaluation
from mdps.mdp import Array


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances between an old and a new policy in the same MDP: what every :class:`bounds.comparison.Comparison` begins with.

    KL is KL(old || new) as in the TRPO paper (arXiv:1502.05477v5, eq. 9), a maximum runs over *all* states, and a mean is taken
    over the old policy's *normalised* visitation ``d``. Each is computed when it is first asked for and then kept.
    """

    old: Evaluation
    new: Evaluation

    @cached_property
    def shift(self) -> Array:
        """``new - old`` [*B,S,A]; rows sum to zero."""
        return divergences.shift(self.old.pi, self.new.pi)

    @cached_property
    def tv(self) -> Array:
        """Total variation at each state [*B,S]."""
        return tables.total(np.abs(self.shift)) / 2

    @cached_property
    def kl(self) -> Array:
        """KL(old || new) at each state [*B,S]; may be inf."""
        return divergences.kl(self.old.pi, self.new.pi, self._logs)

    @cached_property
    def kl_reverse(self) -> Array:
        """KL(new || old) at each state [*B,S]; may be inf."""
        return divergences.kl(self.new.pi, self.old.pi, None if self._logs is None else self._logs[::-1])

    @cached_property
    def _logs(self) -> tuple[Array, Array] | None:
        """Logarithms of both policies, of floats in planes: both divergences want them."""
        if not tables.floats_in_planes(self.old.pi, self.new.pi):
            return None
        return divergences.logarithms(self.old.pi, self.new.pi)

    @cached_property
    def tv_max(self) -> Array:
        """Largest TV over all states [*B]; the paper's alpha."""
        return tables.largest(self.tv)

    @cached_property
    def tv_mean(self) -> Array:
        """Mean TV under old's d [*B]."""
        return divergences.mean(self.old.d, self.tv)

    @cached_property
    def tv_mean_new(self) -> Array:
        """Mean TV under new's d [*B]."""
        return divergences.mean(self.new.d, self.tv)

    @cached_property
    def kl_max(self) -> Array:
        """Largest KL(old || new) over all states [*B]."""
        return tables.largest(self.kl)

    @cached_property
    def kl_mean(self) -> Array:
        """Mean KL(old || new) under old's d [*B]."""
        return divergences.mean(self.old.d, self.kl)

    @cached_property
    def kl_reverse_max(self) -> Array:
        """Largest KL(new || old) over all states [*B]."""
        return tables.largest(self.kl_reverse)

    @cached_property
    def kl_reverse_mean(self) -> Array:
        """Mean KL(new || old) under old's d [*B]."""
        return divergences.mean(self.old.d, self.kl_reverse)

    @cached_property
    def mixture(self) -> Array:
        """The least alpha that makes new a mixture (1-alpha) old + alpha pi', [*B]: the largest share any action loses."""
        with np.errstate(divide="ignore", invalid="ignore"):
            lost = np.where(self.old.pi > 0, -self.shift / self.old.pi, 0.0)
        return np.clip(tables.largest(lost, 2), 0.0, 1.0)
