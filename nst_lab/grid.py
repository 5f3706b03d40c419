"""One labelled picture of a sweep: its inputs on top, its results by the swept settings below."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nst_lab import catalog, runs
from nst_lab.decode import decode, header_size
from nst_lab.errors import ImageError, UserError
from nst_lab.sweep import Planned, split_overrides, swept_keys

PANEL_INCHES = 2.2  # width of a panel
TITLE_INCHES = 0.35
LEAST_DPI, MOST_DPI = 100, 300  # between them, a result is shown pixel for pixel
MOST_INCHES = 60.0  # of a side: panels of a very large sweep become smaller instead


def save_grid(planned: Sequence[Planned], path: Path) -> Path:
    """Lay out the results of a sweep and save the picture.

    The last swept key runs along the columns, the combinations of the others along the rows. A cell without a result
    is an empty panel that gives the reason.
    """
    keys = swept_keys([item.cell for item in planned])
    row_keys, column_keys = keys[:-1], keys[-1:]
    cells = {}
    for item in planned:
        values = split_overrides(item.cell)
        cells[_title(values, row_keys), _title(values, column_keys)] = item
    rows, columns = (list(dict.fromkeys(place[axis] for place in cells)) for axis in (0, 1))
    inputs = _inputs(planned)
    results = [[_result(item) for (row, _), item in cells.items() if row == name] for name in rows]
    heights = [_tallest(files) for files in [list(inputs.values()), *results]]
    figure, grid = _figure(max(len(columns), len(inputs)), heights)
    for index, (name, file) in enumerate(inputs.items()):
        _show(figure.add_subplot(grid[0, index]), file, title=name)
    for (row, column), item in cells.items():
        y, x = rows.index(row), columns.index(column)
        axes = figure.add_subplot(grid[1 + y, x])
        missing = (runs.read_manifest(item.folder) or {}).get("error", "not run")
        _show(axes, _result(item), title=column if y == 0 else "", missing=missing)
        if x == 0:
            axes.set_ylabel(row, fontsize=8, wrap=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure.savefig(temporary, dpi=_dpi([file for files in results for file in files]))
    temporary.replace(path)
    return path


def _result(item: Planned) -> Path:
    return item.folder / "result.png"


def _sizes(files: Sequence[Path]) -> list[tuple[int, int]]:
    """Width and height of those pictures that are there."""
    sizes = []
    for file in files:
        try:
            height, width = header_size(file)
        except ImageError:
            continue  # its panel will tell what is missing
        sizes.append((width, height))
    return sizes


def _tallest(files: Sequence[Path]) -> float:
    """Height over width of the tallest picture of a row."""
    return max((height / width for width, height in _sizes(files)), default=0.5)


def _dpi(files: Sequence[Path]) -> float:
    widest = max((width for width, _ in _sizes(files)), default=0)
    return min(max(widest / PANEL_INCHES, LEAST_DPI), MOST_DPI)


def _figure(columns: int, heights: list[float]):
    inches = min(PANEL_INCHES, MOST_INCHES / columns, MOST_INCHES / sum(heights))
    size = (columns * inches + TITLE_INCHES, sum(heights) * inches + len(heights) * TITLE_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_gridspec(len(heights), columns, height_ratios=heights)


def _title(values: dict[str, str], keys: Sequence[str]) -> str:
    return "\n".join(f"{key}={values[key]}" for key in keys if key in values)


def _inputs(planned: Sequence[Planned]) -> dict[str, Path]:
    """The content and style images of all cells, by name, each once; those that could not be had are left out."""
    contents = [item.cell.config.content.image for item in planned if item.cell.config.content.image]
    styled = [item.cell.config.style for item in planned if item.cell.config.loss.style_weight > 0]
    styles = [image for style in styled for image in style.images]
    images = {**dict.fromkeys(contents, "content"), **dict.fromkeys(styles, "style")}
    names = catalog.short_names(list(images))
    labels = [f"{kind}: {name}" for name, kind in zip(names, images.values(), strict=True)]
    return {label: file for label, image in zip(labels, images, strict=True) if (file := _at_hand(image))}


def _at_hand(image: str) -> Path | None:
    try:
        return catalog.find(image)
    except UserError:
        return None  # the runs that needed it have told why


def _show(axes, file: Path, *, title: str, missing: str = "") -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=8, wrap=True)
    try:
        axes.imshow(decode(file))
    except ImageError:
        axes.text(0.5, 0.5, missing, ha="center", va="center", fontsize=7, wrap=True, transform=axes.transAxes)
