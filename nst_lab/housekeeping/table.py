"""Stored runs on the terminal: the table, what tells them apart, and sizes and ages in words."""

import textwrap
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nst_lab.command_line import print_rows, printable
from nst_lab.comparison import varying
from nst_lab.housekeeping.stored_runs import STATUSES, StoredRun
from nst_lab.sweeps.continuation import given
from nst_lab.sweeps.sweep import differing_keys, label

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
WHOLE = ("status", "evaluations", "age", "size")  # columns that are never folded
MOST_NOTES, LONGEST_NOTE = 10, 100  # unless all are asked for
UNTOLD = ("name", "out_dir", "force")  # keys that say nothing about a run


def print_runs(found: Sequence[StoredRun], among: Sequence[StoredRun]) -> None:
    """The table of runs, with the settings that tell them from all those `among` which they were found."""
    told, now = distinctions(among), time.time()
    rows = [
        [
            printable(run.name),
            run.status,
            printable(told[run.folder]),
            run.evaluations,
            human_age(now - run.since),
            human_size(run.size),
        ]
        for run in found
    ]
    print_rows(["run", "status", "settings", "evaluations", "age", "size"], rows, WHOLE)


def print_notes(found: Sequence[StoredRun], full: bool) -> None:
    """Errors of failed runs and holders of held ones: all and in full, or the last of them, shortened."""
    noted = [run for run in found if run.note]
    for run in noted if full else noted[-MOST_NOTES:]:
        note = run.note if full else textwrap.shorten(run.note, LONGEST_NOTE, placeholder=" …")
        print(f"{run.status}: {printable(run.name)}: {printable(note)}")
    if not full and len(noted) > MOST_NOTES:
        print(f"and {len(noted) - MOST_NOTES} more: --errors tells them all")


def distinctions(found: Sequence[StoredRun]) -> dict[Path, str]:
    """What tells each run from the others of its experiment: its values of the overrides that differ between them.

    Runs from Python have no overrides and are told apart by their settings; a run that nothing tells apart by its
    convention and size.
    """
    groups: dict[tuple[Path, bool], list[StoredRun]] = {}
    for run in found:
        groups.setdefault((run.folder.parent, bool(run.overrides)), []).append(run)
    told = {}
    for (_, overridden), group in groups.items():
        texts = _by_overrides(group) if overridden else _by_settings(group)
        for run, text in zip(group, texts, strict=True):
            told[run.folder] = text or _label(run.settings, ("convention", "size"))
    return told


def _by_overrides(group: Sequence[StoredRun]) -> list[str]:
    overrides = [given(run.overrides) for run in group]
    keys = [key for key in differing_keys(overrides) if key not in UNTOLD]
    return [label(each, keys) for each in overrides]


def _by_settings(group: Sequence[StoredRun]) -> list[str]:
    rows = [run.settings for run in group]
    keys = varying.independent(varying.differing(rows), rows, {key for run in group for key in run.explicit})
    return [_label(row, keys) for row in rows]


def _label(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key}={varying.show(settings[key])}" for key in keys if key in settings)


def count_runs(found: Sequence[StoredRun]) -> str:
    """How many there are, and of which status: `3 runs (2 completed, 1 held)`."""
    counts = Counter(run.status for run in found)
    each = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    return f"{plural({'run': len(found)})} ({each})" if found else "no runs"


def plural(counts: Mapping[str, int]) -> str:
    """`2 runs, 1 launch record`; what there is none of is left out."""
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items() if count)


def human_size(size: float) -> str:
    """Bytes in a binary unit, two or three digits of it: `812 B`, `3.4 MiB`."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1000 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.{1 if size < 10 and units[0] != 'B' else 0}f} {units[0]}"


def human_age(seconds: float) -> str:
    """Seconds in the largest unit of which there are at least two: `90 s`, `3 h`, `12 d`."""
    seconds = max(0.0, seconds)
    unit = next((unit for unit in ("d", "h", "min") if seconds >= 2 * SECONDS[unit]), "s")
    return f"{seconds / SECONDS[unit]:.0f} {unit}"
