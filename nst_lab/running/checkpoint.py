"""The checkpoint of a run: written in one step, rarely enough to cost little, read back only if it is whole."""

import hashlib
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nst_lab.command_line import printable
from nst_lab.running.claims import Claim

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAME = "checkpoint.pt"
BLOCK = 2**20  # bytes
LARGEST_SHARE = 0.01  # of the time of a run


class Checkpoints:
    """Writes the checkpoint of a claimed run folder.

    Args:
        claim: of the folder.
        fingerprint: of the run; a checkpoint of another one is not read.
        seconds: at least so long from one checkpoint to the next; longer where writing one takes more than a hundredth
            of that.
    """

    def __init__(self, claim: Claim, fingerprint: str, seconds: float):
        self.claim, self.fingerprint, self.seconds = claim, fingerprint, seconds
        self.cost = 0.0
        self.written = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self.written >= max(self.seconds, self.cost / LARGEST_SHARE)

    def write(self, state: Callable[[], dict[str, Any]]) -> None:
        """Replace the checkpoint by what `state` gives: tensors and plain values."""
        started = time.monotonic()
        save(self.claim, NAME, {"fingerprint": self.fingerprint, **state()})
        self.written = time.monotonic()
        self.cost = self.written - started


def save(claim: Claim, name: str, state: dict[str, Any]) -> None:
    """Replace a file of a claimed folder by tensors and plain values, in one step."""
    temporary = claim.folder / f".{name}.partial"
    with _Hashed(temporary.open("wb", buffering=0)) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch's own, when it finds itself at another place than it should be
            raise file.error or error from None
        file.write(file.sha256.digest())  # torch reads what is before it, but notices no damage in a tensor
        file.flush()
        os.fsync(file.fileno())
    claim.replace(temporary, name)


def load(path: Path) -> dict[str, Any]:
    """What was saved to a file. Nothing is unpickled.

    Raises:
        Exception: of many kinds, where the file is damaged.
    """
    if not _is_intact(path):
        raise ValueError("its bytes are not those that were written")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class _Hashed(io.BufferedWriter):
    """A file that is written from its beginning to its end, with the SHA-256 of what was written.

    `error` is the first reason why something was not.
    """

    def __init__(self, file: io.FileIO):
        super().__init__(file)
        self.sha256 = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        self.sha256.update(data)
        try:
            return super().write(data)
        except OSError as error:
            self.error = self.error or error
            raise


def _is_intact(path: Path) -> bool:
    """Whether the file ends in the SHA-256 of all that is before it."""
    sha256 = hashlib.sha256()
    left = path.stat().st_size - sha256.digest_size
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, BLOCK))):
            sha256.update(block)
            left -= len(block)
        return file.read() == sha256.digest()


def read(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The checkpoint of a run; None where there is none, or none that can be used. Nothing is unpickled.

    The streams that it speaks of must be as long as they were when it was written.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        state = load(path)
        if state["fingerprint"] != fingerprint:
            raise ValueError("it belongs to another run")
        for name, size in state["streams"].items():
            if (folder / name).stat().st_size < size:
                raise ValueError(f"{name} is shorter than it says")
        return state
    except Exception as error:  # a damaged file leads torch to errors of many kinds
        reason = " ".join(str(error).split())[:200]
        print(printable(f"{path}: not usable, the run begins anew ({reason})"), file=sys.stderr)
        return None
