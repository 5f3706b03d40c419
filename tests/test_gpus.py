"""The GPUs of one machine, shared by processes. How many there are is pretended; the processes are real."""

import subprocess
import sys

import pytest
import torch
from conftest import TINY
from omegaconf import OmegaConf

from nst_lab.app import command
from nst_lab.sweeps.gpus import share_gpus

WORKER = """
import sys
from pathlib import Path
from nst_lab.sweeps.gpus import device_of_worker
print(device_of_worker(Path(sys.argv[1]), 2), device_of_worker(Path(sys.argv[1]), 2), flush=True)
sys.stdin.read()
"""


def worker(folder):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_workers_take_the_gpus_in_turn_keep_them_and_leave_them_to_others_however_they_end(tmp_path):
    workers = [worker(tmp_path) for _ in range(3)]
    devices = [each.stdout.readline().split() for each in workers]
    assert all(first == second for first, second in devices)
    assert sorted(first for first, _ in devices) == ["cuda:0", "cuda:0", "cuda:1"]
    victim = next(each for each, (device, _) in zip(workers, devices, strict=True) if device == "cuda:1")
    victim.kill()
    victim.wait()
    last = worker(tmp_path)
    assert last.stdout.readline().split() == ["cuda:1"] * 2
    for each in (*workers, last):
        each.communicate()


def launcher(choice: str, n_jobs: int | None):
    return OmegaConf.create(
        {"hydra": {"launcher": {"n_jobs": n_jobs}, "runtime": {"choices": {"hydra/launcher": choice}}}}
    )


def test_there_are_as_many_processes_as_gpus_unless_it_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    for n_jobs, expected in ((None, 3), (8, 8)):
        master = launcher("gpus", n_jobs)
        assert share_gpus(master) == 3
        assert master.hydra.launcher.n_jobs == expected
    assert share_gpus(launcher("processes", None)) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_is_refused_in_one_line(here, capsys):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    assert command(["-m", *TINY, "seed=1,2", "hydra/launcher=gpus"]) == 2
    [line] = [text for text in capsys.readouterr().err.splitlines() if text.startswith("nst-lab: ")]
    assert line == ("nst-lab: hydra/launcher=gpus: no CUDA device on this machine; expected one, or another launcher")
    assert not list(here.glob("outputs/*/*/manifest.json"))
