"""Conjugate gradients against dense solves, and its bounds against b' F^-1 b computed from eigenvalues."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from trpo.linalg import conjugate_gradients


def spd(seed, size, condition, damping=0.0):
    """A symmetric matrix with eigenvalues from damping + 1/condition to damping + 1, and a right-hand side."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(size, size)))
    eigenvalues = np.exp(rng.uniform(-np.log(condition), 0, size)) + damping
    return (basis * eigenvalues) @ basis.T, rng.normal(size=size), float(eigenvalues.min())


def solve(F, b, **options):
    F = torch.as_tensor(F)
    return conjugate_gradients(lambda v: F @ v, torch.as_tensor(b), **options)


@pytest.mark.parametrize("seed", range(10))
def test_solution_is_that_of_a_dense_solve(seed):
    F, b, _ = spd(seed, 12, 50)
    found = solve(F, b, iterations=40, tolerance=1e-12)
    expected = np.linalg.solve(F, b)
    np.testing.assert_allclose(found.x, expected, rtol=1e-8, atol=1e-9)
    assert found.energy == pytest.approx(b @ expected, rel=1e-10)
    assert found.residual <= 1e-12
    assert 0 < found.iterations < 40


@pytest.mark.parametrize("seed", range(60))
def test_energies_bracket_the_exact_one_after_every_iteration(seed):
    """The Gauss rule from below, Gauss-Radau from above, for any lower bound on the eigenvalues."""
    damping = 10.0 ** -(seed % 5)
    F, b, least = spd(seed, 3 + seed % 18, 10.0 ** (seed % 7), damping)
    exact = b @ np.linalg.solve(F, b)
    last = 0.0
    for smallest in (damping / 10, damping, least * (1 - 1e-12)):
        for iterations in range(1, 25):
            found = solve(F, b, iterations=iterations, tolerance=0, smallest=smallest)
            assert found.energy <= exact * (1 + 1e-9)
            assert found.energy_bound >= exact * (1 - 1e-9)
            last = max(last, found.energy)
    assert last == pytest.approx(exact, rel=1e-3)


def test_the_upper_bound_closes_in():
    """It improves on the trivial bound, energy + |r|^2/smallest, and meets the energy at the end."""
    F, b, _ = spd(0, 20, 1000, 0.01)
    exact = b @ np.linalg.solve(F, b)
    widths = [solve(F, b, iterations=k, smallest=0.01).energy_bound / exact - 1 for k in (1, 3, 6, 10, 20)]
    assert all(a > b for a, b in pairwise(widths))
    assert widths[-1] < 1e-6
    found = solve(F, b, iterations=6, smallest=0.01)
    assert found.energy_bound < 0.9 * (found.energy + found.residual**2 * (b @ b) / 0.01)


def test_after_one_iteration_the_bound_is_gauss_radau_by_hand():
    """Two nodes, one at m: with moments 1, s, t of F in b, int 1/x = 1/m - (1 - s/m)^2 ... solved as a 2x2 Gauss rule."""
    F, b, _ = spd(1, 6, 20, 0.05)
    m, norm = 0.04, b @ b
    s, t = b @ F @ b / norm, b @ F @ F @ b / norm
    node = (t - m * s) / (s - m)  # makes the rule exact for 1, x, x^2
    weight = (s - m) / (node - m)
    assert solve(F, b, iterations=1, smallest=m).energy_bound == pytest.approx(
        norm * (weight / node + (1 - weight) / m), rel=1e-12
    )


@pytest.mark.parametrize("iterations", range(1, 8))
def test_residual_is_the_true_one(iterations):
    F, b, _ = spd(3, 9, 30)
    found = solve(F, b, iterations=iterations)
    assert found.residual == pytest.approx(np.linalg.norm(b - F @ found.x.numpy()) / np.linalg.norm(b), rel=1e-8)
    assert found.energy == pytest.approx(found.x.numpy() @ F @ found.x.numpy(), rel=1e-10)
    assert found.energy == pytest.approx(b @ found.x.numpy(), rel=1e-10)
    assert found.iterations == iterations
    assert found.energy_bound == np.inf


def test_it_stops_at_the_tolerance():
    F, b, _ = spd(4, 30, 100)
    rough, fine = (solve(F, b, iterations=100, tolerance=t) for t in (1e-2, 1e-8))
    assert 1e-8 < rough.residual <= 1e-2
    assert fine.residual <= 1e-8
    assert rough.iterations < fine.iterations < 100


def test_it_stops_at_the_precision_of_its_numbers():
    F, b, _ = spd(4, 30, 100)
    F32, b32 = torch.as_tensor(F).float(), torch.as_tensor(b).float()
    single = conjugate_gradients(lambda v: F32 @ v, b32, iterations=100, tolerance=0)
    double = solve(F, b, iterations=100, tolerance=0)
    assert torch.finfo(torch.float32).eps / 100 < single.residual <= torch.finfo(torch.float32).eps
    assert double.residual <= torch.finfo(torch.float64).eps
    assert single.iterations < double.iterations < 100


def test_singular_systems():
    F = np.diag([1.0, 2.0, 0.0])
    inside = solve(F, np.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(inside.x, [1, 0.5, 0], atol=1e-12)
    beside = solve(F, np.array([0.0, 0.0, 1.0]), smallest=0.0)
    assert beside.iterations == 0
    assert not beside.x.any()
    assert beside.residual == 1
    assert beside.energy_bound == np.inf
    both = solve(F, np.array([1.0, 1.0, 1.0]), iterations=50)
    assert both.x.abs().max() < 1e17  # inconsistent: it ends once the direction is singular to rounding, and does not diverge
    assert both.iterations < 50


def test_a_negative_curvature_ends_it_with_what_is_solved():
    found = solve(-np.eye(2), np.array([1.0, 2.0]))
    assert (found.iterations, found.energy, found.residual) == (0, 0.0, 1.0)
    assert not found.x.any()


def test_zero_right_side():
    found = solve(np.eye(3), np.zeros(3), smallest=1.0)
    assert not found.x.any()
    assert (found.residual, found.iterations, found.energy, found.energy_bound) == (0, 0, 0, 0)


def test_a_solve_that_ends_exactly_has_no_nan():
    found = solve(np.eye(3), np.array([1.0, 2.0, 2.0]))
    assert (found.iterations, found.residual, found.energy, found.energy_bound) == (1, 0.0, 9.0, np.inf)
    assert solve(np.eye(3), np.array([1.0, 2.0, 2.0]), smallest=0.5).energy_bound == 9.0


@pytest.mark.parametrize("where", ["b", "F"])
def test_nan_is_not_called_solved(where):
    F, b = np.eye(2), np.ones(2)
    (F if where == "F" else b)[0] = np.nan
    assert not solve(F, b).residual <= 1 or solve(F, b).iterations == 0
    if where == "b":
        assert np.isnan(solve(F, b).residual)


def test_inner_products_of_single_precision_neither_underflow_nor_change_the_precision():
    found = solve(np.diag([1.0, 4.0]).astype(np.float32), np.array([1e-30, 1e-30], np.float32))
    assert found.x.dtype == torch.float32
    np.testing.assert_allclose(found.x, [1e-30, 0.25e-30], rtol=1e-5)


def test_the_right_side_is_left_alone():
    F, b, _ = spd(5, 4, 3)
    given = torch.as_tensor(b.copy())
    conjugate_gradients(lambda v: torch.as_tensor(F) @ v, given)
    np.testing.assert_array_equal(given, b)
