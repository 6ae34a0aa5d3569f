"""Running moments against numpy's of all rows at once."""

import copy
import pickle

import numpy as np
import pytest
import torch

from trpo.normaliser import Normaliser


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_moments_are_those_of_all_rows(shape, offset):
    rng = np.random.default_rng(0)
    parts = [offset + rng.normal(size=(n, *shape)) * rng.uniform(0.1, 3, shape) for n in (1, 5, 0, 200, 1)]
    normaliser = Normaliser(shape)
    for part in parts:
        normaliser.update(part)
    rows = np.concatenate(parts)
    np.testing.assert_allclose(normaliser.mean, rows.mean(0), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(normaliser.std, rows.std(0), rtol=1e-9)
    assert normaliser.count == len(rows)
    expected = (rows - rows.mean(0)) / rows.std(0)
    np.testing.assert_allclose(normaliser(torch.as_tensor(rows)), np.clip(expected, -10, 10), rtol=1e-7, atol=1e-7)


def test_the_order_of_parts_does_not_matter():
    rows = np.random.default_rng(1).normal(size=(50, 2))
    a, b = Normaliser((2,)), Normaliser((2,))
    a.update(rows)
    for row in rows[::-1]:
        b.update(row[None])
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(a.std, b.std, rtol=1e-12, atol=1e-14)


def test_before_any_row_and_for_constant_entries_the_scale_is_one():
    normaliser = Normaliser((2,))
    rows = torch.tensor([[3.0, -4.0]])
    assert torch.equal(normaliser(rows), rows)
    normaliser.update(np.full((7, 2), 0.1))
    assert torch.equal(normaliser.std, torch.ones(2).double())
    torch.testing.assert_close(normaliser(torch.full((1, 2), 0.1)), torch.zeros(1, 2))


def test_clip_and_centre():
    normaliser = Normaliser((), clip=2.0, centre=False)
    normaliser.update(np.array([9.0, 11.0]))  # mean 10, deviation 1
    np.testing.assert_allclose(normaliser(torch.tensor([1.5, 10.0, -10.0])), [1.5, 2.0, -2.0])


def test_precision_of_rows_is_kept_and_reading_changes_nothing():
    normaliser = Normaliser((2,))
    normaliser.update(np.random.default_rng(2).normal(size=(9, 2)))
    before = {name: x.clone() for name, x in normaliser.state_dict().items()}
    assert normaliser(torch.ones(3, 2)).dtype == torch.float32
    assert normaliser(torch.ones(3, 2).double()).dtype == torch.float64
    assert all(torch.equal(before[name], x) for name, x in normaliser.state_dict().items())


def test_state_dict_carries_it():
    a, b = Normaliser((2,)), Normaliser((2,))
    a.update(np.random.default_rng(3).normal(size=(9, 2)))
    b.load_state_dict(a.state_dict())
    for normaliser in (a, b):
        normaliser.update(np.ones((1, 2)))
    assert torch.equal(a.std, b.std)


@pytest.mark.parametrize("change", ["update", "load", "centre", "copy"])
def test_what_it_remembers_is_what_it_would_work_out(change):
    rng, rows = np.random.default_rng(4), torch.linspace(-3, 3, 8).reshape(4, 2)
    one = Normaliser((2,))
    one(rows)  # remembers moments of nothing
    if change == "load":
        other = Normaliser((2,))
        other.update(rng.normal(size=(9, 2)))
        one.load_state_dict(other.state_dict())
    elif change == "centre":
        one.update(rng.normal(3.0, 1.0, (9, 2)))
        one(rows)
        one.centre = False
    else:
        one.update(rng.normal(size=(9, 2)))
    if change == "copy":
        one = copy.deepcopy(one)
        one.mean += 1.0
    shift = one.mean if one.centre else torch.zeros(2)
    expected = ((rows - shift.float()) / one.std.float()).clamp(-10, 10)
    for again in (rows, rows.double(), rows):
        torch.testing.assert_close(one(again), expected.to(again.dtype), rtol=1e-6, atol=1e-6)


def test_gradients_after_inference():
    one, rows = Normaliser((2,)), torch.tensor([[1.0, -2.0]], requires_grad=True)
    one.update(np.random.default_rng(5).normal(size=(9, 2)))
    with torch.inference_mode():
        one(rows.detach())
    one(rows).sum().backward()
    torch.testing.assert_close(rows.grad[0], 1 / one.std.float())


def test_copies_after_a_functional_transform():
    one, rows = Normaliser((2,)), torch.tensor([[1.0, -2.0]])
    one.update(np.random.default_rng(6).normal(size=(9, 2)))
    torch.func.grad(lambda x: one(x).sum())(rows)
    for twin in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert torch.equal(twin(rows), one(rows))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_rows_are_refused_whole(value):
    normaliser = Normaliser((2,))
    normaliser.update(np.ones((2, 2)))
    rows = np.zeros((4, 2))
    rows[2, 1] = value
    with pytest.raises(ValueError, match="row 2 of 4 has a nan or infinite entry"):
        normaliser.update(rows)
    assert normaliser.count == 2
    assert torch.equal(normaliser.mean, torch.ones(2).double())


@pytest.mark.parametrize("shape", [(4,), (4, 3), (), (2, 4, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"rows have shape .*; expected \[N, ...\] with \(2,\)"):
        Normaliser((2,)).update(np.zeros(shape))
