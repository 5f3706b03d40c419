"""A run that was interrupted ends in the same bytes as one that was not, with whole and single curves."""

import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import UNBOUNDED
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

import nst_lab
from nst_lab.config.schema import Config
from nst_lab.optimisation.inputs import Inputs
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running import checkpoint, runner, runs
from nst_lab.running.claims import Claim, Watch

LONG = (*UNBOUNDED, "optimizer.tolerance=0", "log.checkpoint_seconds=0")
VARIANTS = [
    ["optimizer=lbfgs"],
    ["optimizer=lbfgs", "init=noise", "style.images=[starry_strokes,mosaic]"],
    ["optimizer=lbfgs_torch", "optimizer.pixel_scale=255"],
    ["optimizer=adam", "optimizer.averaging=0.9", "optimizer.bounds=clip"],
    ["optimizer=adam", "optimizer.carry_state=true", "scales=[{factor: 0.5, share: 1}, {factor: 1, share: 1}]"],
    ["optimizer=sgd", "optimizer.learning_rate=1e-9", "scales=[{factor: 0.5, share: 1}, {factor: 1, share: 2}]"],
]


def inputs(config: Config) -> Inputs:
    styles = {name: nst_lab.load_image(name) for name in config.style.images}
    return Inputs(nst_lab.load_image("chelsea"), styles)


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from a file from which nothing is unpickled."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
@pytest.mark.parametrize("cut", [1, 6, 7, 11])
def test_the_steps_after_a_checkpoint_are_those_of_a_run_without_one(variant, cut):
    config = nst_lab.compose([*UNBOUNDED, "optimizer.evaluations=12", "optimizer.tolerance=0", *variant])
    whole, state = [], None
    synthesis = Synthesis(inputs(config), config)
    for step in synthesis:
        whole.append(step)
        if step.evaluation == cut:
            state = stored(synthesis.state_dict())
    resumed = Synthesis(inputs(config), config)
    resumed.load_state_dict(state)
    rest = list(resumed)
    assert [step.evaluation for step in rest] == list(range(cut + 1, 13))
    for step, expected in zip(rest, whole[cut:], strict=True):
        assert torch.equal(step.image, expected.image)
        assert torch.equal(step.picture, expected.picture)
        assert step.losses.to_floats() == expected.losses.to_floats()
        assert (step.stop, step.last, step.accepted) == (expected.stop, expected.last, expected.accepted)


def test_the_result_of_a_run_cut_after_a_step_that_was_taken_back_is_the_last_accepted_one():
    config = nst_lab.compose([*UNBOUNDED, "optimizer.evaluations=30", "optimizer.learning_rate=4", "init=noise"])
    synthesis = Synthesis(inputs(config), config)
    states = {step.evaluation: (step, stored(synthesis.state_dict())) for step in synthesis}
    rejected = [step for step, _ in states.values() if not step.accepted]
    assert rejected
    resumed = Synthesis(inputs(config), config)
    resumed.load_state_dict(states[rejected[0].evaluation][1])
    assert torch.equal(resumed.optimisation.picture, rejected[0].picture)


def start(folder: Path, *overrides: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "nst_lab", *LONG, *overrides]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def wait_for_evaluation(folder: Path, number: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path in folder.glob("outputs/*/*/metrics.jsonl"):
            if path.read_bytes().count(b"\n") >= number:
                return
        time.sleep(0.02)
    raise AssertionError(f"evaluation {number} was not reached")


def only_run(folder: Path) -> Path:
    [manifest] = folder.glob("outputs/*/*/manifest.json")
    return manifest.parent


def curve(folder: Path) -> list[int]:
    return [json.loads(line)["evaluation"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def board(folder: Path, tag: str) -> list[int]:
    """Steps of a tag over all event files in the order in which TensorBoard reads them."""
    events = [event for path in sorted(folder.glob("events*")) for event in EventFileLoader(str(path)).Load()]
    return [event.step for event in events for value in event.summary.value if value.tag == tag]


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on_where_it_was_and_ends_in_the_same_bytes(here, number, monkeypatch):
    budget = "optimizer.evaluations=300"
    whole, cut = here / "whole", here / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    monkeypatch.chdir(whole)
    untouched = runner.run(nst_lab.compose([*LONG, budget])).folder
    process = start(cut, budget)
    wait_for_evaluation(cut, 60)
    process.send_signal(number)
    process.communicate(timeout=60)
    folder = only_run(cut)
    manifest = runs.read_manifest(folder)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert manifest["status"] == "running"
    else:
        assert process.returncode == 130
        assert (manifest["status"], manifest["stop_reason"]) == ("interrupted", "interrupted")
        reached = checkpoint.read(folder, manifest["fingerprint"])["evaluation"]
        assert reached == manifest["evaluations"] == curve(folder)[-1]
    monkeypatch.chdir(cut)
    done = runner.run(nst_lab.compose([*LONG, budget]))
    assert (done.folder / "result.png").read_bytes() == (untouched / "result.png").read_bytes()
    assert curve(done.folder) == curve(untouched) == list(range(1, 301))
    for tag in ("loss/total", "result/picture"):
        assert board(done.folder, tag) == board(untouched, tag)
    assert done.manifest["losses"] == runs.read_manifest(untouched)["losses"]
    first, second = done.manifest["attempts"]
    assert first["after_evaluation"] == 0 < second["after_evaluation"] < 300
    assert {path.name.split(".tfevents")[0] for path in done.folder.iterdir()} == {
        "result.png",
        "manifest.json",
        "metrics.jsonl",
        "events.out",
    }


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"no checkpoint"])
def test_a_damaged_checkpoint_is_told_and_the_run_begins_anew(here, damage, capsys):
    process = start(here, "optimizer.evaluations=100")
    wait_for_evaluation(here, 20)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    path = only_run(here) / "checkpoint.pt"
    path.write_bytes(damage(path.read_bytes()))
    done = runner.run(nst_lab.compose([*LONG, "optimizer.evaluations=100"]))
    assert "checkpoint.pt: not usable" in capsys.readouterr().err
    assert curve(done.folder) == list(range(1, 101))
    assert [attempt["after_evaluation"] for attempt in done.manifest["attempts"]] == [0, 0]


def test_a_pickle_in_place_of_a_checkpoint_is_not_run(here, capsys):
    folder = here / "run"
    folder.mkdir()

    class Malice:
        def __reduce__(self):
            return (Path.touch, (here / "was_run",))

    path = folder / "checkpoint.pt"
    torch.save({"fingerprint": "f", "streams": {}, "malice": Malice()}, path)
    path.write_bytes(path.read_bytes() + hashlib.sha256(path.read_bytes()).digest())
    assert checkpoint.read(folder, "f") is None
    assert "trust the source" in capsys.readouterr().err  # it was whole, but not only tensors
    assert not (here / "was_run").exists()


def test_a_checkpoint_is_of_its_own_run_and_needs_the_streams_it_speaks_of(here):
    with Claim(here, "", Watch(60)) as claim:
        checkpoints = checkpoint.Checkpoints(claim, "mine", 0)
        (here / "metrics.jsonl").write_text("12345")
        checkpoints.write(lambda: {"streams": {"metrics.jsonl": 5}, "tensor": torch.arange(3)})
    assert torch.equal(checkpoint.read(here, "mine")["tensor"], torch.arange(3))
    assert checkpoint.read(here, "another") is None
    (here / "metrics.jsonl").write_text("1234")
    assert checkpoint.read(here, "mine") is None


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 0.999])
def test_three_damaged_bytes_anywhere_are_noticed(here, place, capsys):
    with Claim(here, "", Watch(60)) as claim:
        checkpoint.Checkpoints(claim, "mine", 0).write(lambda: {"streams": {}, "tensor": torch.zeros(1000)})
    path = here / "checkpoint.pt"
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    data[start : start + 3] = bytes(each ^ 0x55 for each in data[start : start + 3])
    path.write_bytes(data)
    assert checkpoint.read(here, "mine") is None
    assert "its bytes are not those that were written" in capsys.readouterr().err


def test_a_checkpoint_waits_a_hundred_times_as_long_as_the_one_before_it_took(here):
    with Claim(here, "", Watch(60)) as claim:
        checkpoints = checkpoint.Checkpoints(claim, "mine", 0)
        started, written = time.monotonic(), 0
        while time.monotonic() - started < 3:
            if checkpoints.due():
                assert time.monotonic() - checkpoints.written >= 100 * checkpoints.cost
                checkpoints.write(lambda: {"streams": {}, "tensor": torch.zeros(100_000)})
                assert checkpoints.cost > 0
                written += 1
            time.sleep(0.001)
    assert written
