"""Run folders in every state, and `nst-runs` on them, for the tests of that command."""

import json
import os
import pty
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

STARTED = [sys.executable, "-c", "from nst_lab.housekeeping.command import main; main()"]
DAY = 86400


def edit(folder: Path, **changes) -> None:
    """Change the manifest; None removes a key."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not None}))


def kill(folder: Path, days: float = 0) -> Path:
    """Let a run look like one whose process died so many days ago."""
    edit(folder, status="running", end=None, evaluations=None)
    for path in folder.iterdir():
        os.utime(path, (time.time() - days * DAY,) * 2)
    return folder


def runs_in(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("outputs/*/*/manifest.json")}


def record(here: Path, name: str, days: float) -> Path:
    folder = here / "outputs/experiment/.launches" / name
    (folder / "submitit").mkdir(parents=True)
    for path in (folder / "cells.yaml", folder / "submitit/1_0_log.out"):
        path.write_text("cells: []\n")
        os.utime(path, (time.time() - days * DAY,) * 2)
    return folder


@contextmanager
def on_terminal(*arguments: str, **environment: str):
    """`nst-runs` with a terminal for its input and output; the process and the user's end of the terminal."""
    user, terminal = pty.openpty()
    process = subprocess.Popen(
        [*STARTED, *arguments], stdin=terminal, stdout=terminal, stderr=subprocess.DEVNULL, env=os.environ | environment
    )
    os.close(terminal)
    try:
        yield process, user
    finally:
        process.kill()
        process.wait()
        os.close(user)


def read_all(terminal: int) -> bytes:
    """What a terminal shows until the last process on it has gone."""
    text = b""
    with suppress(OSError):  # how Linux tells that nobody is left
        while piece := os.read(terminal, 4096):
            text += piece
    return text
