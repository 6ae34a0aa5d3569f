"""Values: their first step against a ridge regression, and what a fit must never do."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from trpo import values
from trpo.linearise import flat_parameters
from trpo.values import ValueFunction, fit_values

torch.set_num_threads(1)
N, D = 60, 4


def problem(seed=0, hidden=()):
    """Inputs, noisy targets, and values at random weights, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(N, D, generator=generator, dtype=torch.float64)
    targets = torch.sin(inputs.sum(1)) + 0.3 * torch.randn(N, generator=generator, dtype=torch.float64)
    widths = [D, *hidden]
    layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.Tanh())]
    value = ValueFunction(nn.Sequential(*layers, nn.Linear(widths[-1], 1)).double())
    with torch.no_grad():
        for p in value.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return value, inputs, targets


def ridge(X, theta, y, damping):
    """theta + x, x = argmin |y - X (theta + x)|^2/N + damping |x|^2, by the normal equations."""
    n = len(y)
    return theta + np.linalg.solve(X.T @ X / n + damping * np.eye(X.shape[1]), X.T @ (y - X @ theta) / n)


@pytest.mark.parametrize("damping", [1e-3, 1.0, 30.0])
def test_the_first_step_of_a_linear_value_is_a_ridge_regression(damping, monkeypatch):
    monkeypatch.setattr(values, "conjugate_gradients", solved_to_the_end)
    value, inputs, targets = problem()
    X, theta = np.column_stack([inputs.numpy(), np.ones(N)]), flat_parameters(value).numpy()
    fit = fit_values(value, inputs, targets, iterations=1, damping=damping)
    expected = ridge(X, theta, targets.numpy(), damping)
    np.testing.assert_allclose(flat_parameters(value).numpy(), expected, rtol=1e-8)
    assert fit.steps == 1
    assert fit.error_before == pytest.approx(((targets.numpy() - X @ theta) ** 2).mean())
    assert fit.error == pytest.approx(((targets.numpy() - X @ expected) ** 2).mean())
    assert fit.explained == pytest.approx(1 - fit.error_before / targets.numpy().var())


def solved_to_the_end(product, b, *, iterations, tolerance):
    """Conjugate gradients as they are, with another end."""
    return original(product, b, iterations=100, tolerance=1e-12)


original = values.conjugate_gradients


@pytest.mark.parametrize("fraction", [1.0, 0.1])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 8)])
def test_the_error_never_rises_and_is_that_of_the_values_left(hidden, fraction):
    """Even where the damping is far too little for the noise: a step that does not lower the error is not taken."""
    for seed in range(5):
        value, inputs, targets = problem(seed, hidden)
        last = math.inf
        for _ in range(6):
            generator = torch.Generator().manual_seed(seed)
            fit = fit_values(value, inputs, targets, damping=1e-6, fraction=fraction, generator=generator)
            assert fit.error <= fit.error_before <= last
            assert fit.error == pytest.approx(float((value.predict(inputs) - targets).square().mean()))
            last = fit.error * (1 + 1e-12)


def test_a_fraction_draws_its_rows_by_the_generator_and_takes_the_gradient_of_all(monkeypatch):
    """J'J of six rows, the gradient of all sixty: one of the draws that the generator makes."""
    monkeypatch.setattr(values, "conjugate_gradients", solved_to_the_end)
    found = []
    for seed in (1, 1, 2):
        value, inputs, targets = problem()
        X, theta = np.column_stack([inputs.numpy(), np.ones(N)]), flat_parameters(value).numpy()
        fit_values(value, inputs, targets, iterations=1, damping=5.0, fraction=0.1, generator=torch.Generator().manual_seed(seed))
        rows = torch.randperm(N, generator=torch.Generator().manual_seed(seed))[:6].numpy()
        step = np.linalg.solve(X[rows].T @ X[rows] / 6 + 5 * np.eye(D + 1), X.T @ (targets.numpy() - X @ theta) / N)
        np.testing.assert_allclose(flat_parameters(value).numpy(), theta + step, rtol=1e-8)
        found.append(flat_parameters(value))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def counted(monkeypatch, name):
    calls, true = [], getattr(values, name)
    monkeypatch.setattr(values, name, lambda *args, **kwargs: calls.append(name) or true(*args, **kwargs))
    return calls


def test_no_work_is_done_whose_result_is_known(monkeypatch):
    """A step that failed would fail again, and after the last step nothing has to be linearised."""
    solves, linearised = counted(monkeypatch, "conjugate_gradients"), counted(monkeypatch, "linearise")
    value, inputs, targets = problem(hidden=(8,))
    assert fit_values(value, inputs, targets, iterations=3).steps == 3
    assert (len(solves), len(linearised)) == (3, 3)
    solves.clear(), linearised.clear()
    perfect = value.predict(inputs)
    fit = fit_values(value, inputs, perfect, iterations=5)
    assert (fit.steps, fit.error) == (0, 0)
    assert (len(solves), len(linearised)) == (1, 1)
    solves.clear()
    fit_values(value, inputs, perfect, iterations=5, fraction=0.5, generator=torch.Generator())
    assert len(solves) == 5  # other rows, another step


def test_no_steps_leave_the_values_alone():
    value, inputs, targets = problem()
    before = flat_parameters(value)
    fit = fit_values(value, inputs, targets, iterations=0)
    assert torch.equal(flat_parameters(value), before)
    assert fit == replace(fit, steps=0, error=fit.error_before)
    assert math.isnan(fit_values(value, inputs, torch.ones(N).double(), iterations=1).explained)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"damping": 0.0}, "damping is 0.0; expected a positive number"),
        ({"damping": math.nan}, "damping is nan"),
        ({"fraction": 0.0}, "fraction is 0.0; expected 0 < fraction <= 1"),
        ({"fraction": 1.5}, "fraction is 1.5"),
        ({"fraction": 0.5}, "fraction is 0.5 without a generator to draw the rows; give generator="),
        ({"targets": torch.full((N,), math.nan)}, "60 value targets, with a nan or infinite one"),
        ({"inputs": torch.empty(0, D), "targets": torch.empty(0)}, "0 value targets"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    value, inputs, targets = problem()
    before = flat_parameters(value)
    with pytest.raises(ValueError, match=message):
        fit_values(**{"value": value, "inputs": inputs, "targets": targets, **change})
    assert torch.equal(flat_parameters(value), before)
