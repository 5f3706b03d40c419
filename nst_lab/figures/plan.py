"""A figure's configuration -> its panels, each with the run or the input that it shows, composed as `nst-lab` would."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from nst_lab.config import seed_runs
from nst_lab.config.composition import Cell, Composer
from nst_lab.config.grammar import override_value
from nst_lab.config.schema import Config, named_pictures
from nst_lab.errors import ConfigError
from nst_lab.figures.schema import PanelConfig, Quality, Request, RowConfig
from nst_lab.images import catalog
from nst_lab.running.claims import Watch
from nst_lab.sweeps import sweep
from nst_lab.sweeps.sweep import Planned

NAMING_PICTURES = (
    "content.image", "content.mask", "init.image", "style.images", "style.fine", "style.masks", "style.guides",
)  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One panel in its place: what it shows, of which configuration, and its run if it shows a result."""

    row: int
    column: int
    label: str
    own_label: bool  # not its column's
    place: str  # how the caption calls it
    letter: str
    show: str
    inset: str
    cell: Cell
    planned: Planned | None

    @property
    def shows(self) -> str:
        """In words, for the caption."""
        config = self.cell.config
        images = {"content": config.content.image, "style": next(iter(config.style.images), None)}
        kinds = {"content": "the content image", "style": "the style image", "curves": "the total losses of all runs"}
        image = images.get(self.show)
        return kinds.get(self.show, "the result") + (f" `{image}`" if image else "")


@dataclass(frozen=True)
class FigurePlan:
    """A figure with everything composed and checked; nothing has run."""

    name: str
    request: Request
    own: tuple[str, ...]  # what the command line gives to the figure
    extra: tuple[str, ...]  # and to every cell
    config_dir: str | Path | None
    quality: Quality  # in effect
    panels: tuple[Panel, ...]
    stand_ins: dict[str, str]  # image of the paper -> built-in image in its place
    watch: Watch

    @property
    def planned(self) -> list[Planned]:
        """The runs, each once, in the order of the panels."""
        return list({panel.planned.folder: panel.planned for panel in self.panels if panel.planned}.values())

    @property
    def rows(self) -> range:
        return range(len(self.request.figure.rows) or 1)

    @property
    def notices(self) -> list[str]:
        """What keeps the figure from being the paper's, for the terminal and the figure itself."""
        lines = []
        if self.stand_ins:
            pairs = ", ".join(f"{other} for {image}" for image, other in self.stand_ins.items())
            lines.append(f"Built-in stand-ins: {pairs}.")
        if self.quality != self.request.figure.quality["paper"]:
            lines.append(f"Draft: {self.quality.size} px, {self.quality.evaluations} evaluations.")
        return lines


def plan_figure(
    composer: Composer, name: str, request: Request, extra: Sequence[str], own: Sequence[str] = ()
) -> FigurePlan:
    """Compose and check every panel of a figure.

    Args:
        extra: overrides of the command line for every cell; they win over the figure's settings.
        own: those that `request` was loaded with, for the caption.

    Raises:
        ConfigError: at the first panel that is wrong.
    """
    _check_single(composer, extra)
    chosen = request.figure.quality[request.quality]
    quality = Quality(request.size or chosen.size, request.evaluations or chosen.evaluations)
    housekeeping = {"name": request.name, "out_dir": request.out_dir}
    composed: list[tuple[int, int, PanelConfig, Cell]] = []
    stand_ins: dict[str, str] = {}
    for y, row in enumerate(request.figure.rows or [RowConfig()]):
        for x, panel in enumerate(request.figure.columns if row.panels is None else row.panels):
            settings = {**request.figure.settings, **row.settings, **panel.settings}
            settings |= _scaled(quality, panel) | housekeeping
            try:
                cell = _compose(composer, settings, extra)
                if request.images == "built_in" and (others := _stand_ins(cell.config)):
                    stand_ins |= others
                    cell = _compose(composer, settings, extra, _substitutes(cell.config))
            except ConfigError as error:
                raise ConfigError(f"figure={name}: row {y + 1}, panel {x + 1}: {error}") from error
            composed.append((y, x, panel, cell))
    watch = Watch(min(cell.config.runner.takeover_seconds for *_, cell in composed))
    panels = [_panel(request, index, *each, watch) for index, each in enumerate(composed)]
    return FigurePlan(
        name, request, tuple(own), tuple(extra), composer.config_dir, quality, tuple(panels), stand_ins, watch
    )


def _check_single(composer: Composer, overrides: Sequence[str]) -> None:
    for override in composer.parse(list(overrides)):
        if override.is_sweep_override():
            raise ConfigError(f"{override.input_line}: a cell of a figure takes one value; a list is written key=[a,b]")


def _panel(request: Request, index: int, y: int, x: int, config: PanelConfig, cell: Cell, watch: Watch) -> Panel:
    figure = request.figure
    row = figure.rows[y] if figure.rows else RowConfig()
    letter = config.letter if config.letter is not None else _letter(index) if figure.letters else ""
    parts = [letter, row.label, config.label]
    return Panel(
        row=y,
        column=x,
        label=config.label,
        own_label=row.panels is not None,
        place=", ".join(part for part in parts if part) or f"row {y + 1}, panel {x + 1}",
        letter=letter,
        show=config.show,
        inset=config.inset or (figure.inset if config.show == "result" else "none"),
        cell=cell,
        planned=sweep.plan([cell], watch)[0] if config.show == "result" else None,
    )


def _scaled(quality: Quality, panel: PanelConfig) -> dict[str, Any]:
    return {
        "size": max(1, round(quality.size * panel.size_factor)),
        "optimizer.evaluations": max(1, round(quality.evaluations * panel.evaluations_factor)),
    }


def _letter(index: int) -> str:
    """A … Z, then AA, AB …"""
    return (_letter(index // 26 - 1) if index >= 26 else "") + chr(ord("A") + index % 26)


def _compose(
    composer: Composer, settings: dict[str, Any], extra: Sequence[str], substitutes: Sequence[str] = ()
) -> Cell:
    """A cell of the figure's settings; the command line wins over them, stand-ins over both."""
    given = {_key(text) for text in extra}
    kept = {key: value for key, value in settings.items() if not {key, seed_runs.SET_BY_GROUP.get(key)} & given}
    lines = [*(f"{key}={override_value(value)}" for key, value in kept.items()), *extra]
    composer.parse(lines)
    replaced = {_key(text) for text in substitutes}
    lines = [line for line in seed_runs.expand(lines) if _key(line) not in replaced] + list(substitutes)
    return Cell(tuple(lines), composer.cell(lines))


def _key(override: str) -> str:
    return override.lstrip("+").partition("=")[0]


def _stand_ins(config: Config) -> dict[str, str]:
    """The pictures and masks that would have to be fetched, each with the built-in one in its place, if it has one."""
    return {image: catalog.stand_in(image) for image in named_pictures(config) if catalog.stand_in(image) != image}


def _substitutes(config: Config) -> list[str]:
    """The overrides that name stand-ins in the place of what would have to be fetched."""
    others = _stand_ins(config)
    lines = []
    for key in NAMING_PICTURES:
        value = attrgetter(key)(config)
        if isinstance(value, list):
            replaced = [others.get(image, image) for image in value]
        else:
            replaced = others.get(value, value)
        if replaced != value:
            lines.append(f"{key}={override_value(replaced)}")
    return lines
