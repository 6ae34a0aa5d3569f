"""The compiled usage of a claim against numpy, and the sides it refuses."""

import numpy as np
import pytest

from bounds.usage import usage, usage_of_difference
from mdps.planes import unfolded

RNG = np.random.default_rng(0)


def expected(lhs, rhs, applies):
    """Side by side in numpy: masked, divided, the largest over further axes."""
    holds = applies.reshape(applies.shape + (1,) * (lhs.ndim - applies.ndim))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.fmax(np.where(holds, lhs, 0.0) / np.where(holds, rhs, 0.0), 0.0)
    return ratio.reshape(*applies.shape, -1).max(-1)


def sides(shape):
    """Both sides with all kinds of numbers: 0/0, x/0, 0/x, inf/inf, x/inf."""
    kinds = np.array([0.0, 1.0, np.inf, 3.0, 1e-320])
    return tuple(np.where(RNG.random(shape) < 0.5, RNG.choice(kinds, shape), RNG.random(shape)) for _ in range(2))


@pytest.mark.parametrize("batch", [(), (1,), (33,), (2, 5)], ids=str)
@pytest.mark.parametrize("further", [(), (1,), (4,), (2, 3)], ids=str)
def test_as_numpy_has_it(batch, further):
    for _ in range(20):
        lhs, rhs = sides(batch + further)
        applies = RNG.random(batch) < 0.7
        np.testing.assert_array_equal(usage(lhs, rhs, np.asarray(applies)), expected(lhs, rhs, np.asarray(applies)))


def test_sides_that_are_repeated_or_in_planes():
    everywhere = np.ones(32, dtype=bool)
    lhs = unfolded(RNG.random((6, 32)), (2, 3))
    for narrow in ((32, 1, 1), (32, 2, 1), (1, 1, 1), (32, 1, 3)):
        rhs = np.broadcast_to(RNG.random(narrow), lhs.shape)
        np.testing.assert_array_equal(usage(lhs, rhs, everywhere), expected(lhs, rhs, everywhere))
        np.testing.assert_array_equal(usage(rhs, lhs, everywhere), expected(rhs, lhs, everywhere))


@pytest.mark.parametrize("wrong", [np.nan, -1e-300, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_no_side_is_refused_where_the_claim_applies(wrong, side):
    given = [RNG.random((32, 4)) for _ in range(2)]
    given[side][20, 2] = wrong
    applies = np.ones(32, dtype=bool)
    assert usage(*given, applies) is None
    applies[20] = False
    found = usage(*given, applies)
    assert found[20] == 0
    np.testing.assert_array_equal(found, expected(*given, applies))


def test_other_numbers_are_refused():
    ones = np.ones(3)
    assert usage(ones, ones.astype(int), ones > 0) is None
    assert usage(ones.astype(object), ones, ones > 0) is None


@pytest.mark.parametrize(
    "shapes", [((32,),) * 3, ((32, 4), (32, 4), (32, 1)), ((32, 2, 3), (1,), (32, 1, 3)), ((2, 5, 4), (), ())]
)
def test_of_a_difference(shapes):
    lhs, rhs, scale = (np.asarray(RNG.random(shape)) for shape in shapes)
    batch = (2, 5) if lhs.ndim == 3 and lhs.shape[0] == 2 else (32,)
    applies = RNG.random(batch) < 0.7
    wide = np.broadcast_shapes(*shapes)
    sides = np.broadcast_to(np.abs(lhs - rhs), wide), np.broadcast_to(0.3 * scale, wide)
    np.testing.assert_array_equal(usage_of_difference((lhs, rhs, scale), 0.3, applies), expected(*sides, applies))


def test_no_difference():
    fine, applies = RNG.random((3, 32, 4)), np.ones(32, dtype=bool)
    assert usage_of_difference(tuple(fine), 1.0, applies) is not None
    for k, wrong in ((0, np.nan), (1, np.nan), (2, -1.0)):
        parts = fine.copy()
        parts[k, 3, 2] = wrong
        assert usage_of_difference(tuple(parts), 1.0, applies) is None
    assert usage_of_difference((fine[0], fine[1, :, :3], fine[2]), 1.0, applies) is None
    assert usage_of_difference((fine[0, 0], fine[1, 0], fine[2, 0]), 1.0, applies) is None
    assert usage_of_difference((fine[0], fine[1], 1.0), 1.0, applies) is None
