"""Runs side by side: repeats folded into mean and spread, the order, the Pareto frontier, the best within a bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_lab.comparison import varying
from nst_lab.comparison.reading import COSTS, Runs
from nst_lab.errors import ConfigError, nearest

if TYPE_CHECKING:
    import pandas

MAIN_DISTANCES = ("content", "style", "swd", "color", "ssim")  # shown unless more is asked for
HIGHER_IS_BETTER = ("ssim", "psnr")
LOSS = "total_loss"
CAVEAT = "total_loss compares runs of the same loss, weights and size only: it is no distance"


@dataclass(frozen=True)
class Comparison:
    """Completed runs, repeats folded.

    Attributes:
        settings: the columns of `table` that are settings.
        measures: those that are numbers measured: distances, costs, `total_loss`.
        table: a row per group of repeats: its settings, the mean of every measure, `repeats` and `folder`, that of the
            run whose style distance is nearest to the mean.
        spread: the sample standard deviations of the measures, row for row; NaN for a single run.
        members: the rows of `runs.table` behind every row.
        shown: the one of these that `folder` is.
    """

    runs: Runs
    settings: list[str]
    measures: list[str]
    table: "pandas.DataFrame"
    spread: "pandas.DataFrame"
    members: list[list[int]]
    shown: list[int]

    def setting(self, row: int, key: str) -> Any:
        """The value of a setting, as configured."""
        return self.runs.setting(self.shown[row], key)

    def labels(self, key: str) -> list[str]:
        """The values of a setting, row by row, as short as they can be told apart."""
        values = [self.setting(row, key) for row in self.table.index]
        short = varying.labels(dict.fromkeys(values))
        return [short[value] for value in values]

    def describe(self, row: int) -> str:
        """The settings of a row on one line."""
        return ", ".join(f"{key}={varying.show(self.setting(row, key))}" for key in self.settings)

    def sorted(self, column: str, reverse: bool = False) -> list[int]:
        """The rows in the order of a column: the better measure first, settings as they run along an axis.

        Rows without a value come last.

        Raises:
            ConfigError: there is no such column.
        """
        known = [*self.settings, *self.measures]
        if column not in known:
            raise ConfigError(f"--sort {column}: no such column; valid: {', '.join(known)}{nearest(column, known)}")
        if column in self.settings:
            return sorted(self.table.index, key=lambda row: varying.rank(self.setting(row, column)), reverse=reverse)
        ascending = (column not in HIGHER_IS_BETTER) != reverse
        return list(self.table[column].sort_values(kind="stable", ascending=ascending).index)

    def frontier(self) -> list[int]:
        """The Pareto frontier by rising content distance: no other row has a lower content or style distance without
        a higher one of the other kind."""
        front, lowest = [], float("inf")
        for row, _, style in self._trade_offs():
            if style < lowest:
                front.append(row)
                lowest = style
        return front

    def best(self, max_content: float | None = None) -> int | None:
        """The row of the lowest style distance among those whose content distance is at most `max_content`."""
        bound = float("inf") if max_content is None else max_content
        acceptable = [(style, content, row) for row, content, style in self._trade_offs() if content <= bound]
        return min(acceptable)[-1] if acceptable else None

    def is_acceptable(self, row: int, max_content: float) -> bool:
        """Whether the content distance of a row is known and at most `max_content`."""
        return "content" in self.measures and bool(self.table.at[row, "content"] <= max_content)

    def _trade_offs(self) -> list[tuple[int, float, float]]:
        """Row, content and style distance of the rows that have both, by content distance and then style distance."""
        if not {"content", "style"} <= set(self.measures):
            return []
        both = self.table[["content", "style"]].dropna().sort_values(["content", "style"])
        return list(both.itertuples(name=None))


def compare(runs: Runs, each: bool = False) -> Comparison:
    """Fold the repeats among the completed runs, or keep `each` run as its own row."""
    members = runs.repeats()
    if each:
        members = [[index] for group in members for index in group]
    settings = [key for key in runs.settings if each or key != varying.REPEAT]
    measures = [*shown_distances(runs), *COSTS, LOSS]
    group_of = {index: number for number, group in enumerate(members) for index in group}
    chosen = runs.table.loc[list(group_of)]
    grouped = chosen[measures].groupby(group_of)
    mean, spread = grouped.mean(), grouped.std()
    shown = [_central(runs, group) for group in members]
    table = runs.table.loc[shown, settings].reset_index(drop=True).join(mean)
    table["repeats"] = [len(group) for group in members]
    table["folder"] = [str(runs.records[index].folder) for index in shown]
    return Comparison(runs, settings, measures, table, spread, members, shown)


def shown_distances(runs: Runs) -> list[str]:
    """The distances worth a column: those to one style of several only if some run has several."""
    several = any(sum(key.startswith("style/") for key in runs.measured(index)) > 1 for index in range(len(runs)))
    first = [key for key in MAIN_DISTANCES if key in runs.distances]
    rest = [key for key in runs.distances if key not in first]
    return first + [key for key in rest if "/" not in key] + [key for key in rest if "/" in key and several]


def _central(runs: Runs, group: list[int]) -> int:
    """Of repeats, the run whose style distance is nearest to their mean: the one to show for all."""
    if len(group) == 1 or "style" not in runs.distances:
        return group[0]
    styles = runs.table["style"].loc[group]
    far = (styles - styles.mean()).abs()
    return group[0] if far.isna().all() else int(far.idxmin())


def write_csv(comparison: Comparison, path: Path, order: Sequence[int]) -> None:
    """Every column in full precision; with repeats, `<measure>_sd` beside every mean.

    Raises:
        ConfigError: the file cannot be written.
    """
    table = comparison.table.loc[order, :].copy()
    for key in comparison.settings:
        table[key] = [varying.show(comparison.setting(row, key)) for row in order]
    if (table["repeats"] > 1).any():
        for key in comparison.measures:
            table.insert(table.columns.get_loc(key) + 1, f"{key}_sd", comparison.spread[key])
    try:
        table.to_csv(path, index=False)
    except OSError as error:
        raise ConfigError(f"--csv {path}: cannot be written ({error.strerror or error})") from error
