"""One labelled picture of every image of the catalog that is at hand."""

from math import ceil
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from nst_lab.errors import ConfigError, UserError
from nst_lab.images import catalog, encode
from nst_lab.images.catalog_file import Entry
from nst_lab.images.decode import decode
from nst_lab.lettering import drawable

COLUMNS = 5, 6, 7  # whichever leaves the fewest places empty
PANEL_INCHES = 2.4, 2.75  # a square picture and its label
DPI = 100
LABEL_CHARACTERS = 40


def save_sheet(path: Path) -> int:
    """Draw the images that are built in, in the mirror, cached or the user's own; returns how many.

    Raises:
        ConfigError: none is at hand.
        ImageError: the file cannot be written; its extension names a format as for `encode.write`.
    """
    encode.encoder(path)  # an extension that will not do is told before the work
    pictures = {}
    for name in catalog.entries():
        try:
            file = catalog.find(name)
            if file:
                pictures[name] = _thumbnail(decode(file))
        except UserError:
            continue  # the table names what is wrong with it
    if not pictures:
        raise ConfigError("no image of the catalog is at hand")
    encode.write(path, _drawn(pictures))
    return len(pictures)


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray((picture * 255).round().astype(np.uint8))
    side = round(PANEL_INCHES[0] * DPI)
    image.thumbnail((side, side))
    return np.asarray(image)


def _drawn(pictures: dict[str, np.ndarray]) -> np.ndarray:
    columns = min(len(pictures), min(COLUMNS, key=lambda count: -len(pictures) % count))
    rows = ceil(len(pictures) / columns)
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.08)
    figure = Figure(figsize=(columns * PANEL_INCHES[0], rows * PANEL_INCHES[1]), dpi=DPI, layout=layout)
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, (name, picture) in zip(panels, pictures.items(), strict=False):
        axes.imshow(picture)
        axes.set_title(drawable(name), fontsize=9, fontweight="bold")
        axes.set_xlabel(drawable(_label(catalog.entries()[name])), fontsize=6.5)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _label(entry: Entry) -> str:
    return "\n".join(fill(line, LABEL_CHARACTERS) for line in (entry.title, f"{entry.artist}, {entry.rights}"))
