"""A network at a batch of inputs, as trust regions need it: outputs, and products with its Jacobian and the transpose.

With J the Jacobian of the outputs z [N,K] in the parameters theta [P], everything of second order here is made of ``J v`` and
``J' u``: the Fisher matrix is J' M J (TRPO, arXiv:1502.05477v5, appendix C.1), and no derivative is ever taken twice.

Chains of linear layers and activations, by far the commonest policies, have their products written out over activations
that are kept from one forward pass. Any other module goes through ``torch.func``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trpo.policies import Policy

_Function = Callable[[Tensor], Tensor]


def _tanh(h: Tensor) -> Tensor:
    """In place; on a CPU by numpy, whose tanh is as accurate as torch's and ten times as fast.

    In place, because the last bits of a matrix product may depend on where in memory its factors lie, and torch aligns
    what it allocates while numpy does not.
    """
    if h.device.type != "cpu":
        return h.tanh_()
    np.tanh(h.numpy(), out=h.numpy())
    return h


_aten: Any = torch.ops.aten
ACTIVATIONS: dict[type[nn.Module], tuple[_Function, Callable[[Tensor, Tensor], Tensor]]] = {
    nn.Tanh: (_tanh, lambda v, a: _aten.tanh_backward.grad_input(v, a, grad_input=v)),
    nn.ReLU: (torch.relu, lambda v, a: _aten.threshold_backward.grad_input(v, a, 0, grad_input=v)),
}
"""Activations that are written out: the function, and what scales v by its derivative where its value is a, in place."""

BLOCK = 2048
"""Rows taken at a time: the activations of so many stay in the cache."""


@dataclass(frozen=True)
class Products:
    """Products with a matrix of N blocks of r rows."""

    jvp: _Function  # v [P] -> [N, r]
    vjp: _Function  # u [N, r] -> [P], by the transpose


@dataclass(frozen=True, eq=False)
class Linearised:
    """A network at inputs of N rows. Products are exact to rounding; none keeps or needs an autograd graph."""

    outputs: Tensor  # [N, K] at the parameters it was made at
    theta: Tensor  # [P] those parameters, a copy
    jvp: _Function  # v [P] -> J v [N, K]
    vjp: _Function  # u [N, K] -> J' u [P]
    at: _Function  # parameters [P] -> outputs there [N, K]
    times: Callable[[Tensor], Products]
    """R -> products with R J for many vectors: R [N,r,K] holds a matrix for every block of J, [N,K] if all are diagonal."""


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

    A ``nn.Sequential`` of linear layers, ``Tanh`` and ``ReLU``, or a :class:`trpo.policies.Policy` whose network is one, takes
    the written-out route. Its hooks are not called.
    """
    with torch.no_grad():
        layers = _chain(module) if inputs.ndim == 2 else None
        if layers is None:
            return _by_torch(module, inputs)
        theta, extra = flat_parameters(module), _extra(module)
        if len(inputs) <= BLOCK:
            return _by_hand(layers, theta, inputs, extra)
        return _stack([_by_hand(layers, theta, block, extra) for block in inputs.split(BLOCK)])


def forward(module: nn.Module) -> _Function:
    """Return inputs [N,...] -> outputs [N,K], without a graph, by the same route as ``linearise``.

    The parameters are read once: later changes of the module do not change what is returned.
    """
    layers, theta, extra = _chain(module), flat_parameters(module), _extra(module)
    fixed = list(_weights(layers or (), theta, extra))

    def outputs(inputs: Tensor) -> Tensor:
        if not fixed or inputs.ndim != 2:
            with torch.no_grad():
                return _by_torch_at(module, theta, inputs)
        if len(inputs) <= BLOCK:
            return _run(fixed, theta[:extra], inputs)
        return torch.cat([_run(fixed, theta[:extra], block) for block in inputs.split(BLOCK)])

    return outputs


@dataclass(frozen=True)
class _Layer:
    shape: tuple[int, int]  # (out, in)
    bias: bool
    activation: _Function | None = None
    scaled: Callable[[Tensor, Tensor], Tensor] | None = None


_Weighted = tuple[_Layer, Tensor, Tensor | None]


def _chain(module: nn.Module) -> list[_Layer] | None:
    policy = _policy(module)
    network = module if policy is None else policy.network
    if type(network) is not nn.Sequential:
        return None
    layers: list[_Layer] = []
    for part in network:
        if type(part) is nn.Linear:
            layers.append(_Layer((part.out_features, part.in_features), part.bias is not None))
        elif type(part) in ACTIVATIONS and layers and layers[-1].activation is None:
            last = layers.pop()
            layers.append(_Layer(last.shape, last.bias, *ACTIVATIONS[type(part)]))
        else:
            return None
    written = sum(layer.shape[0] * (layer.shape[1] + layer.bias) for layer in layers) + _extra(module)
    return layers if layers and written == sum(p.numel() for p in module.parameters()) else None  # more, where layers are shared


def _policy(module: nn.Module) -> Policy | None:
    """A policy whose outputs are its network's: one with a ``forward`` of its own may do anything."""
    return module if isinstance(module, Policy) and type(module).forward is Policy.forward else None


def _extra(module: nn.Module) -> int:
    """How many columns of the output are free parameters, the same for every input: they come first in theta."""
    policy = _policy(module)
    return 0 if policy is None or policy.log_std is None else int(policy.log_std.numel())


def _weights(layers: Sequence[_Layer], theta: Tensor, start: int) -> Iterator[_Weighted]:
    for layer in layers:
        out, width = layer.shape
        weight = theta[start : start + out * width].view(out, width)
        start += out * width
        bias = theta[start : start + out] if layer.bias else None
        start += out if layer.bias else 0
        yield layer, weight, bias


def _run(layers: Iterable[_Weighted], free: Tensor, inputs: Tensor, keep: list[Tensor] | None = None) -> Tensor:
    """Outputs [N,K]; what enters each layer is appended to ``keep``."""
    a = inputs
    for layer, weight, bias in layers:
        if keep is not None:
            keep.append(a)
        a = nn.functional.linear(a, weight, bias)
        if layer.activation is not None:
            a = layer.activation(a)
    return torch.cat([a, free.expand(len(a), -1)], -1) if len(free) else a


def _by_hand(layers: list[_Layer], theta: Tensor, inputs: Tensor, extra: int) -> Linearised:
    entering: list[Tensor] = []
    fixed = list(_weights(layers, theta, extra))
    outputs = _run(fixed, theta[:extra], inputs, entering)
    width = layers[-1].shape[0]
    leaving = [*entering[1:], outputs[:, :width]]

    def jvp(v: Tensor) -> Tensor:
        moved: Tensor | None = None
        for k, (_, weight, bias) in enumerate(_weights(layers, v, extra)):
            linear = nn.functional.linear(entering[k], weight, bias)
            moved = linear if moved is None else linear.addmm_(moved, fixed[k][1].T)
            scaled = layers[k].scaled
            moved = moved if scaled is None else scaled(moved, leaving[k])
        assert moved is not None
        return torch.cat([moved, v[:extra].expand(len(moved), -1)], -1) if extra else moved

    def vjp(u: Tensor) -> Tensor:
        product = torch.empty_like(theta)
        product[:extra] = u[:, width:].sum(0)
        back = u[:, :width] if extra else u
        back = back if layers[-1].scaled is None else back.clone()
        into = list(_weights(layers, product, extra))
        for k in reversed(range(len(layers))):
            scaled = layers[k].scaled
            back = back if scaled is None else scaled(back, leaving[k])
            _gather(into[k], back, entering[k])
            if k:
                back = back @ fixed[k][1]
        return product

    def at(parameters: Tensor) -> Tensor:
        return _run(_weights(layers, parameters, extra), parameters[:extra], inputs)

    def times(R: Tensor) -> Products:
        return _by_signals(layers, theta, entering, extra, R) or _composed(R, jvp, vjp)

    return Linearised(outputs, theta, jvp, vjp, at, times)


def _composed(R: Tensor, jvp: _Function, vjp: _Function) -> Products:
    if R.ndim == 2:
        return Products(lambda v: R * jvp(v), lambda u: vjp(R * u))
    return Products(lambda v: (R @ jvp(v).unsqueeze(2)).squeeze(2), lambda u: vjp((u.unsqueeze(1) @ R).squeeze(1)))


def _gather(into: _Weighted, back: Tensor, a: Tensor) -> None:
    """Write the sum over rows of ``back`` (x) ``a`` into a layer's weight, and that of ``back`` into its bias."""
    _, weight, bias = into
    if weight.shape[1] < weight.shape[0]:  # the order of a thin product matters much to its speed
        weight.copy_(torch.mm(a.T, back).T)
    else:
        torch.mm(back.T, a, out=weight)
    if bias is not None:
        torch.sum(back, 0, out=bias)


def _few_rows(layers: list[_Layer], rows: int) -> bool:
    """Whether ``_by_signals`` is the faster: it saves the products between hidden layers, and makes a pass for each row of R."""
    hidden, last = layers[:-1], layers[-1]
    saved = sum(layer.shape[0] * layer.shape[1] for layer in hidden[1:])
    return last.activation is None and 0 < 8 * rows * sum(layer.shape[0] for layer in hidden) < saved


def _by_signals(layers: list[_Layer], theta: Tensor, entering: list[Tensor], extra: int, R: Tensor) -> Products | None:
    """Products with R J where R has few rows; None where it has many.

    How each row depends on what each layer puts out is found once and kept. With S_j [N,H] the derivative of row j of R z in
    that, the layer's weights V move it by the row sums of S_j * (a V'), and u brings (sum_j u_j S_j)' a back to them: nothing has
    to be carried through other layers.
    """
    width = layers[-1].shape[0]
    if R.ndim == 2:
        if not _few_rows(layers, width):
            return None
        R = torch.diag_embed(R)
    of_free = R[..., width:]
    moving = R[..., :width].count_nonzero((0, 2)).nonzero().squeeze(1).tolist()  # rows that depend on the network
    if not _few_rows(layers, len(moving)):
        return None
    fixed = list(_weights(layers, theta, extra))
    signals = [[R[:, j, :width].contiguous() for j in moving]]  # S of every layer, for each of these rows
    for k in range(len(layers) - 2, -1, -1):
        weight, scaled = fixed[k + 1][1], layers[k].scaled
        back = [s @ weight for s in signals[0]]
        signals.insert(0, back if scaled is None else [scaled(s, entering[k + 1]) for s in back])

    def jvp(v: Tensor) -> Tensor:
        columns = list((of_free @ v[:extra] if extra else v.new_zeros(R.shape[:2])).unbind(1))
        for (_, weight, bias), a, of_layer in zip(_weights(layers, v, extra), entering, signals, strict=True):
            linear = nn.functional.linear(a, weight, bias)
            for j, signal in zip(moving, of_layer, strict=True):
                product = linear.mul_(signal) if j == moving[-1] else linear * signal
                columns[j] = columns[j] + product.sum(1)
        return torch.stack(columns, 1)

    def vjp(u: Tensor) -> Tensor:
        product = torch.empty_like(theta)
        if extra:
            product[:extra] = torch.tensordot(u, of_free, 2)
        shares = [u[:, j, None] for j in moving]
        for into, a, of_layer in zip(_weights(layers, product, extra), entering, signals, strict=True):
            back = of_layer[0] * shares[0]
            for share, signal in zip(shares[1:], of_layer[1:], strict=True):
                back.addcmul_(signal, share)
            _gather(into, back, a)
        return product

    return Products(jvp, vjp)


def _stack(blocks: list[Linearised]) -> Linearised:
    """Blocks of rows as one."""
    sizes = [len(block.outputs) for block in blocks]

    def times(R: Tensor) -> Products:
        parts = [block.times(part) for block, part in zip(blocks, R.split(sizes), strict=True)]
        return _stacked([part.jvp for part in parts], [part.vjp for part in parts], sizes)

    def at(theta: Tensor) -> Tensor:
        return torch.cat([block.at(theta) for block in blocks])

    plain = _stacked([block.jvp for block in blocks], [block.vjp for block in blocks], sizes)
    outputs = torch.cat([block.outputs for block in blocks])
    return Linearised(outputs, blocks[0].theta, plain.jvp, plain.vjp, at, times)


def _stacked(jvps: list[_Function], vjps: list[_Function], sizes: list[int]) -> Products:
    def jvp(v: Tensor) -> Tensor:
        return torch.cat([of_block(v) for of_block in jvps])

    def vjp(u: Tensor) -> Tensor:
        return torch.stack([of_block(part) for of_block, part in zip(vjps, u.split(sizes), strict=True)]).sum(0)

    return Products(jvp, vjp)


def _by_torch_at(module: nn.Module, theta: Tensor, inputs: Tensor) -> Tensor:
    """Outputs of any module at parameters [P], which functional transforms may go through."""
    parameters = list(module.parameters())
    parts = zip(parameters, theta.split([p.numel() for p in parameters]), strict=True)
    given = {p: part.view(p.shape) for p, part in parts}
    named = dict(module.named_buffers())
    for prefix, layer in module.named_modules():  # a shared layer once, a shared parameter in every layer: else the module breaks
        for name, p in layer.named_parameters(recurse=False, remove_duplicate=False):
            named[f"{prefix}.{name}" if prefix else name] = given[p]
    outputs: Tensor = torch.func.functional_call(module, named, (inputs,), tie_weights=False)
    return outputs


def _by_torch(module: nn.Module, inputs: Tensor) -> Linearised:
    def run(parameters: Tensor) -> Tensor:
        return _by_torch_at(module, parameters, inputs)

    theta = flat_parameters(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own constant folding and parts, which tell a caller nothing
        outputs, jvp = torch.func.linearize(run, theta)
    _, pull = torch.func.vjp(run, theta)  # type: ignore[misc]  # annotated as if it had auxiliary outputs

    def vjp(u: Tensor) -> Tensor:
        product: Tensor = pull(u)[0]
        return product

    return Linearised(outputs, theta, jvp, vjp, run, lambda R: _composed(R, jvp, vjp))
