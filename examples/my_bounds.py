"""A bound of your own: a guess at CPO's penalty, with the sharper horizon that Kakade and Langford's Theorem 4.1 (2002) has.

``python studies/run.py study=verify bounds=[my_bounds]`` holds it against every comparison of the bank, and
``pytest -p my_bounds tests/bounds`` gives it the tests of the others, with the folder of this file on PYTHONPATH.
"""

from bounds import Comparison, bound
from mdps.mdp import Array


@bound(
    "my-cpo-resolvent",
    source="a guess: cpo-tv with the denominator of cpi-kl02-resolvent",
    formula=r"\frac{2\gamma\epsilon_g E_d TV}{(1-\gamma)(1-\gamma(1-E_d TV))}",
    status="open",
)
def my_cpo_resolvent(c: Comparison) -> Array:
    """The family that shows cpo-tv to be the best possible, ``fam_cpo``, attains this one. Does anything break it?"""
    return 2 * c.gamma * c.eps_g * c.tv_mean * c.horizon / ((1 - c.gamma) + c.gamma * c.tv_mean)
