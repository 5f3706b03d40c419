"""Finds run folders and reads what they hold; whatever is no finished run is told with its reason, never raised.

JSON and directory listings only, so that ten thousand folders take seconds.
"""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from nst_lab.config.schema import Config
from nst_lab.errors import ConfigError
from nst_lab.running.runs import MANIFEST, RESULT

SUMMARY = "summary"  # a folder beside the runs that only TensorBoard reads
DEPTH = 2  # levels searched below a folder: outputs/ -> experiment -> run
THREADS, BATCH = 8, 64  # threads that wait together, which counts where the disk is on a network, and folders at once

STATES = ("completed", "running", "failed", "interrupted")
SECTIONS = [field.name for field in fields(Config) if is_dataclass(field.default_factory)]
NO_RUN = f"not a run (no {MANIFEST})"
NOT_OF_RUN = f"{MANIFEST} is not that of a run"

Look = tuple[bytes, bool] | OSError  # of a folder: its manifest, and whether there is a picture beside it


@dataclass(frozen=True)
class Record:
    """A run folder with a manifest; `problem` says why it does not count as completed, None where it does."""

    folder: Path
    manifest: dict[str, Any]
    problem: str | None


@dataclass(frozen=True)
class Problem:
    """A folder that is no completed run, and why."""

    folder: Path
    reason: str


def scan(folders: Sequence[str | os.PathLike[str]]) -> tuple[list[Record], list[Problem]]:
    """Every run in or below `folders`, in the order of their paths, and every folder that is not a completed one.

    A folder is a run if it has a `manifest.json`; else it is searched, two levels deep. Hidden folders are passed over.
    A manifest that lacks what every run has, or holds what none has written, is a problem and no run. A run that is
    running, failed, interrupted or without its picture is in both lists.

    Raises:
        ConfigError: one of `folders` is no folder.
    """
    for folder in folders:
        if not os.path.isdir(folder):
            raise ConfigError(f"{folder}: no such folder; expected run folders, or one that holds them")
    with ThreadPoolExecutor(THREADS) as pool:
        found = [item for folder in folders for item in _search(os.fspath(folder), DEPTH, pool)]
    once = {os.path.realpath(item.folder): item for item in found}
    items = sorted(once.values(), key=lambda item: item.folder.parts)
    records = [item for item in items if isinstance(item, Record)]
    told = [(item.folder, item.problem if isinstance(item, Record) else item.reason) for item in items]
    return records, [Problem(folder, reason) for folder, reason in told if reason]


def _search(folder: str, depth: int, pool: ThreadPoolExecutor) -> list[Record | Problem]:
    """What `folder` is, or else what it holds; one problem stands for a folder that holds no run at all."""
    own = _understood(folder, _look(folder))
    if own:
        return [own]
    try:
        children = _subfolders(folder) if depth else []
    except OSError as error:
        return [Problem(Path(folder), f"cannot be read ({error.strerror})")]
    found: list[Record | Problem] = []
    batches = [children[start : start + BATCH] for start in range(0, len(children), BATCH)]
    for batch, looks in zip(batches, pool.map(_look_into, batches), strict=True):
        for child, seen in zip(batch, looks, strict=True):
            item = _understood(child, seen)
            below = [item] if item else _search(child, depth - 1, pool)
            found += [] if below == [Problem(Path(child), NO_RUN)] and child.endswith(f"/{SUMMARY}") else below
    holds_runs = any(isinstance(item, Record) or item.reason != NO_RUN for item in found)
    return found if holds_runs else [Problem(Path(folder), NO_RUN)]


def _subfolders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir()]


def _look_into(folders: Sequence[str]) -> list[Look]:
    return [_look(folder) for folder in folders]


def _look(folder: str) -> Look:
    """All that is read of a folder, in a thread; to understand it there, too, would only make threads wait in turn."""
    try:
        with open(os.path.join(folder, MANIFEST), "rb") as file:
            return file.read(), os.path.isfile(os.path.join(folder, RESULT))
    except OSError as error:
        return error


def _understood(folder: str, seen: Look) -> Record | Problem | None:
    """The run in a folder; None where there is no manifest."""
    if isinstance(seen, (FileNotFoundError, NotADirectoryError)):
        return None
    if isinstance(seen, OSError):
        return Problem(Path(folder), f"{MANIFEST} cannot be read ({seen.strerror})")
    content, has_picture = seen
    try:
        text = content.decode()
        manifest = DECODER.decode(text)
        if "\\u" in text:
            json.dumps(manifest, ensure_ascii=False).encode()  # fails on half of a pair, which no output could take
    except (UnicodeEncodeError, OverflowError):
        return Problem(Path(folder), NOT_OF_RUN)
    except (ValueError, RecursionError):
        return Problem(Path(folder), f"{MANIFEST} is not complete JSON")
    if not _is_of_run(manifest):
        return Problem(Path(folder), NOT_OF_RUN)
    return Record(Path(folder), manifest, _problem(manifest, has_picture))


def _whole_number(digits: str) -> int:
    """An integer of a manifest; `OverflowError` for one that no float can hold, and no run has written."""
    number = int(digits)
    float(number)
    return number


DECODER = json.JSONDecoder(parse_int=_whole_number)


def _is_of_run(manifest: Any) -> bool:
    return (
        isinstance(manifest, dict)
        and isinstance(manifest.get("config"), dict)
        and isinstance(manifest.get("fingerprint"), str)
        and "status" in manifest
        and _is_configuration(manifest["config"])
    )


def _is_configuration(config: dict[str, Any]) -> bool:
    """Whether settings are laid out as those of a run: sections, perhaps fewer than today, and style images."""
    sections = all(isinstance(config.get(name, {}), dict) for name in SECTIONS)
    images = config["style"].get("images") if sections and {"style", "loss"} <= set(config) else None
    return isinstance(images, list) and all(isinstance(image, str) for image in images)


def _problem(manifest: dict[str, Any], has_picture: bool) -> str | None:
    status = manifest.get("status")
    if status == "completed":
        return None if has_picture else f"completed, but {RESULT} is missing"
    if status == "failed":
        return f"failed: {' '.join(str(manifest.get('error') or 'no reason recorded').split())}"
    if status == "interrupted":
        return f"interrupted after {manifest.get('evaluations') or 0} evaluations"
    if status == "running":
        return f"running since {manifest.get('start') or 'an unknown time'}, or lost"
    return f"its status is {status!r}, expected one of {', '.join(STATES)}"


def read_curves(folder: Path, most: int | None = None) -> Iterator[dict[str, Any]]:
    """The lines of `metrics.jsonl` that belong to accepted evaluations; none where there is no such file.

    With `most`, about that many: half spread evenly and half geometrically, since most of a loss's fall is early. A
    line that is only half written is passed over.
    """
    try:
        lines = (folder / "metrics.jsonl").read_bytes().splitlines()
    except OSError:
        return
    for index in _sample(len(lines), most):
        try:
            line = json.loads(lines[index])
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and (line.get("accepted", True) or index == 0):
            yield line


def _sample(count: int, most: int | None) -> list[int]:
    if most is None or count <= most:
        return list(range(count))
    steps = [step / (most // 2 - 1) for step in range(most // 2)]
    return sorted({round(step * (count - 1)) for step in steps} | {round(count**step) - 1 for step in steps})
