"""Facts about VGG-19 that need no network: layer names, channels, strides, input statistics.

Simonyan and Zisserman 2015 (arXiv:1409.1556), configuration E, convolutional part. Kept apart from `vgg.py` so that a
configuration can be checked without importing torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# (channels, convolutions) of each block; a 2x2 pooling closes every block.
BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))


@dataclass(frozen=True)
class Layer:
    """One tap of VGG-19: `kind` is conv (before the ReLU), relu or pool; `stride` is in pixels of the input."""

    name: str
    kind: str
    channels: int
    stride: int

    @property
    def block(self) -> str:
        """Which of the five it belongs to, `1` to `5`."""
        return self.name.removeprefix(self.kind)[0]


def _walk_blocks() -> dict[str, Layer]:
    layers = {}
    for block, (channels, depth) in enumerate(BLOCKS, start=1):
        stride = 2 ** (block - 1)
        for index in range(1, depth + 1):
            for kind in ("conv", "relu"):
                layers[f"{kind}{block}_{index}"] = Layer(f"{kind}{block}_{index}", kind, channels, stride)
        layers[f"pool{block}"] = Layer(f"pool{block}", "pool", channels, 2 * stride)
    return layers


LAYERS = _walk_blocks()
CONVOLUTIONS = tuple(name for name, layer in LAYERS.items() if layer.kind == "conv")


def layers_up_to(taps: Sequence[str]) -> list[Layer]:
    """The layers that must be computed for `taps`, in network order, ending with the deepest of them."""
    names = list(LAYERS)
    deepest = max((names.index(tap) for tap in taps), default=-1)
    return [LAYERS[name] for name in names[: deepest + 1]]


@dataclass(frozen=True)
class InputStatistics:
    """Mean and standard deviation per RGB channel, in the [0, 1] range of the image, that the weights expect."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# The Caffe weights take 0-255 minus a mean pixel; in units of [0, 1] that is a standard deviation of 1/255.
CAFFE_INPUT = InputStatistics((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
IMAGENET_INPUT = InputStatistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def input_statistics(weights: str) -> InputStatistics:
    """What a weight source expects; a file in torchvision's layout expects torchvision's ImageNet statistics."""
    return CAFFE_INPUT if weights == "caffe" else IMAGENET_INPUT
