"""The pictures that a configuration names: decoded, or only measured from their headers."""

from contextlib import suppress

from torch import Tensor

from nst_lab.config.schema import Config, used_styles
from nst_lab.errors import ImageError
from nst_lab.images import catalog
from nst_lab.images.pictures import image_size, load_image
from nst_lab.memory import Memory
from nst_lab.optimisation.synthesis import Inputs, Size, sizes_at

DECODED = Memory(256 * 2**20)  # pictures of the last runs of this process, so that a sweep decodes each once


def load_inputs(config: Config) -> Inputs:
    """Decode the pictures that a configuration names."""
    return Inputs(
        content=None if config.content.image is None else _decoded(config.content.image),
        styles={name: _decoded(image) for name, image in _needed_styles(config)},
        init=_decoded(config.init.image) if config.init.kind == "file" else None,
    )


def _decoded(image: str) -> Tensor:
    return DECODED.recall(catalog.sha256(image), lambda: load_image(image))


def _needed_styles(config: Config) -> list[tuple[str, str]]:
    """Short name and image of every style that the run depends on."""
    images = config.style.images
    styles = zip(catalog.short_names(images), images, used_styles(config), strict=True)
    return [(name, image) for name, image, used in styles if used]


def sizes_from_headers(config: Config, factor: float = 1.0) -> tuple[Size, dict[str, Size]]:
    """`sizes_at` without decoding a picture or fetching one whose size the catalog knows.

    Raises:
        ConfigError: a picture would be too small for the deepest tap.
        ImageError: a picture has no readable header.
    """
    return sizes_at(
        None if config.content.image is None else image_size(config.content.image),
        {name: image_size(image) for name, image in _needed_styles(config)},
        image_size(config.init.image) if config.init.kind == "file" else None,
        config,
        factor,
    )


def check_sizes(config: Config) -> None:
    """Raise before any work if a picture is too small for the layers at any scale.

    A picture that cannot be read is no reason to refuse a sweep: its cells will fail and say so.

    Raises:
        ConfigError: as `sizes_from_headers`.
    """
    with suppress(ImageError):
        for factor in {scale.factor for scale in config.scales or []} | {1.0}:
            sizes_from_headers(config, factor)
