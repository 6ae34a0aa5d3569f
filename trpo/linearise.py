"""A network at a batch of inputs, as trust regions need it: outputs, and products with its Jacobian and the transpose.

With J the Jacobian of the outputs z [N,K] in the parameters theta [P], everything of second order here is made of ``J v`` and
``J' u``: the Fisher matrix is J' M J (TRPO, arXiv:1502.05477v5, appendix C.1), and no derivative is ever taken twice.

Chains of linear layers and activations, by far the commonest policies, have their products written out over activations
that are kept from one forward pass. Any other module goes through ``torch.func``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_Slope = Callable[[Tensor], Tensor]

SLOPES: dict[type[nn.Module], _Slope] = {
    nn.Tanh: lambda a: 1 - a * a,
    nn.ReLU: lambda a: (a > 0).to(a.dtype),
}
"""Derivatives of the activations that are written out, as functions of their value."""

BLOCK = 2048
"""Rows taken at a time: the activations of so many stay in the cache."""


@dataclass(frozen=True, eq=False)
class Linearised:
    """A network at inputs of N rows. Products are exact to rounding; none keeps or needs an autograd graph."""

    outputs: Tensor  # [N, K] at the parameters it was made at
    theta: Tensor  # [P] those parameters, a copy
    jvp: Callable[[Tensor], Tensor]  # v [P] -> J v [N, K]
    vjp: Callable[[Tensor], Tensor]  # u [N, K] -> J' u [P]
    at: Callable[[Tensor], Tensor]  # parameters [P] -> outputs there [N, K]


def flat_parameters(module: nn.Module) -> Tensor:
    """Copy all parameters into one vector [P], in the order of ``module.parameters()``."""
    return torch.cat([p.detach().reshape(-1) for p in module.parameters()])


def set_parameters(module: nn.Module, theta: Tensor) -> None:
    """Copy a vector [P] into the parameters, in the order of ``flat_parameters``.

    Raises
    ------
    ValueError
        If it has another length.
    """
    parameters = list(module.parameters())
    size = sum(p.numel() for p in parameters)
    if theta.shape != (size,):
        raise ValueError(f"theta has shape {tuple(theta.shape)}; the module has {size} parameters, expected ({size},)")
    with torch.no_grad():
        for p, part in zip(parameters, theta.split([p.numel() for p in parameters]), strict=True):
            p.copy_(part.view_as(p))


def linearise(module: nn.Module, inputs: Tensor) -> Linearised:
    """Linearise a module that maps inputs [N,...] to outputs [N,K], at its present parameters.

    A module with an attribute ``chain()`` that returns the layers of a chain (see :class:`trpo.policies.Policy`), or a
    ``nn.Sequential`` of linear layers, ``Tanh`` and ``ReLU``, takes the written-out route.
    """
    with torch.no_grad():
        layers = _chain(module)
        if layers is None:
            return _by_torch(module, inputs)
        theta, extra = flat_parameters(module), _extra(module)
        if len(inputs) <= BLOCK:
            return _by_hand(layers, theta, inputs, extra)
        return _stack([_by_hand(layers, theta, block, extra) for block in inputs.split(BLOCK)])


@dataclass(frozen=True)
class _Layer:
    shape: tuple[int, int]  # (out, in)
    bias: bool
    slope: _Slope | None
    activation: nn.Module | None


def _chain(module: nn.Module) -> list[_Layer] | None:
    network = getattr(module, "network", module)
    if not isinstance(network, nn.Sequential):
        return None
    layers: list[_Layer] = []
    for part in network:
        if type(part) is nn.Linear:
            layers.append(_Layer((part.out_features, part.in_features), part.bias is not None, None, None))
        elif type(part) in SLOPES and layers and layers[-1].slope is None:
            last = layers.pop()
            layers.append(_Layer(last.shape, last.bias, SLOPES[type(part)], part))
        else:
            return None
    return layers or None


def _extra(module: nn.Module) -> int:
    """How many columns of the output are free parameters, the same for every input: they come first in theta."""
    free = getattr(module, "log_std", None)
    return 0 if free is None else int(free.numel())


def _weights(layers: Sequence[_Layer], theta: Tensor, start: int) -> Iterator[tuple[_Layer, Tensor, Tensor | None]]:
    for layer in layers:
        out, width = layer.shape
        weight = theta[start : start + out * width].view(out, width)
        start += out * width
        bias = theta[start : start + out] if layer.bias else None
        start += out if layer.bias else 0
        yield layer, weight, bias


def _by_hand(layers: list[_Layer], theta: Tensor, inputs: Tensor, extra: int) -> Linearised:
    def run(parameters: Tensor, keep: list[Tensor] | None = None) -> Tensor:
        a = inputs
        for layer, weight, bias in _weights(layers, parameters, extra):
            if keep is not None:
                keep.append(a)
            a = nn.functional.linear(a, weight, bias)
            if layer.activation is not None:
                a = layer.activation(a)
        return torch.cat([a, parameters[:extra].expand(len(a), -1)], -1) if extra else a

    entering: list[Tensor] = []
    outputs = run(theta, entering)
    leaving = [*entering[1:], outputs[:, : layers[-1].shape[0]]]
    slopes = [None if layer.slope is None else layer.slope(a) for layer, a in zip(layers, leaving, strict=True)]
    fixed = list(_weights(layers, theta, extra))

    def jvp(v: Tensor) -> Tensor:
        moved: Tensor | None = None
        for k, (_, weight, bias) in enumerate(_weights(layers, v, extra)):
            linear = nn.functional.linear(entering[k], weight, bias)
            moved = linear if moved is None else torch.addmm(linear, moved, fixed[k][1].T)
            slope = slopes[k]
            moved = moved if slope is None else moved.mul_(slope)
        assert moved is not None
        return torch.cat([moved, v[:extra].expand(len(moved), -1)], -1) if extra else moved

    def vjp(u: Tensor) -> Tensor:
        product = torch.empty_like(theta)
        width = layers[-1].shape[0]
        product[:extra] = u[:, width:].sum(0)
        back = u[:, :width] if extra else u
        into = list(_weights(layers, product, extra))
        for k in reversed(range(len(layers))):
            slope = slopes[k]
            back = back if slope is None else back * slope
            torch.mm(back.T, entering[k], out=into[k][1])
            bias = into[k][2]
            if bias is not None:
                torch.sum(back, 0, out=bias)
            if k:
                back = back @ fixed[k][1]
        return product

    return Linearised(outputs, theta, jvp, vjp, run)


def _stack(blocks: list[Linearised]) -> Linearised:
    """Blocks of rows as one."""
    sizes = [len(block.outputs) for block in blocks]

    def jvp(v: Tensor) -> Tensor:
        return torch.cat([block.jvp(v) for block in blocks])

    def vjp(u: Tensor) -> Tensor:
        return torch.stack([block.vjp(part) for block, part in zip(blocks, u.split(sizes), strict=True)]).sum(0)

    def at(theta: Tensor) -> Tensor:
        return torch.cat([block.at(theta) for block in blocks])

    return Linearised(torch.cat([block.outputs for block in blocks]), blocks[0].theta, jvp, vjp, at)


def _by_torch(module: nn.Module, inputs: Tensor) -> Linearised:
    names = [name for name, _ in module.named_parameters()]
    shapes = [p.shape for p in module.parameters()]
    sizes = [p.numel() for p in module.parameters()]
    buffers = dict(module.named_buffers())

    def run(parameters: Tensor) -> Tensor:
        named = {n: part.view(s) for n, s, part in zip(names, shapes, parameters.split(sizes), strict=True)}
        return torch.func.functional_call(module, {**named, **buffers}, (inputs,))

    theta = flat_parameters(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of its own constant folding, which tells a caller nothing
        outputs, jvp = torch.func.linearize(run, theta)
    _, vjp = torch.func.vjp(run, theta)
    return Linearised(outputs, theta, jvp, lambda u: vjp(u)[0], run)
