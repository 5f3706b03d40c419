"""Labelled panels on a page: it knows pictures, curves and texts, and no run and no paper.

Everything is placed in dots, whole numbers of them, so that a picture covers exactly its pixels (or each of them k × k
dots): what the PNG shows is the result, not a resampled copy of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from PIL import Image

from nst_lab.lettering import drawable

PAGE_INCHES = 7.0, 9.2  # the text of a page, which no figure exceeds
PANEL_INCHES = 2.6  # at most, where there are few
GAP_INCHES = 0.05
LABEL_POINTS, LEAST_POINTS, SMALL_POINTS = 8.0, 5.0, 6.0
DESCENT_INCHES = 0.04  # from a picture up to the baseline of its label
LINE_SPACING = 1.1
ONE_LINE_POINTS = 6.5  # down to which a label is made smaller before it is broken into two lines
LINE = 1.3  # of a line of text, over its size
MOST_TITLE_LINES = 3  # of the titles over all rows or columns; longer ones are cut
LEAST_DPI = 200  # smaller pictures are magnified by a whole number to reach it
INSET = 0.28, 0.42  # of the picture's width and height, at most
CURVES_ASPECT = 0.4  # height over width
DEFAULT_PIXELS = 256, 192  # of a figure without a single result


Curve = tuple[str, Sequence[float], Sequence[float]]  # label, x, y


@dataclass(frozen=True)
class Drawn:
    """One panel as it is drawn: a picture (H, W, 3) in [0, 1], or curves, or the reason for neither.

    `result`: shown pixel for pixel; other pictures are resized to the results' longer side.
    """

    label: str = ""
    letter: str = ""
    picture: np.ndarray | None = None
    result: bool = False
    inset: np.ndarray | None = None
    curves: Sequence[Curve] | None = None
    missing: str = ""


@dataclass(frozen=True)
class Sheet:
    """Rows of panels with their labels. `column_labels` stand above the first row; panels' own labels above each."""

    rows: Sequence[Sequence[Drawn]]
    row_labels: Sequence[str]
    column_labels: Sequence[str] = ()
    row_title: str = ""
    column_title: str = ""
    footer: str = ""


def draw(sheet: Sheet) -> Figure:
    """Lay out and draw. The figure's own dpi shows results pixel for pixel; a PDF of it holds them unresampled."""
    layout = _Layout(sheet)
    while len(layout.row_title) > layout.lines:  # its room is taken from the panels
        layout = _Layout(sheet, layout.lines + 1)
    return layout.draw()


class _Layout:
    """The places of a sheet, in dots from its upper left corner."""

    def __init__(self, sheet: Sheet, lines: int = 1):
        self.sheet, self.lines = sheet, lines  # of the rows' title
        results = [p.picture.shape[:2] for row in sheet.rows for p in row if p.result and p.picture is not None]
        self.usual = max(results, key=results.count) if results else DEFAULT_PIXELS[::-1]
        self.longer = max((max(shape) for shape in results), default=max(self.usual))
        shapes = [[self._pixels(panel) for panel in row] for row in sheet.rows]
        pixels = max(width for row in shapes for _, width in row)
        self.columns = max(map(len, sheet.rows))
        aspects = [max(height for height, _ in row) / pixels for row in shapes]
        aspects = [CURVES_ASPECT * self.columns if _spans(r) else a for r, a in zip(sheet.rows, aspects, strict=True)]
        self.titled = GAP_INCHES + lines * _line_inches(LABEL_POINTS) if sheet.row_title else 0.0
        margin = self.titled + 2 * _line_inches(LABEL_POINTS) * any(sheet.row_labels)
        panel = self._panel_inches(margin, aspects)
        self.magnification = max(1, ceil(LEAST_DPI * panel / pixels))
        self.box = pixels * self.magnification
        self.dpi = self.box / panel
        self.gap = max(1, self._dots(GAP_INCHES))
        self.left = self.gap + self._dots(margin)
        self.width = self.left + self.columns * (self.box + self.gap)
        self.footer = _wrapped(sheet.footer, (self.width - 2 * self.gap) / self.dpi, SMALL_POINTS)
        self.heights = [round(aspect * self.box) for aspect in aspects]
        self.labels = [self._label_height(number) for number in range(len(sheet.rows))]
        self.column_title = self._title(sheet.column_title, self.width - self.left - self.gap)
        self.top = self.gap + self._line() * len(self.column_title)
        below = len(self.footer) * self._line(SMALL_POINTS) + self.gap
        self.height = self.top + sum(self.heights) + sum(self.labels) + self.gap * (len(self.heights) - 1) + below
        self.bottom = self.height - below
        self.row_title = self._title(sheet.row_title, self.bottom - self.top)

    def _title(self, text: str, dots: int) -> list[str]:
        return _cut(_wrapped(text, dots / self.dpi, LABEL_POINTS), MOST_TITLE_LINES)

    def _pixels(self, panel: Drawn) -> tuple[int, int]:
        """Height and width of what a panel shows, all with the same longer side; the missing are as results are."""
        shape = self.usual if panel.picture is None else panel.picture.shape[:2]
        return tuple(max(1, round(side * self.longer / max(shape))) for side in shape)

    def _panel_inches(self, margin: float, aspects: Sequence[float]) -> float:
        """As wide as the page has room for."""
        labels = len(aspects) * 2 * _line_inches(LABEL_POINTS) + 4 * _line_inches(LABEL_POINTS)
        across = (PAGE_INCHES[0] - margin - GAP_INCHES) / self.columns - GAP_INCHES
        return min(PANEL_INCHES, across, (PAGE_INCHES[1] - labels) / sum(aspects))

    def _label_height(self, number: int) -> int:
        row = self.sheet.rows[number]
        labels = [self._label(self._above(number, column), self._beside(panel)) for column, panel in enumerate(row)]
        lines = max(text.count("\n") + 1 if text else 0 for text, _ in labels)
        return self._line() * max(lines, any(panel.letter for panel in row))

    def _above(self, number: int, column: int) -> str:
        """The label above a panel: its own, or in the first row its column's."""
        columns = self.sheet.column_labels if number == 0 else ()
        return self.sheet.rows[number][column].label or "".join(columns[column : column + 1])

    def _beside(self, panel: Drawn) -> int:
        """Room for a label in the middle above a panel, with its letter at the left."""
        return self.box - (2 * self._dots(1.5 * _text_inches(panel.letter, LABEL_POINTS)) if panel.letter else 0)

    def _label(self, text: str, dots: int) -> tuple[str, float]:
        return _fitted(text, dots / self.dpi)

    def _dots(self, inches: float) -> int:
        return round(inches * self.dpi)

    def _line(self, points: float = LABEL_POINTS) -> int:
        return self._dots(_line_inches(points))

    def draw(self) -> Figure:
        self.figure = Figure(figsize=(self.width / self.dpi, self.height / self.dpi), dpi=self.dpi)
        FigureCanvasAgg(self.figure)
        self._titles()
        top = self.top
        for number, row in enumerate(self.sheet.rows):
            top += self.labels[number]
            self._row(number, row, top)
            top += self.heights[number] + self.gap
        return self.figure

    def _titles(self) -> None:
        across, down = (self.left + self.width - self.gap) / 2, (self.top + self.bottom) / 2
        columns, rows = self.column_title, self.row_title
        self._text(across, self.top - len(columns) * self._line() / 2, "\n".join(columns))
        self._text(self.gap + len(rows) * self._line() / 2, down, "\n".join(rows), rotation=90)
        if self.footer:
            self._text(
                self.gap, self.bottom + self.gap / 2, "\n".join(self.footer), ha="left", va="top", color="0.3",
                fontsize=SMALL_POINTS,
            )  # fmt: skip

    def _row(self, number: int, row: Sequence[Drawn], top: int) -> None:
        height = self.heights[number]
        if text := self.sheet.row_labels[number]:
            label, points = self._label(text, height)
            x = self.left - self.gap - self._line()
            self._text(x, top + height / 2, label, rotation=90, fontsize=points)
        for column, panel in enumerate(row):
            left = self.left + column * (self.box + self.gap)
            label, points = self._label(self._above(number, column), self._beside(panel))
            lines_below = label.count("\n") * LINE_SPACING * 1.2 * points / 72  # 1.2: what matplotlib takes for a line
            baseline = top - self._dots(lines_below + DESCENT_INCHES)
            self._text(left + self.box / 2, baseline, label, fontsize=points, va="baseline")
            if panel.letter:
                baseline = top - self._dots(DESCENT_INCHES)
                self._text(left, baseline, panel.letter, ha="left", va="baseline", fontweight="bold")
            if panel.curves is not None:
                width = self.columns * (self.box + self.gap) - self.gap if _spans(row) else self.box
                self._curves(panel.curves, left, top, width, height)
            elif panel.picture is not None:
                self._picture(panel.picture, panel, left, top, height)
            else:
                self._missing(panel, left, top, self.box, height)

    def _picture(self, picture: np.ndarray, panel: Drawn, left: int, top: int, room: int) -> None:
        """In the middle of its box."""
        height, width = (side * self.magnification for side in self._pixels(panel))
        left, top = left + (self.box - width) // 2, top + (room - height) // 2
        self._image(picture, left, top, width, height)
        if panel.inset is not None:
            high, wide = panel.inset.shape[:2]
            scale = min(INSET[0] * width / wide, INSET[1] * height / high)
            inset_width, inset_height = max(1, round(scale * wide)), max(1, round(scale * high))
            axes = self._image(panel.inset, left, top + height - inset_height, inset_width, inset_height)
            axes.spines[:].set(visible=True, color="white", linewidth=0.8)
            axes.set(xticks=[], yticks=[])
            axes.axison = True

    def _image(self, picture: np.ndarray, left: int, top: int, width: int, height: int) -> Axes:
        axes = self._axes(left, top, width, height)
        axes.axison = False
        axes.imshow(_resized(picture, height, width), interpolation="none", aspect="auto")
        return axes

    def _missing(self, panel: Drawn, left: int, top: int, width: int, height: int) -> None:
        axes = self._axes(left, top, width, height)
        axes.set(xticks=[], yticks=[], facecolor="0.93")
        axes.spines[:].set(color="0.6", linewidth=0.5)
        lines = _wrapped(f"missing: {panel.missing}", 0.92 * width / self.dpi, LEAST_POINTS)
        lines = _cut(lines, max(1, int(0.95 * height / self._line(LEAST_POINTS))))
        self._text(left + width / 2, top + height / 2, "\n".join(lines), fontsize=LEAST_POINTS)

    def _curves(self, curves: Sequence[Curve], left: int, top: int, width: int, height: int) -> None:
        left_margin, below = self._dots(0.75), self._dots(0.4)
        axes = self._axes(left + left_margin, top, width - left_margin, height - below)
        for label, x, y in curves:
            axes.plot(x, y, label=drawable(label), linewidth=1)
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("evaluations", fontsize=SMALL_POINTS + 1)
        axes.set_ylabel("total loss", fontsize=SMALL_POINTS + 1)
        axes.tick_params(labelsize=SMALL_POINTS, which="both")
        axes.grid(alpha=0.3, linewidth=0.4)
        axes.spines[["top", "right"]].set_visible(False)
        if curves:
            axes.legend(fontsize=SMALL_POINTS + 1, frameon=False)

    def _axes(self, left: int, top: int, width: int, height: int) -> Axes:
        bottom = self.height - top - height
        place = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(place)

    def _text(self, x: float, y: float, text: str, fontsize: float = LABEL_POINTS, **style: Any) -> None:
        if text:
            style = {"ha": "center", "va": "center", "linespacing": LINE_SPACING, "fontsize": fontsize, **style}
            self.figure.text(x / self.width, 1 - y / self.height, drawable(text), **style)


def _spans(row: Sequence[Drawn]) -> bool:
    """Whether a row is one panel of curves, as wide as all columns."""
    return len(row) == 1 and row[0].curves is not None


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """As bytes: unchanged where each pixel takes a whole number of the `width` × `height` dots, else resampled."""
    levels = (picture * 255).round().astype(np.uint8)
    if height % levels.shape[0] == 0 and width % levels.shape[1] == 0:
        return levels
    return np.asarray(Image.fromarray(levels).resize((width, height), Image.Resampling.LANCZOS))


def _line_inches(points: float) -> float:
    return points * LINE / 72


@cache
def _text_inches(text: str, points: float) -> float:
    if not text.strip():
        return 0.0
    return 1.03 * TextPath((0, 0), drawable(text), size=points).get_extents().width / 72  # hinting


def _wrapped(text: str, inches: float, points: float) -> list[str]:
    """Lines of a text that are no wider than that, unless a single word is, which is broken."""
    lines = []
    for paragraph in text.splitlines():

        def fits(characters: int, paragraph: str = paragraph) -> bool:
            return all(_text_inches(line, points) <= inches for line in wrap(paragraph, characters))

        characters = max(len(paragraph), 1)
        while characters > 4 and not fits(characters):
            characters = max(4, characters * 9 // 10)  # a title may be long, and every try measures it
        while characters < len(paragraph) and fits(characters + 1):
            characters += 1
        lines += wrap(paragraph, characters)
    return lines


def _cut(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1][:-1] + "…"]


def _fitted(text: str, inches: float) -> tuple[str, float]:
    """A label in one line, rather small than broken, else in two, its font between LEAST_POINTS and LABEL_POINTS."""
    for most, least in ((1, ONE_LINE_POINTS), (2, LEAST_POINTS)):
        points = LABEL_POINTS
        while points >= least:
            if len(lines := _wrapped(text, inches, points)) <= most:
                return "\n".join(lines), points
            points -= 0.5
    return "\n".join(lines), LEAST_POINTS
