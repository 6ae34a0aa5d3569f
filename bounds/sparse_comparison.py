"""Two policies in a large process: the comparison every claim is a function of, with certified errors in place of estimates.

A claim that needs a table of S x S numbers, such as an ergodicity coefficient, says so in a TypeError.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from bounds.comparison import Comparison
from mdps.mdp import Array
from mdps.rows import UNIT
from mdps.sparse import SparseMDP, needs_table
from mdps.sparse_evaluate import SparseEvaluation, evaluate_sparse
from mdps.sparse_resolvent import SparseResolvent


class SparseComparison(Comparison):
    """An old and a new policy in the same large process. Build it with :func:`compare_sparse`.

    Where a dense comparison estimates what it rounds, ``gap_error``, ``occupancy_error`` and ``surrogate_error`` bound here what
    the two solves can be wrong by.
    """

    old: SparseEvaluation
    new: SparseEvaluation

    @property
    def mdp(self) -> SparseMDP:  # type: ignore[override]
        """The process both policies act in."""
        return self.old.mdp

    @property
    def surrogate_error(self) -> Array:
        """Bound on the error of ``surrogate_gain`` []."""
        visits = self.old.rho_error * self.eps_g
        return np.asarray(visits + (self.old.rho * self._gain_error).sum())

    @cached_property
    def _gain_error(self) -> Array:
        """Bound on the error of ``gain`` [S]: that of A, in the part that differs between actions, and its own sum."""
        size = (np.abs(self.shift) * np.abs(self.old.A)).sum(-1)
        return 2 * self.tv * self.old.A_error + 2 * (self.mdp.A + 4) * UNIT * size

    @cached_property
    def _gap(self) -> tuple[Array, Array]:
        """The gap by values or by visits, whichever is bounded better, and that bound."""
        gamma, g = float(self.gamma), self._centred_gain
        values = self.new.resolvent.relative(g, slack=float(self._gain_error.max()))
        drift = (self.shift * self.mdp.P.backup(np.zeros_like(self.mdp.R), 1.0, values.h)).sum(-1)
        by_values = gamma * float((self.old.rho * drift).sum())
        reach = float(np.abs(values.h).max())
        rounding = (self.mdp.looseness + 100 * UNIT) * gamma * reach * float((self.old.rho * 2 * self.tv).sum())
        values_error = gamma * (
            float((self.old.rho * 2 * self.tv).sum()) * values.radius + self.old.rho_error * float(np.abs(drift).max())
        )
        visits = self.new.rho - self.old.rho
        by_visits = float((visits * g).sum())
        both = self.new.rho_error + self.old.rho_error
        visits_error = both * float(np.abs(g).max()) + float((np.abs(visits) * (self._gain_error + 100 * UNIT * np.abs(g))).sum())
        if values_error + rounding <= visits_error:
            return np.asarray(by_values), np.asarray(values_error + rounding)
        return np.asarray(by_visits), np.asarray(visits_error)

    def visits_moved(self, rho: Array, shift: Array) -> tuple[Array, Array]:
        """``rho_new - rho`` [S] and the error of half its sum, in units of the horizon [].

        For the visits ``rho`` of old, or of another policy that were found as well as the better of these two.
        """
        gamma = float(self.gamma)
        moved = gamma * rho[:, None] * shift
        flow = self.new.resolvent.visits(self.mdp.P.forward(moved), np.zeros(self.mdp.S))
        apart = float(np.abs(shift).sum(-1).max())
        rounding = (self.mdp.looseness + 100 * UNIT) * float(np.abs(moved).sum())
        flow_error = (flow.radius + gamma * self.old.rho_error * apart + rounding) / 2
        plain_error = (self.new.rho_error + self.old.rho_error) * (1 - gamma) / 2
        if flow_error <= plain_error:
            return flow.x / (1 - gamma), np.asarray(flow_error)
        return self.new.rho - rho, np.asarray(plain_error)

    @cached_property
    def chain_old(self) -> Array:
        """``P_old``, which knows where a law is after one step and nothing else."""
        return cast(Array, Chain(self.old.resolvent))

    @cached_property
    def chain_new(self) -> Array:
        """``P_new``, as :attr:`chain_old`."""
        return cast(Array, Chain(self.new.resolvent))

    @cached_property
    def ergodicity(self) -> Array:
        """Not to be had.

        Raises
        ------
        TypeError
            Always: it compares all rows of the inverse.
        """
        raise TypeError(needs_table("an ergodicity coefficient"))


@dataclass(frozen=True, eq=False)
class Chain:
    """A policy's chain where a claim expects its table [S,S]: it answers :func:`bounds.tables.step`, and says so of all else."""

    resolvent: SparseResolvent

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.einsum and args[0] == "...s,...st->...t":
            return self.resolvent.step(np.asarray(args[1]))
        raise TypeError(needs_table(f"numpy.{function.__name__} of a chain"))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        raise TypeError(needs_table(f"numpy.{ufunc.__name__} of a chain"))

    def __gt__(self, other: Any) -> Any:
        raise TypeError(needs_table("which states a chain connects"))


def compare_sparse(mdp: SparseMDP, old: SparseEvaluation | ArrayLike, new: SparseEvaluation | ArrayLike) -> SparseComparison:
    """Compare two policies in one large process.

    Parameters
    ----------
    mdp
        The process.
    old, new
        Policy tables [S,A], or evaluations of them in this very ``mdp``; the new one is solved for from the old one's solution.

    Raises
    ------
    ValueError
        If a policy does not fit the process, or an evaluation belongs to another one.
    ArithmeticError
        If a solve does not converge.
    """
    for name, policy in (("old", old), ("new", new)):
        if isinstance(policy, SparseEvaluation) and policy.mdp is not mdp:
            raise ValueError(f"{name} was evaluated in another MDP object ({policy.mdp}); give its own .mdp, or its table .pi")
    before = old if isinstance(old, SparseEvaluation) else evaluate_sparse(mdp, old, name="old")
    after = new if isinstance(new, SparseEvaluation) else evaluate_sparse(mdp, new, start=before, name="new")
    return SparseComparison(before, after)
