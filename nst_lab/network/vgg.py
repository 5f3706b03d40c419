"""VGG-19 by layer name: frozen, cut after the deepest tap, one forward pass returns every tap."""

from collections.abc import Sequence
from copy import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nst_lab.config.schema import Model
from nst_lab.network.architecture import Layer, layers_up_to
from nst_lab.network.weights import Kernel, Weights

POOLING = {"max": F.max_pool2d, "avg": F.avg_pool2d}


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
    """

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
    ):
        super().__init__()
        self.taps = frozenset(taps)
        self.layers = layers_up_to(list(taps))
        self.pool = POOLING[pooling]
        self.padding, self.padding_first = padding, padding_first
        self.bfloat16 = bfloat16
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        for layer in self.layers:
            if layer.kind == "conv":
                weight, bias = kernels[layer.name]
                if layer.name == "conv1_1":
                    weight = weight / torch.tensor(std).view(1, 3, 1, 1)
                self.register_buffer(f"{layer.name}_weight", weight)
                self.register_buffer(f"{layer.name}_bias", bias)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Activations by tap name, (B, C, H, W) each, of an RGB `image` (B, 3, H, W) in [0, 1]."""
        activations = {}
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.bfloat16):
            x = image - self.mean
            for layer in self.layers:
                x = self._compute(layer, x)
                if layer.name in self.taps:
                    activations[layer.name] = x
        return {name: x.float() if self.bfloat16 else x for name, x in activations.items()}

    def up_to(self, taps: Sequence[str]) -> "VGG19":
        """The same network, weights shared, that returns these taps of it and computes nothing deeper."""
        shallow = copy(self)
        shallow.taps, shallow.layers = frozenset(taps), layers_up_to(list(taps))
        return shallow

    def _compute(self, layer: Layer, x: Tensor) -> Tensor:
        if layer.kind == "pool":
            return self.pool(x, kernel_size=2)
        if layer.kind == "relu":
            # In place saves one activation per layer, but would overwrite a tapped pre-activation.
            return F.relu(x, inplace=layer.name.replace("relu", "conv") not in self.taps)
        weight, bias = getattr(self, f"{layer.name}_weight"), getattr(self, f"{layer.name}_bias")
        padding = self.padding_first if layer.name == "conv1_1" else self.padding
        if padding == "zeros":
            return F.conv2d(x, weight, bias, padding=1)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode=padding), weight, bias)


def build_network(model: Model, weights: Weights, taps: Sequence[str], precision: str = "fp32") -> VGG19:
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
    )
