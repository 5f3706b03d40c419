"""One owner of a run folder at a time: liveness at once on this machine, heartbeats from others, tokens at renames."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest
from conftest import TINY

from nst_lab.app import command
from nst_lab.running import claims
from nst_lab.running.claims import Claim, ClaimLostError, HeldError, Owner, Watch, acquire, standing
from nst_lab.running.processes import Process, alive, this_process

ELSEWHERE = Process("another-machine", "boot", 1, "1")
HOLDER = (
    "import sys, time; from pathlib import Path; from nst_lab.running.claims import Claim, Watch\n"
    "Claim(Path(sys.argv[1]), 'other', Watch(60)); print('held', flush=True); time.sleep(600)"
)


@pytest.fixture
def holder(tmp_path):
    """A process that claims the folder and does nothing else."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def claim_from_elsewhere(folder, number=1, beats=0):
    owner = Owner(ELSEWHERE, "launch", f"token {number}")
    (folder / f".claim.{number}").write_text(json.dumps(asdict(owner)) + "\n" + "." * beats)
    return owner


def test_a_claim_is_exclusive_until_it_is_released(tmp_path):
    claim = Claim(tmp_path, "one", Watch(60))
    with pytest.raises(HeldError, match=f"held by process {os.getpid()}"):
        Claim(tmp_path, "two", Watch(60))
    claim.release()
    assert list(tmp_path.iterdir()) == []
    with Claim(tmp_path, "two", Watch(60)) as second:
        assert standing(tmp_path).owner == second.owner
    assert list(tmp_path.iterdir()) == []


def test_a_living_process_holds_and_a_killed_one_does_not_from_that_moment(tmp_path, holder):
    with pytest.raises(HeldError):
        Claim(tmp_path, "", Watch(0))
    holder.kill()
    holder.wait()
    with Claim(tmp_path, "", Watch(3600)) as claim:
        assert claim.number == 2
    assert list(tmp_path.iterdir()) == []


def test_a_zombie_is_dead(tmp_path, holder):
    holder.kill()
    deadline = time.monotonic() + 10
    while Watch(3600).judge(tmp_path)[1] is not None:  # nobody waits for it: it stays a zombie
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stopped_process_still_holds(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    assert Watch(0).judge(tmp_path)[1] is not None


def test_another_process_with_the_number_of_the_owner_is_not_the_owner(tmp_path):
    claim = Claim(tmp_path, "", Watch(60))
    reused = replace(claim.owner, process=replace(claim.owner.process, start="12345"))
    (tmp_path / ".claim.1").write_text(json.dumps(asdict(reused)) + "\n")
    assert Watch(3600).judge(tmp_path) == (1, None)
    claim.release()


@pytest.mark.parametrize("change", [{"host": "another"}, {"boot": "another"}])
def test_processes_of_another_machine_or_boot_cannot_be_told_from_here(change):
    assert alive(replace(this_process(), **change)) is None
    assert alive(this_process()) is True


def test_an_owner_elsewhere_is_dead_when_its_heart_has_not_beaten_for_long_enough(tmp_path):
    owner = claim_from_elsewhere(tmp_path)
    watch = Watch(0.3)
    assert watch.judge(tmp_path) == (1, owner)
    time.sleep(0.2)
    claim_from_elsewhere(tmp_path, beats=1)
    assert watch.judge(tmp_path) == (1, owner)
    time.sleep(0.2)
    assert watch.judge(tmp_path) == (1, owner)  # 0.4 s since it was first seen, 0.2 s since it beat
    time.sleep(0.15)
    assert watch.judge(tmp_path) == (1, None)
    assert Watch(0.3).judge(tmp_path) == (1, owner)  # a new watch has seen nothing yet


def test_clocks_of_files_do_not_matter(tmp_path):
    owner = claim_from_elsewhere(tmp_path)
    for moment in (0, time.time() + 10**6):
        os.utime(tmp_path / ".claim.1", (moment, moment))
        assert Watch(0.3).judge(tmp_path) == (1, owner)


def test_a_claim_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.02)
    with Claim(tmp_path, "", Watch(60)):
        before = standing(tmp_path)
        deadline = time.monotonic() + 10
        while standing(tmp_path).beats < before.beats + 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert standing(tmp_path).owner == before.owner


def test_of_several_who_find_a_dead_owner_one_takes_over(tmp_path):
    claim_from_elsewhere(tmp_path)
    watches = [Watch(0.05) for _ in range(5)]
    for watch in watches:
        watch.judge(tmp_path)
    time.sleep(0.1)
    taken = []
    for watch in watches:
        try:
            taken.append(Claim(tmp_path, "", watch))
        except HeldError:
            continue
    [claim] = taken
    claim.release()


def test_a_race_of_processes_for_one_folder_has_one_winner(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from nst_lab.running.claims import Claim, HeldError, Watch\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "try:\n    Claim(Path(sys.argv[1]), '', Watch(60)); print('won'); time.sleep(1)\n"
        "except HeldError:\n    print('lost')"
    )
    at = str(time.time() + 1.5)
    racers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), at], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    said = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert sorted(said) == ["lost"] * 5 + ["won"]


def test_one_who_was_outbid_renames_nothing_and_its_release_leaves_the_other_in_place(tmp_path):
    claim = Claim(tmp_path, "", Watch(60))
    other = claim_from_elsewhere(tmp_path, number=2)
    (tmp_path / "new").write_text("new")
    with pytest.raises(ClaimLostError, match="process 1 on another-machine"):
        claim.replace(tmp_path / "new", "result.png")
    assert not (tmp_path / "result.png").exists()
    claim.release()
    assert standing(tmp_path).owner == other


def test_a_removed_claim_holds_no_longer(tmp_path):
    claim = Claim(tmp_path, "", Watch(60))
    (tmp_path / ".claim.1").unlink()
    with pytest.raises(ClaimLostError):
        claim.check()
    claim.release()


@pytest.mark.parametrize("text", ["", "{", '{"process": 1}', "[]"])
def test_an_unreadable_claim_holds_for_as_long_as_one_from_elsewhere(tmp_path, text):
    (tmp_path / ".claim.1").write_text(text)
    watch = Watch(0.05)
    assert watch.judge(tmp_path)[1] is not None
    time.sleep(0.1)
    with Claim(tmp_path, "", watch) as claim:
        assert claim.number == 2


def test_a_held_folder_is_waited_for(tmp_path, holder):
    killer = threading.Timer(1, holder.kill)
    started = time.monotonic()
    killer.start()
    acquire(tmp_path, "", Watch(3600)).release()
    assert time.monotonic() - started > 0.5
    killer.join()


@pytest.mark.parametrize("sweep", [False, True])
def test_what_a_process_left_that_was_killed_as_it_let_go_is_removed_by_the_next(here, sweep):
    arguments = [*TINY, *(["-m", "seed=0,1"] if sweep else [])]
    assert command(arguments) == 0
    folders = [path.parent for path in here.rglob("manifest.json")]
    folder = folders[0]
    result, claim = (folder / "result.png").stat(), Owner(replace(this_process(), start="12345"), "", "token")
    (folder / ".claim.1").write_text(json.dumps(asdict(claim)) + "\n")
    (folder / "checkpoint.pt").write_bytes(b"")
    assert command(arguments) == 0
    assert not [path for folder in folders for path in (*folder.glob(".*"), *folder.glob("*.pt"))]
    assert (folder / "result.png").stat() == result
