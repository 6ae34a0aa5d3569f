"""A comparison on enclosures: of the process and the policies whose rows are the exact normalisation of float tables.

The float tables are read as their exact row-normalisation: a :class:`bounds.enclosed_laws.Law` remembers the table it normalises,
because the kernels that normalise by themselves lose less on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from bounds import enclosed_divergences as divergences
from bounds import enclosed_elimination, enclosed_evaluation, enclosed_factors, enclosed_solves, rounded, rounding
from bounds import enclosed_kernels as kernels
from bounds.comparison import Comparison
from bounds.enclosed_elimination import Table
from bounds.enclosed_functions import ARRAYWISE, ELEMENTWISE
from bounds.enclosed_laws import Advantages, Distributions, Law, Visits
from bounds.enclosed_planes import empty, expanded, matrix, table
from bounds.enclosure import FUNCTIONS, UFUNCS, Enclosure, binary, pair
from bounds.optimum import optimal_values
from bounds.sharper import sqrt_horizon
from bounds.tables import first_largest, one_hot
from mdps import repeated
from mdps.elimination import backup, eliminate
from mdps.evaluate import Evaluation
from mdps.mdp import MDP, Array
from mdps.numbers import Numbers


def enclose(c: Comparison) -> Comparison:
    """The same comparison on enclosures: of the MDP and the policies whose rows are the exact normalisation of c's tables.

    Every quantity and every side of a claim computed from it contains the true number. Where a premise is undecided a
    side contains zero besides.
    """
    return enclose_tables(c.mdp, c.old.pi, c.new.pi)


def enclose_tables(mdp: MDP, old: Array, new: Array) -> Comparison:
    """The comparison of two policies on enclosures, from the float tables alone, which share their batch axes."""
    normalised = MDP(Law(mdp.P), Enclosure(mdp.R), Law(mdp.rho0), Enclosure(mdp.gamma))
    first, second = (_evaluated(normalised, mdp, pi) for pi in (old, new))
    same = (mdp.gamma == 0) | (old == new).all((-2, -1))
    enclosed = Comparison(first, replace(second, d=_visits(second.d, first.d, same)))
    enclosed.__dict__["shared"] = _Answers(mdp, enclosed)
    return enclosed


def _visits(d: Any, other: Any, where: Any) -> Any:
    return Visits(d.mid, d.rad, other, where)


def _evaluated(mdp: MDP, floats: MDP, pi: Array) -> Evaluation:
    """The evaluation of a float table, in one kernel."""
    law: Any = Law(pi)
    with np.errstate(all="ignore"):
        known, (V, Q, A, rho, d, eta) = enclosed_evaluation.evaluate(floats, pi)
    factors: Any = Factors(known)
    resolvent = eliminate(mdp.P, law, mdp.gamma).with_factors(factors, known.time, known.reference)
    tables: dict[str, Any] = {"V": Enclosure(*V), "Q": Enclosure(*Q), "A": Advantages(*A, floats)}
    tables |= {"rho": Enclosure(*rho), "d": Distributions(*d), "eta": Enclosure(*eta)}
    return Evaluation(mdp=mdp, pi=law, resolvent=resolvent, **tables)


class _Answers(dict[Any, Any]):
    """``Comparison.shared``, with what enclosures answer in their own way: each found when it is first asked for."""

    def __init__(self, floats: MDP, enclosed: Comparison) -> None:
        super().__init__()
        self.floats, self.enclosed = floats, ref(enclosed)  # which holds this: in a circle its tables would outlive their chunk

    def __contains__(self, function: object) -> bool:
        return super().__contains__(function) or function in _ANSWERS

    def __missing__(self, function: Any) -> Any:
        enclosed = self.enclosed()
        if enclosed is None:
            raise RuntimeError("what a comparison of enclosures shares was asked for after the comparison itself was gone")
        self[function] = answer = _ANSWERS[function](self.floats, enclosed)
        return answer


def _optimal_values(floats: MDP, enclosed: Comparison) -> Enclosure:
    """``V*`` [*B,S] between the values V of a policy that is greedy to them in floats, and V + max (A, 0)/(1-gamma).

    ``V* - V = (I - gamma P*)^-1 E_{a~pi*} A`` for an optimal pi* (performance difference), and the rows of the resolvent sum to
    1/(1-gamma). So which policy it is needs not be decided: where its advantages are at most zero, V is V*.
    """
    old, horizon = cast(Advantages, enclosed.old.A), cast(Enclosure, enclosed.horizon)
    V = repeated.optimal_values(floats, old.mid)
    Q = backup(floats.P, floats.R, floats.gamma, V - V.mean(-1, keepdims=True))
    best, A = (Enclosure(*known) for known in enclosed_evaluation.worth(floats, one_hot(first_largest(Q), floats.A)))
    above: Any = np.maximum(A.max((-2, -1)), 0.0) * horizon
    half = 0.5 * above.bounds()[1][..., None]
    return cast(Enclosure, best + Enclosure(half, half))


_ANSWERS: dict[Any, Callable[[MDP, Comparison], Any]] = {optimal_values: _optimal_values}


class Factors(Numbers):
    """A factored resolvent [*B,S,S] and what its solves are known to; it answers the kernels it is handed to."""

    __slots__ = ("known",)

    def __init__(self, known: enclosed_factors.Factors) -> None:
        self.known = known

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the factors."""
        return self.known.high.shape

    def either(self, other: Any) -> Any:
        """Factors are no numbers to choose from."""
        raise TypeError("either takes enclosures of numbers, not the factors of a resolvent")

    def near(self) -> Any:
        """Nor to be near to."""
        raise TypeError("near takes enclosures of numbers, not the factors of a resolvent")

    def bounds(self) -> Any:
        """Nor with ends."""
        raise TypeError("bounds are those of enclosures of numbers, not of the factors of a resolvent")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs or ufunc.__name__ not in UFUNCS:
            return NotImplemented
        with np.errstate(all="ignore"):
            return UFUNCS[ufunc.__name__](*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is not np.broadcast_to:
            return NotImplemented
        return Factors(self.known.broadcast(tuple(args[1])[:-2]))


def _table(x: Any) -> Table:
    """Probabilities as the kernels read them; plain floats are normalised by them as a :class:`Law` is."""
    if isinstance(x, Law):
        return Table(x.table, np.broadcast_to(0.0, x.shape), True)
    if isinstance(x, Enclosure):
        return Table(x.mid, x.rad, False)
    return Table(np.asarray(x, dtype=float), np.broadcast_to(0.0, np.shape(x)), True)


def _exact(x: Any, name: str) -> Any:
    if isinstance(x, Enclosure):
        if np.any(x.rad):
            raise TypeError(f"{name} has a radius; the elimination takes exact floats here")
        return x.mid
    return x


def _wide(x: Any) -> tuple[Array, Array]:
    """A right-hand side with its radius in the shape that a kernel wants."""
    m, r = pair(x)
    m = np.asarray(m, dtype=float)
    return m, r if isinstance(x, Enclosure) else np.broadcast_to(0.0, m.shape)


def _eliminate(P: Any, pi: Any, gamma: Any) -> tuple[Factors, Array, NDArray[np.int64]]:
    known = enclosed_elimination.eliminate(_table(P), _table(pi), _exact(gamma, "gamma"))
    return Factors(known), known.time, known.reference


def _values(factors: Factors, reference: Array, reward: Any) -> Enclosure:
    return Enclosure(*enclosed_solves.values(factors.known, *_wide(reward)))


def _occupancy(factors: Factors, reference: Array, start: Any) -> Enclosure:
    return Enclosure(*enclosed_solves.occupancy(factors.known, *_wide(start)))


def _relative_values(factors: Factors, time: Array, reference: Array, reward: Any, sign: float) -> tuple[Enclosure, Enclosure]:
    h, r, level, share = enclosed_solves.relative_values(factors.known, *_wide(reward), sign)
    return Enclosure(h, r), Enclosure(level, share)


def _flow(factors: Factors, time: Array, reference: Array, source: Any, sign: float) -> Enclosure:
    return Enclosure(*enclosed_solves.flow(factors.known, *_wide(source), sign))


def _radii(rad: Any, batch: Any, core: int) -> Any:
    """A table of radii as a matrix, of a single row where there are none."""
    if not any(np.shape(rad)) or (not any(rad.strides) and not rad.flat[0]):
        return np.zeros((1, 1))
    return expanded(matrix(rad, batch, core), math.prod(rad.shape[rad.ndim - core :]))


def _backup(P: Any, R: Any, gamma: Any, values: Any) -> Enclosure:
    p, rp, _ = _table(P)
    (R, rR), (v, rv), discount = _wide(R), _wide(values), np.asarray(_exact(gamma, "gamma"), dtype=float)
    batch, core = np.broadcast_shapes(p.shape[:-3], R.shape[:-2], v.shape[:-1], discount.shape), p.shape[-3:-1]
    m, r = empty(batch, core), empty(batch, core)
    right = (matrix(x, batch, k) for x, k in ((R, 2), (rR, 2), (discount, 0), (v, 1), (rv, 1)))
    kernels.backup(expanded(matrix(p, batch, 3), math.prod(p.shape[-3:])), _radii(rp, batch, 3), *right, m, r)
    return Enclosure(table(m, batch, core), table(r, batch, core))


def _forward(P: Any, weights: Any) -> Enclosure:
    p, rp, _ = _table(P)
    w, rw = _wide(weights)
    batch, core = np.broadcast_shapes(p.shape[:-3], w.shape[:-2]), p.shape[-1:]
    m, r = empty(batch, core), empty(batch, core)
    given = (
        expanded(matrix(p, batch, 3), math.prod(p.shape[-3:])),
        _radii(rp, batch, 3),
        matrix(w, batch, 2),
        matrix(rw, batch, 2),
    )
    kernels.forward(*given, m, r)
    return Enclosure(table(m, batch, core), table(r, batch, core))


def _shift(old: Any, new: Any) -> Enclosure:
    p, q = _table(old), _table(new)
    if not (p.raw and q.raw):
        return Enclosure(*binary(rounded.SUBTRACT, new, old))
    shape = np.broadcast_shapes(p.mid.shape, q.mid.shape)
    batch, core = shape[:1] if len(shape) > 1 else (), shape[1:] if len(shape) > 1 else shape
    m, r = empty(batch, core), empty(batch, core)
    both = (expanded(matrix(np.broadcast_to(x.mid, shape), batch, len(core)), len(m)) for x in (p, q))
    divergences.shift(*both, shape[-1], m, r)
    return Enclosure(table(m, batch, core), table(r, batch, core))


def _kl(p: Any, q: Any) -> Enclosure:
    first, second = _table(p), _table(q)
    raw = first.raw and second.raw
    if not raw:
        first, second = (Table(*pair(x if isinstance(x, Enclosure) else Law(x)), False) for x in (p, q))
    shape = np.broadcast_shapes(first.mid.shape, second.mid.shape)
    batch, core = shape[:1] if len(shape) > 1 else (), shape[1:] if len(shape) > 1 else shape
    rows = math.prod(core)
    a, b = (expanded(matrix(np.broadcast_to(x.mid, shape), batch, len(core)), rows) for x in (first, second))
    off = (_radii(np.broadcast_to(x.rad, shape), batch, len(core)) for x in (first, second))
    ra, rb = off
    m, r = empty(batch, core[:-1]), empty(batch, core[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(a), np.log(b)
    divergences.kl(a, ra, b, rb, *logs, shape[-1], raw, m, r)
    mid, rad = (table(x, batch, core[:-1]) for x in (m, r))
    if isinstance(q, Visits) and q.other is p:
        mid, rad = np.where(q.where, 0.0, mid), np.where(q.where, 0.0, rad)
    return Enclosure(mid, rad)


def _sqrt_horizon_(gamma: Any) -> Enclosure:
    with np.errstate(all="ignore"):
        value = sqrt_horizon(_exact(gamma, "gamma"))
    return Enclosure(value, 256 * rounding.U * value)


KERNELS: dict[str, Callable[..., Any]] = {
    "_eliminate": _eliminate,
    "_values": _values,
    "_occupancy": _occupancy,
    "_relative_values": _relative_values,
    "_flow": _flow,
    "_backup": _backup,
    "_forward": _forward,
    "_shift": _shift,
    "_kl": _kl,
    "_sqrt_horizon": _sqrt_horizon_,
}

UFUNCS.update(ELEMENTWISE | KERNELS)
FUNCTIONS.update(ARRAYWISE)
