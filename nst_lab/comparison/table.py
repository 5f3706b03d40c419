"""A comparison on the terminal: as many columns as it has room for; all of them where the output is piped."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isnan, log10
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from nst_lab.command_line import printable
from nst_lab.comparison.compare import CAVEAT, LOSS, MAIN_DISTANCES, Comparison
from nst_lab.running.runs import RESULT

BEST, FRONT = "★", "●"
COSTS = {"seconds": ("seconds", 1), "peak_memory_bytes": ("MiB", 2**-20)}  # shown without --all; heading and factor
DIGITS = 4  # significant ones of the largest value of a column
GAP = 2  # spaces between columns
MOST_ROWS = 200  # on a terminal
KEPT = ("content", "style")


@dataclass(frozen=True)
class _Column:
    """`optional` columns give way where a terminal is too narrow, the highest number first."""

    heading: str
    cells: list[str]
    number: bool = False
    optional: int = 0

    @property
    def width(self) -> int:
        return max(map(cell_len, [*self.heading.split("\n"), *self.cells])) + GAP


def print_comparison(
    comparison: Comparison,
    order: Sequence[int],
    *,
    every: bool = False,
    sort: str = "",
    max_content: float | None = None,
) -> None:
    """Print the rows in `order`, what the marks say, and the best run.

    Args:
        every: every distance and cost, and the total loss with its caveat.
        sort: the column that is always shown.
        max_content: the content distance up to which a run is acceptable; the others are dimmed.
    """
    console = Console(highlight=False, markup=False)
    hidden = len(order) - MOST_ROWS if console.is_terminal else 0
    order = order[:MOST_ROWS] if console.is_terminal else order
    measures = _shown_measures(comparison, every, sort)
    columns = _columns(comparison, order, measures, sort, max_content, console.is_terminal)
    if console.is_terminal:
        columns = _fitting(columns, console.width)
    else:
        console.width = max(80, sum(column.width for column in columns))
    console.print(_table(comparison, order, columns, max_content))
    if hidden > 0:
        print(f"… and {hidden} more rows")
    if LOSS in measures:
        print(CAVEAT)
    _print_best(comparison, max_content)


def _shown_measures(comparison: Comparison, every: bool, sort: str) -> list[str]:
    """The measures that some run has: every one of them, or the main ones and what the rows are sorted by."""
    present = [key for key in comparison.measures if comparison.table[key].notna().any()]
    return [key for key in present if every or key in MAIN_DISTANCES or key in COSTS or key == sort]


def _columns(
    comparison: Comparison,
    order: Sequence[int],
    measures: list[str],
    sort: str,
    max_content: float | None,
    narrow: bool,
) -> list[_Column]:
    """`narrow`: headings in two lines, and of the folders only the digits at their end."""
    best, front = comparison.best(max_content), set(comparison.frontier())
    columns = [_Column("", [BEST if row == best else FRONT if row in front else "" for row in order])]
    for key in comparison.settings:
        labels = comparison.labels(key)
        heading = printable(key)
        cells = [printable(labels[row]) for row in order]
        columns.append(_Column(heading.replace(".", ".\n") if narrow else heading, cells))
    for place, key in enumerate(measures):
        optional = 0 if key in KEPT or key == sort else place + 2
        cells = [_shown(comparison, row, key) for row in order]
        columns.append(_Column(COSTS.get(key, (printable(key),))[0], cells, number=True, optional=optional))
    repeats = comparison.table["repeats"]
    if (repeats > 1).any():
        columns.append(_Column("runs", [str(repeats[row]) for row in order], number=True))
    folders = [printable(Path(comparison.table.at[row, "folder"]).name) for row in order]
    short = [f"…{name[-12:]}" if narrow and len(name) > 13 else name for name in folders]
    return [*columns, _Column("folder", short, optional=1)]


def _fitting(columns: list[_Column], width: int) -> list[_Column]:
    while sum(column.width for column in columns) - GAP > width:
        widest = max(columns, key=lambda column: column.optional)
        if not widest.optional:
            break
        columns = [column for column in columns if column is not widest]
    return columns


def _table(comparison: Comparison, order: Sequence[int], columns: list[_Column], max_content: float | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column.heading, overflow="fold", no_wrap=column.number, justify="right" if column.number else "left",
            vertical="bottom",
        )  # fmt: skip
    best = comparison.best(max_content)
    for row, *cells in zip(order, *(column.cells for column in columns), strict=True):
        beyond = max_content is not None and not comparison.is_acceptable(row, max_content)
        table.add_row(*cells, style="bold" if row == best else "dim" if beyond else None)
    return table


def _shown(comparison: Comparison, row: int, key: str) -> str:
    """Mean ± standard deviation, with the same decimals all the way down a column."""
    factor = COSTS.get(key, ("", 1))[1]
    mean, spread = (frame.at[row, key] * factor for frame in (comparison.table, comparison.spread))
    if isnan(mean):
        return "–"
    largest = comparison.table[key].abs().max() * factor
    decimals = DIGITS - 1 - floor(log10(largest)) if largest else 0
    number = f"{mean:.{DIGITS}g}" if decimals < -2 else f"{mean:.{max(0, decimals)}f}"
    return number if isnan(spread) else f"{number} ± {spread:.2g}"


def _print_best(comparison: Comparison, max_content: float | None) -> None:
    if not comparison.frontier():
        return
    bound = "" if max_content is None else f" with a content distance of at most {max_content:g}"
    print(f"{FRONT} on the Pareto frontier of content and style distance; {BEST} lowest style distance{bound}")
    best = comparison.best(max_content)
    if best is None:
        print(f"no run has a content distance of at most {max_content:g}")
        return
    style, content = (_shown(comparison, best, key) for key in ("style", "content"))
    print(f"best:   {printable(comparison.describe(best)) or 'the only run'}: style {style}, content {content}")
    print(f"        {printable(str(Path(comparison.table.at[best, 'folder']) / RESULT))}")
