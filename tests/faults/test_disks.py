"""Disks that are full or read-only, folders that vanish or turn into something else, and are another user's."""

import ctypes
import os
import resource
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from conftest import TINY, UNBOUNDED
from launched import check_curves, complaints, complete, made, results, start

from nst_lab.app import command

pytestmark = pytest.mark.slow
RUN = (*TINY, "init=noise", "seed=3", "threads=1", "log.checkpoint_seconds=0")
SWEEP = ("-m", *TINY, "init=noise", "seed=3,4", "threads=1", "log.checkpoint_seconds=0")
LONG = (*UNBOUNDED, "optimizer.evaluations=30", "optimizer.tolerance=0", "init=noise", "threads=1")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> dict[str, bytes]:
    """The pictures of `SWEEP` by their folders."""
    folder = tmp_path_factory.mktemp("untouched")
    complete(folder, *SWEEP)
    return results(folder)


@contextmanager
def mounted(folder: Path, options: str):
    """A disk in memory at `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(disk: Path, room: int) -> Path:
    """Leave so many bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, max(0, filler.stat().st_size - room))
    return filler


# From the first folder to the last picture: what a run writes takes some 150 KiB, most of it its checkpoints.
@pytest.mark.parametrize("room", [0, 8_192, 12_288, 24_576, 40_960, 65_536, 100_000])
def test_a_full_disk_is_one_line_and_the_same_command_completes_when_there_is_room(here, untouched, capfd, room):
    with mounted(here / "outputs", "size=2m"):
        filler = fill(here / "outputs", room)
        assert command(RUN) in (1, 2)
        [line] = complaints(capfd.readouterr().err)
        assert line.startswith("nst-lab: ")
        assert "outputs/runs" in line
        assert "No space left on device" in line
        filler.unlink()
        assert command(RUN) == 0
        assert set(results(here).items()) < set(untouched.items())
        check_curves(here)
        assert not [path for path in (here / "outputs").rglob(".*") if path.name != ".launches"]


# The limit on a file's length ends every writing like a disk on which nothing larger fits, and needs no rights.
@pytest.mark.parametrize("limit", [0, 7_000, 30_000])
def test_files_that_cannot_grow_are_a_line_for_each_run_and_the_same_command_completes(here, untouched, limit):
    limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    with start(here, *SWEEP, preexec_fn=limited) as process:
        _, error = process.communicate(timeout=120)
    assert process.returncode in (1, 2)
    lines = complaints(error)
    assert 1 <= len(lines) <= 4, error  # each as it fails, and below the table
    assert all("outputs/runs" in line and "File too large" in line for line in lines), error
    assert command(SWEEP) == 0
    assert results(here) == untouched
    check_curves(here)


def test_a_read_only_disk_is_one_line_and_what_is_completed_on_it_is_told(here, capfd):
    with mounted(here / "outputs", "size=4m"):
        assert command([*RUN, "seed=1"]) == 0
        subprocess.run(["mount", "-o", "remount,ro", here / "outputs"], check=True)
        capfd.readouterr()
        assert command(RUN) == 2
        [line] = complaints(capfd.readouterr().err)
        assert line.startswith("nst-lab: out_dir: ")
        assert "outputs/runs" in line
        assert line.endswith(" cannot be written (Read-only file system)")
        assert command([*RUN, "seed=1"]) == 0
        assert "completed (earlier)" in capfd.readouterr().out


def without_power_over_files() -> None:
    """Let root keep to the permissions of files in what is started now."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability)  # PR_CAPBSET_DROP


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_the_folder_of_another_user_is_one_line(tmp_path, mode):
    outputs = tmp_path / "outputs"
    outputs.mkdir(mode=mode)
    if os.geteuid() == 0:
        os.chown(outputs, 12345, 12345)
    else:
        outputs.chmod(mode & ~0o700 | (0o500 if mode & 0o7 else 0))
    with start(tmp_path, *RUN, preexec_fn=without_power_over_files if os.geteuid() == 0 else None) as process:
        _, error = process.communicate(timeout=60)
    outputs.chmod(0o700)
    assert process.returncode == 2
    [line] = complaints(error)
    assert line.startswith("nst-lab: out_dir: ")
    assert "outputs/runs" in line
    assert line.endswith("(Permission denied)")
    assert not list(outputs.iterdir())


def replaced_by_a_file(outputs: Path) -> None:
    outputs.rename(outputs.with_name("aside"))
    outputs.touch()


def replaced_by_a_link(outputs: Path) -> None:
    outputs.rename(outputs.with_name("aside"))
    outputs.with_name("elsewhere").mkdir()
    outputs.symlink_to("elsewhere")


def removed(outputs: Path) -> None:
    while outputs.exists():
        shutil.rmtree(outputs, ignore_errors=True)  # while it is written into


@pytest.mark.parametrize("happen", [removed, replaced_by_a_file, replaced_by_a_link])
@pytest.mark.parametrize("count", [1, 2])
def test_an_output_folder_that_vanishes_is_made_anew_or_told_in_one_line(here, happen, count):
    sweep = ("-m", *LONG, f"seed=range({count})", "runner.batch=2")
    with start(here, *sweep) as process:
        while len(list(here.glob("outputs/*/*/metrics.jsonl"))) < count:  # all have begun
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        happen(here / "outputs")
        _, error = process.communicate(timeout=120)
    lines = complaints(error)
    if happen is replaced_by_a_file:
        assert process.returncode == 2
        [line] = lines
        assert line.startswith("nst-lab: out_dir: outputs/runs/")
        assert line.endswith("(Not a directory)")
        (here / "outputs").unlink()
    else:
        assert (process.returncode, lines) == (0, [])
    assert command(sweep) == 0
    assert {manifest["status"] for manifest in made(here)} == {"completed"}
    check_curves(here)
