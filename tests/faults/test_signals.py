"""A sweep that is signalled at random moments: nothing half-written is ever read as whole, and the end is the same."""

import json
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import UNBOUNDED
from launched import check_curves, check_that_nothing_is_broken, complaints, complete, made, results, run_folders, start

# Cells of some seconds, one thread each: all signals come before the end of the sweep.
CELLS = (
    "-m", *UNBOUNDED, "optimizer.evaluations=250", "optimizer.tolerance=0", "init=noise", "seed=range(8)", "threads=1",
    "log.checkpoint_seconds=0.05",
)  # fmt: skip
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
ENDS = {signal.SIGKILL: -9, signal.SIGTERM: 130, signal.SIGINT: 130, signal.SIGHUP: -1}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("untouched")
    complete(folder, *CELLS)
    return folder


def losses(folder: Path) -> list[list[float]]:
    """The total losses of every run by evaluation, accepted steps or not."""
    lines = [(run / "metrics.jsonl").read_text().splitlines() for run in run_folders(folder)]
    return [[json.loads(line)["total"] for line in each] for each in lines]


def claims(folder: Path) -> set[tuple[Path, bytes]]:
    """Those that stand, with what they say: one that is taken over may keep its name."""
    found = set()
    for path in folder.glob("outputs/*/[!.]*/.claim.*"):  # hidden folders come and go
        with suppress(FileNotFoundError):
            found.add((path, path.read_bytes()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4])
def test_a_sweep_signalled_at_random_moments_ends_as_one_left_alone(untouched, tmp_path, batch):
    chance = random.Random(batch)
    numbers = SIGNALS * 2
    chance.shuffle(numbers)
    cells = (*CELLS, f"runner.batch={batch}")
    for number in numbers:
        process = start(tmp_path, *cells)
        earlier = claims(tmp_path)  # of what was killed
        while process.poll() is None and claims(tmp_path) <= earlier:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.6))
        assert process.poll() is None
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        assert process.returncode == ENDS[number], error
        assert complaints(error) == (["nst-lab: interrupted"] if ENDS[number] == 130 else [])
        check_that_nothing_is_broken(tmp_path)
    assert len(run_folders(tmp_path)) > 0
    complete(tmp_path, *cells)
    assert len(results(tmp_path)) == 8
    check_curves(tmp_path)
    assert results(tmp_path) == results(untouched)
    assert losses(tmp_path) == losses(untouched)  # although which cells share a batch depends on the signals
    assert not [path for run in run_folders(tmp_path) for path in (*run.glob(".*"), *run.glob("*.pt"))]
    assert max(len(manifest["attempts"]) for manifest in made(tmp_path)) > 1


@pytest.mark.slow
def test_a_run_whose_terminal_is_closed_is_gone_on_with(tmp_path):
    run = [*UNBOUNDED, "optimizer.evaluations=150", "optimizer.tolerance=0", "log.checkpoint_seconds=0", "init=noise"]
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    process = start(cut, *run)
    while process.poll() is None and not list(cut.glob("outputs/*/*/checkpoint.pt")):
        time.sleep(0.005)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGHUP
    assert [manifest["status"] for manifest in made(cut)] == ["running"]
    complete(cut, *run)
    complete(whole, *run)
    assert results(cut) == results(whole)
    assert [len(manifest["attempts"]) for manifest in made(cut)] == [2]
    check_curves(cut)
