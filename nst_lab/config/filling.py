"""What a configuration leaves open, filled in: by its convention, or from other keys. And what it says differently."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, is_dataclass
from operator import attrgetter
from typing import Any

from nst_lab.config.checks import check_key, check_shapes
from nst_lab.config.profiles import PROFILES, SYNONYMS, layer_weights
from nst_lab.config.schema import Config
from nst_lab.config.values import show, value_at
from nst_lab.errors import ConfigError
from nst_lab.network.architecture import input_statistics

# Values of a convention that depend on another key: section, table, the key that chooses from it, the key filled in.
TABLES = (
    ("optimizer", "learning_rates", "name", "learning_rate"),
    ("loss", "style_factors", "statistic", "style_factor"),
)

CONVENTIONS: dict[str, dict[str, Any]] = {}  # by name, those that configurations of this process were filled with


def fill(settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` with every null that the convention has a value for replaced by it; `convention` becomes its name.

    A value of the convention's own wins over its table (`TABLES`), as one for every choice.
    """
    settings = deepcopy(settings)
    _name_profiles_alike(settings)
    convention = settings.pop("convention", None)
    if not isinstance(convention, dict) or "name" not in convention:
        raise ConfigError(f"convention={show(convention)}: expected one of the files in conf/convention/")
    name = str(convention["name"])
    CONVENTIONS[name] = convention
    _fill_nulls(settings, _plain_values(convention))
    for section, key, value in _chosen(convention, lambda name, choice: value_at(settings, f"{name}.{choice}")):
        if isinstance(settings.get(section), dict):
            _fill_nulls(settings[section], {key: value}, f"{section}.")
    check_shapes(settings)
    _fill_rows(settings.get("style"), settings.get("layers"))
    return settings | {"convention": name, "convention_overrides": []}


def overrides_of(config: Config) -> list[str]:
    """The keys of a filled configuration whose value is not its convention's, nor what follows from other keys.

    Compared as typed and as they are now, so that neither quotes nor the way to a value make a difference.
    """
    if config.convention not in CONVENTIONS:  # filled by another process
        return config.convention_overrides
    convention = CONVENTIONS[config.convention]
    own = list(_differing(_plain_values(convention), config))
    for section, key, value in _chosen(convention, lambda name, choice: getattr(getattr(config, name), choice)):
        own += _differing({section: {key: value}}, config)
    own += [
        key
        for key, values in derived(config)
        if value_at(convention, key) is None and attrgetter(key)(config) != values
    ]
    return own


def _differing(values: dict[str, Any], config: Any, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        own = getattr(config, key)
        if isinstance(value, dict):
            yield from _differing(value, own, f"{prefix}{key}.")
        elif ([asdict(each) for each in own] if _holds_dataclasses(own) else own) != value:
            yield f"{prefix}{key}"


def _holds_dataclasses(value: Any) -> bool:
    return isinstance(value, list) and all(is_dataclass(each) for each in value)


def _plain_values(convention: dict[str, Any]) -> dict[str, Any]:
    """What a convention says whatever else is chosen."""
    tables = {(section, table) for section, table, *_ in TABLES}
    plain = {}
    for key, value in convention.items():
        if isinstance(value, dict):
            plain[key] = {name: each for name, each in value.items() if (key, name) not in tables}
        elif key != "name":
            plain[key] = value
    return plain


def _chosen(convention: dict[str, Any], choice_of: Callable[[str, str], Any]) -> Iterator[tuple[str, str, Any]]:
    """Section, key and value of what the convention's tables give for the choices made."""
    for section, table, choice, key in TABLES:
        if value_at(convention, f"{section}.{key}") is None:
            yield section, key, value_at(convention, f"{section}.{table}.{choice_of(section, choice)}")


def _name_profiles_alike(settings: dict[str, Any]) -> None:
    """In place: a profile that goes by two names has one from here on, so that its runs are the same."""
    layers = settings.get("layers")
    for key in ("content_profile", "style_profile"):
        if isinstance(layers, dict) and (name := str(layers.get(key))) in SYNONYMS:
            layers[key] = SYNONYMS[name]


LISTS = ("layers", "layer_weights", "sizes", "masks", "guides", "fine")


def _fill_rows(style: Any, layers: Any) -> None:
    """In place: a list of nothing but nulls is null, and a style without layers of its own has those of all."""
    if not (isinstance(style, dict) and isinstance(layers, dict)):
        return
    for key in LISTS:
        values = style.get(key)
        if isinstance(values, list) and values and all(value is None for value in values):
            style[key] = None
    rows, weights = style.get("layers"), style.get("layer_weights")
    if isinstance(rows, list):
        rows = style["layers"] = [layers.get("style") if row is None else row for row in rows]
        if isinstance(weights, list) and len(weights) == len(rows):
            profile = layers.get("style_profile")
            style["layer_weights"] = [
                layer_weights("style", profile, row) if own is None and isinstance(row, list) else own
                for row, own in zip(rows, weights, strict=True)
            ]


def _fill_nulls(settings: dict[str, Any], values: dict[str, Any], prefix: str = "") -> None:
    for key, value in values.items():
        if key not in settings:
            check_key(f"{prefix}{key}", value)
        elif isinstance(value, dict) and isinstance(settings[key], dict):
            _fill_nulls(settings[key], value, f"{prefix}{key}.")
        elif settings[key] is None:
            settings[key] = value


def derived(config: Config) -> Iterator[tuple[str, Sequence[object]]]:
    """The keys that follow from others, and what follows: weights from their profile, input statistics."""
    layers, style, model = config.layers, config.style, config.model
    for kind in ("content", "style"):
        names, profile = getattr(layers, kind) or [], getattr(layers, f"{kind}_profile")
        if (weights := layer_weights(kind, profile, names)) is not None:
            yield f"layers.{kind}_weights", weights
    by_style = [layer_weights("style", layers.style_profile, names) for names in style.layers or []]
    if style.layers is not None and None not in by_style:
        yield "style.layer_weights", by_style
    if style.profile in PROFILES:
        yield "style.weights", PROFILES[style.profile](style.images)
    if model.weights is not None:
        statistics = input_statistics(model.weights)
        yield "model.mean", list(statistics.mean)
        yield "model.std", list(statistics.std)


def fill_derived(config: Config) -> None:
    """Fill in place what follows from other keys and was left open."""
    for key, values in list(derived(config)):
        section, _, name = key.partition(".")
        if attrgetter(key)(config) is None:
            setattr(getattr(config, section), name, values)
