"""The adversary: look for the process and the pair of policies that use the most of what a claim allows.

Differential evolution (Storn & Price 1997; current-to-best with adapted parameters, Zhang & Sanderson 2009, JADE) on islands
that do not mix, over the coordinates of :mod:`bounds.candidates`, with the jumps of :mod:`bounds.moves` from one structure to
another. An island that stands still begins anew. All candidates of a generation are one batch.

The search sees floats; what it returns has been certified.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from bounds.candidates import Layout, Pairs, decode, encode
from bounds.catalogue import CATALOGUE, Claim
from bounds.certify import certify
from bounds.compare import compare
from bounds.comparison import Comparison
from bounds.moves import fresh, jump
from bounds.verdicts import Verdict
from mdps.mdp import MDP, Array, as_policy

ISLANDS, SIZE = 8, 64
"""Populations, and candidates in each."""

PATIENCE = 150
"""Generations without progress after which an island begins anew."""

NEAREST = 1e-6
"""Least max TV between two policies that differ: nearer ones tell more of rounding than of a claim."""

FAINTEST = 1e-9
"""Least max |g| of such policies, in units of max |A|."""

CERTIFIED = 12
"""Most candidates that are certified before the search gives up."""


@dataclass(frozen=True, eq=False)
class Witness:
    """The pair of policies, and the process they act in, that a search found to use most of a claim."""

    claim: str
    usage: float  # certified: the lower end of the verdict's
    mdp: MDP
    old: Array  # [S, A]
    new: Array  # [S, A]
    verdict: Verdict
    budget: int  # comparisons spent
    seed: int


def search(
    claim: Claim | str,
    *,
    states: int = 3,
    actions: int = 3,
    gamma: float = 0.9,
    budget: int | None = None,
    seed: int = 0,
    starts: Iterable[tuple[MDP, Array, Array]] = (),
    enough: float = np.inf,
) -> Witness:
    """Maximise a claim's usage over processes and pairs of policies, and certify the largest found.

    Parameters
    ----------
    claim
        A claim, or its id in the catalogue.
    states, actions, gamma
        Of the processes searched.
    budget
        Most comparisons, so a seed repeats a search exactly. None for :func:`default_budget`, less than a minute.
    starts
        Pairs (mdp, old, new), or batches of them, to start from besides random ones: of at most as many states and actions, and
        of any gamma, as what is kept are their advantages.
    enough
        Usage at which the search may stop before its budget is spent.

    Raises
    ------
    ValueError
        If the claim is unknown, or raises an error, or returns nan or a wrong shape; if there are fewer than 2 states, no
        action, a gamma outside [0, 1) or a budget below 1; if a start does not fit.
    """
    claim = known(claim)
    for name, value in {"states": states, "actions": actions, "budget": budget}.items():
        if value is not None and not isinstance(value, int | np.integer):
            raise ValueError(f"{name} is {value!r}; expected an integer")
    if isinstance(seed, int | np.integer) and seed < 0:
        raise ValueError(f"seed is {seed}; expected an integer of at least 0")
    if states < 2 or actions < 1:
        raise ValueError(f"states is {states}, actions is {actions}; expected at least 2 states (one has no gap) and 1 action")
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma is {gamma!r}; expected 0 <= gamma < 1")
    layout = Layout(states, actions)
    if budget is None:
        budget = default_budget(states, actions)
    if budget < 1:
        raise ValueError(f"budget is {budget}; give at least 1 comparison")
    given = [encode(layout, Pairs(*start)) for start in starts]
    hunt = _Hunt(claim, layout, gamma, budget, np.random.default_rng(seed))
    hunt.run(np.concatenate(given) if given else np.empty((0, layout.width)), enough)
    found = sorted(hunt.found, key=lambda entry: -entry[0])
    pairs = [Pairs(mdp[0], old[0], new[0]) for mdp, old, new in (decode(layout, row[None], gamma) for _, row in found)]
    best = _certified(claim, [tidy(claim, pairs[0]), *pairs])
    (mdp, old, new), verdict = best
    old, new = as_policy(mdp, old), as_policy(mdp, new)
    return Witness(claim.id, verdict.usage.lower, mdp, old, new, verdict, hunt.spent, seed)


def default_budget(states: int, actions: int) -> int:
    """Comparisons that end within a minute on two cores: their cost grows with the number of entries."""
    return 120_000_000 // Layout(states, actions).width


def known(claim: Claim | str) -> Claim:
    """Return the claim of an id, or the claim itself.

    Raises
    ------
    ValueError
        If the catalogue has no such id.
    """
    if isinstance(claim, Claim):
        return claim
    if claim not in CATALOGUE:
        raise ValueError(f"unknown claim {claim!r}; known: {', '.join(CATALOGUE)}")
    return CATALOGUE[claim]


def tidy(claim: Claim, pairs: Pairs) -> Pairs:
    """Round the tables of one pair, one after the other, to as few decimals as leave its usage as it is to 1e-5.

    Before that the rewards become the advantages of old, in units of their largest, if the claim does not see the difference.
    """
    aim = float(_usage(claim, pairs)) * (1 - 1e-5)

    def serves(candidate: Pairs) -> bool:
        return float(_usage(claim, candidate)) >= aim

    def with_tables(best: Pairs, **tables: Array) -> Pairs:
        mdp = best.mdp
        P, R, rho0 = (tables.get(name, getattr(mdp, name)) for name in ("P", "R", "rho0"))
        return Pairs(MDP(P, R, rho0, mdp.gamma), tables.get("old", best.old), tables.get("new", best.new))

    def shortest(best: Pairs, tables: dict[str, Array]) -> Pairs:
        for decimals in range(13):
            candidate = with_tables(best, **{name: _rounded(table, decimals) for name, table in tables.items()})
            if serves(candidate):
                return candidate
        return best

    best = shortest(pairs, {"P": pairs.mdp.P})
    best = shortest(best, {"rho0": best.mdp.rho0})
    best = shortest(best, {"old": best.old, "new": best.new})
    advantage = compare(*best).old.A
    rewards = with_tables(best, R=advantage / (np.abs(advantage).max() or 1.0))
    best = rewards if serves(rewards) else best
    for decimals in range(13):
        candidate = with_tables(best, R=np.round(best.mdp.R, decimals))
        if serves(candidate):
            return candidate
    return best


def _rounded(table: Array, decimals: int) -> Array:
    """Round probabilities; the largest of each row makes up for what the others lose."""
    rounded = np.round(table, decimals)
    largest = table.argmax(-1)[..., None]
    np.put_along_axis(rounded, largest, 0.0, -1)
    rest = np.round(1 - rounded.sum(-1, keepdims=True), decimals)
    np.put_along_axis(rounded, largest, np.maximum(rest, 0.0), -1)
    return rounded / rounded.sum(-1, keepdims=True) if (rest <= 0).any() else rounded


def _usage(claim: Claim, pairs: Pairs) -> Array:
    """Usage in floats, [*B]; -1 where two policies differ by less than can be told from rounding.

    Raises
    ------
    ValueError
        If the claim raises an error; what is wrong with a value is the claim's own to say.
    """
    c = compare(*pairs)
    try:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
            usage = claim.usage(c)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"claim {claim.id!r} raised {type(error).__name__} on a batch of shape {c.batch}: {error}") from error
    return np.where(_far_enough(c), usage, -1.0)


def _far_enough(c: Comparison) -> Array:
    return (c.tv_max == 0) | ((c.tv_max >= NEAREST) & (c.eps_g >= FAINTEST * c.eps_A))


def _certified(claim: Claim, pairs: Iterable[Pairs]) -> tuple[Pairs, Verdict]:
    """Certify pairs, the most promising first, until no other promises more than what is certified."""
    best: tuple[Pairs, Verdict] | None = None
    for number, pair in enumerate(pairs):
        if best and (number >= CERTIFIED or best[1].usage.lower >= float(_usage(claim, pair)) * (1 - 2e-5)):
            break
        verdict = certify(claim, pair.mdp, pair.old, pair.new)
        if best is None or not best[1].usage.lower >= verdict.usage.lower:
            best = pair, verdict
    assert best is not None
    return best


@dataclass
class _Hunt:
    """The state of one search: its islands, and what they found."""

    claim: Claim
    layout: Layout
    gamma: float
    budget: int
    rng: np.random.Generator
    spent: int = 0
    found: list[tuple[float, Array]] = field(default_factory=list)  # usage and row of the best of each island's life

    def usage(self, rows: Array) -> Array:
        """Usage of rows [N, width], [N]; -1 for those beyond the budget."""
        usage = np.full(len(rows), -1.0)
        paid = min(len(rows), self.budget - self.spent)
        if paid:
            usage[:paid] = _usage(self.claim, decode(self.layout, rows[:paid], self.gamma))
            self.spent += paid
        return usage

    def run(self, given: Array, enough: float) -> None:
        """Let all islands evolve until the budget is spent or a usage is enough."""
        islands = [self.settle(number, given if number == 0 else given[:0]) for number in range(ISLANDS)]
        while self.spent < self.budget and max(island.best for island in islands) < enough:
            trials = np.concatenate([island.trials(self.rng) for island in islands])
            usage = self.usage(trials).reshape(ISLANDS, SIZE)
            for island, rows, value in zip(islands, trials.reshape(ISLANDS, SIZE, -1), usage, strict=True):
                island.select(rows, value)
            leader = max(islands, key=lambda island: island.best)
            for number, island in enumerate(islands):
                if island.idle > PATIENCE and island is not leader:
                    self.keep(island)
                    islands[number] = self.settle(number, given[:0])
        for island in islands:
            self.keep(island)

    def settle(self, number: int, given: Array) -> _Island:
        """Found an island on the best of fresh rows and those given; every other island starts with short steps."""
        rows = np.concatenate([given, fresh(self.layout, max(SIZE, 2 * SIZE - len(given)), self.rng, short=number % 2 == 1)])
        usage = self.usage(rows)
        best = np.argsort(-usage, kind="stable")[:SIZE]
        return _Island(self.layout, rows[best], usage[best])

    def keep(self, island: _Island) -> None:
        self.found.append((island.best, island.rows[island.usage.argmax()]))


@dataclass
class _Island:
    """One population and the parameters of its evolution."""

    layout: Layout
    rows: Array  # [SIZE, width]
    usage: Array  # [SIZE]
    idle: int = 0
    weight: float = 0.5  # of differences, in the mean
    crossing: float = 0.5  # share of coordinates taken from the mutant, in the mean
    jumps: float = 0.5  # share of trials that are jumps

    @property
    def best(self) -> float:
        """The largest usage."""
        return float(self.usage.max())

    def trials(self, rng: np.random.Generator) -> Array:
        """One trial for each candidate, [SIZE, width]."""
        rows, everyone = self.rows, np.arange(SIZE)
        self.F = np.clip(self.weight + 0.1 * rng.standard_cauchy((SIZE, 1)), 0.02, 1.2)
        self.C = np.clip(self.crossing + 0.1 * rng.standard_normal((SIZE, 1)), 0.02, 1.0)
        leaders = np.argsort(-self.usage)[: SIZE // 10]
        leader = rows[rng.choice(leaders, SIZE)]
        one, two = rows[rng.integers(SIZE, size=(2, SIZE))]
        mutant = rows + self.F * (leader - rows) + self.F * (one - two)
        crossed = rng.random(rows.shape) < self.C
        crossed[everyone, rng.integers(self.layout.width, size=SIZE)] = True
        trial = np.where(crossed, mutant, rows)
        mode = self.layout.places["mode"]
        trial[:, mode] = np.where(rng.random((SIZE, 1)) < 0.8, rows[:, mode], leader[:, mode])
        self.jumped = rng.random(SIZE) < self.jumps
        base = np.where(rng.random((SIZE, 1)) < 0.5, rows, leader)
        trial[self.jumped] = jump(self.layout, base[self.jumped], rng)
        return np.clip(trial, *self.layout.limits)

    def select(self, trials: Array, usage: Array) -> None:
        """Keep what is no worse than its parent, and learn from what is better."""
        before = self.best
        better = (usage > self.usage) & ~self.jumped
        if better.any():
            with np.errstate(invalid="ignore"):
                gain = np.nan_to_num(usage - self.usage, posinf=np.finfo(float).max)[better]
            gain = gain / gain.max()
            F, C = self.F[better, 0], self.C[better, 0]
            self.weight += 0.1 * (float((gain * F * F).sum() / (gain * F).sum()) - self.weight)
            self.crossing += 0.1 * (float((gain * C).sum() / gain.sum()) - self.crossing)
        won = usage >= self.usage
        self.rows[won], self.usage[won] = trials[won], usage[won]
        self.idle = 0 if self.best > before + 1e-4 * abs(before) else self.idle + 1
