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
from nst_lab.losses.guidance import Masks

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Inputs:
    """The pictures of one run at their own sizes, (1, 3, H, W) in [0, 1]; `styles` and `fine` by the style's name."""

    content: Tensor | None
    styles: dict[str, Tensor]
    init: Tensor | None = None
    masks: Masks = field(default_factory=Masks)
    fine: dict[str, Tensor] = field(default_factory=dict)


class Extras(NamedTuple):
    """What a caller may give beside content, styles and start: per style, or one for the content."""

    masks: Sequence[Tensor | None] | None = None
    guides: Sequence[Tensor | None] | None = None
    content_mask: Tensor | None = None
    fine: Sequence[Tensor | None] | None = None


def checked_inputs(
    content: Tensor | None, styles: Sequence[Tensor], init: Tensor | None, extras: Extras, config: Config
) -> Inputs:
    """The inputs of a run from tensors.

    Raises:
        ConfigError: a picture or mask is none, is missing, or is one that the configuration does not allow.
    """
    names = short_names(config.style.images)
    if len(styles) != len(names):
        raise ConfigError(f"style.images names {len(names)} styles, {len(styles)} pictures were given")
    for name, picture in {"content": content, "init": init, **_by_style("style", names, styles)}.items():
        _check_picture(name, picture)
    if content is None and (config.loss.content_weight > 0 or config.init.kind in ("content", "mix")):
        raise ConfigError("content is None while loss.content_weight > 0 or the start is made from it")
    if content is None and config.color.mode != "none":
        raise ConfigError(f"content is None while color.mode={config.color.mode} takes its colours")
    if init is None and config.init.kind == "file":
        raise ConfigError("init is None while init.kind=file")
    used = {name for name, needed in zip(names, used_styles(config), strict=True) if needed}
    content, init = (None if picture is None else picture.detach() for picture in (content, init))
    masks = _checked_masks(extras, names, used, config)
    fine = _of_styles("fine", extras.fine, config.style.fine, names, used, channels=3)
    return Inputs(content, {n: s.detach() for n, s in zip(names, styles, strict=True) if n in used}, init, masks, fine)


def _checked_masks(extras: Extras, names: Sequence[str], used: set[str], config: Config) -> Masks:
    style, content_mask = config.style, extras.content_mask
    if content_mask is None and config.content.mask is not None:
        raise ConfigError("content_mask is None while content.mask names one")
    _check_picture("content_mask", content_mask, channels=1)
    masks = Masks(
        regions=_of_styles("masks", extras.masks, style.masks, names, used, channels=1),
        parts=_of_styles("guides", extras.guides, style.guides, names, used, channels=1),
        content=None if content_mask is None else content_mask.detach(),
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
    if len(given) != len(names):
        raise ConfigError(f"style.images names {len(names)} styles, {len(given)} {key} were given")
    pictures = dict(zip(names, given, strict=True))
    for name, picture in _by_style(f"{key}, style", names, given).items():
        _check_picture(name, picture, channels)
    missing = [name for name, image in zip(names, named or [], strict=False) if image and pictures[name] is None]
    if missing:
        raise ConfigError(f"{key}: None for {missing[0]}, for which style.{key} names one")
    return {name: picture.detach() for name, picture in pictures.items() if picture is not None and name in used}


def _by_style(words: str, names: Sequence[str], pictures: Sequence[Tensor | None]) -> dict[str, Tensor | None]:
    return {f"{words} {name}": picture for name, picture in zip(names, pictures, strict=True)}


def _check_picture(name: str, picture: Tensor | None, channels: int = 3) -> None:
    if picture is None:
        return
    source = "load_image" if channels == 3 else "load_mask"
    expected = f"a float32 tensor (1, {channels}, H, W) with values in [0, 1], as nst_lab.{source} gives"
    if not isinstance(picture, Tensor):
        raise ConfigError(f"{name} is a {type(picture).__name__}, expected {expected}")
    if picture.dtype != torch.float32 or picture.dim() != 4 or picture.shape[:2] != (1, channels):
        raise ConfigError(f"{name} is {picture.dtype} {tuple(picture.shape)}, expected {expected}")
    if not (picture.min() >= 0 and picture.max() <= 1):
        raise ConfigError(f"{name} has values from {picture.min():g} to {picture.max():g}, expected {expected}")
