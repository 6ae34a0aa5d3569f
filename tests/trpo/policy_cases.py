"""Tables the tests of the neural core iterate: families, policies of every kind, and what is known of them by other routes."""

import itertools

import numpy as np
import torch
from gymnasium import spaces

from trpo.batch import Batch
from trpo.distributions import Bernoulli, Categorical, DiagonalGaussian, MultiCategorical
from trpo.policies import make_policy

torch.set_num_threads(1)

FAMILIES = {
    "categorical": Categorical(4),
    "one-option": Categorical(1),
    "multi": MultiCategorical((2, 3, 4)),
    "bernoulli": Bernoulli(3),
    "gaussian": DiagonalGaussian(2),
}
ACTION_SPACES = {
    "categorical": spaces.Discrete(4),
    "multi": spaces.MultiDiscrete([2, 3]),
    "bernoulli": spaces.MultiBinary(3),
    "gaussian": spaces.Box(-1, 1, (2,)),
}
_REALS = spaces.Box(-np.inf, np.inf, (3,))
KINDS = {
    "tabular": (spaces.Discrete(5), {}),
    "linear": (_REALS, {}),
    "mlp": (_REALS, {"hidden": (6, 5)}),
    "relu": (_REALS, {"kind": "mlp", "hidden": (6, 5), "activation": "relu"}),
    "conv": (spaces.Box(0, 255, (12, 12, 3), np.uint8), {}),
}
POLICIES = [
    *((kind, action) for kind in KINDS for action in ACTION_SPACES if kind != "conv" or action in ("categorical", "gaussian")),
    ("mlp", "gaussian-state"),
    ("tabular", "gaussian-state"),
]  # convolutions take a second each where others take a hundredth


def build(kind, action, seed=0, dtype=torch.float64, spread=0.5):
    """A policy with random weights of that deviation (``make_policy``'s own are near the uniform law)."""
    space, arguments = KINDS[kind]
    arguments = {"kind": kind, **arguments}
    if action == "gaussian-state":
        arguments["std"] = "state"
    policy = make_policy(space, ACTION_SPACES[action.removesuffix("-state")], seed=seed, dtype=dtype, **arguments)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in policy.parameters():
            p.copy_(
                p + spread * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(dtype) / max(1, p.shape[-1]) ** 0.5
            )
    return policy


def observe(policy, n, seed=0):
    """Random observations of its space, encoded [n, ...]."""
    space, rng = policy.encode.space, np.random.default_rng(seed)
    if isinstance(space, spaces.Discrete):
        return policy.inputs(rng.integers(space.n, size=n))
    if space.dtype == np.uint8:
        return policy.inputs(rng.integers(256, size=(n, *space.shape)).astype(np.uint8))
    return policy.inputs(rng.normal(size=(n, *space.shape)))


def draw_batch(policy, n=20, m=1, seed=0, *, self_normalised=False):
    """States of unequal weight with m actions each, drawn from the policy, and random advantages."""
    rng = np.random.default_rng(seed)
    inputs, family = observe(policy, n, seed), policy.family
    with torch.no_grad():
        z = policy(inputs)
        actions = torch.stack([family.sample(z, family.noise(n, rng)) for _ in range(m)], 1)
        log_q = family.log_prob(z, actions) + np.log(m)
    weights = torch.as_tensor(rng.dirichlet(np.ones(n))).to(z)
    return Batch(inputs, actions, log_q, torch.as_tensor(rng.normal(size=(n, m))).to(z), weights, self_normalised)


def every_action(family):
    """All actions of a discrete family, [M, D]."""
    sizes = family.sizes if isinstance(family, MultiCategorical) else (2,) * family.n
    return torch.tensor(list(itertools.product(*map(range, sizes))))


def laws(family, z):
    """The laws as torch.distributions has them; one object whose rows are z's."""
    d = torch.distributions
    if isinstance(family, DiagonalGaussian):
        mean, log_std = z[:, : family.d], z[:, family.d :]
        return [d.Independent(d.Normal(mean, torch.exp(log_std)), 1)]
    if isinstance(family, Bernoulli):
        return [d.Independent(d.Bernoulli(logits=z), 1)]
    return [d.Categorical(logits=part) for part in torch.split(z, list(family.sizes), dim=1)]


def law_kl(family, old, new):
    """KL(old || new) by torch.distributions, [N]."""
    pairs = zip(laws(family, old), laws(family, new), strict=True)
    return sum(torch.distributions.kl_divergence(a, b) for a, b in pairs)


def law_log_prob(family, z, actions):
    """Log-probabilities of [N, M, D] by torch.distributions, [N, M]."""
    parts = laws(family, z)
    if isinstance(family, MultiCategorical):
        columns = [actions[..., k].T for k in range(family.D)]
        return sum(law.log_prob(a) for law, a in zip(parts, columns, strict=True)).T
    return parts[0].log_prob(actions.movedim(1, 0).to(z)).T


def jacobian(policy, inputs):
    """d outputs / d parameters, [N, K, P], one reverse pass an output."""
    z = policy(inputs)
    rows = []
    for value in z.reshape(-1):
        grads = torch.autograd.grad(value, list(policy.parameters()), retain_graph=True, allow_unused=True)
        rows.append(
            torch.cat(
                [(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in zip(grads, policy.parameters(), strict=True)]
            )
        )
    return torch.stack(rows).view(*z.shape, -1)


def parameters(family, n, scale, seed):
    """n random rows of z."""
    return torch.as_tensor(np.random.default_rng(seed).normal(scale=scale, size=(n, family.K)))


def fisher_matrices(family, z):
    """Hessian in q of KL(p || q) at q = p by automatic differentiation, [N, K, K]."""
    return torch.stack(
        [torch.autograd.functional.hessian(lambda q, row=row: law_kl(family, row[None], q[None])[0], row) for row in z]
    )
