"""Small searches for tests: real runs of untrained networks."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conftest import UNBOUNDED
from omegaconf import OmegaConf

from nst_lab.running import runs
from nst_lab.search.trials import Found

SMALL = [text for text in UNBOUNDED if text != "log.distances=false"]
# A flat grey picture, left as it is: its distances depend on its grey value alone.
GREY = [*SMALL, "optimizer.evaluations=1", "init=noise", "init.noise_std=0", "init.noise_origin=zero", "log.images=0"]
SEARCH = {
    "name": "found",
    "trials": 4,
    "startup_trials": 3,
    "minimise": "color",
    "overrides": GREY,
    "space": {"init.noise_mean": {"low": 0.0, "high": 1.0}},
}
LONG = {
    "name": "long",
    "trials": 4,
    "startup_trials": 2,
    "minimise": "style",
    "at_most": {"content": 0.8},
    "overrides": [*SMALL, "optimizer.evaluations=50", "optimizer.tolerance=0", "log.checkpoint_seconds=0"],
    "space": {
        "loss.content_weight": {"low": 1e5, "high": 1e10, "log": True},
        "style": {"choices": ["mosaic", "ink_wash"]},
    },
}


def made(found: Found) -> list[tuple[int, Sequence[str], str, Mapping[str, float]]]:
    """What two searches have in common if they came to the same."""
    return [(trial.number, trial.overrides, trial.status, trial.distances) for trial in found.trials]


def attempts(name: str = "found") -> int:
    manifests = [runs.read_manifest(path.parent) for path in Path("outputs", name).glob("*/manifest.json")]
    return sum(len(manifest["attempts"]) for manifest in manifests)


def drawn(trial, key: str) -> str:
    return dict(text.split("=", 1) for text in trial.overrides)[key]


def write(content: Mapping[str, Any], name: str = "mine.yaml") -> str:
    """A search as a file; its name."""
    OmegaConf.save(dict(content), name)
    return name


# Imports done, it says so and waits for the others: which of them is faster must not depend on the start.
TOGETHER = """
import sys, time
from pathlib import Path
from nst_lab.search.command import main
import nst_lab.search.study
Path(f"ready_{sys.argv.pop(1)}").touch()
while len(list(Path().glob("ready_*"))) < int(sys.argv[1]):
    time.sleep(0.01)
del sys.argv[1]
main()
"""


def start_together(folder: Path, count: int, *arguments: str) -> list[subprocess.Popen]:
    """So many processes of `nst-search`, the first trials of which begin at the same time."""
    commands = ([sys.executable, "-c", TOGETHER, str(index), str(count), *arguments] for index in range(count))
    return [_started(command, folder) for command in commands]


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "nst_lab.search.command", *arguments]
    return _started(command, folder)


def _started(command: Sequence[str], folder: Path) -> subprocess.Popen:
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
