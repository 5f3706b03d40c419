"""The memory that a run is said to need, and the refusal of what no machine has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import TINY
from hypothesis import given
from hypothesis import strategies as st
from searches import SEARCH, write

import nst_lab
from nst_lab.app import command
from nst_lab.figures.command import command as figure
from nst_lab.running.footprint import memory_bytes, total_memory
from nst_lab.search.command import command as search

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
HUGE = 200_000  # pixels of a side: tens of TiB


PAIRS = {
    (bounds, pairs): nst_lab.compose([f"optimizer.history={pairs}", f"optimizer.bounds={bounds}", "device=cpu"])
    for bounds in ("none", "project")
    for pairs in (7, 8)
}


@given(st.integers(16, 2000), st.integers(16, 2000))
def test_a_pair_of_l_bfgs_takes_two_pictures_and_with_bounds_five(height, width):
    picture = 4 * 3 * height * width
    for bounds, pictures in (("none", 2), ("project", 5)):
        fewer, more = (memory_bytes(PAIRS[bounds, pairs], height, width) for pairs in (7, 8))
        assert more - fewer == pictures * picture


def test_adam_keeps_no_pairs_and_max_pooling_where_the_greatest_were():
    sizes = {}
    for override in ("optimizer=lbfgs", "optimizer=adam", "model.pooling=max"):
        sizes[override] = memory_bytes(nst_lab.compose([override, "optimizer.revive=0"]), 256, 256)
    assert sizes["optimizer=lbfgs"] - sizes["optimizer=adam"] == 20 * 2 * 4 * 3 * 256 * 256
    places = sum(channels * (256 // stride) ** 2 for channels, stride in ((64, 2), (128, 4), (256, 8), (512, 16)))
    assert sizes["model.pooling=max"] - sizes["optimizer=lbfgs"] == 8 * places


def test_there_is_some_memory():
    assert 2**28 < total_memory(torch.device("cpu")) < 2**48


@pytest.mark.parametrize("more", [[], ["dry_run=true"], ["-m", "seed=0,1"]])
def test_a_run_that_cannot_fit_is_refused_with_its_peak_before_any_work(more, here, capsys):
    assert command([*more, *TINY, f"size={HUGE}"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        rf"nst-lab: size={HUGE}: {HUGE}x\d+ pixels need about \d{{5}}\.\d GiB of memory, and there are \d+\.\d GiB; "
        r"choose a smaller size or optimizer.history",
        line,
    )
    assert not (here / "outputs").exists()


def test_a_dry_run_tells_the_memory_of_all_that_are_at_work_at_once(here, capsys):
    def told(batch: int) -> list[float]:
        assert command(["-m", *TINY, "size=128", "seed=range(4)", f"runner.batch={batch}", "dry_run=true"]) == 0
        return [float(gibibytes) for gibibytes in re.findall(r"(\d+\.\d\d) GiB", capsys.readouterr().out)]

    alone, pairs, all_four = told(1), told(2), told(4)
    assert len(alone) == len(pairs) == len(all_four) == 4
    each = pairs[0] - alone[0]
    assert each > 0
    assert all_four == pytest.approx([alone[0] + 3 * each] * 4, abs=0.03)  # of figures rounded to 0.01


def test_a_figure_and_a_search_that_cannot_fit_are_refused(here, capsys):
    assert figure(["figure=gatys2016_fig4", "images=built_in", f"size={HUGE}"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"nst-figure: figure=gatys2016_fig4: size={HUGE}: ")
    assert "GiB of memory" in line
    write(SEARCH)
    assert search(["mine.yaml", f"size={HUGE}"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "GiB of memory" in line
    assert not (here / "outputs").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
@pytest.mark.parametrize(("pixels", "given_back"), [(512 * 512 + 1, True), (512 * 512, False)])
@pytest.mark.parametrize("block", [2**22, 2**24])
def test_of_a_large_picture_every_layer_is_given_back_at_once(pixels, given_back, block):
    """Blocks of 16 and 64 MiB, every other one of which goes: holes that only a mapping of their own can give back."""
    script = f"""
import torch
from nst_lab.running.allocator import keep_or_give_back
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
keep_or_give_back({pixels})
blocks = [torch.ones({block}) for _ in range(20)]
before = resident()
del blocks[::2]
print(before - resident())
"""
    freed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert (int(freed) > 9 * 4 * block) == given_back


@pytest.mark.skipif(not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(), reason="of Linux, where allowed")
def test_large_tensors_have_large_pages():
    """Whoever imports the package and makes a tensor after that; not as files say, since torch looks only once."""
    script = """
import nst_lab.app
import torch
tensor = torch.ones(2**24)
[line] = [line for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")]
print(line.split()[1])
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert int(told) > 2**15  # kilobytes, of 2**16
