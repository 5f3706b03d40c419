"""The pictures that a configuration names: decoded, or only measured from their headers."""

from collections.abc import Sequence
from contextlib import suppress

from torch import Tensor

from nst_lab.config.schema import Config, file_to_start_from, run_to_start_from, used_styles
from nst_lab.errors import ImageError
from nst_lab.images import catalog
from nst_lab.images.pictures import image_size, load_image, load_mask
from nst_lab.losses.guidance import Masks, content_guides, style_guides
from nst_lab.losses.objective import active_layers, layers_of_styles
from nst_lab.memory import Memory
from nst_lab.optimisation.inputs import Inputs, Size
from nst_lab.optimisation.scales import sizes_at
from nst_lab.running import runs

DECODED = Memory(256 * 2**20)  # pictures of the last runs of this process, so that a sweep decodes each once


def load_inputs(config: Config) -> Inputs:
    """Decode the pictures that a configuration names."""
    return Inputs(
        content=None if config.content.image is None else _decoded(config.content.image),
        styles={name: _decoded(image) for name, image in _needed_styles(config)},
        init=_start(config),
        masks=load_masks(config),
        fine={name: _decoded(image) for name, image in _needed(config, config.style.fine)},
    )


def _start(config: Config) -> Tensor | None:
    if run := run_to_start_from(config):
        return load_image(runs.result_to_start_from(run))
    file = file_to_start_from(config)
    return None if file is None else _decoded(file)


def load_masks(config: Config) -> Masks:
    """Decode the masks that a configuration names."""
    style, content = config.style, config.content.mask if config.loss.content_weight > 0 else None
    return Masks(
        regions={name: _decoded_mask(mask) for name, mask in _needed(config, style.masks)},
        parts={name: _decoded_mask(mask) for name, mask in _needed(config, style.guides)},
        content=None if content is None else _decoded_mask(content),
    )


def _decoded(image: str) -> Tensor:
    return DECODED.recall(catalog.sha256(image), lambda: load_image(image))


def _decoded_mask(mask: str) -> Tensor:
    return DECODED.recall(("mask", catalog.sha256(mask)), lambda: load_mask(mask))


def _needed_styles(config: Config) -> list[tuple[str, str]]:
    """Short name and image of every style that the run depends on."""
    return _needed(config, config.style.images)


def _needed(config: Config, listed: Sequence[str | None] | None) -> list[tuple[str, str]]:
    """Of a list with an entry for each style, those of the styles that the run depends on, by their short names."""
    names = catalog.short_names(config.style.images)
    entries = zip(names, listed or [None] * len(names), used_styles(config), strict=True)
    return [(name, entry) for name, entry, used in entries if used and entry is not None]


def sizes_from_headers(config: Config, factor: float = 1.0) -> tuple[Size, dict[str, Size]]:
    """`sizes_at` without decoding a picture or fetching one whose size the catalog knows.

    Raises:
        ConfigError: a picture would be too small for the deepest tap.
        ImageError: a picture has no readable header.
    """
    start = file_to_start_from(config)
    return sizes_at(
        None if config.content.image is None else image_size(config.content.image),
        {name: image_size(image) for name, image in _needed_styles(config)},
        None if start is None else image_size(start),
        config,
        factor,
        {name: image_size(image) for name, image in _needed(config, config.style.fine)},
    )


def check_sizes(config: Config) -> None:
    """Raise before any work if at any scale a picture is too small for the layers, or a region vanishes at one.

    A picture that cannot be read is no reason to refuse a sweep: its cells will fail and say so.

    Raises:
        ConfigError: as `sizes_from_headers`.
    """
    with suppress(ImageError):
        for factor in sorted({scale.factor for scale in config.scales or []} | {1.0}):  # the smallest asks for most
            _check_regions(config, *sizes_from_headers(config, factor))


def _check_regions(config: Config, result: Size, styles: dict[str, Size]) -> None:
    style, layers = config.style, config.layers
    named = [config.content.mask, *(style.masks or []), *(style.guides or [])]
    if all(catalog.find(mask) for mask in named if mask):  # else the run that fetches it will tell
        masks = load_masks(config).resized(result, styles)
        by_style = zip(catalog.short_names(style.images), layers_of_styles(config), strict=True)
        style_guides(masks, dict(by_style), config)
        content_guides(masks, active_layers(layers.content, layers.content_weights, config.loss.content_weight))
