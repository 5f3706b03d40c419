"""`load_runs`: finished runs -> one table, and lazily their pictures and curves."""

import logging
import os
from collections.abc import Sequence
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

from nst_lab.comparison import varying
from nst_lab.comparison.scanning import Problem, Record, read_curves, scan
from nst_lab.errors import ConfigError, UserError, nearest
from nst_lab.running.runs import RESULT

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

COSTS = ("seconds", "evaluations", "peak_memory_bytes")
MEASURED = (*COSTS, "total_loss")  # columns beside the distances, whatever else a foreign manifest calls so

log = logging.getLogger(__name__)


def load_runs(*folders: str | os.PathLike[str]) -> "Runs":
    """The runs in or below `folders`, two levels deep.

        runs = nst_lab.load_runs("outputs/one_style")
        best = runs.table.query("content < 0.6")["style"].idxmin()
        runs.table.loc[best]
        nst_lab.save_image(runs.picture(best), "best.png")

    Folders that are no completed runs are no error: see `Runs.problems`, whose number goes to the log.

    Raises:
        ConfigError: one of `folders` is no folder.
    """
    if not folders:
        raise ConfigError("load_runs(): expected at least one folder, such as outputs/one_style")
    for folder in folders:
        if not isinstance(folder, (str, os.PathLike)):
            raise ConfigError(f"load_runs({folder!r}): expected folders, each an argument of its own")
    runs = Runs(*scan(folders))
    for note in runs.notes:
        log.warning(note)
    return runs


class Runs:
    """Runs side by side.

    Attributes:
        settings: the settings that differ between the completed runs (between all, if none is completed), dotted keys;
            `seed` among them where there are repeats. What merely follows from others (`layers.style_weights` from
            `layers.style`) is left out.
        common: the settings in which these agree, by dotted key.
        distances: the measured distances, as named in the manifests: `content`, `style`, `style/<name>`, `swd` …
        problems: the folders that are no completed runs, each with its reason.
        metrics_version: the newest version of the distances among the completed runs. Those of other versions are not
            comparable with it, and missing in the table.
    """

    def __init__(self, records: Sequence[Record], problems: Sequence[Problem]):
        self.records, self.problems = list(records), list(problems)
        rows = [varying.settings_of(record.manifest) for record in self.records]
        varied = varying.differing(rows)
        self._rows = [{key: row.get(key) for key in varied} for row in rows]
        self._completed = [index for index, record in enumerate(self.records) if _is_completed(record)]
        counted = self._completed or range(len(rows))  # what was only tried does not tell the others apart
        self._differing = varying.differing([self._rows[index] for index in counted])
        self.common = {
            key: value for index in counted[:1] for key, value in rows[index].items() if key not in self._differing
        }
        explicit = varying.explicit_keys(self.records[index].manifest for index in counted)
        settings = varying.independent(self._differing, [self._rows[index] for index in counted], explicit)
        versions = [record.manifest.get("metrics_version") for record in self.records if not record.problem]
        self.metrics_version = max((version for version in versions if type(version) is int), default=None)
        self._distances = [self._comparable(record.manifest) for record in self.records]
        self.distances = list(dict.fromkeys(key for distances in self._distances for key in distances))
        self.settings = [key for key in settings if key not in {*self.distances, *MEASURED}]

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        differing = ", ".join(self.settings) or "nothing"
        return f"<{len(self)} runs that differ in {differing}; {len(self.problems)} problems>"

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers has to know, a line each."""
        notes = []
        if self.problems:
            notes.append(f"{len(self.problems)} folders are no completed runs")
        others = sum(not record.problem and self._other_version(record.manifest) for record in self.records)
        if others:
            notes.append(
                f"the distances of {others} runs are of another version than {self.metrics_version}, "
                "not comparable with the others and left out"
            )
        return notes

    def _other_version(self, manifest: dict[str, Any]) -> bool:
        return bool(manifest.get("distances")) and manifest.get("metrics_version") != self.metrics_version

    def _comparable(self, manifest: dict[str, Any]) -> dict[str, float | None]:
        distances = manifest.get("distances")
        if not isinstance(distances, dict) or self._other_version(manifest):
            return {}
        return {key: _number(value) for key, value in distances.items() if key not in MEASURED}

    @cached_property
    def table(self) -> "pandas.DataFrame":
        """One row per run, whatever became of it.

        Columns: `settings`; `distances` (NaN where not measured); `seconds`, `evaluations`, `peak_memory_bytes`;
        `total_loss`, comparable only between runs of the same loss at the same size; `stop_reason`, `status`, `error`,
        `metrics_version`, `fingerprint`, `folder`. Settings that are lists are tuples.

        Raises:
            UserError: pandas is not installed.
        """
        pandas = import_pandas()
        manifests = [record.manifest for record in self.records]
        columns: dict[str, Sequence[Any]] = {key: [row.get(key) for row in self._rows] for key in self.settings}
        for key in self.distances:
            columns[key] = pandas.array([d.get(key) for d in self._distances], dtype="float64")
        for key in COSTS:
            columns[key] = pandas.array([_number(m.get(key)) for m in manifests], dtype="float64")
        losses: list[dict[str, Any]] = [told if isinstance(told := m.get("losses"), dict) else {} for m in manifests]
        columns["total_loss"] = pandas.array([_number(loss.get("total")) for loss in losses], dtype="float64")
        for key in ("stop_reason", "status", "error", "metrics_version", "fingerprint"):
            columns[key] = [m.get(key) for m in manifests]
        columns["folder"] = [str(record.folder) for record in self.records]
        return pandas.DataFrame(columns)

    def picture(self, index: int) -> "Tensor":
        """The result of the run in row `index`, (1, 3, H, W) in [0, 1], read now.

        Raises:
            ImageError: it has none, or the file cannot be decoded.
        """
        from nst_lab.images.pictures import load_image

        return load_image(self.records[index].folder / RESULT)

    def curves(self, index: int) -> "pandas.DataFrame":
        """The losses of the run in row `index` by evaluation, weighted and raw (`terms`), accepted evaluations only."""
        lines = [
            {key: value for key, value in line.items() if key != "terms"} | _terms(line)
            for line in read_curves(self.records[index].folder)
        ]
        return import_pandas().DataFrame(lines)

    def measured(self, index: int) -> dict[str, float | None]:
        """The distances of row `index`; none where they are of another version."""
        return self._distances[index]

    def setting(self, index: int, key: str) -> Any:
        """The value of any setting in row `index`; None where the run does not have it."""
        return self._rows[index].get(key, self.common.get(key))

    def further(self, index: int) -> list[tuple[str, Any]]:
        """What `settings` and `common` do not tell of a row.

        The settings that differ but follow from `settings`; of a run that is not completed, also those of its own.
        """
        others = [(key, value) for key, value in self._rows[index].items() if key not in self.settings]
        return [(key, value) for key, value in others if key in self._differing or value != self.common.get(key)]

    def repeats(self) -> list[list[int]]:
        """The completed runs in groups that are equal in everything but the seed; a run found twice counts once."""
        keys = [key for key in self._differing if key != varying.REPEAT]
        groups: dict[tuple[Any, ...], dict[Any, int]] = {}
        for index in self._completed:
            group = groups.setdefault(tuple(map(self._rows[index].get, keys)), {})
            group.setdefault(self.records[index].manifest.get("fingerprint") or index, index)
        return [list(group.values()) for group in groups.values()]

    def where(self, conditions: Sequence[tuple[str, str]]) -> "Runs":
        """The runs that have one of the given values of every key, written as on the command line.

        Raises:
            ConfigError: no run has such a key, or such a value of it.
        """
        wanted: dict[str, list[str]] = {}
        for key, text in conditions:
            self._check_condition(key, text)
            wanted.setdefault(key, []).append(text)
        kept = [
            record
            for index, record in enumerate(self.records)
            if all(_is_one_of(self.setting(index, key), texts) for key, texts in wanted.items())
        ]
        if not kept:
            raise ConfigError(f"{', '.join(f'{key}={text}' for key, text in conditions)}: no run has all of these")
        folders = {record.folder for record in kept}
        others = {record.folder for record in self.records} - folders
        return Runs(kept, [problem for problem in self.problems if problem.folder not in others])

    def _check_condition(self, key: str, text: str) -> None:
        known = list(dict.fromkeys([*self.common, *self._differing, *(key for row in self._rows[:1] for key in row)]))
        if key not in known:
            raise ConfigError(f"{key}={text}: no run has such a setting{nearest(key, known)}")
        values = varying.in_order({self.setting(index, key) for index in range(len(self))})
        if not any(varying.matches(value, text) for value in values):
            shown = "; ".join(map(varying.show, values))
            raise ConfigError(f"{key}={text}: no run has this value; found {shown}")


def import_pandas() -> Any:
    """pandas, which takes a moment to load and comes with an extra.

    Raises:
        UserError: it is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise UserError("comparing runs needs pandas: pip install 'nst_lab[report]'") from error
    return pandas


def _is_one_of(value: Any, texts: Sequence[str]) -> bool:
    return any(varying.matches(value, text) for text in texts)


def _terms(line: dict[str, Any]) -> dict[str, Any]:
    terms = line.get("terms")
    return terms if isinstance(terms, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) else None


def _is_completed(record: Record) -> bool:
    return record.manifest.get("status") == "completed"
