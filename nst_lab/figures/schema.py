"""A figure's configuration, typed: what a command line asks for, and which rows, columns and panels a figure has."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from math import inf
from typing import Any

from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from nst_lab.config.checks import expected_type
from nst_lab.config.composition import Composer, of_job, one_line, to_dict
from nst_lab.config.values import show, value_at
from nst_lab.errors import ConfigError, nearest

SHOWN = ("result", "content", "style", "curves")
INSETS = ("none", "content", "style")
QUALITIES = ("paper", "draft")
IMAGES = ("papers", "built_in")


@dataclass
class PanelConfig:
    """One panel, or a column of them.

    `show`: the `result` of its run, the `content` or first `style` image of its settings, or the loss `curves` of all
    runs of the figure, for which the row should have no other panel. `settings` are overrides of `nst-lab` by key.
    `letter` null: by the figure's `letters`. `inset` null: the figure's for results, none for inputs. The factors
    multiply the figure's size and evaluations.
    """

    label: str = ""
    letter: str | None = None
    show: str = "result"
    inset: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    size_factor: float = 1.0
    evaluations_factor: float = 1.0


@dataclass
class RowConfig:
    """One row: its settings apply to its panels, which are the figure's columns unless it has its own."""

    label: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    panels: list[PanelConfig] | None = None


@dataclass
class Quality:
    """Pixels and evaluations of a cell."""

    size: int = MISSING
    evaluations: int = MISSING


@dataclass
class Expected:
    """How long a figure takes in the quality `paper`, in words."""

    cpu: str = MISSING
    gpu: str = MISSING


@dataclass
class FigureConfig:
    """A figure: where it was published, its cells and how they are labelled.

    Settings of the figure, the row and the panel apply in this order. `inset` is what is shown in the lower left corner
    of results, `differences` what differs from the publication, in sentences for the caption.
    """

    paper: str = MISSING
    number: str = MISSING
    title: str = MISSING
    expected: Expected = field(default_factory=Expected)
    settings: dict[str, Any] = MISSING
    rows: list[RowConfig] = MISSING
    columns: list[PanelConfig] = MISSING
    row_title: str = MISSING
    column_title: str = MISSING
    letters: bool = MISSING
    inset: str = MISSING
    differences: list[str] = MISSING
    quality: dict[str, Quality] = MISSING


@dataclass
class Request:
    """What a command line asks for: the keys of `conf/figure.yaml`."""

    name: str = MISSING
    out_dir: str = MISSING
    quality: str = MISSING
    size: int | None = MISSING
    evaluations: int | None = MISSING
    images: str = MISSING
    dry_run: bool = MISSING
    figure: FigureConfig = field(default_factory=FigureConfig)


def own_keys() -> set[str]:
    """The keys of a command line that are the figure's and not its cells'."""
    return {each.name for each in fields(Request)}


def figure_names(composer: Composer) -> list[str]:
    """The figures there are, the user's own included."""
    return sorted(composer.loader.get_group_options("figure"))


def load_request(composer: Composer, figure: str, overrides: Sequence[str] = ()) -> Request:
    """The figure of that name with `overrides` of its own keys, typed and checked; its cells are not composed yet.

    Raises:
        ConfigError: one line with the key, the value and what would be valid.
    """
    names = figure_names(composer)
    if figure not in names:
        raise ConfigError(f"figure={figure}: no such figure; valid: {', '.join(names)}{nearest(figure, names)}")
    try:
        composed = composer.loader.load_configuration("figure", [f"figure={figure}", *overrides], run_mode=RunMode.RUN)
    except Exception as error:  # a user's YAML file leads Hydra and its parsers to errors of any kind
        raise ConfigError(f"figure={figure}: {one_line(error)}") from error
    request = _typed(composed, figure)
    _check(request, figure)
    return request


def _typed(composed: DictConfig, figure: str) -> Request:
    try:
        request = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Request), of_job(composed)))
    except ConfigKeyError as error:
        section = error.object_type
        known = [each.name for each in fields(section)] if is_dataclass(section) else []
        key = str(error.full_key).removeprefix("figure.")
        raise ConfigError(
            f"figure={figure}: {key}: no such key; valid: {', '.join(known)}{nearest(str(error.key), known)}"
        ) from error
    except OmegaConfBaseException as error:
        own = {each.name: each for each in fields(Request)}.get(str(error.full_key))
        if own and own.name != "figure":
            value = value_at(to_dict(of_job(composed)), own.name)
            given = repr(value) if isinstance(value, float) else show(value)  # 1000.0 is no whole number
            raise ConfigError(f"{own.name}={given}: expected {expected_type(own)}") from error
        raise ConfigError(f"figure={figure}: {one_line(error).removeprefix('figure.')}") from error
    assert isinstance(request, Request)
    return request


def _check(request: Request, name: str) -> None:
    figure = request.figure
    _check_choice("quality", request.quality, QUALITIES)
    _check_choice("images", request.images, IMAGES)
    _check_choice(f"figure={name}: inset", figure.inset, INSETS)
    for key in ("size", "evaluations"):
        value = getattr(request, key)
        if value is not None and value < 1:
            raise ConfigError(f"{key}={value}: expected a whole number of at least 1")
    _check_qualities(figure, name)
    if not figure.columns and not any(row.panels for row in figure.rows):
        raise ConfigError(f"figure={name}: no panels; give columns, or rows with panels")
    for number, row in enumerate(figure.rows):
        if row.panels == []:
            raise ConfigError(f"figure={name}: rows[{number}].panels=[]: no panels; null shows the figure's columns")
        if row.panels is None and not figure.columns:
            raise ConfigError(f"figure={name}: rows[{number}]: no panels, and the figure has no columns")
    for place, panel in _panels(figure):
        _check_choice(f"figure={name}: {place}.show", panel.show, SHOWN)
        if panel.inset is not None:
            _check_choice(f"figure={name}: {place}.inset", panel.inset, INSETS)
        for key in ("size_factor", "evaluations_factor"):
            if not 0 < getattr(panel, key) < inf:
                raise ConfigError(f"figure={name}: {place}.{key}={getattr(panel, key):g}: expected a number above 0")


def _check_qualities(figure: FigureConfig, name: str) -> None:
    if missing := [quality for quality in QUALITIES if quality not in figure.quality]:
        raise ConfigError(f"figure={name}: quality: {missing[0]} with size and evaluations is missing")
    for quality, chosen in figure.quality.items():
        _check_choice(f"figure={name}: quality", quality, QUALITIES)
        for key in ("size", "evaluations"):
            if getattr(chosen, key) < 1:
                raise ConfigError(
                    f"figure={name}: quality.{quality}.{key}={getattr(chosen, key)}: expected a whole number of at "
                    "least 1"
                )


def _check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"{key}={value}: expected one of {', '.join(choices)}{nearest(value, choices)}")


def _panels(figure: FigureConfig) -> list[tuple[str, PanelConfig]]:
    """Every panel with its place in the file."""
    places = [(f"columns[{index}]", panel) for index, panel in enumerate(figure.columns)]
    for number, row in enumerate(figure.rows):
        places += [(f"rows[{number}].panels[{index}]", panel) for index, panel in enumerate(row.panels or [])]
    return places
