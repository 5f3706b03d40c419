"""From `conf/` and overrides to a filled, typed, checked `Config`: Hydra composes, conventions fill in, checks follow.

Everything here answers without importing torch.
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nst_lab.architecture import LAYERS, input_statistics
from nst_lab.checks import check_config, check_key, check_unknown_keys, expected_type, schema_keys, show
from nst_lab.config import Config
from nst_lab.errors import ConfigError, nearest


@dataclass(frozen=True)
class Cell:
    """One run of a sweep: its overrides (as given, plus its values of the swept keys) and its configuration."""

    overrides: tuple[str, ...]
    config: Config


def conf_directory() -> Path:
    """The `conf/` of the installed wheel, or of the checkout in an editable install."""
    package = Path(str(resources.files("nst_lab")))
    shipped = package / "conf"
    return shipped if shipped.is_dir() else package.parent / "conf"


def compose(overrides: list[str] | tuple[str, ...] = (), config_dir: str | Path | None = None) -> Config:
    """The filled and checked configuration that `overrides` describe, as on the command line.

    Args:
        overrides: `key=value` and `group=choice`, Hydra's grammar.
        config_dir: a folder of the user's own groups and experiments, searched before the shipped ones.

    Raises:
        ConfigError: one line with the key, the value and what would be valid.
    """
    return Composer(config_dir).config(list(overrides))


class Composer:
    """Hydra's composition over the shipped `conf/` and, first, a folder of the user's."""

    def __init__(self, config_dir: str | Path | None = None):
        setup_globals()
        search_path = create_config_search_path(str(conf_directory()))
        if config_dir is not None:
            directory = Path(config_dir).expanduser().resolve()
            if not directory.is_dir():
                raise ConfigError(f"--config-dir {config_dir}: not a folder")
            search_path.prepend(provider="command-line", path=f"file://{directory}")
        self.loader = ConfigLoaderImpl(config_search_path=search_path)

    def parse(self, overrides: list[str]) -> list[Override]:
        """Overrides in Hydra's grammar, keys and choices known."""
        parser = OverridesParser.create(config_loader=self.loader)
        parsed = []
        for text in overrides:
            try:
                [override] = parser.parse_overrides([text])
            except HydraException:
                override = None
            if override is None or not override.key_or_group:
                raise ConfigError(
                    f"{text}: not an override; expected key=value, the value quoted if it has spaces or one of "
                    "()[]{}:=,'\" (in a shell: 'key=\"a b\"')"
                )
            parsed.append(override)
            self._check_override(parsed[-1], text)
        return parsed

    def _check_override(self, override: Override, text: str) -> None:
        key = override.key_or_group
        choices = self.loader.get_group_options(key)
        if key.startswith("hydra.") or (key.startswith("hydra/") and not choices):
            return
        if choices:
            values = override.sweep_iterator() if override.is_sweep_override() else [override.value()]
            for value in values:
                if value is not None and not isinstance(value, (list, dict)) and str(value) not in choices:
                    raise ConfigError(
                        f"{key}={value}: no such choice; valid: {', '.join(choices)}{nearest(str(value), choices)}"
                        + _hint_for_files(key)
                    )
        else:
            check_key(key, text.partition("=")[2])

    def load(self, overrides: list[str], run_mode: RunMode = RunMode.RUN) -> DictConfig:
        """The composed configuration as Hydra gives it, its own `hydra` section included."""
        try:
            return self.loader.load_configuration("config", overrides, run_mode=run_mode)
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise ConfigError(_one_line(error)) from error

    def config(self, overrides: list[str]) -> Config:
        """One filled and checked configuration."""
        for override, text in zip(self.parse(overrides), overrides, strict=True):
            if override.is_sweep_override():
                raise ConfigError(f"{text}: several values need a sweep (-m); a list is written key=[a,b]")
        return finish(self.load(overrides))


def _hint_for_files(group: str) -> str:
    return {
        "content": "; a file of your own is content.image=<path>",
        "style": "; files of your own are style.images=[<path>,…]",
    }.get(group, "")


def finish(composed: DictConfig) -> Config:
    """Fill nulls from the convention, type and check a composed configuration."""
    try:
        job = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
        settings = OmegaConf.to_container(job, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_one_line(error)) from error
    filled = fill(settings)
    check_unknown_keys(filled)
    config = _typed(filled)
    _fill_derived(config)
    check_config(config)
    return config


def fill(settings: dict[str, Any]) -> dict[str, Any]:
    """`settings` with every null that the convention has a value for replaced by it; `convention` becomes its name."""
    settings = deepcopy(settings)
    convention = settings.pop("convention", None)
    if not isinstance(convention, dict) or "name" not in convention:
        raise ConfigError(f"convention={show(convention)}: expected one of the files in conf/convention/")
    rates = convention.get("optimizer", {}).pop("learning_rates", {})
    _fill_nulls(settings, {key: value for key, value in convention.items() if key != "name"})
    optimizer = settings.get("optimizer") or {}
    if optimizer.get("learning_rate") is None:
        optimizer["learning_rate"] = rates.get(str(optimizer.get("name")))
    return settings | {"convention": convention["name"]}


def _fill_nulls(settings: dict[str, Any], defaults: dict[str, Any], prefix: str = "") -> None:
    for key, default in defaults.items():
        if key not in settings:
            check_key(f"{prefix}{key}", default)
        elif isinstance(default, dict) and isinstance(settings[key], dict):
            _fill_nulls(settings[key], default, f"{prefix}{key}.")
        elif settings[key] is None:
            settings[key] = default


def _typed(settings: dict[str, Any]) -> Config:
    try:
        return OmegaConf.to_object(OmegaConf.merge(_schema(), settings))
    except OmegaConfBaseException as error:
        key = (error.full_key or "").partition("[")[0]
        field = schema_keys().get(key)
        if field is None:
            raise ConfigError(_one_line(error)) from error
        value: Any = settings
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None and error.full_key:
            raise ConfigError(f"{key}=null: expected {expected_type(field)}") from error
        raise ConfigError(f"{key}={show(value)}: expected {expected_type(field)}") from error


@cache
def _schema() -> DictConfig:
    return OmegaConf.structured(Config)


def _fill_derived(config: Config) -> None:
    """Lists that follow from others: layer weights from their profile, style weights, input statistics."""
    layers = config.layers
    for kind in ("content", "style"):
        names, profile = getattr(layers, kind) or [], getattr(layers, f"{kind}_profile")
        known = all(name in LAYERS for name in names)  # else the checks that follow name the wrong one
        if getattr(layers, f"{kind}_weights") is None and known and profile in PROFILES:
            setattr(layers, f"{kind}_weights", [PROFILES[profile](name, len(names)) for name in names])
    if config.style.weights is None:
        config.style.weights = [1.0] * len(config.style.images)
    if config.model.weights is not None:
        statistics = input_statistics(config.model.weights)
        for key in ("mean", "std"):
            if getattr(config.model, key) is None:
                setattr(config.model, key, list(getattr(statistics, key)))


# Layer weights by name: (layer, number of layers) -> weight.
PROFILES = {
    "uniform": lambda _layer, count: 1 / count,
    "ones": lambda _layer, _count: 1.0,
    "inverse_channels2": lambda layer, _count: 1 / LAYERS[layer].channels ** 2,
}


def _one_line(error: BaseException) -> str:
    """The gist of a Hydra or OmegaConf error: its innermost message, the key first, on one line."""
    while error.__cause__ is not None and isinstance(error.__cause__, (HydraException, OmegaConfBaseException)):
        error = error.__cause__
    message = " ".join(part.strip() for part in str(error).split("\n    full_key")[0].splitlines() if part.strip())
    key = getattr(error, "full_key", None)
    return f"{key}: {message}" if key else message


def to_settings(config: Config) -> dict[str, Any]:
    """A configuration as plain nested dictionaries and lists."""
    return OmegaConf.to_container(OmegaConf.structured(config))
