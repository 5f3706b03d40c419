"""VGG-19 forward and backward, one node of the autograd graph for each block, which keeps the least that it needs.

The filters are frozen, so the gradient of a convolution needs no input: it is a convolution with the filters turned and
transposed. A ReLU needs one byte a value, average pooling nothing. Left to autograd, every activation would live until
the backward pass. What a block keeps goes when the gradient has passed it. Inside, tensors are in the memory format
that the network's convolutions take as they are.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lab.network.architecture import Layer
from nst_lab.network.convolutions import convolution

if TYPE_CHECKING:
    from nst_lab.network.vgg import VGG19

aten = torch.ops.aten
PIECE_VALUES = 2**18  # of a gradient that is brought together with a mask
UNPAD = {"replicate": aten.replication_pad2d_backward, "reflect": aten.reflection_pad2d_backward}


def given_out(layers: Sequence[Layer], taps: frozenset[str]) -> list[str]:
    """The names of what a block gives, in network order: the taps among its layers, and the last of them."""
    return [layer.name for layer in layers if layer.name in taps or layer is layers[-1]]


class Block(torch.autograd.Function):
    """`apply(x, network, layers)`: what consecutive layers of a network make of x (B, C, H, W): those `given_out`."""

    @staticmethod
    def forward(context: Any, x: Tensor, network: "VGG19", layers: Sequence[Layer]) -> tuple[Tensor, ...]:
        context.set_materialize_grads(False)
        context.network, context.layers, context.type = network, layers, x.dtype
        context.format = torch.contiguous_format if x.is_contiguous() else torch.channels_last
        context.given = given_out(layers, network.taps)
        context.workspace = network.workspace(layers[0], x)
        context.shapes, kept, out = [], [], []  # of each layer; kept: what the backward pass of a ReLU or pooling needs
        x = x.to(network.compute_type).contiguous(memory_format=network.memory_format)
        for layer in layers:
            context.shapes.append(x.shape)
            needed: Tensor | None = None
            if layer.kind == "conv":
                x = _convolve(x, *network.filters(layer.name), context.workspace)
            elif layer.kind == "relu":
                # In place, but for a tapped pre-activation, which it would overwrite.
                x = F.relu(x, inplace=layer.name.replace("relu", "conv") not in network.taps)
                # Which are greater than 0: none is less. Comparing takes five times as long, in bfloat16 ten times.
                needed = x.bool() if context.needs_input_grad[0] else None
            else:
                x, needed = _pool(x, network.pooling)
            kept.append(needed)
            if layer.name in context.given:
                out.append(x)
        context.save_for_backward(*kept)
        return tuple(out)

    @staticmethod
    def backward(context: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:
        network, left = context.network, list(gradients)
        x: Tensor | None = None  # the gradient so far
        steps = list(zip(context.layers, context.saved_tensors, context.shapes, strict=True))
        for layer, needed, shape in reversed(steps):
            if layer.name in context.given:
                x = _joined(x, left.pop(), network.memory_format)
            if x is None:
                continue
            if layer.kind == "conv":
                turned, padding = network.turned_filters(layer.name)
                x = _convolve_back(x, turned, padding, context.workspace)
            elif layer.kind == "relu":
                _switch_off(x, needed)
            else:
                x = _pool_back(x, needed, shape, network.memory_format)
        return (None if x is None else x.to(context.type, memory_format=context.format)), None, None


def _convolve(x: Tensor, weight: Tensor, bias: Tensor, padding: str, workspace: int) -> Tensor:
    if padding == "zeros":
        return convolution(x, weight, bias, 1, workspace=workspace)
    return convolution(F.pad(x, (1, 1, 1, 1), mode=padding), weight, bias, 0, workspace=workspace)


def _convolve_back(gradient: Tensor, turned: Tensor, padding: str, workspace: int) -> Tensor:
    if padding == "zeros":
        return convolution(gradient, turned, None, 1, workspace=workspace)
    padded = convolution(gradient, turned, None, 2, workspace=workspace)
    unpadded: Tensor = UNPAD[padding](padded, padded[..., 1:-1, 1:-1], (1, 1, 1, 1))
    return unpadded


def _switch_off(gradient: Tensor, on: Tensor) -> None:
    """Zero where a ReLU was off, by a product: several times faster on CPUs than filling by a mask.

    There in pieces, whose masks stay in the cache once they are brought to the gradient's type: four times faster.
    """
    dimension = 1 if gradient.is_contiguous() else 2  # the outermost in memory
    pieces = -(-gradient.numel() // PIECE_VALUES) if gradient.is_cpu else 1
    parts = zip(gradient.chunk(pieces, dimension), on.view(torch.int8).chunk(pieces, dimension), strict=True)
    for part, mask in parts:
        part.mul_(mask)


def _pool(x: Tensor, pooling: str) -> tuple[Tensor, Tensor | None]:
    """Over 2x2 positions, an odd last row or column left out; of `max`, also where the greatest ones were."""
    if pooling == "avg":
        return F.avg_pool2d(x, 2), None
    return F.max_pool2d(x, 2, return_indices=True)


def _pool_back(gradient: Tensor, places: Tensor | None, shape: torch.Size, format: torch.memory_format) -> Tensor:
    height, width = shape[-2:]
    if places is not None:
        like = gradient.new_empty(shape).contiguous(memory_format=format)  # only its shape is read
        back: Tensor = aten.max_pool2d_with_indices_backward(
            gradient, like, (2, 2), (2, 2), (0, 0), (1, 1), False, places
        )
        return back
    spread = F.interpolate(gradient / 4, scale_factor=2, mode="nearest")
    return F.pad(spread, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else spread


def _joined(gradient: Tensor | None, given: Tensor | None, format: torch.memory_format) -> Tensor | None:
    """The gradient of the layers above and that of what was given out, in memory of its own."""
    if given is None:
        return gradient
    return given.clone(memory_format=format) if gradient is None else gradient.add_(given)
