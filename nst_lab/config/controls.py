"""Checks of what is said for each style of its own: layers, sizes, masks, guides, fine images."""

from nst_lab.config.schema import Config
from nst_lab.config.statistics import STATISTICS
from nst_lab.config.values import check_count, check_distinct, check_image, show
from nst_lab.errors import ConfigError


def check_controls(config: Config) -> None:
    """Raise at the first list of `style` that does not fit its images, layers, statistic or blend."""
    style = config.style
    for key in ("layers", "sizes", "masks", "guides", "fine"):
        if (values := getattr(style, key)) is not None:
            check_count(f"style.{key}", values, "style.images", style.images)
    _check_layers(config)
    for key in ("masks", "guides", "fine"):
        for image in getattr(style, key) or []:
            if image is not None:
                check_image(f"style.{key}", image)
    if config.content.mask is not None:
        check_image("content.mask", config.content.mask)
    if any(style.masks or []) or any(style.guides or []):
        check_guidance(config, "style.masks" if any(style.masks or []) else "style.guides")
    check_distinct("style.fine_layers", style.fine_layers)
    if style.fine is not None and not style.fine_layers:
        raise ConfigError("style.fine_layers=[]: at least one layer is needed while style.fine names an image")


def check_guidance(config: Config, key: str) -> None:
    """Raise unless styles of this configuration can be confined to regions, as `key` asks."""
    statistic, blend = config.loss.statistic, config.style.blend
    if not STATISTICS[statistic].guidable:
        others = ", ".join(name for name, traits in STATISTICS.items() if traits.guidable)
        raise ConfigError(
            f"loss.statistic={statistic}: it cannot be confined to a region, as {key} asks, since "
            f"{STATISTICS[statistic].obstacle}; expected one of {others}"
        )
    if blend == "targets":
        raise ConfigError(
            f"style.blend=targets: one style made of all has no region of its own, as {key} asks; "
            "expected weighted, sum or loss_share"
        )


def _check_layers(config: Config) -> None:
    style = config.style
    if style.layers is None:
        if style.layer_weights is not None:
            raise ConfigError(f"style.layer_weights={show(style.layer_weights)}: needs style.layers, which is null")
        return
    if "layers.style_weights" in config.convention_overrides:
        raise ConfigError(
            f"layers.style_weights={show(config.layers.style_weights)}: these are the weights of layers.style, which "
            "style.layers replaces; give style.layer_weights, a list for each style, or layers.style_profile"
        )
    if style.layer_weights is None:
        raise ConfigError("style.layer_weights=null: expected a list of weights for each list of style.layers")
    check_count("style.layer_weights", style.layer_weights, "style.layers", style.layers)
    for index, (names, weights) in enumerate(zip(style.layers, style.layer_weights, strict=True)):
        check_distinct(f"style.layers[{index}]", names)
        check_count(f"style.layer_weights[{index}]", weights, f"style.layers[{index}]", names)
        if config.loss.style_weight > 0 and style.weights[index] > 0 and not any(weights):
            raise ConfigError(
                f"style.layers[{index}]={show(names)}: no layer of {style.images[index]} has a weight; expected one "
                f"at least, or style.weights[{index}]=0"
            )
    if style.blend == "targets" and (
        len({*map(tuple, style.layers)}) > 1 or len({*map(tuple, style.layer_weights)}) > 1
    ):
        raise ConfigError(
            f"style.layers={show(style.layers)}: style.blend=targets makes one style of all, with the same layers and "
            "weights; expected weighted, sum or loss_share"
        )
