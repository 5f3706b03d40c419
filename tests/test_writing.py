"""The thread that writes beside the optimisation: in order, bounded, nothing lost, errors told."""

import threading
import time

import pytest
from conftest import TINY

import nst_lab
from nst_lab.optimisation.synthesis import Synthesis
from nst_lab.running.inputs import load_inputs
from nst_lab.running.recorder import Recorder
from nst_lab.running.writing import ROOM, Writer


def test_work_is_done_in_order_in_another_thread_and_drained():
    writer, done = Writer("test"), []
    for number in range(3 * ROOM):
        writer.put(lambda number=number: done.append((number, threading.current_thread().name)))
    writer.drain()
    assert done == [(number, "test") for number in range(3 * ROOM)]
    writer.put(lambda: done.append("last"))
    writer.close()
    assert done[-1] == "last"
    assert not writer.thread.is_alive()


def test_who_is_faster_than_the_disk_waits():
    writer, gate = Writer("test"), threading.Event()
    writer.put(gate.wait)
    feeder = threading.Thread(target=lambda: [writer.put(lambda: None) for _ in range(ROOM + 5)])
    feeder.start()
    deadline = time.monotonic() + 30
    while writer.works.qsize() < ROOM and time.monotonic() < deadline:
        time.sleep(0.01)
    assert writer.works.qsize() == ROOM
    assert feeder.is_alive()
    gate.set()
    feeder.join()
    writer.drain()
    writer.close()


def test_after_an_error_nothing_more_is_written_and_every_call_raises_it():
    writer, done = Writer("test"), []

    def full():
        raise OSError(28, "No space left on device")

    writer.put(full)
    with pytest.raises(OSError, match="No space left"):
        writer.drain()
    with pytest.raises(OSError, match="No space left"):
        writer.put(lambda: done.append(1))
    writer.close()
    assert done == []


def test_what_a_checkpoint_says_is_on_the_disk_and_an_error_of_writing_ends_the_run(tmp_path):
    config = nst_lab.compose([*TINY, "log.images=4"])
    inputs = load_inputs(config)
    with Recorder(tmp_path, config, inputs) as recorder:
        for step in Synthesis(inputs, config):
            recorder.record(step)
            sizes = recorder.sizes()
            assert sizes == {name: (tmp_path / name).stat().st_size for name in sizes}
            assert (tmp_path / "metrics.jsonl").read_bytes().count(b"\n") == step.evaluation
    recorder = Recorder(tmp_path, config, inputs)
    recorder.metrics.close()
    recorder.record(step)
    with pytest.raises(ValueError, match="closed file"):
        recorder.__exit__(None)
