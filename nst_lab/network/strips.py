"""The first blocks of VGG-19 strip by strip: the same activations and gradients in a fraction of the memory.

What large pictures fill is the activations of the first two blocks, which count mostly for sums over all positions
(Gram matrices, means). A strip of a block's input, with as many rows above and below as the block's convolutions look
beyond, gives the block's output there and what these rows add to the sums; on the way back it is computed again. Rows
that have seen the strip's edge in place of the picture are cut off, so nothing is approximated. It costs the forward
pass of two blocks and the rows beyond: a fifth of an evaluation at 1024 px.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nst_lab.network.architecture import Layer
from nst_lab.network.passes import Block, given_out

if TYPE_CHECKING:
    from nst_lab.network.vgg import VGG19

STRIPED = ("1", "2")  # blocks: they take most of the memory and a quarter of the work
STRIP_VALUES = 2**23  # of the widest activation of a strip


@dataclass(frozen=True)
class Sum:
    """Tensors that are sums over the positions of a layer.

    `of(features, rows, height)` is what the activations of these rows, of so many in all, add to them.
    """

    layer: str
    of: Callable[[Tensor, slice, int], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Strip:
    """Rows `start` to `stop` of a block's input, computed from `low` to `high`; all even but the picture's own end."""

    start: int
    stop: int
    low: int
    high: int

    def own(self, layer: Layer) -> slice:
        """Which rows of a layer of the block are its own."""
        return self._rows(layer, 0)

    def within(self, layer: Layer) -> slice:
        """Where they are in what is computed."""
        return self._rows(layer, self.low)

    def _rows(self, layer: Layer, first: int) -> slice:
        step = _step(layer)
        return slice((self.start - first) // step, (self.stop - first) // step)


def _step(layer: Layer) -> int:
    """Rows of the block's input for one of the layer."""
    return 2 if layer.kind == "pool" else 1


def strips(height: int, width: int, layers: Sequence[Layer]) -> list[Strip]:
    """A block's input of this size, cut into strips."""
    reach = sum(layer.kind == "conv" for layer in layers)
    reach += reach % 2
    rows = max(2, STRIP_VALUES // (layers[0].channels * width) // 2 * 2)
    starts = list(range(0, max(height - 1, 1), rows))  # a row alone would be none once it is pooled
    ends = pairwise([*starts, height])
    return [Strip(start, stop, max(0, start - reach), min(height, stop + reach)) for start, stop in ends]


class StripedBlock:
    """Consecutive layers of one block, of which some activations are wanted whole and others only as sums.

    Args:
        network: whose layers they are.
        layers: in network order.
        whole: names of those that are given as they are; the last always is.
        sums: of layers that the network taps.
        type: what activations are brought to before they are summed.
    """

    def __init__(
        self,
        network: "VGG19",
        layers: Sequence[Layer],
        whole: Collection[str],
        sums: Sequence[Sum],
        type: torch.dtype,
    ):
        self.network, self.layers, self.sums, self.type = network, layers, sums, type
        self.named = {layer.name: layer for layer in layers}
        self.whole = [name for name in given_out(layers, network.taps) if name in whole or name == layers[-1].name]
        self.lengths: list[int] = []  # of the sums' tuples

    def __call__(self, x: Tensor) -> tuple[dict[str, Tensor], list[tuple[Tensor, ...]]]:
        """Of x (B, C, H, W) the activations that are given, by name, and the sums."""
        given = list(_InStrips.apply(x, self))
        activations = {name: given.pop(0) for name in self.whole}
        return activations, [tuple(given.pop(0) for _ in range(length)) for length in self.lengths]

    def strips(self, x: Tensor) -> list[Strip]:
        """The strips of x."""
        height, width = x.shape[-2:]
        return strips(height, width, self.layers)

    def evaluate(self, x: Tensor, strip: Strip, height: int) -> list[Tensor]:
        """What a strip gives of the whole activations, and adds to the sums; x from its `low` to its `high`."""
        names = given_out(self.layers, self.network.taps)
        given = dict(zip(names, Block.apply(x, self.network, self.layers), strict=True))
        rows = {name: value[..., strip.within(self.named[name]), :] for name, value in given.items()}
        added = []
        for one in self.sums:
            layer = self.named[one.layer]
            added.append(one.of(rows[one.layer].to(self.type), strip.own(layer), height // _step(layer)))
        self.lengths = [len(each) for each in added]
        return [*(rows[name] for name in self.whole), *(value for each in added for value in each)]

    def room(self, part: Tensor, name: str, x: Tensor) -> Tensor:
        """Memory for a whole activation of x of which there is a part."""
        batch, channels, _, width = part.shape
        shape = (batch, channels, x.shape[-2] // _step(self.named[name]), width)
        return torch.empty(shape, dtype=part.dtype, device=part.device, memory_format=self.network.memory_format)


class _InStrips(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, block: StripedBlock) -> tuple[Tensor, ...]:
        context.set_materialize_grads(False)
        context.block = block
        context.save_for_backward(x)
        height, given, sums = x.shape[-2], list[Tensor](), list[Tensor]()
        for strip in block.strips(x):
            values = block.evaluate(x[..., strip.low : strip.high, :], strip, height)
            parts, added = values[: len(block.whole)], values[len(block.whole) :]
            given = given or [block.room(part, name, x) for name, part in zip(block.whole, parts, strict=True)]
            for name, place, part in zip(block.whole, given, parts, strict=True):
                place[..., strip.own(block.named[name]), :] = part
            sums = [a + b for a, b in zip(sums, added, strict=True)] if sums else added
        return (*given, *sums)

    @staticmethod
    def backward(context: Any, *gradients: Tensor | None) -> tuple[Tensor, None]:
        block, (x,) = context.block, context.saved_tensors
        back = torch.zeros_like(x)
        for strip in block.strips(x):
            seen = x[..., strip.low : strip.high, :].detach().requires_grad_()
            with torch.enable_grad():
                values = block.evaluate(seen, strip, x.shape[-2])
            own = list(gradients)
            for index, name in enumerate(block.whole):
                if (gradient := gradients[index]) is not None:
                    own[index] = gradient[..., strip.own(block.named[name]), :]
            pairs = [(value, each) for value, each in zip(values, own, strict=True) if each is not None]
            if pairs:
                [part] = torch.autograd.grad([value for value, _ in pairs], seen, [each for _, each in pairs])
                back[..., strip.low : strip.high, :] += part
        return back, None
