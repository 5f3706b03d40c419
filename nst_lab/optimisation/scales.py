"""Coarse to fine: the scales of a run, their shares of the budget, and the sizes that its pictures have at each."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from nst_lab.config.schema import Config, Scale
from nst_lab.errors import ConfigError
from nst_lab.images.catalog import short_names
from nst_lab.images.pictures import resize, size_of, target_size
from nst_lab.losses.objective import needed_taps
from nst_lab.network.architecture import layers_up_to
from nst_lab.optimisation.inputs import Inputs, Size

LARGEST_WHOLE = 2**21  # pixels of a picture


def schedule(config: Config) -> list[Scale]:
    """The scales of a run; a budget smaller than their number leaves out the coarsest."""
    return (config.scales or [Scale(factor=1.0, share=1.0)])[-config.optimizer.evaluations :]


def split_budget(evaluations: int, scales: Sequence[Scale]) -> list[int]:
    """Evaluations of each scale: its share of what the ones before it leave, one at least for every scale."""
    budgets: list[int] = []
    for index, scale in enumerate(scales):
        left = evaluations - sum(budgets)
        share = round(left * scale.share / sum(later.share for later in scales[index:]))
        budgets.append(max(1, min(share, left - (len(scales) - index - 1))))
    return budgets


def at_scale(inputs: Inputs, config: Config, factor: float) -> tuple[Tensor | None, dict[str, Tensor], Size]:
    """Content, styles and the result's height and width at `factor` of the configured size."""
    content, init = (None if image is None else size_of(image) for image in (inputs.content, inputs.init))
    originals = {name: size_of(style) for name, style in inputs.styles.items()} | inputs.originals
    fine = {name: size_of(picture) for name, picture in inputs.fine.items()}
    size, styled = sizes_at(content, originals, init, config, factor, fine)
    styles = {name: resize(own, *styled[name], resampling=config.resampling) for name, own in inputs.styles.items()}
    picture = None if inputs.content is None else resize(inputs.content, *size, resampling=config.resampling)
    return picture, styles, size


def sizes_at(
    content: Size | None,
    styles: dict[str, Size],
    init: Size | None,
    config: Config,
    factor: float = 1.0,
    fine: dict[str, Size] | None = None,
) -> tuple[Size, dict[str, Size]]:
    """Sizes of the result and of the styles at `factor` of the configured size, from those of the pictures given.

    The result takes the content's aspect, or the first style's where there is no content. Fine images are only checked.

    Raises:
        ConfigError: one of them is too small for the deepest tap, or a fine image for the deepest of the fine layers.
    """

    def scaled(original: Size, size: int, enlarge: bool = True) -> Size:
        wanted = target_size(*original, max(1, round(size * factor)), config.size_rule)
        larger = wanted[0] >= original[0] and wanted[1] >= original[1]
        return original if larger and not enlarge else wanted

    shape = content or next(iter(styles.values()), init)
    assert shape is not None  # a configuration without any picture is refused
    result = _Picture("the result", "size", config.size, partial(scaled, shape))
    styled = {
        name: _Picture(name, *_key_of(name, config), partial(scaled, own, enlarge=config.style.upscale))
        for name, own in styles.items()
    }
    _check_depth([result, *styled.values()], needed_taps(config), config, " at the coarsest scale")
    if factor == 1:  # the size of the mixing
        _check_depth([_fine(styled[name], own) for name, own in (fine or {}).items()], config.style.fine_layers, config)
    return result.size, {name: picture.size for name, picture in styled.items()}


@dataclass(frozen=True)
class _Picture:
    """A picture of a run, the key that decides its size, that key's value, and the size by any value of it."""

    name: str
    key: str
    value: int
    at: Callable[[int], Size]

    @property
    def size(self) -> Size:
        return self.at(self.value)


def _key_of(name: str, config: Config) -> tuple[str, int]:
    """What decides the size of a style image."""
    style = config.style
    index = short_names(style.images).index(name)
    if style.sizes is not None and (own := style.sizes[index]) is not None:
        return f"style.sizes[{index}]", own
    return ("size", config.size) if style.size is None else ("style.size", style.size)


def _fine(style: _Picture, fine: Size) -> _Picture:
    name = f"the fine image of {style.name}"
    return _Picture(name, style.key, style.value, lambda value: fine_size(fine, style.at(value)))


def fine_size(fine: Size, coarse: Size) -> Size:
    """Height and width at which the fine picture is measured: its own aspect, the coarse picture's longer side."""
    return target_size(*fine, max(coarse), "longer")


def _check_depth(pictures: Sequence[_Picture], taps: Sequence[str], config: Config, where: str = "") -> None:
    layers = layers_up_to(taps)
    if not layers:
        return
    needed = max(layer.stride for layer in layers)
    if config.model.padding == "reflect":  # a convolution then needs a second position to reflect
        needed = max(needed, *(2 * layer.stride for layer in layers if layer.kind == "conv"))
    for picture in pictures:
        height, width = picture.size
        if min(height, width) < needed:
            least = _least([other.at for other in pictures if other.key == picture.key], needed)
            larger = "" if least is None else f"a {picture.key} of at least {least} or "
            raise ConfigError(
                f"size={config.size}: {picture.name} becomes {width}x{height} pixels{where}, but "
                f"{layers[-1].name} needs at least {needed} on each side; choose {larger}shallower layers"
            )


def _least(pictures: Sequence[Callable[[int], Size]], needed: int) -> int | None:
    """The least value of a key by which no side of these pictures is shorter than `needed`, if there is one."""

    def fits(value: int) -> bool:
        return all(min(at(value)) >= needed for at in pictures)

    enough = next((2**power for power in range(31) if fits(2**power)), None)
    return None if enough is None else bisect_left(range(enough), True, key=fits)


def in_strips(config: Config, size: Size) -> bool:
    """Whether a picture of this size is evaluated strip by strip: `runner.strips`, or where it is large."""
    height, width = size
    return height * width > LARGEST_WHOLE if config.runner.strips is None else config.runner.strips
