"""What a Markov decision process is: tables, checked once.

Symbols, here and everywhere else in the project:

====== ============ ==================================================================
name   shape        meaning
====== ============ ==================================================================
P      [*B,S,A,S]   P[s,a,s'] = Pr(next state s' | state s, action a)
R      [*B,S,A]     expected reward of action a in state s
rho0   [*B,S]       distribution of the first state
gamma  [*B]         discount factor, in [0, 1)
pi     [*B,S,A]     pi[s,a] = probability of action a in state s
====== ============ ==================================================================

``*B`` stands for any number of leading batch axes, none included. A float table whose rows sum to one
only up to rounding is read as its exact row-normalisation: that is the process every result is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdps.distributions import distributions
from mdps.numbers import Numbers

Array = NDArray[np.float64]

ROW_SUM_TOLERANCE = 1e-8
"""Rows further than this from a sum of one are taken for a mistake, nearer ones for rounding."""

SINGLE_PRECISION_TOLERANCE = 1e-5
"""The same for tables given in single precision, such as a neural policy's."""


@dataclass(frozen=True, eq=False)
class MDP:
    """A finite discounted Markov decision process, or a batch of them with the same S and A.

    Parameters
    ----------
    P, R, rho0, gamma
        Tables as in the module docstring. Batch axes broadcast: one ``P`` may serve many ``gamma``.
        The fields are stored as read-only float64 arrays that share the batch shape ``*B``.

    Raises
    ------
    ValueError
        If a shape does not fit, an entry is nan, infinite or masked, a probability is negative, a row does not
        sum to one within ``ROW_SUM_TOLERANCE``, gamma lies outside [0, 1), or a dimension is empty. The
        message names the first offending index.
    """

    P: Array  # [*B, S, A, S]
    R: Array  # [*B, S, A]
    rho0: Array  # [*B, S]
    gamma: Array  # [*B]

    def __init__(self, P: ArrayLike, R: ArrayLike, rho0: ArrayLike, gamma: ArrayLike) -> None:
        given = zip(("P", "R", "rho0", "gamma"), (P, R, rho0, gamma), strict=True)
        P, R, rho0, gamma = (_readable(name, value) for name, value in given)
        (p, p_right), (start, start_right) = _laws("P", P), _laws("rho0", rho0)
        r, discount = (_numbers(name, x) for name, x in (("R", R), ("gamma", gamma)))
        if p.ndim < 3 or p.shape[-1] != p.shape[-3]:
            raise ValueError(f"P has shape {p.shape}; expected [*B, S, A, S] with the first and last state axes equal")
        states, actions = p.shape[-3], p.shape[-2]
        if r.ndim < 2 or r.shape[-2:] != (states, actions):
            raise ValueError(f"R has shape {r.shape}; expected [*B, S, A] = [..., {states}, {actions}] to match P")
        if start.ndim < 1 or start.shape[-1] != states:
            raise ValueError(f"rho0 has shape {start.shape}; expected [*B, S] = [..., {states}] to match P")
        try:
            batch = np.broadcast_shapes(p.shape[:-3], r.shape[:-2], start.shape[:-1], discount.shape)
        except ValueError:
            raise ValueError(
                f"batch axes do not broadcast: P {p.shape[:-3]}, R {r.shape[:-2]}, "
                f"rho0 {start.shape[:-1]}, gamma {discount.shape}"
            ) from None
        if 0 in (*batch, states, actions):
            raise ValueError(f"empty MDP: batch {batch}, {states} states, {actions} actions; every axis needs at least one entry")
        if any(isinstance(x, Numbers) for x in (p, r, start, discount)):
            self._set(p, r, start, discount, batch)
            return
        outside = ~((discount >= 0) & (discount < 1))
        if outside.any():
            raise ValueError(f"gamma{_where(outside)} is {float(discount[outside].flat[0])!r}; expected 0 <= gamma < 1")
        with np.errstate(over="ignore"):
            largest = np.abs(r).max() / (1 - discount.max())
        if not np.isfinite(largest):
            raise ValueError(f"values of up to {np.abs(r).max():g} / (1 - gamma) overflow; rescale R, which scales eta alike")
        p = p if p_right else _stochastic("P", p, P)
        self._set(p, r, start if start_right else _stochastic("rho0", start, rho0), discount, batch)

    def _set(self, P: Array, R: Array, rho0: Array, gamma: Array, batch: tuple[int, ...]) -> None:
        states, actions = R.shape[-2:]
        shapes = {"P": (states, actions, states), "R": (states, actions), "rho0": (states,), "gamma": ()}
        for (name, core), table in zip(shapes.items(), (P, R, rho0, gamma), strict=True):
            object.__setattr__(self, name, _frozen(np.broadcast_to(table, (*batch, *core))))

    @property
    def S(self) -> int:
        """Number of states."""
        return self.R.shape[-2]

    @property
    def A(self) -> int:
        """Number of actions."""
        return self.R.shape[-1]

    @property
    def batch(self) -> tuple[int, ...]:
        """Shape of the batch axes ``*B``; ``()`` for a single process."""
        return self.gamma.shape

    def __getitem__(self, index: Any) -> MDP:
        """One instance or a slice of the batch: ``mdp[3]``, ``mdp[10:20]``, ``mdp[mask]``. Nothing is checked again."""
        if not self.batch:
            raise IndexError("this MDP has no batch axis to index; it is a single instance")
        index = batch_index(index, self.batch)
        view = trusted(*(getattr(self, name)[index] for name in ("P", "R", "rho0", "gamma")))
        if 0 in view.batch:
            raise IndexError(f"index {index!r} selects no instance of a batch of shape {self.batch}")
        return view

    def __iter__(self) -> Iterator[MDP]:
        """Yield the instances along the first batch axis; see :func:`instances`."""
        return instances(self, self.batch)

    def __repr__(self) -> str:
        gamma = f"{float(self.gamma):g}" if not self.batch else f"{self.gamma.min():g}..{self.gamma.max():g}"
        return f"MDP(S={self.S}, A={self.A}, gamma={gamma}, batch={self.batch})"


def trusted(P: Array, R: Array, rho0: Array, gamma: Array) -> MDP:
    """Build an MDP of tables that share their batch axes and come from one that was checked; nothing is checked again."""
    mdp = object.__new__(MDP)
    for name, table in (("P", P), ("R", R), ("rho0", rho0), ("gamma", gamma)):
        object.__setattr__(mdp, name, table if isinstance(table, Numbers) else _frozen(np.asarray(table)))
    return mdp


def batch_index(index: Any, batch: tuple[int, ...]) -> tuple[Any, ...]:
    """Write an index into the batch axes as one that leaves the axes behind them alone.

    Raises
    ------
    IndexError
        If it reaches beyond the batch axes or the instances there are.
    """
    parts = index if isinstance(index, tuple) else (index,)
    np.empty(batch)[parts]  # an IndexError says what is wrong
    axes = sum(
        np.ndim(part) if np.asarray(part).dtype == bool else 1 for part in parts if part is not None and part is not Ellipsis
    )
    whole = (slice(None),) * (len(batch) - axes)
    where = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    return (*parts[:where], *whole, *parts[where + 1 :], Ellipsis)


def instances(whole: Any, batch: tuple[int, ...]) -> Iterator[Any]:
    """Iterate over ``whole[0]``, ``whole[1]`` and so on along the first axis of its batch.

    Raises
    ------
    TypeError
        At once, if there is none: it is a single one.
    """
    if not batch:
        name = type(whole).__name__
        raise TypeError(f"this {name} is of a single process and has no instances to iterate over; put it in a list, [it]")
    return (whole[i] for i in range(batch[0]))


def stack(mdps: Iterable[MDP]) -> MDP:
    """Stack MDPs of equal S, A and batch shape along a new first batch axis.

    Raises
    ------
    TypeError
        If one of them is no MDP.
    ValueError
        If there is none or the shapes differ.
    """
    given = list(mdps)
    for place, one in enumerate(given):
        if not isinstance(one, MDP):
            raise TypeError(f"stack got {type(one).__name__} at place {place}; expected MDPs")
    if not given:
        raise ValueError("stack got no MDP; give at least one")
    shapes = {(m.batch, m.S, m.A) for m in given}
    if len(shapes) > 1:
        raise ValueError(f"cannot stack MDPs of different (batch, S, A): {sorted(shapes)}")
    return MDP(*(np.stack([getattr(m, name) for m in given]) for name in ("P", "R", "rho0", "gamma")))


def as_policy(mdp: MDP, pi: ArrayLike, name: str = "pi") -> Array:
    """Check a policy table against an MDP and return it as float64, [*B', S, A].

    The batch axes of ``pi`` may be fewer or more than those of ``mdp``; they have to broadcast.

    Raises
    ------
    ValueError
        If the states or actions differ from the MDP's, or a row is not a distribution.
    """
    pi = _readable(name, pi)
    table, right = _laws(name, pi)
    if table.ndim < 2 or table.shape[-2:] != (mdp.S, mdp.A):
        raise ValueError(f"{name} has shape {table.shape}; expected [*B, S, A] = [..., {mdp.S}, {mdp.A}] for this MDP")
    try:
        batch = np.broadcast_shapes(table.shape[:-2], mdp.batch)
    except ValueError:
        raise ValueError(f"{name} has batch axes {table.shape[:-2]}, which do not broadcast with the MDP's {mdp.batch}") from None
    if 0 in batch:
        raise ValueError(f"{name} is an empty batch, shape {table.shape}; give at least one policy")
    return table if right else _stochastic(name, table, pi)


def uniform_policy(mdp: MDP) -> Array:
    """Return the policy that takes every action with equal probability, [*B, S, A]."""
    return np.full(mdp.R.shape, 1.0 / mdp.A)


def _laws(name: str, value: ArrayLike) -> tuple[Array, bool]:
    """A table of distributions, and whether it is known to be one; one of other numbers is the caller's to check."""
    if isinstance(value, Numbers):
        return value, True
    right = distributions(value, ROW_SUM_TOLERANCE)
    return (_table(name, value), False) if right is None else (right, True)


def _numbers(name: str, value: ArrayLike) -> Array:
    return value if isinstance(value, Numbers) else _table(name, value)


def _readable(name: str, value: Any) -> Any:
    """The value, if it is a number or an array or can be made one; a ValueError names it otherwise."""
    value = unmasked(name, value)
    if value is None or isinstance(value, np.ndarray | Numbers):
        return value
    if hasattr(value, "pi") and hasattr(value, "eta"):
        raise ValueError(f"{name} is an {type(value).__name__}; give its table: {name}.pi")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; a tensor that a gradient runs through
        raise ValueError(f"{name} cannot be read as an array of floats: {error}") from None


def unmasked(name: str, value: Any) -> Any:
    """The value itself; of a numpy masked array what is in it, if it masks nothing: the mask would be lost on the way.

    Raises
    ------
    ValueError
        If an entry is masked; the message names the first.
    """
    if not isinstance(value, np.ma.MaskedArray):
        return value
    mask = np.ma.getmaskarray(value)
    if mask.any():
        raise ValueError(f"{name}{_where(mask)} is masked; every entry has to be a number: {name}.filled(0.0) if 0 is meant")
    return np.asarray(value)


def _table(name: str, value: ArrayLike) -> Array:
    value = unmasked(name, value)
    if value is None or np.iscomplexobj(value):
        raise ValueError(f"{name} is {'None' if value is None else 'complex'}; expected an array of real numbers")
    try:
        table = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be read as an array of floats: {error}") from None
    bad = ~np.isfinite(table)
    if bad.any():
        raise ValueError(f"{name}{_where(bad)} is {table[bad].flat[0]}; every entry has to be finite")
    return table


def _stochastic(name: str, table: Array, given: ArrayLike) -> Array:
    """Check that rows along the last axis are distributions; divide out a deviation larger than rounding."""
    negative = table < 0
    if negative.any():
        raise ValueError(f"{name}{_where(negative)} is {float(table[negative].flat[0])!r}; a probability cannot be negative")
    total = table.sum(-1)
    deviation = np.abs(total - 1)
    single = getattr(given, "dtype", None) == np.float32
    off = deviation > (SINGLE_PRECISION_TOLERANCE if single else ROW_SUM_TOLERANCE)
    if off.any():
        raise ValueError(
            f"{name}{_where(off)} sums to {float(total[off].flat[0])!r}, not to 1; divide each row by its sum "
            f"if that is what is meant: {name} / {name}.sum(-1, keepdims=True)"
        )
    loose = deviation > 4 * np.finfo(float).eps
    if loose.any():
        table[loose] /= total[loose][..., None]
    return table


def _where(mask: NDArray[np.bool_]) -> str:
    """Index of the first True entry as it would be typed, e.g. ``[2, 0]``; empty for a scalar."""
    first = np.argwhere(mask)[0]
    return f"[{', '.join(str(i) for i in first)}]" if first.size else ""


def _frozen(array: Array) -> Array:
    if isinstance(array, Numbers):
        return array
    view = array.view()
    view.flags.writeable = False
    return view
