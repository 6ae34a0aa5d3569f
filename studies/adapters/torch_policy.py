"""Copies of torch policies, for the adapters of agents that are written in torch."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from unittest import mock

import numpy as np
import torch

from mdps.mdp import Array
from studies.adapters.laws import Categorical, Gaussian, Law
from studies.adapters.protocol import Policy, Samples, unchanged


def law_of(distribution: torch.distributions.Distribution) -> Law:
    """Return a torch distribution, categorical or normal with independent components, as a law in float64.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if isinstance(distribution, torch.distributions.Independent):
        return law_of(distribution.base_dist)
    if isinstance(distribution, torch.distributions.Categorical):
        return Categorical.of_logits(array(distribution.logits))
    if isinstance(distribution, torch.distributions.Normal):
        return Gaussian(array(distribution.loc), array(distribution.scale.double().log()))
    raise ValueError(f"the policy is a {type(distribution).__name__}; expected Categorical, or Normal (in Independent or not)")


def snapshot(
    module: torch.nn.Module,
    distribution: Callable[[torch.nn.Module, Samples], torch.distributions.Distribution],
    parameters: Callable[[torch.nn.Module], Iterable[torch.Tensor]] = torch.nn.Module.parameters,
    features: Callable[[Samples], Samples] = unchanged,
) -> Policy:
    """Copy a policy as it is now.

    Parameters
    ----------
    module
        Everything the law depends on; it is copied.
    distribution
        From the (copied) module and inputs [N, ...] to the law.
    parameters
        Those of the policy; by default all of the module's.
    features
        The normaliser at this moment, already a copy.
    """
    own = copy.deepcopy(module)

    def law(inputs: Samples) -> Law:
        with torch.no_grad():
            return law_of(distribution(own, inputs))

    return Policy(law, np.concatenate([array(x).ravel() for x in parameters(own)]), features)


def array(tensor: torch.Tensor) -> Array:
    """Return a tensor's numbers in float64."""
    return np.asarray(tensor.detach().cpu().double().numpy())


OUT_OF_REACH = 1e6
"""Nats by which :func:`rejecting` raises a KL."""


@contextlib.contextmanager
def rejecting(module: ModuleType) -> Iterator[None]:
    """Raise each KL that a module computes by ``kl_divergence`` by a constant, for as long as the context lasts.

    No candidate of a line search that looks at the KL is then accepted. Derivatives of the KL, and so the direction and the
    length of the step that is tried, stay what they are.
    """
    true = module.kl_divergence
    with mock.patch.object(module, "kl_divergence", lambda p, q: true(p, q) + OUT_OF_REACH):
        yield
