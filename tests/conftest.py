"""Shared by all tests: the checkout's paths, and the command line run as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

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
