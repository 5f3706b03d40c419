"""Shared by all tests: the checkout's paths, and the command line run as a user runs it."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from run_folders import edit

import nst_lab
from nst_lab import catalog

CHECKOUT = Path(__file__).resolve().parent.parent

# The smallest run with a real network: untrained weights, one style layer.
TINY = (
    "model=random",
    "size=32",
    "layers.content=[relu2_1]",
    "layers.style=[relu1_1,relu2_1]",
    "optimizer.evaluations=4",
)


@pytest.fixture
def checkout() -> Path:
    """The root of the checkout."""
    return CHECKOUT


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def nst_lab_command(here):
    """Run `nst-lab` in a process of its own; the completed process with its text output."""

    def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "nst_lab", *arguments]
        return subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    """No mirror, no catalog of one's own, an empty cache, no proxy."""
    for name in ("NST_LAB_MIRROR", "NST_LAB_CATALOG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NST_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def own_catalog(own_folders, tmp_path, monkeypatch):
    """Write a catalog of one's own and make it count."""

    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        monkeypatch.setenv("NST_LAB_CATALOG", str(path))
        catalog._entries.cache_clear()
        return path

    yield write
    catalog._entries.cache_clear()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A completed run, to be copied."""
    out_dir = tmp_path_factory.mktemp("finished")
    overrides = [*TINY, f"out_dir={out_dir}", "name=experiment"]
    return nst_lab.run(nst_lab.compose(overrides), overrides=overrides).folder


@pytest.fixture
def stored(finished, here):
    """Copy the completed run to `outputs/<name>/<run>`, with another manifest; its folder."""

    def store(run: str, name: str = "experiment", days: float = 0, **changes) -> Path:
        folder = here / "outputs" / name / run
        shutil.copytree(finished, folder)
        end = datetime.now(UTC) - timedelta(days=days)
        edit(folder, end=end.isoformat(timespec="seconds"), **changes)
        os.utime(folder / "metrics.jsonl", (end.timestamp(), end.timestamp()))
        return folder

    return store
