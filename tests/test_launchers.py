"""Sweeps that are killed, started twice, or spread over processes: the same bytes, every cell once, nothing broken."""

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import TINY, UNBOUNDED
from launched import check_curves, check_that_nothing_is_broken, complete, made, results, run_folders, start
from PIL import Image

from nst_lab.running import runs
from nst_lab.running.claims import standing
from nst_lab.running.processes import alive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# 24 cells that take about a second each, one thread each, so that launchers can be compared.
CELLS = (
    "-m", *UNBOUNDED, "optimizer.evaluations=60", "optimizer.tolerance=0", "init=noise", "seed=range(6)",
    "style=starry_strokes,mosaic", "loss.content_weight=1,100", "threads=1", "log.checkpoint_seconds=0.05",
)  # fmt: skip
FEW = ("-m", *TINY, "init=noise", "seed=range(4)", "threads=1")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("untouched")
    complete(folder, *CELLS)
    return folder


def test_a_sweep_killed_at_twenty_random_moments_ends_in_the_same_bytes(untouched, tmp_path):
    moments = random.Random(5)
    kills = 0
    while kills < 20:
        process = start(tmp_path, *CELLS)
        begun = len(run_folders(tmp_path))
        while process.poll() is None and len(run_folders(tmp_path)) == begun and begun < 24:
            time.sleep(0.01)  # at least until it claims a new run, or it would be killed at start-up only
            if any((run / ".claim.2").exists() for run in run_folders(tmp_path)):
                break
        time.sleep(moments.uniform(0, 1.5))
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
        check_that_nothing_is_broken(tmp_path)
    assert kills == 20
    complete(tmp_path, *CELLS)
    assert results(tmp_path) == results(untouched)
    assert len(results(tmp_path)) == 24
    check_curves(tmp_path)
    assert not [path for run in run_folders(tmp_path) for path in run.glob(".*")]
    assert "24 completed" in complete(tmp_path, *CELLS)


def test_two_launchers_of_one_sweep_make_every_cell_once(untouched, tmp_path):
    both = [start(tmp_path, *CELLS) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=900)
        assert process.returncode == 0, err
        assert out.count("completed") >= 24  # the table names those that the other one made, too
    assert results(tmp_path) == results(untouched)
    attempts = [attempt for manifest in made(tmp_path) for attempt in manifest["attempts"]]
    assert len(attempts) == 24
    shares = [sum(attempt["process"] == process.pid for attempt in attempts) for process in both]
    assert min(shares) > 0
    check_curves(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_one_of_two_launchers_is_killed_the_other_finishes_all(untouched, tmp_path, number):
    victim, survivor = (start(tmp_path, *CELLS) for _ in range(2))
    while sum((manifest or {}).get("status") == "completed" for manifest in made(tmp_path)) < 6:
        time.sleep(0.05)
    victim.send_signal(number)
    victim.communicate(timeout=60)
    _, err = survivor.communicate(timeout=900)
    assert survivor.returncode == 0, err
    assert results(tmp_path) == results(untouched)
    check_curves(tmp_path)


@pytest.fixture(scope="module")
def basic(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("basic")
    complete(folder, *FEW)
    return folder


@pytest.mark.parametrize("launcher", ["processes", "slurm_local", "ray_cluster"])
def test_a_launcher_completes_a_sweep_with_the_bytes_of_the_basic_one(basic, tmp_path, launcher):
    complete(tmp_path, *FEW, f"hydra/launcher={launcher}")
    assert results(tmp_path) == results(basic)
    assert len({attempt["launch"] for manifest in made(tmp_path) for attempt in manifest["attempts"]}) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"outputs"}  # nothing beside it
    check_curves(tmp_path)


def test_a_worker_makes_a_batch_as_one_process_does(tmp_path):
    folders = tmp_path / "here", tmp_path / "there"
    complete(folders[0], *FEW, "runner.batch=2")
    complete(folders[1], *FEW, "runner.batch=2", "hydra/launcher=processes", "hydra.launcher.n_jobs=2")
    assert results(folders[0]) == results(folders[1])
    assert len({attempt["process"] for manifest in made(folders[1]) for attempt in manifest["attempts"]}) == 2


@pytest.mark.parametrize(("launcher", "expected"), [("processes", max(1, os.cpu_count() // 2)), ("ray_cluster", 1)])
def test_workers_share_the_cores(tmp_path, launcher, expected):
    two = {"processes": ["hydra.launcher.n_jobs=2"], "ray_cluster": []}[launcher]
    complete(tmp_path, *FEW[:-1], f"hydra/launcher={launcher}", *two)
    assert {manifest["threads"] for manifest in made(tmp_path)} == {expected}


def test_relative_paths_and_a_folder_of_ones_own_reach_the_workers(tmp_path):
    (tmp_path / "mine/style").mkdir(parents=True)
    (tmp_path / "mine/style/own one.yaml").write_text("defaults: [none]\nimages: [my style.png]\n")
    Image.effect_mandelbrot((40, 30), (-2, -1, 1, 1), 40).convert("RGB").save(tmp_path / "my style.png")
    own = ["--config-dir", "mine", "style='own one'"]
    complete(tmp_path, *FEW, *own, "hydra/launcher=ray_cluster", "runner.batch=2")  # whose second cell it composes
    assert [manifest["status"] for manifest in made(tmp_path)] == ["completed"] * 4


LONG = (*UNBOUNDED, "optimizer.evaluations=1000", "optimizer.tolerance=0", "init=noise", "log.checkpoint_seconds=0.2")


def wait_for_two_runs_at_work(folder: Path) -> list[dict]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        begun = [run for run in run_folders(folder) if (run / "checkpoint.pt").exists()]
        if len(begun) == 2:
            return [runs.read_manifest(run) for run in begun]
        time.sleep(0.05)
    raise AssertionError("no two runs at work")


@pytest.mark.parametrize("launcher", ["processes", "ray_cluster"])
def test_an_interrupted_launcher_lets_its_workers_write_checkpoints(tmp_path, launcher):
    process = start(tmp_path, "-m", *LONG, "seed=range(3)", f"hydra/launcher={launcher}", "threads=1")
    wait_for_two_runs_at_work(tmp_path)
    workers = [standing(run).owner.process for run in run_folders(tmp_path) if standing(run)]
    assert len(workers) == 2
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert [manifest["status"] for manifest in made(tmp_path)] == ["interrupted"] * 2
    assert all((run / "checkpoint.pt").exists() and not list(run.glob(".claim*")) for run in run_folders(tmp_path))
    deadline = time.monotonic() + 30
    while any(map(alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_workers_whose_launcher_was_killed_finish_what_they_make_and_end(tmp_path):
    lengths = [text if not text.startswith("optimizer.evaluations") else "optimizer.evaluations=3,400" for text in LONG]
    process = start(tmp_path, "-m", *lengths, "hydra/launcher=processes", "hydra.launcher.n_jobs=2", "threads=1")
    deadline = time.monotonic() + 120
    while {(manifest or {}).get("status") for manifest in made(tmp_path)} != {"completed", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = {attempt["process"] for manifest in made(tmp_path) for attempt in manifest["attempts"]}
    try:
        process.kill()
        process.communicate(timeout=120)  # reads until the last process that may write there has ended
    except subprocess.TimeoutExpired:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        raise
    assert len(workers) == 2  # one was idle, one at work
    assert [manifest["status"] for manifest in made(tmp_path)] == ["completed"] * 2


def test_a_killed_worker_does_not_end_the_sweep(tmp_path):
    sweep = ("-m", *LONG, "seed=range(3)", "hydra/launcher=processes", "hydra.launcher.n_jobs=2", "threads=1")
    process = start(tmp_path, *sweep)
    victim = wait_for_two_runs_at_work(tmp_path)[0]["attempts"][-1]["process"]
    os.kill(victim, signal.SIGKILL)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert [manifest["status"] for manifest in made(tmp_path)] == ["completed"] * 3
    assert max(len(manifest["attempts"]) for manifest in made(tmp_path)) == 2
    check_curves(tmp_path)
