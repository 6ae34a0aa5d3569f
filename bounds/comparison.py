"""All there is to know of two policies in one MDP: what every claim is a function of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeVar, cast

import numpy as np

from bounds import enclosed_solves, planar_movement, spreads, tables
from bounds.distances import Distances
from bounds.enclosure import Enclosure
from mdps import planar_resolvent
from mdps.elimination import Resolvent, backup, forward
from mdps.mdp import MDP, Array, instances
from mdps.numbers import Numbers

T = TypeVar("T")


@dataclass(frozen=True)
class Roundoff:
    """What the numbers of a comparison lose: nothing at all where they are no floats."""

    eps: float
    """Distance from one to the next number."""
    tiny: float
    """By less than this nothing can be divided."""


IN_FLOATS = Roundoff(float(np.finfo(float).eps), float(np.finfo(float).tiny))
NONE = Roundoff(0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Comparison(Distances):
    """An old and a new policy in the same MDP. Build it with :func:`bounds.compare.compare`.

    To their distances it adds what the new policy makes of advantages, returns and visits. Every quantity is computed when it is
    first asked for and then kept. Symbols follow the TRPO paper (arXiv:1502.05477v5): ``L`` is the surrogate of its eq. 3, and
    ``gap = eta(new) - L``.
    """

    @property
    def mdp(self) -> MDP:
        """The process both policies act in."""
        return self.old.mdp

    @property
    def gamma(self) -> Array:
        """Discount factor [*B]."""
        return self.old.mdp.gamma

    @cached_property
    def horizon(self) -> Array:
        """``1/(1-gamma)`` [*B]: the effective horizon."""
        return 1 / (1 - self.gamma)

    @cached_property
    def batch(self) -> tuple[int, ...]:
        """Shape of the batch axes ``*B``."""
        return np.broadcast_shapes(self.old.eta.shape, self.new.eta.shape)

    @cached_property
    def everywhere(self) -> tables.Mask:
        """True for each instance [*B]; not to be written to."""
        return np.ones(self.batch, dtype=bool)

    @cached_property
    def shared(self) -> dict[Any, Any]:
        """What functions marked by :func:`once` have found, by function."""
        return {}

    # -- advantages --------------------------------------------------------------------------------------

    @cached_property
    def gain(self) -> Array:
        """``g(s) = E_{a~new} A_old(s,a)`` [*B,S], from the shift: exact to its own size however close the policies are."""
        return tables.dot(self.shift, self.old.A)

    @cached_property
    def eps_A(self) -> Array:
        """``max |A_old(s,a)|`` over all states and actions [*B]; the paper's epsilon of eq. 8."""
        return tables.largest(np.abs(self.old.A), 2)

    @cached_property
    def eps_g(self) -> Array:
        """``max_s |g(s)|`` [*B]."""
        return tables.largest(np.abs(self.gain))

    @cached_property
    def span_g(self) -> Array:
        """``max_s g - min_s g`` [*B]."""
        return tables.span(self.gain)

    @cached_property
    def span_A(self) -> Array:
        """``max_s (max_a A - min_a A)`` [*B]; the same number for Q, which differs from A by V(s)."""
        return tables.largest(tables.span(self.old.A))

    @cached_property
    def Q_new(self) -> Array:
        """``E_{a~new} Q_old(s,a)`` [*B,S]: the gain with V_old(s) still in it."""
        return tables.weighted(self.new.pi, self.old.Q)

    @cached_property
    def reward_scale(self) -> Array:
        """``max |R| + span V_old + span V_new`` [*B]: what values are made of, of one size on the way of gamma to 1."""
        return tables.largest(np.abs(self.mdp.R), 2) + tables.span(self.old.V) + tables.span(self.new.V)

    @cached_property
    def reward(self) -> Array:
        """``E_{a~old} R(s,a)`` [*B,S]."""
        return tables.weighted(self.old.pi, self.mdp.R)

    @cached_property
    def relative_values(self) -> tuple[Array, Array]:
        """Old's values relative to its reference state [*B,S], and their level [*B]: what no 1/(1-gamma) has made large."""
        return self.old.resolvent.relative_values(self.reward)

    @cached_property
    def best_A(self) -> Array:
        """``max_a A_old(s,a)`` [*B,S]."""
        return tables.largest(self.old.A)

    # -- returns -----------------------------------------------------------------------------------------

    @cached_property
    def surrogate_gain(self) -> Array:
        """``L(new) - eta(old) = sum_s rho(s) g(s)`` [*B] (paper, eq. 3)."""
        return tables.dot(self.old.rho, self.gain)

    @cached_property
    def greedy_gain(self) -> Array:
        """``sum_s rho(s) max_a A_old(s,a)`` [*B]: the largest ``surrogate_gain`` of any policy."""
        return tables.dot(self.old.rho, self.best_A)

    @property
    def surrogate_error(self) -> Array:
        """Estimate of the rounding error of ``surrogate_gain`` [*B]; none of numbers that know their own."""
        if isinstance(self.old.rho, Numbers):
            return np.zeros(self.batch)
        return self._unit * tables.dot(self.old.rho, self._gain_size)

    @cached_property
    def improvement(self) -> Array:
        """``eta(new) - eta(old) = sum_s rho_new(s) g(s)`` [*B] (paper, eq. 2): no difference of two large returns."""
        return tables.dot(self.new.rho, self.gain)

    @cached_property
    def L(self) -> Array:
        """The surrogate L_old(new) [*B] (paper, eq. 3)."""
        return self.old.eta + self.surrogate_gain

    @property
    def gap(self) -> Array:
        """``eta(new) - L_old(new)`` [*B], never as a difference of returns; right to within :attr:`gap_error`.

        Of its two forms ``gamma rho (P' - P)(V' - V)`` and ``(rho' - rho) . g`` the one that rounds less: the first where the
        chain mixes, the second where the policies end in different places for good.
        """
        return self._gap[0]

    @cached_property
    def gap_least(self) -> Array:
        """``|gap|`` less its rounding error [*B], at least 0: what a bound has to cover."""
        return np.maximum(np.abs(self.gap) - self.gap_error, 0.0)

    @property
    def gap_error(self) -> Array:
        """Estimate of the rounding error of ``gap`` [*B]: what was added up in absolute value, times eps."""
        return self._gap[1]

    @cached_property
    def _movement(self) -> planar_movement.Movement | None:
        """What follows in one pass, of floats in planes."""
        if not tables.floats_in_planes(self.old.pi, self.new.pi):
            return None
        relative = self.shift, self.gain, self.reward, self.relative_values[1]
        visits, chains = (self.old.rho, self.new.rho), (self.old.resolvent, self.new.resolvent)
        return planar_movement.movement(self.mdp, self._unit, relative, visits, chains)

    @cached_property
    def _gap(self) -> tuple[Array, Array]:
        if self._movement is not None:
            return self._movement.gap, self._movement.gap_error
        zero, g = np.zeros_like(self.mdp.R), self._centred_gain
        drift = tables.dot(self.shift, backup(self.mdp.P, zero, 1.0, self.value_shift))
        by_values = self.gamma * tables.dot(self.old.rho, drift)
        visits = self.new.rho - self.old.rho
        by_visits = tables.dot(visits, g)
        if isinstance(by_values, Numbers):
            return by_values.either(by_visits), np.zeros(self.batch)
        size = self.new.resolvent.relative_magnitude(self._gain_size + np.abs(g))
        drifted = tables.dot(np.abs(self.shift), backup(self.mdp.P, zero, 1.0, size))
        values_error = self._unit * self.gamma * tables.dot(self.old.rho, drifted)
        visits_error = self._unit * tables.total((self.new.rho + self.old.rho) * np.abs(g) + np.abs(visits) * self._gain_size)
        better = values_error <= visits_error
        return np.where(better, by_values, by_visits), np.where(better, values_error, visits_error)

    @property
    def roundoff(self) -> Roundoff:
        """Rounding of single operations, nothing for numbers that know their own: what a claim may take off a side."""
        return NONE if isinstance(self.old.rho, Numbers) else IN_FLOATS

    @property
    def _unit(self) -> float:
        """Rounding of a sum over states and actions, relative to what it adds up."""
        return 2 * (self.mdp.S + self.mdp.A) * self.roundoff.eps

    @cached_property
    def _centred_gain(self) -> Array:
        """g [*B,S], less its middle where it hardly varies: only its differences move the gap, and a constant moves nothing."""
        middle = (tables.largest(self.gain) - tables.largest(-self.gain)) / 2
        return self.gain - np.where(self.span_g < self.eps_g / 2, middle, 0.0)[..., None]

    @cached_property
    def _gain_size(self) -> Array:
        """What the gain adds up in absolute value [*B,S]: the advantages carry the rounding of the values they come from."""
        if self._movement is not None:
            return self._movement.gain_size
        level = self.relative_values[1][..., None]
        rewards = np.abs(self.mdp.R - level[..., None])
        size = self.old.resolvent.relative_magnitude(np.abs(self.reward - level))
        advantage_size = (
            backup(self.mdp.P, rewards, self.gamma, size) + size[..., None] + tables.largest(rewards, 2)[..., None, None]
        )
        return tables.dot(np.abs(self.shift), advantage_size)

    # -- how values and visits move ----------------------------------------------------------------------

    @cached_property
    def value_shift(self) -> Array:
        """``V_new - V_old = (I - gamma P')^-1 g`` up to a constant [*B,S] (performance difference lemma, statewise)."""
        if self._movement is not None:
            return self._movement.value_shift
        return self.new.resolvent.relative_values(self._centred_gain)[0]

    @property
    def occupancy_shift(self) -> Array:
        """``rho_new - rho_old = gamma rho (P' - P)(I - gamma P')^-1`` [*B,S]; sums to zero.

        Either the plain difference or the flow that the change of policy sets off, whichever rounds less.
        """
        return self._occupancy[0]

    @cached_property
    def occupancy_tv(self) -> Array:
        """``T = 1/2 ||d_new - d_old||_1`` [*B]; right to within :attr:`occupancy_error`."""
        return tables.total(np.abs(self.occupancy_shift)) / (2 * self.horizon)

    @property
    def occupancy_error(self) -> Array:
        """Estimate of the rounding error of ``occupancy_tv`` [*B]."""
        return self._occupancy[1]

    @cached_property
    def _occupancy(self) -> tuple[Array, Array]:
        return self.visits_moved(self.old.rho, self.shift)

    def visits_moved(self, rho: Array, shift: Array) -> tuple[Array, Array]:
        """``rho_new - rho`` [*B,S] for the visits of another policy, new less ``shift``; and the error of half its norm [*B].

        As :attr:`occupancy_shift` and :attr:`occupancy_error`, which are those of old.
        """
        if tables.floats_in_planes(self.new.pi, shift):
            visits = rho, self.new.rho
            found = planar_movement.visits_moved(self.mdp.P, self.gamma, self._unit, shift, visits, self.new.resolvent)
            if found is not None:
                return found
        moved = self.gamma[..., None, None] * rho[..., None] * shift
        flow = self.new.resolvent.flow(forward(self.mdp.P, moved))
        if isinstance(flow, Numbers):
            return flow.either(self.new.rho - rho), np.zeros(self.batch)
        size = self.new.resolvent.flow_magnitude(forward(self.mdp.P, np.abs(moved)))
        flow_error = self._unit * tables.total(size) / (2 * self.horizon)
        plain = flow_error > self._unit
        difference = np.where(plain[..., None], self.new.rho - rho, flow)
        return difference, np.minimum(flow_error, self._unit)

    @cached_property
    def chain_old(self) -> Array:
        """``P_old`` [*B,S,S]: where one step under the old policy leads."""
        return tables.chain(self.mdp.P, self.old.pi)

    @cached_property
    def chain_new(self) -> Array:
        """``P_new`` [*B,S,S]: where one step under the new policy leads."""
        return tables.chain(self.mdp.P, self.new.pi)

    @cached_property
    def ergodicity(self) -> Array:
        """``tau_1((I - gamma P')^-1) = max_ij 1/2 ||row i - row j||_1`` [*B], at most 1/(1-gamma).

        Column k of the inverse is the value of the reward 1{s=k}; only its differences matter, and relative values
        keep them exact.
        """
        return spreads.spread(unit_values(self.new.resolvent))

    def __getitem__(self, index: Any) -> Comparison:
        """One instance or a slice of the batch."""
        return Comparison(self.old[index], self.new[index])

    def __iter__(self) -> Iterator[Comparison]:
        """Yield the instances along the first batch axis; see :func:`mdps.mdp.instances`."""
        return instances(self, self.batch)


def unit_values(chain: Resolvent) -> Array:
    """Relative values of the rewards 1{s=k} under a chain [*B,S,S], a column for each k: its inverse up to constants."""
    found = planar_resolvent.unit_values(chain.factors, chain.time, chain.reference)
    if found is not None:
        return found
    enclosed: Any = enclosed_solves.unit_values(chain.factors)
    if enclosed is not None:
        return cast(Array, Enclosure(*enclosed))
    return tables.stacked(*(chain.relative_values(unit)[0] for unit in np.eye(chain.time.shape[-1])))


def once(function: Callable[[Comparison], T]) -> Callable[[Comparison], T]:
    """Let a function of a comparison be computed once for each comparison: several claims ask for it."""

    @wraps(function)
    def found(c: Comparison) -> T:
        if found not in c.shared:  # not the function itself, which no pickle can name
            c.shared[found] = function(c)
        answer: T = c.shared[found]
        return answer

    return found
