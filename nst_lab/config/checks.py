"""Checks of a configuration that end in one line: the key, the value, what would be valid and the nearest name."""

import types
import typing
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from math import isfinite
from os.path import isfile  # unlike Path.is_file, false for what cannot be a name
from pathlib import Path
from typing import Any

from nst_lab.config.controls import check_controls
from nst_lab.config.schema import Config, Rule, Scale, layers_by_style, used_styles
from nst_lab.config.statistics import GRAM_BASED, STATISTICS
from nst_lab.config.values import check_count, check_distinct, check_image, show, value_at
from nst_lab.errors import ConfigError, WeightsError, nearest
from nst_lab.network import weight_files

# Keys whose null means something of its own; any other null is the convention's and is filled in before the checks.
NULL_HAS_MEANING = {
    "content.image", "content.mask", "style.size", "style.layers", "style.layer_weights", "style.sizes", "style.masks",
    "style.guides", "style.fine", "init.image", "init.run", "threads", "scales", "model.means", "runner.strips",
    "runner.continuation",
}  # fmt: skip

LARGEST = 1e100  # of whole numbers: squared, as pixels are, it is still a number for floating point

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
LISTED = {
    float: "numbers such as [1, 2]",
    str: "texts such as [a, b]",
    int | None: "whole numbers or nulls such as [256, null]",
    str | None: "texts or nulls such as [a, null]",
    list[float]: "lists of numbers such as [[1, 2], [1]]",
    list[str]: "lists of texts such as [[a, b], [c]]",
    Scale: "scales such as [{factor: 0.5, share: 1}, {factor: 1, share: 1}]",
}


def section_of(field: Field[Any]) -> type | None:
    """The dataclass behind a section of the schema, None for a plain key."""
    return field.default_factory if isinstance(field.default_factory, type) else None


def schema_keys(section: type = Config, prefix: str = "") -> dict[str, Field[Any]]:
    """Dotted key -> dataclass field of every plain key of the schema."""
    keys: dict[str, Field[Any]] = {}
    for field in fields(section):
        nested = section_of(field)
        keys |= schema_keys(nested, f"{prefix}{field.name}.") if nested else {f"{prefix}{field.name}": field}
    return keys


def expected_type(field: Field[Any]) -> str:
    """The type of a key in words."""
    options = typing.get_args(field.type)
    nullable = types.NoneType in options
    kind: Any = options[0] if nullable else field.type
    if typing.get_origin(kind) is list:
        item = typing.get_args(kind)[0]
        words = f"a list of {LISTED.get(item) or item.__name__.lower() + 's'}"
    else:
        words = WORDS.get(kind, kind.__name__)
    return f"{words} or null" if nullable else words


def check_key(key: str, value: Any = "") -> None:
    """Raise unless `key` is a key or a section of the schema."""
    known = schema_keys()
    if key in known or any(name.startswith(f"{key}.") for name in known):
        return
    section = key.rpartition(".")[0]
    while section and not any(name.startswith(f"{section}.") for name in known):
        section = section.rpartition(".")[0]
    prefix = f"{section}." if section else ""
    siblings = dict.fromkeys(name[len(prefix) :].partition(".")[0] for name in known if name.startswith(prefix))
    full = nearest(key, known) or nearest(key, (f"{prefix}{name}" for name in siblings))
    where = f"keys of {section}" if section else "keys"
    raise ConfigError(f"{key}={show(value)}: no such key; {where}: {', '.join(siblings)}{full}")


def check_unknown_keys(settings: dict[str, Any], section: type = Config, prefix: str = "") -> None:
    """Raise at the first key of `settings` that the schema lacks (a user's YAML file may bring one)."""
    nested = {field.name: section_of(field) for field in fields(section)}
    for name, value in settings.items():
        if name == "experiment":
            raise ConfigError("experiment: the first line of an experiment's file must be '# @package _global_'")
        if name not in nested:
            check_key(f"{prefix}{name}", value)
        elif inner := nested[name]:
            if not isinstance(value, dict):
                raise ConfigError(f"{prefix}{name}={show(value)}: expected a section with keys, got a plain value")
            check_unknown_keys(value, inner, f"{prefix}{name}.")


def check_shapes(settings: dict[str, Any]) -> None:
    """Raise at the first value that is not nested as its key's type is; what lies in it is for OmegaConf to type."""
    for key, field in schema_keys().items():
        value = value_at(settings, key)
        if not _is_shaped_as(value, field.type):
            raise ConfigError(f"{key}={show(value)}: expected {expected_type(field)}")


def _is_shaped_as(value: Any, kind: Any) -> bool:
    options = typing.get_args(kind)
    if value is None:
        return True
    if types.NoneType in options:
        return _is_shaped_as(value, options[0])
    if typing.get_origin(kind) is list:
        return isinstance(value, list) and all(_is_shaped_as(item, options[0]) for item in value)
    if is_dataclass(kind):
        return isinstance(value, dict) and set(value) == {field.name for field in fields(kind)}
    return not isinstance(value, (list, dict)) and not (type(value) is int and abs(value) > LARGEST)


def _check_type(key: str, value: Any, field: Field[Any]) -> None:
    """Raise unless a value has the type of its key: one that was composed has, one that a caller set may not."""
    if not _is_typed(value, field.type):
        raise ConfigError(f"{key}={value!r}: expected {expected_type(field)}")


def _is_typed(value: Any, kind: Any) -> bool:
    options = typing.get_args(kind)
    if types.NoneType in options:
        return value is None or _is_typed(value, options[0])
    if typing.get_origin(kind) is list:
        return isinstance(value, list) and all(_is_typed(item, options[0]) for item in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Field[Any], Any]]:
    """Dotted key, field and value of every plain key of a typed configuration."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field, value


def check_config(config: Config) -> None:
    """Raise at the first value of a filled configuration that cannot work, alone or together with others."""
    if not isinstance(config, Config):
        raise ConfigError(f"expected a Config, as nst_lab.compose gives, got a {type(config).__name__}")
    for key, field, value in leaves(config):
        _check_text(key, value)
        _check_type(key, value, field)
        _check_rule(key, value, field.metadata.get("rule"))
    for key, _, value in leaves(config):
        if value is None and key not in NULL_HAS_MEANING:
            raise ConfigError(f"{key}=null: convention={config.convention} gives it no value; set it")
    for index, scale in enumerate(config.scales or []):
        for key, field, value in leaves(scale):
            _check_type(f"scales[{index}].{key}", value, field)
            _check_rule(f"scales[{index}].{key}", value, field.metadata["rule"])
    _check_layers(config)
    _check_styles(config)
    check_controls(config)
    _check_terms(config)
    _check_statistic(config)
    _check_init(config)
    _check_color(config)
    _check_space(config)
    _check_scales(config)
    _check_model(config)


def _check_text(key: str, value: Any) -> None:
    """Names of files may be any bytes but zero, but manifests, event files and captions are UTF-8."""
    for item in _items(value):
        if "\0" in str(item):
            raise ConfigError(f"{key}={show(value)}: holds a zero byte, which no name may")
        try:
            str(item).encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{key}={show(value)}: the name is not valid UTF-8; rename the file or folder") from error


def _check_rule(key: str, value: Any, rule: Rule | None) -> None:
    if rule is None or value is None:
        return
    for item in _items(value):
        if not rule.accepts(item):
            what = f" {show(item)} is not valid," if isinstance(value, list) else ""
            raise ConfigError(f"{key}={show(value)}:{what} expected {rule.expected}{nearest(item, rule.choices)}")


def _items(value: Any) -> Iterator[Any]:
    """The values that a rule is about: those of a list, or of lists in a list, but for nulls."""
    if isinstance(value, list):
        for item in value:
            yield from _items(item)
    elif value is not None:
        yield value


def _check_layers(config: Config) -> None:
    layers = config.layers
    for kind, names, weights in (
        ("content", layers.content, layers.content_weights),
        ("style", layers.style, layers.style_weights),
    ):
        check_distinct(f"layers.{kind}", names)
        check_count(f"layers.{kind}_weights", weights, f"layers.{kind}", names)


def _check_styles(config: Config) -> None:
    style = config.style
    check_count("style.weights", style.weights, "style.images", style.images)
    needed = config.loss.style_weight > 0 or config.init.kind == "style"
    if needed and not style.images:
        raise ConfigError("style.images=[]: an image is needed while loss.style_weight > 0 or init.kind=style")
    if config.loss.style_weight > 0 and not any(style.weights):
        raise ConfigError(f"style.weights={show(style.weights)}: at least one must be greater than 0")
    if not isfinite(sum(style.weights)):
        raise ConfigError(f"style.weights={show(style.weights)}: their sum is too large to divide by")
    for image in style.images:
        check_image("style.images", image)


def _check_terms(config: Config) -> None:
    loss, layers, content = config.loss, config.layers, config.content.image
    if not (loss.content_weight or loss.style_weight or loss.tv_weight):
        raise ConfigError("loss.content_weight=0: nothing to optimise while style_weight and tv_weight are 0 too")
    for kind in ("content", "style"):
        weights = getattr(layers, f"{kind}_weights")
        if kind == "style" and config.style.layers is not None:
            continue  # they take the place of layers.style, and are checked there
        if getattr(loss, f"{kind}_weight") > 0 and not any(weights):
            raise ConfigError(
                f"layers.{kind}_weights={show(weights)}: no {kind} layer has a weight while loss.{kind}_weight > 0"
            )
    if content is not None:
        check_image("content.image", content)
    elif loss.content_weight > 0 or config.init.kind in ("content", "mix"):
        raise ConfigError("content.image=null: needed while loss.content_weight > 0 or init.kind is content or mix")
    elif not config.style.images and config.init.kind != "file":
        raise ConfigError("content.image=null: without style images and init.kind=file there is no shape to take")


def _check_statistic(config: Config) -> None:
    loss, style, name = config.loss, config.style, config.loss.statistic
    if not loss.style_weight > 0:
        return
    if style.blend == "targets" and sum(weight > 0 for weight in style.weights) > 1 and not STATISTICS[name].blendable:
        able = ", ".join(other for other, traits in STATISTICS.items() if traits.blendable)
        raise ConfigError(
            f"style.blend=targets: loss.statistic={name} cannot be averaged over styles, since "
            f"{STATISTICS[name].obstacle}; valid: weighted, sum, loss_share, or a statistic among {able}"
        )
    if config.runner.graphs and not STATISTICS[name].recordable:
        raise ConfigError(
            f"runner.graphs=true: loss.statistic={name} waits for the device in every evaluation and cannot be "
            "recorded; expected false"
        )
    if loss.gram_shift and name not in GRAM_BASED:
        raise ConfigError(
            f"loss.gram_shift={show(loss.gram_shift)}: loss.statistic={name} has no Gram matrix; expected 0"
        )
    if loss.style_scale == "target" and name != "gram":
        raise ConfigError(f"loss.style_scale=target: only loss.statistic=gram has it, not {name}; expected none")
    own = [each for each, share in zip(layers_by_style(config), style.weights, strict=True) if share > 0]
    pairs = (pair for layers, weights in own for pair in zip(layers, weights, strict=True))
    used = dict.fromkeys(layer for layer, weight in pairs if weight > 0)
    if name == "histogram" and not set(used).intersection(loss.histogram_layers):
        raise ConfigError(
            f"loss.histogram_layers={show(loss.histogram_layers)}: none is a style layer with a weight "
            f"({', '.join(used)}); loss.statistic=histogram would be gram"
        )


def _check_init(config: Config) -> None:
    if config.init.kind == "file":
        if config.init.image is None:
            raise ConfigError("init.image=null: init.kind=file needs a catalog name or a path")
        check_image("init.image", config.init.image)
    if config.init.kind == "run" and config.init.run is None:
        raise ConfigError("init.run=null: init.kind=run needs the folder of a run")
    if config.init.curvature and (config.init.kind != "run" or config.optimizer.name != "lbfgs"):
        raise ConfigError(
            f"init.curvature=true: is of init.kind=run and optimizer.name=lbfgs, not {config.init.kind} and "
            f"{config.optimizer.name}; expected false"
        )


def _check_color(config: Config) -> None:
    mode = config.color.mode
    if mode != "none" and config.content.image is None:
        raise ConfigError(f"color.mode={mode}: takes the colours of content.image, which is null; expected none")
    if mode == "content_chroma" and config.runner.continuation is not None:
        raise ConfigError(
            f"runner.continuation={config.runner.continuation}: color.mode=content_chroma leaves another picture than "
            "the one that was optimised, from which none can go on; expected null"
        )


def _check_space(config: Config) -> None:
    """The optimiser's variable: what bounds and parametrisations go together."""
    optimizer, bounds = config.optimizer, f"optimizer.bounds={config.optimizer.bounds}"
    if optimizer.bounds == "project" and optimizer.name == "lbfgs_torch":
        raise ConfigError(
            f"{bounds}: torch's L-BFGS knows no bounds, its curvature would be that of steps not taken; expected "
            "optimizer.name=lbfgs, adam or sgd, or straight_through"
        )
    # Pictures are clipped after steps of Adam and SGD alone: L-BFGS would lose its curvature.
    inert = optimizer.bounds == "clip" and optimizer.name.startswith("lbfgs")
    if optimizer.bounds_range == "style" and not any(used_styles(config)):
        raise ConfigError("optimizer.bounds_range=style: no style image is in use; expected unit")
    if config.parametrisation != "fourier":
        return
    if optimizer.bounds in ("clip", "project") and not inert:
        raise ConfigError(
            f"{bounds}: bounds on pixels are none on the coefficients of parametrisation=fourier; expected none or "
            "straight_through"
        )
    if optimizer.carry_state and optimizer.name == "adam":
        raise ConfigError(
            "optimizer.carry_state=true: moments of the coefficients of parametrisation=fourier cannot be resized like "
            "pictures; expected false"
        )


def _check_scales(config: Config) -> None:
    scales = config.scales
    if scales is None:
        return
    if not scales or scales[-1].factor != 1:
        last = show(scales[-1].factor) if scales else "missing"
        raise ConfigError(f"scales: the last factor is {last}, expected 1, so that the result has the size asked for")
    if not isfinite(config.optimizer.evaluations * sum(scale.share for scale in scales)):
        raise ConfigError(f"scales[0].share={show(scales[0].share)}: the shares of all add up to too much to divide by")


def _check_model(config: Config) -> None:
    model, named = config.model, ("caffe", "torchvision", "random")
    is_file = Path(model.weights).suffix in (".pth", ".safetensors", ".npz") and isfile(model.weights)
    if model.weights not in named and not is_file:
        raise ConfigError(
            f"model.weights={model.weights}: expected {', '.join(named)} or an existing .pth, .safetensors or "
            f".npz file{nearest(model.weights, named)}"
        )
    if model.normalized:
        try:
            weight_files.read_means(model.weights, model.seed, model.means)
        except WeightsError as error:
            raise ConfigError(str(error)) from error
    for key in ("mean", "std"):
        if len(getattr(model, key)) != 3:
            raise ConfigError(f"model.{key}={show(getattr(model, key))}: expected three numbers, for R, G and B")
    if len(config.optimizer.betas) != 2:
        raise ConfigError(f"optimizer.betas={show(config.optimizer.betas)}: expected two numbers")
