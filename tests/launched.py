"""`nst-lab` started as processes of their own, and what they leave: whole files, curves without gaps."""

import json
import re
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from nst_lab.running import runs


def start(folder: Path, *arguments: str, **options) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "nst_lab", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, start_new_session=True, **pipes, **options)


def complete(folder: Path, *arguments: str, status: int = 0) -> str:
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=900)
    assert process.returncode == status, err
    return out + err


def run_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("outputs/*/*") if re.search("-[0-9a-f]{12}$", path.name))


def results(folder: Path) -> dict[str, bytes]:
    return {path.name: (path / "result.png").read_bytes() for path in run_folders(folder)}


def check_that_nothing_is_broken(folder: Path) -> None:
    """What anybody may read at any moment: manifests, pictures, lines and records are whole."""
    for run in run_folders(folder):
        if (run / "manifest.json").exists():
            json.loads((run / "manifest.json").read_text())
        if (run / "result.png").exists():
            with Image.open(run / "result.png") as picture:
                picture.load()
        if (run / "metrics.jsonl").exists():
            *lines, rest = (run / "metrics.jsonl").read_bytes().split(b"\n")
            assert all(map(json.loads, lines))
            # A kill ends a write between two pages at the earliest; what it cut is passed over and written anew.
            assert rest == b"" or (run / "metrics.jsonl").stat().st_size % resource.getpagesize() == 0
        for events in run.glob("events.*"):
            assert all(event.wall_time for event in EventFileLoader(str(events)).Load())


def check_curves(folder: Path) -> None:
    for run in run_folders(folder):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert [line["evaluation"] for line in lines] == list(range(1, len(lines) + 1))
        assert all(earlier["seconds"] <= later["seconds"] for earlier, later in pairwise(lines))
        events = [event for path in sorted(run.glob("events*")) for event in EventFileLoader(str(path)).Load()]
        steps = [event.step for event in events for value in event.summary.value if value.tag == "loss/total"]
        assert steps == list(range(1, len(lines) + 1))


def made(folder: Path) -> list[dict]:
    return [runs.read_manifest(run) for run in run_folders(folder)]


def complaints(error: str) -> list[str]:
    """The lines of standard error that are no progress; never a traceback."""
    assert "Traceback" not in error
    return [line for line in error.splitlines() if not re.search(r": (starting|evaluation \d+/\d+, .*)$", line)]
