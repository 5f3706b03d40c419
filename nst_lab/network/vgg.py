"""VGG-19 by layer name: frozen, cut after the deepest tap, one forward pass returns every tap."""

from collections.abc import Callable, Collection, Iterator, Sequence
from copy import copy
from itertools import groupby
from math import prod

import torch
from torch import Tensor, nn

from nst_lab.config.schema import Model
from nst_lab.network.architecture import LAYERS, Layer, layers_up_to
from nst_lab.network.convolutions import has_winograd, most_workspace
from nst_lab.network.passes import Block, given_out
from nst_lab.network.strips import STRIPED, StripedBlock, Sum
from nst_lab.network.weights import Kernel, Weights


class VGG19(nn.Module):
    """The convolutional part of VGG-19 up to the deepest of `taps`.

    Args:
        kernels: convolution name -> (weight, bias), first kernel in RGB order.
        taps: layer names to return (`conv1_1`, `relu4_2`, `pool3` …); `conv` is before the ReLU, `relu` after it.
        pooling: `max` (as trained) or `avg` (Gatys et al. 2015). Activations are not rescaled for `avg`, as in the
            papers.
        padding: `zeros`, `replicate` or `reflect`; `padding_first` for `conv1_1` alone.
        mean, std: per RGB channel in [0, 1]; the network sees (image - mean) / std, and zeros are padded there.
        bfloat16: compute the convolutions in bfloat16; taps come back in float32.
        winograd: compute those in float32 on a CPU by Winograd's algorithm, where there is one (`convolutions.py`).
    """

    mean: Tensor

    def __init__(
        self,
        kernels: dict[str, Kernel],
        taps: Sequence[str],
        *,
        pooling: str,
        padding: str,
        padding_first: str,
        mean: Sequence[float],
        std: Sequence[float],
        bfloat16: bool = False,
        winograd: bool = False,
    ):
        super().__init__()
        self.taps = frozenset(taps)
        self.layers = layers_up_to(taps)
        self.pooling = pooling
        self.padding, self.padding_first = padding, padding_first
        self.in_bfloat16, self.may_winograd = bfloat16, winograd
        self.prepared: dict[str, Tensor] = {}
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        for layer in self.layers:
            if layer.kind == "conv":
                weight, bias = kernels[layer.name]
                if layer.name == "conv1_1":
                    weight = weight / torch.tensor(std).view(1, 3, 1, 1)
                self.register_buffer(f"{layer.name}_weight", weight.contiguous(memory_format=self.memory_format))
                self.register_buffer(f"{layer.name}_bias", bias)

    @property
    def compute_type(self) -> torch.dtype:
        """What the convolutions are computed in."""
        return torch.bfloat16 if self.in_bfloat16 else self.mean.dtype

    @property
    def winograd(self) -> bool:
        """Whether its large convolutions are by Winograd's algorithm, where the network is now."""
        return self.may_winograd and self.mean.is_cpu and self.compute_type == torch.float32 and has_winograd()

    @property
    def memory_format(self) -> torch.memory_format:
        """Of weights and activations: what the convolutions take as they are."""
        return torch.contiguous_format if self.winograd else torch.channels_last

    def workspace(self, layer: Layer, x: Tensor) -> int:
        """Bytes for Winograd's algorithm where x (B, C, H, W) is what a convolution is made of; 0: it is not used."""
        return most_workspace(prod(x.shape[-2:]) * layer.stride**2) if self.winograd else 0

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Activations by tap name, (B, C, H, W) each, of an RGB `image` (B, 3, H, W) in [0, 1]."""
        x, activations = image - self.mean, dict[str, Tensor]()
        for _, layers in self._blocks():
            *_, x = given = Block.apply(x, self, layers)
            activations |= dict(zip(given_out(layers, self.taps), given, strict=True))
        return {name: each.to(image.dtype) for name, each in activations.items() if name in self.taps}

    def in_strips(
        self, image: Tensor, whole: Collection[str], sums: Sequence[Sum]
    ) -> tuple[dict[str, Tensor], list[tuple[Tensor, ...]]]:
        """The activations of the taps that are wanted `whole`, and `sums` of taps, with less memory (`strips.py`)."""
        x, activations, summed = image - self.mean, dict[str, Tensor](), dict[Sum, tuple[Tensor, ...]]()
        for name, layers in self._blocks():
            own = [one for one in sums if LAYERS[one.layer].block == name]
            if name in STRIPED:
                given, added = StripedBlock(self, layers, whole, own, image.dtype)(x)
                x = given[layers[-1].name]
            else:
                *_, x = tapped = Block.apply(x, self, layers)
                given = dict(zip(given_out(layers, self.taps), tapped, strict=True))
                added = [_of_all(one, given[one.layer].to(image.dtype)) for one in own]
            activations |= given
            summed |= zip(own, added, strict=True)
        kept = {name: each.to(image.dtype) for name, each in activations.items() if name in whole}
        return kept, [summed[one] for one in sums]

    def _blocks(self) -> Iterator[tuple[str, list[Layer]]]:
        for name, layers in groupby(self.layers, key=lambda layer: layer.block):
            yield name, list(layers)

    def filters(self, name: str) -> tuple[Tensor, Tensor, str]:
        """Weight (out, in, 3, 3), bias and padding of a convolution."""
        padding = self.padding_first if name == "conv1_1" else self.padding
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        return self._remembered(name, weight, lambda: weight), bias.to(self.compute_type), padding

    def turned_filters(self, name: str) -> tuple[Tensor, str]:
        """The weight of its gradient, (in, out, 3, 3): turned by half and transposed; and the padding."""
        weight, _, padding = self.filters(name)
        return self._remembered(f"{name} turned", weight, lambda: weight.flip(2, 3).transpose(0, 1)), padding

    def _remembered(self, key: str, weight: Tensor, make: Callable[[], Tensor]) -> Tensor:
        """A weight as it is computed with, made once for every device and type that the network is moved to."""
        found = self.prepared.get(key)
        if found is None or (found.device, found.dtype) != (weight.device, self.compute_type):
            found = make().to(self.compute_type).contiguous(memory_format=self.memory_format)
            self.prepared[key] = found
        return found

    def up_to(self, taps: Sequence[str]) -> "VGG19":
        """The same network, weights shared, that returns these taps of it and computes nothing deeper."""
        shallow = copy(self)
        shallow.taps, shallow.layers = frozenset(taps), layers_up_to(taps)
        return shallow


def _of_all(one: Sum, features: Tensor) -> tuple[Tensor, ...]:
    height = features.shape[-2]
    return one.of(features, slice(0, height), height)


def build_network(
    model: Model, weights: Weights, taps: Sequence[str], precision: str = "fp32", *, winograd: bool = True
) -> VGG19:
    """The frozen network that a filled configuration describes, with `weights` from `weights.prepare_weights`."""
    return VGG19(
        weights.kernels,
        taps,
        pooling=model.pooling,
        padding=model.padding,
        padding_first=model.padding_first,
        mean=model.mean,
        std=model.std,
        bfloat16=precision == "bf16",
        winograd=winograd,
    )
