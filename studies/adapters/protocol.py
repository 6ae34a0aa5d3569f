"""What the audit asks of an agent: for every update the policy before and after it, and the batch that it was made from.

An agent is a function. ``agent(world, delta=..., updates=..., seed=...)`` trains on ``world.make()`` and yields one
:class:`Update` after each update. It says nothing about itself: what it bounds, keeps or forgets is for the audit to find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mdps import MDP
from mdps.mdp import Array
from studies.adapters.laws import Categorical, Law

Samples = NDArray[Any]
"""Observations or actions of any kind, one a row."""


def unchanged(observations: Samples) -> Samples:
    """Return the observations as they are: an agent without a normaliser."""
    return observations


@dataclass(frozen=True, eq=False)
class World:
    """Where an agent trains."""

    name: str
    make: Callable[[], Any]  # a fresh gymnasium environment
    gamma: float
    mdp: MDP | None = None  # the same process as tables, where it has them
    observed: Samples | None = None  # what is observed in each of its states, [S]

    def table(self, policy: Policy) -> Array:
        """Return the policy as a table [S,A]."""
        assert self.observed is not None
        law = policy.at(self.observed)
        assert isinstance(law, Categorical)
        return law.p


@dataclass(frozen=True, eq=False)
class Policy:
    """A policy as it was at one moment: a copy that later training leaves alone.

    Parameters
    ----------
    law
        From inputs of the network [N, ...] to action laws.
    parameters
        All numbers that training changes, flat [n].
    features
        From raw observations to inputs of the network: the running normaliser at that moment, if there is one.
    """

    law: Callable[[Samples], Law]
    parameters: Array
    features: Callable[[Samples], Samples] = unchanged

    def at(self, raw: Samples) -> Law:
        """Return the action laws at raw observations [N, ...]."""
        return self.law(self.features(raw))


@dataclass(frozen=True, eq=False)
class Update:
    """One update of a policy.

    Parameters
    ----------
    before, after
        The policy just before the update, and when all of it is done, the critic's part as well.
    inputs
        What the network was given, [N, ...]; N samples.
    actions
        Integers [N], or [N, d].
    advantages
        As the update used them, normalised if it normalises them, [N].
    accepted
        Whether the agent itself says that it took a step; None where it does not say.
    raw
        Raw observations [N, ...]; None where the network is given these.
    weights
        Of the samples in the update's own means, [N]; None where all count alike.
    """

    before: Policy
    after: Policy
    inputs: Samples
    actions: Samples
    advantages: Array
    accepted: bool | None = None
    raw: Samples | None = None
    weights: Array | None = None

    def mean(self, values: Array) -> float:
        """Return the mean of a number for each sample [N]."""
        return float(np.average(values, weights=self.weights))

    @property
    def observations(self) -> Samples:
        """Raw observations [N, ...]."""
        return self.inputs if self.raw is None else self.raw

    @property
    def moved(self) -> float:
        """Largest change of a parameter."""
        return float(np.abs(self.after.parameters - self.before.parameters).max())


class Agent(Protocol):
    """A function that trains an agent and yields its updates."""

    def __call__(self, world: World, *, delta: float, updates: int, seed: int, reject: bool = False) -> Iterator[Update]:
        """Train, and yield each update.

        Parameters
        ----------
        world
            Where; also the discount factor to train with.
        delta
            Radius of the trust region, nats.
        updates
            How many.
        seed
            Of everything random.
        reject
            Make every step one that the agent has to reject, by whatever its line search allows.

        Raises
        ------
        NotImplementedError
            If that cannot be done, or the agent cannot train in such a world; this part of the audit is then not observed.
        """
        ...
