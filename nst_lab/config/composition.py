"""From `conf/` and overrides to a filled, typed, checked `Config`: Hydra composes, conventions fill in, checks follow.

Everything here answers without importing torch.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from os.path import expanduser, isdir  # unlike those of Path, they take what cannot be a name, or a user's home
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from nst_lab.config import seed_runs
from nst_lab.config.checks import check_config, check_key, check_unknown_keys, expected_type, schema_keys
from nst_lab.config.filling import fill, fill_derived, overrides_of
from nst_lab.config.schema import Config, Scale
from nst_lab.config.values import show, value_at
from nst_lab.errors import ConfigError, nearest

MOST_CELLS = 100_000  # of a sweep: each is composed and kept


@dataclass(frozen=True)
class Cell:
    """One run of a sweep: its overrides (as given, plus its values of the swept keys) and its configuration.

    `continuation` are the overrides by which it goes on from another cell (`sweeps/continuation.py`).
    """

    overrides: tuple[str, ...]
    config: Config
    continuation: tuple[str, ...] = ()

    @property
    def all_overrides(self) -> tuple[str, ...]:
        """From which the configuration is composed."""
        return self.overrides + self.continuation


def conf_directory() -> Path:
    """The `conf/` of the installed wheel, or of the checkout in an editable install."""
    package = Path(str(resources.files("nst_lab")))
    shipped = package / "conf"
    return shipped if shipped.is_dir() else package.parent / "conf"


def compose(overrides: list[str] | tuple[str, ...] = (), config_dir: str | Path | None = None) -> Config:
    """The filled and checked configuration that `overrides` describe, as on the command line.

    Args:
        overrides: `key=value` and `group=choice`, Hydra's grammar; `seed_run=<name>` stands for several.
        config_dir: a folder of the user's own groups and experiments, searched before the shipped ones.

    Raises:
        ConfigError: one line with the key, the value and what would be valid.
    """
    if not isinstance(overrides, (list, tuple)) or not all(isinstance(text, str) for text in overrides):
        raise ConfigError(f"compose({overrides!r}): expected a list of overrides, such as ['size=256', 'seed=1']")
    return Composer(config_dir).config(list(overrides))


class Composer:
    """Hydra's composition over the shipped `conf/` and, first, a folder of the user's."""

    def __init__(self, config_dir: str | Path | None = None):
        setup_globals()
        self.config_dir = config_dir
        self.directory: str | None = None  # that one, resolved
        search_path = create_config_search_path(str(conf_directory()))
        if config_dir is not None:
            if not isdir(expanduser(config_dir)):
                raise ConfigError(f"--config-dir {config_dir}: not a folder")
            self.directory = str(Path(expanduser(config_dir)).resolve())
            search_path.prepend(provider="command-line", path=f"file://{self.directory}")
        self.loader = ConfigLoaderImpl(config_search_path=search_path)
        self._parsed: dict[str, Override] = {}
        self._overrides: dict[str, tuple[Override, bool]] = {}
        self._compositions: dict[tuple[str, ...], DictConfig] = {}

    def parse(self, overrides: list[str]) -> list[Override]:
        """Overrides in Hydra's grammar, keys and choices known."""
        return [self._parsed.get(text) or self._parse(text) for text in overrides]

    def _parse(self, text: str) -> Override:
        override = self._read(text)
        self._check_override(override, text)
        self._parsed[text] = override
        return override

    def _read(self, text: str) -> Override:
        try:
            [override] = OverridesParser.create(config_loader=self.loader).parse_overrides([text])
        except (HydraException, ValueError, OSError, RecursionError):  # numbers and names too long, lists too deep
            override = None
        if override is None or not override.key_or_group:
            raise ConfigError(
                f"{text}: not an override; expected key=value, the value quoted if it has spaces or one of "
                "()[]{}:=,'\" (in a shell: 'key=\"a b\"')"
            )
        return override

    def _check_override(self, override: Override, text: str) -> None:
        key = override.key_or_group
        if key == "figure":
            raise ConfigError(f"{text}: figures have a command of their own: nst-figure {text}")
        choices = self._choices(key)
        if key in ("hydra", "hydra.job.chdir"):
            raise ConfigError(f"{text}: cannot be set; runs stay in the current directory and Hydra's keys are hydra.…")
        if key == "search":
            raise ConfigError(f"{text}: a search is several runs; nst-search {text.partition('=')[2]} makes them")
        if key == "hydra.sweeper" or key.startswith("hydra.sweeper.params"):
            raise ConfigError(f"{text}: cannot be set; a sweep is -m key=a,b, or hydra.sweeper.params of an experiment")
        if key.startswith("hydra.") or (key.startswith("hydra/") and not choices):
            return
        if override.is_interval_sweep():
            raise ConfigError(f"{text}: an interval has no values of its own to sweep; list them, or use range(…)")
        swept = override.value()
        if isinstance(swept, RangeSweep) and not _is_short(swept):
            raise ConfigError(f"{text}: a sweep has {MOST_CELLS} runs at most")
        values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
        if key == seed_runs.KEY:
            for value in values:
                seed_runs.overrides(str(value))
        elif choices:
            for value in values:
                if not isinstance(value, (list, dict)) and str(value) not in choices:
                    valid = f"{', '.join(choices)}{nearest(str(value), choices)}{_hint_for_files(key)}"
                    raise ConfigError(f"{key}={show(value)}: no such choice; valid: {valid}")
        else:
            check_key(key, text.partition("=")[2])

    def _choices(self, group: str) -> list[str]:
        """The configurations of a group, those of its folders as `folder/name`; none of what is a key."""
        repository = self.loader.repository  # the loader itself would copy it for every question
        folders = repository.get_group_options(group, ObjectType.GROUP)
        nested = [f"{name}/{choice}" for name in folders for choice in self._choices(f"{group}/{name}")]
        return [*repository.get_group_options(group), *nested]

    def load(self, overrides: list[str], run_mode: RunMode = RunMode.RUN) -> DictConfig:
        """The composed configuration as Hydra gives it, its own `hydra` section included."""
        try:
            composed = self.loader.load_configuration("config", overrides, run_mode=run_mode)
        except (UnicodeDecodeError, RecursionError) as error:  # they do not name the file
            fault = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "includes itself, or is too deep"
            choices = ", ".join(text for text in overrides if self._fails_alike(text, run_mode, error))
            raise ConfigError(f"{choices or 'config'}: its file, or one that it includes, {fault}") from error
        except Exception as error:  # a user's YAML file leads Hydra and its parsers to errors of any kind
            raise ConfigError(one_line(error)) from error
        _check_convention_name(composed)
        return composed

    def _fails_alike(self, override: str, run_mode: RunMode, error: Exception) -> bool:
        """Whether it is this override that leads to an error of this kind."""
        try:
            self.loader.load_configuration("config", [override], run_mode=run_mode)
        except Exception as alone:
            return type(alone) is type(error)
        return False

    def cell(self, overrides: Sequence[str]) -> Config:
        """The configuration of one of many cells: what their choices of groups have in common is composed only once.

        `overrides` were parsed before.
        """
        own = [(text, *self._recognised(text)) for text in overrides]
        chosen = tuple(text for text, _, chooses in own if chooses)
        if chosen not in self._compositions:
            self._compositions[chosen] = of_job(self.load(list(chosen)))
        composed = deepcopy(self._compositions[chosen])
        try:
            for override in (override for _, override, chooses in own if not chooses):
                ConfigLoaderImpl._apply_overrides_to_config([override], composed)
        except HydraException as error:
            raise ConfigError(one_line(error)) from error
        except RecursionError as error:
            raise ConfigError(f"{override.key_or_group}: lists within lists, too deep") from error
        return finish(composed)

    def _recognised(self, text: str) -> tuple[Override, bool]:
        """A parsed override, and whether it is a choice of a group (or Hydra's own) and not a value."""
        if text not in self._overrides:
            override = self._read(text)
            is_group = bool(self.loader.repository.get_group_options(override.key_or_group))
            self._overrides[text] = override, override.is_hydra_override() or is_group
        return self._overrides[text]

    def config(self, overrides: list[str]) -> Config:
        """One filled and checked configuration."""
        for override, text in zip(self.parse(overrides), overrides, strict=True):
            if override.is_sweep_override():
                raise ConfigError(f"{text}: several values need a sweep (-m); a list is written key=[a,b]")
        return finish(self.load(seed_runs.expand(overrides)))


def _is_short(sweep: RangeSweep) -> bool:
    """Whether a range has an end, and no more values than a sweep may have."""
    return abs((sweep.stop or 0) - (sweep.start or 0)) < MOST_CELLS * abs(sweep.step)


def as_given(override: Override) -> str:
    """The text of a parsed override."""
    assert override.input_line is not None
    return override.input_line


def _check_convention_name(composed: DictConfig) -> None:
    """A copied convention that keeps the name of its original would pass for it in folders and manifests."""
    chosen = OmegaConf.select(composed, "hydra.runtime.choices.convention")
    convention = composed.get("convention")
    name = convention.get("name") if isinstance(convention, DictConfig) else None
    if chosen is not None and name is not None and name != chosen:
        raise ConfigError(f"convention={chosen}: its file says name: {name}, expected name: {chosen}")


def _hint_for_files(group: str) -> str:
    return {
        "content": "; a file of your own is content.image=<path>",
        "style": "; files of your own are style.images=[<path>,…]",
    }.get(group, "")


def of_job(composed: DictConfig) -> DictConfig:
    """What is not Hydra's own of a composed configuration."""
    return OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])


def to_dict(config: DictConfig | ListConfig, *, resolve: bool = False) -> dict[str, Any]:
    """A mapping of OmegaConf as nested dictionaries and lists; complete, if it is resolved."""
    container = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def finish(composed: DictConfig) -> Config:
    """Fill nulls from the convention, type and check a composed configuration."""
    try:
        settings = to_dict(of_job(composed) if "hydra" in composed else composed, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(one_line(error)) from error
    filled = fill(settings)
    check_unknown_keys(filled)
    config = _typed(filled)
    config.out_dir = str(Path(expanduser(config.out_dir)))
    if config.model.weights is not None:
        config.model.weights = str(Path(expanduser(config.model.weights)))
    if config.init.run is not None:
        config.init.run = str(Path(expanduser(config.init.run)))
    fill_derived(config)
    config.convention_overrides = overrides_of(config)
    try:
        check_config(config)
    except ConfigError as error:
        written = value_at(to_dict(of_job(composed)), str(error).partition("=")[0])
        if "${" not in str(written):
            raise
        raise ConfigError(f"{error}; written {show(written)}, where ${{ begins a reference to another key") from error
    return config


def _typed(settings: dict[str, Any]) -> Config:
    try:
        config = OmegaConf.to_object(OmegaConf.merge(_schema(), _with_rows(settings)))
    except OmegaConfBaseException as error:
        key = "scales" if error.object_type is Scale else (error.full_key or "").partition("[")[0]
        field = schema_keys().get(key)
        if field is None:
            raise ConfigError(one_line(error)) from error
        if isinstance(error, MissingMandatoryValue):
            raise ConfigError(f"{key}: missing; expected {expected_type(field)}") from error
        value = value_at(settings, key)
        if "${" in str(value):
            raise ConfigError(f"{key}={show(value)}: ${{ begins a reference to another key; rename the file") from error
        if value is None and error.full_key:
            raise ConfigError(f"{key}=null: expected {expected_type(field)}") from error
        given = repr(value) if isinstance(value, float) else show(value)  # 1000.0 is no whole number
        raise ConfigError(f"{key}={given}: expected {expected_type(field)}") from error
    assert isinstance(config, Config)
    return config


def _with_rows(settings: dict[str, Any]) -> dict[str, Any]:
    """Lists of lists as OmegaConf takes them: it has no words for what is no list, and no 1 for a number in them."""
    style = settings.get("style")
    if not isinstance(style, dict):
        return settings
    for key in ("layers", "layer_weights"):
        rows = style.get(key)
        if isinstance(rows, list) and not all(isinstance(row, list) for row in rows):
            field = schema_keys()[f"style.{key}"]
            raise ConfigError(f"style.{key}={show(rows)}: expected {expected_type(field)}")
    weights = style.get("layer_weights")
    if not isinstance(weights, list):
        return settings
    numbers = [[float(each) if type(each) is int else each for each in row] for row in weights]
    return settings | {"style": style | {"layer_weights": numbers}}


@cache
def _schema() -> DictConfig:
    schema: DictConfig = OmegaConf.structured(Config)
    return schema


def one_line(error: BaseException) -> str:
    """The gist of a Hydra or OmegaConf error: its innermost message, the key first, on one line."""
    # OmegaConf's own have causes only where a debugger or a coverage tool looks on, and may then be their own.
    while isinstance(error, HydraException) and isinstance(error.__cause__, (HydraException, OmegaConfBaseException)):
        error = error.__cause__
    message = " ".join(part.strip() for part in str(error).split("\n    full_key")[0].splitlines() if part.strip())
    key = getattr(error, "full_key", None)
    return f"{key}: {message}" if key else message


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    pairs: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            pairs |= flat(value, f"{prefix}{key}.")
        else:
            pairs[prefix + key] = value
    return pairs


OF_EACH_STYLE = ("layers", "sizes", "masks", "guides", "guidance", "fine", "fine_layers", "fine_evaluations")


@cache
def shipped_defaults() -> dict[str, Any]:
    """The values in `conf/` of what no convention owns and a run is known by."""
    names = ("config", "optimizer/convention", "style/none", "color/none")
    config, optimizer, style, color = (to_dict(OmegaConf.load(conf_directory() / f"{name}.yaml")) for name in names)
    shipped = {key: config[key] for key in ("size", "seed", "scales", "precision")}
    shipped |= {"optimizer.evaluations": optimizer["evaluations"], "content.mask": None}
    shipped |= {f"style.{key}": value for key, value in style.items() if key in OF_EACH_STYLE}
    return shipped | {f"color.{key}": value for key, value in color.items()}


def to_settings(config: Config) -> dict[str, Any]:
    """A configuration as plain nested dictionaries and lists."""
    return asdict(config)
