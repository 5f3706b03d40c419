"""The same settings give the same picture, whatever surrounds the process; what holds where the machine computes.

On the CPU the number of threads is part of that: sums may be split among them, and a float32 sum depends on the split.
What holds everywhere is the same bytes for the same number of threads. Between numbers the pictures of short runs are
near: often they are the same bytes, too, but no library promises that, and L-BFGS multiplies a difference in the last
digit from step to step.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from conftest import TINY
from launched import results
from PIL import Image

import nst_lab
from nst_lab.app import command

RUN = (*TINY, "init=noise", "optimizer.evaluations=12", "optimizer.tolerance=0", "seed=2")

SURROUNDINGS = {
    "hash seed": {"PYTHONHASHSEED": "1", "PYTHONUTF8": "1"},
    "elsewhere in the world": {
        "PYTHONHASHSEED": "77",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "tr_TR.UTF-8",
        "LANG": "C",
    },
    "plain C": {"PYTHONHASHSEED": "0", "TZ": "America/St_Johns", "LC_ALL": "C", "PYTHONUTF8": "0", "HOME": "/dev/null"},
}


def picture(folder: Path) -> tuple[str, bytes]:
    [(name, data)] = results(folder).items()
    return name, data


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> tuple[str, bytes]:
    """Name and bytes of the run's picture, made in this process."""
    folder = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert command([*RUN, "threads=1"]) == 0
    return picture(folder)


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_what_surrounds_a_process_does_not_change_its_picture(tmp_path, expected, name):
    folder = tmp_path / f"a folder, ünlike = {name}"
    folder.mkdir()
    ended = subprocess.run(
        [sys.executable, "-m", "nst_lab", *RUN, "threads=1"],
        cwd=folder, env=os.environ | SURROUNDINGS[name], capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert picture(folder) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_with_the_same_number_of_threads_the_bytes_are_the_same(here, threads, monkeypatch):
    made = []
    for place in ("first", "second"):
        (here / place).mkdir()
        monkeypatch.chdir(here / place)
        assert command([*RUN, "size=64", f"threads={threads}"]) == 0
        made.append(picture(here / place))
    assert made[0] == made[1]


def test_between_numbers_of_threads_pictures_are_near(here, monkeypatch):
    made = []
    for threads in (1, 2, 3):
        (here / str(threads)).mkdir()
        monkeypatch.chdir(here / str(threads))
        assert command([*RUN, "size=64", f"threads={threads}"]) == 0
        [path] = Path().glob("outputs/*/*/result.png")
        made.append(numpy.asarray(Image.open(path), dtype=int))
    for other in made[1:]:
        assert numpy.abs(other - made[0]).max() <= 2  # of 255


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_with_deterministic_algorithms_cuda_gives_the_same_picture_twice():
    config = nst_lab.compose(["device=cuda", "size=64", "init=noise", "optimizer.evaluations=12", "precision=fp32"])
    pictures = [nst_lab.load_image(name) for name in ("chelsea", "starry_strokes")]
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        made = [nst_lab.transfer(pictures[0], pictures[1:], config).image for _ in range(2)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*made)
