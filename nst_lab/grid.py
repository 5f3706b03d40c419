"""One labelled picture of a sweep: its inputs on top, its results by the swept settings below."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from nst_lab import catalog, runs
from nst_lab.sweep import Planned, split_overrides, swept_keys

PANEL_INCHES = 2.2  # width of a panel
TITLE_INCHES = 0.35
DPI = 100
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
    figure, grid = _figure(len(rows), max(len(columns), len(inputs)), _tallest(planned, inputs))
    for index, (name, file) in enumerate(inputs.items()):
        _show(figure.add_subplot(grid[0, index]), file, title=name)
    for (row, column), item in cells.items():
        y, x = rows.index(row), columns.index(column)
        axes = figure.add_subplot(grid[1 + y, x])
        missing = (runs.read_manifest(item.folder) or {}).get("error", "not run")
        _show(axes, item.folder / "result.png", title=column if y == 0 else "", missing=missing)
        if x == 0:
            axes.set_ylabel(row, fontsize=8, wrap=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure.savefig(temporary, dpi=DPI)
    temporary.replace(path)
    return path


def _tallest(planned: Sequence[Planned], inputs: dict[str, Path]) -> list[float]:
    """Height over width of the tallest input and of the tallest result."""
    tallest = []
    for files in (list(inputs.values()), [item.folder / "result.png" for item in planned]):
        ratios = [1.0] if not files else []
        for file in files:
            try:
                with Image.open(file) as image:
                    ratios.append(image.height / image.width)
            except OSError:
                ratios.append(0.5)  # a panel that only tells what is missing
        tallest.append(max(ratios))
    return tallest


def _figure(rows: int, columns: int, tallest: list[float]):
    top, below = tallest
    height = top + rows * below
    inches = min(PANEL_INCHES, MOST_INCHES / columns, MOST_INCHES / height)
    size = (columns * inches + TITLE_INCHES, height * inches + (rows + 1) * TITLE_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_gridspec(rows + 1, columns, height_ratios=[top, *[below] * rows])


def _title(values: dict[str, str], keys: Sequence[str]) -> str:
    return "\n".join(f"{key}={values[key]}" for key in keys if key in values)


def _inputs(planned: Sequence[Planned]) -> dict[str, Path]:
    """The content and style images of all cells, by name, each once."""
    contents = [item.cell.config.content.image for item in planned if item.cell.config.content.image]
    styled = [item.cell.config.style for item in planned if item.cell.config.loss.style_weight > 0]
    styles = [image for style in styled for image in style.images]
    images = {**dict.fromkeys(contents, "content"), **dict.fromkeys(styles, "style")}
    names = catalog.short_names(list(images))
    return {
        f"{kind}: {name}": catalog.locate(image) for name, (image, kind) in zip(names, images.items(), strict=True)
    }


def _show(axes, file: Path, *, title: str, missing: str = "") -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=8, wrap=True)
    try:
        with Image.open(file) as image:
            axes.imshow(image.convert("RGB"))
    except OSError:
        axes.text(0.5, 0.5, missing, ha="center", va="center", fontsize=7, wrap=True, transform=axes.transAxes)
