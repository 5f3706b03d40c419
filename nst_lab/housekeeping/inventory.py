"""What lies in output folders (runs, records of launches, remains of removals), and removing it safely."""

import errno
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nst_lab.comparison.scanning import SUMMARY
from nst_lab.errors import ConfigError
from nst_lab.housekeeping.stored_runs import (
    WATCH,
    ForeignError,
    StoredRun,
    is_claim,
    kind_of,
    manifest_stamp,
    measure,
    read_run,
)
from nst_lab.running import runs
from nst_lab.running.claims import Claim, HeldError

LEVELS = 2  # an output folder holds experiments, these hold runs
LAUNCHES, RECORD = ".launches", "cells.yaml"
ASIDE = re.compile(r"\.removed\.[0-9a-f]{32}")  # the names of folders that are being removed
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Remains:
    """The record of a launch, or what is left of a removal that was cut short."""

    folder: Path
    since: float  # its latest change, in seconds since 1970
    size: int

    @property
    def kind(self) -> str:
        """Which of the two it is."""
        return "launch record" if self.folder.parent.name == LAUNCHES else "unfinished removal"

    @property
    def experiment(self) -> Path:
        """The folder of the experiment."""
        return self.folder.parents[1] if self.folder.parent.name == LAUNCHES else self.folder.parent

    @property
    def name(self) -> str:
        """Its experiment and its own folder."""
        return f"{self.experiment.name}/{self.folder.relative_to(self.experiment)}"


@dataclass
class Inventory:
    """What was found.

    `aside` are remains of removals; `foreign` tells why a folder is no run; `loose` are the bytes, by kind, of files
    beside the runs.
    """

    runs: list[StoredRun] = field(default_factory=list)
    records: list[Remains] = field(default_factory=list)
    aside: list[Remains] = field(default_factory=list)
    foreign: dict[Path, str] = field(default_factory=dict)
    loose: dict[Path, Counter[str]] = field(default_factory=dict)
    seen: set[Path] = field(default_factory=set)

    def visit(self, folder: Path, levels: int) -> None:
        """Take what lies in a folder, and so many levels below it."""
        if folder not in self.seen:
            self.seen.add(folder)
            self._try(self._take, folder, levels)

    def _try(self, take: Callable[..., None], folder: Path, *more: Any) -> None:
        try:
            take(folder, *more)
        except FileNotFoundError:
            return  # removed since
        except (OSError, ForeignError) as error:
            self.foreign[folder] = getattr(error, "strerror", None) or str(error)

    def _take(self, folder: Path, levels: int) -> None:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        folders = [entry for entry in entries if entry.is_dir()]
        claimed = any(is_claim(entry.name) for entry in entries)
        if any(entry.name == runs.MANIFEST for entry in entries) or (claimed and not (levels and folders)):
            self.runs.append(read_run(folder))  # a run that has just been claimed has no folders yet, nor ever
            for other in _runs_within(folder) if folders else []:  # put there by somebody
                self.visit(other, 0)
            return
        if entries and not folders and folder.name != SUMMARY:
            self.foreign[folder] = f"no {runs.MANIFEST}"
        for entry in folders:
            path = Path(entry.path)
            if entry.is_symlink():
                self.foreign[path] = "a link, not followed"
            elif entry.name == LAUNCHES:
                self._try(self._take_records, path)
            elif ASIDE.fullmatch(entry.name):
                self._try(self._take_remains, path, self.aside)
            elif levels and not entry.name.startswith("."):
                self.visit(path, levels - 1)
            elif not levels:
                is_run = os.path.isfile(path / runs.MANIFEST)
                self.foreign[path] = (
                    "a run, too far down: name a folder nearer to it" if is_run else f"no {runs.MANIFEST}"
                )
        self.loose[folder] = Counter()
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    self.loose[folder][kind_of(entry.name)] += entry.stat(follow_symlinks=False).st_size

    def _take_records(self, folder: Path) -> None:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False) and os.path.isfile(os.path.join(entry.path, RECORD)):
                self._try(self._take_remains, Path(entry.path), self.records)

    def _take_remains(self, folder: Path, remains: list[Remains]) -> None:
        sizes, changed = measure(folder)
        remains.append(Remains(folder, changed, sizes.total()))


def take_inventory(folders: Sequence[Path]) -> Inventory:
    """Look through output folders, folders of experiments, or single runs. Links in them are not followed.

    Raises:
        ConfigError: one of them is no folder.
    """
    inventory = Inventory()
    for folder in folders:
        if not os.path.isdir(folder):  # unlike Path.is_dir, false for what cannot be a name
            raise ConfigError(f"{folder}: {'not a' if os.path.lexists(folder) else 'no such'} folder")
        if folder.is_symlink() and (folder / runs.MANIFEST).exists():
            inventory.foreign[folder.absolute()] = "a link, not followed"
        else:
            inventory.visit(Path(os.path.realpath(folder)), LEVELS)
    return inventory


def _runs_within(folder: Path) -> list[Path]:
    """The runs below a run's folder, links not followed."""
    return [Path(path) for path, _, files in os.walk(folder) if runs.MANIFEST in files and path != str(folder)]


def remove_run(run: StoredRun) -> None:
    """Remove a run folder whole, unless somebody has begun to make it, or has made it, since it was read.

    It is claimed, so that nobody begins it in between, and renamed before anything of it is deleted: what a removal
    leaves that was cut short is no run any more.

    Raises:
        HeldError: it was left as it is, perhaps because another run lies in it.
        ConfigError, OSError: it cannot be removed.
    """
    try:
        claim = Claim(run.folder, "nst-runs clean", WATCH)
    except ConfigError as error:
        if getattr(error.__cause__, "errno", None) not in DISK_FULL:
            raise
        _remove_unclaimed(run)  # no room for a claim: the very reason to clean
        return
    with claim:
        _check_unchanged(run)
        aside = _aside(run.folder.parent)
        claim.move(aside)
    delete(aside)


def _remove_unclaimed(run: StoredRun) -> None:
    """Rename first, and look afterwards whether somebody had claimed the folder."""
    _check_unchanged(run)
    aside = _aside(run.folder.parent)
    run.folder.rename(aside)
    holder = WATCH.judge(aside)[1]
    if holder is not None:
        aside.rename(run.folder)
        raise HeldError(f"{run.folder}: held by {holder}")
    delete(aside)


def _check_unchanged(run: StoredRun) -> None:
    if manifest_stamp(run.folder) != run.stamp:
        raise HeldError(f"{run.folder}: has changed meanwhile")
    if others := _runs_within(run.folder):
        raise HeldError(f"{run.folder}: stays, since another run lies in it: {others[0]}")


def remove_record(record: Remains) -> None:
    """Remove the record of a launch."""
    aside = _aside(record.experiment)
    record.folder.rename(aside)
    delete(aside)


def delete(folder: Path) -> None:
    """Remove a folder whole, perhaps together with another process that is at it too."""
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def _aside(parent: Path) -> Path:
    return parent / f".removed.{uuid.uuid4().hex}"
