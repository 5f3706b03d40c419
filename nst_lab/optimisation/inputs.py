"""The pictures of one run, and the check of those that a caller of `transfer` gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from nst_lab.config.controls import check_guidance
from nst_lab.config.schema import Config, used_styles
from nst_lab.errors import ConfigError
from nst_lab.images.catalog import short_names
from nst_lab.images.pictures import described, is_dense
from nst_lab.losses.guidance import Masks

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Inputs:
    """The pictures of one run at their own sizes, (1, 3, H, W) in [0, 1]; `styles` and `fine` by the style's name.

    `originals` are the sizes of the styles that a mixture with their fine image has taken the place of.
    """

    content: Tensor | None
    styles: dict[str, Tensor]
    init: Tensor | None = None
    masks: Masks = field(default_factory=Masks)
    fine: dict[str, Tensor] = field(default_factory=dict)
    originals: dict[str, Size] = field(default_factory=dict)


class Extras(NamedTuple):
    """What a caller may give beside content, styles and start: per style, or one for the content."""

    masks: Sequence[Tensor | None] | None = None
    guides: Sequence[Tensor | None] | None = None
    content_mask: Tensor | None = None
    fine: Sequence[Tensor | None] | None = None


def checked_inputs(
    content: Tensor | None, styles: Sequence[Tensor], init: Tensor | None, extras: Extras, config: Config
) -> Inputs:
    """The inputs of a run from tensors, on the CPU as decoded pictures are.

    Raises:
        ConfigError: a picture or mask is none, is missing, or is one that the configuration does not allow.
    """
    names = short_names(config.style.images)
    _check_list("styles", styles)
    if len(styles) != len(names):
        raise ConfigError(f"style.images names {len(names)} styles, {len(styles)} pictures were given")
    content, init = _optional("content", content), _optional("init", init)
    pictures = {name: _checked(f"style {name}", style) for name, style in zip(names, styles, strict=True)}
    if content is None and (config.loss.content_weight > 0 or config.init.kind in ("content", "mix")):
        raise ConfigError("content is None while loss.content_weight > 0 or the start is made from it")
    if content is None and config.color.mode != "none":
        raise ConfigError(f"content is None while color.mode={config.color.mode} takes its colours")
    if init is None and config.init.kind in ("file", "run"):
        raise ConfigError(f"init is None while init.kind={config.init.kind}")
    used = {name for name, needed in zip(names, used_styles(config), strict=True) if needed}
    masks = _checked_masks(extras, names, used, config)
    fine = _of_styles("fine", extras.fine, config.style.fine, names, used, channels=3)
    if fine and not config.style.fine_layers:
        raise ConfigError("style.fine_layers=[]: at least one layer is needed while fine images are given")
    return Inputs(content, {name: pictures[name] for name in names if name in used}, init, masks, fine)


def _checked_masks(extras: Extras, names: Sequence[str], used: set[str], config: Config) -> Masks:
    style = config.style
    if extras.content_mask is None and config.content.mask is not None:
        raise ConfigError("content_mask is None while content.mask names one")
    masks = Masks(
        regions=_of_styles("masks", extras.masks, style.masks, names, used, channels=1),
        parts=_of_styles("guides", extras.guides, style.guides, names, used, channels=1),
        content=_optional("content_mask", extras.content_mask, channels=1),
    )
    for key, given in (("masks", masks.regions), ("guides", masks.parts)):
        if given:
            check_guidance(config, key)
    return masks


def _of_styles(
    key: str,
    given: Sequence[Tensor | None] | None,
    named: list[str | None] | None,
    names: Sequence[str],
    used: set[str],
    channels: int,
) -> dict[str, Tensor]:
    """What was given for the styles that are used, by name."""
    if given is None and any(named or []):
        raise ConfigError(f"{key} is None while style.{key} names some")
    given = [None] * len(names) if given is None else given
    _check_list(key, given)
    if len(given) != len(names):
        raise ConfigError(f"style.images names {len(names)} styles, {len(given)} {key} were given")
    pictures = {
        name: _checked(f"{key}, style {name}", picture, channels)
        for name, picture in zip(names, given, strict=True)
        if picture is not None
    }
    missing = [name for name, image in zip(names, named or [], strict=False) if image and name not in pictures]
    if missing:
        raise ConfigError(f"{key}: None for {missing[0]}, for which style.{key} names one")
    return {name: picture for name, picture in pictures.items() if name in used}


def _check_list(key: str, given: Sequence[Tensor | None]) -> None:
    if not isinstance(given, Sequence):
        raise ConfigError(f"{key} is a {type(given).__name__}, expected a list with one entry for each of style.images")


def _optional(name: str, picture: Tensor | None, channels: int = 3) -> Tensor | None:
    return None if picture is None else _checked(name, picture, channels)


def _checked(name: str, picture: Tensor, channels: int = 3) -> Tensor:
    """The picture, without a graph and on the CPU."""
    source = "load_image" if channels == 3 else "load_mask"
    expected = f"a float32 tensor (1, {channels}, H, W) with values in [0, 1], as nst_lab.{source} gives"
    if not isinstance(picture, Tensor) or not is_dense(picture) or not _has_form(picture, channels):
        raise ConfigError(f"{name} is {described(picture)}, expected {expected}")
    if not (picture.min() >= 0 and picture.max() <= 1):
        raise ConfigError(f"{name} has values from {picture.min():g} to {picture.max():g}, expected {expected}")
    return picture.detach().cpu()


def _has_form(picture: Tensor, channels: int) -> bool:
    shape = picture.shape
    return picture.dtype == torch.float32 and len(shape) == 4 and shape[:2] == (1, channels) and picture.numel() > 0
