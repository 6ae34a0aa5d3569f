"""Tables of any shape and layout are handed to kernels, and come back, as numpy broadcasts them."""

import numpy as np
import pytest

from bounds.arranged import arrange, arrange_sums, in_planes, padded
from bounds.enclosure import Enclosure

SHAPES = [
    ((), (5,)),
    ((20,), (20,)),
    ((1,), (20,)),
    ((20,), (1,)),
    ((17,), ()),
    ((3,), (4, 3)),
    ((20, 3), (3,)),
    ((20, 3), (20, 1)),
    ((20, 1), (1, 3)),
    ((20, 3, 2), (20, 1, 2)),
    ((20, 3, 2), (3, 1)),
    ((2, 20, 3), (20, 1)),
    ((1, 3), (1, 3)),
    ((0,), (0,)),
    ((0, 3), (1, 3)),
]
LAYOUTS = {
    "as it is": np.array,
    "in planes": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0) if x.ndim else x,
    "every second": lambda x: np.repeat(x, 2, -1)[..., ::2] if x.ndim else x,
    "backwards": lambda x: np.array(x[::-1])[::-1] if x.ndim else x,
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim and len(x) else x,
}


def written_out(given, k):
    """The k-th table as kernels read it, entry by entry, in the shape of the result."""
    matrix, (result, _) = given.matrices[k], given.room()
    for entry, row in enumerate(given.rows[k]):
        result[entry] = matrix[row, 0] if matrix.shape[1] == 1 else matrix[row]
    assert matrix.flags.c_contiguous
    assert matrix.dtype == float
    return given.table(result)


@pytest.mark.parametrize("other", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_what_kernels_read_is_what_numpy_broadcasts(shapes, layout, other):
    rng = np.random.default_rng(0)
    tables = [LAYOUTS[name](rng.standard_normal(shape)) for name, shape in zip((layout, other), shapes, strict=True)]
    given = arrange((*tables, 2.5))
    for k, table in enumerate(np.broadcast_arrays(*tables, 2.5)):
        np.testing.assert_array_equal(written_out(given, k), table)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("radii", ["of their own", "repeated", "one"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [1, 5, 20])
def test_rows_are_those_along_the_axes(count, layout, radii, axes):
    mid = LAYOUTS[layout](np.random.default_rng(0).standard_normal((count, 3, 2)))
    rad = {
        "of their own": np.abs(mid),
        "repeated": np.broadcast_to(np.abs(mid[:, :1]), mid.shape),
        "one": np.broadcast_to(0.5, mid.shape),
    }
    given = arrange_sums((mid, rad[radii]), mid.shape, axes)
    n = int(np.prod([mid.shape[a] for a in axes]))
    assert given.terms == n
    for matrix, row, x in zip(given.matrices, given.rows, (mid, rad[radii]), strict=True):
        wide = np.broadcast_to(matrix[row], (len(row), max(given.columns, matrix.shape[1])))
        total = wide.reshape(-1, n, wide.shape[1]).sum(1)
        assert total.shape[0] == len(given.room()[0])
        np.testing.assert_allclose(given.table(total), x.sum(axes), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("count", [5, 20])
def test_axes_in_another_order_are_read_where_they_lie(count):
    """As a contraction wants them: a table in planes is not copied for it, its rows are only read in another order."""
    table = LAYOUTS["in planes"](np.random.default_rng(0).standard_normal((count, 3, 2, 4)))
    view, other = table.transpose(0, 3, 1, 2), np.ones((count, 1, 1, 2))
    given = arrange_sums((view, other), view.shape, (2, 3))
    assert np.shares_memory(given.matrices[0], table) == (count >= 16)
    np.testing.assert_array_equal(given.matrices[0][given.rows[0], :count], np.moveaxis(view, 0, -1).reshape(24, count))
    np.testing.assert_allclose(given.table(given.matrices[0][given.rows[0]].reshape(4, 6, -1).sum(1)), view.sum((2, 3)))


def test_numbers_of_any_kind_become_floats():
    x = Enclosure(np.arange(20.0) + 1, 0.5)
    for other in (np.arange(20), np.arange(20) > 3, np.arange(20, dtype=np.float32), 3, True):
        y = x * other
        np.testing.assert_array_equal(y.mid, x.mid * other)
        np.testing.assert_array_equal(y.rad > 0, np.broadcast_to(other, 20) != 0)


def test_nothing_stays_nothing():
    nothing = Enclosure(np.zeros(0))
    for y in (nothing + nothing, np.exp(nothing), nothing**3, nothing * 2):
        assert y.shape == (0,)
    assert (nothing < 1).certainly.shape == (0,)


def test_planes_are_known_and_short_rows_filled():
    table = np.zeros((20, 3))
    assert not in_planes(table)
    assert in_planes(table.T.copy().T)
    assert in_planes(np.zeros((3, 20)).T)
    assert not in_planes(np.zeros(20))
    np.testing.assert_array_equal(padded(np.array([[1.0, 2.0]])), [[1.0] + [2.0] * 15])
    assert padded(np.ones((3, 1))).shape == (3, 1)
