"""What one divergence between two action distributions says of another, at each state."""

from __future__ import annotations

import numpy as np

from bounds.catalogue import lemma
from bounds.comparison import Comparison
from mdps.mdp import Array

Sides = tuple[Array, Array]


@lemma("pinsker-tight", source="Pinsker's inequality with Csiszar's constant", formula=r"TV^2\leq\frac{1}{2}KL")
def pinsker_tight(c: Comparison) -> Sides:
    """The constant is the best possible: p = (1/2, 1/2), q = (1/2 + x, 1/2 - x), x -> 0."""
    return c.tv**2, c.kl / 2


@lemma("pinsker-weak", source="TRPO arXiv:1502.05477v5, sec. 3; the note's eq. 21", formula=r"TV^2\leq KL")
def pinsker_weak(c: Comparison) -> Sides:
    """True, and weaker by a factor of two than the inequality whose name it is given."""
    return c.tv**2, c.kl


@lemma("bh-sqrt", source="Bretagnolle & Huber 1979", formula=r"TV^2\leq 1-e^{-KL}")
def bh_sqrt(c: Comparison) -> Sides:
    """Never vacuous; beats pinsker-tight for KL > 1.5936."""
    return c.tv**2, -np.expm1(-c.kl)


@lemma("bh-half", source="Bretagnolle & Huber 1979; Tsybakov 2009, eq. 2.25", formula=r"TV\leq 1-\frac{1}{2}e^{-KL}")
def bh_half(c: Comparison) -> Sides:
    """The linear form of Bretagnolle and Huber's inequality."""
    return c.tv, 1 - np.exp(-c.kl) / 2
