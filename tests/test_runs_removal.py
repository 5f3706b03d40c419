"""Removing run folders while others make them, are interrupted or killed, on a full disk, and among links."""

import os
import re
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from run_folders import STARTED, edit, runs_in

import nst_lab
from nst_lab.housekeeping import inventory as housekeeping
from nst_lab.housekeeping.command import command
from nst_lab.housekeeping.inventory import remove_run, take_inventory
from nst_lab.housekeeping.stored_runs import read_run
from nst_lab.running import claims
from nst_lab.running.claims import Claim, HeldError, Watch


def test_what_changed_since_it_was_shown_is_left_alone(stored, here):
    claimed, completed, resumed = (stored(name, status="failed", error="e") for name in "abc")
    shown = {folder: read_run(folder) for folder in (claimed, completed, resumed)}
    edit(completed, status="completed")
    edit(resumed, status="running")
    with Claim(claimed, "mine", Watch(60)), pytest.raises(HeldError, match="held by process"):
        remove_run(shown[claimed])
    for folder in (completed, resumed):
        with pytest.raises(HeldError, match="has changed meanwhile"):
            remove_run(shown[folder])
    assert runs_in(here) == {"a", "b", "c"}
    assert not list(here.rglob(".claim*"))
    assert not list(here.rglob(".removed*"))


def many_files(folder: Path, count: int = 20_000) -> Path:
    """Make a folder that takes a while to remove."""
    for index in range(count):
        os.link(folder / "result.png", folder / f"{index}.png")
    return folder


def start_removing(folder: Path) -> subprocess.Popen:
    """A `clean` that has just begun to remove a run."""
    arguments = ["clean", "--failed", "--yes"]
    process = subprocess.Popen([*STARTED, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while folder.exists():
        assert process.poll() is None
    return process


def test_a_killed_clean_leaves_no_run_and_the_next_one_removes_the_rest(stored, here, capsys):
    folder = many_files(stored("a", status="failed", error="e"))
    process = start_removing(folder)
    process.kill()
    process.communicate()
    [rest] = (here / "outputs/experiment").iterdir()
    assert re.fullmatch(r"\.removed\.[0-9a-f]{32}", rest.name)
    assert command(["list"]) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("no runs in outputs\n", "")
    assert command(["clean", "--interrupted", "--yes"]) == 0
    assert not rest.exists()
    assert "removed 1 unfinished removal (" in capsys.readouterr().out


def test_an_interrupted_clean_says_what_it_did(stored, here, capsys):
    stored("a", status="failed", error="e", days=1)
    process = start_removing(many_files(stored("b", status="failed", error="e")))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "nst-runs: interrupted\n"
    assert re.match(r"removed 1 run \(\d+ KiB\)", out.splitlines()[-1])


def test_two_cleans_at_once_remove_everything_and_fail_in_nothing(stored, here):
    for index in range(20):
        many_files(stored(f"run{index}", status="failed", error="e"), 200)
    arguments = [*STARTED, "clean", "--failed", "--yes"]
    processes = [subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert not list((here / "outputs/experiment").iterdir())


def test_several_that_delete_the_same_remains_leave_nothing(stored):
    folder = many_files(stored("a"), 3000)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(housekeeping.delete, [folder] * 4)) == [None] * 4
    assert not folder.exists()


def test_links_are_not_followed(stored, here):
    elsewhere = here / "elsewhere"
    stored("mine", status="failed", error="e")
    shutil.move(here / "outputs", elsewhere)
    folder = stored("a", status="failed", error="e")
    (folder / "linked").symlink_to(elsewhere)
    (here / "outputs/experiment/b").symlink_to(elsewhere / "experiment/mine")
    (here / "outputs/linked").symlink_to(elsewhere / "experiment")
    assert [run.name for run in take_inventory([here / "outputs"]).runs] == ["experiment/a"]
    for arguments in ([], ["outputs/experiment/b"], ["outputs/experiment/b/"]):
        assert command(["clean", "--failed", "--yes", *arguments]) == 0
    assert not folder.exists()
    assert (elsewhere / "experiment/mine/manifest.json").is_file()
    assert (here / "outputs/experiment/b").is_symlink()
    (here / "scratch").symlink_to(elsewhere)  # one that the user names is meant
    assert command(["clean", "--failed", "--yes", "scratch"]) == 0
    assert not (elsewhere / "experiment/mine").exists()


@contextmanager
def not_to_be_removed(path: Path):
    """A folder that the system refuses to empty, for root as well."""
    if os.geteuid():
        path.chmod(0o500)
        yield
        path.chmod(0o700)
    elif not shutil.which("chattr") or subprocess.run(["chattr", "+i", path], capture_output=True).returncode:
        pytest.skip("nothing here is refused to root")
    else:
        yield
        moved = [path, *path.parent.parent.glob(f"*/{path.name}")]
        subprocess.run(["chattr", "-i", *[each for each in moved if each.exists()]], check=True)


@pytest.mark.parametrize("what", ["a", "a/locked", "."])
def test_what_cannot_be_removed_is_told_and_the_others_go(stored, here, capsys, what):
    folder = stored("a", name="one", status="failed", error="e", days=5)
    stored("b", name="two", status="failed", error="e")
    (folder / "locked").mkdir()
    (folder / "locked/file").touch()
    with not_to_be_removed(folder.parent / what):
        assert command(["clean", "--failed", "--yes"]) == 1
    printed = capsys.readouterr()
    [line] = printed.err.splitlines()
    assert line.startswith(f"nst-runs: {folder}: cannot be removed (")
    assert printed.out.splitlines()[-1].startswith("removed 1 run (")
    assert not (here / "outputs/two/b").exists()
    assert command(["clean", "--failed", "--yes"]) == 0
    assert not list((here / "outputs/one").iterdir())


@pytest.fixture
def small_disk(here):
    """A disk of 2 MiB."""
    disk = here / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_clean_works_on_a_full_disk(finished, small_disk, capsys):
    for run in "abc":
        folder = small_disk / "outputs/experiment" / run
        shutil.copytree(finished, folder)
        edit(folder, status="failed", error="No space left on device")
    held = small_disk / "outputs/experiment/a"
    with Claim(held, "mine", Watch(60)):
        fill(small_disk)
        assert command(["clean", "--failed", "--yes", str(small_disk / "outputs")]) == 0
    assert "removed 2 runs" in capsys.readouterr().out
    assert [path.name for path in (small_disk / "outputs/experiment").iterdir()] == ["a"]


def test_without_room_for_a_claim_what_was_claimed_meanwhile_is_put_back(stored):
    folder = stored("a", status="failed", error="e")
    shown = read_run(folder)
    with Claim(folder, "mine", Watch(60)) as claim:
        with pytest.raises(HeldError, match="held by process"):
            housekeeping._remove_unclaimed(shown)
        claim.check()
    assert read_run(folder) == shown


def test_a_claim_for_which_there_is_no_room_leaves_nothing_behind(small_disk):
    (small_disk / "run").mkdir()
    fill(small_disk)
    with pytest.raises(nst_lab.errors.ConfigError, match=r"cannot be written \(No space left"):
        Claim(small_disk / "run", "mine", Watch(60))
    assert not list((small_disk / "run").iterdir())


def test_a_run_that_waited_for_a_folder_that_is_removed_begins_anew(stored):
    folder = stored("a", status="failed", error="e")
    removing = Claim(folder, "clean", Watch(60))
    taken = []
    waiting = threading.Thread(target=lambda: taken.append(claims.acquire(folder, "mine", Watch(60))))
    waiting.start()
    aside = folder.with_name(f".removed.{'0' * 32}")
    removing.move(aside)
    removing.release()
    assert not list(aside.glob(".claim*"))
    shutil.rmtree(aside)
    waiting.join(timeout=60)
    [claim] = taken
    assert [path.name for path in folder.iterdir()] == [".claim.1"]
    claim.check()
    claim.release()


def test_releasing_a_moved_claim_leaves_that_of_its_successor(stored):
    folder = stored("a", status="failed", error="e")
    with Claim(folder, "clean", Watch(60)) as removing:
        removing.move(folder.with_name("aside"))
        folder.mkdir()
        successor = Claim(folder, "mine", Watch(60))
    successor.check()
    successor.release()
