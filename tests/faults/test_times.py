"""A clock that is set back, and a reader that looks on while a run writes."""

import json
import time
from itertools import pairwise

import pytest
from conftest import TINY, UNBOUNDED
from launched import complaints, run_folders, start
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from nst_lab.app import command
from nst_lab.housekeeping.command import command as housekeeping
from nst_lab.running.claims import Claim, HeldError, Watch


class Backwards:
    """A clock that is an hour earlier whenever it is asked."""

    def __init__(self):
        self.now = time.time()

    def __call__(self) -> float:
        self.now -= 3600
        return self.now


def test_with_a_clock_set_back_curves_run_forwards_and_the_picture_is_the_same(here, monkeypatch, capsys):
    run = [*TINY, "init=noise", "optimizer.evaluations=8", "log.checkpoint_seconds=0"]
    assert command([*run, "name=straight"]) == 0
    monkeypatch.setattr(time, "time", Backwards())
    assert command([*run, "name=back"]) == 0
    straight, back = sorted(run_folders(here), key=lambda folder: folder.parent.name != "straight")
    assert (back / "result.png").read_bytes() == (straight / "result.png").read_bytes()
    seconds = [json.loads(line)["seconds"] for line in (back / "metrics.jsonl").read_text().splitlines()]
    assert len(seconds) == 8
    assert seconds[0] >= 0
    assert all(earlier <= later for earlier, later in pairwise(seconds))
    assert 0 < json.loads((back / "manifest.json").read_text())["seconds"] < 60
    [file] = back.glob("events*")
    walls = [event.wall_time for event in EventFileLoader(str(file)).Load()]
    assert len(walls) > 8
    assert all(earlier <= later for earlier, later in pairwise(walls))
    capsys.readouterr()
    assert housekeeping(["list"]) == 0
    assert capsys.readouterr().out.count(" 0 s ") == 2  # the age of runs that have ended in the future


def test_with_a_clock_set_back_a_claim_still_holds(tmp_path, monkeypatch):
    with Claim(tmp_path, "", Watch(60)) as claim:
        monkeypatch.setattr(time, "time", Backwards())
        with pytest.raises(HeldError):
            Claim(tmp_path, "", Watch(0))
        claim.check()


def test_tensorboards_reader_looks_on_while_a_run_writes(tmp_path):
    count = 150
    with start(
        tmp_path, *UNBOUNDED, f"optimizer.evaluations={count}", "optimizer.tolerance=0", "init=noise"
    ) as process:
        while not list(tmp_path.glob("outputs/*/*/metrics.jsonl")):
            assert process.poll() is None
            time.sleep(0.005)
        [folder] = run_folders(tmp_path)
        reader, lengths, ended = EventAccumulator(str(folder), size_guidance={"scalars": 0}), [], False
        while not ended:
            ended = process.poll() is not None
            lengths.append(len(steps(reader)))
        _, error = process.communicate()
    assert complaints(error) == []
    assert all(earlier <= later for earlier, later in pairwise(lengths))
    assert len(set(lengths)) > 3  # it did look on
    assert steps(reader) == list(range(1, count + 1))


def steps(reader: EventAccumulator) -> list[int]:
    reader.Reload()
    return [event.step for event in reader.Scalars("loss/total")] if "loss/total" in reader.Tags()["scalars"] else []
