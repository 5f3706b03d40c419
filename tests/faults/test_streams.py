"""Output that nobody reads, that is closed or full, or lacks characters, and a current directory that is gone."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from conftest import TINY
from launched import complaints, made

import nst_lab.app
import nst_lab.comparison.command
import nst_lab.figures.command
import nst_lab.housekeeping.command
import nst_lab.images.command

ROOMS = {"compare": "comparison", "figure": "figures", "runs": "housekeeping", "images": "images"}
SWEEP = ("-m", *TINY, "init=noise", "seed=3,4", "threads=1", "name=sweep")
MISSING = "nst-{}: standard output cannot be written (No space left on device)"


def started(*words: str, **options) -> tuple[int, list[str]]:
    """The exit status of `nst-…` as a process, and its lines on standard error that are no progress."""
    name, *arguments = words
    module = "nst_lab.app" if name == "lab" else f"nst_lab.{ROOMS[name]}.command"
    process = [sys.executable, "-c", f"from {module} import main; main()", *arguments]
    done = subprocess.run(process, **({"stderr": subprocess.PIPE} | options), text=True, timeout=120)
    return done.returncode, complaints(done.stderr or "")


@pytest.fixture
def unread():
    """A pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def full():
    with open("/dev/full", "w") as device:
        yield device


def check_that_the_sweep_is_concluded(folder: Path) -> None:
    assert [run["status"] for run in made(folder)] == ["completed"] * 2
    assert (folder / "outputs/sweep/grid.png").is_file()
    [summary] = (folder / "outputs/sweep/summary").iterdir()
    assert b"grid" in summary.read_bytes()  # it is begun without


@pytest.mark.parametrize(
    "words", [("lab", "--help"), ("lab", "--cfg", "job"), ("images", "list"), ("figure", "--help")]
)
def test_a_command_that_prints_ends_silently_where_nobody_reads(here, unread, words):
    assert started(*words, stdout=unread) == (0, [])


def test_a_sweep_is_made_and_concluded_where_nobody_reads_its_output_and_errors(here, unread):
    assert started("lab", *SWEEP, stdout=unread, stderr=unread) == (0, [])
    check_that_the_sweep_is_concluded(here)


@pytest.mark.slow
def test_a_sweep_over_processes_is_made_and_concluded_where_its_output_is_full_and_nobody_reads_errors(
    here, unread, full
):
    spread = ("hydra/launcher=processes", "hydra.launcher.n_jobs=2")
    assert started("lab", *SWEEP, *spread, stdout=full, stderr=unread) == (1, [])
    check_that_the_sweep_is_concluded(here)


def test_a_full_output_is_one_line(here, full):
    assert started("images", "list", stdout=full) == (1, [MISSING.format("images")])


@pytest.mark.parametrize("words", [("runs", "list"), ("compare", "outputs")])
def test_closed_streams_are_nowhere(stored, words):
    run = stored("aaaa-0123456789ab")
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert started(*words, preexec_fn=partial(os.closerange, 0, 2)) == (0, [])
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_nothing_is_removed_where_standard_input_is_closed(stored):
    run = stored("aaaa-0123456789ab")
    status, [line] = started("runs", "clean", "--older-than", "0d", preexec_fn=partial(os.close, 0))
    assert (status, line.split(";")[0]) == (2, "nst-runs: clean: there is no terminal to ask on")
    assert run.is_dir()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("lab", "--cfg", "job", "out_dir='ü ü/ö'"), rb"out_dir: \xfc \xfc/\xf6"),
        (("compare", "ü ü/ö"), rb"\xfc \xfc/\xf6"),
        (("images", "list"), rb"T\xfcbingen"),
    ],
)
def test_characters_that_the_terminal_lacks_are_escaped(stored, here, words, told):
    stored("aaaa-0123456789ab").parent.rename(here / "outputs/ö")
    (here / "outputs").rename(here / "ü ü")
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    with (here / "printed").open("wb") as printed:
        assert started(*words, stdout=printed, env=ascii_only) == (0, [])
    assert told in (here / "printed").read_bytes()


@pytest.mark.parametrize(
    ("name", "entry", "arguments"),
    [
        ("lab", nst_lab.app, TINY),
        ("lab", nst_lab.app, ["--cfg", "job"]),
        ("compare", nst_lab.comparison.command, ["outputs"]),
        ("figure", nst_lab.figures.command, ["list"]),
        ("images", nst_lab.images.command, ["list"]),
        ("runs", nst_lab.housekeeping.command, ["list"]),
    ],
)
def test_a_current_directory_that_was_deleted_is_one_line(tmp_path, monkeypatch, capsys, name, entry, arguments):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert entry.command(list(arguments)) == 2
    assert capsys.readouterr().err == f"nst-{name}: the current directory no longer exists\n"
