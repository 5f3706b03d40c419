"""Spatial control: masks of pictures -> guides of layers (Gatys et al. 2017, section 4).

A mask (1, 1, H, W) in [0, 1] says how much every pixel belongs to a region. A guide T is what it becomes at a layer, of
that layer's size and with mean(T²) = 1, so that G = (F∘T)(F∘T)ᵀ / M does not depend on how much of the picture the
region takes, nor on the mask's scale.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from nst_lab.config.schema import Config
from nst_lab.errors import ConfigError
from nst_lab.images.catalog import short_names
from nst_lab.images.pictures import resize_mask
from nst_lab.network.architecture import layers_up_to

Guides = dict[str, Tensor]  # by layer
FAINTEST = torch.finfo(torch.float32).tiny  # a region below it everywhere counts as black


@dataclass(frozen=True)
class Masks:
    """The masks of one run, (1, 1, H, W) in [0, 1]: whatever is missing is the whole picture.

    `regions` of the result and `parts` of the style images by style, `content` where in the result the content counts.
    """

    regions: dict[str, Tensor] = field(default_factory=dict)
    parts: dict[str, Tensor] = field(default_factory=dict)
    content: Tensor | None = None

    def resized(self, result: tuple[int, int], styles: Mapping[str, tuple[int, int]]) -> "Masks":
        """The same at the sizes (height, width) of the result and of the style images, stretched to them."""
        return Masks(
            {name: resize_mask(mask, *result) for name, mask in self.regions.items()},
            {name: resize_mask(mask, *styles[name]) for name, mask in self.parts.items()},
            None if self.content is None else resize_mask(self.content, *result),
        )

    def to(self, device: torch.device) -> "Masks":
        """The same on a device."""
        return Masks(
            {name: mask.to(device) for name, mask in self.regions.items()},
            {name: mask.to(device) for name, mask in self.parts.items()},
            None if self.content is None else self.content.to(device),
        )

    def by_name(self) -> dict[str, Tensor]:
        """All of them, each by what it is the mask of."""
        named = {f"style/{name}": mask for name, mask in self.regions.items()}
        named |= {f"guide/{name}": mask for name, mask in self.parts.items()}
        return named if self.content is None else named | {"content": self.content}


def at_layers(mask: Tensor, taps: Iterable[str], guidance: str) -> Guides:
    """A mask of a picture at each of `taps`, taken along the network; still in [0, 1].

    Args:
        mask: (1, 1, H, W), of the size of the picture that the network sees.
        taps: names of layers.
        guidance: `resample` averages where the network pools, so that a position has the mean of the pixels that it
            stands for. `inside` takes the minimum of every window that the network looks through, 3x3 for a convolution
            and 2x2 for a pooling: a position counts as far as its whole receptive field lies in the region. What is
            padded beyond the picture's edge is in no region and takes nothing away.
    """
    taps, guides = list(taps), {}
    for layer in layers_up_to(taps):
        if layer.kind == "pool":
            mask = F.avg_pool2d(mask, 2) if guidance == "resample" else -F.max_pool2d(-mask, 2)
        elif layer.kind == "conv" and guidance == "inside":
            mask = -F.max_pool2d(-mask, 3, stride=1, padding=1)
        if layer.name in taps:
            guides[layer.name] = mask
    return guides


def guides_of(mask: Tensor, taps: Iterable[str], guidance: str, what: str) -> Guides:
    """A mask as guides of mean square 1.

    Raises:
        ConfigError: nothing is left of the region at a layer; `what` names it.
    """
    guides = at_layers(mask, taps, guidance)
    for layer, guide in guides.items():
        peak = guide.amax().item()
        if not peak >= FAINTEST:
            raise ConfigError(f"{what} {_lost(mask, layer, guidance)}")
        guide = guide * 2.0 ** -math.frexp(peak)[1]  # rounds nothing, and keeps the squares of a faint mask above 0
        guides[layer] = guide / guide.square().mean().sqrt()
    return guides


def style_guides(masks: Masks, layers: Mapping[str, Iterable[str]], config: Config) -> tuple[dict[str, Guides], ...]:
    """Guides of the result and of the style images, by style; `masks` have the sizes of their pictures.

    Raises:
        ConfigError: a region vanishes at a layer.
    """
    style = config.style
    return tuple(
        {
            name: guides_of(masks_of[name], taps, style.guidance, _named(config, key, words, name))
            for name, taps in layers.items()
            if name in masks_of
        }
        for masks_of, key, words in (
            (masks.regions, "masks", "the region of"), (masks.parts, "guides", "the part taken from"),
        )
    )  # fmt: skip


def content_guides(masks: Masks, layers: Iterable[str]) -> Guides:
    """√m at each layer, m being the content's mask there: (√m F − √m P)² = m (F − P)². Empty without a mask.

    It is not brought to mean 1: where m = 1 the content counts as without a mask, and elsewhere less.

    Raises:
        ConfigError: the mask is black.
    """
    if masks.content is None:
        return {}
    guides = at_layers(masks.content, layers, "resample")
    for layer, guide in guides.items():
        if not guide.amax() > 0:
            raise ConfigError(f"content.mask: the region of the content {_lost(masks.content, layer, 'resample')}")
    return {layer: guide.sqrt() for layer, guide in guides.items()}


def _named(config: Config, key: str, words: str, name: str) -> str:
    listed = getattr(config.style, key) or []
    index = short_names(config.style.images).index(name)
    return f"style.{key}{f'={listed[index]}' if listed else ''}: {words} {name}"


def _lost(mask: Tensor, layer: str, guidance: str) -> str:
    height, width = mask.shape[-2:]
    if guidance == "inside" and mask.amax() > 0:
        return (
            f"vanishes at {layer}, where no receptive field lies inside of it at {width}x{height} pixels; choose "
            "style.guidance=resample, shallower layers or a larger size"
        )
    return f"vanishes at {layer} at {width}x{height} pixels: its mask is black there; expected one with some white"
