"""The checkpoint of a run: written in one step, rarely enough to cost little, read back only if it is whole."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nst_lab.running.claims import Claim

NAME = "checkpoint.pt"
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
        temporary = self.claim.folder / f".{NAME}.partial"
        with temporary.open("wb") as file:
            torch.save({"fingerprint": self.fingerprint, **state()}, file)
            file.flush()
            os.fsync(file.fileno())
        self.claim.replace(temporary, NAME)
        self.written = time.monotonic()
        self.cost = self.written - started


def read(folder: Path, fingerprint: str) -> dict[str, Any] | None:
    """The checkpoint of a run; None where there is none, or none that can be used. Nothing is unpickled.

    The streams that it speaks of must be as long as they were when it was written.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["fingerprint"] != fingerprint:
            raise ValueError("it belongs to another run")
        for name, size in state["streams"].items():
            if (folder / name).stat().st_size < size:
                raise ValueError(f"{name} is shorter than it says")
        return state
    except Exception as error:  # a damaged file leads torch to errors of many kinds
        reason = " ".join(str(error).split())[:200]
        print(f"{path}: not usable, the run begins anew ({reason})", file=sys.stderr)
        return None
