"""Coarse to fine: the scales of a run, their shares of the budget, and the sizes that its pictures have at each."""

from collections.abc import Sequence

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

    style = config.style
    sizes = dict(zip(short_names(style.images), style.sizes or [None] * len(style.images), strict=True))
    shape = content or next(iter(styles.values()), init)
    assert shape is not None  # a configuration without any picture is refused
    result = scaled(shape, config.size)
    styled = {
        name: scaled(own, sizes.get(name) or style.size or config.size, style.upscale) for name, own in styles.items()
    }
    _check_depth({"the result": result} | styled, needed_taps(config), config, " at the coarsest scale")
    if factor == 1:  # the size of the mixing
        mixed = {f"the fine image of {name}": fine_size(own, styled[name]) for name, own in (fine or {}).items()}
        _check_depth(mixed, style.fine_layers, config)
    return result, styled


def fine_size(fine: Size, coarse: Size) -> Size:
    """Height and width at which the fine picture is measured: its own aspect, the coarse picture's longer side."""
    return target_size(*fine, max(coarse), "longer")


def _check_depth(sizes: dict[str, Size], taps: Sequence[str], config: Config, where: str = "") -> None:
    layers = layers_up_to(taps)
    if not layers:
        return
    needed = max(layer.stride for layer in layers)
    if config.model.padding == "reflect":  # a convolution then needs a second position to reflect
        needed = max(needed, *(2 * layer.stride for layer in layers if layer.kind == "conv"))
    for name, (height, width) in sizes.items():
        if min(height, width) < needed:
            raise ConfigError(
                f"size={config.size}: {name} becomes {width}x{height} pixels{where}, but "
                f"{layers[-1].name} needs at least {needed} on each side; choose a larger size or shallower layers"
            )


def in_strips(config: Config, size: Size) -> bool:
    """Whether a picture of this size is evaluated strip by strip: `runner.strips`, or where it is large."""
    height, width = size
    return height * width > LARGEST_WHOLE if config.runner.strips is None else config.runner.strips
