"""Policies: an encoding of observations, a network, a family of action laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import skip_init

from trpo.distributions import Bernoulli, Categorical, DiagonalGaussian, Distribution, MultiCategorical
from trpo.normaliser import Normaliser
from trpo.threads import threads

Kind = Literal["tabular", "linear", "mlp", "conv"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


def family_of(space: gymnasium.Space[Any]) -> Distribution:
    """Return the family of laws over a space of actions.

    Raises
    ------
    ValueError
        If there is none: only Discrete, MultiDiscrete, MultiBinary and Box of reals have one.
    """
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return MultiCategorical(tuple(int(n) for n in space.nvec))
    if isinstance(space, spaces.MultiBinary) and len(space.shape) == 1:
        return Bernoulli(int(space.shape[0]))
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return DiagonalGaussian(int(np.prod(space.shape)))
    raise ValueError(f"no policy for the action space {space}; expected Discrete, MultiDiscrete, MultiBinary or a Box of floats")


class Encoder:
    """Observations of a space as network inputs: one-hot for discrete parts, reals as they are, images scaled to [0, 1].

    Raises
    ------
    ValueError
        If the space has no encoding: Discrete, MultiDiscrete, MultiBinary and Box have one.
    """

    def __init__(self, space: gymnasium.Space[Any], *, image: bool = False, dtype: torch.dtype = torch.float32) -> None:
        self.space, self.image, self.dtype = space, image, dtype
        if isinstance(space, spaces.Discrete):
            self.sizes: tuple[int, ...] = (int(space.n),)
        elif isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
            self.sizes = tuple(int(n) for n in space.nvec)
        elif isinstance(space, spaces.Box | spaces.MultiBinary):
            self.sizes = ()
        else:
            raise ValueError(
                f"no encoding of the observation space {space}; expected Discrete, MultiDiscrete, MultiBinary or Box"
            )
        if image and (len(space.shape or ()) != 3 or self.sizes):
            raise ValueError(f"a convolutional policy needs images; the observation space is {space}")

    @property
    def features(self) -> int:
        """Number of inputs a state."""
        return sum(self.sizes) or int(np.prod(self.space.shape or ()))

    @property
    def scale(self) -> float:
        """Factor of reals: 1/255 for images in bytes, else 1."""
        return 1 / 255 if self.image and self.space.dtype == np.uint8 else 1.0

    def __call__(self, observations: NDArray[Any]) -> Tensor:
        """Encode observations [N, *shape] as inputs [N, features], or [N, channels, height, width] for images.

        Raises
        ------
        ValueError
            If their shape is not that of the space, or an entry is nan, infinite or no member of a discrete part; the
            message names the row.
        """
        given = np.asarray(observations)
        shape = self.space.shape or ()
        if not given.ndim or given.shape[1:] != shape:
            raise ValueError(
                f"observations have shape {given.shape}; expected [N, ...] with {shape} for each state of {self.space}"
            )
        if self.sizes:
            index = given.reshape(len(given), len(self.sizes)) - np.reshape(getattr(self.space, "start", 0), -1)
            outside = ~((index >= 0) & (index < self.sizes) & (index == np.floor(index))).all(1)
            if outside.any():
                row = int(outside.argmax())
                raise ValueError(f"observation {row} of {len(given)} lies outside {self.space}: {given[row]!r}")
            columns = torch.from_numpy(index.astype(np.int64)).unbind(1)
            return torch.cat([nn.functional.one_hot(i, n) for i, n in zip(columns, self.sizes, strict=True)], -1).to(self.dtype)
        inputs = torch.tensor(given, dtype=self.dtype)  # a copy: torch's memory is aligned, on which last bits may depend
        if not np.isfinite(inputs.numpy()).all():
            row = int((~torch.isfinite(inputs)).reshape(len(inputs), -1).any(-1).nonzero()[0, 0])
            raise ValueError(f"observation {row} of {len(inputs)} has a nan or infinite entry: {given[row]!r}")
        if not self.image:
            return inputs.reshape(len(inputs), self.features)
        inputs = inputs * self.scale
        return inputs.movedim(-1, 1) if shape[-1] in (1, 3, 4) else inputs


class Policy(nn.Module):
    """pi(a|s): ``forward`` maps encoded observations [N,...] to the parameters z [N,K] of action laws.

    Where ``log_std`` is a parameter, the deviations of a Gaussian do not depend on the state: the paper's policy (appendix D).
    Build one with :func:`make_policy`, or give any network with the right outputs.
    """

    def __init__(
        self,
        network: nn.Module,
        family: Distribution,
        encode: Encoder,
        log_std: Tensor | None = None,
        normaliser: Normaliser | None = None,
    ) -> None:
        super().__init__()
        self.log_std = None if log_std is None else nn.Parameter(log_std)  # first in the order of parameters
        self.network = network
        self.family = family
        self.encode = encode
        self.normaliser = normaliser

    def inputs(self, observations: NDArray[Any]) -> Tensor:
        """Encode raw observations [N, *shape], normalise them if the policy does, and move them to its device."""
        encoded = self.encode(observations).to(self.device)
        return encoded if self.normaliser is None else self.normaliser(encoded)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return z [N,K]."""
        z: Tensor = self.network(inputs)
        return z if self.log_std is None else torch.cat([z, self.log_std.expand(len(z), -1)], -1)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device


def make_network(
    kind: Kind,
    encode: Encoder,
    outputs: int,
    *,
    hidden: Sequence[int] = (64, 64),
    activation: str = "tanh",
    last_gain: float = 0.01,
    seed: int = 0,
) -> nn.Module:
    """Build a network from encoded observations to ``outputs`` columns, with orthogonal weights and zero biases.

    ``tabular`` is one free row for each discrete observation, zero at first; ``linear`` has no hidden layer; ``conv`` is the
    paper's for images: two layers of 16 channels, stride 2, kernel 4, and one of 20 units (appendix D). torch's global random
    numbers are left alone.

    Raises
    ------
    ValueError
        If a name is unknown, the observations do not suit the kind, a width is below 1 or the seed negative.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
    if not (isinstance(hidden, Sequence) and all(isinstance(width, int | np.integer) and width >= 1 for width in hidden)):
        raise ValueError(f"hidden is {hidden!r}; expected a width of at least 1 for each hidden layer, such as (64, 64)")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed is {seed!r}; expected an integer of at least 0")
    generator = torch.Generator().manual_seed(int(seed))

    def initialised(layer: nn.Module, gain: float) -> nn.Module:
        with threads(1):  # so that a seed means the same weights whatever number is set
            nn.init.orthogonal_(layer.weight.data, gain, generator=generator)  # type: ignore[arg-type]
        nn.init.zeros_(layer.bias.data)  # type: ignore[arg-type]
        return layer

    if kind == "tabular":
        if len(encode.sizes) != 1:
            raise ValueError(f"a tabular policy needs a Discrete observation space; it is {encode.space}")
        table = skip_init(nn.Linear, encode.features, outputs, bias=False)
        nn.init.zeros_(table.weight)
        return nn.Sequential(table).to(encode.dtype)
    if kind == "conv":
        channels, height, width = encode(np.zeros((1, *(encode.space.shape or ())), dtype=encode.space.dtype)).shape[1:]
        for _ in range(2):
            height, width = (height - 4) // 2 + 1, (width - 4) // 2 + 1
        if min(height, width) < 1:
            raise ValueError(f"images of {encode.space.shape} are too small for two convolutions of kernel 4 and stride 2")
        return nn.Sequential(
            initialised(skip_init(nn.Conv2d, channels, 16, 4, 2), 2**0.5),
            nn.ReLU(),
            initialised(skip_init(nn.Conv2d, 16, 16, 4, 2), 2**0.5),
            nn.ReLU(),
            nn.Flatten(),
            initialised(skip_init(nn.Linear, 16 * height * width, 20), 2**0.5),
            nn.ReLU(),
            initialised(skip_init(nn.Linear, 20, outputs), last_gain),
        ).to(encode.dtype)
    if kind not in ("linear", "mlp"):
        raise ValueError(f"unknown kind of policy {kind!r}; expected tabular, linear, mlp or conv")
    widths = [encode.features, *(hidden if kind == "mlp" else ())]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [initialised(skip_init(nn.Linear, before, after), 2**0.5), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, initialised(skip_init(nn.Linear, widths[-1], outputs), last_gain)).to(encode.dtype)


def make_policy(
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    kind: Kind = "mlp",
    *,
    hidden: Sequence[int] = (64, 64),
    activation: str = "tanh",
    std: Literal["free", "state"] = "free",
    init_log_std: float = 0.0,
    normalise: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Policy:
    """Build a policy between two spaces.

    Parameters
    ----------
    observation_space, action_space
        Gymnasium spaces: Box, Discrete, MultiDiscrete or MultiBinary.
    kind, hidden, activation
        See :func:`make_network`.
    std
        Deviations of a Gaussian: ``"free"``, the same in all states (the paper), or ``"state"``, put out by the network
        (the note).
    init_log_std
        Their first logarithm.
    normalise
        Whether inputs are shifted and scaled by running moments (real observations only).
    seed
        For the weights.
    dtype
        Precision of weights and inputs.

    Raises
    ------
    ValueError
        As :func:`family_of`, :class:`Encoder` and :func:`make_network`, or if ``init_log_std`` is not finite.
    """
    family = family_of(action_space)
    encode = Encoder(observation_space, image=kind == "conv", dtype=dtype)
    gaussian = isinstance(family, DiagonalGaussian)
    if std not in ("free", "state"):
        raise ValueError(f"std is {std!r}; expected 'free' or 'state'")
    if not math.isfinite(init_log_std):
        raise ValueError(f"init_log_std is {init_log_std!r}; expected a finite number, the logarithm of a deviation")
    outputs = family.D if gaussian and std == "free" else family.K
    network = make_network(kind, encode, outputs, hidden=hidden, activation=activation, seed=seed)
    log_std = torch.full((family.D,), float(init_log_std), dtype=dtype) if gaussian and std == "free" else None
    if gaussian and std == "state":
        last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
        (last.weight if last.bias is None else last.bias).data[family.D :] = init_log_std  # a table has weights only
    if normalise and not (isinstance(observation_space, spaces.Box) and kind != "conv"):
        raise ValueError(f"only vectors of reals can be normalised, not the observation space {observation_space}")
    return Policy(network, family, encode, log_std, Normaliser((encode.features,)) if normalise else None)
