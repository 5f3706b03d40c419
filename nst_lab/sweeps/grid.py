"""One labelled picture of a sweep: its inputs on top, its results by the swept settings below."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from nst_lab.errors import ImageError, UserError
from nst_lab.images import catalog
from nst_lab.images.decode import decode, header_size
from nst_lab.lettering import drawable
from nst_lab.running import runs
from nst_lab.sweeps.sweep import Planned, split_overrides, swept_keys

PANEL_INCHES = 2.2  # width of a panel
MISSING_LETTERS = 36  # of a line that fits in one, about what is not there
TITLE_INCHES = 0.35
LEAST_DPI, MOST_DPI = 100, 300  # between them, a result is shown pixel for pixel
MOST_INCHES = 60.0  # of a side: panels of a very large sweep become smaller instead
LONGEST_ROW = 6  # a sweep over one key, and the inputs, are wrapped at this


@dataclass(frozen=True)
class Panel:
    """One picture of the grid: `title` above it, `row` at its left; `missing` is told where there is no file."""

    file: Path
    title: str = ""
    row: str = ""
    missing: str = ""


def save_grid(planned: Sequence[Planned], path: Path) -> Path:
    """Lay out the results of a sweep and save the picture.

    The last swept key runs along the columns, the combinations of the others along the rows; a sweep over one key is
    wrapped. A cell without a result is an empty panel that gives the reason.
    """
    results = _results(planned)
    rows = _wrapped(_inputs(planned), max(LONGEST_ROW, *map(len, results))) + results
    heights = [_tallest(row) for row in rows]
    figure, grid = _figure(max(map(len, rows)), heights)
    for y, row in enumerate(rows):
        for x, panel in enumerate(row):
            if panel is not None:
                _draw(figure.add_subplot(grid[y, x]), panel)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        figure.savefig(temporary, dpi=_dpi(results))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _results(planned: Sequence[Planned]) -> list[list[Panel | None]]:
    """Rows of result panels; None where the sweep has no cell."""
    keys = swept_keys([item.cell for item in planned])
    panels = {}
    for item in planned:
        values = split_overrides(item.cell.overrides)
        row, column = _title(values, keys[:-1]), _title(values, keys[-1:])
        missing = str((runs.read_manifest(item.folder) or {}).get("error", "not run"))
        panels[row, column] = Panel(item.folder / "result.png", column, row, missing)
    rows, columns = (list(dict.fromkeys(place[axis] for place in panels)) for axis in (0, 1))
    if len(rows) == 1:
        return _wrapped(list(panels.values()), LONGEST_ROW)
    untitled = {place: Panel(panel.file, "", panel.row, panel.missing) for place, panel in panels.items()}
    first: list[Panel | None] = [panels.get((rows[0], column)) or Panel(Path(), column) for column in columns]
    return [first, *([untitled.get((row, column)) for column in columns] for row in rows[1:])]


def _wrapped(panels: Sequence[Panel], longest: int) -> list[list[Panel | None]]:
    """Rows of about equal length, none longer than `longest`."""
    if not panels:
        return []
    length = ceil(len(panels) / ceil(len(panels) / longest))
    return [list(panels[start : start + length]) for start in range(0, len(panels), length)]


def _title(values: dict[str, str], keys: Sequence[str]) -> str:
    return "\n".join(f"{key}={values[key]}" for key in keys if key in values)


def _inputs(planned: Sequence[Planned]) -> list[Panel]:
    """The content and style images of all cells, each once; those that could not be had are left out."""
    contents = [item.cell.config.content.image for item in planned if item.cell.config.content.image]
    styled = [item.cell.config.style for item in planned if item.cell.config.loss.style_weight > 0]
    styles = [image for style in styled for image in style.images]
    images = {**dict.fromkeys(contents, "content"), **dict.fromkeys(styles, "style")}
    names = catalog.short_names(list(images))
    titles = [f"{kind}: {name}" for name, kind in zip(names, images.values(), strict=True)]
    return [Panel(file, title) for title, image in zip(titles, images, strict=True) if (file := _at_hand(image))]


def _at_hand(image: str) -> Path | None:
    try:
        return catalog.find(image)
    except UserError:
        return None  # the runs that needed it have told why


def _sizes(row: Sequence[Panel | None]) -> list[tuple[int, int]]:
    """Height and width of those pictures of a row that are there."""
    sizes = []
    for panel in row:
        try:
            sizes += [header_size(panel.file)] if panel else []
        except ImageError:
            continue  # the panel will tell what is missing
    return sizes


def _tallest(row: Sequence[Panel | None]) -> float:
    """Height over width of the tallest picture of a row."""
    return max((height / width for height, width in _sizes(row)), default=0.5)


def _dpi(rows: Sequence[Sequence[Panel | None]]) -> float:
    widest = max((width for row in rows for _, width in _sizes(row)), default=0)
    return min(max(widest / PANEL_INCHES, LEAST_DPI), MOST_DPI)


def _figure(columns: int, heights: list[float]) -> tuple[Figure, GridSpec]:
    inches = min(PANEL_INCHES, MOST_INCHES / columns, MOST_INCHES / sum(heights))
    size = (columns * inches + TITLE_INCHES, sum(heights) * inches + len(heights) * TITLE_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_gridspec(len(heights), columns, height_ratios=heights)


def _draw(axes: Axes, panel: Panel) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(drawable(panel.title), fontsize=8, wrap=True)
    place = axes.get_subplotspec()
    if place and place.is_first_col():
        axes.set_ylabel(drawable(panel.row), fontsize=8, wrap=True)
    try:
        axes.imshow(decode(panel.file))
    except ImageError:
        missing = fill(drawable(panel.missing), MISSING_LETTERS)
        text = axes.text(
            0.5, 0.5, missing, ha="center", va="center", fontsize=7, clip_on=True, transform=axes.transAxes
        )
        text.set_in_layout(False)  # or a long one would leave no room for the panels
