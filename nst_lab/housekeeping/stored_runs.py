"""Run folders read back for housekeeping: status, age, size. Fast, and without torch."""

import json
import math
import os
import re
import stat
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nst_lab.comparison.varying import settings_of, show
from nst_lab.running import runs
from nst_lab.running.claims import Owner, Watch

UNFINISHED = ("failed", "interrupted", "killed")
STATUSES = ("completed", *UNFINISHED, "held")
# What takes the room, by the names of files; what has none of these is "other".
KINDS = {
    "pictures": re.compile(r".*\.(png|jpe?g|webp|tiff?)", re.I),
    "event files": re.compile(r"events\.out\.tfevents\..*"),
    "metrics": re.compile(r"metrics\.jsonl"),
    "checkpoints": re.compile(r"\.?(checkpoint|curvature)\.pt.*"),
}
LAST_LINES = 2**16  # bytes at the end of metrics.jsonl, in which its last line begins

# An owner on another machine can only be told to be dead by watching it for a while: here it counts as living.
WATCH = Watch(math.inf)


class ForeignError(Exception):
    """A folder is no run of nst_lab; says why."""


@dataclass(frozen=True)
class StoredRun:
    """A run folder as found.

    `status` is one of `STATUSES`: `held` is being made by a living process, `killed` was being made by one that is
    dead. `since`, in seconds since 1970, is when it ended: its last change if it was killed, its start if it is held.
    `settings` are convention and size and, of a run from Python (without overrides), all that determined the picture;
    of these `explicit` were not left to the convention. `note` is the error of a failed run and the holder of a held
    one. `stamp` changes with the manifest.
    """

    folder: Path
    status: str
    since: float
    sizes: Counter[str]
    overrides: tuple[str, ...]
    settings: dict[str, Any]
    explicit: tuple[str, ...]
    evaluations: str
    note: str
    launch: str
    stamp: tuple[int, int] | None

    kind = "run"

    @property
    def name(self) -> str:
        """Its experiment and its own folder."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return self.sizes.total()


def read_run(folder: Path) -> StoredRun:
    """Read a run folder.

    Raises:
        ForeignError: it is none.
        OSError: it cannot be read.
    """
    holder = WATCH.judge(folder)[1]
    stamp = manifest_stamp(folder)
    manifest = (runs.read_manifest(folder) or {"status": "unreadable"}) if stamp else {}
    if manifest.get("status") == "running" and holder is None:
        holder = WATCH.judge(folder)[1]  # it may have begun between the two
    if manifest or not holder:  # one that is held may be about to write its first manifest
        _check(manifest)
    status = "held" if holder else {"running": "killed"}.get(manifest["status"], manifest["status"])
    sizes, changed = measure(folder)
    overrides = _texts(manifest.get("overrides"))
    return StoredRun(
        folder=folder,
        status=status,
        since=_since(manifest, holder, changed),
        sizes=sizes,
        overrides=overrides,
        settings=_settings(manifest, whole=not overrides),
        explicit=() if overrides else _texts(manifest.get("convention_overrides")),
        evaluations=_evaluations(folder, status, manifest),
        note=_note(folder, status, manifest, holder),
        launch=holder.launch if holder else "",
        stamp=stamp,
    )


def manifest_stamp(folder: Path) -> tuple[int, int] | None:
    """What changes whenever the manifest is replaced; None where there is no such file."""
    try:
        found = os.stat(folder / runs.MANIFEST, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def is_claim(name: str) -> bool:
    """Whether a file of this name is a claim."""
    return name.startswith(".claim.")


def kind_of(name: str) -> str:
    """What a file of this name takes room for: a key of `KINDS`, or other."""
    return next((kind for kind, pattern in KINDS.items() if pattern.fullmatch(name)), "other")


def measure(folder: Path) -> tuple[Counter[str], float]:
    """Bytes by kind of all files below a folder, and the latest change of one (but for claims)."""
    sizes, changed = Counter[str](), 0.0
    for entry in list(os.scandir(folder)):
        with suppress(FileNotFoundError):  # of a run that is being made, or removed
            if entry.is_dir(follow_symlinks=False):
                inner, latest = measure(Path(entry.path))
                sizes.update(inner)
                changed = max(changed, latest)
            else:
                found = entry.stat(follow_symlinks=False)
                sizes[kind_of(entry.name)] += found.st_size
                changed = changed if is_claim(entry.name) else max(changed, found.st_mtime)
    return sizes, changed or os.stat(folder).st_mtime


def _check(manifest: dict[str, Any]) -> None:
    if not manifest:
        raise ForeignError(f"no {runs.MANIFEST}")
    if manifest.get("status") == "unreadable":
        raise ForeignError(f"{runs.MANIFEST} cannot be read")
    known = manifest.get("status") in ("running", "completed", "failed", "interrupted")
    kinds = {"fingerprint": str, "config": dict, "overrides": list}
    if not known or not all(isinstance(manifest.get(key), kind) for key, kind in kinds.items()):
        raise ForeignError(f"{runs.MANIFEST} is not of nst_lab")


def _since(manifest: dict[str, Any], holder: Owner | None, changed: float) -> float:
    attempts = manifest.get("attempts")
    last = attempts[-1] if isinstance(attempts, list) and attempts else None
    told: Any = (last.get("start") if isinstance(last, dict) else None) if holder else manifest.get("end")
    try:
        return datetime.fromisoformat(told).timestamp()
    except (TypeError, ValueError, OverflowError):
        return changed


def _evaluations(folder: Path, status: str, manifest: dict[str, Any]) -> str:
    """`200`, or out of how many a run has made that has not completed: `60/200`; nothing if it is not known."""
    done = manifest.get("evaluations")
    if status == "completed":
        return "" if done is None else show(done)
    if status in ("held", "killed"):
        done = _last_logged(folder)
    optimizer = manifest.get("config", {}).get("optimizer")
    budget = optimizer.get("evaluations") if isinstance(optimizer, dict) else None
    return f"{show(done or 0)}/{show(budget)}" if budget else ""


def _last_logged(folder: Path) -> int | None:
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_LINES))
            evaluation: int = json.loads(file.read().splitlines()[-1])["evaluation"]
            return evaluation
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _note(folder: Path, status: str, manifest: dict[str, Any], holder: Owner | None) -> str:
    if holder:
        return f"by {holder}"
    if status == "completed":
        return "" if (folder / runs.RESULT).is_file() else f"no {runs.RESULT}"
    return str(manifest.get("error", "")) if status == "failed" else ""


def _settings(manifest: dict[str, Any], whole: bool) -> dict[str, Any]:
    """All that determined the picture, or what is told of any run: convention and size."""
    if whole and manifest:
        return settings_of(manifest)
    config = manifest.get("config", {})
    return {key: config[key] for key in ("convention", "size") if key in config}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
