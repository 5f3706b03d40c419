"""Who may write into a run folder: one owner at a time, on one machine or many that share a disk.

A claim is a file `.claim.<n>` in the folder, its first line the owner as JSON; the highest n holds. It is created
exclusively, so of several claimants one wins. A dead owner is not removed but outbid: only one claimant can create
n + 1, and the dead one, should it wake up, finds itself outbid before it renames anything.
"""

import json
import os
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nst_lab.errors import ConfigError, UserError
from nst_lab.running.processes import Process, alive, this_process

HEARTBEAT_SECONDS = 5.0  # an owner lengthens its claim by one byte this often
POLL_SECONDS = 0.5


class HeldError(UserError):
    """The run is being made by another process."""


class ClaimLostError(UserError):
    """Another process has taken the run over, which may happen to one that was stopped for long."""


@dataclass(frozen=True)
class Owner:
    """Who holds a claim: a process, the launch that it belongs to, and a token that no other claim has."""

    process: Process
    launch: str
    token: str

    def __str__(self) -> str:
        return f"process {self.process.pid} on {self.process.host}"


UNKNOWN = Owner(Process("an unknown machine", "", 0, ""), "", "")  # of a claim that cannot be read


@dataclass(frozen=True)
class Standing:
    """The highest claim of a folder as read: its number, its owner (None if unreadable) and its heartbeats so far."""

    number: int
    owner: Owner | None
    beats: int


def standing(folder: Path) -> Standing | None:
    """The claim that holds in a folder; None where there is none."""
    while numbers := _numbers(folder):
        try:
            text = (folder / f".claim.{numbers[-1]}").read_bytes()
        except FileNotFoundError:
            continue  # released since
        except OSError:
            text = b""
        line = text.partition(b"\n")[0]
        return Standing(numbers[-1], _owner(line), len(text))
    return None


def _numbers(folder: Path) -> list[int]:
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(".claim.")]
    except FileNotFoundError:
        return []
    return sorted(int(name[7:]) for name in names if name[7:].isdecimal())


def _owner(line: bytes) -> Owner | None:
    try:
        fields = json.loads(line)
        return Owner(Process(**fields["process"]), str(fields["launch"]), str(fields["token"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


class Watch:
    """Tells whether the owners of claims are alive.

    On the same machine the process itself decides, at once. On another one the heartbeat does: an owner is taken for
    dead when its claim has not changed for `patience` seconds of this process's own monotonic clock, so that no
    clock is ever compared with another machine's.
    """

    def __init__(self, patience: float):
        self.patience = patience
        self.seen: dict[Path, tuple[Standing, float]] = {}

    def judge(self, folder: Path) -> tuple[int, Owner | None]:
        """The number of a folder's highest claim (0 for none) and its owner if it lives; None where it is free."""
        claim = standing(folder)
        if claim is None:
            return 0, None
        here = alive(claim.owner.process) if claim.owner else None
        if here is not None:
            return claim.number, claim.owner if here else None
        before, since = self.seen.get(folder, (None, 0.0))
        if before != claim:
            self.seen[folder] = (claim, time.monotonic())
        elif time.monotonic() - since >= self.patience:
            return claim.number, None
        return claim.number, claim.owner or UNKNOWN


class Claim:
    """The right to write into `folder`, held until `release` (or the end of a `with` block).

    Args:
        folder: an existing folder.
        launch: what the process works for, told to those who find the claim.
        watch: the judge of owners found there.

    Raises:
        HeldError: a living process holds it.
    """

    def __init__(self, folder: Path, launch: str, watch: Watch):
        self.folder = folder
        self.owner = Owner(this_process(), launch, uuid.uuid4().hex)
        highest, holder = watch.judge(folder)
        if holder is not None:
            raise HeldError(f"{folder}: held by {holder}")
        self.number = highest + 1
        self.path = folder / f".claim.{self.number}"
        self.file = self._create()
        self.released = threading.Event()
        self.heart = threading.Thread(target=self._beat, name=f"claim on {folder.name}", daemon=True)
        self.heart.start()

    def _create(self) -> int:
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
            try:
                os.write(file, json.dumps(asdict(self.owner)).encode() + b"\n")
            except OSError:
                os.close(file)
                self.path.unlink()  # an empty claim would be that of an unknown machine
                raise
        except FileExistsError:
            raise HeldError(f"{self.folder}: another process was faster") from None
        except FileNotFoundError:
            raise HeldError(f"{self.folder}: another process has removed it") from None
        except OSError as error:
            raise ConfigError(f"out_dir: {self.folder} cannot be written ({error.strerror})") from error
        return file

    def _beat(self) -> None:
        while not self.released.wait(HEARTBEAT_SECONDS):
            try:
                os.write(self.file, b".")
            except OSError:
                continue  # a full disk: the run itself will fail on it, or find space again

    def check(self) -> None:
        """Raise `ClaimLostError` unless this claim still holds."""
        try:
            current = standing(self.folder)
        except NotADirectoryError:  # a file is in the folder's place
            current = None
        if current is None or current.owner is None or current.owner.token != self.owner.token:
            raise ClaimLostError(f"{self.folder}: taken over by {current.owner if current else 'nobody: removed'}")

    def replace(self, temporary: Path, name: str) -> None:
        """Let a complete file take the place of `name` in the folder, if the claim still holds."""
        self.check()
        temporary.replace(self.folder / name)

    def move(self, folder: Path) -> None:
        """Rename the claimed folder, and the claim with it, if it still holds."""
        self.check()
        self.folder.rename(folder)
        self.folder, self.path = folder, folder / self.path.name

    def release(self) -> None:
        """Give the folder free; those outbid before go first, so that none of them holds again."""
        self.released.set()
        self.heart.join()
        os.close(self.file)
        with suppress(NotADirectoryError):
            for number in _numbers(self.folder):
                if number < self.number:
                    (self.folder / f".claim.{number}").unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_exception: Any) -> None:
        self.release()


def acquire(folder: Path, launch: str, watch: Watch) -> Claim:
    """Claim a folder, waiting as long as others hold it; created again if one of them was removing it."""
    while True:
        try:
            return Claim(folder, launch, watch)
        except HeldError:
            time.sleep(POLL_SECONDS)
            folder.mkdir(parents=True, exist_ok=True)
